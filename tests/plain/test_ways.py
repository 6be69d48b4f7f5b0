"""Random blueprints, plain and built, on their whole way: compiled to repeated, and back.

SWARM_WAYS in the environment says how many of each, SWARM_WAYS_SEED which.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import pytest

from swarm.core.replay import Replay
from swarm.errors import SwarmError
from tests.plain.both import TooLong
from tests.plain.way import Way, built_way, plain_way

WAYS = int(os.environ.get("SWARM_WAYS", "8"))
SEED = int(os.environ.get("SWARM_WAYS_SEED", "1"))


def plain_ways() -> dict[int, Way]:
    found: dict[int, Way] = {}
    seed = SEED
    while len(found) < WAYS:
        try:
            way = plain_way(seed)
        except TooLong:
            way = None
        if way is not None:
            found[seed] = way
        seed += 1
    return found


def walked(ways: dict[int, Way], folder: Path) -> Counter[str]:
    total: Counter[str] = Counter()
    for seed, way in ways.items():
        place = folder / str(seed)
        place.mkdir()
        try:
            total += anyio.run(way.walk, place, seed)
        except BaseException as fault:
            fault.add_note(f"the way of seed {seed}")
            raise
    return total


def test_plain_flows_end_as_lua_does_on_every_way(tmp_path: Path) -> None:
    total = walked(plain_ways(), tmp_path)
    assert total["run"] == WAYS
    assert total["died"] > WAYS / 2
    assert total["repeated"] > WAYS / 2


def test_built_flows_end_as_the_machine_does_on_every_way(tmp_path: Path) -> None:
    total = walked({seed: built_way(seed) for seed in range(SEED, SEED + WAYS)}, tmp_path)
    assert total["run"] == WAYS
    assert total["died"] > WAYS / 2
    assert total["repeated"] > WAYS / 2


def test_a_planted_bug_turns_the_campaign_red(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that reads other answers from its journal than were given, as it may notice."""
    feed = Replay.feed

    def misread(replay: Replay, rows: Any) -> None:
        feed(replay, [{**row, "value": 99} if "value" in row else row for row in rows])

    monkeypatch.setattr(Replay, "feed", misread)
    with pytest.raises((AssertionError, SwarmError), match=r"with deaths|repeated|digest"):
        walked(plain_ways(), tmp_path)
