"""Accounts by themselves: what is counted, held back, refused and warned of, to the last token."""

from __future__ import annotations

from typing import Any

import pytest

from flowir.wire import load
from swarm.blueprint.budget import Budget, Slice, unknown_slices
from swarm.core.accounts import Account, Slices, Spent
from swarm.core.meter import Meter
from swarm.errors import Refused
from swarm.ports.worker import Usage

SAID: list[tuple[str, int, str]] = [
    ("steps", 2, "expected at most 2 steps in a run, got 2"),
    ("attempts", 2, "expected at most 2 attempts in a run, got 2"),
    ("tokens", 2, "expected at most 2 tokens in a run, got 2"),
    ("cost", 2, "expected at most 2 of cost in a run, got 2"),
]


@pytest.mark.parametrize(("name", "limit", "said"), SAID)
def test_an_attempt_of_unknown_use_needs_something_that_is_left(
    name: str, limit: int, said: str
) -> None:
    account = Account(Budget.of({name: float(limit) if name == "cost" else limit}))
    nothing = Usage()
    account.count(**{"steps": 0, "attempts": 0, name: limit - 1})
    assert account.lacking(nothing) is None
    account.count(**{"steps": 0, "attempts": 0, name: 1})
    failure = account.lacking(nothing)
    if name in ("steps", "attempts"):
        # It is counted already: the last one of them may be made.
        assert failure is None
        account.count(**{"steps": 0, "attempts": 0, name: 1})
        failure = account.lacking(nothing)
        said = said.replace("got 2", "got 3")
    assert failure is not None
    assert (failure.code, failure.message, failure.permanent) == ("budget.exhausted", said, True)
    used = account.spent
    assert failure.data == {
        "of": name, "slice": None, "limit": limit, "used": getattr(used, name),
    }  # fmt: skip


@pytest.mark.parametrize(("name", "unit"), [("tokens", 1), ("cost", 0.25)])
def test_what_an_attempt_takes_at_most_fits_into_what_is_left(name: str, unit: Any) -> None:
    account = Account(Budget.of({name: 10 * unit}))
    account.count(1, 1, **{name: 4 * unit})
    account.hold(3, 0.75)
    fits, more = Usage(**{name: 3 * unit}), Usage(**{name: 4 * unit})
    assert account.lacking(fits) is None
    failure = account.lacking(more)
    assert failure is not None
    assert failure.data["used"] == 11 * unit  # pyright: ignore[reportOptionalSubscript]
    account.hold(-3, -0.75)
    assert account.lacking(more) is None


def test_time_and_fuel_are_nobody_s_to_lack() -> None:
    account = Account(Budget(wall_s=1.0, fuel=1))
    account.count(9, 9, 9, 9.0)
    assert account.lacking(Usage(9, 9.0)) is None
    assert Account().lacking(Usage(10**9, 1e9)) is None
    assert Account().limits == {}


@pytest.mark.parametrize(
    ("used", "known", "refused"),
    [(0.9, 1, False), (1.0, 1, False), (1.0, 0, True), (1.1, 1, True), (1.1, 0, True)],
)
def test_one_limit_is_met_or_passed(used: float, known: float, refused: bool) -> None:
    account = Account(Budget(wall_s=1.0))
    assert (account.above("wall_s", used, known) is not None) is refused
    assert account.above("fuel", used, known) is None


@pytest.mark.parametrize(
    ("slice", "whose"),
    [("agents.writer", "for agent 'writer' in a run"), ("nodes.a.b", "for node 'a.b' in a run")],
)
def test_whose_limit_it_is_is_said(slice: str, whose: str) -> None:
    failure = Account(Slice(tokens=5), slice).exhausted("tokens", 6)
    assert failure.message == f"expected at most 5 tokens {whose}, got 6"
    assert failure.data == {"of": "tokens", "slice": slice, "limit": 5, "used": 6}


SLICED = Budget.of(
    {
        "agents": {"a": {"tokens": 1}, "b": {}},
        "nodes": {"outer": {}, "inner": {}, "other": {}, "gone": {}},
    }
)
FLOW = {
    "kind": "seq",
    "id": "outer",
    "children": [
        {"kind": "seq", "id": "inner", "children": [{"kind": "seq", "children": []}]},
        {"kind": "seq", "id": "other", "children": []},
    ],
}


@pytest.mark.parametrize(
    ("agent", "key", "slices"),
    [
        ("a", "$", ["agents.a", "nodes.outer"]),
        ("c", "$", ["nodes.outer"]),
        ("b", "$.children[0]", ["agents.b", "nodes.inner", "nodes.outer"]),
        ("c", "$.children[0].children[0]", ["nodes.inner", "nodes.outer"]),
        ("c", "$.children[0]#2.children[0]@7", ["nodes.inner", "nodes.outer"]),
        ("c", "$.children[1]", ["nodes.other", "nodes.outer"]),
        ("c", "$.children[10]", ["nodes.outer"]),
        ("c", "$x", []),
    ],
)
def test_an_attempt_is_on_the_accounts_of_its_agent_and_of_every_part_it_stands_in(
    agent: str, key: str, slices: list[str]
) -> None:
    found = Slices(SLICED, load(FLOW))
    assert [account.slice for account in found.of(agent, key)] == slices
    assert found.of(agent, key) is found.of(agent, key)
    assert [account.slice for account in found.all()] == [
        "agents.a", "agents.b", "nodes.outer", "nodes.inner", "nodes.other",
    ]  # fmt: skip
    meter = Meter(SLICED, load(FLOW))
    assert [account.slice for account in meter.accounts(agent, key)] == [*slices, None]
    assert (meter.limited, meter.checks) == (True, True)


def test_an_account_begins_with_nothing_and_counts_all_that_is_used() -> None:
    account = Account()
    assert account.spent == Spent(0, 0, 0, 0.0)
    account.count(1, 2)
    assert account.spent == Spent(1, 2, 0, 0.0)
    account.count(1, 2, 3, 0.5)
    assert account.spent == Spent(2, 4, 3, 0.5)
    assert (account.warn_at, Account(Budget(warn_at=0.5)).warn_at) == (1.0, 0.5)
    assert list(account.warnings(9.0, 9.0)) == []


def test_of_two_slices_only_the_one_that_was_warned_of_is_silent() -> None:
    meter = Meter(SLICED, load(FLOW))
    meter.recall({"kind": "budget.warning", "of": "tokens", "slice": "agents.b"})
    meter.recall({"kind": "step.finished", "step": "a", "key": "$", "tokens": 1, "cost": 0.0})
    about = {"of": "tokens", "slice": "agents.a", "used": 1, "limit": 1}
    assert meter.warnings(0, 0) == [{"kind": "budget.warning", **about}]
    again = Meter(SLICED, load(FLOW))
    again.recall({"kind": "budget.warning", "of": "tokens", "slice": "agents.a"})
    again.recall({"kind": "step.finished", "step": "a", "key": "$", "tokens": 1, "cost": 0.0})
    assert again.warnings(0, 0) == []


def test_a_warning_comes_once_and_from_its_share_on() -> None:
    account = Account(Budget(tokens=10, steps=4, wall_s=2.0, warn_at=0.5), "agents.a")
    account.count(1, 1, 4)
    assert list(account.warnings(0.9, 0)) == []
    account.count(0, 0, 1)
    about = {"kind": "budget.warning", "slice": "agents.a"}
    assert list(account.warnings(1.0, 0)) == [
        {**about, "of": "tokens", "used": 5, "limit": 10},
        {**about, "of": "wall_s", "used": 1.0, "limit": 2.0},
    ]
    account.warned("steps")
    account.count(3, 0)
    assert list(account.warnings(9.0, 0)) == []


def test_a_meter_is_asked_where_there_is_something_to_ask() -> None:
    free = Meter()
    assert (free.limited, free.checks, free.wall_left_s(5), free.fuel(7)) == (False, False, None, 7)
    assert Meter(Budget()).limited is False
    tight = Meter(Budget(wall_s=2.0, fuel=3))
    assert (tight.limited, tight.checks) == (True, True)
    assert [tight.wall_left_s(s) for s in (0.5, 2.0, 2.5)] == [1.5, 0.0, 0.0]
    assert [tight.fuel(limit) for limit in (2, 3, 4)] == [2, 3, 3]
    free.join(Meter().accounts("a", "$"))
    assert free.checks is False
    free.join(tight.accounts("a", "$"))
    assert (free.limited, free.checks) == (False, True)


def test_what_was_held_back_for_nothing_is_let_go_of() -> None:
    meter = Meter(Budget(wall_s=1.0, tokens=5))
    accounts, most = meter.accounts("a", "$"), Usage(5, 0.5)
    late = meter.reserve(accounts, 1, most, 1.0)
    assert late is not None
    assert late.message == "expected at most 1 seconds in a run, got 1"
    assert meter.reserve(accounts, 2, most, 0.9) is None
    assert meter.reserve(accounts, 1, most, 0.0) is not None
    meter.settle(accounts, most, Usage(2, 0.25))
    spent = meter.spent
    assert (spent.steps, spent.attempts, spent.tokens, spent.cost) == (2, 3, 2, 0.25)
    assert meter.hold(accounts, Usage(3)) is None
    assert meter.hold(accounts, Usage(1)) is not None


def test_a_meter_without_limits_counts_all_the_same() -> None:
    meter = Meter()
    accounts = meter.accounts("a", "$")
    assert meter.reserve(accounts, 1, Usage(9), 1e9) is None
    meter.settle(accounts, Usage(9), Usage(4, 0.5))
    meter.settle(accounts, Usage(9), Usage())
    spent = meter.spent
    assert (spent.steps, spent.attempts, spent.tokens, spent.cost) == (1, 1, 4, 0.5)


ROWS: list[tuple[dict[str, Any], tuple[int, int, int, float]]] = [
    ({"kind": "step.started", "attempt": 1}, (1, 1, 0, 0.0)),
    ({"kind": "step.started", "attempt": 2}, (0, 1, 0, 0.0)),
    ({"kind": "step.interrupted", "attempt": 1}, (-1, -1, 0, 0.0)),
    ({"kind": "step.interrupted", "attempt": 2}, (0, -1, 0, 0.0)),
    ({"kind": "step.finished", "tokens": 3, "cost": 0.5}, (0, 0, 3, 0.5)),
    ({"kind": "step.failed", "tokens": 3, "cost": 0.5}, (0, 0, 3, 0.5)),
    ({"kind": "step.called", "agent": "b", "tokens": 3, "cost": 0.5}, (0, 0, 3, 0.5)),
    (
        {
            "kind": "child.ended",
            "child": "c",
            "spent": {"steps": 1, "attempts": 2, "tokens": 3, "cost": 0.5},
        },
        (1, 2, 3, 0.5),
    ),
    ({"kind": "run.paused"}, (0, 0, 0, 0.0)),
]


@pytest.mark.parametrize(("row", "spent"), ROWS)
def test_what_was_used_is_a_reading_of_the_past(
    row: dict[str, Any], spent: tuple[int, int, int, float]
) -> None:
    meter = Meter(Budget(steps=9))
    meter.recall({"step": "a", "key": "$", **row})
    found = meter.spent
    assert (found.steps, found.attempts, found.tokens, found.cost) == spent
    above = Meter()
    meter.join(above.accounts("p", "$"))
    assert above.spent == found


def test_a_warning_that_was_given_is_not_given_after_a_restart() -> None:
    meter = Meter(Budget(tokens=10, fuel=10))
    meter.recall({"kind": "step.finished", "step": "a", "key": "$", "tokens": 9, "cost": 0.0})
    meter.recall({"kind": "budget.warning", "of": "tokens", "slice": "agents.a"})
    assert [row["of"] for row in meter.warnings(0, 2)] == ["tokens", "fuel"]
    assert meter.warnings(0, 2) == []
    again = Meter(Budget(tokens=10))
    again.recall({"kind": "step.finished", "step": "a", "key": "$", "tokens": 9, "cost": 0.0})
    again.recall({"kind": "budget.warning", "of": "tokens", "slice": None})
    assert again.warnings(0, 0) == []
    assert [row["of"] for row in Meter(Budget(fuel=10)).warnings(0, 3)] == []


# -- budgets as they are written -----------------------------------------------------------

ENDS: list[tuple[str, Any, Any, Any]] = [
    ("steps", 0, -1, None), ("attempts", 0, -1, None), ("tokens", 0, -1, None),
    ("cost", 0.0, -0.1, float("inf")), ("warn_at", 1.0, 1.1, 0), ("wall_s", 0.1, 0, float("inf")),
    ("fuel", 1, 0, None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "fine", "less", "more"), ENDS)
def test_a_limit_is_between_its_ends(name: str, fine: Any, less: Any, more: Any) -> None:
    assert getattr(Budget.of({name: fine}), name) == fine
    for wrong in (less, more):
        if wrong is not None:
            with pytest.raises(Refused, match=f"budget.{name}: expected limits among 'steps', "):
                Budget.of({name: wrong})


def test_what_is_no_limit_is_refused_at_its_place() -> None:
    for wrong, said in (
        ({"agents": {"a": {"fuel": 1}}}, "budget.agents.a.fuel: expected limits among 'steps', "),
        ({"stesp": 1}, "budget.stesp: expected limits among 'steps', "),
        ({"steps": "1"}, "budget.steps: expected limits among 'steps', "),
    ):
        with pytest.raises(Refused) as refused:
            Budget.of(wrong)
        assert refused.value.message.startswith(said)
        assert ("'wall_s'" in refused.value.message) is ("agents" not in wrong)
    with pytest.raises(ValueError, match="frozen"):
        Budget().steps = 3  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("wrong", "ends"),
    [
        ({"stesp": 1}, "got 'stesp' — did you mean 'steps'?"),
        ({"agents": {"a": {"cots": 1}}}, "got 'cots' — did you mean 'cost'?"),
        ({"colour": 1}, "got 'colour' — there is no such limit"),
    ],
)
def test_a_limit_that_there_is_not_is_named_with_its_near_miss(
    wrong: dict[str, Any], ends: str
) -> None:
    with pytest.raises(Refused) as refused:
        Budget.of(wrong)
    assert refused.value.message.endswith(ends)


def test_of_two_the_lower_of_each_limit_holds_and_slices_are_joined() -> None:
    one = Budget(steps=3, agents={"a": Slice(tokens=5), "b": Slice(tokens=1)})
    other = Budget(steps=2, wall_s=1.0, agents={"a": Slice(tokens=4, steps=1), "c": Slice(cost=1)})
    both = one.within(other)
    assert both.to_wire() == {
        "steps": 2, "wall_s": 1.0, "warn_at": 0.8,
        "agents": {
            "a": {"tokens": 4, "steps": 1, "warn_at": 0.8},
            "b": {"tokens": 1, "warn_at": 0.8},
            "c": {"cost": 1.0, "warn_at": 0.8},
        },
    }  # fmt: skip
    assert one.within(None) is one


def test_a_slice_is_of_what_there_is() -> None:
    budget = {"agents": {"a": {}, "writr": {}}, "nodes": {"n": {}, "zzzzz": {}}}
    assert list(unknown_slices(budget, ["a", "writer"], ["n"])) == [
        (
            "agents", "writr", "expected an agent of the blueprint, got 'writr'",
            "did you mean 'writer'?",
        ),
        ("nodes", "zzzzz", "expected the id of a node of the flow, got 'zzzzz'", None),
    ]  # fmt: skip
    assert list(unknown_slices({}, [], [])) == []
