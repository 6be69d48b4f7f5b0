"""Data between the steps of a run: kept apart as declared, read on demand, held by its run."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import apsw
import pytest

import swarm
from swarm import Host, StepContext
from swarm.core.outputs import reference_of
from swarm.stores.sqlite.store import FILE

pytestmark = pytest.mark.anyio

# Twice what is kept apart in a row because it is large.
LARGE = "a long report\n" * 10_000


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["memory", "disk"])
async def host(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Host]:
    memory = request.param == "memory"
    host = Host.in_memory() if memory else Host(tmp_path / "store", durability="normal")
    equip(host)
    async with host:
        yield host


def equip(host: Host) -> None:
    @host.function("echo")
    async def echo(value: Any) -> Any:
        return value

    @host.function("raw")
    def raw(value: Any) -> Any:
        return b"\xff\x00" + str(value).encode()

    @host.function("length")
    def length(step: StepContext, report: Any) -> Any:
        return len(step.read(report))

    @host.function("author")
    async def author(step: StepContext, text: str) -> Any:
        first = await step.part("report", "a draft")
        last = await step.part("report", text)
        assert first["$ref"] != last["$ref"]
        await step.part("facts", {"words": len(text.split())})
        return {"verdict": "PASS", "report": last}


def step(ref: str, input_: str, out: str) -> dict[str, Any]:
    return {"kind": "step", "ref": ref, "in": input_, "out": out}


def document(agents: list[dict[str, Any]], *children: dict[str, Any]) -> dict[str, Any]:
    flow = {"kind": "seq", "children": list(children)}
    return {"swarm": 1, "id": "data", "agents": agents, "flow": flow}


def function(name: str, **settings: Any) -> dict[str, Any]:
    return {"name": name, "kind": "function", "function": name, **settings}


async def ran(host: Host, document: Mapping[str, Any], **given: Any) -> swarm.Run:
    run = await host.start(await host.load(dict(document)), given)
    await run.wait()
    return run


def ref_to(body: bytes, type_: str) -> dict[str, Any]:
    return {"$ref": f"sha256:{sha256(body).hexdigest()}", "size": len(body), "type": type_}


@pytest.mark.parametrize("text", ["tiny", LARGE])
@pytest.mark.parametrize("declared", [True, False])
async def test_declaration_and_not_size_makes_a_reference(
    host: Host, text: str, declared: bool
) -> None:
    agent = function("echo", **({"output": "ref"} if declared else {}))
    run = await ran(host, document([agent], step("echo", "ctx.text", "ctx.report")), text=text)
    report = (await run.result())["report"]
    assert report == (ref_to(text.encode(), "text") if declared else text)
    assert len(await run.outputs()) == declared
    if declared:
        assert await run.output(report) == text


async def test_parts_are_references_that_an_answer_may_hold(host: Host) -> None:
    flow = document([function("author")], step("author", "ctx.text", "ctx.answer"))
    run = await ran(host, flow, text="two words")
    answer = (await run.result())["answer"]
    assert answer == {"verdict": "PASS", "report": ref_to(b"two words", "text")}
    report, facts = await run.outputs()
    assert (report.name, report.key, report.attempt, report.agent) == (
        "report",
        "$.children[0]",
        1,
        "author",
    )
    assert await run.output("facts") == {"words": 2}
    assert await run.output(report) == "two words"
    assert await run.output("$.children[0]/report") == "two words"
    assert await run.output(facts.ref[:20]) == {"words": 2}


async def test_an_output_that_is_not_there_is_refused_with_a_hint(host: Host) -> None:
    flow = document([function("author")], step("author", "ctx.text", "ctx.answer"))
    run = await ran(host, flow, text="x")
    with pytest.raises(swarm.Refused, match="did you mean 'report'") as refused:
        await run.output("reprot")
    assert refused.value.code == "output.unknown"
    with pytest.raises(swarm.Refused) as refused:
        await run.output("sha256:")
    assert refused.value.code == "output.unknown"
    with pytest.raises(swarm.Refused) as refused:
        await run.output({"$ref": "sha256:" + "0" * 64, "size": 1, "type": "text"})
    assert refused.value.code == "output.unknown"
    with pytest.raises(swarm.Refused) as refused:
        await run.output({"no": "reference"})
    assert refused.value.code == "output.reference"


async def test_a_function_may_hand_over_bytes_and_read_them(host: Host) -> None:
    flow = document(
        [function("raw", output="ref"), function("length")],
        step("raw", "ctx.n", "ctx.image"),
        step("length", "ctx.image", "ctx.size"),
    )
    run = await ran(host, flow, n=7)
    ctx = await run.result()
    assert ctx["image"] == ref_to(b"\xff\x007", "bytes")
    assert ctx["size"] == 3
    assert await run.output("raw") == b"\xff\x007"


async def test_bytes_that_nobody_declared_are_refused_as_ever(host: Host) -> None:
    run = await ran(host, document([function("raw")], step("raw", "1", "ctx.image")))
    error = (await run.wait()).error
    assert error is not None
    assert error["code"] == "malformed"


READER = "return #swarm.read(input) .. ' ' .. swarm.read(swarm.part('seen', { 1, 2 }))[2]"


async def test_a_script_reads_and_makes_references(host: Host) -> None:
    flow = document(
        [
            {"name": "writer", "kind": "lua", "source": "return input .. '!'", "output": "ref"},
            {"name": "reader", "kind": "lua", "source": READER},
        ],
        step("writer", "ctx.text", "ctx.report"),
        step("reader", "ctx.report", "ctx.said"),
    )
    run = await ran(host, flow, text=LARGE)
    ctx = await run.result()
    assert ctx["report"] == ref_to(f"{LARGE}!".encode(), "text")
    assert ctx["said"] == f"{len(LARGE) + 1} 2"
    assert await run.output("seen") == [1, 2]


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("return swarm.read(input)", "output.type"),
        ("return swarm.read('sha256:0')", "output.reference"),
        ("return swarm.read()", "worker.error"),
        (
            "return swarm.read({ ['$ref'] = 'sha256:' .. ('0'):rep(64), size = 1, type = 'text' })",
            "output.unknown",
        ),
    ],
)
async def test_a_script_that_cannot_read_is_told_why(host: Host, source: str, code: str) -> None:
    flow = document(
        [function("raw", output="ref"), {"name": "reader", "kind": "lua", "source": source}],
        step("raw", "1", "ctx.image"),
        step("reader", "ctx.image", "ctx.said"),
    )
    error = (await (await ran(host, flow)).wait()).error
    assert error is not None
    if code == "worker.error":
        assert error["cause_code"] == "script.error", error
    else:
        assert error["cause_code"] == code, error


def program(text: str, **settings: Any) -> dict[str, Any]:
    argv = [sys.executable, "-c", text]
    return {"name": "tool", "kind": "process", "argv": argv, **settings}


COPY = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())"
OPEN = (
    "import json, os, sys; said = json.load(sys.stdin)['report'];"
    "print(json.dumps([os.path.getsize(said['path']), said['size'], said['path']]))"
)


async def test_a_program_gets_data_as_text_inline_or_as_a_file(host: Host) -> None:
    def flow(tool: dict[str, Any], input_: str) -> dict[str, Any]:
        agents = [function("echo", output="ref"), tool]
        return document(agents, step("echo", "ctx.t", "ctx.r"), step("tool", input_, "ctx.out"))

    async def out(tool: dict[str, Any], input_: str) -> Any:
        return (await (await ran(host, flow(tool, input_), t="grüße")).result())["out"]

    reference = ref_to("grüße".encode(), "text")
    assert await out(program(COPY), "ctx.r") == "grüße"
    as_json = {"input": "json", "output": "json"}
    given = "{ report = ctx.r }"
    assert await out(program(COPY, **as_json), given) == {"report": reference}
    inline = program(COPY, **as_json, refs="inline")
    assert await out(inline, given) == {"report": "grüße"}
    size, told, path = await out(program(OPEN, **as_json, refs="files"), given)
    assert (size, told) == (7, 7)
    assert not Path(path).parent.exists(), "the copies are gone with their attempt"


async def test_what_a_program_writes_can_be_data(host: Host) -> None:
    tool = program("print('two lines')", output="ref")
    run = await ran(host, document([tool], step("tool", "null", "ctx.out")))
    assert (await run.result())["out"] == ref_to(b"two lines", "text")
    assert await run.output("tool") == "two lines"


async def test_bytes_do_not_fit_inline(host: Host) -> None:
    tool = program(COPY, input="json", refs="inline")
    flow = document(
        [function("raw", output="ref"), tool],
        step("raw", "1", "ctx.image"),
        step("tool", "{ image = ctx.image }", "ctx.out"),
    )
    error = (await (await ran(host, flow)).wait()).error
    assert error is not None
    assert error["cause_code"] == "output.type"


@pytest.mark.parametrize(
    ("agent", "code"),
    [
        (function("echo", output="file"), "agent.output_form"),
        (function("echo", output=7), "agent.field_wrong"),
        (program(COPY, output="value"), "process.output_form"),
        (program(COPY, refs="paths"), "process.refs"),
    ],
)
async def test_a_form_that_there_is_not_is_a_problem(
    host: Host, agent: dict[str, Any], code: str
) -> None:
    with pytest.raises(swarm.BlueprintInvalid) as invalid:
        await host.load(document([agent], step(agent["name"], "1", "ctx.out")))
    assert [problem.code for problem in invalid.value.problems] == [code]


async def test_an_agent_that_is_called_answers_as_it_declares(host: Host) -> None:
    caller = "local r = swarm.call('echo', input) return { r, swarm.read(r) }"
    flow = document(
        [function("echo", output="ref"), {"name": "caller", "kind": "lua", "source": caller}],
        step("caller", "'told'", "ctx.out"),
    )
    run = await ran(host, flow)
    assert (await run.result())["out"] == [ref_to(b"told", "text"), "told"]


async def test_a_run_within_the_run_reads_and_returns_references(host: Host) -> None:
    inner = document(
        [function("length"), function("raw", output="ref")],
        step("length", "ctx.report", "ctx.size"),
        step("raw", "2", "ctx.image"),
    )
    outer = document(
        [function("echo", output="ref"), {"name": "sub", "kind": "flow", **embedded(inner)}],
        step("echo", "'four'", "ctx.report"),
        step("sub", "{ report = ctx.report }", "ctx.inner"),
        step("echo", "ctx.inner.size", "ctx.size"),
    )
    run = await ran(host, outer)
    ctx = await run.result()
    assert ctx["inner"]["size"] == 4
    assert await run.output(ctx["inner"]["image"]) == b"\xff\x002"


def embedded(inner: dict[str, Any]) -> dict[str, Any]:
    from swarm.blueprint.canonical import digest_of

    return {"blueprint": "inner.json", "document": inner, "digest": digest_of(inner)}


async def test_references_outlive_the_host_and_a_damaged_one_names_run_and_step(
    tmp_path: Path,
) -> None:
    flow = document(
        [function("echo", output="ref"), function("length")],
        step("echo", "ctx.text", "ctx.report"),
        step("length", "ctx.report", "ctx.size"),
    )
    host = Host(tmp_path / "store", durability="normal")
    equip(host)
    async with host:
        first = await ran(host, flow, text="kept")
    spoil(tmp_path / "store", b"bent")
    again = Host(tmp_path / "store", durability="normal")
    equip(again)
    async with again:
        run = await again.run(first.id)
        assert (await run.result())["size"] == 4, "the run itself needs no data of its steps"
        with pytest.raises(swarm.SwarmError) as damaged:
            await run.output("echo")
        assert damaged.value.code == "output.damaged"
        assert str(damaged.value).startswith(f"run {run.id}, step $.children[0]: expected output")
        repeated = await again.rerun(run.id, from_step="$.children[1]")
        error = (await repeated.wait()).error
        assert error is not None
        assert error["cause_code"] == "output.damaged"
        assert f"run {repeated.id}, step $.children[1]" in error["message"]


def spoil(store: Path, body: bytes) -> None:
    connection = apsw.Connection(str(store / FILE))
    # The blueprint's document lies there as well, and is another fault.
    outputs = "instr(cast(body as text), '\"flow\"') = 0"
    connection.execute(f"update blob set body = ? where {outputs}", (body,))  # noqa: S608
    assert connection.changes() > 0
    connection.close()


async def test_a_rerun_reads_what_the_answers_that_it_shares_mention() -> None:
    flow = document(
        [function("echo", output="ref"), function("length")],
        step("echo", "ctx.text", "ctx.report"),
        step("length", "ctx.report", "ctx.size"),
    )
    host = Host.in_memory()
    equip(host)
    async with host:
        old = await ran(host, flow, text="shared")
        new = await host.rerun(old.id, from_step="$.children[1]")
        await new.wait()
        assert reference_of((await new.result())["report"]) is not None
        assert await new.output("echo") == "shared"
