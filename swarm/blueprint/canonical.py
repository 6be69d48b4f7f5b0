"""The bytes that stand for a document, and their digest.

The standard library's JSON with sorted keys, no spaces, text as it is and integers
exact: one document has one spelling. RFC 8785 is not used, because it prints `5.0` as
`5` and has no integers above 2^53.
"""

from __future__ import annotations

import json
import json.encoder
from collections.abc import Callable, Iterable
from functools import partial
from hashlib import sha256
from typing import Any, Final

from pydantic_core import to_json

__all__ = ("canonical_bytes", "digest_of")

_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)


def _pieces_by(encoder: json.JSONEncoder) -> Callable[[Any], Iterable[str]]:
    """Return what makes the pieces of what `encoder.encode` does, made once.

    The method makes the same encoder in C anew for each document, which takes as long as
    to encode a small one. An interpreter that has none takes the method.
    """
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return lambda document: (encoder.encode(document),)
    # In the order of `JSONEncoder.iterencode`: a document with a cycle ends in RecursionError.
    in_c = make(None, encoder.default, json.encoder.encode_basestring, None, ":", ",",
                True, False, False)  # fmt: skip
    return partial(in_c, _current_indent_level=0)


_pieces = _pieces_by(_ENCODER)
# What pydantic_core spells as the standard library does, in half the time: no float is.
_ALIKE: Final = frozenset({str, int, bool, type(None)})


def canonical_bytes(document: Any) -> bytes:
    """Return the one spelling of *document*, in UTF-8.

    >>> canonical_bytes({"b": 1, "a": [2.0, None]})
    b'{"a":[2.0,null],"b":1}'
    """
    return "".join(_pieces(document)).encode()


def digest_of(document: Any) -> str:
    """Return the SHA-256 of the document's canonical bytes, in lower case hex."""
    if type(document) in _ALIKE:
        return sha256(to_json(document)).hexdigest()
    return sha256("".join(_pieces(document)).encode()).hexdigest()
