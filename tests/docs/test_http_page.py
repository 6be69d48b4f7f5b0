"""docs/http.md names every route and its verb, and its example runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
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


def test_the_python_example_runs() -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(  # noqa: S603 - our own example
        [sys.executable, "-c", code],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "Ada" in ran.stdout
