"""What a worker did, as the machine is told: every way to answer or to fail, in one form.

The strict door stands here, and behind it the agent's contract: no value of a worker gets
past them unchecked, whatever kind of worker it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from anyio import to_thread

from flowir.door import admit
from flowir.effects import Failure, Success
from flowir.errors import FlowError, WorkerFailure, shorten
from flowir.limits import Limits
from flowir.values import measure
from swarm.blueprint.contract import Breach, Contract
from swarm.ports.worker import Call, CostlyFailure, KeptOutcome, Outcome, StepLink, Usage, Worker

__all__ = ("Answer", "ask", "kept", "timed_out", "worker_error")

# A message goes into the context and on one line; the rest of a long one is `data`'s.
_MESSAGE = 2000
# A schema takes some microseconds for every value within a value.
_IN_PLACE = 16 * 1024


class Answer(NamedTuple):
    """The outcome for the machine, and what came beside it."""

    outcome: Success | Failure
    parts: Mapping[str, Any] = {}
    usage: Usage = Usage()


async def ask(
    worker: Worker, call: Call, link: StepLink, limits: Limits, contract: Contract | None = None
) -> Answer:
    """Let *worker* do an attempt; its exceptions are failures, its cancellation is not."""
    breach = None if contract is None else await _held(contract.input, call.input)
    if breach is not None:
        return Answer(_broken(breach))
    try:
        outcome = await kept(await worker(call, link), call.agent, limits, contract)
    except CostlyFailure as failure:
        return Answer(_failed(failure, limits), usage=failure.usage)
    except WorkerFailure as failure:
        return Answer(_failed(failure, limits))
    except Exception as error:  # noqa: BLE001 - whatever a worker raises is a failed step
        return Answer(_failed(worker_error(error), limits))
    return Answer(Success(outcome.value), outcome.parts, outcome.usage)


async def kept(
    outcome: Any,
    agent: str,
    limits: Limits,
    contract: Contract | None,
    made: type[Outcome] = Outcome,
) -> Outcome:
    """Take what a worker returned through the door, and hold it against the contract.

    What was kept already is not looked at again.
    Raises: WorkerFailure (permanent), where it is no Outcome, or not of JSON;
    CostlyFailure, where it is not what the agent promised.
    """
    if type(outcome) is KeptOutcome:
        return outcome
    outcome = _admitted(outcome, agent, limits, made)
    breach = None if contract is None else await _held(contract.answer, outcome.value)
    if breach is not None:
        raise CostlyFailure(*_broken(breach), usage=outcome.usage)
    return outcome


async def _held(check: Callable[[Any], Breach | None], value: Any) -> Breach | None:
    """Hold a value against a contract; what takes long lets the others go on meanwhile."""
    if measure(value)[0] <= _IN_PLACE:
        return check(value)
    return await to_thread.run_sync(check, value, abandon_on_cancel=True)


def _broken(breach: Breach) -> Failure:
    return Failure(breach.code, _line(breach.message), breach.permanent, {"at": breach.at})


def timed_out(agent: str, timeout_s: float) -> Answer:
    """Answer for a worker that took too long."""
    return Answer(Failure("step.timeout", f"{agent!r}: no answer within {timeout_s:g} s"))


def worker_error(error: Exception) -> WorkerFailure:
    """Say as a failure what a worker raised that says less than one."""
    return WorkerFailure("worker.error", _line(f"{type(error).__name__}: {error}"))


def _admitted(outcome: Any, agent: str, limits: Limits, made: type[Outcome]) -> Outcome:
    if not isinstance(outcome, Outcome):
        said = f"TypeError: the worker of {agent!r} returned {shorten(outcome)}, not an Outcome"
        raise WorkerFailure("worker.error", said, True)
    try:
        value = admit(outcome.value, limits=limits, at="")
        parts: Mapping[str, Any] = outcome.parts
        if parts:
            parts = admit(dict(parts), limits=limits, at="parts")
    except FlowError as refused:
        # Code and sentence are those of the machine, which refuses such an answer too.
        place = f" at {refused.at}" if refused.at else ""
        said = f"the answer of {agent!r}{place}: {refused.message}"
        raise WorkerFailure(refused.code, said, True) from refused
    return made(value, parts, outcome.usage)


def _failed(failure: WorkerFailure, limits: Limits) -> Failure:
    try:
        data, more = admit(failure.data, limits=limits), ""
    except FlowError as refused:
        data, more = None, f" (its data was refused: {refused})"
    return Failure(failure.code, _line(failure.message + more), failure.permanent, data)


def _line(text: str) -> str:
    """Make a message fit for JSON, of bounded length."""
    clean = text[: _MESSAGE + 1].encode("utf-8", "replace").decode()
    return clean if len(clean) <= _MESSAGE else clean[: _MESSAGE - 1] + "…"
