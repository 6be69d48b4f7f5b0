"""Layers that ask somebody, word for word: what is put to whom, and what comes of the reply.

Each is called as a host calls it, without a run around it; the tests beside this one have runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

import anyio
import pytest

from flowir import WorkerFailure
from swarm import Outcome, Usage
from swarm.middleware.budget import BUDGET
from swarm.middleware.delegate import DELEGATE
from swarm.middleware.main_ai import MAIN_AI
from swarm.middleware.redact import REDACT
from swarm.middleware.resolver import RESOLVER, ResolverParams
from swarm.middleware.retry import RETRY
from swarm.middleware.senior import SENIOR
from swarm.middleware.timeout import TIMEOUT
from swarm.ports.layer import LayerFactory
from swarm.ports.operators import Order
from swarm.ports.questions import Ask
from swarm.ports.worker import Call, CostlyFailure, StepLink
from swarm.testing import (
    FakeClock,
    FakeOperators,
    RecordedLink,
    ScriptedWorker,
    built_layer,
    call_through,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Seen(NamedTuple):
    """What came of a call: the outcome or the failure, what was asked of whom, what was told."""

    outcome: Outcome | None
    failure: WorkerFailure | None
    orders: list[tuple[str, Order]]
    texts: list[str]

    @property
    def ends(self) -> tuple[str, str, bool]:
        assert self.failure is not None
        return self.failure.code, self.failure.message, self.failure.permanent

    @property
    def value(self) -> Any:
        assert self.outcome is not None
        return self.outcome.value

    @property
    def data(self) -> Any:
        assert self.failure is not None
        return self.failure.data

    @property
    def tokens(self) -> int:
        if self.outcome is not None:
            return self.outcome.usage.tokens
        return self.failure.usage.tokens if isinstance(self.failure, CostlyFailure) else 0


async def seen(
    factory: LayerFactory[Any],
    params: Mapping[str, Any],
    worker: Any,
    *replies: Any,
    input: Any = 1,
    clock: FakeClock | None = None,
    seats: tuple[str, ...] = ("ada", "bob", "lead"),
    **more: Any,
) -> Seen:
    """Call *worker* through a layer; ada, bob and the lead give *replies* one by one."""
    left = list(replies)
    operators = FakeOperators(dict.fromkeys(seats if left else (), lambda order: left.pop(0)))
    link = RecordedLink(more.pop("called", None))
    layer = built_layer(factory, params, operators=operators, clock=clock, **more)
    try:
        outcome, failure = await call_through(layer, worker, input=input, link=link), None
    except WorkerFailure as raised:
        outcome, failure = None, raised
    assert left == []
    return Seen(outcome, failure, operators.orders, link.texts)


async def silent(
    factory: LayerFactory[Any], params: Mapping[str, Any], worker: Any, *replies: Any
) -> Seen:
    """Call *worker* through a layer while nobody but bob replies, until the deadline is over."""
    found: list[Seen] = []
    clock = FakeClock()

    async def call() -> None:
        found.append(await seen(factory, params, worker, *replies, clock=clock, seats=("bob",)))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await clock.settle()
        assert found == []
        await clock.advance(params.get("deadline_s", 60))
        await clock.settle()
        tasks.cancel_scope.cancel()
    return found[0]


def spent(value: Any, tokens: int = 10) -> Outcome:
    return Outcome(value, {"log": [value]}, Usage(tokens=tokens))


# -- senior ------------------------------------------------------------------------------

AGAIN, KEEP = {"decision": "retry"}, {"decision": "keep"}
BLOCKS = {"to": "ada", "block": ["BLOCKED"]}


async def test_a_senior_is_shown_the_work_and_what_may_be_decided() -> None:
    it = await seen(SENIOR, BLOCKS, ["BLOCKED"], KEEP)
    schema = {
        "type": "object",
        "properties": {
            "decision": {"enum": ["fail", "keep", "override", "retry"]},
            "guidance": {"type": "string"},
            "message": {"type": "string"},
            "value": True,
        },
        "required": ["decision"],
        "additionalProperties": False,
    }
    prompt = "worker answered BLOCKED: what is to be done?"
    order = Order(
        "r_1/$/1/senior/ada/0", "advise", "worker", prompt, {"input": 1, "value": "BLOCKED"}, schema
    )
    assert it.orders == [("ada", order)]
    assert it.texts == ["senior: ada decided 'keep', where answered BLOCKED"]


@pytest.mark.parametrize(
    ("answer", "params", "why"),
    [
        ("BLOCKED", {"block": ["HALT", "BLOCKED"]}, "answered BLOCKED"),
        ({"verdict": "HALT", "confidence": 0}, {"block": ["HALT"], "below": 1}, "answered HALT"),
        ({"confidence": 0}, {"below": 0.25}, "confidence 0 is under 0.25"),
        ({"sure": 0.2}, {"below": 0.25, "confidence": "sure"}, "sure 0.2 is under 0.25"),
        ({"confidence": False}, {"below": 0.5}, None),
        ({"confidence": "0"}, {"below": 0.5}, None),
        ({"confidence": 0.0}, {}, None),
        ({"verdict": ["HALT"]}, {"block": ["HALT"]}, None),
        ({"said": "HALT"}, {"block": ["HALT"]}, None),
        (["HALT"], {"block": ["HALT"]}, None),
        (4, {"when": "ctx.value > ctx.input"}, "the rule 'ctx.value > ctx.input' holds"),
        (1, {"when": "ctx.value > ctx.input"}, None),
        (WorkerFailure("net.reset", "no"), {}, "failed with net.reset"),
        (WorkerFailure("net.reset", "no"), {"on": ["net.*"]}, "failed with net.reset"),
        (WorkerFailure("net.reset", "no"), {"on": ["disk.*"]}, None),
        (WorkerFailure("net.reset", "no"), {"on": []}, None),
    ],
)
async def test_a_senior_is_asked_where_there_is_a_reason(
    answer: Any, params: dict[str, Any], why: str | None
) -> None:
    it = await seen(SENIOR, {"to": "ada", **params}, [answer], *([KEEP] if why else []))
    prompts = [order.prompt for _, order in it.orders]
    assert prompts == ([f"worker {why}: what is to be done?"] if why else [])
    assert (it.failure or it.value) == answer


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("ctx.value", "the rule 'ctx.value': expected true or false, got 5"),
        ("ctx.value.a", "the rule 'ctx.value.a': "),
    ],
)
async def test_a_rule_that_says_nothing_fails_for_good(rule: str, said: str) -> None:
    it = await seen(SENIOR, {"to": "ada", "when": rule}, [5])
    code, message, permanent = it.ends
    assert (code, permanent) == ("senior.rule", True)
    assert message.startswith(said)


async def test_every_round_is_paid_for_and_the_last_one_counts() -> None:
    for decision, more in (("keep", {}), ("override", {"value": "mine"}), ("fail", {})):
        last = {"decision": decision, **more}
        it = await seen(SENIOR, BLOCKS, [spent("BLOCKED")] * 3, AGAIN, AGAIN, last)
        assert it.tokens == 30
        if it.outcome is not None:
            assert it.outcome.value == more.get("value", "BLOCKED")
            assert it.outcome.parts == ({} if more else {"log": ["BLOCKED"]})
    it = await seen(SENIOR, BLOCKS, [spent("BLOCKED"), spent("PASS", 3)], AGAIN)
    assert (it.value, it.tokens) == ("PASS", 13)
    failing = [spent("BLOCKED"), WorkerFailure("net.reset", "no", True, 5)]
    it = await seen(SENIOR, {**BLOCKS, "on": []}, failing, AGAIN)
    assert (*it.ends, it.tokens) == ("net.reset", "no", True, 10)
    assert it.data == 5
    costly = CostlyFailure("net.reset", "no", False, None, usage=Usage(tokens=4))
    it = await seen(SENIOR, {"to": "ada"}, [costly, costly, "PASS"], AGAIN, AGAIN)
    assert it.tokens == 8


async def test_a_failure_that_nothing_was_paid_for_comes_through_itself() -> None:
    failure = WorkerFailure("net.reset", "no")
    assert (await seen(SENIOR, {"to": "ada"}, [failure], KEEP)).failure is failure
    assert (await seen(SENIOR, {"to": "ada", "on": []}, [failure])).failure is failure


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ({}, "a senior decided that it failed, where it answered BLOCKED"),
        ({"message": "hopeless"}, "hopeless"),
    ],
)
async def test_a_senior_who_lets_it_fail_says_why(reply: dict[str, str], said: str) -> None:
    it = await seen(SENIOR, BLOCKS, ["BLOCKED"], {"decision": "fail", **reply})
    assert it.ends == ("senior.failed", said, True)
    assert type(it.failure) is WorkerFailure


@pytest.mark.parametrize(
    ("params", "given", "goes_in"),
    [
        ({}, {"n": 1}, {"n": 1, "guidance": "slowly"}),
        ({}, {"guidance": "of old"}, {"guidance": "slowly"}),
        ({"guidance": "hint"}, "text", {"input": "text", "hint": "slowly"}),
    ],
)
async def test_guidance_goes_into_the_input(
    params: dict[str, Any], given: Any, goes_in: Any
) -> None:
    inputs: list[Any] = []

    def work(input: Any) -> str:
        inputs.append(input)
        return "BLOCKED"

    reply = {"decision": "retry", "guidance": "slowly"}
    it = await seen(SENIOR, {**BLOCKS, **params}, work, reply, reply, KEEP, input=given)
    assert inputs == [given, goes_in, goes_in]
    assert [order.body["input"] for _, order in it.orders] == [given] * 3
    assert [order.key[-1] for _, order in it.orders] == ["0", "1", "2"]


async def test_without_rounds_no_retry_is_offered_at_all() -> None:
    it = await seen(SENIOR, {**BLOCKS, "max_rounds": 0}, ["BLOCKED"], KEEP)
    (_, order) = it.orders[0]
    assert order.schema["properties"]["decision"]["enum"] == ["fail", "keep", "override"]


async def test_silence_fails_is_kept_or_goes_to_somebody_else() -> None:
    params = {**BLOCKS, "deadline_s": 60}
    it = await silent(SENIOR, params, ["BLOCKED"])
    said = "'worker' answered BLOCKED: expected 'ada' to decide in time, got nothing"
    assert it.ends == ("senior.silent", said, False)
    it = await silent(SENIOR, {**params, "on_deadline": "keep"}, ["BLOCKED"])
    assert (it.value, it.texts) == ("BLOCKED", [])
    further = {**params, "on_deadline": "escalate", "escalate_to": "bob"}
    it = await silent(SENIOR, further, ["BLOCKED"], {"decision": "override", "value": 7})
    assert (it.value, it.texts) == (7, ["senior: bob decided 'override', where answered BLOCKED"])
    asked = [(seat, order.key) for seat, order in it.orders]
    assert asked == [(seat, f"r_1/$/1/senior/{seat}/0") for seat in ("ada", "bob")]


async def test_without_operators_a_senior_is_asked_by_a_question() -> None:
    for answer, by in (("keep", "BLOCKED"), ("override", None)):
        link = RecordedLink(answers=[{"decision": answer}])
        layer = built_layer(SENIOR, {**BLOCKS, "deadline_s": 5})
        assert (await call_through(layer, ["BLOCKED"], input=1, link=link)).value == by
        (ask,) = link.asks
        about = {"input": 1, "value": "BLOCKED"}
        assert isinstance(ask.schema, Mapping)
        assert ask == Ask(
            "worker answered BLOCKED: what is to be done?", about, ask.schema, "ada", 5
        )
        assert link.texts == [f"senior: ada decided {answer!r}, where answered BLOCKED"]


# -- main_ai -----------------------------------------------------------------------------

FINE = {"veto": False}


async def test_who_leads_is_shown_what_begins_and_what_has_ended() -> None:
    it = await seen(MAIN_AI, {"to": "lead"}, ["done"], FINE, FINE)
    (before, after) = (order for _, order in it.orders)
    assert [seat for seat, _ in it.orders] == ["lead", "lead"]
    assert (before.key, before.moment, before.agent) == ("r_1/$/1/before", "before", "worker")
    assert (after.key, after.moment, after.agent) == ("r_1/$/1/after", "after", "worker")
    assert before.prompt == "worker is to begin: a veto?"
    assert after.prompt == "worker has ended: a veto?"
    assert (before.body, after.body) == ({"input": 1}, {"input": 1, "value": "done"})
    said = {"veto": {"type": "boolean"}, "reason": {"type": "string"}}
    assert before.schema["properties"] == {**said, "input": True}
    assert after.schema["properties"] == said
    for order in (before, after):
        assert order.schema["required"] == ["veto"]


async def test_who_leads_sees_the_failure_and_the_input_that_he_gave() -> None:
    failure = WorkerFailure("net.reset", "no", data=5)
    it = await seen(MAIN_AI, {"to": "lead"}, [failure], {"veto": False, "input": 7}, FINE)
    assert it.failure is failure
    told = {"code": "net.reset", "message": "no"}
    assert it.orders[1][1].body == {"input": 7, "failure": told}


@pytest.mark.parametrize(
    ("replies", "moment", "tokens"),
    [([{"veto": True, "reason": "late"}], "before", 0), ([FINE, {"veto": True}], "after", 10)],
)
async def test_a_veto_is_for_good_and_what_was_spent_is_paid(
    replies: list[Any], moment: str, tokens: int
) -> None:
    it = await seen(MAIN_AI, {"to": "lead"}, [spent("done")], *replies)
    reason = "late" if moment == "before" else "no reason was given"
    said = f"'lead' vetoed 'worker' {moment} its work: {reason}"
    assert (*it.ends, it.tokens) == ("main_ai.vetoed", said, True, tokens)


@pytest.mark.parametrize("moments", [("before",), ("after",), ()])
async def test_a_leader_looks_at_the_moments_that_are_asked_for(moments: tuple[str, ...]) -> None:
    params = {"to": "lead", "before": "before" in moments, "after": "after" in moments}
    it = await seen(MAIN_AI, params, ["done"], *[FINE] * len(moments))
    assert [order.moment for _, order in it.orders] == list(moments)
    assert it.value == "done"


async def test_a_leader_who_says_nothing_has_said_what_was_agreed() -> None:
    it = await silent(MAIN_AI, {"to": "lead"}, ["done"])
    said = "'lead' vetoed 'worker' before its work: no answer within 60 s"
    assert it.ends == ("main_ai.vetoed", said, True)
    params = {"to": "lead", "after": False, "on_silence": "allow", "deadline_s": 5}
    it = await silent(MAIN_AI, params, ["done"])
    assert it.value == "done"


@pytest.mark.parametrize("reply", [{"veto": "no"}, {"reason": "x"}, {"veto": False, "by": 1}, None])
async def test_a_reply_of_another_form_is_none(reply: Any) -> None:
    it = await seen(MAIN_AI, {"to": "lead"}, ["done"], reply)
    code, message, permanent = it.ends
    assert (code, permanent) == ("operator.reply", False)
    assert message.startswith("'lead' on 'worker': expected a reply that fits its schema: ")


# -- delegate ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "settings", "prompt"),
    [
        ({}, {}, "worker"),
        ({}, {"description": "reads letters"}, "reads letters"),
        ({"prompt": "read this"}, {"description": "reads letters"}, "read this"),
    ],
)
async def test_an_operator_is_told_what_to_do(
    params: dict[str, Any], settings: dict[str, Any], prompt: str
) -> None:
    agents = {"worker": settings}
    it = await seen(DELEGATE, {"to": "ada", **params}, [], "mine", input={"n": 1}, agents=agents)
    assert it.orders == [("ada", Order("r_1/$/1", "do", "worker", prompt, {"n": 1}))]
    assert it.value == "mine"


async def test_an_operator_who_does_nothing_leaves_it_to_the_agent_or_fails_the_step() -> None:
    it = await silent(DELEGATE, {"to": "ada", "deadline_s": 9}, ["done"])
    said = "'worker': expected 'ada' to do it in time, got nothing"
    assert it.ends == ("delegate.silent", said, False)
    it = await silent(DELEGATE, {"to": "ada", "deadline_s": 9, "on_deadline": "agent"}, ["done"])
    assert it.value == "done"
    assert it.texts == ["delegate: ada did not answer, the agent is asked"]


# -- resolver ----------------------------------------------------------------------------

AGENTS: dict[str, dict[str, Any]] = {
    "ann": {"tags": ["text"], "skills": ["law"], "description": "reads"},
    "bob": {"tags": ["text", "fast"], "skills": ["law", "tax"]},
    "cyd": {},
}


async def chosen(params: Mapping[str, Any], input: Any = 1, function: Any = None) -> Seen:
    names: dict[str, Callable[[Any], Any]] = {name: lambda given: [given] for name in AGENTS}
    functions = {} if function is None else {"pick": function}
    return await seen(
        RESOLVER, params, ["own"], input=input, agents=AGENTS, functions=functions, called=names
    )


@pytest.mark.parametrize(
    ("params", "input", "said"),
    [
        ({"tags": ["text"]}, 1, "ann is asked: tags text; 0 of 0 skills"),
        ({"tags": ["text", "fast"]}, 1, "bob is asked: tags text, fast; 0 of 0 skills"),
        ({"skills": ["law"]}, 1, "ann is asked: any tags; 1 of 1 skills"),
        ({"skills": ["tax", "law"]}, 1, "bob is asked: any tags; 2 of 2 skills"),
        ({"skills": ["tax"], "skills_from": "n"}, {"n": "chess"}, "bob is asked: any tags; 1 of 2"),
        ({"skills_from": "n"}, {"n": ["law", 5, None]}, "ann is asked: any tags; 1 of 1 skills"),
        ({"skills_from": "n"}, {"n": 5}, "ann is asked: any tags; 0 of 0 skills"),
        ({"skills_from": "n"}, ["n"], "ann is asked: any tags; 0 of 0 skills"),
        ({"skills": ["chess"]}, 1, "nobody fits, worker does it itself"),
    ],
)
async def test_who_fits_best_is_asked(params: dict[str, Any], input: Any, said: str) -> None:
    it = await chosen(params, input)
    (text,) = it.texts
    assert text.startswith(f"resolver: {said}")
    assert it.value == ("own" if "nobody" in said else [input])


@pytest.mark.parametrize(
    ("params", "input", "wanted"),
    [
        ({"skills": ["chess"]}, 1, "chess"),
        ({"tags": ["fast"], "skills": ["chess"]}, 1, "fast, chess"),
        ({"skills_from": "n"}, {"n": ["go", "chess"]}, "go, chess"),
    ],
)
async def test_where_nobody_fits_the_step_fails_for_good_if_that_is_asked_for(
    params: dict[str, Any], input: Any, wanted: str
) -> None:
    it = await chosen({**params, "otherwise": "fail"}, input)
    said = f"'worker': expected an agent with {wanted}, got none"
    assert it.ends == ("resolver.nobody", said, True)


async def test_a_function_sees_those_who_fit_and_what_is_said_of_them() -> None:
    told: list[Any] = []
    it = await chosen({"function": "pick", "tags": ["text"]}, 5, told.append)
    bob = {"name": "bob", "skills": ["law", "tax"], "tags": ["text", "fast"]}
    ann = {"name": "ann", "description": "reads", "skills": ["law"], "tags": ["text"]}
    assert told == [{"input": 5, "agents": [ann, bob]}]
    assert it.texts == ["resolver: nobody fits, worker does it itself"]
    it = await chosen({"function": "pick", "otherwise": "fail"}, 5, told.append)
    said = "'worker': expected an agent with what is wanted, got none"
    assert it.ends == ("resolver.nobody", said, True)


KNOWN = " — known are 'ann', 'bob', 'cyd'"


def breaks(about: Any) -> Any:
    raise ValueError("not today")


def picks(choice: Any) -> Callable[[Any], Any]:
    def pick(about: Any) -> Any:
        return choice

    return pick


@pytest.mark.parametrize(
    ("function", "said", "permanent"),
    [
        (breaks, "function 'pick': ValueError: not today", False),
        (picks("bop"), "'bop' — did you mean 'bob'?", True),
        (picks({"agent": "worker"}), f"'worker'{KNOWN}", True),
        (picks({"reason": "none"}), f"null{KNOWN}", True),
        (picks(5), f"5{KNOWN}", True),
    ],
)
async def test_a_function_that_names_nobody_who_fits_is_not_believed(
    function: Any, said: str, permanent: bool
) -> None:
    it = await chosen({"function": "pick"}, 1, function)
    expected = "function 'pick': expected the name of an agent that fits, got "
    sentence = said if said.startswith("function") else expected + said
    assert it.ends == ("resolver.choice", sentence, permanent)


@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        ("cyd", "function pick says so"),
        ({"agent": "cyd"}, "function pick says so"),
        ({"agent": "cyd", "reason": "why not"}, "why not"),
    ],
)
async def test_the_reason_of_a_choice_is_told(choice: Any, reason: str) -> None:
    it = await chosen({"function": "pick"}, 1, picks(choice))
    assert it.texts == [f"resolver: cyd is asked: {reason}"]


def test_parameters_have_their_defaults() -> None:
    assert ResolverParams().model_dump() == {
        "tags": (),
        "skills": (),
        "skills_from": None,
        "function": None,
        "otherwise": "self",
    }


# -- retry -------------------------------------------------------------------------------


def fails(code: str = "net.reset", tokens: int = 0, *, permanent: bool = False) -> WorkerFailure:
    if not tokens:
        return WorkerFailure(code, "no", permanent)
    return CostlyFailure(code, "no", permanent, None, usage=Usage(tokens=tokens))


async def tried(params: Mapping[str, Any], *answers: Any) -> tuple[Seen, float]:
    """Call a worker that answers so through the layer; return the seconds that it waited too."""
    clock = FakeClock(jumps=True)
    began_s = clock.monotonic()
    worker = ScriptedWorker(answers)
    it = await seen(RETRY, params, worker, clock=clock)
    assert len(worker.calls) == len(answers)
    return it, clock.monotonic() - began_s


@pytest.mark.parametrize(
    ("params", "delays"),
    [
        ({}, [0.5, 1]),
        ({"max_attempts": 5, "delay_s": 2, "factor": 3, "max_delay_s": 20}, [2, 6, 18, 20]),
        ({"max_attempts": 4, "delay_s": 0}, [0, 0, 0]),
        ({"max_attempts": 1}, []),
    ],
)
async def test_each_try_is_told_and_comes_later_than_the_one_before(
    params: dict[str, Any], delays: list[float]
) -> None:
    most = len(delays) + 1
    it, waited_s = await tried(params, *[fails()] * most)
    assert it.texts == [
        f"retry: try {number} of {most} in {delay_s:g} s — net.reset: no"
        for number, delay_s in enumerate(delays, 2)
    ]
    assert waited_s == sum(delays)
    assert it.ends == ("net.reset", "no", False)


@pytest.mark.parametrize(
    ("params", "code", "again"),
    [
        ({}, "any", True),
        ({"on": ["net.*"]}, "net.reset", True),
        ({"on": ["net.*"]}, "disk.full", False),
        ({"never": ["net.*"]}, "net.reset", False),
        ({"never": ["net.*"]}, "disk.full", True),
        ({"on": ["net.*"], "never": ["net.reset"]}, "net.reset", False),
    ],
)
async def test_codes_decide_what_is_tried_again(
    params: dict[str, Any], code: str, again: bool
) -> None:
    failure = fails(code)
    it, _ = await tried(params, failure, *(["done"] if again else []))
    assert (it.failure is failure) is not again


async def test_what_is_permanent_is_not_tried_again_however_it_comes() -> None:
    for before in ([], [fails()], [fails(tokens=3)]):
        it, _ = await tried({}, *before, fails("too.bad", permanent=True))
        assert it.ends == ("too.bad", "no", True)
        assert it.tokens == (3 if before and before[0].__class__ is CostlyFailure else 0)


async def test_all_tries_are_paid_for() -> None:
    it, _ = await tried({}, fails(tokens=3), fails(), spent("done"))
    assert (it.outcome, it.tokens) == (spent("done", 13), 13)
    it, _ = await tried({}, fails(tokens=3), fails(tokens=4), fails("last.one", tokens=5))
    assert (it.tokens, it.ends[0]) == (12, "last.one")
    last = fails()
    it, _ = await tried({}, fails(), fails(), last)
    assert it.failure is last


def test_a_delay_is_no_longer_than_the_longest() -> None:
    with pytest.raises(AssertionError, match=r"^delay_s: expected at most 'max_delay_s' \(2\)"):
        built_layer(RETRY, {"delay_s": 3, "max_delay_s": 2})
    assert built_layer(RETRY, {"delay_s": 2, "max_delay_s": 2})


# -- timeout, budget ---------------------------------------------------------------------


async def test_who_takes_too_long_is_told_for_how_long_he_was_waited_for() -> None:
    async def stay(input: Any) -> Any:
        await anyio.sleep_forever()

    it = await silent(TIMEOUT, {"seconds": 2.5}, stay)
    assert it.ends == ("step.timeout", "'worker': no answer within 2.5 s", False)


@pytest.mark.parametrize(
    ("params", "answers", "of"),
    [
        ({"attempts": 2}, [spent(1), fails()], ("attempts", 2, 3)),
        ({"attempts": 0}, [], ("attempts", 0, 1)),
        ({"tokens": 15}, [spent(1), spent(1)], ("tokens", 15, 20)),
        ({"tokens": 15}, [spent(1), fails(tokens=6)], ("tokens", 15, 16)),
        ({"tokens": 20}, [spent(1), fails(), spent(1)], ("tokens", 20, 20)),
        ({"cost": 0.5}, [Outcome(1, usage=Usage(cost=0.75))], ("cost", 0.5, 0.75)),
    ],
)
async def test_a_budget_that_is_used_up_says_of_what(
    params: dict[str, Any], answers: list[Any], of: tuple[str, float, float]
) -> None:
    layer, worker = built_layer(BUDGET, params), ScriptedWorker([*answers, "never"])
    for _ in answers:
        with suppress(WorkerFailure):
            await call_through(layer, worker)
    with pytest.raises(WorkerFailure) as caught:
        await call_through(layer, worker)
    what, limit, used = of
    assert caught.value.code == "budget.spent"
    assert caught.value.permanent
    assert caught.value.data == {"of": what, "limit": limit, "used": used}
    said = f"the budget of 'worker': expected at most {limit:g} of {what!r}, got {used:g}"
    assert caught.value.message == said
    assert len(worker.calls) == len(answers)


@pytest.mark.parametrize(
    ("scope", "whose"), [("agent", "worker"), ("blueprint", "tested"), ("host", "host")]
)
async def test_a_budget_says_whose_it_is(scope: str, whose: str) -> None:
    layer = built_layer(BUDGET, {"attempts": 0, "scope": scope})
    with pytest.raises(WorkerFailure, match=f"^the budget of {whose!r}: "):
        await call_through(layer, [])


async def test_a_window_begins_with_its_first_attempt_and_anew_when_it_is_over() -> None:
    clock = FakeClock()
    layer = built_layer(BUDGET, {"attempts": 1, "window_s": 10}, clock=clock)
    got: list[str] = []
    for seconds in (3, 9, 1, 9.5, 0.5, 25):
        await clock.advance(seconds)
        try:
            got.append((await call_through(layer, ["in"])).value)
        except WorkerFailure as failure:
            got.append(failure.code)
    out = "budget.spent"
    assert got == ["in", out, "in", out, "in", "in"]


# -- redact ------------------------------------------------------------------------------

SECRET, HIDDEN = "sk-" + "0123456789abcdefghij", "[redacted]"


async def test_what_holds_no_secret_comes_through_itself() -> None:
    outcome, failure = Outcome({"n": [1]}, usage=Usage(tokens=1)), fails(tokens=1)
    layer = built_layer(REDACT)
    assert await call_through(layer, [outcome]) == outcome
    with pytest.raises(WorkerFailure) as caught:
        await call_through(layer, [failure])
    assert caught.value is failure


@pytest.mark.parametrize("tokens", [0, 4])
@pytest.mark.parametrize(
    ("message", "data", "said"),
    [
        (f"got {SECRET}", 5, (f"got {HIDDEN}", 5)),
        ("no", {"pwd": 5, "n": 1}, ("no", {"pwd": HIDDEN, "n": 1})),
        (f"{SECRET}!", SECRET, (f"{HIDDEN}!", HIDDEN)),
    ],
)
async def test_a_failure_loses_its_secrets_and_nothing_else(
    message: str, data: Any, said: tuple[str, Any], tokens: int
) -> None:
    cause = ValueError("why")
    failure = WorkerFailure("net.reset", message, True, data)
    if tokens:
        failure = CostlyFailure.of(failure, Usage(tokens=tokens))
    failure.__cause__ = cause
    it = await seen(REDACT, {}, [failure])
    assert (*it.ends, it.data) == ("net.reset", said[0], True, said[1])
    assert it.tokens == tokens
    assert it.failure is not None
    assert it.failure.__cause__ is cause


async def test_an_outcome_loses_its_secrets_and_nothing_else() -> None:
    given = Outcome([SECRET], {"log": SECRET, "token": 5}, Usage(tokens=3))
    it = await seen(REDACT, {}, [given])
    assert it.outcome == Outcome([HIDDEN], {"log": HIDDEN, "token": HIDDEN}, Usage(tokens=3))
    assert given.value == [SECRET]


async def test_what_is_said_on_the_way_loses_its_secrets_and_nothing_else() -> None:
    link = RecordedLink({"other": lambda given: given}, answers=["yes"])
    ask = Ask(f"is {SECRET} ours?", {"pwd": 1}, True, "ada", 5.0, "escalate", None, "bob")

    async def work(call: Call, link: StepLink) -> Outcome:
        await link.progress(f"trying {SECRET}")
        await link.part("log", [SECRET, 1])
        await link.part("token", 1)
        return Outcome([await link.ask(ask), await link.call("other", SECRET)])

    outcome = await call_through(built_layer(REDACT, {"keys": ["IBAN"]}), work, link=link)
    assert link.texts == [f"trying {HIDDEN}"]
    assert link.parts == {"log": [HIDDEN, 1], "token": HIDDEN}
    assert link.asks == [replace(ask, prompt=f"is {HIDDEN} ours?", input={"pwd": HIDDEN})]
    # What an agent does with a secret is not touched; what comes out is.
    assert link.calls == [("other", SECRET)]
    assert outcome.value == ["yes", HIDDEN]


def test_patterns_have_to_be_some() -> None:
    with pytest.raises(AssertionError, match=r"patterns: expected regular expressions, got '\('"):
        built_layer(REDACT, {"patterns": ["a+", "("]})
    with pytest.raises(AssertionError, match="expected patterns from the host alone, got some"):
        built_layer(REDACT, {"patterns": ["a+"]}, trusted=False)
