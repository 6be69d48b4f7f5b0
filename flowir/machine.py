"""The evaluator: a machine that is asked and answered (flow-ir.md §5).

    start()                     → effects
    resolve(key, outcome)       → effects
    cancel(reason)              → effects

It performs nothing: no clock, no chance, no await. Whoever drives it carries the effects
out and gives the answers back; the same answers in the same order give the same effects,
always. Between two calls every live lane rests on an answer or on a fan of its own, and
nothing is half done: the state is data (`flowir.snapshot`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from flowir.door import admit_measured
from flowir.effects import Admitted, Cancel, Dispatch, Effect, Failure, Outcome, Success
from flowir.errors import FlowError, ProtocolError, shorten
from flowir.externs import registry
from flowir.joins import Fan
from flowir.lane import Lane, Op
from flowir.nodes import Flow
from flowir.program import program_of
from flowir.snapshot import freeze, thaw
from flowir.wire import load

__all__ = ("Machine",)


class Machine:
    """One run of a flow.

    >>> from flowir import load
    >>> text = {"op": "path", "at": "$.text"}
    >>> step = {"kind": "step", "ref": "shout", "in": text, "out": "$.text"}
    >>> machine = Machine(load(step), {"text": "hi"})
    >>> machine.start()[0].input
    'hi'
    >>> machine.resolve("$", Success("HI!"))
    ()
    >>> machine.result
    {'text': 'HI!'}

    A document is loaded first. A context that came through the strict door already may be
    handed over as `Admitted`: it is taken over as it is. `externs` are added to the standard
    ones; `fuel` replaces the limit of the flow.
    """

    def __init__(
        self,
        flow: Flow | Mapping[str, Any] | str | bytes,
        ctx: Any,
        *,
        externs: Mapping[str, Callable[..., Any]] | None = None,
        fuel: int | None = None,
    ) -> None:
        if not isinstance(flow, Flow):
            flow = load(flow)
        self.limits = flow.limits
        self.program = program_of(flow)
        self.externs = registry(externs)
        self.fuel = self.limits.fuel if fuel is None else fuel
        first, size, depth = (
            ctx if type(ctx) is Admitted else admit_measured(ctx, limits=self.limits)
        )
        kinds = self.program.registers["$"]
        self.main = Lane(self, self.program.entry, first, [None] * len(kinds), "$")
        self.main.size, self.main.depth = size, depth
        self.pending: dict[str, Lane] = {}
        # Keys whose answer, should it come, is late: cancelled ones, and the last attempt
        # of those that were asked for more than once.
        self.late: dict[str, int] = {}
        self.started = False
        self.ended = False
        self.cancelling = False
        self._result: Any = None
        self._error: FlowError | None = None
        self._ready: deque[Lane | Fan] = deque()
        self._dispatches: dict[str, Dispatch] = {}
        self._cancels: list[Cancel] = []

    # -- asked and answered ------------------------------------------------------------

    def start(self) -> tuple[Effect, ...]:
        """Begin, and return what is to be done first."""
        if self.started:
            raise ProtocolError("start: expected a machine that has not started")
        self.started = True
        self._run(self.main)
        return self._rest()

    def resolve(self, key: str, outcome: Outcome, attempt: int | None = None) -> tuple[Effect, ...]:
        """Take the answer of a step, and return what is to be done next.

        Shape: cancels first, then dispatches in item order; `()` for a late answer.
        Raises: ProtocolError, for what was never asked or is already answered.
        """
        if type(outcome) is not Admitted:
            _check_outcome(outcome)
        lane = self.pending.get(key)
        if lane is None or (attempt is not None and attempt != lane.attempt):
            self._check_late(key, lane, attempt)
            return ()
        del self.pending[key]
        if lane.attempt > 1:
            self.late[key] = lane.attempt
        if lane.parked:
            lane.unpark()
        lane.inbox = outcome
        self._run(lane)
        return self._rest()

    def _check_late(self, key: str, lane: Lane | None, attempt: int | None) -> None:
        if lane is not None and attempt is not None and 1 <= attempt < lane.attempt:
            return
        known = self.late.get(key)
        if lane is None and known is not None and (known == 0 or (attempt or known) < known):
            return
        what = f"{shorten(key)} attempt {attempt}" if attempt is not None else shorten(key)
        raise ProtocolError(f"resolve: expected a step that was asked for, got {what}")

    def cancel(self, reason: str) -> tuple[Effect, ...]:
        """End the run: what is in flight is cancelled, `finally` bodies run.

        A `finally` that is already running is not interrupted. The run has ended when all
        of them are through; `result` then raises `run.cancelled`.
        """
        if self.ended or self.cancelling:
            return ()
        self.cancelling = True
        if not self.started:
            self.started = True
            self.main.op = None
            self.fail(_cancelled(reason))
            return ()
        self._ready.extend(self._wake_cancelled(self.main, reason))
        return self._rest()

    def close(self) -> None:
        """Let go of what refers to each other: nothing is asked of this machine any more.

        What it came to can be read still. Without it the interpreter's collector has to find
        the machine, its lanes and all that they hold.
        """
        del self.main.m

    @property
    def done(self) -> bool:
        """Whether the run has ended."""
        return self.ended

    @property
    def result(self) -> Any:
        """The final context.

        Raises: the FlowError that ended the run; ProtocolError before the end.
        """
        if not self.ended:
            raise ProtocolError("result: expected a machine that is done")
        if self._error is not None:
            raise self._error.with_traceback(None)
        return self._result

    @property
    def error(self) -> FlowError | None:
        """The error that ended the run, if one did."""
        return self._error

    @property
    def fuel_left(self) -> int:
        """How much fuel the run still has."""
        return max(self.fuel, 0)

    def snapshot(self) -> dict[str, Any]:
        """Return the whole state as JSON; parts that values share stand there once."""
        return freeze(self)

    @classmethod
    def restore(
        cls,
        flow: Flow | Mapping[str, Any] | str | bytes,
        snapshot: Mapping[str, Any],
        *,
        externs: Mapping[str, Callable[..., Any]] | None = None,
    ) -> Machine:
        """Continue from a snapshot of the same flow.

        Raises: ProtocolError, for a snapshot of another flow or version.
        """
        machine = cls(flow, None, externs=externs)
        thaw(machine, snapshot)
        return machine

    # -- what instructions use ---------------------------------------------------------

    def ask(self, lane: Lane, dispatch: Dispatch) -> None:
        """Note that *lane* waits for a step."""
        lane.key = dispatch.key
        self.pending[dispatch.key] = lane
        self._dispatches[dispatch.key] = dispatch
        if lane.log:
            lane.park()

    def spread(self, fan: Fan) -> None:
        """Start what lanes of *fan* may start, as soon as this lane rests."""
        if fan.open and not fan.queued:
            fan.queued = True
            self._ready.appendleft(fan)

    def settled(self, lane: Lane) -> None:
        """Note that a lane of a fan has ended, after the fan was told what it came to."""
        lane.op = None
        fan = lane.fan
        assert fan is not None  # noqa: S101 - the main lane finishes or fails instead
        del fan.live[lane.index]
        if fan.winding_up:
            return
        if not fan.decided:
            self.spread(fan)
            return
        woken = self._wind_up(fan, "the join is decided")
        if not fan.live:
            woken.append(fan.lane)
        self._ready.extendleft(reversed(woken))

    def finish(self, ctx: Any) -> None:
        """End with a result."""
        self.ended = True
        self._result = ctx

    def fail(self, error: FlowError) -> None:
        """End with an error."""
        self.ended = True
        self._error = error

    # -- running -----------------------------------------------------------------------

    def _rest(self) -> tuple[Effect, ...]:
        """Run all that is ready, and hand out the effects."""
        ready = self._ready
        while ready:
            item = ready.popleft()
            if isinstance(item, Lane):
                self._run(item)
            else:
                self._start_lane(item)
        dispatches = self._dispatches
        effects: tuple[Effect, ...] = tuple(dispatches.values())
        if self._cancels:
            effects = (*self._cancels, *effects)
            self._cancels.clear()
        dispatches.clear()
        return effects

    def _run(self, lane: Lane) -> None:
        op = lane.op
        while op is not None:
            try:
                while op is not None:
                    op = op(lane)
            except FlowError as error:
                assert op is not None  # noqa: S101 - the instruction that raised
                op = self._unwind(lane, op, error)

    def _unwind(self, lane: Lane, op: Op, error: FlowError) -> Op | None:
        """Say where *lane* goes on after *error*; None when it has failed."""
        meta = self.program.meta[op]
        # frames hold contexts: an error that is kept must not keep them
        error.__traceback__ = error.__context__ = None
        if not error.at:
            error.at = meta.place
        if meta.handler is not None:
            lane.inbox = error
            return meta.handler
        if lane.fan is None:
            lane.op = None
            self.fail(error)
        else:
            lane.fan.fail(lane.index, error)
            self.settled(lane)
        return None

    def _start_lane(self, fan: Fan) -> None:
        """Start the next lane of *fan*, if one may start; come back for the one after."""
        fan.queued = False
        if not fan.open:
            return
        assert fan.start is not None  # noqa: S101 - set where the fan was made
        index = fan.next
        regs: list[Any] = [None] * len(self.program.registers[fan.body])
        lane = fan.lane.fork(fan, fan.start, regs, f"{fan.prefix}{index}")
        fan.next = index + 1
        fan.live[index] = lane
        self.spread(fan)
        self._run(lane)

    # -- cancelling --------------------------------------------------------------------

    def _wind_up(self, fan: Fan, reason: str) -> list[Lane]:
        """Cancel what still lives of a decided fan, in item order; return what is to run."""
        if fan.wound_up:
            return []
        fan.wound_up = fan.winding_up = True
        woken: list[Lane] = []
        for index in sorted(fan.live):
            woken.extend(self._wake_cancelled(fan.live[index], reason))
        fan.winding_up = False
        return woken

    def _wake_cancelled(self, lane: Lane, reason: str) -> list[Lane]:
        """Cancel a live lane, once: `_wind_up` and `cancel` see to that.

        Shape: it rests on a step or on a fan; returned is what is to run because of it.
        """
        op = lane.op
        assert op is not None  # noqa: S101 - a lane that has ended is not live
        shield = self.program.meta[op].shield
        if shield is not None:
            self._hold_back(lane, shield, _cancelled(reason))
            return []
        if lane.waits is not None:
            return self._abandon(lane.waits, reason)
        self._withdraw(lane)
        if lane.parked:
            lane.unpark()
        lane.op = self._unwind(lane, op, _cancelled(reason))
        return [] if lane.op is None else [lane]

    def _hold_back(self, lane: Lane, shield: int, error: FlowError) -> None:
        """Let a `finally` end first; the cancellation is raised after it."""
        error.__cause__ = lane.regs[shield]
        lane.regs[shield] = error

    def _withdraw(self, lane: Lane) -> None:
        """Take a step back: the host is told, unless it was never told of the step."""
        key = lane.key
        assert key is not None  # noqa: S101 - set where the step was asked for
        del self.pending[key]
        self.late[key] = 0
        if self._dispatches.pop(key, None) is None:
            self._cancels.append(Cancel(key, lane.attempt))

    def _abandon(self, fan: Fan, reason: str) -> list[Lane]:
        """Cancel the lanes of a fan whose own lane is cancelled; that one goes on last."""
        fan.abandon(_cancelled(reason))
        woken = self._wind_up(fan, reason)
        if not fan.live and fan.lane not in self._ready:
            woken.append(fan.lane)
        return woken


_OUTCOMES: Final = frozenset({Success, Admitted, Failure})


def _check_outcome(outcome: Any) -> None:
    if type(outcome) not in _OUTCOMES:
        raise ProtocolError(f"resolve: expected Success or Failure, got {shorten(outcome)}")
    if type(outcome) is Failure and not (
        type(outcome.code) is str and type(outcome.message) is str
    ):
        raise ProtocolError(
            "resolve: expected a Failure with code and message as strings, "
            f"got {shorten(outcome.code)} and {shorten(outcome.message)}"
        )


def _cancelled(reason: str) -> FlowError:
    return FlowError("run.cancelled", reason)
