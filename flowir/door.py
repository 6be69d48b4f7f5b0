"""The one strict door for values: JSON text and Python objects come in here or not at all.

Everything Python's JSON parser lets pass is refused: duplicate keys, NaN and infinity,
integers beyond 64 bit, lone surrogates; and everything JSON has no word for: tuples,
other types, cycles. A value that came in is a private copy.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from flowir.errors import FlowError, Malformed, Problem, a_python, shorten
from flowir.limits import DEFAULT_LIMITS, INT_MAX, INT_MIN, Limits
from flowir.path import Path, format_path

__all__ = ("admit", "admit_measured", "parse_json")

_INT_DIGITS = 20
_SCALAR_SIZE = 8
_SHOWN_STEPS = 12


class _RefusedError(Exception):
    """Why a value may not enter; `steps` is the way to it, innermost first."""

    def __init__(self, why: str, hint: str | None = None) -> None:
        self.why = why
        self.hint = hint
        self.steps: list[str | int] = []


def parse_json(
    text: str | bytes,
    *,
    limits: Limits = DEFAULT_LIMITS,
    max_bytes: int | None = None,
    at: str = "$",
) -> Any:
    """Parse JSON text strictly.

    Units: *max_bytes* bounds the text before it is parsed (default: the value limit).
    Raises: Malformed, with line and column where the parser knows them;
    FlowError value.too_large.
    """
    if len(text) > (max_bytes or limits.value_size):
        raise _too_large(at, max_bytes or limits.value_size)
    try:
        return _judged(_loads(text, limits, at), limits, at)
    except RecursionError:  # the text is hostile, or the caller has used up the stack
        _refuse(at, "expected JSON, got one nested too deep")


def _judged(value: Any, limits: Limits, at: str) -> Any:
    """Hold what was just parsed against the limits: nobody else has it, and it is a tree."""
    try:
        size = _weigh(value, 0, limits.value_depth)
    except _RefusedError as e:
        _refuse(at + _inside(e.steps), e.why, e.hint)
    if size > limits.value_size:
        raise _too_large(at, limits.value_size)
    return value


def _weigh(value: Any, level: int, deepest: int) -> int:
    """Return the size of a tree, or refuse it; one frame a level."""
    is_object = type(value) is dict
    if not is_object and type(value) is not list:
        return _scalar(value)
    if level >= deepest:
        raise _too_deep(deepest)
    size = 2 + (4 if is_object else 1) * len(value)
    for name, item in value.items() if is_object else enumerate(value):
        if is_object:
            size += _key_size(name)
        try:
            kind = type(item)
            nested = kind is dict or kind is list
            size += _weigh(item, level + 1, deepest) if nested else _scalar(item)
        except _RefusedError as e:
            e.steps.append(name)
            raise
    return size


def _loads(text: str | bytes, limits: Limits, at: str) -> Any:
    try:
        decoded = text.decode("utf-8") if isinstance(text, bytes) else text
        if (crowd := _crowd(decoded, limits)) and (crowd := _crowd(_bare(decoded), limits)):
            raise FlowError("value.too_large", f"expected at most {crowd}, got more", at=at)
        return json.loads(
            decoded,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_int=_integer,
            parse_float=_float,
        )
    except UnicodeDecodeError as e:
        _refuse(at, f"expected UTF-8 text, got byte 0x{e.object[e.start]:02x} at {e.start}")
    except json.JSONDecodeError as e:
        _refuse(at, f"expected JSON, got {_found(e)} (line {e.lineno}, column {e.colno})")
    except _RefusedError as e:
        _refuse(at, e.why, e.hint)


# What the parser expected, as an author would say it.
_DUE = {
    "Expecting value": "a value",
    "Expecting property name enclosed in double quotes": "a name in double quotes",
    "Expecting ':' delimiter": "':'",
    "Expecting ',' delimiter": "','",
    "Extra data": "its end",
}
_SHOWN = 12


def _found(error: json.JSONDecodeError) -> str:
    """Say what stands where the text stops being JSON, and what is due there."""
    due = _DUE.get(error.msg)
    if due is None:
        said = error.msg.removesuffix(" at").removesuffix(" starting")
        return f"{said[0].lower()}{said[1:]}"
    rest = error.doc[error.pos : error.pos + _SHOWN + 1].split("\n")[0]
    more = "…" if len(rest) > _SHOWN else ""
    what = f"{rest[:_SHOWN]!r}{more}" if error.pos < len(error.doc) else "the end of the text"
    return f"{what} where {due} is due"


# A string, also one that the text ends in: a match never fails, so nothing is tried twice.
_STRINGS = re.compile(r'"[^"\\]*+(?:\\.?[^"\\]*+)*+"?', re.DOTALL)


def _bare(text: str) -> str:
    return _STRINGS.sub("", text)


def _crowd(text: str, limits: Limits) -> str | None:
    """Say what there is too much of, strings looked into too; nothing is made of it yet.

    An empty list of three bytes takes sixty of memory, an object two hundred.
    """
    containers = text.count("[") + text.count("{")
    if containers > limits.containers:
        return f"{limits.containers} arrays and objects"
    if containers + text.count(",") > limits.values:
        return f"{limits.values} values"
    return None


def _refuse(at: str, why: str, hint: str | None = None) -> NoReturn:
    raise Malformed([Problem("malformed", at, why, hint)]) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(k for k, _ in pairs if k in seen or seen.add(k))
        raise _RefusedError(f"expected each key once, got {shorten(twice)} twice")
    return found


def _constant(word: str) -> NoReturn:
    raise _RefusedError(f"expected a finite number, got {word}")


def _integer(digits: str) -> int:
    if len(digits) > _INT_DIGITS:
        raise _RefusedError(f"expected an integer of 64 bit, got one of {len(digits)} digits")
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise _RefusedError(f"expected a finite number, got {digits[:40]}")
    return number


def admit(value: Any, *, limits: Limits = DEFAULT_LIMITS, at: str = "$") -> Any:
    """Check a Python value and return a private copy of it.

    >>> admit({"n": [1, 2.5, None]})
    {'n': [1, 2.5, None]}

    Shape: parts that *value* shares stay shared in the copy.
    Raises: Malformed, naming the place; FlowError value.too_large.
    """
    return admit_measured(value, limits=limits, at=at)[0]


def admit_measured(
    value: Any, *, limits: Limits = DEFAULT_LIMITS, at: str = "$"
) -> tuple[Any, int, int]:
    """Do as `admit` does, and return size and depth (`flowir.values.measure`) too."""
    try:
        if type(value) is not dict and type(value) is not list:
            copy, size, depth = value, _scalar(value), 0
        else:
            copy, size, depth = _Door(limits.value_depth).enter(value, 0)
    except _RefusedError as e:
        _refuse(at + _inside(e.steps), e.why, e.hint)
    if size > limits.value_size:
        raise _too_large(at, limits.value_size)
    return copy, size, depth


def _inside(steps: list[str | int]) -> str:
    """Print the way to a refused part, without the root; a very long way is cut."""
    way = tuple(reversed(steps))
    cut = "…" if len(way) > _SHOWN_STEPS else ""
    return format_path(Path(way[:_SHOWN_STEPS]))[1:] + cut


def _too_large(at: str, limit: int) -> FlowError:
    return FlowError(
        "value.too_large", f"expected a value of at most {limit} bytes, got a larger one", at=at
    )


class _Door:
    """One entering value: containers met are remembered, so that sharing costs nothing."""

    __slots__ = ("deepest", "entered")

    def __init__(self, deepest: int) -> None:
        self.deepest = deepest
        self.entered: dict[int, tuple[Any, int, int] | None] = {}

    def enter(self, value: Any, level: int) -> tuple[Any, int, int]:
        """Copy a container that stands *level* levels below the top.

        One frame a level, and no more: documents nest deeper than values.
        """
        key = id(value)
        found = self.entered.get(key, _NEW)
        if found is None:
            raise _RefusedError("expected a tree, got a cycle")
        if found is _NEW:
            self._admit_level(value, level)
            self.entered[key] = None
            is_object = type(value) is dict
            out: Any = {} if is_object else []
            size, depth = 2 + (4 if is_object else 1) * len(value), 0
            for name, item in value.items() if is_object else enumerate(value):
                if is_object:
                    if type(name) is str and name.isascii():
                        size += len(name)
                    else:
                        size += _key_size(name)
                try:
                    kind = type(item)
                    if kind is dict or kind is list:
                        copy, inner, below = self.enter(item, level + 1)
                        size += inner
                        if below > depth:
                            depth = below
                    elif kind is str and item.isascii():
                        # Most of what is in most documents: a call less for each.
                        copy = item
                        size += len(item) + 2
                    else:
                        copy = item
                        size += _scalar(item)
                except _RefusedError as e:
                    e.steps.append(name)
                    raise
                if is_object:
                    out[name] = copy
                else:
                    out.append(copy)
            found = self.entered[key] = (out, size, depth + 1)
        if level + found[2] > self.deepest:
            raise _too_deep(self.deepest)
        return found

    def _admit_level(self, value: Any, level: int) -> None:
        if level >= self.deepest:
            if _returns_to(value, self.entered):
                raise _RefusedError("expected a tree, got a cycle")
            raise _too_deep(self.deepest)


def _too_deep(deepest: int) -> _RefusedError:
    return _RefusedError(f"expected at most {deepest} levels, got more")


_NEW: Any = object()


def _key_size(key: Any) -> int:
    if type(key) is not str:
        raise _RefusedError(f"expected string keys, got {shorten(key)}")
    return _scalar(key) - 2


def _returns_to(value: Any, entered: dict[int, Any]) -> bool:
    """Tell whether *value* leads back to a container that is being entered."""
    todo, seen = [value], {id(value)}
    while todo:
        here = todo.pop()
        for member in here.values() if type(here) is dict else here:
            if type(member) is not dict and type(member) is not list:
                continue
            key = id(member)
            if key in entered and entered[key] is None:
                return True
            if key not in seen:
                seen.add(key)
                todo.append(member)
    return False


def _scalar(value: Any) -> int:
    """Return the size of a scalar, or refuse it."""
    kind = type(value)
    if kind is str:
        if not value.isascii():
            _check_surrogates(value)
        return len(value) + 2
    if kind is int:
        if not INT_MIN <= value <= INT_MAX:
            raise _RefusedError(f"expected an integer of 64 bit, got {shorten(value)}")
    elif kind is float:
        if not math.isfinite(value):
            raise _RefusedError(f"expected a finite number, got {value}")
    elif value is not None and kind is not bool:
        hint = "write a list" if kind in (tuple, set, frozenset) else None
        # by its type: what derives from dict or str would be shown as a JSON value
        raise _RefusedError(f"expected a JSON value, got {a_python(value)}", hint)
    return _SCALAR_SIZE


def _check_surrogates(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as e:
        raise _RefusedError(
            f"expected text, got a lone surrogate at {e.start} of a string"
        ) from None
