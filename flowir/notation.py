"""The table of the written form (flow-ir.md §3): which sign, which function is which op.

Read by `flowir.text`, which parses, and by `flowir.printer`, which prints, so that a form
stands once. The precedence of signs is not here but in `grammar.lark`; the printer's
`LEVELS` repeat its order and a test compares the two.
"""

from __future__ import annotations

import re
from typing import Final

from flowir.externs import STANDARD_EXTERNS
from flowir.nodes import QUANTIFIERS

__all__ = (
    "CHAINS",
    "FORMS",
    "KNOWN",
    "LEVELS",
    "LISTS",
    "NAME",
    "OPERATORS",
    "PREFIXES",
    "REFUSED",
    "RESERVED",
    "SPELLED_PATH",
    "quote",
)

# fmt: off
RESERVED = frozenset((
    "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if",
    "in", "local", "nil", "not", "or", "repeat", "return", "then", "true", "until", "while",
))
# fmt: on

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# A path whose own spelling is one token of grammar.lark (PATH); every other one is
# printed in the canonical spelling. A test compares the two.
SPELLED_PATH = re.compile(
    r"""(?:\$|@[A-Za-z_][A-Za-z0-9_]*)(?:\.[A-Za-z_][A-Za-z0-9_]*|\[-?[0-9]+\]"""
    r"""|\["(?:[^"\\\x00-\x1f]|\\.)*+"\]|\['(?:[^'\\\x00-\x1f]|\\.)*+'\])*+"""
)

# Signs between two operands: op with `lhs` and `rhs`.
OPERATORS: Final = {
    "==": "eq",
    "~=": "ne",
    "<": "lt",
    "<=": "lte",
    ">": "gt",
    ">=": "gte",
    "+": "add",
    "-": "sub",
    "*": "mul",
    "/": "div",
    "//": "idiv",
    "%": "mod",
}
# Signs that may be repeated: one op with all operands in `args`. `a and b and c` is one
# `and` of three; a chain in parentheses is an op of its own.
CHAINS: Final = {"and": "and", "or": "or", "..": "concat"}
# Signs before an operand: op with `arg`. The unary minus is no op: see flowir.text.
PREFIXES: Final = {"not": "not", "#": "len"}
# How tightly the ops of signs bind, in grammar.lark's order.
LEVELS: Final = {
    "or": 1,
    "and": 2,
    **dict.fromkeys(("eq", "ne", "lt", "lte", "gt", "gte"), 3),
    "concat": 4,
    **dict.fromkeys(("add", "sub"), 5),
    **dict.fromkeys(("mul", "div", "idiv", "mod"), 6),
    **dict.fromkeys(("not", "len"), 7),
}

# Functions with a fixed number of arguments: op, and its fields in the written order.
FORMS: Final = {
    "exists": ("exists", ("arg",)),
    "default": ("default", ("arg", "fallback")),
    "iif": ("if", ("cond", "then", "else")),
    "contains": ("in", ("haystack", "needle")),
    "get": ("get", ("of", "key")),
}
# Functions of any number of arguments, for what a chain of signs cannot say.
LISTS: Final = {"all_of": "and", "any_of": "or", "concat": "concat"}
_SPECIAL = ("array", "call", "fail", "lit", "object")

# What no parameter may be called.
KNOWN: Final = frozenset(
    {"ctx", "null", *FORMS, *LISTS, *QUANTIFIERS, *_SPECIAL}
    | {name.partition(".")[0] for name in STANDARD_EXTERNS}
)

REFUSED: Final = {
    "^": "there is no power operator",
    "&": "there are no bit operators; 'and' joins conditions",
    "|": "there are no bit operators; 'or' joins conditions",
    "~": "there are no bit operators; 'not' negates, '~=' compares",
    "<<": "there are no bit operators",
    ">>": "there are no bit operators",
}

_SHORT = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def quote(text: str) -> str:
    r"""Write a string as a Lua literal on one line; what cannot be seen is escaped.

    >>> print(quote('say "hi"'))
    "say \"hi\""
    """
    return '"' + "".join(_SHORT.get(c) or _visible(c) for c in text) + '"'


def _visible(c: str) -> str:
    return c if c.isprintable() else f"\\u{{{ord(c):x}}}"
