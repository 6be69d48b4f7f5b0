"""docs/project.md: its file is read as it stands, and shows every key that there is."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from swarm.cli.programs import ProgramSettings
from swarm.cli.project import RetentionSettings, find_project

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FILES = [
    pytest.param(text, id=f"{page.name}-{number}")
    for page in PAGES
    for number, text in enumerate(
        re.findall(r"^```toml\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    )
]


@pytest.mark.parametrize("text", FILES)
def test_every_project_file_of_the_docs_is_read(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "swarm.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert find_project(None).folder == tmp_path


def test_the_page_shows_every_key() -> None:
    page = (ROOT / "docs/project.md").read_text("utf-8")
    shown = tomllib.loads(page.split("```toml\n")[1].split("```")[0])
    known = find_project.__globals__["_Settings"].model_fields
    assert set(shown) == set(known)
    assert set(shown["processes"]) == set(ProgramSettings.model_fields)
    assert set(shown["retention"]) == set(RetentionSettings.model_fields)
