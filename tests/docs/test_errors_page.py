"""docs/errors.md lists the codes of the source: each of them, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import get_args, get_type_hints

import click

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


ROWS = [
    [cell.strip() for cell in line.strip().strip("|").split(" | ")]
    for line in TEXT.splitlines()
    if line.startswith("| `")
]
_PEOPLE = {"author", "worker", "operator", "caller", "us"}


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]{3,}", text.lower()))


def _wrong(cause: str, cure: str) -> str | None:
    """Return what is wrong with a cure: it says what to do, and that is not what happened."""
    if not cure or not (cure[0].isupper() or cure[0] == "`") or not cure.endswith("."):
        return "no sentence"
    said, known = _words(cure), _words(cause)
    return "the cause again" if len(said & known) > 0.6 * len(said) else None


def test_every_code_has_a_cause_and_a_cure() -> None:
    assert [row[0].strip("`") for row in ROWS] == _documented()
    assert {row[0] for row in ROWS if len(row) != 4 or row[1] not in _PEOPLE} == set()
    assert {row[0]: wrong for row in ROWS if (wrong := _wrong(row[2], row[3]))} == {}


def test_a_cure_that_is_none_is_noticed() -> None:
    assert _wrong("the file cannot be read", "") == "no sentence"
    assert _wrong("the file cannot be read", "no idea") == "no sentence"
    assert _wrong("the file cannot be read", "The file cannot be read.") == "the cause again"
    assert _wrong("the file cannot be read", "Give yourself the right to read it.") is None


def test_what_a_cure_names_is_there() -> None:
    cures = " ".join(row[3] for row in ROWS)
    for page in re.findall(r"`(docs/[^`]+)`", cures):
        assert (ROOT / page).is_file(), page
    for words in re.findall(r"`swarm ([a-z][^`=]*)`", cures):
        _look_up([word for word in words.split() if not word.isupper()])


def _look_up(words: list[str]) -> None:
    """Find a command and its options; a word that is none fails."""
    command = import_module(f"swarm.cli.{words[0]}").command
    for word in words[1:]:
        if word.startswith("--"):
            assert any(word in one.opts for one in command.params), words
        else:
            assert isinstance(command, click.Group), words
            command = command.commands[word]
