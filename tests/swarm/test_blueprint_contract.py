"""What an agent promises, held against every attempt, whoever does it."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from flowir.effects import Failure
from flowir.limits import DEFAULT_LIMITS
from swarm import Host
from swarm.blueprint.agent import AgentSpec
from swarm.blueprint.contract import Contract, contract_of
from swarm.core.answers import ask
from swarm.core.run import RunOutcome
from swarm.ports.worker import Call, Outcome, Usage

NUMBER: Any = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
WORDS = ["PASS", "BLOCKED"]


def contract(**settings: Any) -> Contract:
    found = contract_of(AgentSpec("editor", "lua", settings))
    assert found is not None
    return found


def test_an_agent_that_promises_nothing_has_no_contract() -> None:
    assert contract_of(AgentSpec("editor", "lua", {"source": "", "tags": ["a"]})) is None


@pytest.mark.parametrize("answer", ["PASS", {"verdict": "BLOCKED"}, {"verdict": "PASS", "n": 1}])
def test_a_verdict_of_the_set_passes(answer: Any) -> None:
    assert contract(verdict=WORDS).answer(answer) is None


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("pass", "the answer of 'editor': expected 'BLOCKED' or 'PASS', got 'pass' — did you "),
        ("PASS ", "got 'PASS ' — did you mean 'PASS'?"),
        ("\u0420ASS", "did you mean 'PASS'? what was written is '\\u0420ASS'"),
        ("", "got ''"),
        (None, "got null"),
        (True, "got true"),
        (1, "got 1"),
        (["PASS"], "got ['PASS']"),
        ({}, "the answer of 'editor' at $.verdict: expected 'BLOCKED' or 'PASS', got null"),
        ({"verdict": ["PASS"]}, "at $.verdict: expected 'BLOCKED' or 'PASS', got ['PASS']"),
        ({"verdict": {"verdict": "PASS"}}, "at $.verdict: expected"),
        ({"Verdict": "PASS"}, "at $.verdict: expected"),
        ("x" * 10_000, "got 'xxxx"),
    ],
)
def test_any_other_answer_breaks_the_contract(answer: Any, said: str) -> None:
    breach = contract(verdict=WORDS).answer(answer)
    assert breach is not None
    assert (breach.code, breach.permanent) == ("agent.verdict", False)
    assert said in breach.message
    assert len(breach.message) < 300


def test_an_input_that_does_not_fit_is_permanent_and_an_answer_is_not() -> None:
    both = contract(input_schema=NUMBER, output_schema=NUMBER)
    wrong_input, wrong_answer = both.input({"n": "1"}), both.answer({"n": "1"})
    assert both.input({"n": 1}) is both.answer({"n": 1}) is None
    assert wrong_input is not None
    assert wrong_answer is not None
    assert wrong_input[:3] == (
        "agent.input",
        "the input of 'editor' at $.n: expected an integer, got '1'",
        True,
    )
    assert wrong_answer[:3] == (
        "agent.output",
        "the answer of 'editor' at $.n: expected an integer, got '1'",
        False,
    )
    assert wrong_answer.at == "$.n"


def test_a_schema_and_a_verdict_must_both_hold() -> None:
    both = contract(verdict=WORDS, output_schema={"type": "object", "required": ["why"]})
    assert both.answer({"verdict": "PASS", "why": ""}) is None
    first, second = both.answer({"verdict": "NO", "why": ""}), both.answer({"verdict": "PASS"})
    assert first is not None
    assert second is not None
    assert (first.code, second.code) == ("agent.verdict", "agent.output")


# -- every kind of worker ----------------------------------------------------------------


async def ended(agents: list[dict[str, Any]], input: Any = None, **step: Any) -> RunOutcome:
    flow = {"kind": "step", "ref": agents[0]["name"], "in": "ctx.given", "out": "$.said", **step}
    async with Host.in_memory(scripts="inline") as host:

        @host.function("echo")
        def echo(text: Any) -> Any:
            return text

        document = {"swarm": 1, "id": "a", "agents": agents, "flow": flow}
        run = await host.start(await host.load(document), {"given": input})
        async for event in run.events():
            if event["kind"] == "question.asked":
                await run.answer(event["id"], input)
        return await run.wait()


CAT = "import sys; sys.stdout.write(sys.stdin.read())"
KINDS: dict[str, dict[str, Any]] = {
    "lua": {"kind": "lua", "source": "return input"},
    "function": {"kind": "function", "function": "echo"},
    "process": {"kind": "process", "argv": [sys.executable, "-c", CAT]},
    "human": {"kind": "human", "schema": True},
}


@pytest.mark.anyio
@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_outside_the_set_fails_whatever_kind_gave_it(kind: str) -> None:
    agent = {"name": "editor", **KINDS[kind], "verdict": WORDS}
    outcome = await ended([agent], "MAYBE")
    assert outcome.error is not None
    assert (outcome.error["code"], outcome.error["cause_code"]) == ("step.failed", "agent.verdict")
    assert outcome.error["data"] == {"at": "$"}
    assert (await ended([agent], "PASS")).ctx["said"] == "PASS"


@pytest.mark.anyio
@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_that_does_not_fit_fails_whatever_kind_gave_it(kind: str) -> None:
    agent = {"name": "editor", **KINDS[kind], "output_schema": {"maxLength": 3}}
    outcome = await ended([agent], "four")
    assert outcome.error is not None
    assert outcome.error["cause_code"] == "agent.output"
    assert (await ended([agent], "two")).ctx["said"] == "two"


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["lua", "function", "process"])
async def test_an_input_that_does_not_fit_reaches_nobody(kind: str) -> None:
    agent = {"name": "editor", **KINDS[kind], "input_schema": {"maxLength": 3}}
    outcome = await ended([agent], "four", retry={"max_attempts": 3})
    assert outcome.error is not None
    assert (outcome.error["cause_code"], outcome.error["attempt"]) == ("agent.input", 1)
    assert (await ended([agent], "two")).ctx["said"] == "two"


@pytest.mark.anyio
async def test_an_answer_may_fit_at_another_attempt() -> None:
    script = "return swarm.attempt == 2 and 'PASS' or 'MAYBE'"
    agent = {"name": "editor", "kind": "lua", "source": script, "verdict": WORDS}
    retry = {"max_attempts": 2, "delay_s": 0}
    assert (await ended([agent], retry=retry)).ctx["said"] == "PASS"


@pytest.mark.anyio
async def test_what_an_agent_s_script_calls_is_held_to_its_own_contract() -> None:
    caller = "local ok, e = pcall(swarm.call, 'judge', input) return ok or e.code"
    judge = {"name": "judge", "kind": "lua", "source": "return input", "verdict": WORDS}
    agents = [{"name": "editor", "kind": "lua", "source": caller}, judge]
    assert (await ended(agents, "MAYBE")).ctx["said"] == "agent.verdict"
    assert (await ended(agents, "PASS")).ctx["said"] is True


@pytest.mark.anyio
async def test_a_flow_can_catch_a_broken_contract_by_its_code() -> None:
    agent = {"name": "editor", **KINDS["lua"], "verdict": WORDS}
    flow = {
        "kind": "try",
        "body": {"kind": "step", "ref": "editor", "in": "'MAYBE'", "out": "$.said"},
        "on": ["agent.verdict"],
        "error_at": "$.error",
        "catch": {"kind": "assign", "at": "$.caught", "value": "ctx.error.cause_code"},
    }
    async with Host.in_memory(scripts="inline") as host:
        document = {"swarm": 1, "id": "a", "agents": [agent], "flow": flow}
        run = await host.start(await host.load(document))
        assert (await run.result())["caught"] == "agent.verdict"


@pytest.mark.anyio
async def test_a_large_answer_is_held_against_its_schema_beside_the_loop() -> None:
    rows: list[Any] = [{"n": i} for i in range(2_000)]

    async def worker(call: Call, link: Any) -> Outcome:
        return Outcome(call.input, usage=Usage(tokens=5))

    promise = contract(output_schema={"items": NUMBER})
    call = Call("r", "$", "editor", rows)
    good = await ask(worker, call, None, DEFAULT_LIMITS, promise)  # type: ignore[arg-type]
    assert not isinstance(good.outcome, Failure)
    rows[1_999] = {"n": "x"}
    bad = await ask(worker, call, None, DEFAULT_LIMITS, promise)  # type: ignore[arg-type]
    assert isinstance(bad.outcome, Failure)
    assert bad.outcome.message == (
        "the answer of 'editor' at $[1999].n: expected an integer, got 'x'"
    )
    assert bad.usage.tokens == 5
