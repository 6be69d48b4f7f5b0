"""What happens in a run, as rows of its journal.

    run.started
      step.started ── step.progress*, step.part*, step.called* ──┬── step.finished
                                                                 ├── step.failed ── step.retrying?
                                                                 ├── step.cancelled
                                                                 └── step.interrupted
      run.waiting ── run.woken
      run.pausing ── run.paused ──┐
      run.interrupted ────────────┼── run.resumed
      run.blocked ────────────────┘
      run.cancelling?
    run.finished | run.failed | run.cancelled

Each `step.started` is followed by exactly one end with the same key and attempt, and the
last row of a run is the run's end. An attempt that ended by `step.interrupted` is started
again, under the same number. Events are typed dictionaries rather than classes: they are
written a hundred times for each time that they are read.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NotRequired, TypeAlias

# pydantic reads typed dictionaries of this module only, before Python 3.12.
from typing_extensions import TypedDict

__all__ = (
    "RUN_ENDS",
    "STEP_ENDS",
    "BudgetWarning",
    "ChildEnded",
    "ChildStarted",
    "Event",
    "Parent",
    "QuestionAnswered",
    "QuestionAsked",
    "QuestionEscalated",
    "QuestionExpired",
    "Rerun",
    "RunBlocked",
    "RunCancelled",
    "RunCancelling",
    "RunFailed",
    "RunFinished",
    "RunInterrupted",
    "RunPaused",
    "RunPausing",
    "RunResumed",
    "RunStarted",
    "RunWaiting",
    "RunWoken",
    "StepCalled",
    "StepCancelled",
    "StepFailed",
    "StepFinished",
    "StepInterrupted",
    "StepPart",
    "StepProgress",
    "StepRetrying",
    "StepStarted",
    "TimerSet",
)


class _Row(TypedDict):
    """What every event has: its number in the run (1, 2, 3…), the run, and when.

    Units: `time_s` in UTC seconds since 1970. It may go back; `seq` does not.
    """

    seq: int
    run: str
    time_s: float


class Rerun(TypedDict):
    """How a run repeats another: with its answers, up to the step `key`.

    Shape: `edits` by the key of a step: what is written before it, by path.
    """

    run: str
    key: str
    edits: dict[str, dict[str, Any]]


class Parent(TypedDict):
    """The attempt that a run is the doing of."""

    run: str
    key: str
    attempt: int


class Version(TypedDict):
    """Which entry of the store of versions a run's blueprint was loaded from."""

    label: str
    commit: str


class RunStarted(_Row):
    """The run exists from here on; `digest` pins the blueprint's `document`.

    Shape: all that it takes to go on, wherever that may be. `folder` is where the
    blueprint was loaded from, and its processes work (None: it came as a document);
    `version` names the entry, where that was a store of versions.
    `rerun` tells of which run this one repeats the beginning, if it does; `budget` what
    the run may use (`swarm.blueprint.budget.Budget`).
    """

    kind: Literal["run.started"]
    blueprint: str
    digest: str
    input: Any
    document: dict[str, Any]
    folder: str | None
    version: Version | None
    rerun: Rerun | None
    budget: dict[str, float] | None
    parent: Parent | None


class RunWaiting(_Row):
    """Nothing is left to do before a person answers, or a time has come."""

    kind: Literal["run.waiting"]


class RunWoken(_Row):
    """What the run waited for has come."""

    kind: Literal["run.woken"]


class RunPausing(_Row):
    """Somebody asked for a pause: what is in flight ends, and nothing else begins."""

    kind: Literal["run.pausing"]


class RunPaused(_Row):
    """Nothing is in flight any more; the run stays as it is until somebody resumes it."""

    kind: Literal["run.paused"]


class RunInterrupted(_Row):
    """The host that worked on the run has `closed`, or was found to have `died`."""

    kind: Literal["run.interrupted"]
    cause: Literal["closed", "died"]


class RunResumed(_Row):
    """A host goes on with the run."""

    kind: Literal["run.resumed"]


class RunBlocked(_Row):
    """The run cannot go on as things are, and `code` and `message` say why."""

    kind: Literal["run.blocked"]
    code: str
    message: str


class RunCancelling(_Row):
    """The run is to end before its time; what is in flight is being cancelled.

    Shape: `code` is `run.cancelled` where somebody asked for it, else that of the error
    which the run will end with.
    """

    kind: Literal["run.cancelling"]
    reason: str
    code: str


class RunFinished(_Row):
    """The run reached its end; `ctx` is the final context."""

    kind: Literal["run.finished"]
    ctx: Any
    duration_s: float


class RunFailed(_Row):
    """The run ended with an error that nothing caught (its form at `error_at`).

    `partial` is the context as it was, where the run's budget was exhausted.
    """

    kind: Literal["run.failed"]
    error: dict[str, Any]
    duration_s: float
    partial: NotRequired[Any]


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
    """A named artifact beside the answer; the last of a name counts.

    Shape: `value` is a reference, `{"$ref": "sha256:…", "size": …, "type": …}`.
    """

    kind: Literal["step.part"]
    name: str
    value: dict[str, Any]


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
    tokens: int
    cost: float
    duration_s: float


class StepCancelled(_StepRow):
    """An attempt is no longer wanted: its worker is being stopped, its answer dropped."""

    kind: Literal["step.cancelled"]
    duration_s: float


class StepInterrupted(_StepRow):
    """The host ended before the attempt did: it is to be started again."""

    kind: Literal["step.interrupted"]


class StepRetrying(_StepRow):
    """The flow asks again: this is the attempt to come, `delay_s` from now."""

    kind: Literal["step.retrying"]
    delay_s: float


class ChildStarted(_StepRow):
    """An attempt is done by another run: `child` is its id. Written again by each host."""

    kind: Literal["child.started"]
    child: str
    blueprint: str
    digest: str


class ChildEnded(_StepRow):
    """The run that does an attempt has ended, or rests; `spent` is what it used in all.

    Told where the attempt was stopped, too, unless the run that it is a step of ended with it.
    """

    kind: Literal["child.ended"]
    child: str
    status: str
    spent: dict[str, float]


class BudgetWarning(_Row):
    """The run has used the share of a limit at which it says so; once for each limit.

    `slice` is the part of the budget that has the limit (`agents.writer`, `nodes.research`);
    None: the run's own.
    """

    kind: Literal["budget.warning"]
    of: str
    slice: str | None
    used: float
    limit: float


class TimerSet(_StepRow):
    """An attempt waits `seconds`; they are over at `due_at`, UTC seconds since 1970."""

    kind: Literal["timer.set"]
    seconds: float
    due_at: float


class QuestionAsked(_StepRow):
    """An attempt asks a person (`swarm.ports.questions.Ask`); `id` is the question's name."""

    kind: Literal["question.asked"]
    id: str
    prompt: str
    input: Any
    schema: dict[str, Any] | bool | None
    to: str | None
    deadline_s: float | None
    on_deadline: Literal["fail", "default", "escalate"]
    default: Any
    escalate_to: str | None
    asked_at: float
    deadline_at: float | None


class QuestionAnswered(_StepRow):
    """Somebody answered; `by` is who, as far as that is known."""

    kind: Literal["question.answered"]
    id: str
    value: Any
    by: str | None


class QuestionEscalated(_StepRow):
    """Nobody answered in time: the question is `to` somebody else now."""

    kind: Literal["question.escalated"]
    id: str
    to: str


class QuestionExpired(_StepRow):
    """Nobody answered in time: the step fails, or `value`, the default, is the answer."""

    kind: Literal["question.expired"]
    id: str
    value: Any


Event: TypeAlias = (
    RunStarted
    | RunWaiting
    | RunWoken
    | RunPausing
    | RunPaused
    | RunInterrupted
    | RunResumed
    | RunBlocked
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
    | StepInterrupted
    | StepRetrying
    | ChildStarted
    | ChildEnded
    | BudgetWarning
    | TimerSet
    | QuestionAsked
    | QuestionAnswered
    | QuestionEscalated
    | QuestionExpired
)

STEP_ENDS: Final = frozenset({"step.finished", "step.failed", "step.cancelled", "step.interrupted"})
RUN_ENDS: Final = frozenset({"run.finished", "run.failed", "run.cancelled"})
