"""The operator's end of the protocol: pure, with times handed in.

What comes in becomes `acts`: begin an order, stop one, hear an answer. An order is begun
once for its key, however often it is given; an answer is kept, with its parts, and given
again to whoever asks for the same key later: a host that was started anew, for one, which
is told again what it was asked, too.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import field, replace
from typing import Literal, TypeAlias

from flowir.records import dataclass
from swarm.operators.channel import Channel
from swarm.operators.frames import (
    FROM_HOST,
    Ack,
    AnswerQuestion,
    Ask,
    Assign,
    Cancel,
    Drain,
    Error,
    Fail,
    Frame,
    Halt,
    Heartbeat,
    Hello,
    HookAfter,
    HookBefore,
    Numbered,
    Offer,
    OrderBody,
    Part,
    Question,
    ReplyAnswer,
    Result,
    Resume,
    Seats,
    Settled,
    Welcome,
    read_frame,
    text_of,
)
from swarm.operators.limits import Bounds

__all__ = ("Answering", "Begin", "Card", "Hands", "HandsAct", "Stop")

Answering: TypeAlias = Result | Fail | Halt | ReplyAnswer
# What a host may send is bounded by what it says; this bounds what is parsed at all.
_MOST_BYTES = 4 * 1024 * 1024
# Of the answers that hosts have taken, those that the next one may ask for again.
_LATEST = 100


@dataclass(frozen=True, slots=True)
class Card:
    """Who an operator is and what he can do."""

    name: str
    seats: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    capacity: int = 1
    takes: Literal["assign", "offer"] = "assign"


@dataclass(frozen=True, slots=True)
class Begin:
    """Do this; `offered`: say first whether it is taken."""

    order: OrderBody
    offered: bool = False


@dataclass(frozen=True, slots=True)
class Stop:
    """Nobody wants this any more."""

    key: str
    reason: str


@dataclass(slots=True)
class _Told:
    """What was said of an order, and must not be lost: its parts, and what is still asked.

    Shape: `heard`: the host that there is has been told.
    """

    parts: dict[str, Part] = field(default_factory=dict[str, Part])
    questions: dict[str, Question] = field(default_factory=dict[str, Question])
    heard: bool = True


HandsAct: TypeAlias = Begin | Stop | Welcome | AnswerQuestion | Settled | Seats | Drain | Error


class Hands:
    """What an operator has in hand, over any number of lines.

    Shape: `texts` is what is to be sent on the line that there is.
    """

    def __init__(self, card: Card, bounds: Bounds) -> None:
        self.card = card
        self.texts: list[str] = []
        self.holding: dict[str, OrderBody] = {}
        self.answers: OrderedDict[str, tuple[Answering, bool]] = OrderedDict()
        self.session: str | None = None
        self._told: dict[str, _Told] = {}
        self._bounds = bounds
        self._channel = Channel(bounds)
        self._live = False

    @property
    def live(self) -> bool:
        """Whether the line that there is has been welcomed."""
        return self._live

    # -- lines -------------------------------------------------------------------------

    def hello(self) -> str:
        """Begin with a new line."""
        self._live = False
        self.texts.clear()
        resume = None
        if self.session is not None:
            resume = Resume(session=self.session, last=self._channel.received)
        open_ = [key for key, (_, settled) in self.answers.items() if not settled]
        late = [key for key, (_, settled) in self.answers.items() if settled][-_LATEST:]
        card = self.card
        return text_of(
            Hello(
                name=card.name,
                seats=list(card.seats),
                tags=list(card.tags),
                capacity=card.capacity,
                takes=card.takes,
                resume=resume,
                holding=[*self.holding, *open_, *late][:1000],
            )
        )

    def lost(self) -> None:
        """Note that the line is gone."""
        self._live = False

    def received(self, text: str, now_s: float) -> list[HandsAct]:
        """Take in a message; return what is to be done.

        Raises: PeerFault, for a host that does not speak the protocol.
        """
        frame = read_frame(text, FROM_HOST, _MOST_BYTES)
        if isinstance(frame, Welcome):
            return self._welcomed(frame, now_s)
        if not self._live:
            # Only an error may come before the welcome.
            return [frame] if isinstance(frame, Error) else []
        if frame.epoch != self._channel.epoch:
            return []
        acts: list[HandsAct] = []
        for ready in self._channel.take(frame):
            acts += self._heard(ready, now_s)
        return acts

    def _welcomed(self, welcome: Welcome, now_s: float) -> list[HandsAct]:
        self._live = True
        if welcome.resumed and welcome.session == self.session:
            self.texts += self._channel.attach(welcome.epoch, welcome.last, now_s)
            return [welcome]
        self.session = welcome.session
        # The host's limits are ours: what goes beyond them is refused here, with a sentence.
        limits = welcome.limits
        bounds = replace(
            self._bounds,
            message_bytes=limits.message_bytes,
            unacked=limits.unacked,
            redeliver_s=welcome.redeliver_s,
        )
        self._channel = Channel(bounds)
        self._channel.epoch = welcome.epoch
        for told in self._told.values():
            told.heard = False
        for answer, settled in list(self.answers.values()):
            if not settled:
                self._answer_again(answer, now_s)
        return [welcome]

    def _heard(self, frame: Frame, now_s: float) -> list[HandsAct]:
        match frame:
            case Assign() | Ask() | HookBefore() | HookAfter() | Offer():
                return self._given(frame.order, isinstance(frame, Offer), now_s)
            case Cancel():
                if self.holding.pop(frame.key, None) is not None:
                    self._told.pop(frame.key, None)
                return [Stop(frame.key, frame.reason)]
            case Settled():
                self._settled(frame)
                return [frame]
            case AnswerQuestion():
                self.drop_question(frame.key, frame.id)
                return [frame]
            case Seats() | Drain() | Error():
                return [frame]
            case _:
                return []

    def _given(self, order: OrderBody, offered: bool, now_s: float) -> list[HandsAct]:
        known = self.answers.get(order.key)
        if known is not None:
            answer = known[0]
            if not isinstance(answer, ReplyAnswer):
                answer = answer.model_copy(update={"token": order.token})
            self.answers[order.key] = (answer, False)
            self._answer_again(answer, now_s)
            return []
        again = order.key in self.holding
        self.holding[order.key] = order
        told = self._told.get(order.key)
        if again and told is not None:
            self._say_again(told, order.token, now_s)
        return [] if again and not offered else [Begin(order, offered)]

    def _answer_again(self, answer: Answering, now_s: float) -> None:
        told = self._told.get(answer.key)
        if told is not None and not isinstance(answer, ReplyAnswer):
            self._say_again(told, answer.token, now_s)
        self.say(answer, now_s)

    def _say_again(self, told: _Told, token: str | None, now_s: float) -> None:
        """Tell a host what the one before was told; the last part of a name counts."""
        if told.heard:
            return
        told.heard = True
        for part in told.parts.values():
            self.say(part.model_copy(update={"token": token}), now_s)
        for question in told.questions.values():
            self.say(question, now_s)

    def _settled(self, frame: Settled) -> None:
        known = self.answers.get(frame.key)
        if known is not None:
            self.answers[frame.key] = (known[0], True)
        while len(self.answers) > self._bounds.remembered:
            key, _ = self.answers.popitem(last=False)
            self._told.pop(key, None)

    # -- saying ------------------------------------------------------------------------

    def say(self, frame: Numbered, now_s: float) -> None:
        """Say something that must arrive; without a line, on the next.

        Raises: PeerFault (operator.too_large).
        """
        text = self._channel.post(frame, now_s)
        if self._live:
            self.texts.append(text)
        if isinstance(frame, Part | Question) and frame.key in self.holding:
            told = self._told.setdefault(frame.key, _Told(heard=True))
            if isinstance(frame, Part):
                told.parts[frame.name] = frame
            else:
                told.questions[frame.id] = frame

    def drop_question(self, key: str, name: str) -> None:
        """Note that nobody waits for the answer to a question any more."""
        told = self._told.get(key)
        if told is not None:
            told.questions.pop(name, None)

    def answer(self, frame: Answering, now_s: float) -> None:
        """Answer an order that is held.

        Raises: PeerFault (operator.too_large): it is still held.
        """
        order = self.holding.get(frame.key)
        if order is None:
            return
        if not isinstance(frame, ReplyAnswer):
            frame = frame.model_copy(update={"token": order.token})
        told = self._told.get(frame.key)
        if told is not None:
            told.questions.clear()
        if self.session is not None:
            self._answer_again(frame, now_s)
        self.holding.pop(frame.key, None)
        self.answers[frame.key] = (frame, False)

    def look_after(self, now_s: float) -> None:
        """Say again what was not acknowledged for a while."""
        if self._live:
            self.texts += self._channel.again(now_s)

    def acknowledge(self) -> None:
        """Say what has arrived, where that has not been said."""
        if self._live and self._channel.owes:
            self.texts.append(text_of(self._channel.stamp(Ack())))

    def beat(self) -> None:
        """Give a sign of life."""
        if self._live:
            self.texts.append(text_of(self._channel.stamp(Heartbeat())))

    @property
    def unacked(self) -> int:
        """How much has been said that the host has not acknowledged."""
        return self._channel.unacked
