"""Every written function, both ways: lowered through the machine, and directly in Lua."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

import pytest

import flowir
from tests.plain.both import AGENTS, FILE, Batch, Program
from tests.plain.written import CONSTRUCTS, REFUSALS, Refusal, Written


@cache
def lowered() -> Batch:
    return Batch.of([one.body for one in CONSTRUCTS])


@cache
def refused() -> Batch:
    return Batch.of([one.body for one in REFUSALS])


def asked(node: Any) -> set[str]:
    """Return the agents of all steps in a wire flow."""
    inner: list[Any] = list(node.values()) if isinstance(node, dict) else node
    found = {str(node["ref"])} if isinstance(node, dict) and node.get("kind") == "step" else set()
    return found.union(*(asked(one) for one in inner if isinstance(one, (dict, list))))


def shown(one: Written | Refusal) -> str:
    return f"{one.construct}: {one.body[13:60]}"


@pytest.mark.parametrize("one", CONSTRUCTS, ids=shown)
def test_a_flow_does_what_lua_does(one: Written) -> None:
    program = lowered().program(CONSTRUCTS.index(one))
    for ctx in one.contexts:
        assert program.through_machine(ctx) == program.through_lua(ctx), ctx


@pytest.mark.parametrize("one", CONSTRUCTS, ids=shown)
def test_a_lowered_flow_has_no_problems(one: Written) -> None:
    program = lowered().program(CONSTRUCTS.index(one))
    assert flowir.check(program.flow) == ()


@pytest.mark.parametrize("one", CONSTRUCTS, ids=shown)
def test_a_lowered_flow_has_the_agents_that_its_steps_ask(one: Written) -> None:
    plain = lowered().lowered(CONSTRUCTS.index(one))
    assert {agent["name"] for agent in plain.agents} == asked(plain.node) - {*AGENTS, "swarm.sleep"}


@pytest.mark.parametrize("one", REFUSALS, ids=shown)
def test_what_is_refused_says_why_and_what_to_write_instead(one: Refusal) -> None:
    plain = refused().lowered(REFUSALS.index(one))
    told = [f"{problem.message} — {problem.hint}" for _, problem in plain.problems]
    assert any(one.words in sentence for sentence in told), told
    assert all(problem.code == "plain.refused" for _, problem in plain.problems)
    before = refused().source.partition(f" flow = {one.body} }}")[0]
    line = before.count("\n") + 1
    assert {(where.file, where.line) for where, _ in plain.problems} == {(FILE, line)}


def test_there_are_enough_functions() -> None:
    assert len(CONSTRUCTS) >= 300
    few = [
        name for name, count in Counter(one.construct for one in CONSTRUCTS).items() if count < 5
    ]
    assert few == []


def test_the_comparison_can_fail() -> None:
    """A flow that is lowered wrongly is told from Lua."""
    batch = Batch.of(["function(ctx) return echo(1) + 1 end", "function(ctx) return echo(1) end"])
    other = Program(batch, 0, batch.lowered(1))
    assert other.through_machine({}) != other.through_lua({})
