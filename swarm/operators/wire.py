"""What uvicorn leaves open of a hostile line: long handshakes, floods of small frames.

uvicorn with `websockets` refuses what is no WebSocket, and messages that are too large.
What it does not bound is how long a handshake or a message may take, into how many frames
a message is cut, and how many control frames come; these two protocols do. `options` gives
all that a server of operators should be started with.
"""

from __future__ import annotations

from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from swarm.operators.limits import DEFAULT_BOUNDS, Bounds

__all__ = ("HANDSHAKE_S", "MESSAGE_S", "PING_S", "GuardedHttp", "GuardedLine", "options")

# Until the head of a request is there, and until a message that has begun is.
HANDSHAKE_S = 5.0
MESSAGE_S = 30.0
# Between two pings, and until the answer to one.
PING_S = 20.0
_MOST_FRAGMENTS = 1024
_MOST_HEADERS, _LONGEST_HEADER = 128, 8192
_WITH_BODY = frozenset({b"content-length", b"transfer-encoding"})
# Twice what one sends who pings once a second over ten minutes without reading.
_CONTROL_RATE, _CONTROL_BURST = 50.0, 200


class GuardedHttp(H11Protocol):
    """Ends connections that do not say what they want."""

    _patience: Any = None
    # The last bytes of a head that is not whole; None: it was.
    _tail: bytes | None = b""

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take bytes in; once a request is whole, its answer takes as long as it takes."""
        if self._tail is not None and self._is_folded(data):
            self._refuse(400, b"Bad Request")
            return
        super().data_received(data)
        if self._patience is not None and self.headers:
            self._patience.cancel()

    def _is_folded(self, data: bytes) -> bool:
        """Say whether a header goes on in another line, which h11 would make one of."""
        head, end, _ = ((self._tail or b"") + data).partition(b"\r\n\r\n")
        self._tail = None if end else head[-3:]
        return b"\r\n " in head or b"\r\n\t" in head

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand over to a line, unless the handshake carries what no handshake does.

        uvicorn writes the request anew, as one of HTTP/1.1, and drops what came behind it.
        """
        names = {name for name, _ in self.headers}
        largest = max(len(name) + len(value) for name, value in self.headers)
        if len(self.headers) > _MOST_HEADERS or largest > _LONGEST_HEADER:
            self._refuse(431, b"Request Header Fields Too Large")
        elif event.http_version != b"1.1" or names & _WITH_BODY or self.conn.trailing_data[0]:
            self._refuse(400, b"Bad Request")
        else:
            super().handle_websocket_upgrade(event)

    def _refuse(self, status: int, reason: bytes) -> None:
        head = b"HTTP/1.1 %d %s\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        self.transport.write(head % (status, reason))
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        if self._patience is not None:
            self._patience.cancel()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._patience = self.loop.call_later(HANDSHAKE_S, self.transport.close)


class GuardedLine(WebSocketsSansIOProtocol):
    """Bounds fragments, control frames and the time of a message."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._pieces = 0
        self._left = float(_CONTROL_BURST)
        self._at_s = self.loop.time()
        self._patience: Any = None
        self.close_timeout = 5.0

    def data_received(self, data: bytes) -> None:
        """Take bytes in, unless the line is being closed for what came before."""
        if self.close_sent and self.conn.parser_exc is not None:
            return
        super().data_received(data)
        self._watch()

    def handle_events(self) -> None:
        """Look at frames before they are put together."""
        for event in self.conn.events_received():
            if isinstance(event, Frame):
                fault = self._fault(event)
                if fault is not None:
                    self._end(*fault)
                    return
            self._handled(event)

    def _handled(self, event: Any) -> None:
        self.conn.events.append(event)
        super().handle_events()

    def _fault(self, frame: Frame) -> tuple[int, str] | None:
        if frame.opcode.name in ("PING", "PONG"):
            now_s = self.loop.time()
            gained = (now_s - self._at_s) * _CONTROL_RATE
            self._left = min(self._left + gained, float(_CONTROL_BURST)) - 1
            self._at_s = now_s
            return (1008, "too many control frames") if self._left < 0 else None
        self._pieces = 0 if frame.fin else self._pieces + 1
        if self._pieces > _MOST_FRAGMENTS:
            return 1009, "too many fragments"
        return None

    def _watch(self) -> None:
        """Wait for the rest of a message that has begun, and not for ever."""
        begun = self._pieces > 0 or self._half()
        if begun and self._patience is None:
            late = (1008, "a message took too long")
            self._patience = self.loop.call_later(MESSAGE_S, self._end, *late)
        elif not begun and self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _half(self) -> bool:
        """Say whether a part of a frame has come."""
        return bool(self.conn.reader.buffer) and not self.close_sent

    def _end(self, code: int, reason: str) -> None:
        """Close the line and hear nothing more."""
        if self.close_sent or self.transport.is_closing():
            return
        self.conn.fail(code, reason)
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.frames = []
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        if self._patience is not None:
            self._patience.cancel()
        super().connection_lost(exc)


def options(bounds: Bounds = DEFAULT_BOUNDS) -> dict[str, Any]:
    """Return what `uvicorn.Config` is to be given beside the application."""
    return {
        "http": GuardedHttp,
        "ws": GuardedLine,
        # Twice of what the protocol takes: beyond that, the library ends the line with 1009.
        "ws_max_size": 2 * bounds.message_bytes,
        "ws_ping_interval": PING_S,
        "ws_ping_timeout": PING_S,
        "ws_per_message_deflate": False,
        "server_header": False,
        "date_header": False,
        "h11_max_incomplete_event_size": 32 * 1024,
        "timeout_keep_alive": 5,
        "proxy_headers": False,
        # Addresses in a log may hold what somebody put there by mistake: a token.
        "access_log": False,
        "log_level": "warning",
    }
