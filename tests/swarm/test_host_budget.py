"""Budgets, as whoever starts a run and whoever writes a blueprint gives them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from swarm import BlueprintInvalid, Host, Refused, Run

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


def document(**more: Any) -> dict[str, Any]:
    steps = [{"kind": "step", "ref": "work", "in": f"{i}", "out": f"$.x{i}"} for i in range(5)]
    agent = {"name": "work", "kind": "lua", "source": "return input"}
    flow = {"kind": "seq", "children": steps}
    return {"swarm": 1, "id": "five", "agents": [agent], "flow": flow, **more}


@pytest.mark.parametrize(
    ("limits", "budget", "done"),
    [
        (None, {"steps": 3}, 3),
        ({"budget": {"steps": 2}}, None, 2),
        ({"budget": {"steps": 2}}, {"steps": 4}, 2),
        ({"budget": {"steps": 4}, "fuel": 1000}, {"attempts": 1}, 1),
    ],
)
async def test_the_lower_limit_holds(limits: Any, budget: Any, done: int) -> None:
    more = {} if limits is None else {"limits": limits}
    async with Host.in_memory() as host:
        run = await host.start(await host.load(document(**more)), budget=budget)
        outcome = await run.wait()
    assert outcome.error is not None
    assert outcome.error["code"] == "budget.exhausted"
    assert outcome.partial == {f"x{i}": i for i in range(done)}


async def test_a_wrong_budget_is_refused() -> None:
    async with Host.in_memory() as host:
        loaded = await host.load(document())
        with pytest.raises(Refused) as caught:
            await host.start(loaded, budget={"money": 5})
    assert caught.value.code == "budget.malformed"


async def test_a_wrong_budget_is_a_problem_of_the_blueprint() -> None:
    async with Host.in_memory() as host:
        with pytest.raises(BlueprintInvalid) as caught:
            await host.load(document(limits={"budget": {"stepz": 5, "cost": -1}}))
    found = {(problem.code, problem.at) for problem in caught.value.problems}
    assert found == {
        ("blueprint.field_unknown", "$.limits.budget.stepz"),
        ("blueprint.field_wrong", "$.limits.budget.cost"),
    }


async def test_what_an_attempt_takes_at_most_is_a_setting_of_its_agent() -> None:
    document_ = document(limits={"budget": {"tokens": 10}})
    document_["agents"][0]["reserve"] = {"tokens": 11}
    async with Host.in_memory() as host:
        outcome = await (await host.start(await host.load(document_))).wait()
    assert outcome.error is not None
    assert outcome.error["data"] == {"of": "tokens", "slice": None, "limit": 10, "used": 11}


PARTS = [
    {"kind": "seq", "id": "research", "children": document()["flow"]["children"][:3]},
    *document()["flow"]["children"][3:],
]


def parted(**more: Any) -> dict[str, Any]:
    return document(flow={"kind": "seq", "children": PARTS}, **more)


@pytest.mark.parametrize(
    ("limits", "own", "budget", "slice", "done"),
    [
        ({"agents": {"work": {"steps": 2}}}, None, None, "agents.work", 2),
        (None, {"steps": 4}, None, "agents.work", 4),
        (None, {"steps": 4}, {"agents": {"work": {"steps": 1}}}, "agents.work", 1),
        ({"agents": {"work": {"steps": 3}}}, {"steps": 4}, None, "agents.work", 3),
        ({"nodes": {"research": {"steps": 2}}}, None, {"steps": 5}, "nodes.research", 2),
        (None, None, {"nodes": {"research": {"attempts": 1}}}, "nodes.research", 1),
        ({"nodes": {"research": {"steps": 3}}}, None, {"steps": 4}, None, 4),
    ],
)
async def test_slices_come_from_limits_from_agents_and_from_who_starts(
    limits: Any, own: Any, budget: Any, slice: str | None, done: int
) -> None:
    written = parted(**({} if limits is None else {"limits": {"budget": limits}}))
    written["agents"][0] |= {} if own is None else {"budget": own}
    async with Host.in_memory() as host:
        run = await host.start(await host.load(written), budget=budget)
        outcome = await run.wait()
    assert outcome.error is not None
    assert outcome.error["data"]["slice"] == slice
    assert outcome.partial == {f"x{i}": i for i in range(done)}


async def test_a_slice_for_nobody_is_refused_with_what_was_meant() -> None:
    async with Host.in_memory() as host:
        slices = {"agents": {"wrok": {"steps": 1}}, "nodes": {"reserch": {"steps": 1}}}
        wrong = parted(limits={"budget": slices})
        with pytest.raises(BlueprintInvalid) as caught:
            await host.load(wrong)
        assert [(p.code, p.hint) for p in caught.value.problems] == [
            ("budget.slice", "did you mean 'work'?"),
            ("budget.slice", "did you mean 'research'?"),
        ]
        loaded = await host.load(parted())
        with pytest.raises(Refused, match="did you mean 'research'") as refused:
            await host.start(loaded, budget={"nodes": {"reserch": {"steps": 1}}})
        assert refused.value.code == "budget.malformed"


async def test_a_run_within_a_run_uses_the_slice_of_its_step(tmp_path: Path) -> None:
    (tmp_path / "inner.json").write_text(json.dumps(parted()))
    inner = {"name": "inner", "kind": "flow", "blueprint": "inner.json"}
    flow = {"kind": "step", "ref": "inner", "in": "{}", "out": "$.all", "id": "within"}
    outer = {"swarm": 1, "id": "outer", "agents": [inner], "flow": flow}
    (tmp_path / "outer.json").write_text(json.dumps(outer))
    async with Host.in_memory() as host:
        for slices in ({"agents": {"inner": {"steps": 4}}}, {"nodes": {"within": {"steps": 4}}}):
            run = await host.start(await host.load(str(tmp_path / "outer.json")), budget=slices)
            outcome = await run.wait()
            assert outcome.error is not None
            assert outcome.error["code"] == "budget.exhausted"
            # The step itself is one of the four, and three within it.
            inner_error = outcome.error["data"]["error"]
            assert inner_error["data"]["used"] == 5
            assert inner_error["data"]["slice"] in ("agents.inner", "nodes.within")


ASKED = {
    "swarm": 1,
    "id": "asked",
    "agents": [
        {"name": "work", "kind": "lua", "source": "return input"},
        {"name": "who", "kind": "human"},
    ],
    "flow": {
        "kind": "seq",
        "children": [
            {"kind": "step", "ref": "work", "in": "1", "out": "$.n"},
            {"kind": "step", "ref": "who", "in": "'which?'", "out": "$.answer"},
        ],
    },
}


async def until(run: Run, status: str) -> None:
    with anyio.fail_after(20):
        while run.status != status:  # noqa: ASYNC110 - whatever leads there
            await anyio.sleep(0.001)


async def test_a_step_that_is_begun_again_is_counted_once(tmp_path: Path) -> None:
    async with Host(tmp_path) as host:
        enough = {"steps": 2, "attempts": 2}
        run = await host.start(await host.load(ASKED), run_id="asked", budget=enough)
        await until(run, "waiting")
    for _ in range(2):
        async with Host(tmp_path) as host:
            run = await host.run("asked")
            await until(run, "waiting")
            assert (run.meter.spent.steps, run.meter.spent.attempts) == (2, 2)
    async with Host(tmp_path) as host:
        run = await host.run("asked")
        await until(run, "waiting")
        await run.answer("asked:1", "this")
        assert await run.result() == {"n": 1, "answer": "this"}
