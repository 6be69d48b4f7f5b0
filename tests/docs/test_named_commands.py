"""Every `swarm …` that stands in a sentence of a page is a command, with options that it has."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import click
import pytest

from swarm.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_NAMED = re.compile(r"`swarm ([a-z][^`]*)`")


def _wrong(words: list[str]) -> str | None:
    """Say what of a command there is not; `show|diff` are two, words in capitals arguments."""
    if words[0] not in COMMANDS:
        return words[0]
    command: click.Command = import_module(f"swarm.cli.{words[0]}").command
    rest = words[1:]
    if isinstance(command, click.Group) and rest:
        named = [name for name in rest[0].split("|") if re.fullmatch("[a-z]+", name)]
        for name in named:
            if name not in command.commands:
                return name
        command = command.commands[rest[0]] if named == [rest[0]] else command
    known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    options = [found[1] for word in rest if (found := re.match(r"\[?(--?[a-z-]+)", word))]
    return next((name for name in options if name not in {*known, "--help"}), None)


def test_every_command_that_a_page_names_is_there() -> None:
    named = {
        (page.name, text)
        for page in PAGES
        for text in _NAMED.findall(_FENCE.sub("", page.read_text("utf-8")))
    }
    wrong = {one: what for one in named if (what := _wrong(one[1].split())) is not None}
    assert wrong == {}
    assert len(named) > 100


@pytest.mark.parametrize("text", ["runn x", "runs forget", "runs show|shwo", "run x --sett a=1"])
def test_one_that_is_not_is_noticed(text: str) -> None:
    assert _wrong(text.split()) is not None
