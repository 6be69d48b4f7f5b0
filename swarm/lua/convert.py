"""JSON as strings: how values cross between Lua and its host.

Each value is a letter and what follows it, little endian:

    z null   t true   f false   i int64   d double   s bytes (u32 length before them)
    a u32 count, the items      o u32 count, then per member: key as of s, value

KEEP IN STEP with convert.lua, which checks what leaves Lua; here is checked what enters.
Knows nothing of scripts or runtimes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from math import isfinite
from struct import Struct
from typing import Any

from flowir.errors import a_python
from flowir.limits import DEFAULT_LIMITS, INT_MAX, INT_MIN

__all__ = ("CannotEnter", "decode", "encode")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SHOWN = 40
_SEGMENTS = 12  # of a place that is shown

_COUNT = Struct("<I")
_INT = Struct("<q")
_FLOAT = Struct("<d")
_TEXT_HEAD = Struct("<cI")
_LIST_HEAD = Struct("<cI")

_u32, _i64, _f64 = _COUNT.unpack_from, _INT.unpack_from, _FLOAT.unpack_from
_S, _I, _D, _A, _O = b"sidao"
_CONSTANTS: Mapping[int, bool | None] = {ord("z"): None, ord("t"): True, ord("f"): False}

Out = list[bytes]


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
    """Write a JSON value for Lua.

    >>> encode({"n": 1}).hex(" ")
    '6f 01 00 00 00 01 00 00 00 6e 69 01 00 00 00 00 00 00 00'

    Shape: exactly JSON; integers of 64 bits, finite floats, strings without lone
    surrogates, nested no deeper than a value of the language may be.
    Raises: CannotEnter, which counts list items from zero as every path of a flow does.
    """
    out: Out = []
    _put(value, out, 0)
    data = b"".join(out)
    if len(data) > max_bytes:
        raise CannotEnter(f"{len(data)} bytes, more than {max_bytes}")
    return data


def _put(value: object, out: Out, depth: int) -> None:
    kind = type(value)
    writer = _WRITERS.get(kind)
    if writer is None:
        raise CannotEnter(f"expected JSON, got {a_python(value)}")
    writer(value, out, depth)


def _put_none(_value: None, out: Out, _depth: int) -> None:
    out.append(b"z")


def _put_bool(value: bool, out: Out, _depth: int) -> None:
    out.append(b"t" if value else b"f")


def _put_int(value: int, out: Out, _depth: int) -> None:
    if not INT_MIN <= value <= INT_MAX:
        raise CannotEnter(f"an integer of {value.bit_length()} bits (of 64)")
    out.append(b"i" + _INT.pack(value))


def _put_float(value: float, out: Out, _depth: int) -> None:
    if not isfinite(value):
        raise CannotEnter(f"the number {value} is not finite")
    out.append(b"d" + _FLOAT.pack(value))


def _put_text(value: str, out: Out, _depth: int) -> None:
    data = _utf8(value)
    out.append(_TEXT_HEAD.pack(b"s", len(data)) + data)


def _put_list(value: list[Any], out: Out, depth: int) -> None:
    _check_depth(depth)
    out.append(_LIST_HEAD.pack(b"a", len(value)))
    for i, item in enumerate(value):
        try:
            _put(item, out, depth + 1)
        except CannotEnter as e:
            e.trail.append(i)
            raise


def _put_object(value: Mapping[Any, Any], out: Out, depth: int) -> None:
    _check_depth(depth)
    out.append(_LIST_HEAD.pack(b"o", len(value)))
    for key, member in value.items():
        if type(key) is not str:
            raise CannotEnter(f"expected string keys, got {_cut(repr(key))}")
        try:
            out.append(_known(key) if len(key) <= _SHORT else _packed(key))
            _put(member, out, depth + 1)
        except CannotEnter as e:
            e.trail.append(key)
            raise


def _packed(key: str) -> bytes:
    data = _utf8(key)
    return _COUNT.pack(len(data)) + data


# Most keys come again, in this value and the next; long ones are not worth their memory.
_SHORT = 40
_known = lru_cache(maxsize=1024)(_packed)


_WRITERS: Mapping[type, Callable[[Any, Out, int], None]] = {
    type(None): _put_none,
    bool: _put_bool,
    int: _put_int,
    float: _put_float,
    str: _put_text,
    list: _put_list,
    dict: _put_object,
}


def _check_depth(depth: int) -> None:
    if depth >= DEFAULT_LIMITS.value_depth:
        raise CannotEnter(f"nested deeper than {DEFAULT_LIMITS.value_depth}, or a cycle")


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise CannotEnter("a string with a lone surrogate") from None


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _segment(key: str | int) -> str:
    if isinstance(key, str) and _NAME.fullmatch(key) and len(key) <= _SHOWN:
        return f".{key}"
    return f"[{_cut(repr(key))}]"


def decode(data: bytes) -> Any:
    """Read what Lua wrote.

    Shape: written by convert.lua, which has checked it; not for bytes of anyone else.
    """
    value, _ = _take(data, 0)
    return value


# Texts and numbers are read where they stand, in lists and objects: a call for each would take
# longer than to read it.
def _take(data: bytes, at: int) -> tuple[Any, int]:
    tag = data[at]
    at += 1
    if tag == _O:
        return _take_object(data, at)
    if tag == _A:
        return _take_list(data, at)
    if tag == _S:
        start = at + 4
        at = start + _u32(data, at)[0]
        return data[start:at].decode(), at
    if tag == _I:
        return _i64(data, at)[0], at + 8
    if tag == _D:
        return _f64(data, at)[0], at + 8
    return _CONSTANTS[tag], at


def _take_list(data: bytes, at: int) -> tuple[list[Any], int]:
    count = _u32(data, at)[0]
    at += 4
    items: list[Any] = []
    add = items.append
    for _ in range(count):
        tag = data[at]
        if tag == _S:
            start = at + 5
            at = start + _u32(data, at + 1)[0]
            add(data[start:at].decode())
        elif tag == _I:
            add(_i64(data, at + 1)[0])
            at += 9
        else:
            item, at = _take(data, at)
            add(item)
    return items, at


def _take_object(data: bytes, at: int) -> tuple[dict[str, Any], int]:
    count = _u32(data, at)[0]
    at += 4
    members: dict[str, Any] = {}
    for _ in range(count):
        start = at + 4
        at = start + _u32(data, at)[0]
        key = data[start:at].decode()
        tag = data[at]
        if tag == _S:
            start = at + 5
            at = start + _u32(data, at + 1)[0]
            members[key] = data[start:at].decode()
        elif tag == _I:
            members[key] = _i64(data, at + 1)[0]
            at += 9
        else:
            members[key], at = _take(data, at)
    return members, at
