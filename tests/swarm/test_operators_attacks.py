"""Attacks on lines, each with a benign twin one change away: who survives is printed.

Each runs against a host on a port, over raw sockets. `wrong` is the attack, and False its
twin; the twin comes first. Limits are those of the manual, made smaller, so that a test
does not take as long as an attacker would; SWARM_ATTACK_FULL=1 makes attackers as many as
they are there.
"""

from __future__ import annotations

import json
import logging
import os
import random
import re
import resource
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from swarm.operators import Backoff, Bounds, Operators, wire
from swarm.operators.channel import Channel
from swarm.operators.server import Endpoint
from tests.swarm.operating import House, free_port, house, until
from tests.swarm.raw_line import (
    BINARY,
    CLOSE,
    MORE,
    PING,
    TEXT,
    RawLine,
    close_all,
    frame,
    request,
)

pytestmark = pytest.mark.anyio

BOUNDS = Bounds(
    message_bytes=64 * 1024,
    per_address=64,
    connections=100,
    unacked=20,
    redeliver_s=0.4,
    tick_s=0.05,
    hello_s=2,
    send_s=0.4,
    resume_s=600,
)
HANDSHAKE_S = 2
MESSAGE_S = 0.5
LARGEST = 2 * BOUNDS.message_bytes
SEED = int(os.environ.get("SWARM_ATTACK_SEED", "1"))
FULL = os.environ.get("SWARM_ATTACK_FULL") == "1"
# Handshakes with random bytes behind them, and that drip; lines; operators of a host that
# begins anew; messages of a flood. And how long all that may take.
ROUNDS = 10_000 if FULL else 60
DRIPS = 500 if FULL else 100
LINES = 1_000 if FULL else 12
OPERATORS = 64 if FULL else 8
FLOOD = 10_000 if FULL else 5_000
PATIENCE_S = 1_800 if FULL else 60


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


Attack = Callable[["Room", bool], Awaitable[None]]
ATTACKS: dict[str, Attack] = {}
SURVIVED: dict[str, int] = {}


def attack(*numbers: str) -> Callable[[Attack], Attack]:
    def note(function: Attack) -> Attack:
        for number in numbers:
            ATTACKS[number] = function
        return function

    return note


class Room:
    """A host under attack; `again` opens another one, with other limits or over the same store."""

    def __init__(self, one: House, caplog: pytest.LogCaptureFixture, folder: Path) -> None:
        self.one = one
        self.caplog = caplog
        self.folder = folder
        self.token = one.token("ada")

    async def shake(self, **how: Any) -> RawLine:
        token = how.pop("token", self.token)
        return await RawLine.shake(self.one.port, request(token, **how))

    async def line(self, name: str = "ada", **fields: Any) -> RawLine:
        """Return a line that was welcomed."""
        line = await self.shake()
        assert line.status == 101, line.head
        await line.hello(name, **fields)
        return line

    async def held(self, line: RawLine, run_id: str | None = None) -> tuple[Any, Any]:
        """Start a run whose order *line* is given; return the run and the order."""
        run = await self.one.host.start(await self.one.load(), {"given": 1}, run_id=run_id)
        return run, (await line.hear("assign"))["order"]

    async def works(self) -> None:
        """See that a genuine operator gets in and does a step."""
        line = await self.shake(token=self.one.token("good"))
        await line.hello("good", seats=["good"])
        run = await self.one.host.start(await self.one.load({"seat": "good"}), {"given": 1})
        order = (await line.hear("assign"))["order"]
        await line.tell("result", key=order["key"], value="well")
        assert (await run.result())["out"] == "well"
        await line.aclose()

    async def frames(self, *frames: bytes) -> int | None:
        """Send frames on a new line; return the code it is closed with, 0: it goes on."""
        line = await self.line(f"n{random.random()}", seats=["x"])  # noqa: S311 - a name
        await line.send(*frames)
        await line.send(frame(TEXT, b'{"type":"heartbeat"}'))
        try:
            while (found := await line.frame()) is not None:
                if found[0] == CLOSE:
                    return int.from_bytes(found[1][:2], "big")
                if found[0] == TEXT and b"heartbeat" in found[1]:
                    return 0
            return None
        finally:
            await line.aclose()


@asynccontextmanager
async def room(
    caplog: pytest.LogCaptureFixture, folder: Path, bounds: Bounds = BOUNDS, **more: Any
) -> AsyncGenerator[Room]:
    async with house(bounds=bounds, **more) as one:
        try:
            yield Room(one, caplog, folder)
        finally:
            await close_all()


def text(value: Any) -> bytes:
    return frame(TEXT, value if isinstance(value, bytes) else json.dumps(value).encode())


def padded(size: int) -> bytes:
    """Write a heartbeat of exactly *size* bytes."""
    return b'{"type":"heartbeat"' + b" " * (size - 20) + b"}"


# -- frames and sizes (the library) ------------------------------------------------------


@attack("C1")
async def a_header_that_declares_2_62_bytes(room: Room, wrong: bool) -> None:
    size = 2**62 if wrong else 22
    head = bytes([0x81, 0xFF]) + size.to_bytes(8, "big") + bytes(4)
    # A length that would fit into fewer bytes is legal, if odd.
    code = await room.frames(head if wrong else head + b'{"type":"heartbeat"}  ')
    assert code == (1009 if wrong else 0)


@attack("C2")
async def a_message_one_byte_too_large(room: Room, wrong: bool) -> None:
    code = await room.frames(frame(TEXT, padded(LARGEST + wrong)))
    assert code == (1009 if wrong else 0)


@attack("C3")
async def fragments_whose_sum_is_too_large(room: Room, wrong: bool) -> None:
    whole = padded(LARGEST + wrong)
    third = len(whole) // 3
    pieces = [whole[:third], whole[third : 2 * third], whole[2 * third :]]
    code = await room.frames(
        frame(TEXT, pieces[0], fin=False),
        frame(MORE, pieces[1], fin=False),
        frame(MORE, pieces[2]),
    )
    assert code == (1009 if wrong else 0)


@attack("C4", "C5")
async def fragments_without_end(room: Room, wrong: bool) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for piece in (b" ", b""):
        many = 200_000 if wrong else 900
        whole = frame(TEXT, b'{"type":', fin=False)
        whole += frame(MORE, piece, fin=False) * many + frame(MORE, b'"heartbeat"}')
        assert await room.frames(whole) == (1009 if wrong else 0)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 32 * 1024


@attack("C6")
async def a_deflate_bomb(room: Room, wrong: bool) -> None:
    offer = [("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")]
    line = await room.shake(headers=offer)
    assert "extensions" not in line.head.lower()
    await line.hello("deflating", seats=["x"])
    if wrong:
        await line.send(frame(TEXT, bytes(1000), rsv=4))
        assert await line.closed() == 1002
    else:
        await line.alive()
    await line.aclose()


@attack("C7")
async def text_that_is_no_utf_8(room: Room, wrong: bool) -> None:
    e = '{"type":"heartbeat","ack":0}é'.encode()
    whole = e[:-1] if wrong else e[:-2]
    code = await room.frames(frame(TEXT, whole[:5], fin=False), frame(MORE, whole[5:]))
    assert code == (1007 if wrong else 0)


@attack("C8")
async def reserved_bits(room: Room, wrong: bool) -> None:
    for rsv in (1, 2, 4) if wrong else (0,):
        code = await room.frames(frame(TEXT, padded(30), rsv=rsv))
        assert code == (1002 if wrong else 0)


@attack("C9")
async def a_frame_without_a_mask(room: Room, wrong: bool) -> None:
    assert await room.frames(frame(TEXT, padded(30), mask=not wrong)) == (1002 if wrong else 0)


@attack("C10")
async def reserved_opcodes(room: Room, wrong: bool) -> None:
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15) if wrong else (TEXT,):
        assert await room.frames(frame(opcode, padded(30))) == (1002 if wrong else 0)


@attack("C11")
async def control_frames_that_are_long_or_cut(room: Room, wrong: bool) -> None:
    assert await room.frames(frame(PING, bytes(125 + wrong))) == (1002 if wrong else 0)
    assert await room.frames(frame(PING, b"x", fin=not wrong)) == (1002 if wrong else 0)


@attack("C12")
async def fragments_out_of_turn(room: Room, wrong: bool) -> None:
    begun = [] if wrong else [frame(TEXT, b'{"type":', fin=False)]
    code = await room.frames(*begun, frame(MORE, b'"heartbeat"}'))
    assert code == (1002 if wrong else 0)
    within = [frame(TEXT if wrong else PING, b"{}")]
    code = await room.frames(
        frame(TEXT, b'{"type":', fin=False), *within, frame(MORE, b'"heartbeat"}')
    )
    assert code == (1002 if wrong else 0)


@attack("C13")
async def closing_with_codes_that_there_are_not(room: Room, wrong: bool) -> None:
    if not wrong:
        assert await room.frames(frame(CLOSE, (1000).to_bytes(2, "big") + b"bye")) == 1000
        assert await room.frames(frame(CLOSE, (4000).to_bytes(2, "big"))) == 4000
        return
    for number in (0, 999, 1004, 1005, 1006, 1015, 5000):
        assert await room.frames(frame(CLOSE, number.to_bytes(2, "big"))) == 1002
    assert await room.frames(frame(CLOSE, b"\x03")) == 1002
    assert await room.frames(frame(CLOSE, (1000).to_bytes(2, "big") + b"\xff")) == 1007


@attack("C14")
async def data_behind_the_close(room: Room, wrong: bool) -> None:
    line = await room.line("late")
    run, order = await room.held(line)
    answer = {"type": "result", "n": 1, "key": order["key"], "value": "late"}
    close = frame(CLOSE, (1001).to_bytes(2, "big"))
    await line.send(*([close, text(answer)] if wrong else [text(answer), close]))
    await line.closed()
    if wrong:
        await until(lambda: room.one.endpoint.lines == 0)
        assert run.status in ("running", "waiting")
    else:
        assert (await run.result())["out"] == "late"


@attack("C15")
async def a_reset_in_the_middle_of_a_frame(room: Room, wrong: bool) -> None:
    line = await room.line("gone")
    await line.send(frame(TEXT, padded(1000))[: 500 if wrong else None])
    if not wrong:
        await line.hear("heartbeat")
    line.reset()
    await line.aclose()
    await until(lambda: room.one.endpoint.lines == 0, 5)
    assert not _errors(room)


@attack("C16")
async def random_bytes_behind_the_handshake(room: Room, wrong: bool) -> None:
    rng = random.Random(SEED)  # noqa: S311 - no secret
    for n in range(ROUNDS if wrong else 3):
        line = await room.shake()
        if wrong:
            await line.send(rng.randbytes(rng.randrange(1, 400)))
            await line.stream.send_eof()
            await line.closed()
        else:
            await line.hello(f"good{n}", seats=["x"])
            await line.alive()
        await line.aclose()
    assert not _errors(room)


def _errors(room: Room) -> list[str]:
    """Return what was logged as an error, or with a stack."""
    return [
        record.getMessage()
        for record in room.caplog.records
        if record.levelno >= logging.ERROR and "Invalid UTF-8" not in record.getMessage()
    ]


# -- handshakes (the library, but for time) ----------------------------------------------


@attack("C17")
async def random_bytes_instead_of_http(room: Room, wrong: bool) -> None:
    rng = random.Random(SEED)  # noqa: S311 - no secret
    for _ in range(4):
        raw = rng.randbytes(200) if wrong else request(room.token)
        line = await RawLine.dial(room.one.port)
        await line.send(raw)
        with anyio.fail_after(HANDSHAKE_S + 10):
            await line.read_head()
        assert (line.status == 101) is not wrong
        await line.aclose()


@attack("C18")
async def handshakes_that_are_none(room: Room, wrong: bool) -> None:
    if not wrong:
        assert (await room.shake()).status == 101
        return
    tries: list[dict[str, Any]] = [
        {"headers": [("Sec-WebSocket-Version", "7")]},
        {"drop": ["Sec-WebSocket-Key"]},
        {"headers": [("Sec-WebSocket-Key", "short")]},
        {"line": "POST /operators HTTP/1.1"},
        {"line": "GET /operators HTTP/1.0"},
        {"headers": [("Upgrade", "teapot")]},
        {"drop": ["Upgrade"]},
        {"drop": ["Connection"]},
    ]
    for how in tries:
        line = await room.shake(**how)
        assert 400 <= line.status < 500, (how, line.head)
        await line.aclose()


@attack("C19")
async def heads_that_are_too_large_or_malformed(room: Room, wrong: bool) -> None:
    if not wrong:
        for headers in ([(f"X-{n}", "x") for n in range(100)], [("X-Long", "x" * 8000)]):
            line = await room.shake(headers=headers)
            assert line.status == 101, line.head
            await line.aclose()
        return
    for headers in (
        [(f"X-{n}", "x") for n in range(140)],
        [("X-Long", "x" * 8300)],
        [("X-Long", "x" * 70_000)],
        [("X-Fold", "a\r\n b")],
        [("X-Nul", "a\0b")],
        [("X-Return", "a\rb")],
    ):
        line = await room.shake(headers=headers)
        assert line.status != 101, headers[0][0]
        await line.aclose()


@attack("C20")
async def a_second_request_behind_the_first(room: Room, wrong: bool) -> None:
    second = b"GET /secret HTTP/1.1\r\nHost: x\r\n\r\n"
    raw = request(room.token, headers=[("Content-Length", str(len(second)))] if wrong else ())
    line = await RawLine.shake(room.one.port, raw + (second if wrong else b""))
    if not wrong:
        await line.hello("one")
        await line.alive()
    elif line.status == 101:
        # What follows is read as frames, and is none.
        assert await line.closed() in (1002, None)
    else:
        assert 400 <= line.status < 500
    await line.aclose()


@attack("C21")
async def handshakes_that_drip(room: Room, wrong: bool) -> None:
    slow = [await RawLine.dial(room.one.port) for _ in range(DRIPS if wrong else 1)]
    for line in slow:
        await line.send(b"GET /operators HTTP/1.1\r\nHost: x\r\n")
    if not wrong:
        await slow[0].send(request(room.token).partition(b"\r\nHost: 127.0.0.1\r\n")[2])
        await slow[0].read_head()
        assert slow[0].status == 101
        return
    await room.works()
    with anyio.fail_after(HANDSHAKE_S + 10):
        for line in slow:
            while await line.frame() is not None:
                pass
            await line.aclose()


@attack("C22")
async def a_message_that_drips(room: Room, wrong: bool) -> None:
    line = await room.line("slow")
    whole = frame(TEXT, padded(100))
    # Who goes on behind the close is reset, and may not read it.
    for n in range(0, 16, 2) if wrong else (0,):
        await line.send(whole[n : n + 2] if wrong else whole)
        await anyio.sleep(0.05 if wrong else 0)
    if wrong:
        assert await line.closed() == 1008
    else:
        await line.hear("heartbeat")
    await line.aclose()


# -- who may come in ---------------------------------------------------------------------


@attack("C23")
async def a_line_of_nobody(room: Room, wrong: bool) -> None:
    if not wrong:
        await room.works()
        return
    assert (await room.shake(token=None)).status == 401
    silent = await room.shake()
    assert await silent.closed() == 4408
    first = await room.shake()
    await first.say("heartbeat")
    assert await first.closed() == 4400


@attack("C24", "C25")
async def more_lines_than_there_may_be(room: Room, wrong: bool) -> None:
    small = Bounds(per_address=8, tick_s=0.05)
    few = Bounds(connections=8, per_address=100, tick_s=0.05)
    for bounds, status in ((small, 429), (few, 503)):
        async with house(bounds=bounds) as other:
            token = other.token("ada")
            lines = [await RawLine.shake(other.port, request(token)) for _ in range(8)]
            assert {line.status for line in lines} == {101}
            for n, line in enumerate(lines):
                await line.hello(f"n{n}")
            for _ in range(LINES - 8 if wrong else 0):
                more = await RawLine.shake(other.port, request(token))
                assert more.status == status
                await more.aclose()
            await lines[0].alive()
            await lines[1].aclose()
            await until(lambda at=other: at.endpoint.lines == 7)
            assert (await RawLine.shake(other.port, request(token))).status == 101


@attack("C26")
async def a_peer_that_vanishes(room: Room, wrong: bool) -> None:
    line = await room.line("half")
    # The pings of this room come every 0.3 s; an answer is waited for as long.
    with anyio.move_on_after(1.5):
        while (found := await line.frame()) is not None:
            if found[0] == PING and not wrong:
                await line.send(frame(10, found[1]))
            if found[0] == CLOSE:
                break
    if wrong:
        await until(lambda: room.one.endpoint.lines == 0, 5)
        assert next(iter(room.one.operators.sessions.values())).state == "away"
    else:
        await line.alive()


@attack("C27", "C28")
async def a_peer_that_reads_nothing(room: Room, wrong: bool) -> None:
    line = await room.line("stuck", capacity=64)
    runs: list[Any] = []
    for _ in range(64 if wrong else 5):
        blueprint = await room.one.load()
        runs.append(await room.one.host.start(blueprint, {"given": "x" * 60_000}))
    if not wrong:
        for _ in runs:
            await line.hear("assign")
            await line.say("ack", ack=line.received, epoch=1)
        await line.alive()
        return
    await until(lambda: room.one.endpoint.lines == 0, 10)
    session = next(iter(room.one.operators.sessions.values()))
    assert session.channel.unacked <= BOUNDS.unacked + 64
    assert {run.status for run in runs} <= {"running", "waiting"}


@attack("C29", "C30")
async def floods(room: Room, wrong: bool) -> None:
    many = FLOOD if wrong else 100
    async with house(bounds=Bounds(tick_s=0.05)) as other:
        for flood in (frame(PING, b"x"), text({"type": "ack"})):
            line = await RawLine.shake(other.port, request(other.token("ada")))
            await line.hello("flood")
            await line.send(flood * many)
            if wrong:
                assert await line.closed() == 1008
            else:
                await line.alive()
            await line.aclose()


@attack("C31")
async def json_without_a_bottom(room: Room, wrong: bool) -> None:
    line = await room.line("deep")
    run, order = await room.held(line)
    depth = 30_000 if wrong else 100
    nested = b"[" * depth + b"]" * depth
    body = b'{"type":"result","n":1,"key":"%s","value":%s}' % (order["key"].encode(), nested)
    await line.send(text(body))
    said = await line.hear("error", "settled")
    if wrong:
        assert said["number"] == 4400
        assert run.status in ("running", "waiting")
        await line.alive()
    else:
        assert said["outcome"] == "taken"


@attack("C32")
async def origins_of_browsers(room: Room, wrong: bool) -> None:
    good = "https://desk.example"
    async with house(bounds=BOUNDS) as other:
        other.endpoint._origins = frozenset({good})  # pyright: ignore[reportPrivateUsage]
        token = other.token("ada")
        if not wrong:
            for headers in ([], [("Origin", good)]):
                assert (await _status(other.port, token, headers)) == 101
            return
        for origin in (
            "https://evil.example", "null", "", "HTTPS://DESK.EXAMPLE", "https://a.desk.example",
            "https://desk.example:8443", "https://d\u00e9sk.example", "https://desk.example/",
            "http://desk.example", "https://desk.example.evil.example",
        ):  # fmt: skip
            assert (await _status(other.port, token, [("Origin", origin)])) in (400, 403), origin
        twice = [("Origin", good), ("Origin", "https://evil.example")]
        assert (await _status(other.port, token, twice)) in (400, 403)
    assert (await _status(room.one.port, room.token, [("Origin", good)])) == 403


async def _status(port: int, token: str | None, headers: list[tuple[str, str]]) -> int:
    line = await RawLine.shake(port, request(token, headers=headers))
    await line.aclose()
    return line.status


@attack("C33")
async def a_token_in_a_cookie(room: Room, wrong: bool) -> None:
    cookie = [("Cookie", f"token={room.token}")]
    assert (await _status(room.one.port, None if wrong else room.token, cookie)) == (
        401 if wrong else 101
    )


@attack("C34")
async def a_token_in_the_address(room: Room, wrong: bool) -> None:
    if not wrong:
        protocols = f"swarm.operator.v1, swarm.token.{room.token}"
        line = await room.shake(token=None, protocol=protocols)
        assert line.status == 101
        assert "swarm.token" not in line.head
        return
    line = await room.shake(token=None, path=f"/operators?token={room.token}")
    assert line.status == 401
    for doubled in (
        [("Authorization", f"Bearer {room.token}, Bearer {room.token}")],
        [("Authorization", f"bearer {room.token}")],
        [("Authorization", f"Bearer  {room.token}")],
        [("Authorization", f"Bearer {room.token}"), ("Authorization", f"Bearer {room.token}")],
        [("Authorization", room.token)],
    ):
        assert (await room.shake(token=None, headers=doubled)).status == 401
    assert room.token not in room.caplog.text


@attack("C35")
async def a_token_that_runs_out(room: Room, wrong: bool) -> None:
    token = room.one.token("brief", ttl_s=1 if wrong else 100)
    line = await room.shake(token=token)
    await line.hello("brief")
    if wrong:
        with anyio.fail_after(10):
            assert await line.closed() == 4401
        again = await room.shake(token=token)
        assert again.status == 401
    else:
        await line.alive()


@attack("C36")
async def a_token_that_is_revoked(room: Room, wrong: bool) -> None:
    line = await room.line("ada")
    await room.one.host.tokens.revoke(subject="ada" if wrong else "bob")
    if wrong:
        with anyio.fail_after(20):
            assert await line.closed() == 4401
    else:
        await anyio.sleep(0.2)
        await line.alive()


# -- sessions ----------------------------------------------------------------------------


@attack("C37")
async def a_session_of_somebody_else(room: Room, wrong: bool) -> None:
    line = await room.line("ada")
    await line.aclose()
    await until(lambda: room.one.endpoint.lines == 0)
    if not wrong:
        back = await room.shake()
        assert (await back.hello("ada", resume={"session": line.session, "last": 0}))["resumed"]
        return
    said: list[Any] = []
    for session in (line.session, "guessed"):
        eve = await room.shake(token=room.one.token("eve"))
        await eve.say("hello", name="ada", resume={"session": session, "last": 0})
        said.append(await eve.hear("error"))
        assert not (await eve.hear("welcome"))["resumed"]
    assert said[0] == said[1]
    assert said[0]["number"] == 4410


@attack("C38", "C39")
async def two_lines_of_one_session(room: Room, wrong: bool) -> None:
    old = await room.line("ada")
    run, order = await room.held(old)
    new = await room.shake()
    welcome = await new.hello("ada", resume={"session": old.session, "last": old.received})
    assert welcome["resumed"]
    assert welcome["epoch"] == 2
    line = old if wrong else new
    await line.tell("result", key=order["key"], value="from this one")
    if wrong:
        assert await old.closed() == 4409
        await new.alive()
        assert run.status in ("running", "waiting")
        new.sent = 0
        await new.say("result", n=1, ack=0, epoch=1, key=order["key"], value="late epoch")
        assert (await new.hear("error"))["number"] == 4409
        assert run.status in ("running", "waiting")
    else:
        assert (await run.result())["out"] == "from this one"


@attack("C40")
async def an_answer_that_is_sent_again_on_the_next_line(room: Room, wrong: bool) -> None:
    line = await room.line("ada")
    run, order = await room.held(line)
    answer = {"type": "result", "n": 1, "ack": 1, "key": order["key"], "value": "once"}
    await line.send(text(answer))
    assert (await run.result())["out"] == "once"
    await line.aclose()
    if wrong:
        back = await room.shake()
        await back.hello("ada", resume={"session": line.session, "last": 1})
        await back.send(text({**answer, "epoch": 2, "value": "twice"}))
        settled = await back.hear("settled")
        assert settled["outcome"] == "taken"
        await back.send(text({**answer, "epoch": 2, "n": 2, "value": "twice"}))
        assert (await back.hear("settled"))["outcome"] == "duplicate"
        session = room.one.operators.sessions[line.session]
        assert session.channel.duplicates == 1
    ends = [e async for e in run.events() if e["kind"] == "step.finished"]
    assert len(ends) == 1


@attack("C41")
async def lines_that_are_cut_at_any_moment(room: Room, wrong: bool) -> None:
    rng = random.Random(SEED)  # noqa: S311 - no secret
    line = await room.line("ada", capacity=1)
    keys: list[str] = []
    numbers: list[int] = []
    runs = [await room.one.host.start(await room.one.load(), {"given": n}) for n in range(20)]
    while len(keys) < len(runs):
        found = await line.hear("assign", "settled")
        numbers.append(found["n"])
        if found["type"] == "assign":
            keys.append(found["order"]["key"])
            await line.tell("result", key=keys[-1], value=len(keys))
        if wrong and rng.random() < 0.5:
            last = line.received
            session, sent = line.session, line.sent
            line.reset()
            await line.aclose()
            line = await room.shake()
            welcome = await line.hello("ada", resume={"session": session, "last": last})
            assert welcome["resumed"]
            line.received, line.sent = last, welcome["last"]
            if welcome["last"] < sent:
                await line.tell("result", key=keys[-1], value=len(keys))
    outs = [(await run.result())["out"] for run in runs]
    assert sorted(outs) == list(range(1, 21))
    assert len(set(keys)) == 20
    assert numbers == sorted(set(numbers))


@attack("C42")
async def numbers_that_were_never_given(room: Room, wrong: bool) -> None:
    for last in (99, 2**52, 2**70, -1, 1.5, "1") if wrong else (0,):
        line = await room.line("ada")
        await line.aclose()
        await until(lambda: room.one.endpoint.lines == 0)
        back = await room.shake()
        await back.say("hello", name="ada", resume={"session": line.session, "last": last})
        if wrong:
            assert await back.closed() == 4400
        else:
            assert (await back.hear("welcome"))["resumed"]


@attack("C43")
async def a_session_that_is_not_kept_any_more(room: Room, wrong: bool) -> None:
    bounds = Bounds(resume_s=0.1 if wrong else 60, tick_s=0.05)
    async with house(bounds=bounds) as other:
        inside = Room(other, room.caplog, room.folder)
        line = await inside.line("ada")
        run, order = await inside.held(line)
        await line.aclose()
        await anyio.sleep(0.3)
        back = await inside.shake()
        await back.say("hello", name="ada", seats=["reviewer"],
                       resume={"session": line.session, "last": 1})  # fmt: skip
        if not wrong:
            welcome = await back.hear("welcome")
            assert (welcome["resumed"], welcome["orders"]) == (True, [order["key"]])
            return
        assert (await back.hear("error"))["number"] == 4410
        assert not (await back.hear("welcome"))["resumed"]
        again = (await back.hear("assign"))["order"]
        assert again["key"] == order["key"]
        await back.tell("result", key=again["key"], value="again")
        assert (await run.result())["out"] == "again"


@attack("C44")
async def everybody_comes_back_at_once(room: Room, wrong: bool) -> None:
    if not wrong:
        delays = [Backoff().delay_s(n) for n in range(1, 40) for _ in range(20)]
        assert min(delays) >= 0.25
        assert max(delays) <= 30
        assert len(set(delays)) > 700
        return
    lines = [await room.line(f"n{n}") for n in range(32)]
    for _ in range(5):
        for n, line in enumerate(lines):
            line.reset()
            await line.aclose()
            lines[n] = await room.shake()
            resume = {"session": line.session, "last": line.received}
            assert (await lines[n].hello(f"n{n}", resume=resume))["resumed"]
    assert len(room.one.operators.sessions) == 32
    await room.works()


@attack("C45")
async def a_host_that_begins_anew_while_many_are_connected(room: Room, wrong: bool) -> None:
    store, port, many = room.folder / str(wrong), free_port(), OPERATORS
    done: list[str] = []
    hold = anyio.Event()
    async with anyio.create_task_group() as tasks:
        async with house(store, port=port) as one:
            operators = [one.operator(f"n{n}", seats=[f"s{n}"]) for n in range(many)]
            for operator in operators:

                @operator.handler
                async def work(task: Any) -> Any:
                    done.append(task.key)
                    await hold.wait()
                    return "done"

                tasks.start_soon(operator.run)
            # One seat each: where several share one, another may be asked before he is back.
            for n in range(many):
                blueprint = await one.load({"seat": f"s{n}"})
                await one.host.start(blueprint, {"given": n}, run_id=f"run{n}")
            await until(lambda: len(done) == many)
            if not wrong:
                hold.set()
                for n in range(many):
                    await (await one.host.run(f"run{n}")).result()
        hold.set()
        await until(lambda: all(o.hands.answers for o in operators))
        async with house(store, port=port) as again:
            for n in range(many):
                run = await again.host.run(f"run{n}")
                await until(lambda at=run: at.status == "succeeded", 60)
                assert (await run.result())["out"] == "done"
        tasks.cancel_scope.cancel()
    assert len(done) == many


# -- messages ----------------------------------------------------------------------------


@attack("C46")
async def a_message_about_somebody_elses_order(room: Room, wrong: bool) -> None:
    ada, eve = await room.line("ada"), await room.line("eve", seats=["other"])
    run, order = await room.held(ada)
    line = eve if wrong else ada
    await line.tell("progress", key=order["key"], text="mine")
    await line.tell("part", key=order["key"], name="p", value=1)
    await line.tell("result", key=order["key"], value="mine", token="v1.x.y.z")  # noqa: S106
    if wrong:
        assert (await eve.hear("error"))["number"] == 4422
        assert (await eve.hear("settled"))["outcome"] == "stale"
        await eve.alive()
        assert run.status in ("running", "waiting")
    else:
        assert (await run.result())["out"] == "mine"


@attack("C47")
async def types_that_are_confused(room: Room, wrong: bool) -> None:
    line = await room.line("ada")
    if not wrong:
        await line.tell("drain")
        await line.alive()
        return
    confused: list[Any] = [
        [], 1, None, "x", {}, {"type": 5}, {"type": "welcome"}, {"type": "hello", "name": "ada"},
        {"type": "ack", "ack": "1"}, {"type": "result", "n": 1, "key": "k", "value": 1, "more": 2},
    ]  # fmt: skip
    for one in confused:
        await line.send(text(one))
        assert (await line.hear("error"))["number"] == 4400
    await line.alive()
    await line.send(frame(BINARY, b"{}"))
    assert await line.closed() == 4400


@attack("C48")
async def an_answer_that_is_too_large(room: Room, wrong: bool) -> None:
    line = await room.line("ada")
    run, order = await room.held(line)
    await line.tell("result", key=order["key"], value="x" * (BOUNDS.message_bytes * (1 + wrong)
                                                           - 30_000))  # fmt: skip
    if wrong:
        assert (await line.hear("error"))["number"] == 4413
        line.sent = 0
        await line.tell("result", key=order["key"], value="small")
    assert (await run.result())["out"]


@attack("C49")
async def texts_that_write_into_logs(room: Room, wrong: bool) -> None:
    if not wrong:
        await room.line("Ada Lovelacé")
        return
    for name in ("a\r\nb", "a\x1b[31mb", "a\u202eb", "", "x" * 101, "\x00"):
        line = await room.shake()
        await line.say("hello", name=name)
        assert await line.closed() == 4400
    line = await room.line("ada")
    await line.tell("result", key="a\r\nERROR forged\x1b[2J", value=1)
    await line.tell("fail\n", key="x", message="y")
    await line.alive()
    for message in (record.getMessage() for record in room.caplog.records):
        assert re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]|\nERROR forged", message) is None


@attack("C50")
async def protocols_that_are_not_spoken(room: Room, wrong: bool) -> None:
    for offered in (None, "swarm.operator.v0", "chat") if wrong else ("chat, swarm.operator.v1",):
        line = await room.shake(protocol=offered)
        assert line.status == 101
        if wrong:
            assert await line.closed() == 4406
            assert line.reason == "swarm.operator.v1"
        else:
            assert "swarm.operator.v1" in line.head
            await line.hello("ada")
            await line.alive()


# -- running them ------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what takes half a minute take half a second."""
    monkeypatch.setattr(wire, "HANDSHAKE_S", HANDSHAKE_S)
    monkeypatch.setattr(wire, "MESSAGE_S", MESSAGE_S)


_ONCE = {function: number for number, function in reversed(ATTACKS.items())}


def _row(number: str) -> int:
    return int(number[1:])


@pytest.mark.parametrize("number", sorted(_ONCE.values(), key=_row))
async def test_attack(
    number: str,
    quick: None,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    function = ATTACKS[number]
    if number == "C26":
        monkeypatch.setattr(wire, "PING_S", 0.3)
    for wrong in (False, True):
        async with room(caplog, tmp_path) as one:
            with anyio.fail_after(PATIENCE_S):
                await function(one, wrong)
            if wrong and not one.one.operators.desk.cases:
                await one.works()
    for same, other in ATTACKS.items():
        if other is function:
            SURVIVED[same] = 1


def test_the_list_is_whole() -> None:
    assert sorted(ATTACKS, key=_row) == [f"C{n}" for n in range(1, 51)]
    if len(SURVIVED) == len(ATTACKS):
        sys.stderr.write(f"attacks on lines: survived {len(SURVIVED)} / tried {len(ATTACKS)},")
        sys.stderr.write(f" twins {len(ATTACKS)}, seed={SEED}\n")


def _takes_anything(self: Channel, n: int, said: Any) -> list[Any]:
    self.owes = True
    self.received = max(self.received, n)
    return [] if said is None else [said]


def _looks_away(self: Any) -> None:
    return None


def _lets_pass(self: Any, what: Any) -> None:
    return None


@pytest.mark.parametrize("number", ["C4", "C24", "C32", "C36", "C40"])
async def test_a_planted_bug_is_found(
    number: str,
    quick: None,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Take one guard away: the attack that it is there for must tell."""
    if number == "C4":
        monkeypatch.setattr(wire.GuardedLine, "_fault", _lets_pass)
    if number == "C24":
        monkeypatch.setattr(Endpoint, "_crowded", _lets_pass)
    if number == "C32":
        monkeypatch.setattr(Endpoint, "_foreign", _lets_pass)
    if number == "C36":
        monkeypatch.setattr("swarm.operators.server._Line.look_after", _looks_away)
    if number == "C40":
        monkeypatch.setattr(Channel, "_turn", _takes_anything)
    async with room(caplog, tmp_path, operators=Operators(BOUNDS)) as one:
        with anyio.move_on_after(3) as waited:
            with pytest.raises(AssertionError):
                await ATTACKS[number](one, True)
        # Who waits for ever for what the guard would have done has found it out as well.
        assert not waited.cancelled_caught or number in ("C4", "C36")
