"""Before all routes: may anybody come in, who is it, and is what he brings well-formed?

    drain → throttle → token → size → form of the body → idempotency → routes

What is decided here is decided before a route is looked for, so an unknown address tells
nothing to whoever has no token. `OPEN` are the addresses that need none.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import field
from hashlib import sha256
from typing import Any, Final, TypeAlias, cast

import anyio
from starlette.responses import Response

from flowir.door import parse_json
from flowir.errors import FlowError
from flowir.limits import DEFAULT_LIMITS
from flowir.records import dataclass
from swarm.api import once
from swarm.api.bearer import Throttle, bearer_of, peer_of, tells_a_token
from swarm.api.metrics import Metrics
from swarm.api.problems import answer_to, problem
from swarm.api.served import Served
from swarm.core.capability.grant import Grant
from swarm.errors import Denied, SwarmError

__all__ = ("OPEN", "Bounds", "Door", "Front")

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Asgi: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

# What whoever watches the process may ask, and whoever writes a client.
OPEN: Final = frozenset({"/health", "/ready", "/openapi.json"})
_WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much anybody may send, how long that may take, and how long a stream is silent.

    Units: bytes; bad tokens of one peer in a minute; peers and answers remembered; seconds
    until a body is there, and without an event, after which a stream of server-sent events
    gives a sign of life.
    """

    body_bytes: int = 2 * 1024 * 1024
    failures: int = 10
    peers: int = 10_000
    answers: int = 1_000
    body_s: float = 30.0
    # Proxies close what is silent for a minute.
    beat_s: float = 15.0


@dataclass(slots=True)
class Front:
    """What the door knows between requests; one for each application."""

    served: Served
    bounds: Bounds = field(default_factory=Bounds)
    now: Callable[[], float] = time.monotonic
    draining: bool = False
    metrics: Metrics = field(default_factory=Metrics)
    throttle: Throttle = field(init=False)
    memory: once.Memory = field(init=False)

    def __post_init__(self) -> None:
        bounds = self.bounds
        self.throttle = Throttle(self.now, most=bounds.failures, peers=bounds.peers)
        self.memory = once.Memory(bounds.answers)


class Door:
    """The way in, around the application."""

    def __init__(self, app: Asgi, front: Front) -> None:
        self._app = app
        self._front = front

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with self._front.metrics.request(scope) as told:

            async def sending(message: Message) -> None:
                if message["type"] == "http.response.start":
                    told.status = message["status"]
                    message["headers"] = [*message.get("headers", ()), *_ALWAYS]
                await send(message)

            refused = await self._serve(scope, receive, sending)
            if refused is not None:
                await refused(scope, receive, sending)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> Response | None:
        """Let a request in; return the answer to one that may not come in."""
        if _is_ambiguous(scope):
            said = "expected one of content-length and transfer-encoding, got both"
            return problem("http.malformed", said, _CLOSING)
        if _path(scope) in OPEN:
            await self._app(scope, receive, send)
            return None
        front = self._front
        if front.draining:
            return problem("http.draining", "expected a host that is open, got one that is closing")
        peer = peer_of(scope.get("client"))
        wait_s = front.throttle.wait_s(peer)
        if wait_s > 0:
            front.metrics.throttled.inc()
            return _wait(wait_s)
        try:
            token, grant = await self._admitted(scope)
        except Denied as denied:
            front.throttle.failed(peer)
            front.metrics.refused.inc()
            return answer_to(denied)
        except SwarmError as error:
            return answer_to(error)
        visit = scope.setdefault("state", {})
        visit["visitor"] = front.served.guest(token)
        visit["grant"] = grant
        body: bytes | None = None
        try:
            with anyio.move_on_after(front.bounds.body_s) as waiting:
                body = await self._body(scope, receive)
        except (SwarmError, FlowError) as error:
            return answer_to(error)
        if waiting.cancelled_caught:
            said = f"body: expected all of it within {front.bounds.body_s:g} s, got less"
            return problem("http.slow", said, _CLOSING)
        if body is None:
            return None
        key = _header(scope, once.HEADER)
        if key is None or scope["method"] not in _WRITES:
            await self._app(scope, _replayed(body, receive), send)
            return None
        return await self._once(scope, key, token, body, receive, send)

    async def _admitted(self, scope: Scope) -> tuple[str, Grant]:
        token = bearer_of(scope["headers"])
        if token is None or tells_a_token(scope.get("query_string", b"")):
            token = ""
        return token, await self._front.served.guest(token).admitted()

    # -- the body ----------------------------------------------------------------------

    async def _body(self, scope: Scope, receive: Receive) -> bytes | None:
        """Return the body, well-formed; None: whoever sent it has gone.

        Raises: SwarmError (http.too_large, http.media); FlowError, for what is no JSON.
        """
        most = self._front.bounds.body_bytes
        length = _header(scope, b"content-length") or b"0"
        if not length.isdigit() or int(length[:20]) > most:
            raise _too_large(most)
        found = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            found += message.get("body", b"")
            if len(found) > most:
                raise _too_large(most)
            if not message.get("more_body", False):
                break
        body = bytes(found)
        if body:
            _check(body, _header(scope, b"content-type") or b"", most)
        return body

    # -- idempotency -------------------------------------------------------------------

    async def _once(
        self, scope: Scope, raw: bytes, token: str, body: bytes, receive: Receive, send: Send
    ) -> Response | None:
        """Answer as it was answered before, or answer and remember."""
        memory = self._front.memory
        try:
            key = once.checked_key(raw)
            about = f"{scope['method']} {scope['path']}?".encode() + scope.get("query_string", b"")
            request = sha256(about + b"\0" + body).digest()
            name = sha256(b"\0".join((token.encode(), raw))).digest()
            entry, is_new = memory.find(name, request)
        except SwarmError as error:
            return answer_to(error)
        scope["state"]["key"] = key
        if not is_new:
            await entry.done.wait()
            if not entry.messages:
                return problem(
                    "http.again", "expected the first request to end well; send it again"
                )
            for message in entry.messages:
                await send(dict(message))
            return None
        recorder = _Recorder(send, memory.largest)
        try:
            await self._app(scope, _replayed(body, receive), recorder)
        finally:
            if recorder.complete:
                entry.messages = recorder.messages
                entry.done.set()
            else:
                memory.forget(name)
        return None


class _Recorder:
    """Hands an answer on and keeps it: a whole one, of a request that was carried out."""

    def __init__(self, send: Send, largest: int) -> None:
        self._send = send
        self._left = largest
        self.messages: list[Message] = []
        self.complete = False

    async def __call__(self, message: Message) -> None:
        self._left -= len(message.get("body", b""))
        self.messages.append(dict(message))
        whole = message["type"] == "http.response.body" and not message.get("more_body", False)
        # What failed for a reason of ours, or for one that passes, may be tried again.
        passing = self.messages[0].get("status", 500) >= 400
        self.complete = whole and self._left >= 0 and not passing
        await self._send(message)


# Whoever sends what nobody can tell the end of is not heard further.
_CLOSING: Final = {"connection": "close"}
_ALWAYS: Final = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]


def _path(scope: Scope) -> str:
    path, root = cast("str", scope["path"]), cast("str", scope.get("root_path", ""))
    return path.removeprefix(root) if root and path.startswith(root + "/") else path


def _is_ambiguous(scope: Scope) -> bool:
    """Say whether a body has two ends: what stands before a server may believe the other."""
    given = _header(scope, b"transfer-encoding"), _header(scope, b"content-length")
    return None not in given


def _header(scope: Scope, name: bytes) -> bytes | None:
    headers = cast("Iterable[tuple[bytes, bytes]]", scope["headers"])
    return next((value for key, value in headers if key.lower() == name), None)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Hand the body over in one piece; behind it comes what the server has to say."""
    left = [body]

    async def once_more() -> Message:
        if left:
            return {"type": "http.request", "body": left.pop(), "more_body": False}
        return await receive()

    return once_more


def _check(body: bytes, media: bytes, most: int) -> None:
    if media.split(b";")[0].strip().lower() != b"application/json":
        said = "content-type: expected application/json, got something else"
        raise SwarmError("http.media", said)
    parse_json(body, limits=DEFAULT_LIMITS, max_bytes=most, at="body")


def _too_large(most: int) -> SwarmError:
    return SwarmError("http.too_large", f"body: expected at most {most} bytes, got more")


def _wait(wait_s: float) -> Response:
    seconds = math.ceil(wait_s)
    said = f"expected a token that holds, got too many others; wait {seconds} s"
    return problem("http.throttled", said, {"retry-after": str(seconds)})
