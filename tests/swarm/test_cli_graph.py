from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from swarm.cli.main import invoke

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_mermaid_is_what_one_gets_without_asking(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["graph", "blueprints/review.lua"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("flowchart")
    for agent in ("readability", "reviser", "checker"):
        assert agent in shown


def test_a_tree_shows_the_steps(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["graph", "blueprints/review.lua", "--format", "tree"]) == 0
    assert "checker" in capsys.readouterr().out


def test_svg_is_an_image(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["graph", "blueprints/review.lua", "--format", "svg"]) == 0
    image = ElementTree.fromstring(capsys.readouterr().out)  # noqa: S314  our own output
    assert image.tag.endswith("svg")
