"""A small, always equal part of what the fuzzers do; `docs/sandbox.md` says how to run more."""

from __future__ import annotations

import os
import sys

import pytest

from tests.fuzz import lua, texts
from tests.fuzz.plants import PLANTS, hunted

SCRIPTS = int(os.environ.get("SWARM_FUZZ_SCRIPTS", "60"))
# Those that are found soon; `python -m tests.fuzz.plants` hunts all of them.
SOON = ("tostring shows addresses", "pairs goes as it likes", "coroutines have no hook")
TEXTS = int(os.environ.get("SWARM_FUZZ_TEXTS", "100"))


def test_scripts_that_nobody_would_write_are_contained_in_both_places() -> None:
    found = lua.campaign(3, most=SCRIPTS)
    sys.stdout.write(f"survived {found.scripts - len(found.failures)} / {found.scripts} scripts\n")
    assert found.failures == []


@pytest.mark.parametrize("name", SOON)
def test_a_guard_that_is_taken_away_is_found(name: str) -> None:
    """The same fuzzer that is quiet above finds what is planted."""
    (one,) = (plant for plant in PLANTS if plant.name == name)
    result = hunted(one, 1, most=200)
    sys.stdout.write(f"{result}\n")
    assert result.by is not None


def test_texts_that_nobody_would_write_are_read_or_refused() -> None:
    tried, found = texts.campaign(3, most=TEXTS)
    sys.stdout.write(f"survived {tried - len(found)} / {tried} texts\n")
    assert found == []


def test_an_entry_that_lets_out_what_python_raises_turns_it_red(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tests.fuzz.texts.TYPED", (MemoryError,))
    assert texts.campaign(3, most=5)[1]


def test_an_address_or_a_dirty_next_script_turns_it_red() -> None:
    clean = {"clean": True, "code": "script.error", "message": "no"}
    assert lua.judged("pool", clean) is None
    assert lua.judged("pool", {**clean, "clean": False})
    assert lua.judged("pool", {**clean, "message": "table: 0x55d0c0ffee00"})
    assert lua.judged("inline", {"code": "crash"})
    forged = {**clean, "message": "a.lua:1: [sandbox]:1: forged"}
    assert lua.judged("pool", forged)
    assert lua.judged("pool", forged, "error('[sandbox]:1: forged')") is None
    assert lua.differ(clean, {**clean, "message": "yes"})
