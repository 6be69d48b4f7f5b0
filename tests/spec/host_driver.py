"""A case through the host's driver: anyio, a journal in memory, a clock that jumps.

Workers answer at once, or after a few turns of the event loop, so that lanes overtake each
other. The journal's own account of the run is not looked at here.
"""

from __future__ import annotations

from random import Random
from typing import Any

from anyio.lowlevel import checkpoint

import flowir
from swarm.core.driver import Driver
from swarm.core.log import RunLog
from swarm.ids import RunId
from swarm.ports.worker import Call, StepLink
from swarm.ports.worker import Outcome as WorkerOutcome
from swarm.testing import FakeClock, MemoryJournal, scripted_blueprint
from tests.spec.cases import Case
from tests.spec.script import Workers
from tests.spec.verdict import Outcome

__all__ = ("host_expectation", "run_with_host_driver")

JSON = Any
# The host tells errors as JSON, which holds neither of these.
_UNTOLD = frozenset({"permanent", "chained"})


class _Worker:
    """One agent of the case; *random* None: answers without ever waiting."""

    def __init__(self, ref: str, workers: Workers, random: Random | None) -> None:
        self._ref = ref
        self._workers = workers
        self._random = random

    async def __call__(self, call: Call, link: StepLink) -> WorkerOutcome:
        if self._random is not None:
            for _ in range(self._random.randrange(5)):
                await checkpoint()
        return WorkerOutcome(self._workers.answer(self._ref, call.input))


async def run_with_host_driver(case: Case, *, seed: int | None) -> Outcome:
    """Run *case* to its end; *seed* says who is slow, None that nobody is."""
    workers = Workers(case)
    random = None if seed is None else Random(seed)  # noqa: S311 - not for secrets
    agents = {ref: _Worker(ref, workers, random) for ref in case.raw.get("answers", {})}
    blueprint = scripted_blueprint(flowir.dump(flowir.load(case.flow)), agents)
    clock = FakeClock(jumps=True)
    log = RunLog(RunId("r_1"), MemoryJournal(), clock)
    try:
        driver = Driver(blueprint, case.ctx, log=log, clock=clock)
    except flowir.FlowError as error:
        return Outcome(error=error)
    await driver.begin()
    await driver.drive()
    assert driver.outcome is not None
    if driver.outcome.error is not None:
        return Outcome(error=flowir.FlowError(**driver.outcome.error))
    return Outcome(value=driver.outcome.ctx)


def host_expectation(expect: dict[str, JSON]) -> dict[str, JSON]:
    """Leave out of *expect* what the host does not tell."""
    if "fails" not in expect:
        return expect
    told = {fact: wanted for fact, wanted in expect["fails"].items() if fact not in _UNTOLD}
    return {**expect, "fails": told}
