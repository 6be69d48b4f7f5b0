"""The messages of the protocol: what each side may say, as models; and the strict way in.

A message is one JSON object in one text message. Those with a number (`n`) are kept by
whoever sent them until they are acknowledged; the others are said once. Knows no lines,
no orders and no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias, cast, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import to_json

from flowir.door import parse_json
from flowir.errors import FlowError
from swarm.blueprint.words import suggest
from swarm.operators.faults import PeerFault

__all__ = (
    "FROM_HOST",
    "FROM_OPERATOR",
    "PROTOCOL",
    "WORD",
    "Accept",
    "Ack",
    "AnswerQuestion",
    "Ask",
    "Assign",
    "Cancel",
    "Decline",
    "Drain",
    "Error",
    "Fail",
    "Frame",
    "Halt",
    "Handover",
    "Heartbeat",
    "Hello",
    "HookAfter",
    "HookBefore",
    "Limits",
    "Numbered",
    "Offer",
    "OrderBody",
    "Part",
    "Progress",
    "Question",
    "ReplyAnswer",
    "Result",
    "Resume",
    "Seats",
    "Settled",
    "Takeover",
    "Usage",
    "Welcome",
    "numbered_text",
    "read_frame",
    "schemas",
    "text_of",
)

PROTOCOL: Final = "swarm.operator.v1"

# Words that stand in lists, logs and terminals: no control characters, none that turn lines.
WORD: Final = r"^[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]{1,100}$"
Word = Annotated[str, Field(pattern=WORD)]
Key = Annotated[str, Field(min_length=1, max_length=2000)]
Count = Annotated[int, Field(ge=0, le=2**53)]
Number = Annotated[int, Field(ge=1, le=2**53)]
Text = Annotated[str, Field(max_length=4000)]


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Frame(_Model):
    """A message; `ack` is the last number up to which its sender has everything."""

    ack: Count = 0
    epoch: Count = 0

    @property
    def kind(self) -> str:
        """What `type` says."""
        return cast("str", type(self).model_fields["type"].default)


class Numbered(Frame):
    """A message that is sent again until it is acknowledged."""

    n: Number | None = None


# -- what they are made of -------------------------------------------------------------------


class Resume(_Model):
    """Which session an operator comes back to, and the last number that he has of it."""

    session: Annotated[str, Field(min_length=1, max_length=100)]
    last: Count


class Limits(_Model):
    """What the host takes; an operator keeps within it."""

    message_bytes: int
    unacked: int
    capacity: int
    rate: float
    burst: int


class OrderBody(_Model):
    """What is to be done.

    Shape: `key` is its name in every try (the idempotency key); `input` is JSON, or a
    reference `{"$ref": …}` that the token reads over HTTP; `answer_schema` is a JSON Schema
    that the answer must fit (null: any); `told` what the blueprint says of the agent;
    `token` is good for this step and attempt alone.
    Units: `deadline_s` in seconds from when it was sent (null: none).
    """

    key: Key
    moment: Literal["do", "before", "after", "advise"]
    seat: str
    agent: str
    prompt: str = ""
    input: Any = None
    answer_schema: Any = None
    told: dict[str, Any] | None = None
    run: str | None = None
    step: str | None = None
    attempt: int | None = None
    deadline_s: float | None = None
    token: str | None = None


class Usage(_Model):
    """What an answer took: model tokens, and money in the host's currency."""

    tokens: Annotated[int, Field(ge=0, le=2**53)] = 0
    cost: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0


# -- said by both ----------------------------------------------------------------------------


class Ack(Frame):
    """I have everything up to `ack`."""

    type: Literal["ack"] = "ack"


class Heartbeat(Frame):
    """I am there. The host answers each with one of its own."""

    type: Literal["heartbeat"] = "heartbeat"


class Error(Frame):
    """Something you said is wrong; the line goes on. `n` and `key` say what, where known."""

    type: Literal["error"] = "error"
    number: int
    code: str
    message: str
    n: Count | None = None
    key: str | None = None


class Drain(Numbered):
    """I finish what I have, and take (or give) no new orders."""

    type: Literal["drain"] = "drain"


# -- said by operators -----------------------------------------------------------------------


class Hello(Frame):
    """Who I am and what I can do: the first message of every line.

    Shape: `seats` where I sit (none: the one of my name); `takes`: `assign` to be given
    orders, `offer` to be asked first; `holding` the keys of orders that I have, done or not.
    """

    type: Literal["hello"] = "hello"
    name: Word
    seats: Annotated[list[Word], Field(max_length=64)] = []
    tags: Annotated[list[Word], Field(max_length=64)] = []
    capacity: Annotated[int, Field(ge=1, le=10_000)] = 1
    takes: Literal["assign", "offer"] = "assign"
    resume: Resume | None = None
    holding: Annotated[list[Key], Field(max_length=1000)] = []


class Accept(Numbered):
    """I take the order that was offered."""

    type: Literal["accept"] = "accept"
    key: Key


class Decline(Numbered):
    """I do not take this order, or give it back."""

    type: Literal["decline"] = "decline"
    key: Key
    reason: Text = ""


class Progress(Numbered):
    """How far I am."""

    type: Literal["progress"] = "progress"
    key: Key
    text: Text


class Part(Numbered):
    """A named artifact beside the answer; the last of a name counts.

    `token` is the order's, where the order is not known to be mine.
    """

    type: Literal["part"] = "part"
    key: Key
    name: Word
    value: Any
    token: Annotated[str, Field(max_length=4096)] | None = None


class Question(Numbered):
    """I need to know something of a person to go on."""

    type: Literal["question"] = "question"
    key: Key
    id: Word
    prompt: Annotated[str, Field(min_length=1, max_length=4000)]
    input: Any = None
    answer_schema: Any = None
    to: Word | None = None
    deadline_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None


class Result(Numbered):
    """It is done. `token` is the order's, where the order is not known to be mine."""

    type: Literal["result"] = "result"
    key: Key
    value: Any
    usage: Usage = Usage()
    token: Annotated[str, Field(max_length=4096)] | None = None


class Fail(Numbered):
    """It cannot be done; `permanent`: trying again will not help."""

    type: Literal["fail"] = "fail"
    key: Key
    code: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+)*$", max_length=100)] = (
        "operator.failed"
    )
    message: Text
    permanent: bool = False
    data: Any = None
    usage: Usage = Usage()
    token: Annotated[str, Field(max_length=4096)] | None = None


class Halt(Numbered):
    """I end early, as is right here: the value is as far as I came."""

    type: Literal["halt"] = "halt"
    key: Key
    value: Any
    reason: Text = ""
    usage: Usage = Usage()
    token: Annotated[str, Field(max_length=4096)] | None = None


class ReplyAnswer(Numbered):
    """My reply to an `ask` or a hook."""

    type: Literal["answer"] = "answer"
    key: Key
    value: Any


class Handover(Numbered):
    """I leave a seat: to somebody by name, or to whoever sits there.

    `orders`: what I hold of that seat goes too; without it, only what comes next.
    """

    type: Literal["handover"] = "handover"
    seat: Word
    to: Word | None = None
    orders: bool = False


class Takeover(Numbered):
    """I take a seat; whoever sat there does not any more."""

    type: Literal["takeover"] = "takeover"
    seat: Word
    orders: bool = False


# -- said by the host ------------------------------------------------------------------------


class Welcome(Frame):
    """You are in: what the session is called, and where it stands.

    Shape: `last` is the last number that the host has of you: send what comes behind it.
    `orders` are the keys of the orders that it counts as yours now; what you hold besides is
    over, or will be asked for again under the same key.
    """

    type: Literal["welcome"] = "welcome"
    session: str
    resumed: bool
    last: Count
    name: str
    subject: str
    seats: list[str]
    orders: list[str]
    resume_s: float
    heartbeat_s: float
    redeliver_s: float
    limits: Limits


class Offer(Numbered):
    """Will you do this? It stands for `stands_s` seconds."""

    type: Literal["offer"] = "offer"
    order: OrderBody
    stands_s: float


class Assign(Numbered):
    """Do this."""

    type: Literal["assign"] = "assign"
    order: OrderBody


class Ask(Numbered):
    """Advise on this: what is to become of a step that went wrong?"""

    type: Literal["ask"] = "ask"
    order: OrderBody


class HookBefore(Numbered):
    """Look at work that is to begin."""

    type: Literal["hook.before"] = "hook.before"
    order: OrderBody


class HookAfter(Numbered):
    """Look at work that has an answer."""

    type: Literal["hook.after"] = "hook.after"
    order: OrderBody


class AnswerQuestion(Numbered):
    """The answer to your question; or, with `code`, why there is none."""

    type: Literal["answer"] = "answer"
    key: Key
    id: str
    value: Any = None
    code: str | None = None
    message: str | None = None


class Settled(Numbered):
    """What became of your answer.

    Shape: `taken`: it counts; `duplicate`: it had been taken; `stale`: the order was over,
    or somebody else's, and nothing happened.
    """

    type: Literal["settled"] = "settled"
    key: Key
    outcome: Literal["taken", "duplicate", "stale"]


class Cancel(Numbered):
    """Nobody wants this any more: stop, and answer nothing."""

    type: Literal["cancel"] = "cancel"
    key: Key
    reason: str


class Seats(Numbered):
    """Where you sit from now on."""

    type: Literal["seats"] = "seats"
    seats: list[str]


FromOperator: TypeAlias = (
    Hello | Accept | Decline | Progress | Part | Question | Result | Fail | Halt | ReplyAnswer
    | Handover | Takeover | Drain | Ack | Heartbeat | Error
)  # fmt: skip
FromHost: TypeAlias = (
    Welcome | Offer | Assign | Ask | HookBefore | HookAfter | AnswerQuestion | Settled | Cancel
    | Seats | Drain | Ack | Heartbeat | Error
)  # fmt: skip


class _Side:
    """What one side may say."""

    def __init__(self, union: Any) -> None:
        self.models: Mapping[str, type[Frame]] = {
            cast("str", one.model_fields["type"].default): one for one in get_args(union)
        }


FROM_OPERATOR: Final = _Side(FromOperator)
FROM_HOST: Final = _Side(FromHost)


def read_frame(text: str, side: _Side, max_bytes: int) -> Frame:
    """Read a message of one side, strictly.

    Raises: PeerFault (operator.too_large, operator.malformed), with `n` where it had one.
    """
    # What cannot be more bytes than allowed is not measured.
    if len(text) * 4 > max_bytes and len(text.encode("utf-8", "replace")) > max_bytes:
        said = f"message: expected at most {max_bytes} bytes, got more"
        raise PeerFault("operator.too_large", said)
    try:
        found = parse_json(text, max_bytes=max_bytes, at="message")
    except FlowError as error:
        raise PeerFault("operator.malformed", str(error)) from error
    if not isinstance(found, dict):
        said = f"message: expected an object, got {type(found).__name__}"
        raise PeerFault("operator.malformed", said)
    fields = cast("dict[str, Any]", found)
    n = fields.get("n")
    numbered = {"n": n} if type(n) is int and 0 < n < 2**53 else {}
    kind = fields.get("type")
    model = side.models.get(kind) if isinstance(kind, str) else None
    if model is None:
        hint = suggest(kind, side.models) if isinstance(kind, str) else None
        said = f"message.type: expected a message of this side, got {_short(kind)}"
        said = f"{said} — {hint}" if hint else said
        raise PeerFault("operator.malformed", said, **numbered)
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, ("message", *first["loc"])))
        said = f"{place}: {first['msg'][0].lower()}{first['msg'][1:]}"
        raise PeerFault("operator.malformed", said, **numbered) from None


def text_of(frame: Frame) -> str:
    """Write a message without a number."""
    return _written(frame, set()).decode()


def numbered_text(frame: Frame) -> bytes:
    """Write the part of a message that is the same however often it is sent."""
    return _written(frame, {"n", "ack", "epoch"})


def _written(frame: Frame, without: set[str]) -> bytes:
    fields = {name: getattr(frame, name) for name in type(frame).model_fields}
    return to_json({k: v for k, v in fields.items() if k not in without}, inf_nan_mode="null")


def schemas(side: _Side) -> dict[str, Any]:
    """Return the JSON Schema of each message of a side."""
    return {name: model.model_json_schema() for name, model in side.models.items()}


def _short(value: Any) -> str:
    shown = ascii(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}…"
