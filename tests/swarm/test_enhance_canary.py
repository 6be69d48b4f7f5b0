"""Canaries: a share of new runs, kept where it does as well, taken back where it does not."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import ValidationError

from swarm.core.run import RunOutcome
from swarm.enhance.canary import Canary, RunEnd, draws, weighed
from swarm.enhance.policy import AUTHOR, Policy
from swarm.errors import Refused
from swarm.host.enhance import Enhancer
from swarm.host.host import Host
from swarm.host.run import Run
from tests.swarm import improving as i


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


WELL, BADLY = RunEnd(True), RunEnd(False)
# Enough for one look in a hundredth of a second.
QUICK: dict[str, Any] = {"longest_s": 40.0, "look_s": 0.01}


# -- what is weighed -----------------------------------------------------------------------


def ends(well: int, badly: int = 0, score: float | None = None) -> list[RunEnd]:
    return [RunEnd(True, score=score)] * well + [BADLY] * badly


@pytest.mark.parametrize(
    ("news", "olds", "age_s", "act", "said"),
    [
        (ends(0), ends(50), 0, "wait", "0 of 0"),
        (ends(19), ends(50), 0, "wait", "0 of 19"),
        (ends(20), ends(50), 0, "keep", "canary: 0 of 20"),
        (ends(20), ends(0), 0, "keep", "canary"),
        (ends(19, 1), ends(50), 0, "keep", "1 of 20"),
        (ends(0, 2), ends(50), 0, "back", "enhance.canary_failing: 2 of 2"),
        (ends(30, 2), ends(50), 0, "back", "enhance.canary_failing"),
        # A tenth fails with the old version: of twenty, four may.
        (ends(16, 4), ends(90, 10), 0, "keep", "10%"),
        (ends(3, 4), ends(90, 10), 0, "wait", "4 of 7"),
        (ends(3, 5), ends(90, 10), 0, "back", "4 were allowed"),
        (ends(19), ends(50), 86_399, "wait", "0 of 19"),
        (ends(19), ends(50), 86_400, "back", "enhance.canary_late"),
        (ends(20), ends(50), 86_401, "keep", "canary"),
        ([*ends(30), RunEnd(False, breach=True)], ends(50), 0, "back", "enhance.canary_breach"),
    ],
)
def test_a_canary_is_weighed_by_failures(
    news: Sequence[RunEnd], olds: Sequence[RunEnd], age_s: float, act: str, said: str
) -> None:
    found = weighed(Canary(), news, olds, age_s)
    assert found.act == act, found
    assert said in found.reason


def test_a_share_of_the_runs_is_drawn_and_each_the_same_way_again() -> None:
    names = [f"run-{n}" for n in range(1000)]
    drawn = {share: [name for name in names if draws(share, name)] for share in (0.25, 0.5, 1.0)}
    assert {share: len(found) for share, found in drawn.items()} == {0.25: 260, 0.5: 519, 1.0: 1000}
    assert set(drawn[0.25]) <= set(drawn[0.5])


def test_how_a_canary_is_tried_stays_as_it_is() -> None:
    with pytest.raises(ValidationError):
        Canary().runs = 1


def test_a_canary_is_weighed_by_scores_where_there_are_some() -> None:
    scored = Canary(score="ctx.score", margin=0.1)
    assert weighed(scored, ends(20, score=0.8), ends(50, score=0.85), 0).act == "keep"
    found = weighed(scored, ends(20, score=0.7), ends(50, score=0.85), 0)
    assert (found.act, found.reason) == (
        "back", "enhance.canary_worse: 0.7 a run, 0.85 with the version before",
    )  # fmt: skip
    halves = Canary(score="ctx.score", margin=0.25)
    assert weighed(halves, ends(20, score=0.5), ends(50, score=0.75), 0).act == "keep"
    # No score at all is the lowest, unless nothing ever had one.
    assert weighed(scored, ends(20), ends(50, score=0.85), 0).act == "back"
    assert weighed(scored, ends(20), ends(50), 0).act == "keep"
    assert weighed(Canary(), ends(20, score=0.1), ends(50, score=0.9), 0).act == "keep"


@pytest.mark.parametrize(
    "wrong",
    [
        {"share": 0.0},
        {"share": 1.1},
        {"tag": "1.0"},
        {"runs": 0},
        {"runs": "5"},
        {"score": "ctx.("},
        {"x": 1},
    ],
)
def test_a_canary_that_is_none_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(Refused) as caught:
        Policy.of({"canary": wrong})
    assert caught.value.code == "enhance.policy"
    assert f"canary.{next(iter(wrong))}" in str(caught.value)


# -- on a host -----------------------------------------------------------------------------

DOCUMENT: dict[str, Any] = {
    "swarm": 1,
    "id": "halve",
    "agents": [{"name": "work", "kind": "lua", "source": "return input / 2"}],
    "flow": {"kind": "step", "ref": "work", "in": i.path("$.n"), "out": "$.half"},
}
# It does what was tried, and fails for what comes later.
BAD = "if input > 100 then error('too large') end return input / 2"
GOOD = "return input * 0.5"


def working(source: str) -> Any:
    return i.patching(lambda d: d["agents"][0].__setitem__("source", source))


@asynccontextmanager
async def trying(
    *sources: str, folder: Path | None = None, **canary: Any
) -> AsyncGenerator[Enhancer]:
    """Open a host whose blueprint ran four times, and that tries what it commits."""
    settings: dict[str, Any] = {"share": 0.5, "runs": 4, **QUICK, **canary}
    policy = i.OPEN.model_copy(update={"canary": Canary(**settings)})
    proposer = i.proposing(*map(working, sources))
    enhancer = i.in_memory(proposer, policy) if folder is None else i.at(folder, proposer, policy)
    async with enhancer.host as host:
        await i.registered(host, DOCUMENT)
        await host.blueprints.tag("halve@1.0.0", "stable")
        await ran(host, 1, 2, 3, 4)
        yield enhancer


async def ran(host: Host, *numbers: float) -> list[RunOutcome]:
    """Start a run of the tag for each number, and wait for its end."""
    return [await (await host.start("halve@stable", {"n": n})).wait() for n in numbers]


async def tried(enhancer: Enhancer) -> Run:
    """Submit an issue, and return its run once its version is out."""
    run = await enhancer.submit("halve", "better", author="bob")
    with anyio.fail_after(60):
        while (await enhancer.show(run.id)).state != "canary":
            assert run.status in ("pending", "running"), (await run.wait()).ctx
            await anyio.sleep(0.01)
    return run


async def tags(host: Host) -> dict[str, str]:
    return {tag: entry.label for tag, entry in (await host.blueprints.tags("halve")).items()}


async def ended(run: Run) -> Any:
    with anyio.fail_after(60):
        return i.outcome_of(await run.wait())


async def test_a_bad_canary_is_taken_back_by_itself() -> None:
    async with trying(BAD, GOOD) as enhancer:
        host = enhancer.host
        run = await tried(enhancer)
        assert await tags(host) == {"stable": "1.0.0", "canary": "1.0.1"}
        outcomes = await ran(host, 200, 200, 200, 200)
        assert [one.status for one in outcomes] == ["succeeded", "failed"] * 2
        done = await ended(run)
        assert (done["state"], i.codes(done)) == ("rolled_back", {"enhance.canary_failing"})
        assert (await enhancer.show(run.id)).state == "rolled_back"
        # The old version is at the head, and serves all that begins.
        (head, *_) = await host.blueprints.log("halve")
        assert (head.label, head.back_to, head.note.author) == ("1.0.2", "1.0.0", AUTHOR)
        assert await tags(host) == {"stable": "1.0.0"}
        assert [one.status for one in await ran(host, 300, 300)] == ["succeeded"] * 2
        acts = [e for e in await host.audit() if e.actor == AUTHOR]
        (back,) = [e for e in acts if e.verb == "blueprint.rollback"]
        assert (back.run, back.detail["reasons"]) == (run.id, done["reasons"])
        # Nothing more is committed until a person has looked, and the next one is told why.
        with pytest.raises(Refused) as caught:
            await enhancer.submit("halve", "again", author="bob")
        assert caught.value.code == "enhance.frozen"
        enhancer.freeze(False, "halve")
        again = await tried(enhancer)
        (shown,) = [
            event["value"]["lessons"]
            async for event in again.events(follow=False)
            if event["kind"] == "step.finished" and event["step"] == "enhance_brief"
        ]
        assert shown == done["reasons"]
        await again.cancel()


async def test_a_good_canary_is_kept_and_the_tag_follows() -> None:
    async with trying(GOOD) as enhancer:
        run = await tried(enhancer)
        outcomes = await ran(enhancer.host, *range(200, 208))
        assert {one.status for one in outcomes} == {"succeeded"}
        done = await ended(run)
        assert (done["state"], done["label"]) == ("applied", "1.0.1"), done
        assert "canary: 0 of 4 runs failed" in done["reasons"][0]
        assert await tags(enhancer.host) == {"stable": "1.0.1"}
        assert await i.labels(enhancer.host, "halve") == ["1.0.1", "1.0.0"]


async def test_a_canary_whose_scores_fall_behind_is_taken_back() -> None:
    worse = "return input > 100 and 0 or input / 2"
    async with trying(worse, score="ctx.half") as enhancer:
        run = await tried(enhancer)
        await ran(enhancer.host, *[200] * 8)
        assert i.codes(await ended(run)) == {"enhance.canary_worse"}


async def test_a_canary_that_never_has_its_runs_is_taken_back() -> None:
    async with trying(GOOD, longest_s=0.05) as enhancer:
        run = await enhancer.submit("halve", "better", author="bob")
        assert i.codes(await ended(run)) == {"enhance.canary_late"}
        assert await tags(enhancer.host) == {"stable": "1.0.0"}


async def test_a_canary_that_somebody_takes_in_by_hand_is_over() -> None:
    async with trying(GOOD) as enhancer:
        run = await tried(enhancer)
        await enhancer.host.blueprints.untag("halve", "canary")
        done = await ended(run)
        assert (done["state"], i.codes(done)) == ("rolled_back", {"enhance.canary_ended"})
        # What stands at the head is his business.
        assert await i.labels(enhancer.host, "halve") == ["1.0.1", "1.0.0"]


async def test_the_next_issue_waits_for_the_end_of_a_canary_even_a_cancelled_one() -> None:
    async with trying(GOOD, f"{GOOD} --") as enhancer:
        first = await tried(enhancer)
        second = await enhancer.submit("halve", "more", author="bob")
        await anyio.sleep(0.3)
        assert (await enhancer.show(second.id)).change == {}
        # Whoever cancels the issue has taken the canary in.
        await first.cancel()
        await first.wait()
        with anyio.fail_after(60):
            while (await enhancer.show(second.id)).state != "canary":  # noqa: ASYNC110 - its run
                await anyio.sleep(0.01)
        assert (await tags(enhancer.host))["canary"] == "1.0.2"
        await second.cancel()


async def test_a_frozen_loop_keeps_no_canary_and_still_takes_one_back() -> None:
    async with trying(GOOD, BAD) as enhancer:
        run = await tried(enhancer)
        enhancer.freeze()
        await ran(enhancer.host, *range(8))
        await anyio.sleep(0.2)
        assert (await enhancer.show(run.id)).state == "canary"
        enhancer.freeze(False)
        assert (await ended(run))["state"] == "applied"
        run = await tried(enhancer)
        enhancer.freeze()
        await ran(enhancer.host, *[200] * 4)
        assert (await ended(run))["state"] == "rolled_back"


async def test_a_share_of_the_runs_of_the_tag_begin_with_it_and_no_others() -> None:
    async with trying(GOOD, share=0.25, runs=1000) as enhancer:
        host = enhancer.host
        run = await tried(enhancer)

        async def label(selector: str, run_id: str | None = None) -> str:
            version = (await host.load_to_run(selector, run_id)).version
            assert version is not None
            return version.label

        served = [await label("halve@stable") for _ in range(8)]
        assert served == [*["1.0.0"] * 3, "1.0.1"] * 2
        assert {await label("halve@1.0.0") for _ in range(8)} == {"1.0.0"}
        assert {await label("halve") for _ in range(8)} == {"1.0.1"}
        # A run that is started again under its id is the same run.
        for n in range(12):
            one = await host.start("halve@stable", {"n": n}, run_id=f"chosen-{n}")
            other = await host.start("halve@stable", {"n": n}, run_id=f"chosen-{n}")
            assert one.id == other.id
        drawn = {await label("halve@stable", f"chosen-{n}") for n in range(12)}
        assert drawn == {"1.0.0", "1.0.1"}
        await run.cancel()


class Stuck(Enhancer):
    """A loop that looks at a canary, acts on it, and is killed before that is kept."""

    async def did(self, step: str) -> None:
        if step == "watch" and self.policy.canary is not None:
            tagged = await self.host.blueprints.tags("halve")
            if "canary" not in tagged:
                self.reached.set()
                await anyio.sleep_forever()

    reached: anyio.Event


@pytest.mark.parametrize(("source", "state"), [(GOOD, "applied"), (BAD, "rolled_back")])
async def test_killed_behind_the_end_of_a_canary_and_resumed_it_ended_once(
    tmp_path: Path, source: str, state: str
) -> None:
    policy = i.OPEN.model_copy(update={"canary": Canary(share=1.0, runs=2, **QUICK)})
    first = Stuck(Host(tmp_path, scripts="inline", shutdown_s=0.2), policy,
                  proposer=working(source))  # fmt: skip
    first.reached = anyio.Event()
    async with first.host as host:
        await i.registered(host, DOCUMENT)
        await host.blueprints.tag("halve@1.0.0", "stable")
        run = await tried(first)
        await ran(host, 200, 200)
        with anyio.fail_after(60):
            await first.reached.wait()
    second = i.at(tmp_path, working(source), policy)
    async with second.host as host:
        done = await ended(await host.resume(run.id))
        assert done["state"] == state
        assert i.codes(done) <= {"enhance.canary_failing", "canary"}
        labels = await i.labels(host, "halve")
        assert labels == (["1.0.1", "1.0.0"] if state == "applied" else ["1.0.2", "1.0.1", "1.0.0"])
        assert await tags(host) == {"stable": "1.0.1" if state == "applied" else "1.0.0"}


async def test_without_canaries_what_is_committed_serves_at_once() -> None:
    """The control: it is the canary that keeps a bad version from the other runs."""
    policy = i.OPEN
    enhancer = i.in_memory(working(BAD), policy)
    async with enhancer.host as host:
        await i.registered(host, DOCUMENT)
        run = await enhancer.submit("halve", "better", author="bob")
        assert (await ended(run))["state"] == "applied"
        outcome = await (await host.start("halve", {"n": 200})).wait()
        assert outcome.status == "failed"
