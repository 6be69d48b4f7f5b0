"""What plain Lua cannot become, and what to write instead."""

from __future__ import annotations

__all__ = ("Refused",)


class Refused(Exception):
    """A piece of Lua that no node expresses, on its line."""

    def __init__(self, line: int, why: str, hint: str | None = None) -> None:
        super().__init__(why)
        self.line = line
        self.why = why
        self.hint = hint
