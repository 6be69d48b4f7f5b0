"""How long the log was at a time, and its root: signed, to be kept elsewhere.

The signing key is Ed25519, derived from a signing key of the host for this purpose. Its
public half stands in the checkpoint, and in the host's key file for good; which of them to
believe is for whoever checks to say.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from flowir.door import parse_json
from flowir.errors import FlowError
from flowir.records import dataclass
from swarm.blueprint.canonical import canonical_bytes
from swarm.core.audit.entries import Kept
from swarm.core.capability.keys import Keyring, SigningKey, derived
from swarm.errors import Refused

__all__ = (
    "MARK_BYTES",
    "MAX_MARKS",
    "Checkpoint",
    "marks_of",
    "public_key",
    "read_checkpoint",
    "signed",
    "witnessed",
)

_DOMAIN: Final = b"swarm.checkpoint.v1\0"
_MEMBERS: Final = {
    "v", "host", "size", "root", "head", "at_s", "kid", "key", "marks", "signature",
}  # fmt: skip
# Eight bytes tell two entries apart; that the history is another one, the root says.
MARK_BYTES: Final = 8
# Ten times what comes between two checkpoints, unless somebody wants fewer of them.
MAX_MARKS: Final = 1_024
_MOST_BYTES: Final = 4_096 + 2 * MARK_BYTES * MAX_MARKS


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What was signed; hashes, key, marks and signature in lower case hex.

    Shape: `marks` are of the latest entries, in their order; the last is that of `size`.
    """

    host: str
    size: int
    root: str
    head: str
    at_s: int
    kid: str
    key: str
    marks: str = ""
    signature: str = ""

    def to_wire(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {"v": 1, **{name: getattr(self, name) for name in Checkpoint.__slots__}}

    @property
    def marked(self) -> tuple[int, Sequence[bytes]]:
        """The number of the first entry that is marked, and the marks from there on."""
        whole = bytes.fromhex(self.marks)
        marks = [whole[at : at + MARK_BYTES] for at in range(0, len(whole), MARK_BYTES)]
        return self.size - len(marks) + 1, marks

    def holds(self, keys: Collection[str]) -> bool:
        """Tell whether one of these public keys has signed it."""
        if self.key not in keys:
            return False
        try:
            public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.key))
            public.verify(bytes.fromhex(self.signature), self._said())
        except (InvalidSignature, ValueError):
            return False
        return True

    def _said(self) -> bytes:
        said = self.to_wire()
        del said["signature"]
        return _DOMAIN + canonical_bytes(said)

    def with_signature(self, key: Ed25519PrivateKey) -> Checkpoint:
        """Return it signed."""
        return replace(self, signature=key.sign(self._said()).hex())


def signed(
    keyring: Keyring, size: int, root: bytes, head: bytes, at_s: float, marks: bytes = b""
) -> Checkpoint:
    """Sign a checkpoint with the host's current key."""
    key = keyring.current
    private = _private(key)
    public = private.public_key().public_bytes_raw().hex()
    told = (size, root.hex(), head.hex(), int(at_s))
    return Checkpoint(keyring.host, *told, key.kid, public, marks.hex()).with_signature(private)


def marks_of(rows: Iterable[Kept], size: int) -> bytes:
    """Return the marks of the entries up to number *size*, MAX_MARKS of them at most."""
    marks = [row.hash[:MARK_BYTES] for row in rows if row.no <= size]
    return b"".join(marks[-MAX_MARKS:])


def witnessed(ring: Keyring) -> Keyring:
    """Return the keys with the public half of the current one, which is kept for good."""
    current = ring.current
    return replace(ring, witnesses={**ring.witnesses, current.kid: public_key(current)})


def public_key(key: SigningKey) -> str:
    """Return the public half of what a signing key signs checkpoints with."""
    return _private(key).public_key().public_bytes_raw().hex()


def _private(key: SigningKey) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(derived(key.secret, "audit/checkpoint"))


def read_checkpoint(source: str | bytes | Mapping[str, Any]) -> Checkpoint:
    """Read a checkpoint; whether it holds is another question.

    Raises: Refused (audit.checkpoint).
    """
    try:
        if isinstance(source, (str, bytes)):
            found = parse_json(source, max_bytes=_MOST_BYTES, at="checkpoint")
        else:
            found = dict(source)
    except FlowError as e:
        raise Refused("audit.checkpoint", str(e)) from e
    if type(found) is not dict or found.keys() != _MEMBERS or found["v"] != 1:
        raise _refused("expected the members of a checkpoint, got others")
    for name in ("size", "at_s"):
        if type(found[name]) is not int or found[name] < 0:
            raise _refused(f"expected '{name}' as a number, got something else")
    for name, size in (("root", 64), ("head", 64), ("key", 64), ("signature", 128)):
        if type(found[name]) is not str or not _is_hex(found[name], size):
            raise _refused(f"expected '{name}' as {size} hex digits, got something else")
    marks, step = found["marks"], 2 * MARK_BYTES
    if type(marks) is not str or len(marks) % step or not _is_hex(marks, len(marks)):
        raise _refused(f"expected 'marks' as {step} hex digits for each entry, got something else")
    if len(marks) > step * min(found["size"], MAX_MARKS):
        raise _refused(f"expected 'marks' of at most {MAX_MARKS} entries that are there, got more")
    for name in ("host", "kid"):
        if type(found[name]) is not str:
            raise _refused(f"expected '{name}' as a text, got something else")
    del found["v"]
    return Checkpoint(**found)


def _is_hex(text: str, size: int) -> bool:
    return len(text) == size and set(text) <= set("0123456789abcdef")


def _refused(said: str) -> Refused:
    return Refused("audit.checkpoint", f"checkpoint: {said}")
