"""Pages that are walked from top to bottom: the tutorial, the how-to pages, and some others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.walking import (
    ROOT,
    blocks_of,
    matches,
    pages_beside_hello,
    pages_that_are_walked,
    walk,
)


@pytest.mark.parametrize("page", pages_that_are_walked(), ids=lambda page: page.stem)
def test_a_page_does_what_it_says(page: Path, tmp_path: Path) -> None:
    walk(page, tmp_path)


@pytest.mark.parametrize("page", pages_beside_hello(), ids=lambda page: page.stem)
def test_a_page_does_what_it_says_beside_the_first_blueprint(page: Path, tmp_path: Path) -> None:
    hello = (ROOT / "blueprints/hello.lua").read_bytes()
    (tmp_path / "blueprints").mkdir()
    for file in (tmp_path / "hello.lua", tmp_path / "blueprints/hello.lua"):
        file.write_bytes(hello)
    walk(page, tmp_path)


@pytest.mark.parametrize("page", pages_that_are_walked(), ids=lambda page: page.stem)
def test_a_page_has_something_to_walk(page: Path) -> None:
    assert {"console", "python"} & {block.info for block in blocks_of(page.read_text("utf-8"))}


@pytest.mark.parametrize(
    "said",
    [
        "```console\n$ echo one\ntwo\n```\n",
        "```console\n$ false\n```\n",
        "```console\n$ swarm check nothing.lua\n```\n",
        "```python\nassert 1 == 2\n```\n",
        "```python\nimport anyio\nawait anyio.sleep(0)\nassert 1 == 2\n```\n",
        "```lua\nreturn 1\n```\n",
        "```console\n$ sh -c 'printf \"answer> \"; read x; echo got $x'\nanswer> a\ngot b\n```\n",
    ],
)
def test_a_page_that_is_wrong_is_noticed(said: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(said)
    with pytest.raises(AssertionError, match=r"page\.md:2: "):
        walk(page, tmp_path)


def test_what_is_printed_is_compared_whole() -> None:
    assert matches("one\n… three\n", "one\n2 and three\n")
    assert not matches("one\n", "one\ntwo\n")
    assert not matches("…two\n", "one\nthree\n")
