"""An operator as a program writes him: handlers for orders, and a line that comes back.

docs/operators.md has a program. Lines break; orders, answers and what was said do not.
`swarm.operators.hands` decides, this carries it over `websockets`.
"""

from __future__ import annotations

import inspect
import logging
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Literal, TypeVar, overload
from urllib.parse import urlsplit, urlunsplit

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_line
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from flowir.errors import FlowError, WorkerFailure
from flowir.records import dataclass
from swarm.errors import Denied, Refused, SwarmError
from swarm.operators.bucket import Bucket
from swarm.operators.faults import FAULTS, PeerFault
from swarm.operators.frames import (
    PROTOCOL,
    Accept,
    AnswerQuestion,
    Decline,
    Drain,
    Error,
    Fail,
    Halt,
    Handover,
    Numbered,
    OrderBody,
    Part,
    Progress,
    Question,
    ReplyAnswer,
    Result,
    Seats,
    Settled,
    Takeover,
    Usage,
    Welcome,
)
from swarm.operators.hands import Answering, Begin, Card, Hands, HandsAct, Stop
from swarm.operators.limits import DEFAULT_BOUNDS, Bounds
from swarm.operators.sockets import why_of

__all__ = (
    "ROUTE",
    "Backoff",
    "Became",
    "Halted",
    "Handler",
    "Operator",
    "Task",
    "base_of",
    "connect",
)

_LOGGER = logging.getLogger(__name__)

# Where a host has its operators, unless the address says something else.
ROUTE = "/operators"

Handler = Callable[["Task"], Any]
_H = TypeVar("_H", bound=Handler)

# Behind these no other try will end differently.
_FATAL_CODES = (
    "capability.denied",
    "operator.malformed",
    "operator.protocol",
    "operator.replaced",
)
_FATAL = frozenset(FAULTS[code].number for code in _FATAL_CODES)


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before a line is opened again. Units: seconds."""

    first_s: float = 0.5
    most_s: float = 30.0
    factor: float = 2.0

    def delay_s(self, attempt: int) -> float:
        """Return the delay before the *attempt*-th try in a row, with chance in it.

        It lies between half and all of what the tries before give, so that many who were
        thrown out together do not come back together.
        """
        whole = min(self.first_s * self.factor ** min(attempt - 1, 32), self.most_s)
        return whole * random.uniform(0.5, 1.0)  # noqa: S311 - no secret


@dataclass(frozen=True, slots=True)
class Became:
    """What became of an order, or of the answer to it.

    Shape: `taken`: the answer counts; `duplicate`: it had been taken; `stale`: it came too
    late, and nothing happened; `cancelled`: nobody wants one any more, for this `reason`.
    """

    key: str
    how: Literal["taken", "duplicate", "stale", "cancelled"]
    reason: str = ""


class Halted(Exception):
    """Raised by a handler that ends early, as is right here, with what it has."""

    def __init__(self, value: Any, reason: str = "") -> None:
        super().__init__(reason)
        self.value = value
        self.reason = reason


class Task:
    """An order in hand, and what may be said of it.

    Shape: `usage` may be set, and goes with the answer.
    """

    def __init__(self, operator: Operator, order: OrderBody) -> None:
        self.order = order
        self.usage = Usage()
        self._operator = operator

    @property
    def key(self) -> str:
        """The order's name, the same in every try: what was done under it is not done again."""
        return self.order.key

    @property
    def input(self) -> Any:
        """What it is about."""
        return self.order.input

    @property
    def prompt(self) -> str:
        """What is to be done."""
        return self.order.prompt

    async def progress(self, text: str) -> None:
        """Tell how far it is."""
        await self._operator.say(Progress(key=self.key, text=text))

    async def part(self, name: str, value: Any) -> None:
        """Hand over a named artifact."""
        await self._operator.say(Part(key=self.key, name=name, value=value))

    async def ask(
        self,
        prompt: str,
        input: Any = None,
        *,
        schema: Any = None,
        to: str | None = None,
        deadline_s: float | None = None,
    ) -> Any:
        """Ask a person, through the host, and return the answer.

        Raises: WorkerFailure, with the code of why there is none.
        """
        return await self._operator.question(self.key, prompt, input, schema, to, deadline_s)


class Operator:
    """An operator of a host; `connect` makes one."""

    def __init__(
        self,
        url: str,
        card: Card,
        token: str | Callable[[], str],
        *,
        backoff: Backoff,
        bounds: Bounds,
    ) -> None:
        self.url = _address(url)
        self.hands = Hands(card, bounds)
        self.welcome: Welcome | None = None
        self.seats: tuple[str, ...] = card.seats or (card.name,)
        self.lines = 0
        self._token = token
        self._backoff = backoff
        self._bounds = bounds
        self._handlers: dict[tuple[str, str | None], Handler] = {}
        self._accepts: Callable[[OrderBody], bool] = lambda order: True
        self._hears: Callable[[Became], object] = lambda became: None
        self._scopes: dict[str, anyio.CancelScope] = {}
        self._questions: dict[tuple[str, str], tuple[anyio.Event, list[AnswerQuestion]]] = {}
        self._asked = 0
        self._wake = anyio.Event()
        self._news = anyio.Event()
        self._tasks: TaskGroup | None = None
        self._leaving = False
        self._failed: Exception | None = None

    # -- what it does ------------------------------------------------------------------

    @overload
    def handler(self, function: _H, /) -> _H: ...

    @overload
    def handler(
        self, *, seat: str | None = None, moment: Literal["do", "before", "after", "advise"] = "do"
    ) -> Callable[[_H], _H]: ...

    def handler(self, function: Any = None, *, seat: str | None = None, moment: str = "do") -> Any:
        """Register who does orders: all of them, or those of a seat, or at a moment.

        A handler is given a Task and returns the answer; it raises WorkerFailure where it
        cannot, and Halted where it ends early. One that is not async runs in a thread.
        """

        def register(given: _H) -> _H:
            self._handlers[moment, seat] = given
            return given

        return register if function is None else register(function)

    def accepts(self, decide: Callable[[OrderBody], bool]) -> Callable[[OrderBody], bool]:
        """Register who decides over offers; without, all are taken. Where it raises, none is."""
        self._accepts = decide
        return decide

    def hears(self, listen: Callable[[Became], None]) -> Callable[[Became], None]:
        """Register who hears what became of orders; it must not wait. What it raises is logged."""
        self._hears = listen
        return listen

    # -- its life ----------------------------------------------------------------------

    async def run(self) -> None:
        """Serve until cancelled, or until `leave`; come back as often as the line breaks.

        Raises: Denied, where the host does not let him in; Refused (operator.protocol,
        operator.replaced).
        """
        caught: list[Exception] = []
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            try:
                await self._serve()
            except Exception as error:  # noqa: BLE001 - it is raised again below
                caught.append(error)
            finally:
                self._tasks = None
                tasks.cancel_scope.cancel()
        if caught:
            raise caught[0]

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Operator]:
        """Serve while inside; what goes wrong with that is raised at the end."""
        caught: list[Exception] = []
        async with anyio.create_task_group() as tasks:

            async def serve() -> None:
                try:
                    await self.run()
                except Exception as error:  # noqa: BLE001 - it is raised again below
                    caught.append(error)
                    self._failed = error
                    self._tell()

            tasks.start_soon(serve)
            try:
                yield self
            except Exception as error:  # noqa: BLE001 - it is raised again below
                caught.insert(0, error)
            tasks.cancel_scope.cancel()
        if caught:
            raise caught[0]

    async def welcomed(self) -> Welcome:
        """Return once the host has let him in.

        Raises: what `run` raises, where the host does not.
        """
        while self.welcome is None:
            if self._failed is not None:
                raise self._failed
            await self._news.wait()
        return self.welcome

    async def leave(self) -> None:
        """Finish what is in hand, take nothing new, and go."""
        await self.say(Drain())
        self._leaving = True
        self._wake.set()

    async def handover(self, seat: str, to: str | None = None, *, orders: bool = False) -> None:
        """Leave a seat to somebody else."""
        await self.say(Handover(seat=seat, to=to, orders=orders))

    async def takeover(self, seat: str, *, orders: bool = False) -> None:
        """Take a seat; who sat there does not any more."""
        await self.say(Takeover(seat=seat, orders=orders))

    async def say(self, frame: Numbered) -> None:
        """Say something that must arrive; wait where too much is under way.

        Raises: PeerFault (operator.too_large).
        """
        while self.hands.unacked >= self._most_unacked():
            await self._news.wait()
        self.hands.say(frame, _now())
        self._wake.set()

    def _most_unacked(self) -> int:
        most = self._bounds.unacked if self.welcome is None else self.welcome.limits.unacked
        return max(most // 2, 1)

    async def question(
        self,
        key: str,
        prompt: str,
        input: Any,
        schema: Any,
        to: str | None,
        deadline_s: float | None,
    ) -> Any:
        """Put a question of an order to people."""
        self._asked += 1
        name, answers = f"q{self._asked}", list[AnswerQuestion]()
        event = anyio.Event()
        self._questions[key, name] = (event, answers)
        try:
            frame = Question(key=key, id=name, prompt=prompt, input=input, answer_schema=schema,
                             to=to, deadline_s=deadline_s)  # fmt: skip
            await self.say(frame)
            await event.wait()
        finally:
            del self._questions[key, name]
            self.hands.drop_question(key, name)
        answer = answers[0]
        if answer.code is not None:
            raise WorkerFailure(answer.code, answer.message or answer.code)
        return answer.value

    # -- lines -------------------------------------------------------------------------

    async def _serve(self) -> None:
        failures = 0
        while not (self._leaving and not self.hands.holding):
            before = self.lines
            try:
                async with self._open() as line:
                    await self._converse(line)
            except InvalidStatus as error:
                self._look_at_status(error.response.status_code)
            except ConnectionClosed as closed:
                self._look_at_close(closed)
                _LOGGER.info("the line to %s was lost, trying again", self.url)
            except (OSError, InvalidHandshake, TimeoutError, EOFError) as error:
                _LOGGER.info("no line to %s: %s, trying again", self.url, why_of(error))
            finally:
                self.hands.lost()
            if self._leaving and not self.hands.holding:
                return
            failures = 1 if self.lines > before else failures + 1
            await anyio.sleep(self._backoff.delay_s(failures))

    def _open(self) -> open_line:
        token = self._token if isinstance(self._token, str) else self._token()
        near = urlsplit(self.url).hostname in ("127.0.0.1", "::1", "localhost")
        return open_line(
            self.url,
            subprotocols=[Subprotocol(PROTOCOL)],
            additional_headers={"Authorization": f"Bearer {token}"},
            compression=None,
            max_size=8 * 1024 * 1024,
            open_timeout=10,
            close_timeout=2,
            proxy=None if near else True,
        )

    async def _converse(self, line: ClientConnection) -> None:
        await line.send(self.hands.hello())
        caught: list[Exception] = []
        async with anyio.create_task_group() as both:

            async def write() -> None:
                try:
                    await self._write(line)
                except Exception as error:  # noqa: BLE001 - it is raised again below
                    caught.append(error)
                both.cancel_scope.cancel()

            both.start_soon(write)
            try:
                async for text in line:
                    await self._received(text)
            except Exception as error:  # noqa: BLE001 - it is raised again below
                caught.append(error)
            both.cancel_scope.cancel()
        if caught:
            raise caught[0]
        closed = line.close_code
        if closed in _FATAL:
            self._stop(closed, line.close_reason or "")

    async def _received(self, text: str | bytes) -> None:
        if isinstance(text, bytes):
            return
        try:
            acts = self.hands.received(text, _now())
        except PeerFault as fault:
            _LOGGER.warning("a message of the host was not understood: %s", fault)
            return
        for act in acts:
            self._do(act)
        self._wake.set()
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    async def _write(self, line: ClientConnection) -> None:
        hands, bucket = self.hands, None
        while True:
            # What was not acknowledged is said again after a while; without, there is no hurry.
            with anyio.move_on_after(self._bounds.tick_s if hands.unacked else None):
                await self._wake.wait()
            self._wake = anyio.Event()
            hands.look_after(_now())
            hands.acknowledge()
            if bucket is None and self.welcome is not None:
                limits = self.welcome.limits
                # A little less than is allowed: clocks and lines are not alike.
                bucket = Bucket(limits.rate * 0.9, max(int(limits.burst * 0.9), 1), _now())
            texts, hands.texts = hands.texts, []
            for text in texts:
                if bucket is not None:
                    await anyio.sleep(bucket.wait_s(_now()))
                    bucket.take(_now())
                await line.send(text)
            if self._leaving and not hands.holding and not hands.texts and not hands.unacked:
                await line.close(1000, "done")
                return

    def _look_at_status(self, status: int) -> None:
        if status == 401 and callable(self._token):
            return
        if status in (401, 403):
            code = "capability.unauthenticated" if status == 401 else "capability.denied"
            raise Denied(code, f"{self.url}: expected a token that lets an operator in, got none")
        if status in (404, 405, 426):
            said = f"{self.url}: expected the address of a host's operators, got status {status}"
            raise Refused("operator.address", said)
        _LOGGER.info("no line to %s: status %s, trying again", self.url, status)

    def _look_at_close(self, closed: ConnectionClosed) -> None:
        if closed.rcvd is not None:
            self._stop(closed.rcvd.code, closed.rcvd.reason)

    def _stop(self, number: int, reason: str) -> None:
        """End for good, where coming back would not help."""
        if number == FAULTS["capability.unauthenticated"].number:
            if callable(self._token):
                return
            raise Denied("capability.unauthenticated", f"{self.url}: {reason or 'no token holds'}")
        if number not in _FATAL:
            return
        code = next(code for code, fault in FAULTS.items() if fault.number == number)
        if code == "capability.denied":
            raise Denied(code, f"{self.url}: {reason}")
        raise Refused(code, f"{self.url}: {reason}")

    # -- orders ------------------------------------------------------------------------

    def _do(self, act: HandsAct) -> None:
        match act:
            case Begin():
                if self._tasks is not None:
                    self._tasks.start_soon(self._begin, act)
            case Stop():
                scope = self._scopes.get(act.key)
                if scope is not None:
                    scope.cancel()
                    self._heard(Became(act.key, "cancelled", act.reason))
            case Welcome():
                self.lines += 1
                self.welcome = act
                self.seats = tuple(act.seats)
            case Seats():
                self.seats = tuple(act.seats)
            case AnswerQuestion():
                waiting = self._questions.get((act.key, act.id))
                if waiting is not None:
                    waiting[1].append(act)
                    waiting[0].set()
            case Error():
                _LOGGER.warning("the host says: %s %s: %s", act.number, act.code, act.message)
            case Settled():
                self._heard(Became(act.key, act.outcome))
            case Drain():
                pass

    def _heard(self, became: Became) -> None:
        """Let who listens hear it: his mistakes are not those of the orders at hand."""
        try:
            self._hears(became)
        except Exception:
            _LOGGER.exception("who hears what became of order %s raised", became.key)

    def _taken(self, order: OrderBody) -> bool:
        """Ask who decides over offers; one that he breaks at is another operator's."""
        try:
            return self._accepts(order)
        except Exception:
            _LOGGER.exception("who decides over offers raised at order %s", order.key)
            return False

    async def _begin(self, act: Begin) -> None:
        order = act.order
        if order.key in self._scopes:
            return
        if act.offered and not self._taken(order):
            self.hands.holding.pop(order.key, None)
            await self.say(Decline(key=order.key))
            return
        if act.offered:
            await self.say(Accept(key=order.key))
        with anyio.CancelScope() as scope:
            self._scopes[order.key] = scope
            try:
                answer = await self._handled(order)
            finally:
                del self._scopes[order.key]
            self._answer(order, answer)

    def _answer(self, order: OrderBody, answer: Answering) -> None:
        try:
            self.hands.answer(answer, _now())
        except PeerFault as fault:
            said = f"its answer is too large for a message: {fault.message}"
            short = Fail(key=order.key, code=fault.code, message=said, permanent=True)
            self.hands.answer(short, _now())
        self._wake.set()

    async def _handled(self, order: OrderBody) -> Answering:
        key, moment, task = order.key, order.moment, Task(self, order)
        handler = self._handlers.get((moment, order.seat)) or self._handlers.get((moment, None))
        if handler is None:
            said = f"no handler for {moment!r} in seat {order.seat!r}"
            return Fail(key=key, code="operator.refused", message=said)
        try:
            value = await _called(handler, task)
            if moment != "do":
                return ReplyAnswer(key=key, value=value)
            return Result(key=key, value=value, usage=task.usage)
        except Halted as halted:
            said = halted.reason[:4000]
            return Halt(key=key, value=halted.value, reason=said, usage=task.usage)
        except (FlowError, SwarmError) as error:
            permanent, data = getattr(error, "permanent", False), getattr(error, "data", None)
            return Fail(key=key, code=error.code, message=error.message[:4000],
                        permanent=permanent, data=data, usage=task.usage)  # fmt: skip
        except Exception as error:  # noqa: BLE001 - whatever a handler raises fails the step
            said = f"{type(error).__name__}: {error}"[:2000]
            return Fail(key=key, code="worker.error", message=said, usage=task.usage)


def connect(
    url: str,
    *,
    name: str,
    token: str | Callable[[], str],
    seats: Sequence[str] = (),
    tags: Sequence[str] = (),
    capacity: int = 1,
    takes: Literal["assign", "offer"] = "assign",
    backoff: Backoff | None = None,
    bounds: Bounds = DEFAULT_BOUNDS,
) -> Operator:
    """Make an operator of the host at *url*; `run` connects.

    Shape: *seats* none: the one of his name; *takes* `offer`: asked before each order;
    *token* a function, where tokens are fetched anew before they run out.
    """
    card = Card(name, tuple(seats), tuple(tags), capacity, takes)
    return Operator(url, card, token, backoff=backoff or Backoff(), bounds=bounds)


async def _called(handler: Handler, task: Task) -> Any:
    if inspect.iscoroutinefunction(handler):
        return await handler(task)
    made = await anyio.to_thread.run_sync(partial(handler, task), abandon_on_cancel=True)
    return await made if isinstance(made, Awaitable) else made


def _address(url: str) -> str:
    """Read an address as a person writes it: http for ws, without the route.

    Raises: Refused (operator.address).
    """
    parts = urlsplit(url)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    if scheme not in ("ws", "wss") or not parts.hostname:
        said = f"expected an address such as ws://127.0.0.1:7777, got {url!r}"
        raise Refused("operator.address", said)
    path = ROUTE if parts.path in ("", "/") else parts.path
    return urlunsplit((scheme, parts.netloc, path, parts.query, ""))


def base_of(url: str) -> str:
    """Return where the HTTP API stands of a host whose operators come in at *url*.

    >>> base_of("wss://desk.example/operators")
    'https://desk.example'
    """
    parts = urlsplit(url)
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
    return urlunsplit((scheme, parts.netloc, parts.path.removesuffix(ROUTE), "", ""))


def _now() -> float:
    return time.monotonic()
