"""Events as they are written, without the members that the log adds to each.

Their shapes are the typed dictionaries of `swarm.core.events`.
"""

from __future__ import annotations

import hashlib
from typing import Any

from flowir.effects import Dispatch, Failure
from flowir.errors import FlowError
from swarm.blueprint.canonical import canonical_bytes
from swarm.core.answers import Answer
from swarm.core.attempt import Attempt

__all__ = (
    "called",
    "cancelled",
    "cancelling",
    "ended",
    "part",
    "progress",
    "retrying",
    "run_ended",
    "run_started",
    "started",
)

EventRow = dict[str, Any]


def run_started(blueprint: str, digest: str, input: Any) -> EventRow:
    """Write that the run exists."""
    return {"kind": "run.started", "blueprint": blueprint, "digest": digest, "input": input}


def cancelling(reason: str) -> EventRow:
    """Write that somebody asked for the end of the run."""
    return {"kind": "run.cancelling", "reason": reason}


def run_ended(ctx: Any, error: FlowError | None, duration_s: float) -> EventRow:
    """Write how the run ended."""
    if error is None:
        return {"kind": "run.finished", "ctx": ctx, "duration_s": duration_s}
    kind = "run.cancelled" if error.code == "run.cancelled" else "run.failed"
    return {"kind": kind, "error": error.to_json(), "duration_s": duration_s}


def _of(kind: str, dispatch: Dispatch) -> EventRow:
    return {
        "kind": kind,
        "key": dispatch.key,
        "attempt": dispatch.attempt,
        "step": dispatch.ref,
    }


def started(attempt: Attempt) -> EventRow:
    """Write that an attempt begins."""
    dispatch = attempt.dispatch
    row = _of("step.started", dispatch)
    row["node"] = dispatch.node_id
    row["input"] = hashlib.sha256(canonical_bytes(dispatch.input)).hexdigest()
    return row


def progress(attempt: Attempt, text: str) -> EventRow:
    """Write how far an attempt is."""
    return {**_of("step.progress", attempt.dispatch), "text": text}


def part(attempt: Attempt, name: str, value: Any) -> EventRow:
    """Write that an attempt handed over an artifact."""
    return {**_of("step.part", attempt.dispatch), "name": name, "value": value}


def called(attempt: Attempt, agent: str, answer: Answer, duration_s: float) -> EventRow:
    """Write that an attempt let another agent do something."""
    outcome, usage = answer.outcome, answer.usage
    row = _of("step.called", attempt.dispatch)
    row["agent"] = agent
    row["code"] = outcome.code if isinstance(outcome, Failure) else None
    row.update(tokens=usage.tokens, cost=usage.cost, duration_s=duration_s)
    return row


def ended(attempt: Attempt, answer: Answer, duration_s: float) -> EventRow:
    """Write how an attempt ended: with an answer, or without."""
    outcome = answer.outcome
    if isinstance(outcome, Failure):
        row = _of("step.failed", attempt.dispatch)
        row.update(outcome._asdict())
    else:
        row = _of("step.finished", attempt.dispatch)
        row["value"] = outcome.value
        row["tokens"] = answer.usage.tokens
        row["cost"] = answer.usage.cost
    row["duration_s"] = duration_s
    return row


def cancelled(attempt: Attempt, duration_s: float) -> EventRow:
    """Write that an attempt is no longer wanted."""
    return {**_of("step.cancelled", attempt.dispatch), "duration_s": duration_s}


def retrying(dispatch: Dispatch) -> EventRow:
    """Write that the flow asks again."""
    return {**_of("step.retrying", dispatch), "delay_s": dispatch.delay_s}
