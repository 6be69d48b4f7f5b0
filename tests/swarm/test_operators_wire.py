"""The guards of a line by themselves: bounds from both sides, on a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from swarm.operators.limits import Bounds
from swarm.operators.wire import HANDSHAKE_S, MESSAGE_S, GuardedHttp, GuardedLine, options
from tests.swarm.raw_line import CLOSE, MORE, PING, PONG, TEXT, frame, request

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass(eq=False)
class Timer:
    at_s: float
    act: Callable[[], object]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


class Started:
    """A task that nobody runs."""

    def add_done_callback(self, told: object) -> None:
        """Tell nobody: it does not end."""


class Loop:
    """What the protocols ask of a loop."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now_s

    def call_later(self, delay_s: float, act: Callable[..., object], *args: Any) -> Timer:
        self.timers.append(Timer(self.now_s + delay_s, lambda: act(*args)))
        return self.timers[-1]

    def create_task(self, work: Any) -> Started:
        work.close()
        return Started()

    @property
    def waiting(self) -> list[Timer]:
        return [timer for timer in self.timers if not timer.cancelled]

    def move(self, seconds: float) -> None:
        self.now_s += seconds
        for timer in self.waiting:
            if timer.at_s <= self.now_s:
                timer.cancel()
                timer.act()


@dataclass
class Transport:
    """What the protocols ask of a connection."""

    written: bytes = b""
    closed: bool = False

    def get_extra_info(self, name: str) -> None:
        """Know nothing."""

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        """Go on: bytes come as the test says."""

    resume_reading = pause_reading

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol


async def nobody(scope: Any, receive: Any, send: Any) -> None:
    """Be an application that is never run."""


class Upgraded:
    """What a handshake is handed over to."""

    seen: bytes

    def __init__(self, **given: Any) -> None:
        self.given = given

    def connection_made(self, transport: Any) -> None:
        """Begin."""

    def data_received(self, data: bytes) -> None:
        self.seen = data


@dataclass
class Http:
    loop: Loop = field(default_factory=Loop)
    transport: Transport = field(default_factory=Transport)

    def __post_init__(self) -> None:
        config = Config(nobody, ws=cast("Any", Upgraded), h11_max_incomplete_event_size=1 << 20)
        self.line = GuardedHttp(config, ServerState(), {}, _loop=cast("Any", self.loop))
        self.line.connection_made(cast("Any", self.transport))

    def take(self, *pieces: bytes) -> Http:
        for piece in pieces:
            if not self.transport.closed:
                self.line.data_received(piece)
        return self

    @property
    def refused(self) -> bytes:
        return self.transport.written

    @property
    def upgraded(self) -> Upgraded | None:
        return getattr(self.transport, "protocol", None)


REFUSED = b"HTTP/1.1 %s\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
BAD, LARGE = REFUSED % b"400 Bad Request", REFUSED % b"431 Request Header Fields Too Large"
PLAIN = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("said", [(), (b"GE",), (PLAIN[:-1],), (PLAIN[:5], PLAIN[5:-1])])
async def test_who_does_not_say_what_he_wants_is_let_go_in_time(said: tuple[bytes, ...]) -> None:
    http = Http().take(*said)
    http.loop.move(HANDSHAKE_S - 0.01)
    assert not http.transport.closed
    http.loop.move(0.01)
    assert http.transport.closed
    assert http.refused == b""


async def test_an_answer_takes_as_long_as_it_takes() -> None:
    http = Http().take(PLAIN[:9])
    http.loop.move(HANDSHAKE_S - 0.01)
    http.take(PLAIN[9:])
    http.loop.move(1000)
    assert not http.transport.closed


async def test_who_is_gone_is_not_waited_for() -> None:
    for said in ((), (PLAIN[:9],)):
        http = Http().take(*said)
        (timer,) = http.loop.waiting
        http.line.connection_lost(None)
        assert timer.cancelled
        assert http.line not in http.line.connections


@pytest.mark.parametrize("folded", [b"\r\n ", b"\r\n\t"])
async def test_a_header_that_goes_on_in_another_line_is_refused_wherever_it_is_cut(
    folded: bytes,
) -> None:
    raw = b"GET / HTTP/1.1\r\nHost: x\r\nName: a" + folded + b"b\r\n\r\n"
    for cut in range(1, len(raw)):
        http = Http().take(raw[:cut], raw[cut:])
        assert (http.refused, http.transport.closed, http.line.headers) == (BAD, True, None), cut
    assert Http().take(*(raw[n : n + 1] for n in range(len(raw)))).refused == BAD


async def test_behind_the_head_a_line_may_begin_as_it_likes() -> None:
    body = b"a\r\n b\r\n\tc"
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    raw = head + body
    for cut in range(1, len(raw)):
        http = Http().take(raw[:cut], raw[cut:])
        assert (http.refused, http.transport.closed) == (b"", False), cut
        assert http.line.cycle.body == body


def asking(*headers: tuple[str, str], line: str | None = None) -> bytes:
    return request(None, headers=headers, line=line)


_ITSELF = 6  # headers that a handshake has by itself


@pytest.mark.parametrize(
    ("raw", "refused"),
    [
        (asking(), b""),
        (asking(*((f"x-{n}", "") for n in range(128 - _ITSELF))), b""),
        (asking(*((f"x-{n}", "") for n in range(129 - _ITSELF))), LARGE),
        (asking(("x-name", "v" * (8192 - 6))), b""),
        (asking(("x-name", "v" * (8193 - 6))), LARGE),
        (asking(("x" * 8000, "v" * 192)), b""),
        (asking(("x" * 8000, "v" * 193)), LARGE),
        (asking(line="GET /operators HTTP/1.0"), BAD),
        (asking(("Content-Length", "0")), BAD),
        (asking(("Transfer-Encoding", "chunked")), BAD),
        (asking() + b"x", BAD),
    ],
    ids=["whole", "128", "129", "8192", "8193", "8192 name", "8193 name", "1.0", "length",
         "chunked", "behind"],
)  # fmt: skip
async def test_a_handshake_carries_what_handshakes_do_and_nothing_more(
    raw: bytes, refused: bytes
) -> None:
    http = Http().take(raw)
    assert (http.refused, http.transport.closed) == (refused, bool(refused))
    if refused:
        assert http.upgraded is None
    else:
        assert http.upgraded is not None
        assert http.upgraded.seen.startswith(b"GET /operators HTTP/1.1\r\n")


# -- lines -------------------------------------------------------------------------------


class Line:
    """A line whose handshake is over."""

    def __init__(self) -> None:
        self.loop, self.transport = Loop(), Transport()
        config = Config(nobody, ws_ping_interval=None, ws_per_message_deflate=False)
        self.line = GuardedLine(config, ServerState(), {}, _loop=cast("Any", self.loop))
        self.line.connection_made(cast("Any", self.transport))
        self.line.data_received(request(None))

    @classmethod
    async def opened(cls) -> Line:
        line = cls()
        await line.line.send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        assert line.transport.written.startswith(b"HTTP/1.1 101 ")
        line.transport.written = b""
        assert line.told() == [{"type": "websocket.connect"}]
        return line

    def take(self, *raw: bytes) -> None:
        for piece in raw:
            self.line.data_received(piece)

    def told(self) -> list[Any]:
        """Return what the application was told since."""
        found: list[Any] = []
        while not self.line.queue.empty():
            found.append(self.line.queue.get_nowait())
        return found

    def ended(self, code: int, reason: str) -> bool:
        """See that the line was closed so, and once."""
        closing = frame(CLOSE, code.to_bytes(2, "big") + reason.encode(), mask=False)
        assert self.transport.written.endswith(closing)
        assert self.transport.written.count(closing) == 1
        assert self.told()[-1] == {"type": "websocket.disconnect", "code": code, "reason": reason}
        assert (self.line.close_sent, self.line.frames) == (True, [])
        return self.transport.closed


def text(said: str) -> dict[str, str]:
    return {"type": "websocket.receive", "text": said}


def pieces(number: int) -> list[bytes]:
    """Return a message that has not ended, in so many frames."""
    return [frame(TEXT if n == 0 else MORE, b"x", fin=False) for n in range(number)]


async def test_a_message_may_be_cut_into_a_thousand_and_some_frames_and_not_one_more() -> None:
    line = await Line.opened()
    for _ in range(2):  # Each message has its own count.
        line.take(*pieces(1024), frame(MORE, b"!"))
        assert line.told() == [text("x" * 1024 + "!")]
    line.take(*pieces(1024))
    assert (line.told(), line.transport.closed) == ([], False)
    line.take(frame(MORE, b"x", fin=False))
    assert line.ended(1009, "too many fragments")
    # Nothing more is heard, and nothing more is said.
    line.take(frame(MORE, b"x"), frame(TEXT, b"late"))
    line.loop.move(1000)
    assert line.told() == []


async def test_control_frames_between_are_no_part_of_a_message() -> None:
    line = await Line.opened()
    line.take(*pieces(1024), *[frame(PING)] * 9, frame(PONG), frame(MORE, b"!"))
    assert line.told() == [text("x" * 1024 + "!")]
    line.take(*pieces(1024), frame(CLOSE, (1000).to_bytes(2, "big")))
    assert [told["code"] for told in line.told()] == [1002]


async def many(line: Line, number: int, opcode: int = PING) -> bool:
    """Send control frames; return whether the line is still there."""
    line.take(*[frame(opcode)] * number)
    return not line.transport.closed


@pytest.mark.parametrize("opcode", [PING, PONG])
async def test_control_frames_come_two_hundred_at_once_and_not_one_more(opcode: int) -> None:
    line = await Line.opened()
    assert await many(line, 200, opcode)
    assert not await many(line, 1, opcode)
    assert line.ended(1008, "too many control frames")


async def test_of_control_frames_fifty_come_back_in_a_second_up_to_two_hundred() -> None:
    line = await Line.opened()
    assert await many(line, 200)
    line.loop.move(1)
    assert await many(line, 50)
    line.loop.move(0.5)
    line.loop.move(0.5)
    assert await many(line, 25)
    line.loop.move(1)
    assert await many(line, 75)
    assert not await many(line, 1)
    line = await Line.opened()
    line.loop.move(1000)
    assert await many(line, 200)
    assert not await many(line, 1)


WHOLE = frame(TEXT, b"whole")


@pytest.mark.parametrize(
    "begun", [[WHOLE[:1]], [WHOLE[:7]], [WHOLE, WHOLE[:-1]], pieces(1), pieces(3)]
)
async def test_a_message_that_has_begun_is_whole_in_time(begun: list[bytes]) -> None:
    line = await Line.opened()
    line.take(*begun)
    line.loop.move(MESSAGE_S - 0.01)
    # What comes in between gives no more time.
    line.take(*([] if begun[-1] in (WHOLE[:1], WHOLE[:7], WHOLE[:-1]) else [frame(PING)]))
    assert not line.transport.closed
    line.loop.move(0.01)
    assert line.ended(1008, "a message took too long")
    line.line.connection_lost(None)
    assert line.loop.waiting == []


async def test_each_message_has_the_whole_time_and_between_them_there_is_no_hurry() -> None:
    line = await Line.opened()
    for begun, rest in (([WHOLE[:3]], WHOLE[3:]), (pieces(2), frame(MORE, b"!"))) * 2:
        assert line.loop.waiting == []
        line.take(*begun)
        assert [timer.at_s for timer in line.loop.waiting] == [line.loop.now_s + MESSAGE_S]
        line.loop.move(MESSAGE_S - 0.01)
        line.take(rest)
        line.loop.move(1000)
        assert not line.transport.closed
    assert len(line.told()) == 4


async def test_a_line_that_is_gone_is_not_watched() -> None:
    line = await Line.opened()
    line.take(WHOLE[:3])
    (timer,) = line.loop.waiting
    line.line.connection_lost(OSError("reset"))
    assert timer.cancelled
    assert line.told() == [{"type": "websocket.disconnect", "code": 1005}]


async def test_a_line_that_is_being_closed_is_not_closed_for_something_else() -> None:
    line = await Line.opened()
    line.take(WHOLE[:3])
    line.loop.move(MESSAGE_S - 1)
    await line.line.send({"type": "websocket.close", "code": 4000, "reason": "enough"})
    line.transport.written = b""
    line.loop.move(4.99)
    assert not line.transport.closed
    line.loop.move(0.01)
    assert line.transport.closed, "the other side has five seconds to agree"
    line.loop.move(1000)
    assert line.transport.written == b""
    assert line.told() == [{"type": "websocket.disconnect", "code": 4000, "reason": "enough"}]
    line = await Line.opened()
    line.take(WHOLE[:3])
    line.transport.close()
    line.loop.move(MESSAGE_S)
    assert (line.transport.written, line.told()) == (b"", [])


async def test_a_line_that_the_application_closes_is_not_waited_for() -> None:
    line = await Line.opened()
    await line.line.send({"type": "websocket.close", "code": 4000, "reason": ""})
    line.take(WHOLE[:3])
    assert [timer.at_s - line.loop.now_s for timer in line.loop.waiting] == [5.0]
    assert not line.transport.closed
    line.take(WHOLE[3:], frame(CLOSE, (4000).to_bytes(2, "big")))
    assert line.transport.closed, "both sides have said it"


async def test_what_the_library_refuses_is_refused_once() -> None:
    line = await Line.opened()
    line.take(frame(TEXT, b"x", mask=False))
    assert line.transport.closed
    assert [told["code"] for told in line.told()] == [1002]
    line.take(frame(TEXT, b"more"))
    assert line.told() == []


def test_a_server_of_operators_is_started_so() -> None:
    assert options(Bounds(message_bytes=1000)) == {
        "http": GuardedHttp,
        "ws": GuardedLine,
        "ws_max_size": 2000,
        "ws_ping_interval": 20.0,
        "ws_ping_timeout": 20.0,
        "ws_per_message_deflate": False,
        "server_header": False,
        "date_header": False,
        "h11_max_incomplete_event_size": 32768,
        "timeout_keep_alive": 5,
        "proxy_headers": False,
        "access_log": False,
        "log_level": "warning",
    }
    assert options()["ws_max_size"] == 2 * 1024 * 1024
    assert (HANDSHAKE_S, MESSAGE_S) == (5.0, 30.0)
