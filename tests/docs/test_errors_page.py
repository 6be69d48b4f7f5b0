"""docs/errors.md lists the codes of the source: each of them, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_type_hints

import flowir
from swarm.core import events
from swarm.core.capability.verbs import VERBS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/errors.md").read_text("utf-8")
_DOTTED = re.compile(r"[a-z][a-z_]*(\.[a-z_]+)+")
_IN_LUA = re.compile(r"""["']((?:script|worker)\.[a-z_]+)["']""")
# Dotted words that are no codes: files, modules, and the agent that every host has.
_NAMES = re.compile(
    r"(swarm|host|lua_stdlib|lupa|flowir|math|string|table|utf8|coroutine)\..*"
    r"|(websocket|hook|test)\..*"
    r"|http\.(request|disconnect|response\..*)|.*\.token"  # messages of ASGI
    r"|flow\.(test|array|blueprint|fail|file|null|sleep)|.*\.(lark|lua|txt|py|toml|db|jsonl?|ya?ml|lock|git|index)"
)
_UNDOTTED = {"malformed", "protocol", "bug"}


def _strings(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _event_kinds() -> set[str]:
    classes = [getattr(events, name) for name in events.__all__ if name[0].isupper()]
    hints = [get_type_hints(c) for c in classes if isinstance(c, type)]
    return {kind for hint in hints if "kind" in hint for kind in get_args(hint["kind"])}


def _used() -> set[str]:
    found: set[str] = set()
    for room in ("flowir", "swarm", "lua_stdlib"):
        for file in (ROOT / room).rglob("*.py"):
            found.update(_strings(ast.parse(file.read_text("utf-8"))))
        for file in (ROOT / room).rglob("*.lua"):
            found.update(_IN_LUA.findall(file.read_text("utf-8")))
    return {
        s for s in found if s in _UNDOTTED or (_DOTTED.fullmatch(s) and not _NAMES.fullmatch(s))
    }


def _documented() -> list[str]:
    return re.findall(r"^\| `([a-z_.]+)` \|", TEXT, re.MULTILINE)


def test_every_code_of_the_source_is_documented() -> None:
    other = set(flowir.STANDARD_EXTERNS) | _event_kinds() | set(VERBS)
    assert _used() - other - set(_documented()) == set()


def test_every_documented_code_is_in_the_source_or_provoked_by_a_test() -> None:
    """Some codes are built from two words: those stand whole only where they are expected."""
    tests = " ".join(
        file.read_text("utf-8")
        for file in (ROOT / "tests").rglob("*.*")
        if file.suffix in (".py", ".yaml", ".json", ".lua") and "docs" not in file.parts
    )
    unknown = {code for code in set(_documented()) - _used() if code not in tests}
    assert unknown == set()


def test_the_table_is_sorted_and_names_each_code_once() -> None:
    codes = _documented()
    assert codes == sorted(set(codes))
