"""The `string.` externs: all of them speak of code points, none of bytes or locales."""

from __future__ import annotations

import re
from typing import Any

from flowir.errors import FlowError, shorten
from flowir.externs.extern import ARRAY, INTEGER, OBJECT, STRING, admit_size, standard
from flowir.externs.jsontext import encode
from flowir.values import mismatch

__all__ = ("STRING_EXTERNS",)

# What Lua's `%s` matches in the C locale.
_WHITESPACE = " \t\n\v\f\r"


@standard("string.lower", ("s", STRING))
def _lower(s: str) -> str:
    return _sized("string.lower", s.lower())


@standard("string.upper", ("s", STRING))
def _upper(s: str) -> str:
    return _sized("string.upper", s.upper())


def _sized(name: str, result: str) -> str:
    """Refuse a result that grew too large (letters become three at most: ΐ in capitals)."""
    admit_size(name, len(result) + 2)
    return result


@standard("string.trim", ("s", STRING))
def _trim(s: str) -> str:
    return s.strip(_WHITESPACE)


@standard("string.split", ("s", STRING), ("sep", STRING))
def _split(s: str, sep: str) -> list[str]:
    _not_empty("string.split", "sep", sep)
    breaks = s.count(sep)
    items = breaks + 1
    admit_size("string.split", 2 + 3 * items + len(s) - breaks * len(sep))
    return s.split(sep)


@standard("string.join", ("list", ARRAY), ("sep", STRING))
def _join(items: list[Any], sep: str) -> str:
    for i, item in enumerate(items):
        if type(item) is not str:
            raise mismatch("string.join", f"a string for 'list'[{i}]", item)
    size = sum(map(len, items)) + len(sep) * max(len(items) - 1, 0)
    admit_size("string.join", size + 2)
    return sep.join(items)


@standard("string.contains", ("s", STRING), ("part", STRING))
def _contains(s: str, part: str) -> bool:
    return part in s


@standard("string.starts_with", ("s", STRING), ("part", STRING))
def _starts_with(s: str, part: str) -> bool:
    return s.startswith(part)


@standard("string.ends_with", ("s", STRING), ("part", STRING))
def _ends_with(s: str, part: str) -> bool:
    return s.endswith(part)


@standard("string.replace", ("s", STRING), ("old", STRING), ("new", STRING))
def _replace(s: str, old: str, new: str) -> str:
    _not_empty("string.replace", "old", old)
    admit_size("string.replace", len(s) + s.count(old) * (len(new) - len(old)) + 2)
    return s.replace(old, new)


def _not_empty(name: str, parameter: str, text: str) -> None:
    if not text:
        raise mismatch(name, f"a string that is not empty for '{parameter}'", text)


# As in paths, a negative bound counts from the end; bounds beyond the ends mean the ends.
@standard("string.sub", ("s", STRING), ("from", INTEGER), ("to", INTEGER))
def _sub(s: str, start: int, stop: int) -> str:
    return s[start:stop]


# A doubled brace, a name in braces, or a brace that nothing closes.
_PLACEHOLDER = re.compile(r"\{(?:(\{)|([^}]*)\}|)")


@standard("string.format", ("template", STRING), ("object", OBJECT))
def _format(template: str, fields: dict[str, Any]) -> str:
    """Fill in `{name}`; `{{` is a brace, and a closing brace on its own is itself.

    >>> _format("{{{name}} is {n}", {"name": "x", "n": [1]})
    '{x} is [1]'
    """
    parts: list[str] = []
    size, end = 2, 0
    for found in _PLACEHOLDER.finditer(template):
        parts += template[end : found.start()], _filled(found, template, fields)
        size += len(parts[-2]) + len(parts[-1])
        admit_size("string.format", size)
        end = found.end()
    admit_size("string.format", size + len(template) - end)
    return "".join(parts) + template[end:]


def _filled(found: re.Match[str], template: str, fields: dict[str, Any]) -> str:
    if found[1] is not None:
        return "{"
    name = found[2]
    if name is None:
        raise FlowError(
            "type.mismatch",
            f"string.format: expected a '}}' for the '{{' at {found.start()} of 'template', "
            f"got {shorten(template[found.start() :])} — write {{{{ for a brace",
        )
    if name not in fields:
        raise mismatch("string.format", f"a member {shorten(name)} of 'object'", fields)
    value = fields[name]
    return value if type(value) is str else encode("string.format", value)


STRING_EXTERNS = (
    _lower,
    _upper,
    _trim,
    _split,
    _join,
    _contains,
    _starts_with,
    _ends_with,
    _replace,
    _sub,
    _format,
)
