"""docs/project.md: its file is one that a project runs with, and shows every key that there is."""

from __future__ import annotations

import json
import re
import shutil
import sys
import tomllib
from collections.abc import Generator
from pathlib import Path

import pytest

from swarm.cli.main import invoke
from swarm.cli.programs import ProgramSettings
from swarm.cli.project import RetentionSettings, find_project
from swarm.stores.sqlite.store import FILE

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FILES = [
    pytest.param(text, id=f"{page.name}-{number}")
    for page in PAGES
    for number, text in enumerate(
        re.findall(r"^```toml\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    )
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """Make a project that has what the files of the docs name, and work in it."""
    project = tmp_path / "project"
    for name, text in {
        "tools/readability.py": "def grade(text):\n    return 1\n",
        "acme/text.py": "def translate(text):\n    return text\n",
        "keys/other": "a long secret",
        "../shared/prompts/tone.txt": "Be kind.",
    }.items():
        file = project / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    shutil.copy(ROOT / "blueprints/hello.lua", project)
    monkeypatch.chdir(project)
    monkeypatch.setenv("PROVIDER_KEY", "another long secret")
    monkeypatch.delenv("SWARM_STORE", raising=False)
    monkeypatch.setattr(sys, "path", [*sys.path])
    modules = set(sys.modules)
    yield project
    for name in set(sys.modules) - modules:
        if name.startswith(("acme", "swarm_functions")):
            del sys.modules[name]


@pytest.mark.parametrize("text", FILES)
def test_a_blueprint_runs_in_a_project_with_every_file_of_the_docs(
    text: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "swarm.toml").write_text(text)
    assert find_project(None).folder == folder
    code = invoke(["run", "hello.lua", "--set", "name=Ada"])
    said = capsys.readouterr()
    assert code == 0, said.err
    assert json.loads(said.out)["loud"] == "HELLO, ADA!"
    (kept,) = folder.glob(f"*/{FILE}")
    assert kept.parent.name == ("state" if 'store = "state"' in text else ".swarm")


def test_the_page_shows_every_key() -> None:
    page = (ROOT / "docs/project.md").read_text("utf-8")
    shown = tomllib.loads(page.split("```toml\n")[1].split("```")[0])
    known = find_project.__globals__["_Settings"].model_fields
    assert set(shown) == set(known)
    assert set(shown["processes"]) == set(ProgramSettings.model_fields)
    assert set(shown["retention"]) == set(RetentionSettings.model_fields)
