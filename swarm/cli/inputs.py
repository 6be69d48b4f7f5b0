"""The first context of a run, from `--input` and `--set`.

Knows the ways to write it on a command line; what a value may be is `flowir.door`'s.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flowir
from flowir.door import parse_json
from flowir.errors import shorten
from flowir.limits import DEFAULT_LIMITS
from flowir.path import format_path
from swarm.cli.exits import WrongUse
from swarm.core.edits import target_of

__all__ = ("edits", "first_context", "read_value")


def first_context(source: str | None, settings: Sequence[str]) -> Any:
    """Build the context from `--input` (JSON, @FILE or -) and each `--set a.b=VALUE`.

    Raises: WrongUse, naming the option and the place.
    """
    context: Any = {} if source is None else read_value(source)
    for setting in settings:
        context = _set(context, setting)
    return context


# One byte more than a value may have is enough to refuse it.
_MOST = DEFAULT_LIMITS.value_size + 1


def read_value(source: str, place: str = "--input") -> Any:
    """Read what stands for a value: JSON, `@FILE`, or `-` for stdin; *place* names it.

    Raises: WrongUse.
    """
    if source == "-":
        return _parsed(sys.stdin.buffer.read(_MOST), f"{place} -")
    if source.startswith("@"):
        return _parsed(_file(source[1:], place), source[1:])
    try:
        return _parsed(source, place)
    except WrongUse as wrong:
        if not _is_file(source):
            raise
        raise WrongUse(f"{wrong.message} — for the file, write '@{source}'") from None


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):
        return False  # too long for a name, or with a zero in it


def _file(name: str, place: str) -> bytes:
    if not name:
        raise WrongUse(f"{place}: expected a file's name after '@', got none")
    try:
        with Path(name).open("rb") as file:
            return file.read(_MOST)
    except OSError as e:
        raise WrongUse(f"{place}: cannot read {name!r}: {(e.strerror or str(e)).lower()}") from None


def _parsed(text: str | bytes, place: str) -> Any:
    try:
        return parse_json(text, at=place)
    except flowir.FlowError as e:
        raise WrongUse(str(e)) from None


def edits(settings: Sequence[str]) -> dict[str, Any]:
    """Read each `--set a.b=VALUE` as a path and the value to be written there.

    Shape: a path may begin with its root, as it does in a blueprint: `ctx.a.b`, `$.a.b`.
    Raises: WrongUse, naming the option.
    """
    return dict(map(_setting, settings))


def _setting(setting: str) -> tuple[str, Any]:
    where, equals, text = setting.partition("=")
    if not equals:
        raise WrongUse(f"--set: expected a.b=VALUE, got {shorten(setting)}")
    try:
        return format_path(target_of(where)), _value(text)
    except flowir.FlowError as e:
        raise WrongUse(f"--set {shorten(setting)}: {e.message}") from None


def _set(context: Any, setting: str) -> Any:
    """Write one setting as the language's own `assign` would."""
    target, value = _setting(setting)
    try:
        flow = flowir.load({"kind": "assign", "at": target, "value": {"op": "lit", "value": value}})
        return flowir.run(flow, context, _nobody)
    except flowir.FlowError as e:
        raise WrongUse(f"--set {shorten(setting)}: {e.message}") from None


def _value(text: str) -> Any:
    """Read a value as JSON where it is JSON, else as the string it is.

    Raises: FlowError, where it is JSON that no value can be: two keys of one name, an integer
    that is too large. As the string it looks like it would go unnoticed.
    """
    try:
        return parse_json(text)
    except flowir.Malformed:
        if len(text) <= _ARGUMENT and _is_json(text):
            raise
        return text


# No argument of a program is longer on Linux: what is, was not typed.
_ARGUMENT = 128 * 1024


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_constant=_no_number, parse_int=str)
    except ValueError:
        return False
    except RecursionError:
        return True
    return True


def _no_number(name: str) -> Any:
    raise ValueError(name)  # NaN and Infinity are words of JavaScript, not of JSON.


def _nobody(ref: str, input: Any) -> Any:
    raise AssertionError(f"an assignment asked for {ref!r} with {input!r}")
