"""Parsing tables that are kept are those that lark makes of the grammars.

Where they are not, `SWARM_WRITE_TABLES=1 pytest tests/flowir/test_tables.py` writes them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lark import __version__ as lark_version

from flowir.parser import Parser, Reduction, Stopped
from flowir.tables import read_tables, stamp_of, tables_path
from flowir.text import expression_parser
from swarm.lua.syntax import lua_parser


@pytest.mark.parametrize("parser", [expression_parser, lua_parser])
def test_tables_that_are_kept_are_those_of_the_grammar(parser: Callable[[], Parser]) -> None:
    path, text = parser().tables()
    if os.environ.get("SWARM_WRITE_TABLES"):
        path.write_text(text, "utf-8")
    kept, made = json.loads(path.read_text("utf-8")), json.loads(text)
    # The order of what lark makes is not the same twice; what it is made of is.
    assert kept["stamp"] == made["stamp"], __doc__


ADDITION = """
start: start "+" NUMBER -> add
     | NUMBER -> number
NUMBER: /[0-9]+/
%ignore " "
"""


def _sum(found: list[Any]) -> int:
    return found[0] + int(found[1])


def adder(folder: Path) -> Parser:
    made: dict[str, Reduction] = {"add": _sum, "number": lambda found: int(found[0])}
    return Parser(folder / "adder.lark", made, start="start")


def test_a_parser_made_of_its_tables_does_the_same(tmp_path: Path) -> None:
    (tmp_path / "adder.lark").write_text(ADDITION)
    before = adder(tmp_path)
    path, text = before.tables()
    path.write_text(text)
    after = adder(tmp_path)
    assert before.parse("1 + 2 + 40") == after.parse("1 + 2 + 40") == 43
    told: list[tuple[object, ...]] = []
    for parser in (before, after):
        with pytest.raises(Stopped) as stopped:
            parser.parse("1 + +")
        told.append((stopped.value.offset, stopped.value.got, stopped.value.allowed))
    assert told[0] == told[1]


def test_tables_of_another_grammar_or_another_lark_are_not_used(tmp_path: Path) -> None:
    grammar = tmp_path / "adder.lark"
    grammar.write_text(ADDITION)
    path, text = adder(tmp_path).tables()
    path.write_text(text)
    assert path == tables_path(grammar)
    stamp = stamp_of(grammar, (), "start", ())
    assert read_tables(grammar, stamp, lark_version) is not None
    assert read_tables(grammar, stamp, "0.0") is None
    grammar.write_text(ADDITION.replace('"+"', '"plus"'))
    assert adder(tmp_path).parse("1 plus 2") == 3


def test_tables_that_are_gone_are_worked_out(tmp_path: Path) -> None:
    (tmp_path / "adder.lark").write_text(ADDITION)
    assert adder(tmp_path).parse("1 + 1") == 2
