"""How much may be looked at in search of tables with two names: counted, never timed.

What tables may be one and the same grows with the square of the names, and faster where
tables are put into each other. A count refuses the same flows on every machine; what people
write stays far below it.
"""

from __future__ import annotations

__all__ = ("MOST", "Effort", "TooMuch")

# About a second. Of 3,347 flows that were written or generated to be lowered, the largest
# took 421,678, and the eighth 37,107.
MOST = 800_000


class TooMuch(Exception):
    """The effort is used up."""


class Effort:
    """Counts pairs of access paths, tables and pieces of text that were looked at."""

    def __init__(self, most: int = MOST) -> None:
        self.spent = 0
        self._most = most

    def spend(self, steps: int = 1) -> None:
        """Count *steps*.

        Raises: TooMuch.
        """
        self.spent += steps
        if self.spent > self._most:
            raise TooMuch
