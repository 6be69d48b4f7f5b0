"""What is sent and answered, as models; what a model does not name is refused.

Times are UTC seconds since 1970, as in events.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from swarm.core.questions import Question
from swarm.core.run import RunOutcome, RunStatus
from swarm.ports.journal import RunRow
from swarm.ports.versions import Entry

__all__ = (
    "Answer",
    "Approval",
    "AuditPage",
    "BlueprintPage",
    "Cancel",
    "Delegated",
    "Delegation",
    "DiffView",
    "EntryPage",
    "EntryView",
    "FreezeSent",
    "FreezeView",
    "HostView",
    "ImprovementLog",
    "IssueDetail",
    "IssueList",
    "IssueSent",
    "OperatorList",
    "OperatorView",
    "OutputList",
    "OutputView",
    "ProblemDocument",
    "ProblemItem",
    "QuestionList",
    "QuestionView",
    "Ready",
    "Refusal",
    "RegisteredView",
    "Registration",
    "Rerun",
    "Revocation",
    "Rollback",
    "RunDetail",
    "RunPage",
    "RunView",
    "Start",
    "StepAnswered",
    "StepFailSent",
    "StepOrder",
    "StepPartSent",
    "StepProgressSent",
    "StepResultSent",
    "StepUsage",
    "Tag",
    "TagList",
    "TokenView",
    "VersionView",
)

# Text that another program will show: no lone surrogates, no endless ones.
Name = Annotated[str, Field(min_length=1, max_length=256)]
Line = Annotated[str, Field(max_length=4096)]
Code = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+)*$", max_length=100)]


class _Sent(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Told(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _View(Protocol):
    def to_wire(self) -> dict[str, Any]: ...


# -- problems ------------------------------------------------------------------------------


class ProblemItem(_Told):
    """One of several reasons."""

    code: str
    message: str
    at: str = ""
    path: str | None = None
    line: int | None = None
    hint: str | None = None


class ProblemDocument(_Told):
    """What went wrong (RFC 9457); `code` never changes its meaning, `detail` may."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    problems: list[ProblemItem] = []


# -- runs ----------------------------------------------------------------------------------


class Start(_Sent):
    """A run to start: of a version (`id`, `id@selector`), or of a document that is sent along.

    A document takes the verb `blueprint.register` as well: it may name programs.
    """

    blueprint: Name | None = None
    document: dict[str, JsonValue] | None = None
    input: JsonValue = None
    run_id: Name | None = None
    budget: dict[str, JsonValue] | None = None


class Rerun(_Sent):
    """Where a repetition begins, and what is written into the context there."""

    from_step: Name
    set: dict[str, JsonValue] = {}
    run_id: Name | None = None


class Cancel(_Sent):
    """Why a run is ended."""

    reason: Line = "cancelled by a guest"


class RunView(_Told):
    """A run as a list shows it."""

    id: str
    status: RunStatus
    blueprint: str | None
    digest: str | None
    began_s: float | None
    ended_s: float | None

    @classmethod
    def of(cls, row: RunRow) -> RunView:
        """Tell of a run."""
        return cls(
            id=row.run_id,
            status=row.status,  # pyright: ignore[reportArgumentType] - checked by the model
            blueprint=row.blueprint,
            digest=row.digest,
            began_s=row.began_s,
            ended_s=row.ended_s,
        )


class RunDetail(RunView):
    """A run with how it came out, as soon as that is known."""

    live: bool
    ctx: JsonValue = None
    error: dict[str, JsonValue] | None = None
    partial: JsonValue = None

    @classmethod
    def told(cls, row: RunRow, live: bool, outcome: RunOutcome | None) -> RunDetail:
        """Tell of a run and its outcome."""
        head = RunView.of(row).model_dump()
        if outcome is None:
            return cls(**head, live=live)
        error = None if outcome.error is None else dict(outcome.error)
        head["status"] = outcome.status
        return cls(**head, live=live, ctx=outcome.ctx, error=error, partial=outcome.partial)


class RunPage(_Told):
    """Runs, the latest first; `next` goes into `before`."""

    runs: list[RunView]
    next: str | None


class QuestionView(_Told):
    """What a run asks of people."""

    id: str
    run: str
    key: str
    attempt: int
    step: str
    to: str | None
    prompt: str
    input: JsonValue
    schema_: dict[str, JsonValue] | bool | None = Field(alias="schema")
    asked_at: float
    deadline_at: float | None
    on_deadline: str

    @classmethod
    def of(cls, question: Question) -> QuestionView:
        """Tell of a question."""
        return cls.model_validate(question.to_wire())


class QuestionList(_Told):
    """What a run asks, in the order in which it came."""

    questions: list[QuestionView]


class Answer(_Sent):
    """The answer to a question."""

    value: JsonValue


class OutputView(_Told):
    """What a step handed over as data: a part, or an answer (`name` is null then)."""

    key: str
    attempt: int
    agent: str
    name: str | None
    ref: str
    size: int
    type: str


class OutputList(_Told):
    """The outputs of a run, in the order in which they were made."""

    outputs: list[OutputView]


# -- steps ---------------------------------------------------------------------------------


class StepProgressSent(_Sent):
    """How far an attempt is."""

    text: Line


class StepPartSent(_Sent):
    """A named artifact."""

    value: JsonValue


class StepUsage(_Sent):
    """What an answer took: model tokens, and money in the host's currency."""

    tokens: Annotated[int, Field(ge=0, le=2**53)] = 0
    cost: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0


class StepResultSent(_Sent):
    """An answer; `halted` says why it ends early, where it does."""

    value: JsonValue
    usage: StepUsage = StepUsage()
    halted: Line | None = None


class StepFailSent(_Sent):
    """Why it cannot be done; `permanent`: trying again will not help."""

    code: Code = "operator.failed"
    message: Line
    permanent: bool = False
    data: JsonValue = None
    usage: StepUsage = StepUsage()


class StepOrder(_Told):
    """What is to be done; what is `{"$ref": …}` in `input` is read by its digest."""

    key: str
    run: str
    step: str
    attempt: int
    agent: str
    prompt: str
    input: JsonValue
    answer_schema: JsonValue
    told: dict[str, JsonValue] | None


class StepAnswered(_Told):
    """The answer counts; `written`: nothing can undo that any more."""

    written: bool


# -- blueprints ----------------------------------------------------------------------------


class Registration(_Sent):
    """A version to add: a document, or files of which `source` is the script.

    Shape: `expected` is the label that the sender began from.
    """

    document: dict[str, JsonValue] | None = None
    files: dict[Name, str] | None = Field(default=None, max_length=256)
    source: Name | None = None
    reason: Line = ""
    bump: Literal["major", "minor", "patch"] = "patch"
    label: Name | None = None
    expected: Name | None = None


class EntryView(_Told):
    """A line of a blueprint's history."""

    blueprint: str
    number: int
    label: str
    digest: str
    commit: str
    author: str
    reason: str
    written_s: float
    back_to: str | None

    @classmethod
    def of(cls, entry: Entry) -> EntryView:
        """Tell of an entry."""
        return cls(
            blueprint=entry.blueprint,
            number=entry.number,
            label=entry.label,
            digest=entry.digest,
            commit=entry.commit,
            author=entry.note.author,
            reason=entry.note.reason,
            written_s=entry.note.written_s,
            back_to=entry.back_to,
        )


class RegisteredView(_Told):
    """What came of it: `is_new` is false where the newest entry was the same."""

    entry: EntryView
    is_new: bool


class BlueprintPage(_Told):
    """The newest entry of each blueprint, by id; `next` goes into `after`."""

    blueprints: list[EntryView]
    next: str | None


class EntryPage(_Told):
    """Entries, the newest first; `next` goes into `before`."""

    entries: list[EntryView]
    next: int | None


class VersionView(_Told):
    """A version: its document, and its files by name (None: not text)."""

    entry: EntryView
    document: dict[str, JsonValue]
    files: dict[str, str | None]
    source: str
    generated: bool


class DiffView(_Told):
    """Two versions compared: sources, documents (RFC 6902), flows."""

    source: str
    document: list[dict[str, JsonValue]]
    flow: dict[str, list[str]]


class Tag(_Sent):
    """Where a tag is to point: a selector of the blueprint, such as `1.2.0`."""

    selector: Name = "latest"


class TagList(_Told):
    """What each tag points at."""

    tags: dict[str, EntryView]


class Rollback(_Sent):
    """What to go back to: a selector of the blueprint."""

    selector: Name
    reason: Line = ""


# -- enhance -------------------------------------------------------------------------------


class IssueSent(_Sent):
    """What somebody wants of a blueprint, in words."""

    blueprint: Name
    intent: Annotated[str, Field(min_length=1, max_length=4000)]
    examples: list[Line] = Field(default=[], max_length=16)


class Approval(_Sent):
    """Which change was looked at: as `decision.review` of the issue names it."""

    base: Name
    result: Name


class Refusal(_Sent):
    """Why a change is refused."""

    reason: Line = ""


class FreezeSent(_Sent):
    """Whether nothing is to be committed: of one blueprint, or of any."""

    frozen: bool
    blueprint: Name | None = None


class FreezeView(_Told):
    """Whether nothing is committed now."""

    frozen: bool
    blueprint: str | None


class IssueDetail(_Told):
    """An issue: what is wanted, what was proposed and judged, and what became of it."""

    run: str
    state: str
    issue: dict[str, JsonValue]
    change: dict[str, JsonValue]
    verdicts: list[dict[str, JsonValue]]
    decision: dict[str, JsonValue]
    outcome: dict[str, JsonValue]

    @classmethod
    def of(cls, view: _View) -> IssueDetail:
        """Tell of an issue."""
        return cls.model_validate(view.to_wire())


class IssueList(_Told):
    """Issues, the latest first."""

    issues: list[IssueDetail]


class ImprovementLog(_Told):
    """The versions that the loop made, the newest first."""

    entries: list[dict[str, JsonValue]]


# -- tokens, audit, host -------------------------------------------------------------------


class Delegation(_Sent):
    """What a token with less is to say; what is left open is taken over."""

    verbs: list[Name] | None = Field(default=None, max_length=64)
    run: Name | None = None
    step: Name | None = None
    attempt: int | None = None
    ttl_s: int | None = None
    uses: int | None = None
    depth: int | None = None


class Delegated(_Told):
    """A new token. It is told once."""

    token: str


class Revocation(_Sent):
    """Which tokens to void: exactly one of these; `token` may be its fingerprint."""

    token: str | None = None
    subject: Name | None = None
    run: Name | None = None
    kid: Name | None = None


class TokenView(_Told):
    """What the bearer's token says."""

    subject: str
    role: str
    verbs: list[str]
    run: str | None
    step: str | None
    attempt: int | None
    expires_s: int | None
    depth: int
    fingerprint: str | None


class AuditPage(_Told):
    """Entries as they are kept, behind number `since`; `next` goes into `since`."""

    entries: list[dict[str, JsonValue]]
    next: int | None


class OperatorView(_Told):
    """An operator's session: who, where he sits, and what he has in hand."""

    session: str
    subject: str
    name: str
    state: Literal["fresh", "live", "away", "over"]
    seats: list[str]
    tags: list[str]
    capacity: int
    orders: list[str]
    draining: bool


class OperatorList(_Told):
    """The sessions that there are."""

    operators: list[OperatorView]


class Ready(_Told):
    """Whether work is taken in."""

    status: Literal["ready", "draining", "degraded", "failed", "closed"]


class HostView(_Told):
    """How the host is."""

    version: str
    durable: bool
    journal: Literal["ok", "degraded", "failed"]
    live_runs: int
