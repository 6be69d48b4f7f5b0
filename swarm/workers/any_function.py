"""Functions that nobody imported: for whoever looks at a blueprint, or tests it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from swarm.errors import Bug

__all__ = ("AnyFunction",)


class AnyFunction(Mapping[str, Callable[..., Any]]):
    """Every function there could be: who looks at a blueprint does not run its project.

    Which functions there are is known to the program that will run the blueprint; to look
    at a stranger's must not import their Python.
    """

    def __getitem__(self, name: str) -> Callable[..., Any]:
        return _not_imported

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _not_imported(input: Any) -> Any:
    raise Bug(f"a blueprint that was only looked at was asked to run, with {input!r}")
