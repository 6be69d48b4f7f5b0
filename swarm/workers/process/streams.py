"""How a program's stdout is read: bytes in, messages out, as they are complete.

Pure: knows no pipe and no process. A form that is read as a whole has one message, at the
end. Text is decoded when a message is complete, so a character may be split anywhere.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

from flowir.door import parse_json
from flowir.errors import FlowError
from swarm.workers.process.limits import Limits

__all__ = ("FORMS", "STREAMED", "Stream", "StreamFault", "open_stream", "plain_text")

_SAMPLE = 256
_LENGTH = struct.Struct("!I")
_BOM = b"\xef\xbb\xbf"


class StreamFault(Exception):
    """What was said is not of the form; `overflows`: it is more than may be said."""

    def __init__(self, code: str, said: str, data: Any = None, *, overflows: bool = False) -> None:
        super().__init__(said)
        self.code = code
        self.said = said
        self.data = data
        self.overflows = overflows


class Stream(Protocol):
    """Reads one form."""

    def feed(self, data: bytes) -> Iterator[Any]:
        """Take what came in, and return the messages that are complete.

        Raises: StreamFault.
        """
        ...

    def end(self) -> Iterator[Any]:
        """Return what is left when nothing more will come.

        Raises: StreamFault.
        """
        ...


class _Whole:
    """All of it is one message."""

    def __init__(self, read: Callable[[bytes], Any]) -> None:
        self._read = read
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[Any]:
        self._data += data
        yield from ()

    def end(self) -> Iterator[Any]:
        yield self._read(bytes(self._data))


class _Lines:
    """Each line is a message; the last one needs no newline."""

    def __init__(self, read: Callable[[bytes], Any], most: int, *, keeps_empty: bool) -> None:
        self._read = read
        self._most = most
        self._keeps_empty = keeps_empty
        self._left = bytearray()
        self._number = 0

    def feed(self, data: bytes) -> Iterator[Any]:
        searched = len(self._left)
        self._left += data
        begin = 0
        while (end := self._left.find(b"\n", max(begin, searched))) >= 0:
            yield from self._message(bytes(self._left[begin:end]))
            begin = end + 1
        del self._left[:begin]
        if len(self._left) > self._most:
            raise _too_long(f"line {self._number + 1}", self._most)

    def end(self) -> Iterator[Any]:
        if self._left:
            yield from self._message(bytes(self._left))

    def _message(self, line: bytes) -> Iterator[Any]:
        self._number += 1
        place = f"line {self._number}"
        if len(line) > self._most:
            raise _too_long(place, self._most)
        line = line.removesuffix(b"\r")
        if self._number == 1:
            line = line.removeprefix(_BOM)
        if line.strip() or self._keeps_empty:
            yield _placed(self._read, line, place)


class _Events:
    """Server-sent events: the `data` of each is a JSON message; `[DONE]` is none."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lines = _Lines(_utf8, most, keeps_empty=True)
        self._data: list[str] = []
        self._size = 0
        self._number = 0

    def feed(self, data: bytes) -> Iterator[Any]:
        for line in self._lines.feed(data):
            yield from self._line(line)

    def end(self) -> Iterator[Any]:
        for line in self._lines.end():
            yield from self._line(line)
        yield from self._event()

    def _line(self, line: str) -> Iterator[Any]:
        if not line:
            yield from self._event()
        name, _, value = line.partition(":")
        if name == "data":
            self._data.append(value.removeprefix(" "))
            self._size += len(value)
            if self._size > self._most:
                raise _too_long(f"event {self._number + 1}", self._most)

    def _event(self) -> Iterator[Any]:
        data, self._data, self._size = self._data, [], 0
        if data:
            self._number += 1
            text = "\n".join(data)
            if text.strip() not in ("", "[DONE]"):
                yield _placed(_json, text.encode(), f"event {self._number}")


class _Frames:
    """Each message is four bytes, the length, big end first, and as many bytes of JSON."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._left = bytearray()
        self._number = 0

    def feed(self, data: bytes) -> Iterator[Any]:
        self._left += data
        while len(self._left) >= _LENGTH.size:
            size = _LENGTH.unpack_from(self._left)[0]
            if size > self._most:
                raise _too_long(f"frame {self._number + 1}", self._most)
            end = _LENGTH.size + size
            if len(self._left) < end:
                return
            frame = bytes(self._left[_LENGTH.size : end])
            del self._left[:end]
            self._number += 1
            yield _placed(_json, frame, f"frame {self._number}")

    def end(self) -> Iterator[Any]:
        if self._left:
            place = f"frame {self._number + 1}"
            said = f"{place}: expected all of it, got {len(self._left)} bytes and then the end"
            raise StreamFault("process.output", said)
        yield from ()


def _utf8(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise not_utf8(data, error) from None


def not_utf8(data: bytes, error: UnicodeDecodeError) -> StreamFault:
    """Say where bytes are no UTF-8, with those bytes."""
    sample = base64.b64encode(data[error.start : error.start + _SAMPLE]).decode()
    return StreamFault(
        "process.invalid_utf8",
        f"expected UTF-8, got byte 0x{data[error.start]:02x} at {error.start}",
        {"at": error.start, "sample_base64": sample},
    )


def _json(data: bytes) -> Any:
    text = _utf8(data.removeprefix(_BOM))
    try:
        return parse_json(text)
    except FlowError as error:
        raise StreamFault("process.output", f"its output is not JSON: {error}") from None


def _json_or_text(data: bytes) -> Any:
    text = _utf8(data)
    try:
        return parse_json(text.removeprefix("\ufeff"))
    except FlowError:
        return plain_text(text)


def _text(data: bytes) -> str:
    return plain_text(_utf8(data))


def plain_text(text: str) -> str:
    """Take the last newline away, as a shell's `$(…)` does."""
    return text.removesuffix("\n").removesuffix("\r")


def _placed(read: Callable[[bytes], Any], data: bytes, place: str) -> Any:
    try:
        return read(data)
    except StreamFault as fault:
        raise StreamFault(fault.code, f"{place}: {fault.said}", fault.data) from None


def _too_long(place: str, most: int) -> StreamFault:
    said = f"{place}: expected at most {most} bytes, got more"
    return StreamFault("process.line_limit", said, {"limit": most}, overflows=True)


_MADE: Final[dict[str, Callable[[Limits], Stream]]] = {
    "text": lambda limits: _Whole(_text),
    "json": lambda limits: _Whole(_json),
    "json_or_text": lambda limits: _Whole(_json_or_text),
    "lines": lambda limits: _Lines(_utf8, limits.line_bytes, keeps_empty=True),
    "ndjson": lambda limits: _Lines(_json, limits.line_bytes, keeps_empty=False),
    "sse": lambda limits: _Events(limits.line_bytes),
    "frames": lambda limits: _Frames(limits.line_bytes),
}

FORMS = tuple(_MADE)
# Forms with many messages, told as they come.
STREAMED = frozenset({"lines", "ndjson", "sse", "frames"})


def open_stream(form: str, limits: Limits) -> Stream:
    """Begin to read a form."""
    return _MADE[form](limits)
