"""docs/processes.md: its example runs, its tables name what there is."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

from swarm.cli.main import invoke
from swarm.workers.process.factory import ProcessFactory
from swarm.workers.process.limits import Limits
from swarm.workers.process.settings import ProcessSettings
from swarm.workers.process.streams import FORMS
from swarm.workers.process.templates import PLACEHOLDERS

TEXT = (Path(__file__).parents[2] / "docs/processes.md").read_text("utf-8")


def _section(title: str) -> str:
    return TEXT.split(f"## {title}\n")[1].split("\n## ")[0]


def _rows(title: str) -> set[str]:
    """Return the words of the first column of a section's table."""
    rows = re.findall(r"^\|([^|]*)\|", _section(title), re.MULTILINE)
    return {word for row in rows for word in re.findall(r"`([^`]+)`", row)}


def test_the_example_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    block = re.search(r"^```lua\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    assert block is not None
    file = tmp_path / "words.lua"
    file.write_text(block[1])
    code = invoke(["run", str(file), "--store", str(tmp_path / "store")])
    said = capsys.readouterr()
    assert code == 0, said.err
    ctx = json.loads(said.out)
    assert ctx["n"] == 3
    assert ctx["counted"].startswith("3 ")
    assert "counting" in said.err


def test_the_tables_name_what_there_is() -> None:
    assert _rows("Settings") == ProcessFactory.fields
    assert _rows("What it says") == set(FORMS)
    assert _rows("Limits") == {field.name for field in fields(Limits)}
    assert _rows("The host's settings") == {field.name for field in fields(ProcessSettings)}
    named = {word.strip("{}").partition(".")[0] for word in _rows("Templates")}
    assert named == set(PLACEHOLDERS)
