"""docs/plain-lua.md: its tables are walked, its example runs, its differences hold."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from swarm.cli.main import invoke
from tests.plain.written import CONSTRUCTS, DIFFERENCES, REFUSALS

TEXT = (Path(__file__).parents[2] / "docs/plain-lua.md").read_text("utf-8")
ORACLE = (Path(__file__).parents[1] / "plain/oracle.lua").read_text("utf-8")


def rows(heading: str) -> list[str]:
    section = TEXT.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| (.+?) \| .+ \|$", section, re.MULTILINE)[1:]


LOWERED, REFUSED = rows("What is lowered"), rows("What is refused")


@pytest.mark.parametrize("construct", LOWERED)
def test_each_lowered_construct_has_five_cases(construct: str) -> None:
    """The cases themselves run, both ways, in tests/plain/test_constructs.py."""
    assert sum(one.construct == construct for one in CONSTRUCTS) >= 5


@pytest.mark.parametrize("construct", REFUSED)
def test_each_refused_construct_has_a_case(construct: str) -> None:
    assert any(one.construct == construct for one in REFUSALS)


def test_the_tables_name_every_construct_once_and_no_other() -> None:
    assert set(LOWERED) == {one.construct for one in CONSTRUCTS}
    assert set(REFUSED) == {one.construct for one in REFUSALS}
    assert max(Counter(LOWERED + REFUSED).values()) == 1


@pytest.mark.parametrize("text", re.findall(r"^```lua\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE))
def test_the_example_runs(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "example.lua"
    file.write_text(text)
    assert invoke(["run", str(file)]) == 0, capsys.readouterr().err
    assert "PASS" in capsys.readouterr().out


DIFFERENT = rows("Where a flow differs from Lua")
NAMED = [name.strip("`") for name in DIFFERENT if not name.startswith("refused: ")]
NEVER_RUN = [
    construct
    for name in DIFFERENT
    if name.startswith("refused: ")
    for construct in name.removeprefix("refused: ").split("; ")
]


@pytest.mark.parametrize("name", NAMED)
def test_each_difference_has_three_cases_that_lua_alone_fails(name: str) -> None:
    """The cases themselves run in tests/plain/test_differences.py, with it and without."""
    assert sum(one.construct == name for one in DIFFERENCES) >= 3


@pytest.mark.parametrize("construct", NEVER_RUN)
def test_what_a_difference_leaves_to_a_refusal_is_refused(construct: str) -> None:
    """The cases themselves are refused in tests/plain/test_constructs.py."""
    assert construct in REFUSED
    assert sum(one.construct == construct for one in REFUSALS) >= 3


def test_the_differences_are_those_of_the_oracle_and_no_others() -> None:
    assert sorted(NAMED) == sorted({one.construct for one in DIFFERENCES})
    compared = {"empty", "zero_sign"}  # both ways are compared without regard to these
    built_in = set(re.findall(r"OFF\.(\w+)", ORACLE)) | compared | {"early_reads"}
    assert set(NAMED) == built_in
