"""The example in plain Lua does what the one made with builders does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from swarm.cli.main import invoke

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _in_the_project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("SWARM_STORE", str(tmp_path / "state"))


def run(capsys: pytest.CaptureFixture[str], name: str) -> Any:
    file = f"blueprints/{name}.lua"
    assert invoke(["run", file, "--input", "@blueprints/data/review.json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_both_examples_give_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "review") == run(capsys, "built_review")


def test_its_picture_is_as_plain_as_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["graph", "blueprints/review.lua", "--format", "tree"]) == 0
    shown = capsys.readouterr().out
    assert re.findall(r"step (\w+)", shown) == ["readability", "reviser", "checker"]
    assert "default(" not in shown
