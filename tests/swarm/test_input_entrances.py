"""The hostile texts of the input list, each through the doors that a stranger finds.

`test_input_attacks.py` hands them to what reads; here they come as they would: said by a
program, by an operator on his line, by whoever answers a question, on a command line's stdin
and in its files, in the body of a request. What workers answer is no text: their values have
a list of their own. Each is refused with a code of ours, the host goes on, and its twins enter.
"""

from __future__ import annotations

import io
import json
import struct
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import swarm
from swarm.cli.main import invoke
from tests.swarm.operating import house
from tests.swarm.programs import Shop, open_shop
from tests.swarm.raw_line import TEXT, RawLine, close_all, frame, request
from tests.swarm.test_input_attacks import JSON, ROWS, lists
from tests.swarm.web import ALL_VERBS, world

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def as_bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")


READ = [row for row in ROWS if row.entries == JSON and row.number not in (3, 4)]
HOSTILE = [
    (f"G{row.number}.{number}", as_bytes(text))
    for row in READ
    for number, text in enumerate(row.hostile)
]
TWINS = [
    (f"G{row.number}.{number}", as_bytes(text))
    for row in READ
    for number, text in enumerate(row.twins)
]
OBJECTS = [(name, b'{"x": ' + text + b"}") for name, text in TWINS]
# Text that is no JSON is a word to a command line's own options, and not here.
SMALL = [(name, text) for name, text in HOSTILE if len(text) < 4000]

Tried = tuple[str, bytes]
Enter = Callable[[bytes], Awaitable[str | None]]


async def survived(name: str, enter: Enter, hostile: list[Tried], twins: list[Tried]) -> None:
    """Hand in each; *enter* returns the code with which it was refused."""
    lost = [label for label, text in hostile if not await enter(text)]
    print(f"{name}: survived {len(hostile) - len(lost)} / {len(hostile)}, {len(twins)} twins")  # noqa: T201
    assert lost == []
    refused = [(label, code) for label, text in twins if (code := await enter(text)) is not None]
    assert refused == []


# -- what programs say -----------------------------------------------------------------

FORMS: dict[str, Callable[[bytes], bytes]] = {
    "json": lambda text: text,
    "ndjson": lambda text: text + b"\n",
    "sse": lambda text: b"data: " + text + b"\n\n",
    "frames": lambda text: struct.pack("!I", len(text)) + text,
}


@pytest.fixture
def shop(tmp_path: Path) -> Generator[Shop]:
    with open_shop(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("form", FORMS)
async def test_what_a_program_says(form: str, shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "said"

    async def enter(text: bytes) -> str | None:
        file.write_bytes(FORMS[form](text))
        try:
            await shop.ask(["cat", str(file)], output=form, limits={"line_bytes": 2_000_000})
        except swarm.WorkerFailure as failure:
            # Any other code is no refusal of what was said.
            return failure.code if failure.code.startswith(("process.", "value.")) else None
        return None

    # A byte order mark is no part of what a program says, and a CR ends a line of a stream.
    hostile = [one for one in HOSTILE if not one[1].startswith(b"\xef\xbb\xbf")]
    whole = form in ("json", "frames")
    await survived(
        f"a program's {form}",
        enter,
        hostile if whole else [one for one in hostile if len(one[1]) < 200_000],
        [one for one in TWINS if whole or b"\r" not in one[1]],
    )


# -- what workers answer ---------------------------------------------------------------


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def circle() -> Any:
    value: dict[str, Any] = {}
    value["again"] = [value]
    return value


class LyingDict(dict[str, Any]):
    def __len__(self) -> int:
        return 0

    def items(self) -> Any:
        raise RuntimeError("never")


class Text(str):
    __slots__ = ()


VALUES: dict[str, Callable[[], Any]] = {
    "not a number": lambda: float("nan"),
    "infinity inside": lambda: {"a": [float("-inf")]},
    "an integer of 65 bits": lambda: 2**63,
    "a surrogate": lambda: "\ud800",
    "a surrogate as a key": lambda: {"\udfff": 1},
    "too deep": lambda: deep(400),
    "much too deep": lambda: deep(200_000),
    "a circle": circle,
    "many circles": lambda: [circle() for _ in range(9)],
    "too large": lambda: "x" * (17 * 1024 * 1024),
    "bytes": lambda: {"a": b"x"},
    "a set": lambda: {1},
    "a tuple": lambda: (1, 2),
    "an object": object,
    "a class": lambda: int,
    "a generator": lambda: (n for n in range(3)),
    "keys that are numbers": lambda: {1: 2},
    "a key that is nothing": lambda: {None: 2},
    "a dict that lies": lambda: LyingDict(a=1),
    "a text of another class": lambda: Text("x"),
    "a number of another class": lambda: type("Int", (int,), {})(3),
}  # fmt: skip
FINE: dict[str, Callable[[], Any]] = {
    "a number": lambda: 0.5,
    "an integer of 64 bits": lambda: 2**63 - 1,
    "a pair of surrogates": lambda: "\U0001f600",
    "deep": lambda: deep(100),
    "large": lambda: "x" * 1_000_000,
    "many": lambda: [[] for _ in range(10_000)],
    "shared, no circle": lambda: [one := {"a": 1}, one],
    "keys like attributes": lambda: {"__class__": 1, "__proto__": 2, "": 3},
}
SOURCES = {
    "not a number": "return { a = 0 / 0 }",
    "infinity": "return 1 / 0",
    "bytes that are no text": "return { ('\\255'):rep(3) }",
    "a surrogate": "return '\\237\\160\\128'",
    "too deep": "local t = {} for _ = 1, 400 do t = { t } end return t",
    "a circle": "local t = {} t.t = t return t",
    "too many": "local t = {} for i = 1, 200000 do t[i] = i end return t",
    "too large": "return ('x'):rep(3000000)",
    "a function": "return { f = pcall }",
    "a coroutine": "return coroutine.create(pcall)",
    "mixed keys": "return { 1, x = 2 }",
    "holes": "return { 1, nil, 3 }",
    "keys that are no text": "return { [true] = 1 }",
}
FINE_SOURCES = {
    "a number": "return { a = 1 / 2 }",
    "text": "return 'é\\0'",
    "deep": "local t = {} for _ = 1, 100 do t = { t } end return t",
    "many": "local t = {} for i = 1, 9999 do t[i] = i end return t",
    "shared": "local t = { 1 } return { t, t }",
    "a lying metatable": "return setmetatable({ a = 1 }, { __index = error, __pairs = error })",
}


@asynccontextmanager
async def asked(agent: dict[str, Any]) -> AsyncGenerator[Callable[[], Awaitable[str | None]]]:
    """Open a host with one agent; ask it in a run, and return the code of its failure."""
    flow = {"kind": "step", "ref": "w", "in": "null", "out": "ctx.out"}
    document = {"swarm": 1, "id": "enter", "agents": [{"name": "w", **agent}], "flow": flow}
    answers: list[Callable[[], Any]] = []
    async with swarm.Host.in_memory(scripts="inline") as host:

        @host.function("w", inline=True)
        def w(_given: Any) -> Any:  # pyright: ignore[reportUnusedFunction] - registered
            return answers[-1]()

        blueprint = await host.load(document)

        async def ask(make: Callable[[], Any] | None = None) -> str | None:
            answers.append(make or (lambda: None))
            outcome = await (await host.start(blueprint, {})).wait()
            if outcome.error is None:
                return None
            return outcome.error.get("cause_code") or outcome.error["code"]

        yield ask


async def test_what_a_function_answers() -> None:
    async with asked({"kind": "function", "function": "w"}) as ask:
        codes = {name: await ask(make) for name, make in VALUES.items()}  # pyright: ignore[reportCallIssue]
        twins = {name: await ask(make) for name, make in FINE.items()}  # pyright: ignore[reportCallIssue]
    lost = [name for name, code in codes.items() if code is None]
    print(f"a function's answer: survived {len(VALUES) - len(lost)} / {len(VALUES)}")  # noqa: T201
    assert lost == []
    # Who lies about its own members has failed, which is not for the door to say.
    assert {name for name, code in codes.items() if code == "worker.error"} == {"a dict that lies"}
    assert set(twins.values()) == {None}


async def test_what_a_script_answers() -> None:
    codes: dict[str, str | None] = {}
    for name, source in {**SOURCES, **{f"twin: {n}": s for n, s in FINE_SOURCES.items()}}.items():
        async with asked({"kind": "lua", "source": source}) as ask:
            codes[name] = await ask()
    lost = [name for name in SOURCES if codes[name] != "script.result"]
    print(f"a script's answer: survived {len(SOURCES) - len(lost)} / {len(SOURCES)}")  # noqa: T201
    assert lost == []
    assert {codes[f"twin: {name}"] for name in FINE_SOURCES} == {None}


# -- an operator on his line -----------------------------------------------------------


async def test_what_an_operator_answers() -> None:
    """What is no JSON is refused on the line; the order stays his, and takes a fair answer."""
    said = b'{"type":"result","n":1,"ack":%d,"epoch":1,"key":%s,"value":%s}'
    async with house() as one:

        async def enter(text: bytes) -> str | None:
            line = await RawLine.shake(one.port, request(one.token("ada")))
            try:
                await line.hello("ada", seats=["reviewer"])
                run = await one.host.start(await one.load(), {"given": 1})
                key = json.dumps((await line.hear("assign"))["order"]["key"]).encode()
                await line.send(frame(TEXT, said % (line.received, key, text)))
                answer = await line.hear("error", "settled")
                if answer["type"] == "error":
                    await line.send(frame(TEXT, said % (line.received, key, b"1")))
                    assert (await line.hear("settled"))["outcome"] == "taken"
                await run.result()
                return str(answer["number"]) if answer["type"] == "error" else None
            finally:
                await close_all()

        hostile = [one for one in SMALL if is_text(one[1])]
        await survived("an operator's answer", enter, hostile, TWINS)


def is_text(text: bytes) -> bool:
    """Tell whether it can be sent in a frame of text; others end the line as they must."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    # Nothing, and what closes the frame's own object, make another frame.
    return text != b""


# -- requests --------------------------------------------------------------------------


async def test_the_body_of_a_request() -> None:
    async with world(roles=ALL_VERBS) as there, there.as_role("admin") as client:
        for path, around in (
            ("/v1/runs", b'{"blueprint":"hello","input":{"x":%s}}'),
            (f"/v1/runs/{there.asking}/questions/{there.asking}:1/answer", b'{"value":%s}'),
        ):

            async def enter(text: bytes, path: str = path, around: bytes = around) -> str | None:
                answer = await client.post(
                    path,
                    content=around.replace(b"%s", text),
                    headers={"content-type": "application/json"},
                )
                if answer.status_code < 300:
                    return None
                assert 400 <= answer.status_code < 500, answer.text[:300]
                code = answer.json()["code"]
                # The question has one answer: who comes later is told so by another code.
                return None if code == "question.answered" else code

            hostile = [one for one in HOSTILE if one[1] != b""]
            await survived(path.replace(there.asking, "…"), enter, hostile, TWINS)


# -- a command line --------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    flow = {"kind": "seq", "children": []}
    document = {"swarm": 1, "id": "none", "agents": [], "flow": flow}
    (tmp_path / "none.json").write_text(json.dumps(document))
    return tmp_path


@pytest.mark.parametrize("way", ["stdin", "a file"])
def test_the_input_of_a_command(
    way: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = "-" if way == "stdin" else "@input.json"

    def enter(text: bytes) -> str | None:
        (folder / "input.json").write_bytes(text)
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
        return told(capsys, ["run", "none.json", "--input", source, "--store", ":memory:"])

    judged(f"--input from {way}", results(enter, HOSTILE), results(enter, OBJECTS))


def test_the_answer_to_a_question_on_a_command_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    agent = {"name": "human", "kind": "human", "prompt": "sure?"}
    flow = {"kind": "step", "ref": "human", "in": "null", "out": "ctx.answer"}
    document = {"swarm": 1, "id": "asks", "agents": [agent], "flow": flow}
    (folder / "asks.json").write_text(json.dumps(document))
    assert invoke(["run", "asks.json", "--run-id", "r"]) == 3
    capsys.readouterr()

    def enter(text: bytes) -> str | None:
        return told(capsys, ["runs", "answer", "r:1", text.decode("utf-8", "surrogateescape")])

    # An argument has at most 128 KiB, and no word is one of an option's.
    hostile = [one for one in HOSTILE if len(one[1]) < 100_000 and not one[1].startswith(b"-")]
    judged("an answer on a command line", results(enter, hostile), [enter(b'{"a": [1]}')])


def told(capsys: pytest.CaptureFixture[str], order: list[str]) -> str | None:
    """Run a command; return the first line of its refusal."""
    code = invoke(order)
    said = capsys.readouterr()
    assert code in (0, 2), said.err
    assert "Traceback" not in said.err
    assert len(said.err) < 2000
    return None if code == 0 else said.err.partition("\n")[0]


def results(enter: Callable[[bytes], str | None], texts: list[Tried]) -> list[str | None]:
    return [enter(text) for _, text in texts]


def judged(name: str, hostile: list[str | None], twins: list[str | None]) -> None:
    lost = hostile.count(None)
    print(f"{name}: survived {len(hostile) - lost} / {len(hostile)}, {len(twins)} twins")  # noqa: T201
    assert lost == 0
    assert set(twins) == {None}


# -- the control -----------------------------------------------------------------------


async def test_a_door_that_lets_keys_come_twice_turns_it_red(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowir.door._object", dict)
    with pytest.raises(AssertionError, match="G7"):
        await test_what_a_program_says("json", shop, tmp_path)


def test_the_list_is_not_empty() -> None:
    assert len(HOSTILE) > 40
    assert lists(3) == "[[[]]]"
    sys.stdout.write(f"{len(HOSTILE)} hostile texts, {len(TWINS)} twins\n")
