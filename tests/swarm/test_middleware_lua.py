"""Layers that are written in Lua, in the sandbox."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from swarm import BlueprintInvalid, Host, Outcome, Usage
from tests.swarm.layered import Bench, Flaky, document, step

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


async def around(
    source: str | None = None, *, work: Any = None, input: Any = 1, **more: Any
) -> Any:
    bench = Bench(functions={"work": work or Flaky(0), "other": Flaky(0)})
    scripts = {**more, **({} if source is None else {"source": source})}
    layers = [{"use": "lua", "agents": ["work"], **scripts}]
    agents = {"work": {}, "other": {}}
    flow = {"kind": "seq", "children": [step("work"), step("other", "$.o")]}
    outcome = await bench.run(layers, agents=agents, flow=flow, input=input)
    return outcome, bench


async def test_a_script_stands_around_the_work() -> None:
    outcome, _ = await around("return { got = swarm.next(input + 1), was = input }")
    assert outcome.ctx["out"] == {"got": 2, "was": 1}


async def test_without_it_the_answer_is_the_agents() -> None:
    outcome = await Bench(functions={"work": Flaky(0)}).run()
    assert outcome.ctx["out"] == 1


async def test_it_may_answer_itself_fail_or_ask_another_agent() -> None:
    work = Flaky(0)
    outcome, _ = await around("return swarm.agent .. swarm.key .. swarm.attempt", work=work)
    assert outcome.ctx["out"] == "work$.children[0]1"
    outcome, _ = await around("return swarm.call('other', input)", work=work)
    assert outcome.ctx["out"] == 1
    outcome, _ = await around("swarm.fail('too.early', 'not yet')", work=work)
    assert (outcome.error["cause_code"], work.asked) == ("too.early", 0)


async def test_it_may_try_again_and_tell() -> None:
    source = """
      for _ = 1, 3 do
        local ok, answer = pcall(swarm.next, input)
        if ok then return answer end
        swarm.progress("again after " .. answer.code)
      end
    """
    outcome, bench = await around(source, work=Flaky(2))
    assert outcome.ctx["out"] == 1
    assert bench.texts == ["again after worker.error"] * 2


async def test_a_failure_it_does_not_handle_keeps_its_code() -> None:
    outcome, _ = await around("return swarm.next(input)", work=Flaky(9))
    assert outcome.error["cause_code"] == "worker.error"


async def test_parts_and_usage_pass_through_it() -> None:
    async def work(value: object) -> Outcome:
        return Outcome(value, {"log": [1]}, Usage(tokens=5))

    _, bench = await around("swarm.next(1) return swarm.next(2)", work=work)
    tokens = [e["tokens"] for e in bench.events if e["kind"] == "step.finished"]
    assert tokens[0] == 10
    assert bench.parts == [[1]]


async def test_before_changes_what_goes_in_and_after_what_comes_out() -> None:
    outcome, _ = await around(
        before="return input * 10", after="return { input.input, input.value, 'seen' }"
    )
    assert outcome.ctx["out"] == [10, 10, "seen"]


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("error('oops')", "script.error"),
        ("while true do end", "script.budget"),
        ("return function() end", "script.result"),
        ("for _ = 1, 99 do swarm.next(1) end", "layer.calls"),
        ("return os.time()", "script.error"),
    ],
)
async def test_a_script_that_goes_wrong_fails_the_step(source: str, code: str) -> None:
    outcome, _ = await around(source)
    assert outcome.error["cause_code"] == code


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({}, "layer.field_missing"),
        ({"source": "return 1", "before": "return 1"}, "layer.field_wrong"),
        ({"source": "return +"}, "script.syntax"),
        ({"after": 5}, "layer.field_wrong"),
    ],
)
async def test_what_is_wrong_is_told_first(params: dict[str, Any], code: str) -> None:
    with pytest.raises(BlueprintInvalid) as caught:
        await around(**params)
    assert [problem.code for problem in caught.value.problems] == [code]


async def test_in_a_child_process_it_is_the_same_and_is_cancelled_in_time(tmp_path: Path) -> None:
    stays = anyio.Event()

    async def work(value: object) -> object:
        stays.set()
        await anyio.sleep_forever()

    layers = [{"use": "lua", "source": "return swarm.next(input)"}]
    async with Host.in_memory() as host:
        host.function("work")(work)
        run = await host.start(
            await host.load(document({"work": {}}, step("work"), layers)), {"given": 1}
        )
        with anyio.fail_after(20):
            await stays.wait()
            await run.cancel("enough")
            assert (await run.wait()).status == "cancelled"
