"""The host's end of the lines: an ASGI application that speaks WebSocket, and nothing else.

    origin → how many from there → token → may he connect? → subprotocol → hello → session

Who he is stands in the handshake alone: a message never carries it. Everything that a
server library can decide (frames, sizes, masks, UTF-8) it decides; `swarm.operators.wire`
adds the little that uvicorn leaves open.
"""

from __future__ import annotations

import json
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from typing import Any, Final, TypeAlias

import anyio
import anyio.lowlevel

from swarm.core.capability.chain import MAX_TOKEN
from swarm.core.capability.grant import Grant
from swarm.core.capability.guard import WORK, Guard
from swarm.core.capability.rules import covers
from swarm.core.capability.standing import Standing
from swarm.operators.bucket import Bucket
from swarm.operators.faults import FAULTS, PeerFault
from swarm.operators.frames import (
    FROM_OPERATOR,
    PROTOCOL,
    Accept,
    Ack,
    Decline,
    Drain,
    Error,
    Fail,
    Frame,
    Halt,
    Handover,
    Heartbeat,
    Hello,
    Part,
    Progress,
    Question,
    ReplyAnswer,
    Result,
    Takeover,
    read_frame,
    text_of,
)
from swarm.operators.outlet import Outlet
from swarm.operators.rounds import Rounds
from swarm.operators.service import Operators, Session, Visitor
from swarm.ports.operators import Order

__all__ = ("TOKEN_PREFIX", "Endpoint")

_LOGGER = logging.getLogger(__name__)

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

# How a token stands among the subprotocols, for clients that cannot set headers.
TOKEN_PREFIX: Final = "swarm.token."  # noqa: S105 - what stands before one
# Messages of all lines that are looked at in one turn of the loop, with what follows from
# each: a millisecond or so. However many operators answer at once, timers, streams and
# requests come up in between.
_AT_ONCE: Final = 8

_VERBS: Final[Mapping[type[Frame], str]] = {
    Accept: "step.take",
    Decline: "step.take",
    Progress: "step.progress",
    Part: "step.part",
    Question: "step.progress",
    Result: "step.result",
    Halt: "step.result",
    ReplyAnswer: "step.result",
    Fail: "step.fail",
    Handover: "seat.take",
    Takeover: "seat.take",
    Drain: "operator.connect",
}


class _RejectedError(Exception):
    """A handshake that gets no line."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Endpoint:
    """Serves the lines of *operators*; mount it where WebSockets may come in.

    Shape: *guard* judges tokens, and is asked for at each handshake; *origins* are the
    browser origins that may connect (none: no browser may).
    """

    def __init__(
        self,
        operators: Operators,
        guard: Callable[[], Guard],
        *,
        origins: Collection[str] = (),
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.operators = operators
        self._guard = guard
        self._origins = frozenset(origins)
        self._now = now
        self._rounds = Rounds(operators.bounds.tick_s)
        self._turns = anyio.Semaphore(_AT_ONCE, fast_acquire=True)
        self._lines: dict[str, int] = {}
        self._open = 0
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    @property
    def lines(self) -> int:
        """How many lines there are."""
        return self._open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "websocket":
            await _answer_http(send)
            return
        message = await receive()
        if message["type"] != "websocket.connect":
            return
        address = _address(scope)
        try:
            token, grant, guard = self._admitted(scope, address)
        except _RejectedError as rejected:
            await _reject(scope, send, rejected)
            return
        self._open += 1
        self._lines[address] = self._lines.get(address, 0) + 1
        try:
            if PROTOCOL not in scope.get("subprotocols", ()):
                await send({"type": "websocket.accept"})
                await _close(send, FAULTS["operator.protocol"].number, PROTOCOL)
                return
            await send({"type": "websocket.accept", "subprotocol": PROTOCOL})
            line = _Line(self.operators, guard, token, grant, self._turns, self._now)
            await line.serve(receive, send, self._rounds)
        finally:
            self._open -= 1
            left = self._lines.pop(address) - 1
            if left:
                self._lines[address] = left

    def _admitted(self, scope: Scope, address: str) -> tuple[str, Grant, Guard]:
        """Let somebody in, before anything is kept for him.

        Raises: _RejectedError.
        """
        headers = [(name.lower(), value) for name, value in scope["headers"]]
        self._foreign(headers)
        self._crowded(address)
        guard = self._guard()
        token = _token(headers)
        passed = guard.check(token, "operator.connect")
        if not passed:
            if passed.decision.outsider:
                self._failed(address)
                said = "expected a token that holds, got none"
                raise _RejectedError(401, "capability.unauthenticated", said)
            said = "expected a token that covers operator.connect"
            raise _RejectedError(403, "capability.denied", said)
        passed.spend()
        grant = passed.decision.grant
        assert grant is not None  # noqa: S101 - a pass has one
        return token, grant, guard

    def _foreign(self, headers: list[tuple[bytes, bytes]]) -> None:
        for origin in _all(headers, b"origin"):
            if origin not in self._origins:
                raise _RejectedError(403, "capability.denied", "this origin may not connect")

    def _crowded(self, address: str) -> None:
        bounds = self.operators.bounds
        if self._lines.get(address, 0) >= bounds.per_address:
            raise _RejectedError(429, "operator.too_fast", "too many connections from one address")
        if self._open >= bounds.connections:
            raise _RejectedError(503, "operator.slow", "too many connections")
        if self._throttled(address):
            raise _RejectedError(429, "operator.too_fast", "too many tokens that do not hold")

    def _throttled(self, address: str) -> bool:
        times = self._failures.get(address)
        while times and times[0] <= self._now() - 60:
            times.popleft()
        return times is not None and len(times) >= self.operators.bounds.failures

    def _failed(self, address: str) -> None:
        self._failures.setdefault(address, deque()).append(self._now())
        self._failures.move_to_end(address)
        while len(self._failures) > self.operators.bounds.remembered:
            self._failures.popitem(last=False)


class _Line:
    """One connection, from its hello to its end."""

    def __init__(
        self,
        operators: Operators,
        guard: Guard,
        token: str,
        grant: Grant,
        turns: anyio.Semaphore,
        now: Callable[[], float],
    ) -> None:
        self._operators = operators
        self._guard = guard
        self._standing = Standing(guard, token)
        self._grant = grant
        self._turns = turns
        self._now = now
        self._outlet = Outlet()
        self._session: Session | None = None
        bounds = operators.bounds
        self._bucket = Bucket(bounds.rate, bounds.burst, now())
        self._volume = Bucket(bounds.volume, bounds.volume_burst, now())
        self._mistakes = 0
        self._left = False
        self._judged = (guard.ledger.epoch, now())

    async def serve(self, receive: Receive, send: Send, rounds: Rounds) -> None:
        """Carry messages both ways until the line ends."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._write, send, tasks.cancel_scope)
                tasks.start_soon(rounds.take_part, self)
                await self._read(receive)
                tasks.cancel_scope.cancel()
        finally:
            if self._session is not None:
                for_good = self._left and self._outlet.closing is None
                self._operators.lost(self._session, self._outlet, for_good=for_good)

    # -- reading -----------------------------------------------------------------------

    async def _read(self, receive: Receive) -> None:
        outlet = self._outlet
        with anyio.move_on_after(self._operators.bounds.hello_s) as waiting:
            while True:
                message = await receive()
                if message["type"] == "websocket.disconnect":
                    self._left = message.get("code") == 1000
                    return
                if outlet.closing is not None:
                    continue
                if not self._bucket.take(self._now()):
                    outlet.end("operator.too_fast")
                    continue
                await self._measured(message)
                async with self._turns:
                    self._received(message)
                    if self._session is not None:
                        waiting.deadline = float("inf")
                    # A turn for the others, however much one says.
                    await anyio.lowlevel.checkpoint()
        if self._session is None:
            outlet.end("operator.silent")
            await anyio.sleep(self._operators.bounds.send_s)

    async def _measured(self, message: Message) -> None:
        """Wait where much is said: what is not read yet stays with whoever says it."""
        text = message.get("text")
        if text is not None and not self._volume.take(self._now(), len(text)):
            await anyio.sleep(self._volume.wait_s(self._now(), 0))

    def _received(self, message: Message) -> None:
        text = message.get("text")
        try:
            if text is None:
                raise PeerFault("operator.malformed", "message: expected text, got bytes")
            frame = read_frame(text, FROM_OPERATOR, self._operators.bounds.message_bytes)
            if self._session is None:
                self._begin(frame)
            else:
                self._take(self._session, frame)
        except PeerFault as fault:
            self._mistaken(fault)

    def _begin(self, frame: Frame) -> None:
        if not isinstance(frame, Hello):
            raise PeerFault("operator.malformed", f"expected a hello first, got {frame.kind!r}")
        self._session = self._operators.join(self._visitor(), frame, self._outlet)

    def _take(self, session: Session, frame: Frame) -> None:
        if isinstance(frame, Hello):
            raise PeerFault("operator.malformed", "hello: expected once a line, got it again")
        if frame.epoch not in (0, session.channel.epoch) or session.outlet is not self._outlet:
            raise PeerFault("operator.replaced", "message.epoch: expected that of the welcome")
        for ready in session.channel.take(frame):
            if isinstance(ready, Heartbeat):
                session.say(Heartbeat())
            elif not isinstance(ready, Ack | Error):
                self._do(session, ready)
        if session.channel.owes:
            self._outlet.wake()

    def _do(self, session: Session, frame: Frame) -> None:
        """Hold one act against the token, and do it; what is wrong with it is told."""
        try:
            self._judge(frame)
            self._operators.heard(session, frame, lambda: self._proven(frame))
        except PeerFault as fault:
            if fault.code == "capability.unauthenticated":
                self._outlet.end(fault.code)
                return
            self._tell(fault, getattr(frame, "n", None), getattr(frame, "key", None))

    def _judge(self, frame: Frame) -> None:
        """Look whether the token, as it is now, covers what a message is about.

        Raises: PeerFault (capability.unauthenticated, capability.denied).
        """
        run = step = attempt = None
        key = getattr(frame, "key", None)
        case = None if key is None else self._operators.desk.cases.get(key)
        if case is not None:
            run, step, attempt = case.order.run, case.order.step, case.order.attempt
        decision = self._standing.look(_VERBS[type(frame)], run, step, attempt)
        if decision.outsider:
            raise PeerFault("capability.unauthenticated", "the token does not hold any more")
        if not decision.allowed:
            said = f"{frame.kind}: expected a token that covers it: {decision.reason}"
            raise PeerFault("capability.denied", said)

    def _proven(self, frame: Frame) -> bool:
        """Say whether an answer, or a part of one, carries the token of its order."""
        if not isinstance(frame, Result | Fail | Halt | Part) or frame.token is None:
            return False
        place = _place(frame.key)
        if place is None:
            return False
        verb = _VERBS[type(frame)]
        return self._guard.look(frame.token, verb, *place, 0, WORK).allowed

    def _mistaken(self, fault: PeerFault) -> None:
        """Say what is wrong with a message; too many of them end the line."""
        self._mistakes += 1
        session = self._session
        if session is None or self._mistakes > self._operators.bounds.mistakes:
            self._outlet.end(fault.code, _reason(fault.message))
            return
        n = fault.values.get("n")
        self._tell(fault, n, None)
        if n is not None and fault.code == "operator.malformed":
            # Whoever wrote it would send it again for ever.
            try:
                for ready in session.channel.skip(n):
                    self._do(session, ready)
            except PeerFault:
                return
            self._outlet.wake()

    def _tell(self, fault: PeerFault, n: int | None, key: str | None) -> None:
        said = Error(number=fault.number, code=fault.code, message=fault.message, n=n, key=key)
        if self._session is not None and self._session.outlet is self._outlet:
            self._session.say(said)
        else:
            self._outlet.push(text_of(said))

    def _visitor(self) -> Visitor:
        grant, table = self._grant, self._guard.table

        def may(order: Order) -> bool:
            run, step, attempt = order.run, order.step, order.attempt
            found = covers(grant, "step.take", table, run=run, step=step, attempt=attempt)
            return found.allowed

        def may_sit(seat: str) -> bool:
            run, step, attempt = grant.run, grant.step, grant.attempt
            found = covers(grant, "seat.take", table, run=run, step=step, attempt=attempt)
            return found.allowed

        return Visitor(grant.subject, may, may_sit)

    # -- writing -----------------------------------------------------------------------

    async def _write(self, send: Send, scope: anyio.CancelScope) -> None:
        outlet, bounds = self._outlet, self._operators.bounds
        while True:
            while outlet.texts:
                sent = await self._sent(send, outlet.texts.popleft())
                if not sent:
                    outlet.texts.clear()
                    outlet.end("operator.slow")
            if outlet.closing is not None:
                with anyio.move_on_after(bounds.send_s):
                    await _close(send, *outlet.closing)
                scope.cancel()
                return
            session = self._session
            if session is not None and session.outlet is outlet and session.channel.owes:
                session.say(Ack())
                continue
            await outlet.wait()

    async def _sent(self, send: Send, text: str) -> bool:
        with anyio.move_on_after(self._operators.bounds.send_s):
            await send({"type": "websocket.send", "text": text})
            return True
        return False

    def give_up(self) -> None:
        """End: something is wrong that nobody foresaw."""
        self._outlet.shut(1011, "internal error")

    def look_after(self) -> None:
        """See that the token still holds, and send again what was not acknowledged."""
        now_s, epoch = self._now(), self._guard.ledger.epoch
        if epoch != self._judged[0] or now_s - self._judged[1] >= 1.0:
            self._judged = (epoch, now_s)
            if not self._standing.look("operator.connect", self._grant.run).allowed:
                self._outlet.end("capability.unauthenticated")
        session = self._session
        if session is not None and session.outlet is self._outlet:
            for text in session.channel.again(now_s):
                self._outlet.push(text)


# -- the handshake ---------------------------------------------------------------------------


def _token(headers: list[tuple[bytes, bytes]]) -> str:
    """Return the token of a handshake: of its header, or of a subprotocol; else nothing."""
    found: list[str] = []
    for value in _all(headers, b"authorization"):
        scheme, space, token = value.partition(" ")
        found.append(token if scheme == "Bearer" and space else "")
    for value in _all(headers, b"sec-websocket-protocol"):
        offered = [one.strip() for one in value.split(",")]
        found += [one.removeprefix(TOKEN_PREFIX) for one in offered if one.startswith(TOKEN_PREFIX)]
    return found[0] if len(found) == 1 and len(found[0]) <= MAX_TOKEN else ""


def _all(headers: list[tuple[bytes, bytes]], name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in headers if key == name]


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


def _place(key: str) -> tuple[str, str, int] | None:
    """Read run, step and attempt out of an order's key (`run/step-key/attempt`)."""
    run, _, rest = key.partition("/")
    step, _, attempt = rest.rpartition("/")
    if not (run and step and attempt.isascii() and attempt.isdigit() and len(attempt) < 10):
        return None
    return run, step, int(attempt)


def _reason(text: str) -> str:
    """Cut a reason to what fits into a closing frame."""
    return text.encode("utf-8", "replace")[:120].decode("utf-8", "ignore")


async def _close(send: Send, number: int, reason: str) -> None:
    await send({"type": "websocket.close", "code": number, "reason": _reason(reason)})


async def _reject(scope: Scope, send: Send, rejected: _RejectedError) -> None:
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    body = json.dumps({"status": rejected.status, "code": rejected.code, "detail": str(rejected)})
    headers = [(b"content-type", b"application/problem+json"), (b"cache-control", b"no-store")]
    if rejected.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    start = {"type": "websocket.http.response.start", "status": rejected.status}
    await send({**start, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body.encode()})


async def _answer_http(send: Send) -> None:
    body = b"speak WebSocket here\n"
    headers = [
        (b"upgrade", b"websocket"),
        (b"connection", b"close"),
        (b"content-type", b"text/plain"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": 426, "headers": headers})
    await send({"type": "http.response.body", "body": body})
