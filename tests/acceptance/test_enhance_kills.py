"""kill -9 of the loop of improvement, at each of its points: each issue is committed once.

The number of kills is ENHANCE_KILLS in the environment, 18 by itself: each of nine points
twice, sometimes in a life that only goes on with what an earlier one left.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from swarm.enhance.policy import AUTHOR
from swarm.host.blueprints import EVIDENCE
from swarm.host.host import Host
from tests.acceptance.enhance_lives import NAME, PHASES
from tests.acceptance.warm import Warm, was_killed

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("ENHANCE_KILLS", "18"))
ISSUES = 2


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Loops(Warm):
    """Forks loops of improvement."""

    def live(
        self, store: Path, phase: str | None, count: int = 1, planted: str | None = None
    ) -> bool:
        """Let a loop live; return whether it was killed."""
        order = {"store": str(store), "issues": ISSUES, "phase": phase, "count": count,
                 "planted": planted}  # fmt: skip
        return was_killed(self.ended(order)["code"])


@pytest.fixture(scope="module")
def warm() -> Iterator[Loops]:
    process = Loops("tests.acceptance.enhance_lives")
    yield process
    process.close()


async def check(store: Path) -> None:
    """Expect each issue to be committed once, with its evidence, and recorded."""
    host = Host(store, resume="manual", scripts="inline")
    async with host:
        issues = (store / "issues").read_text().split()
        log = await host.blueprints.log(NAME)
        commits: Counter[str] = Counter()
        for entry in log:
            if entry.note.author == AUTHOR:
                contents = await host.blueprints.read(f"{NAME}@{entry.label}")
                commits[json.loads(contents.files[EVIDENCE].body)["run"]] += 1
        assert commits == Counter(issues), f"commits of issues: {commits}"
        document: Any = (await host.blueprints.read(NAME)).document
        tags = document["agents"][0]["tags"]
        assert len(tags) == 1 + ISSUES, f"tags: {tags}"
        recorded = {e.run for e in await host.audit() if e.verb == "blueprint.register"}
        assert recorded >= set(issues), f"not recorded: {set(issues) - recorded}"
        for run in await host.runs():
            outcome = (await run.wait()).ctx
            assert isinstance(outcome, dict)
            assert outcome["outcome"]["state"] == "applied", outcome["outcome"]


async def campaign(folder: Path, warm: Loops, kills: int) -> None:
    chance = Random(5)  # noqa: S311 - the campaign is the same each time
    killed, tried = Counter[str](), Counter[str]()
    stores = 0
    while killed.total() < kills or min(killed[phase] for phase in PHASES) < kills // 18:
        stores += 1
        store = folder / f"store-{stores}"
        store.mkdir()
        for _ in range(3):
            phase = min(PHASES, key=lambda p: (killed[p] + tried[p], chance.random()))
            tried[phase] += 1
            assert tried.total() < 5 * kills, f"{tried}, and killed only {killed}"
            # Of two issues the first may be over already.
            if not warm.live(store, phase, chance.randint(1, 2 if tried[phase] == 2 else 1)):
                break
            killed[phase] += 1
        assert not warm.live(store, None)
        await check(store)
    print(f"killed {killed.total()} times over {stores} stores: {dict(killed)}")  # noqa: T201


@pytest.mark.anyio
async def test_killed_at_each_point_of_the_loop_each_issue_is_committed_once(
    tmp_path: Path, warm: Loops
) -> None:
    await campaign(tmp_path, warm, KILLS)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("planted", "phase", "words"),
    [("blind", "version.after", "commits of issues"), ("ahead", "version.after", "not recorded")],
)
async def test_a_planted_bug_turns_the_campaign_red(
    tmp_path: Path, warm: Loops, planted: str, phase: str, words: str
) -> None:
    assert warm.live(tmp_path, phase, 1, planted)
    assert not warm.live(tmp_path, None, planted=planted)
    with pytest.raises(AssertionError, match=words):
        await check(tmp_path)
    # Its twin: the same death without the bug.
    twin = tmp_path / "twin"
    twin.mkdir()
    assert warm.live(twin, phase, 1)
    assert not warm.live(twin, None)
    await check(twin)
