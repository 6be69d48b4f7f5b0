"""JSON that many rows have in common, as a blueprint's document in all of its runs.

It is encoded and hashed once, when the first of them is written, and kept once.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any, Final

from pydantic_core import to_json

__all__ = ("REFERENCE", "Shared", "mentions")

# As the encoder writes a reference; in a text its quotes would have backslashes.
REFERENCE: Final = b'"$ref":"sha256:'
_MENTION: Final = re.compile(re.escape(REFERENCE) + rb'([0-9a-f]{64})"')


class Shared:
    """One document in bytes; `refers` are the digests of what it mentions as references."""

    __slots__ = ("body", "digest", "raw", "refers")

    def __init__(self, document: Any) -> None:
        self.body = body = to_json(document)
        self.raw = sha256(body).digest()
        self.digest = self.raw.hex()
        self.refers = mentions(body) if REFERENCE in body else ()


def mentions(body: bytes) -> tuple[str, ...]:
    """Return the digests of all references in JSON that `to_json` has written.

    >>> mentions(b'{"$ref":"sha256:' + b"0" * 64 + b'","size":1,"type":"text"}')[0][:4]
    '0000'
    """
    return tuple(name.decode() for name in _MENTION.findall(body))
