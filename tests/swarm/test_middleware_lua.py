"""Layers that are written in Lua, in the sandbox."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from flowir.errors import WorkerFailure
from swarm import BlueprintInvalid, Host, Outcome, Usage
from swarm.blueprint.agent import AgentSpec
from swarm.lua.runner import InlineScripts
from swarm.middleware.lua import LUA, LuaParams
from swarm.ports.layer import LayerHost, Site
from swarm.ports.worker import Toolbox
from swarm.testing import FakeClock, built_layer, call_through
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


async def used(value: object) -> Outcome:
    return Outcome([value], {"log": [1]}, Usage(tokens=5))


@pytest.mark.parametrize(
    ("forms", "out"),
    [
        ({"before": "return input + 1"}, [2]),
        ({"after": "return input.value[1] + 5"}, 6),
        ({"before": "return input + 1", "after": "return input.value[1] * input.input"}, 4),
    ],
)
async def test_either_half_may_be_alone_and_parts_and_usage_pass_through_it(
    forms: dict[str, str], out: Any
) -> None:
    outcome, bench = await around(work=used, **forms)
    tokens = [e["tokens"] for e in bench.events if e["kind"] == "step.finished"]
    assert (outcome.ctx["out"], tokens[0], bench.parts) == (out, 5, [[1]])


async def test_the_agent_is_asked_sixteen_times_in_an_attempt_and_not_once_more() -> None:
    work = Flaky(0)
    outcome, _ = await around("for n = 1, 16 do swarm.next(n) end return 'well'", work=work)
    assert (outcome.ctx["out"], work.asked) == ("well", 16)
    outcome, _ = await around("for n = 1, 17 do swarm.next(n) end", work=work)
    assert work.asked == 32
    said = "swarm.next: expected at most 16 calls in an attempt, got one more"
    assert said in outcome.error["message"]


@pytest.mark.parametrize(
    ("forms", "said"),
    [
        ({"source": "\nerror('oops')"}, "layer of work:2: oops"),
        ({"before": "error('oops')"}, "before work:1: oops"),
        ({"after": "error('oops')"}, "after work:1: oops"),
    ],
)
async def test_a_failure_names_the_script(forms: dict[str, str], said: str) -> None:
    outcome, _ = await around(**forms)
    assert outcome.error["message"].endswith(said)


async def test_what_a_script_fails_with_is_the_failures_data() -> None:
    outcome, _ = await around("swarm.fail('too.early', 'not yet', { at = 3 })")
    assert (outcome.error["cause_code"], outcome.error["data"]) == ("too.early", {"at": 3})


@pytest.mark.parametrize(
    ("params", "at", "said"),
    [
        ({}, "", "expected a field 'source', 'before' or 'after', got none"),
        (
            {"source": "return 1", "after": "return 1"}, "source",
            "expected 'source', or 'before' and 'after', got both",
        ),
        ({"before": "return 1", "after": "return 1 +"}, "after", "near <eof>"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_told_with_its_place(
    params: dict[str, str], at: str, said: str
) -> None:
    with pytest.raises(BlueprintInvalid) as caught:
        await around(**params)
    (problem,) = caught.value.problems
    assert said in problem.message
    assert str(problem.at).endswith(at)


@pytest.mark.parametrize(
    ("params", "agents"),
    [
        ({"source": "return swarm.call('a', 1)"}, {"a"}),
        ({"before": 'return swarm.call("b")', "after": "return 'a'"}, {"a", "b"}),
        ({"source": "return a .. 'nobody' .. \"a"}, set[str]()),
    ],
)
def test_it_may_call_the_agents_whose_names_stand_in_it(
    params: dict[str, str], agents: set[str]
) -> None:
    specs = {name: AgentSpec(name, "scripted", {}) for name in "abc"}
    site = Site("tested", specs["c"], specs, Toolbox(InlineScripts(), {}), LayerHost(FakeClock()))
    assert LUA.calls(LuaParams.model_validate(params), site) == agents


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


@pytest.mark.parametrize(
    ("source", "code", "permanent"),
    [
        ("for _ = 1, 17 do swarm.next(1) end", "layer.calls", True),
        ("error('oops')", "script.error", False),
        ("swarm.fail('too.early', 'not yet')", "too.early", False),
    ],
)
async def test_another_try_may_help_unless_it_cannot(
    source: str, code: str, permanent: bool
) -> None:
    layer = built_layer(LUA, {"source": source})
    with pytest.raises(WorkerFailure) as failed:
        await call_through(layer, [1] * 20)
    assert (failed.value.code, failed.value.permanent) == (code, permanent)


async def test_a_script_that_is_none_is_so_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another host has read it; this one cannot."""
    monkeypatch.setattr(InlineScripts, "syntax_error", lambda *_given: None)  # type: ignore[misc]
    layer = built_layer(LUA, {"source": "return +"})
    with pytest.raises(WorkerFailure) as failed:
        await call_through(layer, [1])
    assert (failed.value.code, failed.value.permanent) == ("script.syntax", True)


def test_a_problem_of_a_script_names_its_line() -> None:
    specs = {"work": AgentSpec("work", "scripted", {})}
    site = Site("t", specs["work"], specs, Toolbox(InlineScripts(), {}), LayerHost(FakeClock()))
    params = LuaParams.model_validate({"before": "return 1", "after": "local a = 1\nreturn +"})
    (problem,) = LUA.problems(params, site)
    assert (problem.code, problem.field, problem.line) == ("script.syntax", "after", 2)
