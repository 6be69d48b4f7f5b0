"""Values held against JSON Schemas that have no problems, with bounded work.

Fetches nothing, and gives up on a value that takes more checks than is fair: two references
at each level of a schema would double the work with every level. The validator is loaded by
the first schema that there is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from functools import cache
from itertools import islice
from typing import Any, Final

from flowir.errors import Problem, shorten
from flowir.values import measure
from swarm.blueprint.canonical import canonical_bytes
from swarm.blueprint.places import inside
from swarm.blueprint.shapes import is_array, is_object
from swarm.blueprint.words import near, suggest

__all__ = ("UNKNOWN", "Fitter", "misfit", "mismatch", "told_by")

# What one value may cost, in about microseconds: each keyword that is checked, each
# reference that is followed. The validator prints the whole of what does not fit, which
# costs by its size.
_WORK: Final = 2_000_000
_CHECK: Final = 4
_FOLLOW: Final = 16
_PRINTED: Final = 64
# Among so many misfits the most telling is chosen.
_CHOICE: Final = 32
_MESSAGE: Final = 300

# What is wrong with an object or an array whatever its members are, and parts of a schema that
# count by what they are.
_WHATEVER_IS_IN_IT: Final = frozenset(
    {
        *("additionalProperties", "dependentRequired", "maxItems", "maxProperties", "minItems"),
        *("minProperties", "required", "type"),
    }
)
_CONDITIONAL: Final = frozenset({"then", "else"})

_left: ContextVar[list[int]] = ContextVar("left")


class _Unknown:
    """Stands for a part of a value of which nothing is known yet."""

    __slots__ = ()


UNKNOWN: Final = _Unknown()


class _Spent(Exception):
    """More work than one value may make."""


class Fitter:
    """Holds values against one schema without problems.

    >>> fitter = Fitter({"properties": {"n": {"type": "integer"}}, "required": ["n"]})
    >>> str(fitter.misfit({"n": "1"}))
    "$.n: expected an integer, got '1'"
    >>> str(fitter.misfit({"N": 1}))
    "$: expected a field 'n', got none"
    """

    __slots__ = ("_judge", "_schema")

    def __init__(self, schema: Mapping[str, Any] | bool) -> None:
        self._schema = schema
        self._judge: Any = None

    def misfit(
        self, value: Any, *, part: Any = None, purse: list[int] | None = None
    ) -> Problem | None:
        """Return why *value* does not fit, if it does not.

        Shape: with *part*, a schema that this one holds, *value* need fit that alone. With a
        *purse*, parts of it are `UNKNOWN`: only what is wrong whatever they are is told, as
        long as there is work left in the purse, which many values share.
        """
        from jsonschema.exceptions import best_match

        if self._judge is None:
            self._judge = _validator(self._schema)
        _left.set([_WORK] if purse is None else purse)
        found: list[Any] = []
        try:
            errors = self._judge.descend(value, self._schema if part is None else part)
            if purse is not None:
                errors = filter(_is_certain, errors)
            found.extend(islice(errors, _CHOICE))
        except (_Spent, RecursionError):
            if not found and purse is None:
                sentence = "expected a value that can be held against its schema, got one that"
                hint = "make the value or the schema smaller"
                return Problem("schema", "$", f"{sentence} takes too long", hint)
        except ArithmeticError:
            return Problem("schema", "$", "expected smaller numbers, or no 'multipleOf' for them")
        return told_by(best_match(found)) if found else None


def misfit(schema: Mapping[str, Any] | bool, value: Any, *, part: Any = None) -> Problem | None:
    """Return why *value* does not fit a schema without problems, if it does not."""
    return Fitter(schema).misfit(value, part=part)


def mismatch(schema: Mapping[str, Any] | bool, value: Any) -> str | None:
    """Return why *value* does not fit a schema without problems, as a sentence."""
    found = misfit(schema, value)
    return None if found is None else str(found)


# -- the validator ----------------------------------------------------------------------

_Check = Callable[[Any, Any, Any, Any], Iterable[Any] | None]
# Keywords that look at every member of the value.
_EACH = frozenset({"additionalProperties", "contains", "items", "propertyNames", "uniqueItems"})


def _validator(schema: Any) -> Any:
    from referencing import Registry

    nothing: Any = Registry()  # the library's own would fetch over the network
    return _draft()(schema, registry=nothing)


@cache
def _draft() -> Any:
    """Make the class of validators that count their work."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    draft: Any = Draft202012Validator
    checks: dict[str, _Check] = {**draft.VALIDATORS, "uniqueItems": _unique}
    return extend(draft, {name: _counted(name, check) for name, check in checks.items()})


def _counted(name: str, check: _Check) -> _Check:
    looks_at_each = name in _EACH
    base = _FOLLOW if name == "$ref" else _CHECK

    def counted(judge: Any, member: Any, value: Any, around: Any) -> Iterator[Any]:
        left = _left.get()
        left[0] -= base + (len(member) if is_object(member) or is_array(member) else 0)
        if looks_at_each and (is_object(value) or is_array(value)):
            left[0] -= len(value)
        if left[0] < 0:
            raise _Spent
        for error in check(judge, member, value, around) or ():
            if not error.absolute_path and not error.context:
                left[0] -= measure(value)[0] // _PRINTED
            yield error

    return counted


def _unique(judge: Any, wanted: Any, value: Any, around: Any) -> Iterator[Any]:
    """Compare items by their spelling: two by two, a hostile list would take for ever."""
    from jsonschema.exceptions import ValidationError

    if not wanted or not is_array(value):
        return
    seen: set[bytes] = set()
    for item in value:
        if _is_open(item):
            continue
        spelling = canonical_bytes(_plain(item))
        if spelling in seen:
            yield ValidationError("")
            return
        seen.add(spelling)


def _plain(value: Any) -> Any:
    """Write whole floats as integers: the two are equal."""
    if is_object(value):
        return {name: _plain(member) for name, member in value.items()}
    if is_array(value):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _is_certain(error: Any) -> bool:
    """Tell whether what was found is wrong whatever the unknown parts are."""
    if _CONDITIONAL.intersection(error.absolute_schema_path):
        return False
    if error.instance is UNKNOWN:
        return False
    return error.validator in _WHATEVER_IS_IN_IT or not _is_open(error.instance)


def _is_open(value: Any) -> bool:
    """Tell whether a part of *value* is unknown."""
    if is_object(value):
        return any(_is_open(member) for member in value.values())
    if is_array(value):
        return any(_is_open(item) for item in value)
    return value is UNKNOWN


# -- sentences --------------------------------------------------------------------------

# What was expected, by the keyword that was not met, from the keyword's value.
_EXPECTED: Mapping[str, Callable[[Any], str]] = {
    "enum": lambda words: f"one of {', '.join(map(shorten, words))}",
    "const": shorten,
    "minimum": lambda least: f"a number of at least {least}",
    "maximum": lambda most: f"a number of at most {most}",
    "exclusiveMinimum": lambda least: f"a number above {least}",
    "exclusiveMaximum": lambda most: f"a number below {most}",
    "multipleOf": lambda unit: f"a multiple of {unit}",
    "minLength": lambda least: f"a string of at least {least} characters",
    "maxLength": lambda most: f"a string of at most {most} characters",
    "minItems": lambda least: f"an array of at least {least}",
    "maxItems": lambda most: f"an array of at most {most}",
    "uniqueItems": lambda _: "each item once",
    "type": lambda words: " or ".join(map(_a, words if is_array(words) else [words])),
}


def told_by(error: Any) -> Problem:
    """Say what a validator found: *place: expected, got — hint*."""
    at = "$"
    for segment in error.absolute_path:
        at = inside(at, segment)
    keyword, meant, got = error.validator, error.validator_value, error.instance
    if keyword == "required":
        name = next((name for name in meant if name not in got), "?")
        other = near(name, got)
        hint = None if other is None else f"was {other!r} meant for it?"
        return Problem("schema", at, f"expected a field {name!r}, got none", hint)
    if keyword == "additionalProperties" and meant is False:
        return _unknown(at, got, error.schema)
    if keyword in _EXPECTED:
        sentence = f"expected {_EXPECTED[keyword](meant)}, got {_shown(got)}"
        return Problem("schema", at, _cut(sentence))
    return Problem("schema", at, _cut(f"expected what the schema says: {error.message}"))


def _unknown(at: str, got: Mapping[str, Any], schema: Mapping[str, Any]) -> Problem:
    known: Mapping[str, Any] = schema.get("properties", {})
    name = next((name for name in got if name not in known), "?")
    sentence = f"expected no field {shorten(name)}, got one"
    return Problem("schema", at, sentence, suggest(name, known))


def _shown(got: Any) -> str:
    if _is_open(got):
        return "an object" if is_object(got) else f"an array of {len(got)}"
    return shorten(got)


def _a(word: Any) -> str:
    article = "an" if str(word)[:1] in "aio" else "a"
    return "null" if word == "null" else f"{article} {word}"


def _cut(sentence: str) -> str:
    return sentence if len(sentence) <= _MESSAGE else sentence[: _MESSAGE - 1] + "…"
