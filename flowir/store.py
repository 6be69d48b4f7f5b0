"""Writes into a context, sharing what they do not touch (flow-ir.md §2).

A container that nobody else holds is changed in place; any other is copied first, one
level, on the way to the written place. Whether somebody else holds it is read from
CPython's reference count: every holder counts (a saved context of `try`, another lane, a
value written twice, a caller's variable), so a reader of an older context can never see it
change, and there are no marks to keep right. The count of a container that only its
parent holds is measured at import, through the very code that asks later; where it
cannot be told apart from a shared one, every write copies.

What a context could at most weigh is carried along and only compared with the limit;
the whole is measured when that bound says it might be too large.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from sys import getrefcount
from typing import Any, Protocol, TypeAlias

from flowir.errors import FlowError
from flowir.limits import Limits
from flowir.path import Path, format_path
from flowir.values import described, measure

__all__ = ("Holder", "Write", "check_size", "own", "writer")


class Holder(Protocol):
    """Whoever has a context: a lane of the machine."""

    ctx: Any


Write: TypeAlias = Callable[[Holder, Any], None]


def not_writable(path: Path, depth: int, here: Any) -> FlowError:
    """Build the error of a write that meets *here* where segment *depth* should lead on."""
    above = format_path(Path(path.segments[:depth]))
    segment = path.segments[depth]
    if isinstance(segment, str):
        wanted = f"an object at {above}"
    elif type(here) is list:
        wanted = f"an index up to {len(here)} at {above}"
        return FlowError(
            "path.not_writable", f"{format_path(path)}: expected {wanted}, got {segment}"
        )
    else:
        wanted = f"an array at {above}"
    return FlowError(
        "path.not_writable",
        f"{format_path(path)}: expected {wanted}, got {described(here)}",
    )


@lru_cache(maxsize=4096)
def writer(path: Path) -> Write:
    """Compile a write: `write(holder, value)` replaces what stands at *path*.

    Raises (when called): FlowError path.not_writable; the context is then untouched.
    """
    if not path.segments:
        return _replace
    if len(path.segments) == 1 and isinstance(path.segments[0], str):
        return _member_writer(path, path.segments[0])
    return _deep_writer(path)


def _replace(holder: Holder, value: Any) -> None:
    holder.ctx = value


def _member_writer(path: Path, name: str) -> Write:
    def write(holder: Holder, value: Any) -> None:
        here = holder.ctx
        if type(here) is dict:
            if getrefcount(here) > ALONE:
                holder.ctx = here = here.copy()
            here[name] = value
        elif here is None:
            holder.ctx = {name: value}
        else:
            raise not_writable(path, 0, here)

    return write


def _deep_writer(path: Path) -> Write:
    *_, last = path.segments
    parent = Path(path.segments[:-1])
    if isinstance(last, str):
        return _deep_member_writer(path, parent, last)
    return _item_writer(path, parent, last)


def _deep_member_writer(path: Path, parent: Path, name: str) -> Write:
    depth = len(parent.segments)

    def write(holder: Holder, value: Any) -> None:
        here = own(holder, parent, path)
        if type(here) is not dict:
            raise not_writable(path, depth, here)
        here[name] = value

    return write


def _item_writer(path: Path, parent: Path, index: int) -> Write:
    depth = len(parent.segments)

    def write(holder: Holder, value: Any) -> None:
        here = own(holder, parent, path)
        if type(here) is not list or not -len(here) <= index <= len(here):
            raise not_writable(path, depth, here)
        if index == len(here):
            here.append(value)
        else:
            here[index] = value

    return write


def own(holder: Holder, path: Path, goal: Path | None = None) -> Any:
    """Make every container down to *path* the holder's alone, and return the last.

    Shape: missing or null members on the way become objects, if the rest of *goal* (what
    is to be written, default *path*) can stand below an object.
    Raises: FlowError path.not_writable, naming *goal*; nothing that can be seen changed.
    """
    goal = goal or path
    here = holder.ctx
    if here is None:
        _check_creatable(goal, 0, here)
        holder.ctx = here = {}
    elif type(here) is not dict and type(here) is not list:
        raise not_writable(goal, 0, here)
    elif getrefcount(here) > ALONE:
        holder.ctx = here = here.copy()
    for depth, segment in enumerate(path.segments):
        child = _child(here, segment, goal, depth)
        if child is None:
            _check_creatable(goal, depth + 1, child)
            child = {}
            _put(here, segment, child)
        elif type(child) is not dict and type(child) is not list:
            raise not_writable(goal, depth + 1, child)
        elif getrefcount(child) > ALONE:
            child = child.copy()
            _put(here, segment, child)
        here = child
    return here


def _child(here: Any, segment: str | int, goal: Path, depth: int) -> Any:
    """Look one step down; None where something may be made."""
    if isinstance(segment, str):
        if type(here) is not dict:
            raise not_writable(goal, depth, here)
        return here.get(segment)
    if type(here) is not list:
        raise not_writable(goal, depth, here)
    if segment == len(here):
        return None
    if not -len(here) <= segment < len(here):
        raise not_writable(goal, depth, here)
    return here[segment]


def _put(here: Any, segment: Any, child: Any) -> None:
    if type(here) is list and segment == len(here):
        here.append(child)
    else:
        here[segment] = child


def _check_creatable(goal: Path, depth: int, here: Any) -> None:
    """Refuse to make objects on a way that later asks one of them for an index."""
    for later in range(depth, len(goal.segments)):
        if type(goal.segments[later]) is int:
            raise not_writable(goal, later, {} if later > depth else here)


# ---- the limit on size ---------------------------------------------------------------


def check_size(value: Any, limits: Limits) -> tuple[int, int]:
    """Measure *value*, and refuse one that is larger or deeper than the limit."""
    size, depth = measure(value)
    if size > limits.value_size:
        raise FlowError(
            "value.too_large", f"expected a value of at most {limits.value_size} bytes, got {size}"
        )
    if depth > limits.value_depth:
        raise FlowError(
            "value.too_deep", f"expected at most {limits.value_depth} levels, got {depth}"
        )
    return size, depth


# ---- the count of a container that only its parent holds -----------------------------


class _Probe:
    __slots__ = ("ctx",)

    def __init__(self, ctx: Any) -> None:
        self.ctx = ctx


def _count_alone() -> int:
    """Count the references that the writes above see on an unshared container."""

    def as_root(holder: Holder) -> int:
        here = holder.ctx
        return getrefcount(here)

    def as_child(holder: Holder) -> int:
        here = holder.ctx
        child = here["child"]
        return getrefcount(child)

    def lowest_shared(holder: Holder) -> int:
        here = holder.ctx
        child = here["shared"]
        return getrefcount(child)

    alone = max(as_root(_Probe({})), as_child(_Probe({"child": {}})))
    twice: dict[str, Any] = {}
    shared = lowest_shared(_Probe({"shared": twice, "again": twice}))
    del twice
    return alone if alone < shared else 0


ALONE = _count_alone()
