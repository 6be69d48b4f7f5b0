"""The state table of a run: what may follow, and that nothing else may."""

from __future__ import annotations

from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from swarm.core.events import RUN_ENDS, Event
from swarm.core.run import (
    ENDED,
    EVENTS,
    RESUMABLE,
    TRANSITIONS,
    RunOutcome,
    RunStatus,
    next_status,
    table,
)
from swarm.errors import Bug, RunFailed


def test_the_printed_table_is_the_one_in_the_docstring() -> None:
    import swarm.core.run as module

    assert module.__doc__ is not None
    shown = module.__doc__.split("print(table())\n", 1)[1].split("\n\n", 1)[0]
    assert shown == "\n".join("    " + line for line in table().splitlines())


def test_the_printed_table_is_the_one_in_the_manual() -> None:
    page = (Path(__file__).parents[2] / "docs/durability.md").read_text("utf-8")
    assert f"```text\n{table()}\n```" in page


def test_the_table_has_every_event_of_a_run() -> None:
    kinds = {event for row in TRANSITIONS.values() for event in row}
    assert kinds == set(EVENTS)
    told = {get_args(get_type_hints(event)["kind"])[0] for event in get_args(Event)}
    assert {kind for kind in told if kind.startswith("run.")} == kinds


def test_every_state_that_is_no_end_leads_to_being_cancelled() -> None:
    assert all("run.cancelled" in row for row in TRANSITIONS.values() if row)
    assert {"waiting", "paused", "interrupted", "blocked"} == RESUMABLE


def test_every_state_that_is_reached_is_in_the_table() -> None:
    reached = {after for row in TRANSITIONS.values() for after in row.values()}
    assert reached | {"pending"} == set(TRANSITIONS)


def test_ends_of_a_run_lead_to_states_that_nothing_leads_out_of() -> None:
    for kind in RUN_ENDS:
        assert next_status("running", kind) in ENDED
    assert set(ENDED) == {"succeeded", "failed", "cancelled"}


def test_an_event_of_a_step_changes_nothing() -> None:
    assert next_status("running", "step.finished") == "running"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("pending", "run.finished"),
        ("running", "run.started"),
        ("succeeded", "run.failed"),
        ("cancelled", "run.cancelling"),
        ("paused", "run.finished"),
        ("interrupted", "run.interrupted"),
        ("blocked", "run.started"),
    ],
)
def test_an_event_that_cannot_follow_is_a_bug(status: RunStatus, kind: str) -> None:
    with pytest.raises(Bug, match=kind):
        next_status(status, kind)


def test_an_outcome_gives_its_context_or_raises_its_error() -> None:
    assert RunOutcome("r_1", "succeeded", {"x": 1}).unwrap() == {"x": 1}
    error = {"message": "no", "at": "$.body", "code": "x"}
    with pytest.raises(RunFailed, match=r"run r_1 failed at \$\.body: no") as caught:
        RunOutcome("r_1", "failed", None, error).unwrap()
    assert caught.value.error == error
