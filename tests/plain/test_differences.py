"""Each difference between a flow and Lua: a flow shows it, and Lua does not.

What docs/plain-lua.md lists is built into the oracle under the names that stand there. With
all of them Lua shows what the flow shows; without the one that a function is about it does
not: no difference is listed that there is not, and none is hidden by another.
"""

from __future__ import annotations

from copy import deepcopy
from functools import cache

import pytest

from tests.plain.both import Batch, Program
from tests.plain.written import DIFFERENCES, Written


@cache
def batch() -> Batch:
    return Batch.of([one.body for one in DIFFERENCES])


@cache
def program(i: int) -> Program:
    return batch().program(i)


def shown(one: Written) -> str:
    return f"{one.construct}: {one.body[13:60]}"


@pytest.mark.parametrize("one", DIFFERENCES, ids=shown)
def test_a_flow_does_what_lua_does_with_the_differences(one: Written) -> None:
    made = program(DIFFERENCES.index(one))
    for ctx in one.contexts:
        assert made.through_machine(deepcopy(ctx)) == made.through_lua(ctx), ctx


@pytest.mark.parametrize("one", DIFFERENCES, ids=shown)
def test_without_the_difference_lua_does_something_else(one: Written) -> None:
    made, off = program(DIFFERENCES.index(one)), (one.construct,)
    assert any(
        made.through_machine(deepcopy(ctx), off) != made.through_lua(ctx, off)
        for ctx in one.contexts
    )
