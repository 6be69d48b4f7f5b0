"""A command of several verbs: its help says of each the whole sentence, folded and not cut."""

from __future__ import annotations

import click

__all__ = ("Verbs",)

# Longer than any first sentence; click cuts what does not fit into the rest of a line.
_WHOLE = 1000


class Verbs(click.Group):
    """A group whose help tells all of what each of its commands does."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        rows = [
            (name, self.commands[name].get_short_help_str(_WHOLE))
            for name in self.list_commands(ctx)
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
