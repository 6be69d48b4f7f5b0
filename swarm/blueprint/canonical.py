"""The bytes that stand for a document, and their digest.

The standard library's JSON with sorted keys, no spaces, text as it is and integers
exact: one document has one spelling. RFC 8785 is not used, because it prints `5.0` as
`5` and has no integers above 2^53.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

__all__ = ("canonical_bytes", "digest_of")


def canonical_bytes(document: Mapping[str, Any]) -> bytes:
    """Return the one spelling of *document*, in UTF-8.

    >>> canonical_bytes({"b": 1, "a": [2.0, None]})
    b'{"a":[2.0,null],"b":1}'
    """
    text = json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def digest_of(document: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the document's canonical bytes, in lower case hex."""
    return hashlib.sha256(canonical_bytes(document)).hexdigest()
