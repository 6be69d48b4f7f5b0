"""Recorded runs, gone through again: what ends worse is seen, and nobody is asked for it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from flowir.effects import Dispatch, Failure, Success
from swarm.blueprint.canonical import digest_of
from swarm.enhance.replays import (
    UNSURE,
    Answered,
    Answers,
    Ended,
    Recorded,
    compared,
    recorded,
    replayed,
)
from swarm.host.enhance import Enhancer
from swarm.testing import scripted_blueprint
from tests.swarm import improving as i


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


OFFERED = {"enum": ["billing", "other"]}
SORT = "if input:find('pay') then return 'billing' end return 'other'"
DOCUMENT: dict[str, Any] = {
    "swarm": 1,
    "id": "mail",
    "agents": [
        {"name": "sort", "kind": "lua", "source": SORT, "output_schema": OFFERED},
        {"name": "post", "kind": "function", "function": "post"},
        {"name": "boss", "kind": "human", "prompt": "really?"},
    ],
    "flow": {
        "kind": "seq",
        "children": [
            {"kind": "step", "ref": "sort", "in": i.path("$.text"), "out": "$.queue"},
            {"kind": "step", "ref": "post", "in": i.path("$.queue"), "out": "$.sent"},
            {
                "kind": "branch",
                "cond": i.eq("$.sent", "lost"),
                "then": {"kind": "step", "ref": "boss", "in": i.path("$.text"), "out": "$.boss"},
            },
        ],
    },
}


@asynccontextmanager
async def mailing(*edits: i.Edit, **policy: Any) -> AsyncGenerator[tuple[Enhancer, list[str]]]:
    """Open a host whose blueprint ran three times, and whose proposer edits it in turn."""
    posted: list[str] = []
    proposer = i.proposing(*map(i.patching, edits))
    enhancer = i.in_memory(proposer, i.OPEN.model_copy(update=policy))

    @enhancer.host.function("post")
    async def post(queue: str) -> str:
        posted.append(queue)
        return f"to {queue}"

    async with enhancer.host as host:
        await i.registered(host, DOCUMENT)
        for text in ("pay me", "hello", "I paid"):
            await (await host.start("mail", {"text": text})).result()
        yield enhancer, posted


def sorting(source: str) -> i.Edit:
    return lambda d: d["agents"][0].__setitem__("source", source)


ASKING = f"if input == 'hello' then return swarm.ask('which?') end {SORT}"


async def test_a_change_with_which_recorded_runs_fail_is_refused_and_its_twin_committed() -> None:
    edits = [
        sorting("return 'spam'"),
        sorting("error('no')"),
        sorting("while true do end"),
        sorting(SORT.replace("pay", "pai")),
    ]
    async with mailing(*edits) as (enhancer, posted):
        for _ in edits[:-1]:
            done = i.outcome_of(await i.improved(enhancer, name="mail"))
            assert i.codes(done) == {"enhance.replay_worse"}, done
            assert "3 of 3 runs" in done["reasons"][0]
        done = i.outcome_of(await i.improved(enhancer, name="mail"))
        assert done["state"] == "applied", done
        # Each of them was gone through twice, and nothing was posted again.
        assert posted == ["billing", "other", "other"]


async def test_what_nobody_ever_answered_is_for_a_person() -> None:
    async with mailing(sorting(ASKING), widening="ask") as (enhancer, _):
        run = await i.asked(enhancer, name="mail")
        (view,) = await enhancer.issues("mail")
        said = view.decision["reasons"][-1]
        second = (await recorded_runs(enhancer))[1]
        assert said.startswith("enhance.replay_untold: 1 of 3 runs: ")
        assert said.endswith(f"{second}: nobody ever answered 'sort'")
        await enhancer.approve(run.id, by="ada")
        assert i.outcome_of(await run.wait())["state"] == "applied"


async def recorded_runs(enhancer: Enhancer) -> list[str]:
    return [r.id for r in await enhancer.host.runs() if r.summary.blueprint == "mail"]


async def test_a_script_that_asks_and_is_unchanged_says_what_it_said() -> None:
    document = i.edited(sorting(ASKING), DOCUMENT)
    enhancer = i.in_memory(i.patching(lambda d: d.__setitem__("description", "x")))

    @enhancer.host.function("post")
    async def post(queue: str) -> str:
        return f"to {queue}"

    async with enhancer.host as host:
        await i.registered(host, document)
        run = await i.waiting(await host.start("mail", {"text": "hello"}))
        await run.answer((await run.questions())[0].id, "other")
        await run.result()
        done = i.outcome_of(await i.improved(enhancer, name="mail"))
        assert done["state"] == "applied", done


async def test_a_blueprint_that_never_ran_is_as_the_policy_says() -> None:
    tag = i.patching(lambda d: d["agents"][4].__setitem__("tags", ["x"]))
    for without, state in (("commit", "applied"), ("reject", "rejected")):
        policy = i.OPEN.model_copy(update={"without_runs": without})
        enhancer = i.in_memory(tag, policy)
        async with enhancer.host as host:
            await i.registered(host)
            done = i.outcome_of(await i.improved(enhancer))
            assert done["state"] == state
            assert i.codes(done) == ({"enhance.no_runs"} if state == "rejected" else set())
    policy = i.OPEN.model_copy(update={"without_runs": "ask"})
    enhancer = i.in_memory(tag, policy)
    async with enhancer.host as host:
        await i.registered(host)
        await i.asked(enhancer)


async def test_as_many_runs_as_the_policy_says_are_looked_at_the_latest_first() -> None:
    async with mailing(sorting("return input == 'pay me' and 'spam' or 'other'"), replays=2) as (
        enhancer,
        _,
    ):
        done = i.outcome_of(await i.improved(enhancer, name="mail"))
        assert done["state"] == "applied", done
    async with mailing(sorting("return input == 'I paid' and 'spam' or 'other'"), replays=1) as (
        enhancer,
        _,
    ):
        done = i.outcome_of(await i.improved(enhancer, name="mail"))
        assert "1 of 1 runs" in done["reasons"][0], done


async def test_replays_that_take_too_long_do_not_pass() -> None:
    async with mailing(sorting(f"{SORT} --"), replays_s=1e-9) as (enhancer, _):
        done = i.outcome_of(await i.improved(enhancer, name="mail"))
        assert i.codes(done) == {"enhance.late"}


async def test_planted_recorded_answers_of_scripts_would_hide_what_a_script_does() -> None:
    """The control: the axis sees a script's change because the script is run."""
    async with mailing() as (enhancer, _):
        host = enhancer.host
        spam = i.edited(sorting("return 'spam'"), DOCUMENT)
        blueprint = await host.load(spam)
        run = await host.run((await recorded_runs(enhancer))[0])
        past = recorded(await run.log.read(0))

        async def nobody(asked: Dispatch) -> None:
            return None

        assert (await replayed(blueprint, past, Answers(past, []), nobody)).how == "well"


def test_an_agent_says_what_it_said_then_and_else_the_next_thing() -> None:
    one, two, spare = Success("one"), Failure("net.down", "no"), Success("spare")
    own = Recorded("r", {}, (Answered("a", digest_of(1), one), Answered("a", digest_of(2), two)))
    other = Recorded("s", {}, (Answered("b", digest_of(1), two), Answered("b", "", spare)))
    answers = Answers(own, [other])
    assert answers.to("a", digest_of(2)) == two
    assert answers.to("a", digest_of(2)) == two
    assert [answers.to("a", digest_of(9)) for _ in range(3)] == [one, two, two]
    assert answers.to("b", digest_of(1)) == two
    assert answers.to("b", digest_of(9)) == spare
    assert answers.to("c", digest_of(1)) is None


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("well", "well", "same"),
        ("well", "badly", "worse"),
        ("well", "unknown", "untold"),
        ("badly", "badly", "same"),
        ("badly", "well", "same"),
        ("badly", "unknown", "same"),
        ("unknown", "well", "same"),
        ("unknown", "badly", "untold"),
        ("unknown", "unknown", "same"),
    ],
)
def test_ends_are_compared_with_those_before(old: Any, new: Any, what: str) -> None:
    assert compared(Ended(old), Ended(new)) == what


# -- by itself: what a journal recorded, and one flow gone through again ------------------------


def row(
    kind: str, key: str = "$", attempt: int = 1, step: str = "a", **more: Any
) -> dict[str, Any]:
    return {"kind": kind, "key": key, "attempt": attempt, "step": step, **more}


FAILED: dict[str, Any] = {"code": "c", "message": "m", "permanent": True, "data": [1]}


def test_a_run_is_read_off_its_rows() -> None:
    first = {"kind": "run.started", "run": "r_1", "input": {"text": "x"}}
    rows = [
        first,
        row("step.started", input="one"),
        row("step.failed", **FAILED),
        row("step.started", attempt=2, input="two"),
        row("step.progress", attempt=2, text="half"),
        row("step.started", key="$/1", step="b", input="other"),
        row("step.finished", attempt=2, value=5),
        row("step.interrupted", key="$/1", step="b"),
        row("step.finished", key="$/2", step="c", value=None),
        {"kind": "run.finished", "run": "r_2", "input": 5},
    ]
    assert recorded(rows) == Recorded(
        "r_1",
        {"text": "x"},
        (
            Answered("a", "one", Failure("c", "m", True, [1])),
            Answered("a", "two", Success(5)),
            # Of what was never written down as begun nobody knows what it was asked.
            Answered("c", "", Success(None)),
        ),
    )


async def went(
    flow: Any,
    *answered: Answered,
    performed: Any = None,
    unchanged: tuple[str, ...] = (),
    settings: Any = None,
    input: Any = None,
) -> tuple[Ended, list[Any]]:
    """Go through *flow* once; *performed* are the outcomes by agent, None of any other."""
    asked: list[Any] = []
    blueprint = scripted_blueprint(flow, {name: [] for name in "ab"}, settings=settings)
    run = Recorded("r", input or {}, answered)

    async def perform(dispatch: Dispatch) -> Any:
        asked.append((dispatch.ref, dispatch.input, dispatch.attempt))
        return (performed or {}).get(dispatch.ref)

    return await replayed(blueprint, run, Answers(run, []), perform, unchanged), asked


def of(ref: str, value: Any = 1, **more: Any) -> dict[str, Any]:
    return {"kind": "step", "ref": ref, "in": {"op": "lit", "value": value}, **more}


def both(*nodes: Any) -> dict[str, Any]:
    return {"kind": "seq", "children": list(nodes)}


def said(agent: str, value: Any, asked: Any = 1) -> Answered:
    return Answered(agent, digest_of(asked), Success(value))


async def test_a_flow_goes_its_way_with_what_was_said() -> None:
    flow = both(of("a", out="$.x"), {**of("b"), "in": i.path("$.x")})
    ended, asked = await went(flow, said("a", 5), said("b", 6, 5))
    assert (ended, asked) == (Ended("well"), [("a", 1, 1), ("b", 5, 1)])
    # What is performed counts before what was said.
    ended, asked = await went(flow, said("a", 5), said("b", 6), performed={"a": Success(7)})
    assert (ended.how, asked[1]) == ("well", ("b", 7, 1))


async def test_a_failure_is_told_with_its_own_code_and_another_attempt_is_made() -> None:
    failed = Answered("a", digest_of(1), Failure("net.down", "no"))
    ended, asked = await went(of("a"), failed)
    assert (ended.how, len(asked)) == ("badly", 1)
    assert ended.why.startswith("net.down: ")
    retry = {"max_attempts": 2, "delay_s": 0}
    ended, asked = await went(of("a", retry=retry), failed, said("a", 5))
    assert (ended, [attempt for _, _, attempt in asked]) == (Ended("well"), [1, 2])
    fail = {"kind": "assign", "at": "$.x", "value": {
        "op": "fail", "code": "my.code", "message": {"op": "lit", "value": "why"},
    }}  # fmt: skip
    ended, _ = await went(fail)
    assert (ended.how, ended.why[:9]) == ("badly", "my.code: ")


async def test_who_cannot_be_performed_says_what_he_said_to_this_very_question() -> None:
    unsure = {"a": UNSURE}
    for unchanged, answered, ended in (
        (("a",), said("a", 5), Ended("well")),
        (("a",), said("a", 5, 2), Ended("unknown", "nobody ever answered 'a'")),
        (("b",), said("a", 5), Ended("unknown", "nobody ever answered 'a'")),
    ):
        found, _ = await went(of("a"), answered, performed=unsure, unchanged=unchanged)
        assert found == ended
    assert (await went(of("a")))[0] == Ended("unknown", "nobody ever answered 'a'")


async def test_a_sleep_is_over_at_once_and_asks_nobody() -> None:
    ended, asked = await went(both(of("swarm.sleep", 9), of("a")), said("a", 1))
    assert (ended, asked) == (Ended("well"), [("a", 1, 1)])


async def test_promises_are_held_on_both_sides() -> None:
    promise = {"a": {"input_schema": {"maximum": 3}, "output_schema": {"minimum": 5}}}
    ended, asked = await went(of("a", 3), said("a", 5, 3), settings=promise)
    assert (ended, len(asked)) == (Ended("well"), 1)
    ended, asked = await went(of("a", 4), said("a", 5, 4), settings=promise)
    assert (ended.how, ended.why[:13], asked) == ("badly", "agent.input: ", [])
    ended, asked = await went(of("a", 3), said("a", 4, 3), settings=promise)
    assert (ended.how, ended.why[:14], len(asked)) == ("badly", "agent.output: ", 1)
    lost = Answered("a", digest_of(3), Failure("net.down", "no"))
    ended, _ = await went(of("a", 3), lost, settings=promise)
    assert ended.why.startswith("net.down: ")


async def test_lanes_that_are_cancelled_are_asked_no_more() -> None:
    race = {
        "kind": "fanout", "items": {"op": "lit", "value": [1, 2]}, "bind": "$.i",
        "body": of("a"), "join": "race", "out": "$.o",
    }  # fmt: skip
    ended, asked = await went(both(race, of("b")), said("a", 5), said("b", 6))
    assert (ended, [ref for ref, _, _ in asked]) == (Ended("well"), ["a", "b"])


async def test_what_a_run_was_given_may_not_fit_any_more() -> None:
    plain = scripted_blueprint(of("a"), {"a": []})
    inputs = {"type": "object", "required": ["text"]}
    strict = replace(plain, document={**plain.document, "inputs": inputs})

    async def perform(dispatch: Dispatch) -> Any:
        return Success(1)

    for given, how in (({"text": "x"}, "well"), ({}, "badly")):
        run = Recorded("r", given, ())
        ended = await replayed(strict, run, Answers(run, []), perform)
        assert ended.how == how
    assert ended.why.startswith("run.input: ")


async def test_a_replay_goes_five_thousand_steps() -> None:
    loop = {
        "kind": "loop", "counter": "$.n", "cond": {"op": "lit", "value": True}, "max": 4_999,
        "body": of("a"),
    }  # fmt: skip
    assert (await went(loop, said("a", 1)))[0] == Ended("well")
    ended, asked = await went({**loop, "max": 5_000}, said("a", 1))
    assert (ended, len(asked)) == (Ended("unknown", "it asks for more than 5000 steps"), 5_000)


def test_who_is_not_here_to_be_asked_fails_for_good() -> None:
    assert Failure("replay.alone", "nobody is here who could be asked", True) == UNSURE
