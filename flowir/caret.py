"""Sentences about text that does not parse: where, what was allowed there, what to write.

Knows tokens and their words; what an expression means is none of its business.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from flowir.errors import Malformed, Problem

__all__ = ("MalformedText", "allowed", "slip")

_WIDTH = 76
_BEFORE = 50


class MalformedText(Malformed):
    """Text that is no expression: one problem, with its line, its column and a caret.

    `values` holds `line` and `column` (from one) and `caret` (the line of the text, and
    below it a caret under the place); the text of the error shows them.
    """

    def __init__(self, text: str, offset: int, message: str, hint: str | None) -> None:
        before, after = text[:offset], text[offset:]
        head = before.rpartition("\n")[2]
        line, column = before.count("\n") + 1, len(head) + 1
        super().__init__([Problem("malformed", f"line {line}, column {column}", message, hint)])
        caret = _caret(head, after.partition("\n")[0])
        self.values = {"line": line, "column": column, "caret": caret}

    def __str__(self) -> str:
        return f"{super().__str__()}\n{self.values['caret']}"


def _caret(head: str, tail: str) -> str:
    if len(head) > _BEFORE:
        head = "…" + head[-_BEFORE:]
    tail = tail.rstrip("\r")
    room = _WIDTH - len(head)
    if len(tail) > room:
        tail = tail[:room] + "…"
    blank = "".join(c if c == "\t" else " " for c in head)
    line = (head + tail).encode(errors="replace").decode()  # a lone surrogate can't be shown
    return f"  {line}\n  {blank}^"


# One word for a group of tokens: it is said where the first token is allowed, and then
# the others need no mention.
_GROUPS = (
    ("NUMBER", "a value", frozenset(("NAME", "LPAR"))),
    ("PLUS", "an operator", frozenset(("LPAR", "GT"))),
    (
        "LOCAL",
        "a statement",
        frozenset(("NAME", "LPAR", "RETURN", "DO", "DOUBLE_COLON")),
    ),
    ("NAME", "a name", frozenset[str]()),
)
_MARKS = {
    "_ASSIGN": "'='",
    "LPAR": "'('",
    "_COMMA": "','",
    "RPAR": "')'",
    "RSQB": "']'",
    "RBRACE": "'}'",
    "GT": "'>'",
    "DOUBLE_COLON": "'::'",
    "DO": "'do'",
    "IN": "'in'",
    "THEN": "'then'",
    "UNTIL": "'until'",
    "RETURN": "'return'",
    "END": "'end'",
    "$END": "the end",
}


def allowed(tokens: Iterable[str], got: str) -> str:
    """Say which tokens the grammar allows, in an author's words, and what stood there.

    >>> allowed({"PLUS", "RPAR", "_COMMA"}, "'x'")
    "expected an operator, ',' or ')', got 'x'"
    """
    left = set(tokens)
    words: list[str] = []
    for token, word, others in _GROUPS:
        if token in left:
            words.append(word)
            left -= others
    words += [word for token, word in _MARKS.items() if token in left]
    return f"expected {_either(words)}, got {got}"


def _either(words: list[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


# What people write who know another language, and what this one writes instead. Each is
# looked for so many characters before the place where parsing stopped.
_NO_STATEMENTS = "an expression has no statements; iif(cond, a, b) chooses"
_SLIPS = tuple(
    (back, re.compile(pattern), hint)
    for back, pattern, hint in (
        (0, r"!=", "'not equal' is written ~="),
        (1, r"<>", "'not equal' is written ~="),
        (2, r"===", "'equal' is written =="),
        (0, r"!", "negation is written not"),
        (1, r"&&", "'both' is written and"),
        (1, r"\|\|", "'either' is written or"),
        (0, r"=>", "'at least' is written >="),
        (0, r"=", "an expression assigns nothing; 'equal' is written =="),
        (1, r"\+\+", "an expression changes nothing; write … + 1"),
        (0, r"\?\?", "write default(value, fallback)"),
        (0, r"\?", "write iif(cond, a, b), or default(value, fallback)"),
        (0, r";", "an expression is one value, without ';'"),
        (0, r"[\"']", "the string is not closed on its line"),
        (0, r"[0-9.]", "the number is malformed"),
        (0, r"return\b", "an expression is a value already, without 'return'"),
        (0, r"(?:AND|And)\b", "write and"),
        (0, r"(?:OR|Or)\b", "write or"),
        (0, r"(?:NOT|Not)\b", "write not"),
        (0, r"in\b", "membership is written contains(list, value)"),
        (0, r"(?:if|for|while|local|repeat|do|goto|break|then|else|elseif)\b", _NO_STATEMENTS),
    )
)
_DOTTED_WORD = re.compile(r"(?<=\.)[a-z]+\b")
# Words and blanks alone: no field of anything, no operator, no call.
_PROSE = re.compile(r"\w+(?:[ ,;:!?'.-]+\w+)*[.!?]?")
_ROOTED_WORD = re.compile(r"(?<=\$)[A-Za-z_]\w*")


def slip(text: str, offset: int) -> str | None:
    """Say what to write instead, where *text* has a known slip at *offset*."""
    if found := _DOTTED_WORD.match(text, offset):
        return f'{found[0]!r} is a word of Lua; as a key it is written ["{found[0]}"]'
    if found := _ROOTED_WORD.match(text, offset):
        return f"write $.{found[0]}"
    for back, pattern, hint in _SLIPS:
        if offset >= back and pattern.match(text, offset - back):
            return hint
    if _PROSE.fullmatch(text):
        return "a text stands in quotes of its own: '…'"
    return None
