"""docs/reference and docs/llms.txt are what the code says today."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import flowir
import swarm
from docs.generate import PAGES, written
from swarm.cli.main import COMMANDS
from swarm.cli.stubs import MODULES, functions_of

ROOT = Path(__file__).parents[2]


def _page(name: str) -> str:
    return (ROOT / "docs" / name).read_text("utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_code_says(name: str) -> None:
    assert _page(name) == written(name), f"docs/{name} is old: make docs"


def test_every_page_of_the_folder_is_written_and_listed() -> None:
    there = {f"reference/{file.name}" for file in (ROOT / "docs/reference").iterdir()}
    assert there == {name for name in PAGES if name.startswith("reference/")}
    for page in (ROOT / "docs").rglob("*.md"):
        name = str(page.relative_to(ROOT / "docs"))
        assert name == "index.md" or f"({name})" in _page("llms.txt")


def test_nothing_that_is_public_is_left_out() -> None:
    commands, python, lua = (_page(f"reference/{name}.md") for name in ("cli", "python", "lua"))
    for name in COMMANDS:
        assert re.search(rf"^## `swarm {name}\b", commands, re.MULTILINE)
    for name in (*swarm.__all__, *flowir.__all__):
        assert re.search(rf"^### .*`(await )?{name}\b", python, re.MULTILINE), name
    for module in MODULES:
        for one in functions_of(module):
            assert f"### `{one.name}" in lua


def test_every_variable_that_is_read_is_told() -> None:
    """What a command or program is told is no setting."""
    source = " ".join(file.read_text("utf-8") for file in (ROOT / "swarm").rglob("*.py"))
    read = set(re.findall(r'environ\.get\("(SWARM_\w+)"|envvar="(SWARM_\w+)"', source))
    names = {name for pair in read for name in pair if name}
    told = set(re.findall(r"^\| `(SWARM_\w+)`", _page("reference/settings.md"), re.MULTILINE))
    assert names == told
