"""Frames on the pipes between the host and a child that runs scripts.

    u32 bytes that follow   u8 fields   per field: u32 length, bytes

All little endian. The first field of each frame says what it is; see child.py.
"""

from __future__ import annotations

from struct import Struct

__all__ = ("MAX_FRAME", "NUMBERS", "FrameBuffer", "Garbled", "pack", "unpack")

# The largest thing that crosses is a blueprint, of at most 32 MiB as convert.lua writes it.
MAX_FRAME = 33 * 1024 * 1024
# Of a script: its seed, instructions, bytes of memory, seconds.
NUMBERS = Struct("<qqqd")
_COUNT = Struct("<I")
_HEAD = Struct("<IB")


class Garbled(ValueError):
    """Bytes that are no frame."""


def pack(*fields: bytes) -> bytes:
    """Write a frame.

    >>> pack(b"step", b"").hex(" ")
    '0d 00 00 00 02 04 00 00 00 73 74 65 70 00 00 00 00'
    """
    parts = [_HEAD.pack(1 + sum(4 + len(field) for field in fields), len(fields))]
    for field in fields:
        parts += (_COUNT.pack(len(field)), field)
    return b"".join(parts)


def unpack(body: bytes) -> list[bytes]:
    """Read what follows a frame's length.

    Raises: Garbled.
    """
    fields: list[bytes] = []
    at, end = 1, len(body)
    for _ in range(body[0] if body else 0):
        start = at + 4
        if start > end:
            raise Garbled("a field without a length")
        at = start + int(_COUNT.unpack_from(body, at)[0])
        fields.append(body[start:at])
    if at != end:
        raise Garbled("a frame of another length than its fields")
    return fields


class FrameBuffer:
    """Puts together what arrives in pieces."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, chunk: bytes) -> None:
        """Add what was read.

        Raises: EOFError, for nothing: the other side has closed its end.
        """
        if not chunk:
            raise EOFError
        self._data += chunk

    def take(self) -> list[bytes] | None:
        """Return the fields of the frame that is there, or None while it is not whole.

        Raises: Garbled, also where more has arrived than one frame: the sides take turns.
        """
        data = self._data
        if len(data) < 4:
            return None
        size = int(_COUNT.unpack_from(data, 0)[0])
        if size > MAX_FRAME or len(data) > 4 + size:
            raise Garbled("more than one frame")
        if len(data) < 4 + size:
            return None
        body = bytes(data[4:])
        data.clear()
        return unpack(body)
