"""Exit codes, and the two ways to speak: results on stdout, all else on stderr."""

from __future__ import annotations

from enum import IntEnum

import click

__all__ = ("Exit", "WrongUse", "print_result", "say")


class Exit(IntEnum):
    """What an exit code means, for every command."""

    OK = 0
    FAILED = 1
    WRONG = 2
    WAITING = 3
    DENIED = 4
    INTERRUPTED = 130  # 128 + SIGINT, as shells count


class WrongUse(click.ClickException):
    """Input that no command can work with: one sentence, exit 2, no usage text."""

    exit_code = Exit.WRONG

    def show(self, file: object = None) -> None:
        """Say the sentence on stderr."""
        say(self.format_message())


def say(sentence: str) -> None:
    """Say something on stderr that is not a result."""
    click.echo(sentence, err=True)


def print_result(text: str) -> None:
    """Print a line of the result on stdout, as UTF-8 whatever the locale says."""
    click.echo(text.encode())
