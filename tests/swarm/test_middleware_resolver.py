"""The layer that chooses who does a step."""

from __future__ import annotations

import threading
from typing import Any

import anyio
import pytest

from flowir.errors import WorkerFailure
from swarm import BlueprintInvalid
from swarm.middleware.resolver import RESOLVER
from swarm.testing import RecordedLink, built_layer, call_through
from tests.swarm.layered import Bench, document, seq, step

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


AGENTS: dict[str, dict[str, Any]] = {
    "anyone": {},
    "ada": {"tags": ["fast", "text"], "skills": ["french"]},
    "bob": {"tags": ["text"], "skills": ["french", "law"]},
    "eve": {"tags": ["text"], "skills": ["law", "french"]},
}


def named(name: str) -> Any:
    async def work(value: object) -> object:
        return name

    return work


async def resolved(input: Any = 1, choose: Any = None, **params: Any) -> tuple[Any, list[str]]:
    bench = Bench(functions={name: named(name) for name in AGENTS})
    if choose is not None:
        bench.functions["choose"] = choose
    agents = {**AGENTS, "anyone": {"layers": [{"use": "resolver", **params}]}}
    flow = seq(*(step(name, "$.out" if name == "anyone" else "$.x") for name in AGENTS))
    outcome = await bench.run(agents=agents, flow=flow, input=input)
    return outcome, bench.texts


@pytest.mark.parametrize(
    ("params", "input", "who", "reason"),
    [
        ({"tags": ["fast"]}, 1, "ada", "ada is asked: tags fast; 0 of 0 skills"),
        ({"tags": ["text"], "skills": ["law"]}, 1, "bob", "bob is asked: tags text; 1 of 1 skills"),
        (
            {"skills_from": "needs"},
            {"needs": ["law", "french"]},
            "bob",
            "bob is asked: any tags; 2 of 2 skills",
        ),
        (
            {"tags": ["fast"], "skills_from": "needs"},
            {"needs": "french"},
            "ada",
            "ada is asked: tags fast; 1 of 1 skills",
        ),
        ({"skills": ["chess"]}, 1, "anyone", "nobody fits, anyone does it itself"),
    ],
)
async def test_tags_and_skills_decide_and_the_reason_is_recorded(
    params: dict[str, Any], input: Any, who: str, reason: str
) -> None:
    outcome, texts = await resolved(input, **params)
    assert outcome.ctx["out"] == who
    assert texts == [f"resolver: {reason}"]


async def test_without_it_the_agent_of_the_step_does_it() -> None:
    bench = Bench(functions={"anyone": named("anyone")})
    outcome = await bench.run(flow=step("anyone"))
    assert outcome.ctx["out"] == "anyone"


async def test_where_nobody_fits_the_step_may_fail() -> None:
    outcome, _ = await resolved(skills=["chess"], otherwise="fail")
    assert outcome.error["cause_code"] == "resolver.nobody"
    assert "expected an agent with chess, got none" in outcome.error["message"]


def by_size(about: Any) -> Any:
    names = [agent["name"] for agent in about["agents"]]
    assert names == ["ada", "bob", "eve"]
    return {"agent": names[about["input"]], "reason": "by size"} if about["input"] < 3 else None


async def by_name(about: Any) -> Any:
    return about["input"]


async def test_a_function_may_choose() -> None:
    outcome, texts = await resolved(2, by_size, function="choose")
    assert (outcome.ctx["out"], texts) == ("eve", ["resolver: eve is asked: by size"])
    outcome, _ = await resolved(3, by_size, function="choose")
    assert outcome.ctx["out"] == "anyone"
    outcome, texts = await resolved("bob", by_name, function="choose")
    assert texts == ["resolver: bob is asked: function choose says so"]


async def test_a_function_that_names_nobody_fails_the_step() -> None:
    for name in ("bo", "anyone", 5):
        outcome, _ = await resolved(name, by_name, function="choose")
        assert outcome.error["cause_code"] == "resolver.choice"
    outcome, _ = await resolved({}, by_size, function="choose")
    assert outcome.error["cause_code"] == "resolver.choice"


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({}, "expected a field 'tags', 'skills', 'skills_from' or 'function', got none"),
        ({"tags": ["slow"]}, "expected agents with 'slow', got none"),
        ({"function": "chose"}, "expected a registered function, got 'chose' — did you mean"),
    ],
)
async def test_what_is_wrong_is_told_first(params: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BlueprintInvalid) as caught:
        await resolved(1, by_name, **params)
    assert any(sentence in str(problem) for problem in caught.value.problems)


async def test_who_may_be_chosen_is_not_unused() -> None:
    bench = Bench(functions={name: named(name) for name in ("anyone", "ada", "bob")})
    agents = {"anyone": {}, "ada": {"tags": ["a"]}, "bob": {"tags": ["b"]}}
    async with bench.host() as host:
        layers = [{"use": "resolver", "tags": ["a"], "agents": ["anyone"]}]
        with pytest.raises(BlueprintInvalid) as caught:
            await host.load(document(agents, step("anyone"), layers))
    assert [(p.code, p.at) for p in caught.value.problems] == [("agent.unused", "$.agents[2]")]


def asked(agents: dict[str, dict[str, Any]], choose: Any = None, **params: Any) -> Any:
    """Return what calls a resolver of `worker`: who is asked, and what is told."""
    functions = {} if choose is None else {"choose": choose}
    named = {} if choose is None else {"function": "choose"}
    layer = built_layer(RESOLVER, {**params, **named}, agents=agents, functions=functions)

    async def call(input: Any = 1) -> tuple[Any, list[str]]:
        def answers(name: str) -> Any:
            def answer(value: Any) -> Any:
                return name, value

            return answer

        link = RecordedLink({name: answers(name) for name in agents})
        return (await call_through(layer, ["itself"], input=input, link=link)).value, link.texts

    return call


@pytest.mark.parametrize(
    ("input", "who"),
    [
        ({"needs": "law"}, "bob"), ({"needs": ["law", "french"]}, "bob"),
        ({"needs": ["french", 5, None]}, "ada"), ({"needs": 5}, "ada"), ({}, "ada"),
        ([], "ada"), ({"needs": ["chess"]}, None), ({"needs": ["chess", "law"]}, "bob"),
    ],
)  # fmt: skip
async def test_skills_that_the_input_names_are_texts(input: Any, who: str | None) -> None:
    agents: Any = {"ada": {"skills": ["french"]}, "bob": {"skills": ["french", "law"]}}
    found, _ = await asked(agents, skills_from="needs")(input)
    assert found == ("itself" if who is None else (who, input))


async def test_what_is_wanted_is_what_is_set_and_what_the_input_names() -> None:
    agents: Any = {"ada": {"skills": ["french"]}, "bob": {"skills": ["law", "french", "latin"]}}
    call = asked(agents, skills=["french"], skills_from="needs")
    assert (await call({"needs": ["law"]}))[1] == [
        "resolver: bob is asked: any tags; 2 of 2 skills"
    ]
    assert (await call({}))[1] == ["resolver: ada is asked: any tags; 1 of 1 skills"]


@pytest.mark.parametrize(
    ("params", "input", "said"),
    [
        ({"tags": ["a"], "skills": ["b"], "skills_from": "s"}, {"s": "c"}, "a, b, c"),
        ({"skills_from": "s"}, {"s": ["x", "y"]}, "x, y"),
    ],
)
async def test_that_nobody_fits_is_told_for_good(
    params: dict[str, Any], input: Any, said: str
) -> None:
    call = asked({"ada": {"tags": ["a"]}}, **params, otherwise="fail")
    with pytest.raises(WorkerFailure) as failed:
        await call(input)
    assert (failed.value.code, failed.value.permanent) == ("resolver.nobody", True)
    assert failed.value.message == f"'worker': expected an agent with {said}, got none"


def _raise(about: Any) -> Any:
    raise KeyError("x")


def _always(said: Any) -> Any:
    def choose(_about: Any) -> Any:
        return said

    return choose


FITS = "function 'choose': expected the name of an agent that fits, got"


@pytest.mark.parametrize(
    ("choose", "said", "permanent"),
    [
        (_raise, "function 'choose': KeyError: 'x'", False),
        (_always("ad"), f"{FITS} 'ad' \u2014 did you mean 'ada'?", True),
        (_always({"agent": 5}), f"{FITS} 5", True),
        (_always({}), f"{FITS} null", True),
    ],
)
async def test_a_choice_that_is_none_is_told(choose: Any, said: str, permanent: bool) -> None:
    with pytest.raises(WorkerFailure) as failed:
        await asked({"ada": {}}, choose)()
    assert (failed.value.code, failed.value.permanent) == ("resolver.choice", permanent)
    assert failed.value.message.startswith(said)


async def test_a_function_sees_the_others_and_may_choose_nobody() -> None:
    seen: list[Any] = []

    def choose(about: Any) -> Any:
        seen.append(about)

    agents: Any = {
        "ada": {"description": "d", "skills": ["s"], "tags": ["t"], "secret": "x"}, "bob": {},
    }  # fmt: skip
    call = asked(agents, choose)
    assert await call(5) == ("itself", ["resolver: nobody fits, worker does it itself"])
    assert seen == [
        {
            "input": 5,
            "agents": [
                {"name": "ada", "description": "d", "skills": ["s"], "tags": ["t"]},
                {"name": "bob"},
            ],
        }
    ]
    assert await asked(agents, _always({"agent": "bob", "reason": 7}))(5) == (
        ("bob", 5), ["resolver: bob is asked: 7"],
    )  # fmt: skip
    with pytest.raises(WorkerFailure) as failed:
        await asked({"ada": {}}, _always(None), otherwise="fail")()
    assert failed.value.message == "'worker': expected an agent with what is wanted, got none"


async def test_who_gives_up_does_not_wait_for_a_function_that_blocks() -> None:
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def choose(about: Any) -> None:
        begun.set()
        go_on.wait(60)
        ended.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(asked({"ada": {}}, choose))
        with anyio.fail_after(20):
            while not begun.is_set():  # noqa: ASYNC110 - another thread tells
                await anyio.sleep(0.002)
        tasks.cancel_scope.cancel()
    assert not ended.is_set()
    go_on.set()
