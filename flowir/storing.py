"""Writes of a program: they keep bounds on the context's size, and add in place.

A lane carries an upper bound of its context's size and depth; a write adds to it what
the written value can weigh at most, and only where the bound passes the limit the whole
is measured. `growing` recognises `at = list.concat(at, …)`: what only adds to a value
that nobody else holds need not copy it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, cast

from flowir import ops
from flowir.errors import FlowError
from flowir.exprs import UNKNOWN, Bounds, Compiled, Reach
from flowir.lane import Lane
from flowir.limits import Limits
from flowir.nodes import Assign, Expr
from flowir.path import Path, parse_path, read
from flowir.store import own, writer

__all__ = ("Store", "growing", "growth_of", "storing")

# Externs that only add to their first argument.
_GROWING = ("list.concat", "object.merge")

Store: TypeAlias = Callable[[Lane, Any, "Reach | Bounds"], None]


def storing(path: Path, limits: Limits) -> Store:
    """Compile a write at *path* that keeps the lane's bounds on its context's size."""
    write, levels = writer(path), len(path.segments)
    largest, deepest = limits.value_size, limits.value_depth
    own_size = 8 + sum(len(s) + 6 if isinstance(s, str) else 3 for s in path.segments)

    def store(lane: Lane, value: Any, reach: Reach | Bounds) -> None:
        kind = type(value)
        size, depth = lane.size + own_size, levels
        if kind is dict or kind is list:
            bounds = lane.weigh(value, reach)
            size += bounds[0]
            depth += bounds[1]
        elif kind is str:
            size += len(value)
        if size > largest or depth > deepest:
            lane.write_measured(write, value)
        else:
            write(lane, value)
            lane.size = size
            if depth > lane.depth:
                lane.depth = depth
        if lane.log is not None:
            lane.note(lane.log, path, value)

    if levels <= deepest:
        return store

    def too_deep(lane: Lane, value: Any, reach: Reach | Bounds) -> None:
        raise FlowError("value.too_deep", f"expected at most {deepest} levels, got {levels}")

    return too_deep


def growing(path: Path, ref: str, rest: list[Compiled], store: Store) -> Callable[[Lane], None]:
    """Compile `path = extern(path, …)` so that it adds in place where it may."""
    kind, add = (list, _extend) if ref == "list.concat" else (dict, _update)

    def grow(lane: Lane) -> None:
        m = lane.m
        base = read(lane.ctx, path)
        added = tuple([of(lane.ctx, m) for of in rest])
        grows = all(type(part) is kind for part in (base, *added))
        bounds = [lane.weigh(part, UNKNOWN) for part in added] if grows else []
        size = sum(bound[0] for bound in bounds)
        depth = max((bound[1] for bound in bounds), default=0) + len(path.segments)
        if not grows or not lane.fits(size) or depth > m.limits.value_depth:
            store(lane, ops.call_extern(m, ref, (base, *added)), UNKNOWN)
            return
        ops.pay_extern(m, (base, *added))
        del base
        lane.forget_log()
        held = own(lane, path)
        add(held, added)
        ops.pay_extern(m, (held,))
        lane.size += size
        lane.depth = max(lane.depth, depth)

    return grow


def _extend(held: list[Any], added: tuple[list[Any], ...]) -> None:
    for part in added:
        held.extend(part)


def _update(held: dict[str, Any], added: tuple[dict[str, Any], ...]) -> None:
    for part in added:
        held.update(part)


def growth_of(node: Assign) -> tuple[str, list[Expr]] | None:
    """Recognise `at = extern(at, …)` where the extern only adds to its first argument."""
    expr = node.value
    if expr["op"] != "call_extern" or expr["ref"] not in _GROWING:
        return None
    first, *rest = cast("list[Expr]", expr["args"]) or [{}]
    if not rest or first.get("op") != "path" or parse_path(first["at"]) != node.at:
        return None
    return str(expr["ref"]), rest
