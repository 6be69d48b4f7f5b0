"""JSON as strings: how values cross between Lua and its host.

What enters Lua is written by Python's own `marshal`, in its second version, and a letter more,
so that whoever reads a part has seen the letter of the next:

    N null   T true   F false   i int32   l int32 digits (below zero: of a negative number),
        each u16 of 15 bits   g double   u bytes (u32 length before them)
    [ u32 count, the items      { per member: key as of u, value; and 0 behind them

What leaves is JSON, in which NaN stands for a text; the texts follow, each behind a byte 255,
which no text has.  The host reads it with the standard library's scanner: a child that was taken
over can say what it likes, and nothing but JSON comes of it.

KEEP IN STEP with convert.lua, which checks what leaves Lua; here is checked what enters.
Knows nothing of scripts or runtimes.
"""

from __future__ import annotations

import marshal
import re
from collections.abc import Generator
from json import JSONDecoder
from math import isfinite
from typing import Any

from flowir.errors import a_python
from flowir.limits import DEFAULT_LIMITS, INT_MAX, INT_MIN

__all__ = ("CannotEnter", "decode", "encode")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SHOWN = 40
_SEGMENTS = 12  # of a place that is shown

# The one that writes every value in full, whoever else holds it.
_FORM = 2
_END = b"0"
_BETWEEN = b"\xff"
# How `marshal` writes half of a pair; sometimes two bytes of something else.
_SURROGATE = re.compile(rb"\xed[\xa0-\xbf]")
_DEPTH = DEFAULT_LIMITS.value_depth


class CannotEnter(ValueError):
    """A value that Lua cannot be given; the text names the place and the reason."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why
        self.trail: list[str | int] = []

    def __str__(self) -> str:
        segments = [_segment(key) for key in reversed(self.trail)]
        place = "".join(segments[:_SEGMENTS]) + ("…" if len(segments) > _SEGMENTS else "")
        return f"${place} cannot enter Lua: {self.why}"


def encode(value: Any, *, max_bytes: int = DEFAULT_LIMITS.value_size) -> bytes:
    r"""Write a JSON value for Lua.

    >>> encode({"n": 1})
    b'{u\x01\x00\x00\x00ni\x01\x00\x00\x0000'

    Shape: exactly JSON; integers of 64 bits, finite floats, strings without lone
    surrogates, nested no deeper than a value of the language may be.
    Raises: CannotEnter, which counts list items from zero as every path of a flow does.
    """
    _check(value, type(value), 0)
    data = marshal.dumps(value, _FORM) + _END
    if len(data) > max_bytes:
        raise CannotEnter(f"{len(data)} bytes, more than {max_bytes}")
    if _SURROGATE.search(data):
        _check_texts(value)
    return data


# Asked of all that enters: scalars are looked at where they stand, in lists and objects.
def _check(value: Any, kind: type, depth: int) -> None:
    if kind is dict:
        _check_object(value, depth)
    elif kind is list:
        _check_list(value, depth)
    elif kind is int:
        if not INT_MIN <= value <= INT_MAX:
            raise CannotEnter(f"an integer of {value.bit_length()} bits (of 64)")
    elif kind is float:
        if not isfinite(value):
            raise CannotEnter(f"the number {value} is not finite")
    elif kind is not str and kind is not bool and value is not None:
        raise CannotEnter(f"expected JSON, got {a_python(value)}")


def _check_list(value: list[Any], depth: int) -> None:
    _check_depth(depth)
    for i, item in enumerate(value):
        kind = type(item)
        if kind is not str:
            try:
                _check(item, kind, depth + 1)
            except CannotEnter as e:
                e.trail.append(i)
                raise


def _check_object(value: dict[Any, Any], depth: int) -> None:
    _check_depth(depth)
    for key, member in value.items():
        if type(key) is not str:
            raise CannotEnter(f"expected string keys, got {_cut(repr(key))}")
        kind = type(member)
        if kind is not str:
            try:
                _check(member, kind, depth + 1)
            except CannotEnter as e:
                e.trail.append(key)
                raise


def _check_depth(depth: int) -> None:
    if depth >= _DEPTH:
        raise CannotEnter(f"nested deeper than {_DEPTH}, or a cycle")


def _check_texts(value: Any) -> None:
    """Refuse half of a surrogate pair in any text."""
    if type(value) is str:
        _utf8(value)
    elif type(value) is list or type(value) is dict:
        for key, member in value.items() if type(value) is dict else enumerate(value):
            try:
                if type(key) is str:
                    _utf8(key)
                _check_texts(member)
            except CannotEnter as e:
                e.trail.append(key)
                raise


def _utf8(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise CannotEnter("a string with a lone surrogate") from None


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _segment(key: str | int) -> str:
    if isinstance(key, str) and _NAME.fullmatch(key) and len(key) <= _SHOWN:
        return f".{key}"
    return f"[{_cut(repr(key))}]"


def decode(data: bytes) -> Any:
    """Read what Lua wrote, or what claims to be that.

    Shape: JSON, as its writer has it. Of what a script returns convert.lua has checked depth and
    size; of what a child says that was taken over nobody has.
    Raises: ValueError, LookupError, RecursionError, for other bytes.
    """
    if data.find(_BETWEEN) < 0:
        return _only(_WITHOUT_TEXTS, data)
    # To make a reader takes as long as to read something small.  Two threads never have the same.
    reader = _READERS.pop() if _READERS else _Reader()
    value = reader.read(data)
    _READERS.append(reader)
    return value


class _Reader:
    """Reads JSON with texts behind it, one at a time; after an error no more."""

    def __init__(self) -> None:
        self._texts: list[bytes] = []
        given = self._given()
        next(given)
        # Sent to, for it is told which word stands in a text's place.
        self._decoder = JSONDecoder(parse_constant=given.send)

    def read(self, data: bytes) -> Any:
        json, *self._texts = data.split(_BETWEEN)
        self._texts.reverse()
        return _only(self._decoder, json)

    def _given(self) -> Generator[str, str]:
        text = ""
        while True:
            yield text
            text = self._texts.pop().decode()


_READERS: list[_Reader] = []


def _no_text(word: str) -> str:
    raise ValueError(f"{word} and no text for it")


_WITHOUT_TEXTS = JSONDecoder(parse_constant=_no_text)


def _only(decoder: JSONDecoder, data: bytes) -> Any:
    # Lua writes no other: half of a surrogate pair, which nothing may bring in, would be one.
    if b"\\" in data and data.count(b"\\") != data.count(b"\\u00"):
        raise ValueError("an escape of no control character")
    json = data.decode()
    value, end = decoder.raw_decode(json)
    if end != len(json):
        raise ValueError("more than one value")
    return value
