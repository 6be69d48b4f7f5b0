"""Answers as a test script writes them: `test.returns`, `test.fails`, `test.never`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from flowir.errors import shorten
from swarm.blueprint.shapes import is_array, is_object
from swarm.blueprint.words import suggest
from swarm.errors import Place
from swarm.ports.worker import Usage
from swarm.testing.cast import ANYTHING, Scripted

__all__ = ("answer_of", "plain_answer")

_COMMON: Final = frozenset({"on", "times", "after_s", "tokens", "cost", "parts", "progress"})
# Per function: how many arguments stand before the settings, and which settings there are.
_SHAPES: Final = {
    "returns": (1, _COMMON),
    "fails": (2, _COMMON - {"parts"} | {"permanent", "data"}),
    "never": (0, frozenset({"on", "times", "progress"})),
}
Mistake = tuple[str, str | None]


def plain_answer(value: Any, where: Place) -> Scripted:
    """Make an answer of a plain value."""
    return Scripted(value=value, where=where)


def answer_of(name: str, arguments: list[Any], where: Place) -> tuple[Scripted, list[Mistake]]:
    """Read what one of the functions made; return the answer, and what is wrong with it."""
    if name not in _SHAPES:
        said = f"expected an answer, got test.{name}"
        return plain_answer(None, where), [(said, "those are test.returns, test.fails, test.never")]
    count, known = _SHAPES[name]
    settings: Any = arguments[count] if len(arguments) > count else None
    if name == "fails" and len(arguments) == 2 and is_object(arguments[1]):
        # The message may be left out.
        settings, arguments = arguments[1], [arguments[0], None]
    mistakes = [(f"test.{name}: {said}", hint) for said, hint in _mistakes(settings, known)]
    if name == "fails":
        code, message = [*arguments, None, None][:2]
        if not isinstance(code, str) or not code:
            said = f"test.fails: expected a code such as 'net.down', got {shorten(code)}"
            mistakes.append((said, None))
        if message is not None and not isinstance(message, str):
            mistakes.append((f"test.fails: expected a message, got {shorten(message)}", None))
    if name == "returns" and not arguments:
        mistakes.append(("test.returns: expected a value, got none", "test.null is one"))
    if mistakes:
        return plain_answer(None, where), mistakes
    return _made(name, arguments, settings or {}, where), []


def _made(name: Any, arguments: list[Any], given: dict[str, Any], where: Place) -> Scripted:
    times = given.get("times", 1)
    fails = name == "fails"
    return Scripted(
        kind=name,
        value=arguments[0] if name == "returns" else None,
        code=arguments[0] if fails else "",
        message=(arguments[1] if fails and len(arguments) > 1 else None) or "",
        permanent=given.get("permanent", False),
        data=given.get("data"),
        on=given.get("on", ANYTHING),
        times=None if times == "any" else times,
        after_s=given.get("after_s", 0.0),
        usage=Usage(given.get("tokens", 0), given.get("cost", 0.0)),
        parts=given.get("parts") or {},
        progress=tuple(given.get("progress", ())),
        where=where,
    )


def _mistakes(settings: Any, known: frozenset[str]) -> Iterator[Mistake]:
    if settings is None or settings == []:
        return
    if not is_object(settings):
        yield f"expected a table of settings, got {shorten(settings)}", None
        return
    for name, value in settings.items():
        if name not in known:
            yield f"expected a setting, got {name!r}", suggest(name, known)
            continue
        expected = _fault(name, value)
        if expected is not None:
            yield f"expected {name!r} to be {expected}, got {shorten(value)}", None


def _fault(name: str, value: Any) -> str | None:
    """Return what a setting should have been, where it is not."""
    number = type(value) in (int, float) and value >= 0
    match name:
        case "times":
            fits = value == "any" or (type(value) is int and value >= 1)
            return None if fits else "an integer from 1, or 'any'"
        case "after_s" | "cost":
            return None if number else "a number from 0"
        case "tokens":
            return None if type(value) is int and value >= 0 else "an integer from 0"
        case "parts":
            return None if is_object(value) or value == [] else "values by name"
        case "progress":
            fits = is_array(value) and all(isinstance(text, str) for text in value)
            return None if fits else "a list of texts"
        case "permanent":
            return None if isinstance(value, bool) else "true or false"
        case _:
            return None
