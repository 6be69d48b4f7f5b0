"""Every example of docs/blueprints.md, run; its tables, compared with the builders."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from swarm.blueprint.builders import BUILDERS
from swarm.cli.main import invoke

TEXT = (Path(__file__).parents[2] / "docs/blueprints.md").read_text("utf-8")


def _blocks(info: str) -> list[str]:
    return re.findall(rf"^```{info}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(
    ("suffix", "text"),
    [("lua", text) for text in _blocks("lua")] + [("json", text) for text in _blocks("json")],
)
def test_example_runs(
    suffix: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / f"example.{suffix}"
    file.write_text(text)
    code = invoke(["run", str(file)])
    assert code == 0, capsys.readouterr().err


@pytest.mark.parametrize("name", ["step", "branch", "loop", "fanout", "try", "assign"])
def test_the_table_names_each_field_of_a_builder(name: str) -> None:
    row = re.search(rf"^\| `flow\.{name}` \|.*$", TEXT, re.MULTILINE)
    assert row is not None
    fields = set(BUILDERS[name].fields) - {"id", "implicit"}
    assert fields <= set(re.findall(r"`(\w+)`", row[0]))


def test_the_table_names_every_builder() -> None:
    assert set(re.findall(r"^\| `flow\.(\w+)", TEXT, re.MULTILINE)) == set(BUILDERS)
