from __future__ import annotations

import json
from pathlib import Path

import pytest

from swarm.cli.main import invoke

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_the_document_is_canonical_and_builds_to_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["build", "blueprints/hello.lua"]) == 0
    first = capsys.readouterr().out
    document = json.loads(first)
    assert (document["swarm"], document["id"]) == (1, "hello")
    steps = [node["ref"] for node in document["flow"]["children"] if node["kind"] == "step"]
    assert steps == ["greeter", "shouter"]
    (tmp_path / "hello.json").write_text(first)
    assert invoke(["build", str(tmp_path / "hello.json")]) == 0
    assert capsys.readouterr().out == first


def test_the_document_may_go_to_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "hello.json"
    assert invoke(["build", "blueprints/hello.lua", "-o", str(file)]) == 0
    assert capsys.readouterr().out == ""
    assert json.loads(file.read_text("utf-8"))["id"] == "hello"


def test_a_file_that_cannot_be_written_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["build", "blueprints/hello.lua", "-o", str(tmp_path / "no" / "hello.json")]) == 2
    assert capsys.readouterr().err.endswith("no such file or directory\n")
