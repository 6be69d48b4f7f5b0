"""`senior`: what goes wrong is put to somebody more experienced, who decides.

retry      do it again, with guidance in the input
override   this is the answer
fail       it has failed
keep       leave it as it is
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import Field

import flowir
from flowir.errors import FlowError, WorkerFailure
from swarm.middleware.codes import Codes, Words, matches
from swarm.middleware.consult import Deadline, Seat, consult, reply_schema
from swarm.ports.layer import LayerCall, LayerFactory, LayerParams, Next, Site
from swarm.ports.operators import Order, Reply
from swarm.ports.worker import CostlyFailure, FieldProblem, Outcome, Usage

__all__ = ("SENIOR", "SeniorLayer", "SeniorParams")

_DECISIONS = ("fail", "keep", "override", "retry")


class SeniorParams(LayerParams):
    """Whom to ask, when, and what becomes of it without an answer.

    Shape: asked where the failure's code is in `on`, the verdict in `block`, the member
    `confidence` of the answer under `below`, or `when` is true (an expression of `ctx.input`
    and `ctx.value`). Guidance goes into the member `guidance` of the input, `max_rounds`
    times at most. At the deadline the step fails, is kept as it is, or `escalate_to` is asked.
    """

    to: Seat
    on: Codes = ("*",)
    block: Words = ()
    below: float | None = None
    confidence: str = "confidence"
    when: str | None = None
    guidance: str = "guidance"
    max_rounds: Annotated[int, Field(ge=0, le=100)] = 3
    deadline_s: Deadline | None = None
    on_deadline: Literal["fail", "keep", "escalate"] = "fail"
    escalate_to: Seat | None = None


class _Tried(NamedTuple):
    """What came of asking the worker: an outcome or a failure, and why a senior should look."""

    outcome: Outcome | None
    failure: WorkerFailure | None
    why: str | None

    def result(self, used: Usage) -> Outcome:
        """Return or raise it, with what was used before besides."""
        if self.outcome is not None:
            return Outcome(self.outcome.value, self.outcome.parts, self.outcome.usage.plus(used))
        assert self.failure is not None  # noqa: S101 - one of them is there
        raise self.failure if used == Usage() else CostlyFailure.of(self.failure, used)


class SeniorLayer:
    """Has a senior look at what one agent does."""

    in_place: Final = True

    def __init__(self, params: SeniorParams, site: Site) -> None:
        self._params = params
        self._host = site.host
        self._when = None if params.when is None else flowir.parse_expr(params.when)

    async def __call__(self, call: LayerCall, next: Next) -> Outcome:
        """Carry a call on, and ask where that is due."""
        asked, used, number = call, Usage(), 0
        # It ends: in the last round no retry is offered.
        while True:
            tried = await self._tried(asked, next)
            if tried.why is None:
                return tried.result(used)
            decided = await self._decided(call, tried, number)
            if decided is None:
                return tried.result(used)
            if decided["decision"] != "retry":
                return self._final(tried, decided, used)
            used = used.plus(_used(tried))
            asked = call.with_input(self._guided(call.input, decided.get("guidance")))
            number += 1

    async def _tried(self, call: LayerCall, next: Next) -> _Tried:
        try:
            outcome = await next(call)
        except WorkerFailure as failure:
            due = matches(failure.code, self._params.on)
            return _Tried(None, failure, f"failed with {failure.code}" if due else None)
        return _Tried(outcome, None, self._doubt(call.input, outcome.value))

    def _doubt(self, input: Any, value: Any) -> str | None:
        """Return why a senior should look at an answer."""
        fields: dict[str, Any] = value if isinstance(value, dict) else {"verdict": value}
        verdict = fields.get("verdict")
        if isinstance(verdict, str) and verdict in self._params.block:
            return f"answered {verdict}"
        sure: Any = fields.get(self._params.confidence)
        below = self._params.below
        if below is not None and type(sure) in (int, float) and sure < below:
            return f"{self._params.confidence} {sure:g} is under {below:g}"
        if self._when is not None and self._rule(input, value):
            return f"the rule {self._params.when!r} holds"
        return None

    def _rule(self, input: Any, value: Any) -> bool:
        assert self._when is not None  # noqa: S101 - asked where it is there
        try:
            holds = flowir.evaluate(self._when, {"input": input, "value": value})
        except FlowError as error:
            said = f"the rule {self._params.when!r}: {error}"
            raise WorkerFailure("senior.rule", said, True) from error
        if type(holds) is not bool:
            said = f"the rule {self._params.when!r}: expected true or false, got {holds!r}"
            raise WorkerFailure("senior.rule", said, True)
        return holds

    async def _decided(self, call: LayerCall, tried: _Tried, number: int) -> dict[str, Any] | None:
        """Ask; return what was decided, or None to keep it as it is."""
        params = self._params
        reply = await self._asked(call, tried, number, params.to, params.deadline_s)
        seat = params.to
        if reply is None and params.on_deadline == "escalate" and params.escalate_to is not None:
            seat = params.escalate_to
            reply = await self._asked(call, tried, number, seat, None)
        if reply is None:
            if params.on_deadline == "keep":
                return None
            said = f"{call.agent!r} {tried.why}: expected {seat!r} to decide in time, got nothing"
            raise WorkerFailure("senior.silent", said)
        decision = reply.value["decision"]
        who = seat if reply.by is None else reply.by
        await call.link.progress(f"senior: {who} decided {decision!r}, where {tried.why}")
        return None if decision == "keep" else reply.value

    async def _asked(
        self, call: LayerCall, tried: _Tried, number: int, seat: str, deadline_s: float | None
    ) -> Reply | None:
        may = [d for d in _DECISIONS if d != "retry" or number < self._params.max_rounds]
        order = Order(
            f"{call.idempotency_key}/senior/{seat}/{number}",
            "advise",
            call.agent,
            f"{call.agent} {tried.why}: what is to be done?",
            {"input": call.input, **_told(tried)},
            reply_schema(
                "decision",
                decision={"enum": may},
                guidance={"type": "string"},
                message={"type": "string"},
                value=True,
            ),
        )
        return await consult(self._host, call, seat, order, deadline_s)

    def _final(self, tried: _Tried, decided: dict[str, Any], used: Usage) -> Outcome:
        used = used.plus(_used(tried))
        if decided["decision"] == "override":
            return Outcome(decided.get("value"), usage=used)
        said = decided.get("message") or f"a senior decided that it failed, where it {tried.why}"
        failure = WorkerFailure("senior.failed", said, True)
        raise failure if used == Usage() else CostlyFailure.of(failure, used)

    def _guided(self, input: Any, guidance: str | None) -> Any:
        """Return the input with the guidance in it; one that is no object becomes a member."""
        fields: dict[str, Any] = dict(input) if isinstance(input, dict) else {"input": input}
        return {**fields, self._params.guidance: guidance}


def _told(tried: _Tried) -> dict[str, Any]:
    if tried.outcome is not None:
        return {"value": tried.outcome.value}
    failure = tried.failure
    assert failure is not None  # noqa: S101 - one of them is there
    return {"failure": {"code": failure.code, "message": failure.message}}


def _used(tried: _Tried) -> Usage:
    if tried.outcome is not None:
        return tried.outcome.usage
    return tried.failure.usage if isinstance(tried.failure, CostlyFailure) else Usage()


def _problems(params: SeniorParams, site: Site) -> Iterable[FieldProblem]:
    if params.when is not None:
        try:
            flowir.parse_expr(params.when)
        except FlowError as error:
            yield FieldProblem("layer.field_wrong", "when", f"expected an expression: {error}")
    if params.on_deadline != "fail" and params.deadline_s is None:
        said = f"expected seconds, for on_deadline {params.on_deadline!r}, got none"
        yield FieldProblem("layer.field_missing", "deadline_s", said)
    if (params.on_deadline == "escalate") != (params.escalate_to is not None):
        said = "expected 'escalate_to' together with on_deadline 'escalate', got one of them"
        yield FieldProblem("layer.field_wrong", "escalate_to", said)


SENIOR = LayerFactory("senior", 40, SeniorParams, SeniorLayer, problems=_problems)
