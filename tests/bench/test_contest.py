"""The contest lets nobody in whose result is wrong, and drops nobody without a word."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

import pytest

import bench.peers.meter as meter
from bench.contest import Course, Sample, Scores, compete
from bench.roster import Contender, Entry, Mode
from bench.setups import Environment

HERE = Path(__file__).parent
BOUND_S = 60.0


def contender(*modes: str, name: str = "fake") -> Contender:
    return Contender(name, name, (), "import json", tuple(Mode(m, m, ("memory",)) for m in modes))


def course(folder: Path, bound_s: float = BOUND_S) -> Course:
    """Lay out a folder with the real meter and a contender that is told how to err."""
    peers, scratch = folder / "home" / "peers", folder / "scratch"
    peers.mkdir(parents=True)
    scratch.mkdir()
    shutil.copy(meter.__file__, peers / "meter.py")
    shutil.copy(HERE / "fake_peer.py", peers / "on_fake.py")
    here = {"fake": Environment(Path(sys.executable))}
    return Course(here, folder / "home", scratch, share=20, bound_s=bound_s)


def contest(folder: Path, *modes: str, bound_s: float = BOUND_S, rounds: int = 1) -> Scores:
    one = contender(*modes)
    return compete(course(folder, bound_s), [Entry(one, mode) for mode in one.modes], rounds)


def test_who_is_right_is_timed_once_a_round(tmp_path: Path) -> None:
    scores = contest(tmp_path, "right", rounds=2)
    assert scores.problems == {}
    assert set(scores.samples) == {("fake:right", work) for work in ("W1", "W2", "W3", "W4")}
    assert [len(found) for found in scores.samples.values()] == [2] * 4
    assert len(scores.starts["fake"]) == len(scores.imports["fake"]) == 2
    assert scores.sizes["fake:right", "W1"] == 50  # a twentieth


def test_a_sample_has_time_and_memory_of_the_process_that_did_it(tmp_path: Path) -> None:
    sample = contest(tmp_path, "right").samples["fake:right", "W2"][0]
    assert isinstance(sample, Sample)
    assert sample.wall_s > 0
    assert 1 < sample.peak_mb < 500


@pytest.mark.parametrize(
    ("mode", "sentence"),
    [
        ("wrong", "W1 of 20: expected 20, got 19"),
        ("dies", "ended with 1: the disk is on fire"),
        ("silent", "W1: expected a result, got none"),
    ],
)
def test_who_errs_is_never_timed_and_a_sentence_says_why(
    tmp_path: Path, mode: str, sentence: str
) -> None:
    scores = contest(tmp_path, mode, "right")
    assert scores.problems == {f"fake:{mode}": sentence}
    assert {entry for entry, _ in scores.samples} == {"fake:right"}


def test_who_errs_only_at_full_size_is_out_too(tmp_path: Path) -> None:
    scores = contest(tmp_path, "late")
    assert scores.problems == {"fake:late": "W1 of 50: expected 50, got 51"}
    assert scores.samples == {}


def test_who_does_not_end_is_ended_and_out(tmp_path: Path) -> None:
    scores = contest(tmp_path, "hangs", bound_s=5.0)
    assert scores.problems == {"fake:hangs": "did not end within 5 s"}
    pid = tmp_path / "scratch" / "pid"
    if pid.exists():  # on a slow machine it may not have come that far
        _gone(int(pid.read_text()))


def _gone(pid: int) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)
    pytest.fail(f"{pid} still lives")


def test_who_is_not_installed_is_reported(tmp_path: Path) -> None:
    one = contender("right")
    missing = {"fake": Environment(Path("nowhere"), "ERROR: no such package")}
    scores = compete(
        Course(missing, tmp_path, tmp_path), [Entry(one, mode) for mode in one.modes], 1
    )
    assert scores.problems == {"fake:right": "not installed: ERROR: no such package"}
