"""docs/capability.md: its table is the one that the host decides by."""

from __future__ import annotations

import re
from pathlib import Path

from swarm.core.capability.claims import Claims
from swarm.core.capability.verbs import MAX_TTL_S, table_rows

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/capability.md"
TEXT = PAGE.read_text("utf-8")


def drawn() -> str:
    """Draw the table as the page has it; `python -m tests.docs.test_capability_page` writes it."""
    head, *rows = table_rows()
    marked = [[cell.replace("x", "✓") if cell in "x-" else cell for cell in row] for row in rows]
    marked = [[f"`{row[0]}`", *("" if c == "-" else c for c in row[1:])] for row in marked]
    lines = [head, ["---"] * len(head), *marked]
    return "\n".join("|" + "".join(f" {c} |" if c else " |" for c in line) for line in lines)


def test_the_table_of_the_page_is_the_one_that_decides() -> None:
    assert drawn() in TEXT


def test_every_claim_is_explained() -> None:
    listed = re.search(r"\| claim \| says \|\n(.*?)\n\n", TEXT, re.DOTALL)
    assert listed is not None
    names = {
        name
        for line in listed[1].splitlines()
        for name in re.findall(r"`([a-z]+)`", line.split("|")[1])
    }
    assert names == set(Claims.__slots__)


def test_the_lives_of_tokens_are_those_of_the_code() -> None:
    assert MAX_TTL_S == {
        "worker": 1_800,
        "observer": 12 * 3_600,
        "operator": 12 * 3_600,
        "senior": 24 * 3_600,
        "admin": 3_600,
    }


if __name__ == "__main__":
    PAGE.write_text(TEXT.replace("<!-- table -->", drawn()), "utf-8")
