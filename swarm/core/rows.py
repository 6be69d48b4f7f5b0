"""Events as they are written, without the members that the log adds to each.

Their shapes are the typed dictionaries of `swarm.core.events`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowir.effects import Dispatch, Failure
from flowir.errors import FlowError
from swarm.blueprint.budget import Budget
from swarm.blueprint.canonical import digest_of
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.core.answers import Answer
from swarm.core.attempt import Attempt
from swarm.core.events import Rerun

__all__ = (
    "blocked",
    "budget_of",
    "called",
    "cancelled",
    "cancelling",
    "ended",
    "interrupted",
    "interrupted_run",
    "part",
    "progress",
    "retrying",
    "run",
    "run_ended",
    "run_started",
    "started",
)

EventRow = dict[str, Any]


def run_started(
    blueprint: CompiledBlueprint,
    input: Any,
    rerun: Rerun | None = None,
    budget: Budget | None = None,
    parent: Mapping[str, Any] | None = None,
) -> EventRow:
    """Write that the run exists, with all that it takes to go on elsewhere."""
    folder, version = blueprint.folder, blueprint.version
    return {
        "kind": "run.started",
        "blueprint": blueprint.id,
        "digest": blueprint.digest,
        "input": input,
        "document": blueprint.shared(),
        "folder": None if folder is None else str(folder),
        "version": None if version is None else {"label": version.label, "commit": version.commit},
        "rerun": rerun,
        "budget": None if budget is None else budget.to_wire(),
        "parent": None if parent is None else dict(parent),
    }


def budget_of(started: Mapping[str, Any]) -> Budget | None:
    """Read what a run may use from its first row."""
    budget = started.get("budget")
    return None if budget is None else Budget.of(budget)


def run(kind: str) -> EventRow:
    """Write what a run came to that needs no more words."""
    return {"kind": kind}


def interrupted_run(cause: str) -> EventRow:
    """Write that the host ended before the run did."""
    return {"kind": "run.interrupted", "cause": cause}


def blocked(code: str, message: str) -> EventRow:
    """Write why the run cannot go on."""
    return {"kind": "run.blocked", "code": code, "message": message}


def cancelling(reason: str, code: str = "run.cancelled") -> EventRow:
    """Write that the run is to end before its time, and with which code."""
    return {"kind": "run.cancelling", "reason": reason, "code": code}


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
    return {
        "kind": "step.started",
        "key": dispatch.key,
        "attempt": dispatch.attempt,
        "step": dispatch.ref,
        "node": dispatch.node_id,
        "input": digest_of(dispatch.input),
    }


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
    outcome, usage, dispatch = answer.outcome, answer.usage, attempt.dispatch
    if isinstance(outcome, Failure):
        row = _of("step.failed", dispatch)
        row.update(outcome._asdict())
        row.update(tokens=usage.tokens, cost=usage.cost, duration_s=duration_s)
        return row
    return {
        "kind": "step.finished",
        "key": dispatch.key,
        "attempt": dispatch.attempt,
        "step": dispatch.ref,
        "value": outcome.value,
        "tokens": usage.tokens,
        "cost": usage.cost,
        "duration_s": duration_s,
    }


def cancelled(dispatch: Dispatch, duration_s: float) -> EventRow:
    """Write that an attempt is no longer wanted."""
    return {**_of("step.cancelled", dispatch), "duration_s": duration_s}


def interrupted(dispatch: Dispatch) -> EventRow:
    """Write that the host ended before an attempt did."""
    return _of("step.interrupted", dispatch)


def retrying(dispatch: Dispatch) -> EventRow:
    """Write that the flow asks again."""
    return {**_of("step.retrying", dispatch), "delay_s": dispatch.delay_s}
