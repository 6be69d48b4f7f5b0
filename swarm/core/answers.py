"""What a worker did, as the machine is told: every way to answer or to fail, in one form.

The strict door stands here, and behind it the agent's contract: no value of a worker gets
past them unchecked, whatever kind of worker it is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType, TracebackType
from typing import Any, Final, NamedTuple, cast

from anyio import get_cancelled_exc_class, to_thread

from flowir.door import admit, admit_measured
from flowir.effects import Admitted, Failure, Success, tuple_of
from flowir.errors import FlowError, WorkerFailure, shorten
from flowir.limits import Limits
from flowir.values import measure
from swarm.blueprint.contract import Breach, Contract
from swarm.core.outputs import keep
from swarm.core.tasks import is_cancelled
from swarm.ports.worker import Call, CostlyFailure, KeptOutcome, Outcome, StepLink, Usage, Worker

__all__ = ("Answer", "admitted", "ask", "its_own", "kept", "timed_out", "worker_error")

_LOGGER = logging.getLogger(__name__)

# A message goes into the context and on one line; the rest of a long one is `data`'s.
_MESSAGE = 2000
_BYTES: Final = frozenset({bytes, bytearray, memoryview})
_NO_PARTS: Final[Mapping[str, Any]] = MappingProxyType[str, Any]({})
# A schema takes some microseconds for every value within a value.
_IN_PLACE = 16 * 1024
# The codes of failures that stand for an exception of somebody's code, and whose frames
# say nothing to its author.
_CODES = ("worker.error", "layer.failed")
_OURS = ("swarm.", "flowir.", "anyio.", "concurrent.", "asyncio.", "trio.")


class Answer(NamedTuple):
    """The outcome for the machine, and what came beside it.

    Shape: `parts` are references; `bodies` what the references stand for, to be put into
    the store with the rows that mention them.
    """

    outcome: Success | Admitted | Failure
    parts: Mapping[str, Any] = {}
    usage: Usage = Usage()
    bodies: tuple[bytes, ...] = ()


async def ask(
    worker: Worker,
    call: Call,
    link: StepLink,
    limits: Limits,
    contract: Contract | None = None,
    *,
    apart: bool = False,
) -> Answer:
    """Let *worker* do an attempt; its exceptions are failures, its cancellation is not.

    *apart*: its value is data, which is kept apart and answered as a reference.
    """
    if contract is not None:
        breach = await _held(contract.input, call.input)
        if breach is not None:
            return Answer(_broken(breach))
    try:
        outcome: Any = await worker(call, link)
        # What was kept already is not looked at again; without a contract nobody has to wait.
        if contract is None and type(outcome) is Outcome and not outcome.parts and not apart:
            value, _, usage = outcome
            if type(value) not in _BYTES:
                taken = _value_of(value, call.agent, limits)
                return tuple_of(Answer, (taken, _NO_PARTS, usage, ()))
        if type(outcome) is not KeptOutcome:
            if contract is None:
                outcome = admitted(outcome, call.agent, limits)
            else:
                outcome = await kept(outcome, call.agent, limits, contract)
        value, parts, usage = outcome
        if not (apart or parts or type(value) is bytes):
            taken = tuple_of(Admitted, (value, outcome.size, outcome.depth))
            return tuple_of(Answer, (taken, _NO_PARTS, usage, ()))
        return _answer(outcome, call.agent, limits, apart=apart)
    except CostlyFailure as failure:
        return Answer(_failed(failure, limits), usage=failure.usage)
    except WorkerFailure as failure:
        if failure.code in _CODES and failure.__cause__ is not None:
            _tell(call, failure.__cause__)
        return Answer(_failed(failure, limits))
    except BaseException as error:  # noqa: BLE001 - `its_own` raises what is not the worker's
        error = its_own(error)
        _tell(call, error)
        return Answer(_failed(worker_error(error), limits))


async def kept(
    outcome: Any,
    agent: str,
    limits: Limits,
    contract: Contract | None,
) -> KeptOutcome:
    """Take what a worker returned through the door, and hold it against the contract.

    What was kept already is not looked at again.
    Raises: WorkerFailure (permanent), where it is no Outcome, or not of JSON;
    CostlyFailure, where it is not what the agent promised.
    """
    outcome = admitted(outcome, agent, limits)
    breach = None if contract is None else await _held(contract.answer, outcome.value)
    if breach is not None:
        raise CostlyFailure(*_broken(breach), usage=outcome.usage)
    return outcome


async def _held(check: Callable[[Any], Breach | None], value: Any) -> Breach | None:
    """Hold a value against a contract; what takes long lets the others go on meanwhile."""
    if isinstance(value, bytes) or measure(value)[0] <= _IN_PLACE:
        return check(value)
    return await to_thread.run_sync(check, value, abandon_on_cancel=True)


def _broken(breach: Breach) -> Failure:
    return Failure(breach.code, _line(breach.message), breach.permanent, {"at": breach.at})


def _answer(outcome: KeptOutcome, agent: str, limits: Limits, *, apart: bool) -> Answer:
    """Put references where data is declared: for the parts, and for the value if it is.

    Raises: WorkerFailure (permanent), for bytes that nobody declared.
    """
    value: Any = outcome.value
    try:
        parts = {name: keep(part, limits) for name, part in outcome.parts.items()}
        bodies = [part.body for part in parts.values()]
        if apart:
            data = keep(value, limits)
            value = data.reference.to_wire()
            bodies.append(data.body)
        elif isinstance(value, bytes):
            value = admit(value, limits=limits, at="")
    except FlowError as refused:
        raise _not_admitted(refused, agent) from refused
    references = {name: part.reference.to_wire() for name, part in parts.items()}
    return Answer(Success(value), references, outcome.usage, tuple(bodies))


def _tell(call: Call, error: BaseException) -> None:
    """Log what a worker raised with its traceback: the failure itself has only a line."""
    frames = error.__traceback__
    while frames is not None and _is_ours(frames):
        frames = frames.tb_next
    _LOGGER.warning(
        "run %s, step %s, attempt %d: the worker of %r raised",
        call.run_id,
        call.key,
        call.attempt,
        call.agent,
        exc_info=(type(error), error, frames or error.__traceback__),
    )


def _is_ours(frames: TracebackType) -> bool:
    return str(frames.tb_frame.f_globals.get("__name__")).startswith(_OURS)


def its_own(error: BaseException) -> BaseException:
    """Return what code of somebody's raised, for its step to fail with.

    What would end a program, as argparse does, does not end the host and all its runs. A
    cancellation that nobody asked for is of the code's own making, and a failure like any.
    Raises: what is not its own: an interrupt, and the cancellation that was asked for. Where
    that comes among others they are told to nobody: an answer is not wanted any more.
    """
    if isinstance(error, Exception):
        return error
    found = _first(error, (KeyboardInterrupt, GeneratorExit))
    if found is None and is_cancelled():
        found = _first(error, (get_cancelled_exc_class(),))
    if found is not None:
        raise found
    return error


def _first(error: BaseException, kinds: tuple[type[BaseException], ...]) -> BaseException | None:
    """Find the first of these in what was raised, which may be a group of groups."""
    if isinstance(error, kinds):
        return error
    if isinstance(error, BaseExceptionGroup):
        several = cast("BaseExceptionGroup[BaseException]", error)
        return next(filter(None, (_first(one, kinds) for one in several.exceptions)), None)
    return None


def timed_out(agent: str, timeout_s: float) -> Answer:
    """Answer for a worker that took too long."""
    return Answer(Failure("step.timeout", f"{agent!r}: no answer within {timeout_s:g} s"))


def worker_error(error: BaseException) -> WorkerFailure:
    """Say as a failure what a worker raised that says less than one."""
    return WorkerFailure("worker.error", _line(f"{type(error).__name__}: {error}"))


def _value_of(value: Any, agent: str, limits: Limits) -> Admitted:
    """Take a bare value through the door."""
    try:
        return tuple_of(Admitted, admit_measured(value, limits=limits, at=""))
    except FlowError as refused:
        raise _not_admitted(refused, agent) from refused


def admitted(outcome: Any, agent: str, limits: Limits) -> KeptOutcome:
    """Take what a worker returned through the door, unless it was kept already.

    Raises: WorkerFailure (permanent), where it is no Outcome, or not of JSON.
    """
    kind = type(outcome)
    if kind is KeptOutcome:
        return outcome
    if kind is Outcome:
        value, parts, usage = outcome
        if not parts and type(value) not in _BYTES:
            # Nearly every answer: `_measured` and the rest, for a value alone.
            try:
                value, size, depth = admit_measured(value, limits=limits, at="")
            except FlowError as refused:
                raise _not_admitted(refused, agent) from refused
            made = tuple_of(KeptOutcome, (value, _NO_PARTS, usage))
            made.size, made.depth = size, depth
            return made
    if not isinstance(outcome, Outcome):
        said = f"TypeError: the worker of {agent!r} returned {shorten(outcome)}, not an Outcome"
        raise WorkerFailure("worker.error", said, True)
    try:
        value, size, depth = _measured(outcome.value, limits, "")
        parts: Mapping[str, Any] = outcome.parts
        if parts:
            names: dict[str, None] = admit(dict.fromkeys(parts), limits=limits, at="parts")
            parts = {n: _measured(parts[n], limits, f"parts.{n}")[0] for n in names}
    except FlowError as refused:
        raise _not_admitted(refused, agent) from refused
    made = KeptOutcome(value, parts, outcome.usage)
    made.size, made.depth = size, depth
    return made


def _measured(value: Any, limits: Limits, at: str) -> tuple[Any, int, int]:
    """Take a value through the door, which bytes need not: whether they may be is seen later."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value), 0, 0
    return admit_measured(value, limits=limits, at=at)


def _not_admitted(refused: FlowError, agent: str) -> WorkerFailure:
    # Code and sentence are those of the machine, which refuses such an answer too.
    place = f" at {refused.at}" if refused.at else ""
    return WorkerFailure(refused.code, f"the answer of {agent!r}{place}: {refused.message}", True)


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
