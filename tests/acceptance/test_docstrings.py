"""The examples in docstrings, run; a block of code that would not be run is found."""

from __future__ import annotations

import ast
import doctest
import re
import textwrap
from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module
from inspect import cleandoc
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = [file for room in ("flowir", "swarm") for file in sorted((ROOT / room).rglob("*.py"))]
# What makes a block code rather than a picture: it does something, in one language or another.
_DEFINES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_DOES = (ast.Call, ast.Assign, ast.Await, ast.Import, ast.ImportFrom, *_DEFINES)
_SHELL = re.compile(r"^(\$ |swarm \w|pip |python3? )")
_LUA = re.compile(r"^(local \w+ =|return |flow\.\w+)")


def _module(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@lru_cache
def _docstrings(file: Path) -> tuple[str, ...]:
    """Return every docstring of a file, of whatever stands in whatever."""
    kinds = (ast.Module, *_DEFINES)
    found = (node for node in _within(ast.parse(file.read_bytes())) if isinstance(node, kinds))
    return tuple(doc for node in found if (doc := ast.get_docstring(node)) is not None)


def _within(node: ast.AST) -> Iterator[ast.AST]:
    """Yield it and the statements in it; expressions hold no docstrings."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.stmt, ast.ExceptHandler, ast.match_case)):
            yield from _within(child)


def _not_run(doc: str) -> Iterator[str]:
    """Yield the blocks of a docstring that are code and no examples."""
    if "```" in doc or "+SKIP" in doc:
        yield doc
    for block in re.split(r"\n(?=\S)|\n\n", f"\n{doc}"):
        lines = [line for line in block.split("\n") if line.startswith("    ")]
        if lines and ">>> " not in block and _is_code(textwrap.dedent("\n".join(lines))):
            yield "\n".join(lines)


def _is_code(text: str) -> bool:
    if _SHELL.search(text) or _LUA.search(text):
        return True
    try:
        parsed = ast.parse(text)
    except (SyntaxError, ValueError):
        return False
    return any(isinstance(node, _DOES) for node in ast.walk(parsed))


def test_examples_give_what_they_show() -> None:
    """All of them, also where `doctest` sees no docstring: below what a decorator returns."""
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for file in FILES:
        docs = [doc for doc in _docstrings(file) if ">>> " in doc]
        names = vars(import_module(_module(file))) if docs else {}
        for doc in docs:
            test = parser.get_doctest(doc, dict(names), f"{file}", f"{file}", None)
            assert runner.run(test).failed == 0, file
    assert runner.tries > 100


@pytest.mark.parametrize("room", ["flowir", "swarm"])
def test_no_block_of_code_stands_in_a_docstring_without_being_run(room: str) -> None:
    found = {
        f"{file.relative_to(ROOT)}: {block}"
        for file in FILES
        if file.is_relative_to(ROOT / room)
        for doc in _docstrings(file)
        for block in _not_run(doc)
    }
    assert found == set()


@pytest.mark.parametrize(
    "block",
    [
        "    host = swarm.Host('state')",
        "    from swarm import Host",
        "    @operator.handler\n    async def review(task): ...",
        "    await operator.run()",
        "    $ swarm run hello.lua",
        "    swarm run hello.lua",
        '    local flow = require "flow"',
        ">>> 1 + 1  # doctest: +SKIP\n3",
        "```python\nx = 1\n```",
    ],
)
def test_a_block_that_nobody_runs_is_noticed(block: str) -> None:
    assert [*_not_run(cleandoc(f"Do it.\n\n{block}\n\nAnd more."))]


@pytest.mark.parametrize(
    "block",
    [
        "    start()          → effects",
        "    refs/tags/<id>   tags",
        "    async with   opens the store",
        ">>> 1 + 1\n2",
        "Shape: what it\n    has.",
    ],
)
def test_a_picture_is_no_code(block: str) -> None:
    assert not [*_not_run(cleandoc(f"Do it.\n\n{block}\n\nAnd more."))]
