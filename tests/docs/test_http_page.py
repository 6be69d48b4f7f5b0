"""docs/http.md names every route and its verb; its examples are walked."""

from __future__ import annotations

import re
from pathlib import Path

from swarm.api.gate import VERB
from swarm.host.host import Host

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/http.md").read_text("utf-8")


def test_the_table_has_every_route_with_its_verb() -> None:
    rows = re.findall(r"^\| `([A-Z]+) ([^`]+)` \| `?([a-z.]+)`? \|", TEXT, re.MULTILINE)
    paths = Host.in_memory().asgi().openapi()["paths"]
    served = {
        (method.upper(), path, operation[VERB])
        for path, operations in paths.items()
        for method, operation in operations.items()
    }
    assert set(rows) == served
    assert len(rows) == len(served)
