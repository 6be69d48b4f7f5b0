"""Four times as much of anything is about four times the work, counted and not timed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import flowir
from flowir import Dispatch, Failure, Machine, Success
from tests.flowir.work import growth_of
from tests.flowir.written import (
    LANE,
    answer_nothing,
    assign,
    branch,
    call,
    fanout,
    guarded,
    lit,
    loop,
    path,
    seq,
    step,
)

JSON = Any
Act = Callable[[], object]
LINEAR = 5.0


def items(count: int) -> JSON:
    return call("list.range", lit(0), lit(count))


def lanes(count: int, body: JSON, join: str = "all", **fields: JSON) -> JSON:
    return fanout(items(count), body, join, limit=count, **fields)


def started(document: JSON, ctx: JSON = None) -> Act:
    """Prepare to begin, with fresh machines of one flow."""
    flow = flowir.load(document)
    return lambda: Machine(flow, ctx or {}).start()


def answered(document: JSON, answer: Callable[[int], Any], newest: bool = False) -> Act:
    flow = flowir.load(document)

    def act() -> None:
        machine = Machine(flow, {})
        waiting = list(machine.start())
        for n in range(len(waiting)):
            asked = waiting.pop() if newest else waiting[n]
            assert isinstance(asked, Dispatch)
            if asked.key in machine.pending:
                machine.resolve(asked.key, answer(n))
        assert machine.done

    return act


def last_lane(count: int, then: JSON) -> JSON:
    is_last = {"op": "eq", "lhs": path("$.x"), "rhs": lit(count - 1)}
    return branch(is_last, then, **{"else": LANE})


FAILS = assign("$.y", path("$.nope"))
GROWN = call("list.concat", path("$.l"), {"op": "array", "items": [path("$.i")]})


MACHINES: dict[str, Callable[[int], Act]] = {
    "lanes without steps": lambda n: started(lanes(n, seq())),
    "lanes that wait": lambda n: started(lanes(n, LANE)),
    "the last one fails": lambda n: started(lanes(n, last_lane(n, FAILS))),
    "the last one wins": lambda n: started(lanes(n, last_lane(n, assign("$.y", lit(1))), "race")),
    "nested and decided at once": lambda n: started(
        lanes(n, lanes(2, last_lane(2, FAILS), "any"), "all_settled")
    ),
    "all, in order": lambda n: answered(lanes(n, LANE), Success),
    "all, reversed": lambda n: answered(lanes(n, LANE), Success, newest=True),
    "race": lambda n: answered(lanes(n, LANE, "race"), Success),
    "any fails": lambda n: answered(lanes(n, LANE, "any"), lambda _: Failure("x", "no")),
    "quorum": lambda n: answered(lanes(n, LANE, "quorum", quorum=n // 2), Success),
    "no quorum": lambda n: answered(
        lanes(n, LANE, "quorum", quorum=n), lambda _: Failure("x", "no")
    ),
    "all_settled": lambda n: answered(
        lanes(n, LANE, "all_settled"), lambda k: Failure("x", "no") if k % 2 else Success(k)
    ),
    "loop": lambda n: started(loop(assign("$.o.n", path("$.i")), n)),
    "a list that grows": lambda n: started(loop(assign("$.l", GROWN), n), {"l": []}),
    "a long seq": lambda n: started(seq(*[assign("$.a", lit(1))] * n)),
}


@pytest.mark.parametrize("name", MACHINES)
def test_a_machine_works_in_proportion(name: str) -> None:
    assert growth_of(MACHINES[name]) < LINEAR


def test_a_flow_is_read_and_compiled_in_proportion() -> None:
    def prepare(count: int) -> Act:
        nodes = [assign(f"$.a{n}", path(f"$.b{n}")) for n in range(count)]
        document = seq(*nodes, guarded(fanout(lit([1]), loop(seq(*nodes), 2))))
        return lambda: Machine(flowir.load(document), {})

    assert growth_of(prepare) < LINEAR


def test_a_cancel_works_in_proportion() -> None:
    def prepare(count: int) -> Act:
        flow = flowir.load(lanes(count, guarded(LANE, **{"finally": step("f")})))

        def act() -> None:
            machine = Machine(flow, {})
            machine.start()
            for effect in machine.cancel("stop")[count:]:
                machine.resolve(effect.key, Success(None))
            assert machine.done

        return act

    assert growth_of(prepare) < LINEAR


def test_the_blocking_driver_works_in_proportion_to_what_is_cancelled() -> None:
    def prepare(count: int) -> Act:
        race = {**fanout(lit([0, 1]), step("w"), "race"), "collect": lit(0), "bind": "$.z"}
        flow = flowir.load(lanes(count, race, collect=lit(0)))
        return lambda: flowir.run(flow, {}, answer_nothing)

    assert growth_of(prepare) < LINEAR


def test_a_snapshot_works_in_proportion_to_lanes_and_their_context() -> None:
    def prepare(count: int) -> Act:
        machine = Machine(
            flowir.load(lanes(count, LANE)), {"l": list(range(count)), "o": {"a": []}}
        )
        machine.start()
        return lambda: Machine.restore(machine.program.flow, machine.snapshot())

    assert growth_of(prepare) < LINEAR


def test_a_value_that_shares_its_parts_is_read_in_proportion_to_them() -> None:
    def prepare(count: int) -> Act:
        value: JSON = [1]
        for _ in range(count):
            value = [value, value]

        def act() -> None:
            with pytest.raises(flowir.FlowError):
                flowir.Machine(flowir.load(seq()), value)

        return act

    assert growth_of(prepare) < LINEAR


def test_ten_thousand_lanes_end_early_however_they_are_joined() -> None:
    count = 10_000
    for join, more in (("all", {}), ("race", {}), ("any", {}), ("quorum", {"quorum": 3})):
        flow = flowir.load(lanes(count, LANE, join, **more))
        machine = Machine(flow, {})
        effects = machine.start()
        assert len(effects) == count
        cancels: list[Any] = []
        for n in range(count - 1, count - 4, -1):
            outcome = Failure("x", "no") if join == "all" else Success(n)
            if not machine.done:
                cancels += machine.resolve(f"$.body@{n}", outcome)
        assert machine.done
        answered = count - len(cancels)
        assert answered == (3 if join == "quorum" else 1)
        assert [c.key for c in cancels] == [f"$.body@{n}" for n in range(len(cancels))]
