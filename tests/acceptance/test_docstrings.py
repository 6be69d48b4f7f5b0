"""The examples in docstrings, run; one that cannot run says so (`+SKIP`)."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULES = [
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for room in ("flowir", "swarm")
    for file in sorted((ROOT / room).rglob("*.py"))
    if ">>> " in file.read_text("utf-8")
]


def test_examples_give_what_they_show() -> None:
    ran = {
        name: doctest.testmod(import_module(name), optionflags=doctest.ELLIPSIS) for name in MODULES
    }
    assert [name for name, found in ran.items() if found.failed] == []
    assert sum(found.attempted for found in ran.values()) > 40
