"""Hearing a program gives everything else its turns: counted in turns, never in time."""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from swarm.workers.process import hearing as hearings
from swarm.workers.process.hearing import Hearing, last_line
from swarm.workers.process.limits import Limits
from swarm.workers.process.program import Program
from swarm.workers.process.reading import Reading
from swarm.workers.process.secrets import Redactor
from tests.swarm.programs import Told

pytestmark = pytest.mark.anyio

# What one read of the pipe brings at most.
READ = 64 * 1024
FRAME = struct.pack("!I", 1) + b"1"
SHORTEST = {
    "ndjson": b"1\n",
    "lines": b"x\n",
    "sse": b"data:1\n\n",
    "frames": FRAME,
}


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


def listener(form: str) -> Hearing:
    program = Program("talker", (), output=form, reading=Reading(result="all", progress=None))
    return Hearing(program, Told(), Redactor({}))


async def turns(hearing: Hearing, data: bytes) -> list[int]:
    """Hear *data*; return how many messages were there at each turn of another task."""
    seen = [0]

    async def tick() -> None:
        while True:
            seen.append(len(hearing.found.result))
            await checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tick)
        await checkpoint()
        await hearing.hear(data)
        seen.append(len(hearing.found.result))
        tasks.cancel_scope.cancel()
    return seen


@pytest.mark.parametrize("form", SHORTEST)
async def test_between_two_turns_of_others_few_messages_are_heard(form: str) -> None:
    count = READ // len(SHORTEST[form])
    seen = await turns(listener(form), SHORTEST[form] * count)
    assert seen[-1] == count
    steps = [after - before for before, after in pairwise(seen)]
    assert max(steps) <= 512, max(steps)


async def test_empty_lines_are_no_messages_and_give_turns_too() -> None:
    hearing = listener("ndjson")
    seen = await turns(hearing, b"\n" * READ)
    assert hearing.found.result == []
    assert len(seen) >= READ // 1024


async def test_what_was_read_is_heard_whole_though_its_listener_is_cancelled() -> None:
    hearing = listener("ndjson")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hearing.hear, b"1\n" * (READ // 2) + b"2")
        await checkpoint()
        tasks.cancel_scope.cancel()
    hearing.end()
    assert hearing.fault is None
    assert hearing.found.result == [1] * (READ // 2) + [2]


async def test_nothing_is_heard_after_a_fault_in_the_same_read() -> None:
    hearing = listener("ndjson")
    await hearing.hear(b"1\n" * 300 + b"no\n" + b"2\n" * 3000)
    assert hearing.fault is not None
    assert "line 301" in hearing.fault.said
    assert hearing.found.result == [1] * 300


def bounded(form: str = "ndjson", *, told: bool = False, **more: Any) -> Hearing:
    reading = Reading(progress="" if told else None, result="all")
    limits = Limits(**more.pop("limits", {}))
    program = Program("talker", (), output=form, reading=reading, limits=limits)
    redactor = Redactor({"key": "12345678"})
    return Hearing(program, more.pop("link", None) or Told(), redactor)


@pytest.mark.parametrize("form", ["ndjson", "text"])
async def test_a_program_may_say_just_so_much(form: str) -> None:
    heard = bounded(form, limits={"output_bytes": 10})
    await heard.hear(b"1\n2\n3\n")
    await heard.hear(b"4\n5\n")
    heard.end()
    assert (heard.fault, heard.faulted.is_set()) == (None, False)
    heard = bounded(form, limits={"output_bytes": 10})
    await heard.hear(b"1\n2\n3\n")
    await heard.hear(b"4\n5\n\n")
    assert heard.fault is not None
    assert (heard.fault.code, heard.fault.said, heard.fault.overflows) == (
        "process.output_limit", "wrote more than 10 bytes", True,
    )  # fmt: skip
    assert heard.faulted.is_set()


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("_MOST_HEARD", b"1\n", "said more than 4 messages"),
        ("_MOST_LINES", b"\n", "said more than 4 lines"),
    ],
)
async def test_a_program_may_say_just_so_often(
    name: str, data: bytes, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hearings, name, 4)
    heard = bounded()
    await heard.hear(data * 4)
    assert heard.fault is None
    await heard.hear(data)
    assert heard.fault is not None
    assert (heard.fault.code, heard.fault.said, heard.fault.overflows) == (
        "process.output_limit", said, True,
    )  # fmt: skip


def test_how_often_is_said_where_it_is_decided() -> None:
    assert (hearings._MOST_HEARD, hearings._MOST_LINES) == (250_000, 1_000_000)  # pyright: ignore[reportPrivateUsage]
    assert (hearings._MOST_TOLD, hearings._SHOWN) == (1000, 2000)  # pyright: ignore[reportPrivateUsage]
    assert (hearings._PIECE, hearings._TURN) == (512, 128)  # pyright: ignore[reportPrivateUsage]


async def test_the_first_fault_stands_but_for_too_much() -> None:
    heard = bounded(limits={"output_bytes": 10})
    await heard.hear(b"no\n")
    first = heard.fault
    assert first is not None
    await heard.hear(b"no\n")
    heard.end()
    assert heard.fault is first
    await heard.hear(b"12345")
    assert heard.fault is not first
    assert (heard.fault or first).overflows


async def test_messages_are_told_short_and_without_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hearings, "_MOST_TOLD", 3)
    link = Told()
    heard = bounded("lines", told=True, link=link)
    await heard.hear(b"  one  \n\n   \nkey 12345678\n" + b"x" * 2001 + b"\nfour\nfive\n")
    heard.end()
    await heard.tell()
    assert link.texts == [
        "one", "key [secret key]", "x" * 2000, "2 messages more were heard, and not told",
    ]  # fmt: skip


async def test_as_many_as_may_be_told_are_told_without_a_word_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hearings, "_MOST_TOLD", 3)
    link = Told()
    heard = bounded("lines", told=True, link=link)
    await heard.hear(b"one\ntwo\nthree\n")
    heard.end()
    await heard.tell()
    assert link.texts == ["one", "two", "three"]


async def test_what_comes_later_is_told_when_it_comes() -> None:
    link = Told()
    heard = bounded("lines", told=True, link=link)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(heard.tell)
        for number in range(3):
            await heard.hear(b"%d\n" % number)
            with anyio.fail_after(20):
                while len(link.texts) <= number:
                    await checkpoint()
        heard.end()
    assert link.texts == ["0", "1", "2"]


async def test_a_link_that_takes_no_more_is_noted() -> None:
    class Broken(Told):
        async def progress(self, text: str) -> None:
            raise OSError("gone")

    heard = bounded("lines", told=True, link=Broken())
    await heard.hear(b"one\n")
    heard.end()
    await heard.tell()
    assert isinstance(heard.broken, OSError)
    assert heard.faulted.is_set()
    assert heard.fault is None


async def test_a_number_that_was_not_there_is_told_where_nothing_else_went_wrong() -> None:
    reading = Reading(progress=None, result="all", tokens=("/n",))
    for data, told in (
        (b"{}\n", ["nothing was counted as used: no number at '/n' in the output"]),
        (b'{"n": 1}\n', []),
        (b"{}\nno\n", []),
    ):
        link = Told()
        heard = Hearing(Program("t", (), output="ndjson", reading=reading), link, Redactor({}))
        await heard.hear(data)
        heard.end()
        await heard.tell()
        assert link.texts == told


@pytest.mark.parametrize(
    ("text", "last"),
    [("", ""), ("  \n ", ""), ("a", "a"), ("a\n b \n\n", "b"), ("a\rb", "b")],
)
def test_the_last_line_is_the_last_that_says_something(text: str, last: str) -> None:
    assert last_line(text) == last
