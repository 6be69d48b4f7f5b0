"""Data that is kept apart: what an agent declares as such, and every part.

    a value        its bytes in the store, by their SHA-256
    the context    {"$ref": "sha256:…", "size": 12345, "type": "text"}

Whether a value is kept apart depends on what its agent declares, never on its size. A text
is kept as UTF-8 and bytes as they are, so that a digest is that of the file somebody would
make of them; anything else is kept as JSON.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from typing import Any, Final, Literal, TypeAlias

from pydantic_core import to_json

from flowir.door import admit, parse_json
from flowir.errors import FlowError, Malformed, Problem, shorten
from flowir.limits import Limits
from flowir.records import dataclass
from swarm.blueprint.shapes import is_object
from swarm.errors import Refused, SwarmError

__all__ = (
    "MAX_BYTES",
    "GetBlob",
    "Kept",
    "Reference",
    "keep",
    "read",
    "read_bytes",
    "reference_of",
)

# One blob is read whole, and written within one transaction.
MAX_BYTES: Final = 64 * 1024 * 1024

GetBlob: TypeAlias = Callable[[str], Awaitable[bytes]]
DataType: TypeAlias = Literal["text", "json", "bytes"]

_NAME: Final = re.compile(r"sha256:[0-9a-f]{64}")
_TYPES: Final = ("text", "json", "bytes")


@dataclass(frozen=True, slots=True)
class Reference:
    """What stands in a context for data: the digest of its bytes in hex, how many, of what."""

    digest: str
    size: int
    type: DataType

    def to_wire(self) -> dict[str, Any]:
        """Return it as it stands in a context."""
        return {"$ref": f"sha256:{self.digest}", "size": self.size, "type": self.type}


@dataclass(frozen=True, slots=True)
class Kept:
    """A value on its way into the store."""

    reference: Reference
    body: bytes


def keep(value: Any, limits: Limits, at: str = "") -> Kept:
    """Turn a value into bytes and the reference to them.

    Raises: flowir.FlowError, for what is neither text nor bytes nor JSON, or too large.
    """
    kind, body = _encoded(value, limits, at)
    if len(body) > MAX_BYTES:
        said = f"expected at most {MAX_BYTES} bytes, got {len(body)}"
        raise FlowError("value.too_large", said, at=at)
    return Kept(Reference(sha256(body).hexdigest(), len(body), kind), body)


def reference_of(value: Any) -> Reference | None:
    """Read a reference as it stands in a context; None: it is something else.

    >>> reference_of({"$ref": "sha256:" + "0" * 64, "size": 1, "type": "text"}).size
    1
    """
    if not is_object(value) or value.keys() != {"$ref", "size", "type"}:
        return None
    name, size, kind = value["$ref"], value["size"], value["type"]
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        return None
    if type(size) is not int or kind not in _TYPES:
        return None
    return Reference(name.removeprefix("sha256:"), size, kind)


async def read(get: GetBlob, value: Any, run_id: str, step: str | None = None) -> Any:
    """Return the value that a reference stands for: a str, bytes, or any JSON.

    Shape: *run_id* and *step*, a key, are who wants it or has made it, for the errors.
    Raises: Refused (output.reference, output.unknown); SwarmError (output.damaged).
    """
    place = _place(run_id, step)
    reference = reference_of(value)
    if reference is None:
        raise Refused("output.reference", f"{place}: expected a reference, got {shorten(value)}")
    return _decoded(reference, await read_bytes(get, reference, run_id, step), place)


async def read_bytes(
    get: GetBlob, reference: Reference, run_id: str, step: str | None = None
) -> bytes:
    """Return the bytes that a reference stands for, as they were kept.

    Raises: Refused (output.unknown); SwarmError (output.damaged).
    """
    try:
        return await get(reference.digest)
    except SwarmError as error:
        code = error.code.replace("blob.", "output.")
        place, name = _place(run_id, step), f"sha256:{reference.digest}"
        values: Mapping[str, Any] = {"run_id": run_id, "step": step, "digest": name}
        if code == "output.unknown":
            said = f"{place}: expected output {name} in this store, got none"
            raise Refused(code, said, **values) from error
        if code == "output.damaged":
            said = f"{place}: expected output {name} as it was kept, got other bytes"
            raise SwarmError(code, said, **values) from error
        raise


def _place(run_id: str, step: str | None) -> str:
    return f"run {run_id}" if step is None else f"run {run_id}, step {step}"


def _encoded(value: Any, limits: Limits, at: str) -> tuple[DataType, bytes]:
    if isinstance(value, str):
        try:
            return "text", value.encode()
        except UnicodeEncodeError:
            why = "expected text, got a lone surrogate"
            raise Malformed([Problem("malformed", at, why)]) from None
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "bytes", bytes(value)
    return "json", to_json(admit(value, limits=limits, at=at))


def _decoded(reference: Reference, body: bytes, place: str) -> Any:
    if reference.type == "bytes":
        return body
    try:
        if reference.type == "json":
            return parse_json(body, max_bytes=MAX_BYTES)
        return body.decode()
    except (FlowError, UnicodeDecodeError) as error:
        # Only a reference that somebody made up names bytes of another type.
        said = f"{place}: expected a reference to {reference.type}, got one to other bytes"
        raise Refused("output.reference", said) from error
