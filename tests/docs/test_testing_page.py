"""docs/testing.md names a test for every fault: each is there, and none is forgotten."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/testing.md").read_text("utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.splitlines()
    if re.match(r"\| A\d+ \|", line)
]
FILES = dict(re.findall(r"`([A-Z])`(?: is)? `(tests/[a-z_/]+\.py)`", TEXT))


@cache
def names_in(file: str) -> frozenset[str]:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    body = ast.parse((ROOT / file).read_text("utf-8")).body
    return frozenset(node.name for node in body if isinstance(node, functions))


def missing(text: str) -> list[str]:
    found = re.findall(r"(?:([A-Z])|(tests/[a-z_/]+\.py))::(test_\w+)", text)
    return [
        f"{short}{file}::{name}"
        for short, file, name in found
        if name not in names_in(file or FILES[short])
    ]


def test_every_fault_has_its_row_in_order() -> None:
    assert [row[0] for row in ROWS] == [f"A{number}" for number in range(1, 43)]


def test_every_test_that_is_named_is_there() -> None:
    assert missing(TEXT) == []


def test_a_name_that_is_not_there_is_noticed() -> None:
    assert missing("P::test_every_point_of_every_life_is_survived K::test_nothing") == [
        "K::test_nothing"
    ]


def test_a_row_has_tests_unless_it_says_why_not() -> None:
    proven = [row for row in ROWS if row[4].startswith("proven")]
    waiting = [row[0] for row in ROWS if row[4].startswith(("waits: ", "not applicable: "))]
    assert len(proven) + len(waiting) == len(ROWS)
    assert all("::test_" in row[3] for row in proven)
    assert waiting == ["A27"]
    print(f"{len(proven)} / {len(ROWS)} proven; {', '.join(waiting)} wait or do not apply")  # noqa: T201
