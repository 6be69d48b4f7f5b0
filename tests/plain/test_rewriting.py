"""The oracle's reader sees what Lua sees: parentheses around all that it reads change nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from lupa import lua54  # pyright: ignore[reportMissingTypeStubs]

from tests.plain.both import HEAD
from tests.plain.programs import program
from tests.plain.rewriting import parenthesized, rewritten
from tests.plain.written import CONSTRUCTS

CORPUS = sorted((Path(__file__).parents[1] / "lua" / "corpus").glob("*.lua"))


@cache
def bytecode() -> Callable[[bytes], bytes]:
    make: Any = lua54.LuaRuntime
    lua: Any = make(encoding=None)
    return lua.execute(b'return function(s) return string.dump(assert(load(s, "=x")), true) end')


def compiled(source: str) -> bytes:
    return bytecode()(source.encode())


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_a_script_of_the_corpus_is_read_as_lua_reads_it(path: Path) -> None:
    source = path.read_text()
    assert compiled(parenthesized(source)) == compiled(source)


def test_the_written_functions_are_read_as_lua_reads_them() -> None:
    for one in CONSTRUCTS:
        source = f"{HEAD}local _ = {one.body}"
        assert compiled(parenthesized(source)) == compiled(source), one.body


def test_random_programs_are_read_as_lua_reads_them() -> None:
    for seed in range(100):
        source = f"local _ = {program(seed)}"
        assert compiled(parenthesized(source)) == compiled(source), seed


@pytest.mark.parametrize(
    ("source", "read"),
    [
        ("return a + b * -c ^ 2", "return (a + (b * (-(c ^ 2))))"),
        ("return a .. b .. c", "return (a .. (b .. c))"),
        ("return a or b and not c == d", "return (a or (b and ((not c) == d)))"),
        ("f(-x, #t[i + 1])", "f((-x), (#t[(i + 1)]))"),
    ],
)
def test_parentheses_are_put_where_the_tree_has_them(source: str, read: str) -> None:
    assert parenthesized(source) == read


def test_the_comparison_can_fail() -> None:
    assert compiled("return (a + b) * c") != compiled("return a + b * c")


def test_operators_and_fields_become_calls() -> None:
    made = rewritten("function f(t, n) return t.x + #t[n] .. 'é' end", 5)
    assert made == (
        'f = __o.fn(0, function(t, n) return __o.concat(__o.add(__o.index(t, "x"), '
        '__o.len(__o.index(t, n))), "\\195\\169") end)'
    )
