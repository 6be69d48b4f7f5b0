"""What is taken from a program's messages: its answer, what it used, and that it failed.

Each is named by a JSON Pointer (RFC 6901); of many messages, the last that has it counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jsonpointer import JsonPointer, JsonPointerException

from flowir.errors import shorten
from flowir.records import dataclass
from swarm.ports.worker import FieldProblem, Usage
from swarm.workers.process.streams import FORMS, STREAMED
from swarm.workers.process.templates import as_text

__all__ = ("Found", "Reading", "reading_problems")

_MISSING: Any = object()
_USED = ("tokens", "cost")
# Sums of what many attempts used have to be integers of 64 bits still.
_MOST_USED = 10**15


@dataclass(frozen=True, slots=True)
class Reading:
    """Where things are.

    Shape: `result` is `last`, `all`, or a pointer; `tokens` and `cost` are pointers to
    numbers that are added up; `progress` is None where no message is told.
    """

    result: str = "last"
    tokens: tuple[str, ...] = ()
    cost: tuple[str, ...] = ()
    error: str | None = None
    progress: str | None = ""

    @classmethod
    def of(cls, settings: dict[str, Any]) -> Reading:
        """Read an agent's settings that have no problems."""
        usage = settings.get("usage", {})
        progress = settings.get("progress", "")
        return cls(
            settings.get("result", "last"),
            _pointers(usage.get("tokens", ())),
            _pointers(usage.get("cost", ())),
            settings.get("error"),
            None if progress is False else progress,
        )


class Found:
    """What was found so far."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._tokens = [JsonPointer(text) for text in reading.tokens]
        self._cost = [JsonPointer(text) for text in reading.cost]
        self._error = _pointer_or_none(reading.error)
        self._progress = _pointer_or_none(reading.progress)
        result = reading.result
        self._result = None if result in ("last", "all") else JsonPointer(result)
        self._all: list[Any] = []
        self._last: Any = _MISSING
        self.error: Any = None
        self.used: dict[str, float] = {}

    def take(self, message: Any) -> None:
        """Look for everything in a message."""
        if self._reading.result == "all":
            self._all.append(message)
        elif self._result is not None:
            self._last = _at(self._result, message, self._last)
        elif message != "" or self._last is _MISSING:
            self._last = message
        if self._error is not None:
            error = _at(self._error, message, None)
            self.error = self.error if error in (None, False) else error
        self._count("tokens", self._tokens, message)
        self._count("cost", self._cost, message)

    def told(self, message: Any) -> str:
        """Return what a message says to who watches; empty: nothing."""
        if self._progress is None:
            return ""
        return as_text(_at(self._progress, message, ""))

    @property
    def has_result(self) -> bool:
        """Whether there is an answer."""
        return self._reading.result == "all" or self._last is not _MISSING

    @property
    def result(self) -> Any:
        """The answer."""
        return self._all if self._reading.result == "all" else self._last

    @property
    def usage(self) -> Usage:
        """What it said that it used; amounts below nothing are none, and none is without end."""
        tokens, cost = self.used.get("tokens", 0), self.used.get("cost", 0.0)
        return Usage(int(min(tokens, _MOST_USED)), float(min(cost, _MOST_USED)))

    @property
    def uncounted(self) -> list[str]:
        """The pointers to what is used that led nowhere."""
        wanted = {"tokens": self._reading.tokens, "cost": self._reading.cost}
        return [text for name in _USED if name not in self.used for text in wanted[name]]

    def _count(self, name: str, pointers: list[JsonPointer], message: Any) -> None:
        found = [_at(pointer, message, None) for pointer in pointers]
        amounts = [n for n in found if type(n) in (int, float) and n >= 0]
        if amounts:
            self.used[name] = sum(amounts)


def _at(pointer: JsonPointer, message: Any, default: Any) -> Any:
    try:
        return pointer.resolve(message, default)
    except JsonPointerException:  # a step into a scalar, or no index of an array
        return default


def _pointer_or_none(text: str | None) -> JsonPointer | None:
    return None if text is None else JsonPointer(text)


def _pointers(given: Any) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


# -- what is wrong with it -----------------------------------------------------------------


def reading_problems(settings: dict[str, Any]) -> Iterator[FieldProblem]:
    """Find what is wrong with how an agent's output is to be read."""
    form = settings.get("output", "text")
    if form not in FORMS:
        words = ", ".join(map(repr, FORMS))
        yield FieldProblem(
            "process.output_form", "output", f"expected one of {words}, got {shorten(form)}"
        )
        return
    yield from _result_problems(settings.get("result", "last"), form)
    if "progress" in settings and settings["progress"] is not False:
        yield from _pointer_problems("progress", settings["progress"], form, "or false")
        if form not in STREAMED:
            said = f"expected an output of several messages, got {form!r}"
            yield FieldProblem("process.pointer", "progress", said)
    if "error" in settings:
        yield from _pointer_problems("error", settings["error"], form)
    yield from _usage_problems(settings.get("usage", {}), form)


def _result_problems(result: Any, form: str) -> Iterator[FieldProblem]:
    if result == "last" or (result == "all" and form in STREAMED):
        return
    if result == "all":
        said = f"expected an output of several messages for 'all', got {form!r}"
        yield FieldProblem("process.pointer", "result", said)
    else:
        yield from _pointer_problems("result", result, form, "'last' or 'all'")


def _usage_problems(usage: Any, form: str) -> Iterator[FieldProblem]:
    if not isinstance(usage, dict) or not set(usage) <= set(_USED):
        said = f"expected an object of 'tokens' and 'cost', got {shorten(usage)}"
        yield FieldProblem("process.pointer", "usage", said)
        return
    for name, given in usage.items():
        for text in [given] if not isinstance(given, list) else given:
            yield from _pointer_problems(f"usage.{name}", text, form)


def _pointer_problems(field: str, text: Any, form: str, others: str = "") -> Iterator[FieldProblem]:
    also = f" ({others})" if others else ""
    try:
        if not isinstance(text, str):
            raise JsonPointerException
        JsonPointer(text)
    except JsonPointerException:
        said = f"expected a JSON Pointer such as '/data/text'{also}, got {shorten(text)}"
        yield FieldProblem("process.pointer", field, said)
        return
    if form in ("text", "lines") and text:
        hint = 'output = "json", "ndjson", "sse" or "frames" has members'
        said = f"expected an output of JSON for a pointer, got {form!r}"
        yield FieldProblem("process.pointer", field, said, hint)
