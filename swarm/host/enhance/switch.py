"""The switch that stops the loop: a file, so that any process may throw it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ("Switch",)

_FILE: Final = "enhance.frozen"


class Switch:
    """Whether the loop of a store is frozen, all of it or for one blueprint.

    Shape: *folder* is the store's, if it has one.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._off = set[str | None]()

    def frozen(self, blueprint: str | None = None) -> bool:
        """Tell whether nothing is committed: of *blueprint*, or of any (None)."""
        return self._is_off(None) or (blueprint is not None and self._is_off(blueprint))

    def freeze(self, frozen: bool, blueprint: str | None = None) -> None:
        """Stop the loop from committing, or let it go on."""
        (self._off.add if frozen else self._off.discard)(blueprint)
        file = self._file(blueprint)
        if file is not None and frozen:
            file.touch()
        elif file is not None:
            file.unlink(missing_ok=True)

    def _is_off(self, blueprint: str | None) -> bool:
        file = self._file(blueprint)
        return blueprint in self._off or (file is not None and file.exists())

    def _file(self, blueprint: str | None) -> Path | None:
        if self._folder is None:
            return None
        return self._folder / (_FILE if blueprint is None else f"{_FILE}.{blueprint}")
