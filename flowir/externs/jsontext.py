"""`json.encode` and `json.decode`: values as text and back."""

from __future__ import annotations

import json
from typing import Any

from flowir.door import parse_json
from flowir.errors import FlowError, Malformed, shorten
from flowir.externs.extern import ANY, STRING, admit_size, standard
from flowir.values import measure

__all__ = ("JSON_EXTERNS", "encode")

_ENCODER = json.JSONEncoder(
    sort_keys=True,
    separators=(",", ":"),
    ensure_ascii=False,
    check_circular=False,  # no cycle passes the door
    allow_nan=False,
)


def encode(name: str, value: Any) -> str:
    """Write *value* as JSON for the extern *name*: sorted keys, no spaces.

    >>> encode("json.encode", {"b": 5.0, "a": None})
    '{"a":null,"b":5.0}'

    Shape: integers exactly, floats in the shortest form that reads back to them.
    Raises: FlowError value.too_large.
    """
    # Measured first: a value may share parts, and its text repeats them.
    admit_size(name, measure(value)[0])
    text = _ENCODER.encode(value)
    admit_size(name, len(text) + 2)  # escapes lengthen a text, six times at most
    return text


@standard("json.encode", ("v", ANY))
def _encode(v: Any) -> str:
    return encode("json.encode", v)


@standard("json.decode", ("s", STRING))
def _decode(s: str) -> Any:
    try:
        return parse_json(s)
    except Malformed as e:
        raise FlowError("type.mismatch", f"json.decode: {e.message}, in {shorten(s)}") from e


JSON_EXTERNS = (_encode, _decode)
