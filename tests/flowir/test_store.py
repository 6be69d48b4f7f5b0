"""Writes, judged by a model that copies everything each time."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

import pytest

from flowir.errors import FlowError
from flowir.limits import Limits
from flowir.path import ROOT, Path, parse_path
from flowir.store import ALONE, check_size, own, writer
from tests.flowir.written import deep

JSON = Any
Segments = tuple[str | int, ...]


class Holder:
    def __init__(self, ctx: JSON) -> None:
        self.ctx = ctx


def plainly_written(value: JSON, segments: Segments, new: JSON) -> JSON:
    """Return a copy of *value* with *new* in its place (flow-ir.md §2, write)."""
    if not segments:
        return new
    head, *rest = segments
    if value is None and not any(isinstance(segment, int) for segment in segments):
        value = {}
    if isinstance(head, str):
        if not isinstance(value, dict):
            raise FlowError("path.not_writable", "")
        return {**value, head: plainly_written(value.get(head), tuple(rest), new)}
    if not isinstance(value, list) or not -len(value) <= head <= len(value):
        raise FlowError("path.not_writable", "")
    items: list[JSON] = [*value, None] if head == len(value) else [*value]
    items[head] = plainly_written(items[head], tuple(rest), new)
    return items


class _Play:
    """Random writes on one holder, while others keep contexts and parts of them."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 - drawn again from its seed
        shared = [1, {"a": 2}]
        ctx = {"a": shared, "b": {"a": shared, "b": None}, "c": [[0], {"b": [5]}]}
        self.holder = Holder(ctx)
        self.model: JSON = copy.deepcopy(ctx)
        self.kept: list[tuple[JSON, str]] = []

    def turn(self) -> None:
        if self.random.random() < 0.2:
            self.kept.append((self.holder.ctx, repr(self.holder.ctx)))
        if self.kept and self.random.random() < 0.2:
            self.kept.pop(self.random.randrange(len(self.kept)))
        segments, value = self._segments(), self._value()
        write = writer(Path(segments))
        try:
            self.model = plainly_written(self.model, segments, copy.deepcopy(value))
        except FlowError:
            with pytest.raises(FlowError, match="expected") as caught:
                write(self.holder, value)
            del caught  # its frames hold what it was raised for
        else:
            write(self.holder, value)
        del value
        assert repr(self.holder.ctx) == repr(self.model), segments
        assert all(repr(ctx) == text for ctx, text in self.kept), segments

    def _segments(self) -> Segments:
        names = ("a", "a", "b", "c", "d", 0, 1, -1, 2)
        return tuple(self.random.choices(names, k=self.random.choice((1, 1, 2, 2, 3, 4))))

    def _value(self) -> JSON:
        """Return something new, or a part of the context: values are written twice."""
        here = self.holder.ctx
        while isinstance(here, (dict, list)) and here and self.random.random() < 0.7:
            here = self.random.choice([*here.values()] if isinstance(here, dict) else here)
        fresh: list[JSON] = [1, None, "s", [], {}, {"a": [None]}]
        return (
            here
            if self.random.random() < 0.4 and len(repr(here)) < 500
            else (self.random.choice(fresh))
        )


def test_no_write_is_seen_by_whoever_kept_a_context_or_a_part() -> None:
    for seed in range(150):
        play = _Play(seed)
        for _ in range(40):
            play.turn()


def test_what_nobody_else_holds_is_changed_in_place() -> None:
    assert ALONE > 0, "this Python cannot tell shared from unshared: every write copies"
    holder = Holder({"o": {"l": [{"n": 1}]}})
    ids = [id(holder.ctx), id(holder.ctx["o"]), id(holder.ctx["o"]["l"])]
    for at in ("$.o.l[0].n", "$.o.l[1]", "$.o.k", "$.p"):
        writer(parse_path(at))(holder, 7)
    assert holder.ctx == {"o": {"l": [{"n": 7}, 7], "k": 7}, "p": 7}
    assert [id(holder.ctx), id(holder.ctx["o"]), id(holder.ctx["o"]["l"])] == ids


@pytest.mark.parametrize("at", ["$.o", "$.o.l", "$.o.l[0]", "$.o.l[0].n"])
def test_what_somebody_holds_is_copied_on_the_way_and_nothing_beside_it(at: str) -> None:
    ctx = {"o": {"l": [{"n": 1}], "beside": []}, "beside": []}
    before = copy.deepcopy(ctx)
    holder = Holder(ctx)
    writer(parse_path(at))(holder, 9)
    assert ctx == before
    assert holder.ctx["beside"] is ctx["beside"]


@pytest.mark.parametrize("at", ["$", "$.a", "$.a.b", "$.a.b.c"])
def test_what_is_missing_on_the_way_becomes_an_object(at: str) -> None:
    for ctx in (None, {"a": None}, {"a": {"b": None}}):
        segments = parse_path(at).segments
        holder = Holder(copy.deepcopy(ctx))
        writer(parse_path(at))(holder, 1)
        assert holder.ctx == plainly_written(ctx, segments, 1)


def test_a_value_that_was_written_twice_is_two_values() -> None:
    holder = Holder({})
    for at in ("$.a", "$.b"):
        writer(parse_path(at))(holder, _SHARED)
    writer(parse_path("$.a.l[0]"))(holder, 9)
    assert holder.ctx == {"a": {"l": [9]}, "b": {"l": [1]}}
    assert _SHARED == {"l": [1]}


_SHARED: JSON = {"l": [1]}


def test_a_context_may_hold_itself_as_it_was() -> None:
    holder = Holder({"n": 1})
    for n in (2, 3):
        writer(parse_path("$.old"))(holder, holder.ctx)
        writer(parse_path("$.n"))(holder, n)
    assert holder.ctx == {"n": 3, "old": {"n": 2, "old": {"n": 1}}}


@pytest.mark.parametrize(
    ("ctx", "at", "says"),
    [
        (5, "$.a", "$.a: expected an object at $, got number 5"),
        (None, "$[0]", "$[0]: expected an array at $, got null"),
        (None, "$.a[0]", "$.a[0]: expected an array at $.a, got object {}"),
        ("s", "$.a.b", "$.a.b: expected an object at $, got string 's'"),
        ({"a": [1]}, "$.a.b", "$.a.b: expected an object at $.a, got array [1]"),
        ({"a": [1]}, "$.a.b.c", "$.a.b.c: expected an object at $.a, got array [1]"),
        ({"a": 1}, "$.a.b.c", "$.a.b.c: expected an object at $.a, got number 1"),
        ({"a": {}}, "$.a[0]", "$.a[0]: expected an array at $.a, got object {}"),
        ({"a": {}}, "$.a[0].b", "$.a[0].b: expected an array at $.a, got object {}"),
        ({"a": None}, "$.a[0]", "$.a[0]: expected an array at $.a, got null"),
        ({"a": None}, "$.a.b[0]", "$.a.b[0]: expected an array at $.a.b, got object {}"),
        ({"a": [1]}, "$.a[2]", "$.a[2]: expected an index up to 1 at $.a, got 2"),
        ({"a": [1]}, "$.a[-2]", "$.a[-2]: expected an index up to 1 at $.a, got -2"),
        ({"a": [1]}, "$.a[2].b", "$.a[2].b: expected an index up to 1 at $.a, got 2"),
    ],
)
def test_what_cannot_be_written_says_why_and_changes_nothing(ctx: JSON, at: str, says: str) -> None:
    holder, before = Holder(ctx), copy.deepcopy(ctx)
    with pytest.raises(FlowError) as caught:
        writer(parse_path(at))(holder, 1)
    assert (caught.value.code, caught.value.message) == ("path.not_writable", says)
    assert holder.ctx == ctx == before


def test_an_owned_container_is_the_holders_alone() -> None:
    ctx = {"l": [1]}
    holder = Holder(ctx)
    own(holder, parse_path("$.l")).append(2)
    own(holder, ROOT)["n"] = 1
    assert (holder.ctx, ctx) == ({"l": [1, 2], "n": 1}, {"l": [1]})


def test_what_is_too_large_or_too_deep_is_told_apart() -> None:
    limits = Limits(value_size=100, value_depth=3)
    assert check_size([1], limits) == (11, 1)
    for value, code in ((["x" * 99], "value.too_large"), (deep(4), "value.too_deep")):
        with pytest.raises(FlowError) as caught:
            check_size(value, limits)
        assert caught.value.code == code


@pytest.mark.parametrize("ctx", [5, "text", True])
def test_nothing_is_owned_of_a_context_that_holds_nothing(ctx: Any) -> None:
    holder, goal = Holder(ctx), parse_path("$.a")
    for path in (ROOT, goal):
        with pytest.raises(FlowError) as caught:
            own(holder, path, goal)
        assert caught.value.code == "path.not_writable"
        assert holder.ctx is ctx
