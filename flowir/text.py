"""The written form of expressions: Lua's expression syntax to wire dicts and back.

`grammar.lark` parses, `flowir.meaning` says what the pieces mean as ops and refuses what a
flow cannot say, `flowir.caret` words the refusals, `flowir.printer` is the way back. Which
externs a host has is not known here: `flowir.check` asks.

What the table of flow-ir.md §3 leaves open is settled so:

- `-` before a number literal belongs to the literal; `-x` is `mul(-1, x)`, which is exact
  for every number (`0 - x` would lose the sign of a zero).
- `a and b and c` is one `and` of three, and so are `or` and `..`; parentheses nest.
- `get(a, b)`, `concat(…)`, `call("name", …)` and `map(list, "name", e)`, where `e` says
  `@name`, spell what signs and names cannot.
- `lit(e)` takes plain JSON; an empty array inside it is `array{}`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from flowir.caret import MalformedText, allowed, slip
from flowir.errors import shorten
from flowir.limits import DEFAULT_LIMITS
from flowir.meaning import Scope, meaning, too_deep
from flowir.parser import Parser, Stopped, Token
from flowir.printer import format_expr
from flowir.syntax import EXPRESSIONS, Expression, SyntaxFault

__all__ = ("expression_parser", "format_expr", "parse_expr")

_SIZE = DEFAULT_LIMITS.document_bytes
# More brackets than any expression within the two depths needs: an op opens two at most
# (a call and its function), and one more in parentheses; JSON opens one a level.
_BRACKETS = 3 * DEFAULT_LIMITS.expr_depth + 2 * DEFAULT_LIMITS.value_depth
_OPENING = {"LPAR": 1, "LSQB": 1, "LBRACE": 1, "RPAR": -1, "RSQB": -1, "RBRACE": -1}
_REMEMBERED = 1_000  # characters; longer texts are rare and not kept


def parse_expr(text: str, *, bound: Collection[str] = ()) -> dict[str, Any]:
    """Parse the written form of an expression.

    >>> parse_expr("#ctx.files < 3")["lhs"]
    {'op': 'len', 'arg': {'op': 'path', 'at': '$.files'}}

    Shape: a wire dict of the caller's own; paths are canonical, but one that is written
    `$…` keeps its spelling. *bound* names the variables that stand around the expression:
    `r` is `@r` then.
    Raises: Malformed (a `flowir.caret.MalformedText`) with one problem at line and column.
    """
    try:
        source = _admitted(text)
        parsed = _remembered(source) if len(source) <= _REMEMBERED else _parse(source)
        return meaning(parsed, Scope({name: name for name in bound}, frozenset(bound)))
    except SyntaxFault as fault:
        raise MalformedText(str(text), fault.start, fault.message, fault.hint) from None


def _admitted(text: object) -> str:
    if not isinstance(text, str):
        raise SyntaxFault(0, f"expected the text of an expression, got {shorten(text)}")
    if len(text) > _SIZE:
        raise SyntaxFault(0, f"expected at most {_SIZE} characters, got {len(text)}")
    try:
        text.encode()
    except UnicodeEncodeError as e:
        raise SyntaxFault(e.start, "expected Unicode, got a lone surrogate") from None
    return text


def _nesting(tokens: Iterator[Token]) -> Iterator[Token]:
    """Stop a text that nests beyond reason where it does so, not at its end."""
    depth = 0
    for token in tokens:
        depth += _OPENING.get(token.type, 0)
        if depth > _BRACKETS:
            raise too_deep(token.start_pos)
        yield token


@cache
def expression_parser() -> Parser:
    """Return the parser of expressions."""
    grammar = Path(__file__).with_name("grammar.lark")
    return Parser(grammar, EXPRESSIONS, start="exp", reserved=("KEYWORD",), watch=_nesting)


@lru_cache(maxsize=512)
def _remembered(text: str) -> Expression:
    return _parse(text)


def _parse(text: str) -> Expression:
    try:
        return expression_parser().parse(text)
    except Stopped as e:
        got = "the end of the text" if e.got is None else shorten(e.got)
        raise SyntaxFault(e.offset, allowed(e.allowed, got), slip(text, e.offset)) from None
