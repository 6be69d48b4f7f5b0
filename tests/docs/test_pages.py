"""What holds for all pages: links lead somewhere, tables are in order, lists agree."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    outside_code = re.sub(
        r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    for link in re.findall(r"\]\(([^)#]+)", outside_code):
        assert (page.parent / link).exists(), link


def test_every_page_stands_in_the_list_that_the_readme_names() -> None:
    assert "(docs/index.md)" in (ROOT / "README.md").read_text("utf-8")
    text = (ROOT / "docs/index.md").read_text("utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        name = str(page.relative_to(ROOT / "docs"))
        assert name == "index.md" or f"({name})" in text


def test_glossary_is_sorted_and_each_word_is_used() -> None:
    text = (ROOT / "docs/glossary.md").read_text("utf-8")
    words = re.findall(r"^\| ([a-z]+) \|", text, re.MULTILINE)[1:]
    assert words == sorted(set(words))
    elsewhere = " ".join(p.read_text("utf-8").lower() for p in PAGES if p.name != "glossary.md")
    for word in words:
        assert re.search(rf"\b{word}(s|es)?\b", elsewhere), word


def test_the_import_order_the_page_draws_is_the_one_that_is_checked() -> None:
    text = (ROOT / "docs/architecture.md").read_text("utf-8")
    drawn = re.search(r"^__main__ → .*$", text, re.MULTILINE)
    assert drawn is not None
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    layers = next(c for c in contracts["contracts"] if c["name"] == "inside swarm")["layers"]
    built = [" | ".join(r for r in layer.split(" | ") if "(" not in r) for layer in layers]
    assert drawn[0].split(" → ") == [*filter(None, built), "flowir"]
