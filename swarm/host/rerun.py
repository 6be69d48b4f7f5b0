"""Running again from a step on: what the new run begins with.

    the old run   started  a ✓  b ✓  c ✗  …
    from b        started' a ✓  │ the edits are written, then b is asked for the first time

The new run begins with a copy of the answers that were recorded before the step began. It
needs nothing of the old run afterwards, and is resumed like any other.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from flowir.door import admit
from flowir.errors import FlowError, shorten
from flowir.nodes import Flow
from flowir.path import format_path
from flowir.records import dataclass
from swarm.core.edits import EditedMachine, target_of
from swarm.core.events import STEP_ENDS, Rerun
from swarm.core.replay import Replay
from swarm.errors import Refused
from swarm.ports.journal import Row

__all__ = ("Beginning", "beginning", "edits_of")


# An attempt that was interrupted is made again.
_ANSWERED: Final = STEP_ENDS - {"step.interrupted"}


@dataclass(frozen=True, slots=True)
class Beginning:
    """The rows that a new run begins with, and where its machine stands behind them."""

    rows: list[dict[str, Any]]
    past: Replay


def edits_of(set: Mapping[str, Any]) -> dict[str, Any]:
    """Check what is to be written before the step.

    Raises: Refused (rerun.set).
    """
    try:
        return {format_path(target_of(path)): admit(value) for path, value in set.items()}
    except FlowError as error:
        raise Refused("rerun.set", f"rerun: set: {error}") from error


def beginning(
    old: Sequence[Row], from_step: str, edits: dict[str, Any], flow: Flow, run_id: str
) -> Beginning:
    """Work out how a run begins that repeats *old* from a step on, without creating it.

    Shape: *from_step* is a key, or the id or place of a node (its first step counts), or the
    name of an agent that did one step only.
    Raises: Refused (rerun.step, rerun.set); SwarmError (resume.conflict).
    """
    cut, key = _cut(old, from_step)
    rows = [_started(old[0], key, edits, old[1:cut])]
    rows += [dict(row) for row in _answers(old[1:cut])]
    for seq, row in enumerate(rows, 1):
        row["seq"], row["run"] = seq, run_id
    past = Replay(flow, rows[0])
    past.feed(rows[1:])
    machine = past.machine
    if isinstance(machine, EditedMachine) and machine.refused is not None:
        raise Refused("rerun.set", f"rerun: set: {machine.refused}")
    return Beginning(rows, past)


def _answers(before: Sequence[Row]) -> Iterator[Row]:
    """Yield what is taken over: all about steps, and the runs that did those which have ended.

    A run that does a step which goes on is the old run's; what the others used is counted as
    what the steps used is.
    """
    ended = {(row["key"], row["attempt"]) for row in before if row["kind"] in _ANSWERED}
    told = {row["child"] for row in before if row["kind"] == "child.ended"}
    for row in before:
        kind: str = row["kind"]
        if kind.startswith("step.") or (
            kind.startswith("child.")
            and row["child"] in told
            and (row["key"], row["attempt"]) in ended
        ):
            yield row


def _cut(old: Sequence[Row], from_step: str) -> tuple[int, str]:
    """Find the first start of the step: the index of that row, and its key."""
    known: dict[str, None] = {}
    by_agent: dict[str, int] = {}
    for index, row in enumerate(old):
        if row["kind"] == "run.cancelling":
            break
        if row["kind"] == "step.started":
            if from_step in (row["key"], row["node"]):
                return index, row["key"]
            known[row["node"]] = known[row["key"]] = None
            if row["step"] == from_step:
                by_agent.setdefault(row["key"], index)
    if len(by_agent) == 1:
        ((key, index),) = by_agent.items()
        return index, key
    raise Refused(
        "rerun.step",
        f"run {old[0]['run']}: expected a step that it began before any cancellation, "
        f"got {shorten(from_step)}{_hint(from_step, by_agent or known)}",
        run_id=old[0]["run"],
    )


_HINTED = 4


def _hint(word: str, known: Mapping[str, object]) -> str:
    """Name the step that is near, else those there are, if that is soon done."""
    near = difflib.get_close_matches(word, known, 1)
    if near:
        return f" — did you mean {near[0]!r}?"
    shown = ", ".join(map(repr, [*known][:_HINTED]))
    return f" — known are {shown}{', …' if len(known) > _HINTED else ''}" if known else ""


def _started(
    started: Row, key: str, edits: dict[str, Any], before: Sequence[Row]
) -> dict[str, Any]:
    """Make the first row; the edits of a rerun that is itself repeated stay, up to the step."""
    begun = {row["key"] for row in before if row["kind"] == "step.started"}
    earlier: Mapping[str, Any] = (started["rerun"] or {}).get("edits", {})
    kept = {k: v for k, v in earlier.items() if k in begun}
    rerun = Rerun(run=started["run"], key=key, edits={**kept, key: edits})
    return {**started, "rerun": rerun, "parent": None}
