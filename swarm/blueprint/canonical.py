"""The bytes that stand for a document, and their digest.

The standard library's JSON with sorted keys, no spaces, text as it is and integers
exact: one document has one spelling. RFC 8785 is not used, because it prints `5.0` as
`5` and has no integers above 2^53.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

__all__ = ("canonical_bytes", "digest_of")

# Made once: making it takes longer than encoding a small value.
_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)


def canonical_bytes(document: Any) -> bytes:
    """Return the one spelling of *document*, in UTF-8.

    >>> canonical_bytes({"b": 1, "a": [2.0, None]})
    b'{"a":[2.0,null],"b":1}'
    """
    return _ENCODER.encode(document).encode()


def digest_of(document: Any) -> str:
    """Return the SHA-256 of the document's canonical bytes, in lower case hex."""
    return hashlib.sha256(canonical_bytes(document)).hexdigest()
