"""Blueprints within blueprints: compiled in, carried as runs of their own, taken along."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from swarm import BlueprintInvalid, Host, Run
from swarm.core.children import child_id

pytestmark = pytest.mark.anyio

Json = dict[str, Any]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


LUA = {"name": "double", "kind": "lua", "source": "return input * 2"}
ASK = {"name": "double", "kind": "human", "schema": {"type": "integer"}}


def child(agent: Json = LUA) -> Json:
    flow = {"kind": "step", "ref": "double", "in": "ctx.n", "out": "$.n"}
    return {"swarm": 1, "id": "child", "agents": [agent], "flow": flow}


def parent(blueprint: Any = "child.json", **step: Any) -> Json:
    agent = {"name": "sub", "kind": "flow", "blueprint": blueprint}
    flow = {"kind": "step", "ref": "sub", "in": "{ n = ctx.n }", "out": "$.sub", **step}
    return {"swarm": 1, "id": "parent", "agents": [agent], "flow": flow}


def write(folder: Path, **documents: Json) -> str:
    for name, document in documents.items():
        (folder / f"{name}.json").write_text(json.dumps(document))
    return str(folder / "parent.json")


async def started(host: Host, folder: Path, inner: Json, outer: Json | None = None) -> Run:
    blueprint = await host.load(write(folder, child=inner, parent=outer or parent()))
    return await host.start(blueprint, {"n": 3}, run_id="outer")


async def kinds(run: Run) -> list[str]:
    return [event["kind"] async for event in run.events()]


async def until(run: Run, status: str) -> None:
    with anyio.fail_after(20):
        while run.status != status:  # noqa: ASYNC110 - whatever leads there
            await anyio.sleep(0.001)


CHILD = child_id("outer", "$", 1)


async def test_the_final_context_of_the_child_is_the_answer_of_the_step(tmp_path: Path) -> None:
    async with Host.in_memory() as host:
        run = await started(host, tmp_path, child())
        assert await run.result() == {"n": 3, "sub": {"n": 6}}
        assert [k for k in await kinds(run) if k.startswith("child.")] == [
            "child.started",
            "child.ended",
        ]
        inner = await host.run(CHILD)
        assert (inner.status, inner.summary.blueprint) == ("succeeded", "child")
        first = await anext(inner.events())
        assert first["kind"] == "run.started"
        assert first["parent"] == {"run": "outer", "key": "$", "attempt": 1}


async def test_a_failing_child_fails_the_step_with_its_code(tmp_path: Path) -> None:
    failing = {"name": "double", "kind": "lua", "source": "swarm.fail('odd', 'not even')"}
    async with Host.in_memory() as host:
        run = await started(host, tmp_path, child(failing))
        error = (await run.wait()).error
    assert error is not None
    assert (error["code"], error["cause_code"]) == ("step.failed", "odd")
    assert "not even" in error["message"]
    assert error["data"]["run"] == CHILD


async def test_another_attempt_is_another_child(tmp_path: Path) -> None:
    failing = {"name": "double", "kind": "lua", "source": "swarm.fail('odd', 'not even')"}
    outer = parent(retry={"max_attempts": 2, "delay_s": 0})
    async with Host.in_memory() as host:
        run = await started(host, tmp_path, child(failing), outer)
        assert (await run.wait()).status == "failed"
        for attempt in (1, 2):
            assert (await host.run(child_id("outer", "$", attempt))).status == "failed"


async def test_a_cancelled_parent_takes_its_child_along(tmp_path: Path) -> None:
    async with Host.in_memory() as host:
        run = await started(host, tmp_path, child(ASK))
        await until(run, "waiting")
        await run.cancel()
        assert (await run.wait()).status == "cancelled"
        assert (await host.run(CHILD)).status == "cancelled"


async def test_a_parent_waits_for_people_while_its_child_does(tmp_path: Path) -> None:
    async with Host.in_memory() as host:
        run = await started(host, tmp_path, child(ASK))
        await until(run, "waiting")
        inner = await host.run(CHILD)
        await inner.answer(f"{CHILD}:1", 7)
        assert await run.result() == {"n": 3, "sub": {"n": 7}}
        seen = await kinds(run)
        assert seen.index("run.waiting") < seen.index("run.woken") < seen.index("child.ended")


async def test_a_child_goes_on_with_its_parent_after_a_restart(tmp_path: Path) -> None:
    store = tmp_path / "store"
    async with Host(store) as host:
        run = await started(host, tmp_path, child(ASK))
        await until(run, "waiting")
    (tmp_path / "child.json").unlink()
    (tmp_path / "parent.json").unlink()
    async with Host(store) as host:
        run = await host.run("outer")
        inner = await host.run(CHILD)
        with anyio.fail_after(20):
            while not inner.live:  # noqa: ASYNC110 - the host goes on with both by itself
                await anyio.sleep(0.001)
        assert len(await inner.questions()) == 1
        await inner.answer(f"{CHILD}:1", 7)
        assert await run.result() == {"n": 3, "sub": {"n": 7}}
        assert len(await host.runs()) == 2


async def test_a_child_uses_the_budget_of_its_parent(tmp_path: Path) -> None:
    document = child()
    step = document["flow"]
    document["flow"] = {"kind": "seq", "children": [step] * 5}
    async with Host.in_memory() as host:
        blueprint = await host.load(write(tmp_path, child=document, parent=parent()))
        run = await host.start(blueprint, {"n": 1}, run_id="outer", budget={"steps": 4})
        error = (await run.wait()).error
        assert error is not None
        assert error["code"] == "budget.exhausted"
        # One step is the parent's own.
        inner = await host.run(CHILD)
        finished = [k for k in await kinds(inner) if k == "step.finished"]
        assert len(finished) == 3
        [ended] = [e async for e in run.events() if e["kind"] == "child.ended"]
        assert ended["spent"]["steps"] == 4


async def test_a_child_that_gets_the_wrong_input_fails_the_step(tmp_path: Path) -> None:
    document = {**child(), "inputs": {"properties": {"n": {"type": "string"}}}}
    async with Host.in_memory() as host:
        run = await started(host, tmp_path, document)
        error = (await run.wait()).error
    assert error is not None
    assert error["cause_code"] == "run.input"


async def problems(folder: Path, **documents: Json) -> list[tuple[str, str]]:
    async with Host.in_memory() as host:
        with pytest.raises(BlueprintInvalid) as caught:
            await host.load(write(folder, **documents))
    return [(problem.code, problem.message) for problem in caught.value.problems]


async def test_a_circle_is_refused(tmp_path: Path) -> None:
    found = await problems(tmp_path, parent=parent(), child=parent("parent.json"))
    [(code, message)] = found
    assert code == "flow.cycle"
    assert message.endswith("expected no circle, got parent.json -> child.json -> parent.json")
    found = await problems(tmp_path, parent=parent("parent.json"))
    assert [code for code, _ in found] == ["flow.cycle"]


@pytest.mark.parametrize(("levels", "codes"), [(8, []), (9, ["flow.depth"])])
async def test_blueprints_within_each_other_have_a_limit(
    tmp_path: Path, levels: int, codes: list[str]
) -> None:
    inner = {f"level{i}": parent(f"level{i + 1}.json") for i in range(1, levels)}
    inner[f"level{levels}"] = child()
    documents = {"parent": parent("level1.json"), **inner}
    if codes:
        assert [code for code, _ in await problems(tmp_path, **documents)] == codes
    else:
        async with Host.in_memory() as host:
            run = await host.start(await host.load(write(tmp_path, **documents)), {"n": 1})
            outcome = await run.wait()
            assert outcome.status == "succeeded", outcome.error


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("research@1.2", "flow.version"),
        ("../other.json", "flow.path"),
        ("/etc/passwd.json", "flow.path"),
        (7, "flow.path"),
        ("nothing.json", "flow.invalid"),
    ],
)
async def test_what_leads_to_no_blueprint_is_a_problem(
    tmp_path: Path, name: Any, code: str
) -> None:
    assert [found for found, _ in await problems(tmp_path, parent=parent(name))] == [code]


async def test_the_problems_of_the_inner_blueprint_are_told(tmp_path: Path) -> None:
    broken = child({"name": "double", "kind": "lua", "source": "return ("})
    [(code, message)] = await problems(tmp_path, parent=parent(), child=broken)
    assert code == "flow.invalid"
    assert "'child.json': " in message
    assert "script.syntax" in message


async def test_the_digest_of_the_parent_covers_its_child(tmp_path: Path) -> None:
    async with Host.in_memory() as host:
        one = await host.load(write(tmp_path, child=child(), parent=parent()))
        same = await host.load(write(tmp_path, child=child(), parent=parent()))
        other = await host.load(write(tmp_path, child=child(ASK), parent=parent()))
        assert one.digest == same.digest != other.digest
        again = await host.load(json.loads(json.dumps(one.document)))
        assert again.digest == one.digest
        tampered = json.loads(json.dumps(one.document))
        tampered["agents"][0]["document"]["id"] = "else"
        with pytest.raises(BlueprintInvalid) as caught:
            await host.load(tampered)
        assert [problem.code for problem in caught.value.problems] == ["flow.digest"]
