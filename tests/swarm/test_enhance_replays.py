"""Recorded runs, gone through again: what ends worse is seen, and nobody is asked for it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from flowir.effects import Dispatch, Failure, Success
from swarm.blueprint.canonical import digest_of
from swarm.enhance.replays import Answered, Answers, Ended, Recorded, compared, recorded, replayed
from swarm.host.enhance import Enhancer
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
