"""What happens in a run, as rows of its journal.

    run.started
      step.started ── step.progress*, step.part*, step.called* ──┬── step.finished
                                                                 ├── step.failed ── step.retrying?
                                                                 └── step.cancelled
      run.cancelling?
    run.finished | run.failed | run.cancelled

Each `step.started` is followed by exactly one end with the same key and attempt, and the
last row of a run is the run's end. Events are typed dictionaries rather than classes:
they are written a hundred times for each time that they are read.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

# pydantic reads typed dictionaries of this module only, before Python 3.12.
from typing_extensions import TypedDict

__all__ = (
    "RUN_ENDS",
    "STEP_ENDS",
    "Event",
    "RunCancelled",
    "RunCancelling",
    "RunFailed",
    "RunFinished",
    "RunStarted",
    "StepCalled",
    "StepCancelled",
    "StepFailed",
    "StepFinished",
    "StepPart",
    "StepProgress",
    "StepRetrying",
    "StepStarted",
)


class _Row(TypedDict):
    """What every event has: its number in the run (1, 2, 3…), the run, and when.

    Units: `time_s` in UTC seconds since 1970. It may go back; `seq` does not.
    """

    seq: int
    run: str
    time_s: float


class RunStarted(_Row):
    """The run exists from here on. `digest` pins the blueprint's document."""

    kind: Literal["run.started"]
    blueprint: str
    digest: str
    input: Any


class RunCancelling(_Row):
    """Somebody asked for the end of the run; what is in flight is being cancelled."""

    kind: Literal["run.cancelling"]
    reason: str


class RunFinished(_Row):
    """The run reached its end; `ctx` is the final context."""

    kind: Literal["run.finished"]
    ctx: Any
    duration_s: float


class RunFailed(_Row):
    """The run ended with an error that nothing caught (its form at `error_at`)."""

    kind: Literal["run.failed"]
    error: dict[str, Any]
    duration_s: float


class RunCancelled(_Row):
    """The run was cancelled, and everything in it has been told."""

    kind: Literal["run.cancelled"]
    error: dict[str, Any]
    duration_s: float


class _StepRow(_Row):
    """What every event of a step has: `key` names the work, `step` the agent asked."""

    key: str
    attempt: int
    step: str


class StepStarted(_StepRow):
    """An attempt begins. `node` is the node's id or place.

    `input` is the SHA-256 of the input's canonical bytes: a replay compares it.
    """

    kind: Literal["step.started"]
    node: str
    input: str


class StepProgress(_StepRow):
    """How far an attempt is, in the worker's words."""

    kind: Literal["step.progress"]
    text: str


class StepPart(_StepRow):
    """A named artifact beside the answer; the last of a name counts."""

    kind: Literal["step.part"]
    name: str
    value: Any


class StepCalled(_StepRow):
    """A worker let another agent do something; `code` is None where that went well."""

    kind: Literal["step.called"]
    agent: str
    code: str | None
    tokens: int
    cost: float
    duration_s: float


class StepFinished(_StepRow):
    """An attempt ended with an answer."""

    kind: Literal["step.finished"]
    value: Any
    tokens: int
    cost: float
    duration_s: float


class StepFailed(_StepRow):
    """An attempt ended without an answer."""

    kind: Literal["step.failed"]
    code: str
    message: str
    permanent: bool
    data: Any
    duration_s: float


class StepCancelled(_StepRow):
    """An attempt is no longer wanted: its worker is being stopped, its answer dropped."""

    kind: Literal["step.cancelled"]
    duration_s: float


class StepRetrying(_StepRow):
    """The flow asks again: this is the attempt to come, `delay_s` from now."""

    kind: Literal["step.retrying"]
    delay_s: float


Event: TypeAlias = (
    RunStarted
    | RunCancelling
    | RunFinished
    | RunFailed
    | RunCancelled
    | StepStarted
    | StepProgress
    | StepPart
    | StepCalled
    | StepFinished
    | StepFailed
    | StepCancelled
    | StepRetrying
)

STEP_ENDS: Final = frozenset({"step.finished", "step.failed", "step.cancelled"})
RUN_ENDS: Final = frozenset({"run.finished", "run.failed", "run.cancelled"})
