"""A WebSocket client that can be wrong: bytes and frames as a test wants them."""

from __future__ import annotations

import json
import os
import socket
import struct
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import anyio
from anyio.abc import SocketStream

from swarm.operators.frames import PROTOCOL

__all__ = ("RawLine", "close_all", "frame", "request")

# What a test has opened: `close_all` ends it.
OPENED: list[RawLine] = []


async def close_all() -> None:
    """Close what was opened since."""
    with anyio.CancelScope(shield=True):
        while OPENED:
            await OPENED.pop().aclose()


TEXT, BINARY, CLOSE, PING, PONG, MORE = 1, 2, 8, 9, 10, 0


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, mask: bool = True, rsv: int = 0
) -> bytes:
    """Write a frame; *rsv* are the three reserved bits."""
    head = bytes([(0x80 if fin else 0) | (rsv << 4) | opcode])
    bit, size = (0x80 if mask else 0), len(payload)
    if size < 126:
        head += bytes([bit | size])
    elif size < 65536:
        head += bytes([bit | 126]) + struct.pack(">H", size)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", size)
    # A mask of zeros leaves the payload as it is.
    return head + (bytes(4) if mask else b"") + payload


def request(
    token: str | None,
    *,
    headers: Sequence[tuple[str, str]] = (),
    protocol: str | None = PROTOCOL,
    path: str = "/operators",
    drop: Sequence[str] = (),
    line: str | None = None,
) -> bytes:
    """Write a handshake; *drop* leaves headers out, *line* replaces the first line."""
    wanted = [
        ("Host", "127.0.0.1"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", b64encode(os.urandom(16)).decode()),
        ("Sec-WebSocket-Version", "13"),
    ]
    if protocol is not None:
        wanted.append(("Sec-WebSocket-Protocol", protocol))
    if token is not None:
        wanted.append(("Authorization", f"Bearer {token}"))
    named = {name.lower() for name, _ in headers} | {name.lower() for name in drop}
    kept = [(name, value) for name, value in wanted if name.lower() not in named]
    head = line or f"GET {path} HTTP/1.1"
    lines = [head, *(f"{name}: {value}" for name, value in (*kept, *headers))]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class RawLine:
    """One connection. Shape: `status` and `head` are the answer to the handshake."""

    def __init__(self, stream: SocketStream) -> None:
        self.stream = stream
        self.buffer = b""
        self.status = 0
        self.head = ""
        self.body: Any = None
        self.session = ""
        self.epoch = 1
        self.sent = 0
        self.received = 0

    @classmethod
    async def dial(cls, port: int) -> RawLine:
        """Open a connection and say nothing."""
        line = cls(await anyio.connect_tcp("127.0.0.1", port))
        OPENED.append(line)
        return line

    @classmethod
    async def shake(cls, port: int, raw: bytes) -> RawLine:
        """Send a handshake and read the answer."""
        line = await cls.dial(port)
        await line.stream.send(raw)
        await line.read_head()
        return line

    async def read_head(self) -> None:
        while b"\r\n\r\n" not in self.buffer:
            if not await self._more():
                return
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        self.head = head.decode("latin-1")
        self.status = int(self.head.split(" ")[1])
        if self.status != 101:
            while await self._more():
                pass
            self.body = self.buffer

    async def _more(self) -> bool:
        try:
            with anyio.fail_after(30):
                self.buffer += await self.stream.receive(1 << 20)
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            return False
        return True

    async def send(self, *raw: bytes) -> None:
        """Send bytes; that nobody takes them is no failure of the test."""
        try:
            with anyio.fail_after(30):
                await self.stream.send(b"".join(raw))
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, RuntimeError):
            # Anyio's stream raises the last where its own end was closed before.
            return

    async def frame(self) -> tuple[int, bytes] | None:
        """Read a frame of the server; None: there will be none."""
        while True:
            found = self._cut()
            if found is not None:
                return found
            if not await self._more():
                return None

    def _cut(self) -> tuple[int, bytes] | None:
        data = self.buffer
        if len(data) < 2:
            return None
        size, at = data[1] & 0x7F, 2
        if size == 126:
            size, at = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, at = int.from_bytes(data[2:10], "big"), 10
        if len(data) < at + size:
            return None
        self.buffer = data[at + size :]
        return data[0] & 0x0F, data[at : at + size]

    async def closed(self) -> int | None:
        """Return the code that the server closes with (None: it just goes)."""
        while (found := await self.frame()) is not None:
            if found[0] == PING:
                await self.send(frame(PONG, found[1]))
            if found[0] == CLOSE:
                self.reason = found[1][2:].decode()
                await self.send(frame(CLOSE, found[1]))
                return int.from_bytes(found[1][:2], "big")
        return None

    # -- the protocol ------------------------------------------------------------------

    async def say(self, kind: str, **fields: Any) -> None:
        """Say something, without a number."""
        await self.send(frame(TEXT, json.dumps({"type": kind, **fields}).encode()))

    async def tell(self, kind: str, **fields: Any) -> int:
        """Say something with the next number."""
        self.sent += 1
        await self.say(kind, n=self.sent, ack=self.received, epoch=self.epoch, **fields)
        return self.sent

    async def hear(self, *kinds: str) -> dict[str, Any]:
        """Return the next message of one of these kinds; others are passed over."""
        while (found := await self.frame()) is not None:
            if found[0] == PING:
                await self.send(frame(PONG, found[1]))
            if found[0] == CLOSE:
                self.reason = found[1][2:].decode()
                raise AssertionError(f"closed: {int.from_bytes(found[1][:2], 'big')} {self.reason}")
            if found[0] != TEXT:
                continue
            said: dict[str, Any] = json.loads(found[1])
            if "n" in said and said["type"] != "error":
                self.received = max(self.received, said["n"])
            if said["type"] in kinds:
                return said
        raise AssertionError(f"the line ended before {kinds}")

    async def hello(self, name: str = "ada", **fields: Any) -> dict[str, Any]:
        """Say hello and return the welcome."""
        await self.say("hello", name=name, **{"seats": ["reviewer"], **fields})
        welcome = await self.hear("welcome")
        self.session, self.epoch = welcome["session"], welcome["epoch"]
        return welcome

    async def alive(self) -> None:
        """See that the line still works."""
        await self.say("heartbeat")
        await self.hear("heartbeat")

    @property
    def raw(self) -> socket.socket:
        """The socket below, for what is done past the loop."""
        return self.stream.extra(anyio.abc.SocketAttribute.raw_socket)  # noqa: S610 - no database

    def reset(self) -> None:
        """Vanish as a machine does that is switched off and on."""
        self.raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def aclose(self) -> None:
        await self.stream.aclose()
