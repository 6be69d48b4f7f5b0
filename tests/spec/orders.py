"""A case through the machine, in every order of answers while these are few.

`play` is one run: it answers what waits, in the order that `choose` picks.
`every_order` runs again and again, each time along another branch, depth first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import flowir
from tests.spec.cases import Case
from tests.spec.script import Workers
from tests.spec.verdict import Outcome, observe

__all__ = ("ORDERS", "Choose", "Run", "every_order", "newest", "oldest", "play")

JSON = Any
Effect = flowir.Dispatch | flowir.Cancel
Choose = Callable[[int], int]
ORDERS = 200


def oldest(waiting: int) -> int:
    """Answer what has waited longest."""
    return 0


def newest(waiting: int) -> int:
    """Answer what was asked last."""
    return waiting - 1


@dataclass
class Run:
    """What one run showed: its outcome, and all it asked for on the way."""

    outcome: Outcome = field(default_factory=Outcome)
    effects: list[Effect] = field(default_factory=list[Effect])
    in_flight: int = 0
    fuel_left: int | None = None

    def told(self) -> str:
        """Tell the run as text that two runs can be compared by."""
        return json.dumps([self.outcome.told(), [repr(effect) for effect in self.effects]])


def play(case: Case, choose: Choose, *, restoring: bool = False) -> Run:
    """Run *case* to its end; *restoring*: go on with a restored machine after each answer."""
    run = Run()
    run.outcome = observe(lambda: _play(case, choose, restoring, run))
    return run


def _play(case: Case, choose: Choose, restoring: bool, run: Run) -> JSON:
    flow = flowir.load(case.flow)
    machine = new_machine(flow, case)
    workers = Workers(case)
    waiting: dict[str, tuple[int, flowir.Success | flowir.Failure]] = {}
    _take(machine.start(), waiting, workers, run)
    while not machine.done:
        assert waiting, "the machine rests, and waits for nothing"
        key = list(waiting)[choose(len(waiting))]
        attempt, outcome = waiting.pop(key)
        if restoring:
            machine = restored(machine, flow, case)
        _take(machine.resolve(key, outcome, attempt=attempt), waiting, workers, run)
    assert not waiting, f"the machine has ended, and still waits for {list(waiting)}"
    run.fuel_left = machine.fuel_left
    if restoring:
        machine = restored(machine, flow, case)
    return machine.result


def new_machine(flow: flowir.Flow, case: Case) -> flowir.Machine:
    """Build the machine that *case* begins with."""
    options = {"fuel": case.raw["fuel"]} if "fuel" in case.raw else {}
    return flowir.Machine(flow, case.ctx, externs=case.externs, **options)


def restored(machine: flowir.Machine, flow: flowir.Flow, case: Case) -> flowir.Machine:
    """Write the machine down as JSON text and read it back."""
    snapshot = json.loads(json.dumps(machine.snapshot(), allow_nan=False))
    return flowir.Machine.restore(flow, snapshot, externs=case.externs)


def _take(
    effects: tuple[Effect, ...],
    waiting: dict[str, tuple[int, flowir.Success | flowir.Failure]],
    workers: Workers,
    run: Run,
) -> None:
    seen_dispatch = False
    for effect in effects:
        run.effects.append(effect)
        if isinstance(effect, flowir.Cancel):
            assert not seen_dispatch, "cancels come first"
            assert effect.key in waiting, f"{effect} of what does not wait"
            del waiting[effect.key]
        else:
            seen_dispatch = True
            assert effect.key not in waiting, f"{effect.key} is asked while it waits"
            waiting[effect.key] = (effect.attempt, workers.outcome(effect.ref, effect.input))
    run.in_flight = max(run.in_flight, len(waiting))


def every_order(case: Case, limit: int) -> Iterator[Run]:
    """Yield a run for each order of answers, at most *limit* of them, depth first."""
    path: list[int] = []
    for _ in range(limit):
        widths: list[int] = []

        def choose(waiting: int, widths: list[int] = widths) -> int:
            widths.append(waiting)
            if len(path) < len(widths):
                path.append(0)
            return path[len(widths) - 1]

        yield play(case, choose)
        del path[len(widths) :]
        while path and path[-1] + 1 >= widths[len(path) - 1]:
            path.pop()
        if not path:
            return
        path[-1] += 1
