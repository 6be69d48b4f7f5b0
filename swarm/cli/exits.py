"""Exit codes, and the ways to speak: results on stdout, all else on stderr.

What a person reads is folded to his terminal; what a program may read, JSON and names, is
printed as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import IntEnum

import click

from swarm.cli.paper import columns, folded_for, width_of
from swarm.cli.streams import give_up

__all__ = ("Exit", "WrongUse", "print_lines", "print_result", "print_rows", "say")


class Exit(IntEnum):
    """What an exit code means, for every command."""

    OK = 0
    FAILED = 1
    WRONG = 2
    WAITING = 3  # for a person: for his answer, or for his resume
    DENIED = 4
    INTERRUPTED = 130  # 128 + SIGINT, as shells count


class WrongUse(click.ClickException):
    """Input that no command can work with: one sentence, exit 2, no usage text."""

    exit_code = Exit.WRONG

    def show(self, file: object = None) -> None:
        """Say the sentence on stderr."""
        say(self.format_message())


def say(sentence: str) -> None:
    """Say something on stderr that is not a result; what nobody can hear stops nothing."""
    try:
        click.echo("\n".join(folded_for(sys.stderr, [sentence])), err=True)
    except OSError:
        give_up(sys.stderr)


def print_lines(*lines: str, hang: int = 4) -> None:
    """Print lines of the result for a person; *hang* indents what a terminal has no room for."""
    for line in folded_for(sys.stdout, lines, hang):
        print_result(line)


def print_rows(rows: Sequence[Sequence[str]]) -> None:
    """Print a list of records, each of as many cells, in columns."""
    print_lines(*columns(rows, width_of(sys.stdout)))


def print_result(text: str) -> None:
    r"""Print a line of the result on stdout, as UTF-8 whatever the locale says.

    Shape: a byte of a file's name that is no UTF-8 is shown as `\udcff`, in JSON as well.
    Raises: OSError, naming stdout.
    """
    try:
        click.echo(text.encode(errors="backslashreplace"))
    except OSError as e:
        raise OSError(e.errno, e.strerror, "stdout") from None
