"""Runs within a run: an attempt starts another blueprint, and its end is the attempt's.

A child's id is made of its parent's id, the step's key and the attempt, so that an attempt
that is made again after a restart finds the child that it had. What children use counts
for their parents too. Who carries them out is the host's affair.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any, Protocol

from flowir.errors import WorkerFailure
from flowir.records import dataclass
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.core.accounts import Accounts, Spent
from swarm.core.attempt import Attempt
from swarm.core.log import RunLog
from swarm.core.meter import Meter
from swarm.core.run import ENDED, RunOutcome, RunStatus
from swarm.core.waits import Waits
from swarm.errors import SwarmError
from swarm.ids import RunId

__all__ = ("Child", "ChildHost", "Children", "child_id")

# Ends of a child that no other attempt could better.
_FINAL = frozenset({"budget.exhausted", "journal.too_long"})


@dataclass(frozen=True, slots=True)
class Child:
    """A child to be carried: who it is, whose, and on whose account.

    `parent` is run, key and attempt; `accounts` is what its parent's attempt counts for,
    of which `counted` is what is on them already; `waits` is to be told when the child
    begins and ceases to wait for people, and `ended` how it ended, or rests; `rests` tells
    whether the parent only rests, when the parent's task is cancelled.
    """

    id: RunId
    parent: Mapping[str, Any]
    blueprint: CompiledBlueprint
    input: Any
    accounts: Accounts
    counted: Spent
    waits: Callable[[bool], Awaitable[None]]
    ended: Callable[[RunStatus, Spent], None]
    rests: Callable[[], bool]


class ChildHost(Protocol):
    """Whoever carries children."""

    async def carry(self, child: Child) -> RunOutcome:
        """Start a child, or go on with it; return how it ended, or rests.

        Cancelled, it takes the child along: that is cancelled too, or rests too.
        Raises: Refused (run.input).
        """
        ...


class Parent(Protocol):
    """What tells whether the parent rests, and what it has used."""

    parked: bool
    meter: Meter


class Children:
    """The children of one run."""

    def __init__(
        self,
        log: RunLog,
        waits: Waits,
        host: ChildHost | None,
        parent: Parent,
    ) -> None:
        self._log = log
        self._waits = waits
        self._host = host
        self._parent = parent

    async def run(self, attempt: Attempt, blueprint: CompiledBlueprint, input: Any) -> Any:
        """Run a blueprint to its end for an attempt; return its final context.

        Raises: WorkerFailure, with the code of the child's error.
        """
        if self._host is None:
            said = f"expected a host that carries runs, for {blueprint.id!r}, got none"
            raise WorkerFailure("flow.host", said, True)
        child = self._child(attempt, blueprint, input)
        started = {"kind": "child.started", **_about(attempt, child.id)}
        self._log.append([{**started, "blueprint": blueprint.id, "digest": blueprint.digest}])
        await self._log.commit()
        try:
            return _value(await self._host.carry(child))
        except SwarmError as error:
            raise WorkerFailure(error.code, f"run {child.id}: {error.message}", True) from error

    def _child(self, attempt: Attempt, blueprint: CompiledBlueprint, input: Any) -> Child:
        dispatch, log, parent = attempt.dispatch, self._log, self._parent
        at = (dispatch.key, dispatch.attempt)
        number, attempt.children = attempt.children, attempt.children + 1
        child = child_id(log.run_id, *at, number)

        async def waits(begins: bool) -> None:
            self._waits.elsewhere(attempt, begins)
            await log.commit()

        def ended(status: RunStatus, spent: Spent) -> None:
            # Told where its attempt was stopped too: a resume counts what it has used. The
            # end of the parent is the last that is told of it.
            if not parent.parked and log.ahead not in ENDED:
                row = {"kind": "child.ended", **_about(attempt, child), "status": status}
                log.append([{**row, "spent": asdict(spent)}])

        return Child(
            child,
            {"run": log.run_id, "key": at[0], "attempt": at[1]},
            blueprint,
            input,
            attempt.accounts,
            parent.meter.counted(child),
            waits,
            ended,
            lambda: parent.parked,
        )


def _about(attempt: Attempt, child: RunId) -> dict[str, Any]:
    key, step = attempt.dispatch.key, attempt.dispatch.ref
    return {"key": key, "attempt": attempt.dispatch.attempt, "step": step, "child": child}


def child_id(run_id: str, key: str, attempt: int, number: int = 0) -> RunId:
    """Name the child that an attempt runs; *number* counts those of one attempt from zero."""
    text = f"{run_id}/{key}/{attempt}/{number}"
    return RunId(f"c_{hashlib.sha256(text.encode()).hexdigest()[:32]}")


def _value(outcome: RunOutcome) -> Any:
    error = outcome.error
    if error is None:
        return outcome.ctx
    said = f"run {outcome.run_id} {outcome.status} at {error['at'] or '$'}: {error['message']}"
    code = error.get("cause_code") or error["code"]
    # What rests has no end that another attempt could better.
    permanent = outcome.status not in ENDED or code in _FINAL
    raise WorkerFailure(code, said, permanent, {"run": outcome.run_id, "error": dict(error)})
