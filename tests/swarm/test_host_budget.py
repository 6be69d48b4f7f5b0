"""Budgets, as whoever starts a run and whoever writes a blueprint gives them."""

from __future__ import annotations

from typing import Any

import pytest

from swarm import BlueprintInvalid, Host, Refused

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
    assert outcome.error["data"] == {"of": "tokens", "limit": 10, "used": 11}
