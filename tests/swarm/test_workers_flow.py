"""Blueprints within blueprints: compiled in, carried as runs of their own, taken along."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from swarm import BlueprintInvalid, Host, Outcome, Run, Usage
from swarm.core.children import child_id
from swarm.testing import CountedIds, FakeClock, MemoryJournal, Parts

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


# A child that has used something, and waits for a person or fails.
def costly(then: Json) -> Json:
    spend = {"name": "spend", "kind": "function", "function": "spend"}
    agents = [spend, ASK] if then is WAITS else [spend]
    step = {"kind": "step", "ref": "spend", "in": "ctx.n", "out": "$.n"}
    flow = {"kind": "seq", "children": [step, then]}
    return {**child(), "agents": agents, "flow": flow}


WAITS = {"kind": "step", "ref": "double", "in": "ctx.n", "out": "$.n"}
WAITS_ON = {"kind": "step", "ref": "who", "in": "1"}


def spending(store: Path | Parts) -> Host:
    host = Host(store)

    @host.function("spend")
    async def spend(n: int) -> Outcome:
        return Outcome(n, usage=Usage(tokens=100, cost=1.5))

    return host


async def ended(run: Run) -> list[Json]:
    return [dict(e) async for e in run.events(follow=False) if e["kind"] == "child.ended"]


async def test_a_child_that_is_stopped_is_told_as_ended_and_stays_counted(tmp_path: Path) -> None:
    sub = parent(timeout_s=0.5)
    catch = {"kind": "seq", "children": []}
    flow = {"kind": "try", "body": sub["flow"], "catch": catch, "on": ["step.timeout"]}
    outer = {**sub, "flow": {"kind": "seq", "children": [flow, WAITS_ON]}}
    outer["agents"] = [*sub["agents"], {"name": "who", "kind": "human"}]
    key = "$.children[0].body"
    spent = {"steps": 2, "attempts": 2, "tokens": 100, "cost": 1.5}
    async with spending(tmp_path / "store") as host:
        run = await started(host, tmp_path, costly(WAITS), outer)
        with anyio.fail_after(20):
            while not await ended(run):  # noqa: ASYNC110 - it is not waited for
                await anyio.sleep(0.001)
        await until(run, "waiting")
        [row] = await ended(run)
        assert (row["child"], row["status"]) == (child_id("outer", key, 1), "cancelled")
        assert row["spent"] == spent
        used = run.meter.spent
        assert (used.steps, used.attempts, used.tokens, used.cost) == (4, 4, 100, 1.5)
    async with spending(tmp_path / "store") as host:
        run = await host.run("outer")
        assert run.meter.spent == used
        await run.cancel()


async def test_a_child_that_is_found_ended_is_counted_once(tmp_path: Path) -> None:
    outer = parent()
    outer["agents"][0]["layers"] = [{"use": "senior", "to": "ada"}]
    failing = {"kind": "assign", "at": "$.n", "value": "ctx.n // 0"}
    for times in (1, 2, 3):
        async with spending(tmp_path / "store") as host:
            run = await started(host, tmp_path, costly(failing), outer)
            # It has waited before: that it waits does not say that it has gone on.
            with anyio.fail_after(20):
                while len(await ended(run)) < times:  # noqa: ASYNC110 - whenever it has
                    await anyio.sleep(0.001)
            await until(run, "waiting")
            used = run.meter.spent
            assert (used.steps, used.attempts, used.tokens, used.cost) == (2, 2, 100, 1.5)
            assert len(await ended(run)) == times


async def test_a_child_that_ended_as_its_host_died_is_counted_too(tmp_path: Path) -> None:
    parts = Parts(MemoryJournal(), FakeClock(), CountedIds(), durable=True)
    async with spending(parts) as host:
        run = await started(host, tmp_path, costly({"kind": "assign", "at": "$.n", "value": "1"}))
        assert (await run.wait()).status == "succeeded"
    # The parent had not heard of its end.
    died = MemoryJournal()
    outer, inner = [
        [dict(row) for row in await parts.journal.read(name)] for name in (run.log.run_id, CHILD)
    ]
    heard = [row["kind"] for row in outer].index("child.ended")
    died.append(run.log.run_id, outer[:heard])
    died.append(CHILD, inner)
    await died.commit()
    async with spending(replace(parts, journal=died)) as host:
        run = await host.run("outer")
        assert (await run.wait()).status == "succeeded"
        used = run.meter.spent
        assert (used.steps, used.attempts, used.tokens, used.cost) == (2, 2, 100, 1.5)


async def test_a_rerun_counts_what_the_children_of_its_answers_have_used(tmp_path: Path) -> None:
    outer = parent()
    last = {"kind": "assign", "at": "$.n", "value": "ctx.sub.n"}
    step = {"kind": "step", "ref": "who", "in": "1", "out": "$.who"}
    outer["agents"].append({"name": "who", "kind": "lua", "source": "return input"})
    outer["flow"] = {"kind": "seq", "children": [outer["flow"], step, last]}
    plain = {"kind": "assign", "at": "$.m", "value": "1"}
    async with spending(tmp_path / "store") as host:
        run = await started(host, tmp_path, costly(plain), outer)
        ctx = await run.result()
        again = await host.rerun("outer", from_step="who", new_id="again")
        assert await again.result() == ctx
        assert again.meter.spent == run.meter.spent
        assert again.meter.spent.tokens == 100
        assert [k for k in await kinds(again) if k.startswith("child.")] == [
            "child.started",
            "child.ended",
        ]
        # What the step itself does is not taken over.
        first = await host.rerun("outer", from_step="sub", new_id="first")
        assert await first.result() == ctx
        assert first.meter.spent == run.meter.spent
        assert len(await ended(first)) == 1


async def test_a_child_whose_parent_has_ended_is_not_left(tmp_path: Path) -> None:
    parts = Parts(MemoryJournal(), FakeClock(), CountedIds(), durable=True)
    async with Host(parts) as host:
        run = await started(host, tmp_path, child(ASK))
        await until(run, "waiting")
        inner = await host.run(CHILD)
        await run.cancel()
        assert (await inner.wait()).status == "cancelled"
    # What a host leaves that dies between the end of the parent and that of the child.
    died = MemoryJournal()
    for run_id in (run.log.run_id, inner.log.run_id):
        rows = [dict(row) for row in await parts.journal.read(run_id)]
        known = [row["kind"] for row in rows]
        if run_id == CHILD:
            rows = rows[: known.index("run.cancelling")]
        died.append(run_id, rows)
    await died.commit()
    async with Host(replace(parts, journal=died)) as host:
        inner = await host.run(CHILD)
        outcome = await inner.wait()
        assert outcome.error is not None
        assert (outcome.status, outcome.error["message"]) == ("cancelled", "its parent has ended")


async def test_a_parent_that_cannot_go_on_takes_its_child_along(tmp_path: Path) -> None:
    missing = {"name": "later", "kind": "function", "function": "later"}
    outer = parent()
    outer["agents"].append(missing)
    outer["flow"] = {
        "kind": "seq",
        "children": [outer["flow"], {"kind": "step", "ref": "later", "in": "1"}],
    }
    host = Host(tmp_path / "store")

    @host.function("later")
    async def later(n: int) -> int:
        return n

    async with host:
        run = await started(host, tmp_path, child(ASK), outer)
        await until(run, "waiting")
    async with Host(tmp_path / "store") as host:
        run = await host.run("outer")
        await until(run, "blocked")
        await run.cancel("enough")
        assert (await run.wait()).status == "cancelled"
        inner = await host.run(child_id("outer", "$.children[0]", 1))
        assert (await inner.wait()).status == "cancelled"


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
