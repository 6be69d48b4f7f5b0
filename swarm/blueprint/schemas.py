"""JSON Schemas, as blueprints and questions use them: judged, and held against a value.

Draft 2020-12. Nothing is fetched: a `$ref` leads to another place of the same schema. No
regular expressions, which a hostile value can keep busy for ever, and as much following of
references as is fair. The validator is loaded by the first schema that there is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from flowir.errors import Problem, shorten
from flowir.values import measure
from swarm.blueprint.places import inside
from swarm.blueprint.shapes import is_array, is_object
from swarm.blueprint.words import allowed, near, suggest

__all__ = ("misfit", "mismatch", "schema_fault", "schema_problems", "target_of")

_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
_DEPTH = 32
_SIZE = 64 * 1024
# References that one value may make a validator follow: two of them at each level would
# double its work with every level of the value.
_FOLLOWED = 10_000
_MESSAGE = 300

# Where a schema holds schemas: by name, in a list, or one.
_BY_NAME = frozenset({"properties", "$defs", "definitions", "dependentSchemas"})
_LISTED = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_SINGLE = frozenset(
    {
        *("additionalProperties", "contains", "contentSchema", "else", "if", "items", "not"),
        *("propertyNames", "then", "unevaluatedItems", "unevaluatedProperties"),
    }
)
_OTHER = frozenset(
    {
        *("$comment", "$id", "$ref", "$schema", "const", "contentEncoding", "contentMediaType"),
        *("default", "dependentRequired", "deprecated", "description", "enum", "examples"),
        *("exclusiveMaximum", "exclusiveMinimum", "format", "maxContains", "maxItems"),
        *("maxLength", "maxProperties", "maximum", "minContains", "minItems", "minLength"),
        *("minProperties", "minimum", "multipleOf", "readOnly", "required", "title", "type"),
        *("uniqueItems", "writeOnly"),
    }
)
_KNOWN = _BY_NAME | _LISTED | _SINGLE | _OTHER
_REFUSED: Mapping[str, str] = {
    "pattern": "list the words with 'enum', or check the text in a step",
    "patternProperties": "name them under 'properties', or use 'additionalProperties'",
    "$anchor": "lead to it by its place: #/$defs/name",
    "$dynamicAnchor": "lead to it by its place: #/$defs/name",
    "$dynamicRef": "use $ref",
    "$recursiveRef": "use $ref",
}
_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")


class _Followed(Exception):
    """More references than a value may make us follow."""


def schema_problems(schema: Any, at: str = "$", code: str = "schema") -> list[Problem]:
    """Find everything wrong with a schema; *at* is its place.

    >>> [str(problem) for problem in schema_problems({"type": "text"})]
    ["$.type: expected one of 'array', 'boolean', 'integer', 'null', 'number', 'object', \
'string', got 'text'"]
    """
    if not is_object(schema) and not isinstance(schema, bool):
        sentence = f"expected a JSON Schema, an object, got {shorten(schema)}"
        return [Problem(code, at, sentence)]
    size, depth = measure(schema)
    if size > _SIZE or depth > _DEPTH:
        sentence = f"expected a schema of at most {_DEPTH} levels and {_SIZE} bytes, got more"
        return [Problem(code, at, sentence)]
    own = list(_Judge(schema, at, code).problems(schema, at))
    told = {problem.at for problem in own}
    return own + [found for found in _against_draft(schema, at, code) if found.at not in told]


def schema_fault(schema: Any) -> str | None:
    """Return what is wrong with a schema, if anything is: the first of its problems."""
    return next((str(problem) for problem in schema_problems(schema)), None)


def misfit(schema: Mapping[str, Any] | bool, value: Any, *, part: Any = None) -> Problem | None:
    """Return why *value* does not fit a schema without problems, if it does not.

    Shape: with *part*, a schema that *schema* holds, *value* need fit that alone.

    >>> schema = {"properties": {"n": {"type": "integer"}}, "required": ["n"]}
    >>> str(misfit(schema, {"n": "1"}))
    "$.n: expected an integer, got '1'"
    >>> str(misfit(schema, {"N": 1}))
    "$: expected a field 'n', got none"
    """
    from jsonschema.exceptions import best_match

    try:
        errors = _validator(schema).descend(value, schema if part is None else part)
        error = best_match(errors)
    except (_Followed, RecursionError):
        sentence = "expected a value that can be held against its schema, got one that leads on"
        return Problem("schema", "$", sentence, "the schema's references go round in a circle")
    except ArithmeticError:
        return Problem("schema", "$", "expected smaller numbers, or no 'multipleOf' for them")
    return None if error is None else _problem(error)


def mismatch(schema: Mapping[str, Any] | bool, value: Any) -> str | None:
    """Return why *value* does not fit a schema without problems, as a sentence."""
    found = misfit(schema, value)
    return None if found is None else str(found)


def target_of(root: Any, ref: str) -> Any:
    """Return what a reference of the schema *root* leads to; None: nothing is there."""
    if ref == "#":
        return root
    here = root if ref.startswith("#/") else None
    for step in ref[2:].split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        if is_object(here):
            here = here.get(name)
        elif is_array(here) and name.isdecimal() and int(name) < len(here):
            here = here[int(name)]
        else:
            return None
    return here


class _Judge:
    """Finds what the draft allows and we do not, keyword by keyword."""

    def __init__(self, root: Any, at: str, code: str) -> None:
        self._root = root
        self._at = at
        self._code = code

    def problems(self, schema: Any, at: str) -> Iterator[Problem]:
        for name, member in schema.items() if is_object(schema) else ():
            place = inside(at, name)
            yield from self._keyword(name, member, place, at == self._at)
            if name in _SINGLE:
                yield from self.problems(member, place)
            elif name in _BY_NAME and is_object(member):
                for key, inner in member.items():
                    yield from self.problems(inner, inside(place, key))
            elif name in _LISTED and is_array(member):
                for i, inner in enumerate(member):
                    yield from self.problems(inner, inside(place, i))

    def _keyword(self, name: str, member: Any, at: str, is_top: bool) -> Iterator[Problem]:
        if name in _REFUSED:
            yield Problem(self._code, at, f"expected no {name!r}, got one", _REFUSED[name])
        elif name == "$ref" and isinstance(member, str) and target_of(self._root, member) is None:
            sentence = f"expected a place of this schema (#/…), got {shorten(member)}"
            yield Problem(self._code, at, sentence)
        elif name == "$id" and not is_top:
            yield Problem(self._code, at, "expected no '$id' further in, got one", "leave it out")
        elif name == "$schema" and str(member).rstrip("#") != _DRAFT:
            sentence = f"expected {_DRAFT!r}, got {shorten(member)}"
            yield Problem(self._code, at, sentence, "leave it out")
        elif name == "type":
            yield from self._types(member, at)
        elif name not in _KNOWN and name != "example" and near(name, _KNOWN) is not None:
            sentence = f"expected a keyword of JSON Schema, got {name!r}"
            yield Problem(self._code, at, sentence, suggest(name, _KNOWN))

    def _types(self, member: Any, at: str) -> Iterator[Problem]:
        for word in member if is_array(member) else [member]:
            if word not in _TYPES:
                sentence = f"expected one of {allowed(_TYPES)}, got {shorten(word)}"
                hint = near(word, _TYPES) if isinstance(word, str) else None
                yield Problem(self._code, at, sentence, hint and f"did you mean {hint!r}?")


def _against_draft(schema: Any, at: str, code: str) -> Iterator[Problem]:
    """Hold a schema against the schema of schemas, one problem for each place."""
    from jsonschema import Draft202012Validator

    told: set[str] = set()
    judge: Any = Draft202012Validator(Draft202012Validator.META_SCHEMA)
    for error in judge.iter_errors(schema):
        found = _problem(error)
        place = at + found.at[1:]
        if place not in told:
            told.add(place)
            yield Problem(code, place, found.message, found.hint)


def _validator(schema: Any) -> Any:
    """Make a validator that counts the references it follows, and fetches nothing."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend
    from referencing import Registry

    draft: Any = Draft202012Validator
    follow: Callable[..., Iterator[Any]] = draft.VALIDATORS["$ref"]
    left = [_FOLLOWED]

    def counted(judge: Any, ref: Any, value: Any, around: Any) -> Iterator[Any]:
        left[0] -= 1
        if left[0] < 0:
            raise _Followed
        yield from follow(judge, ref, value, around) or ()

    nothing: Any = Registry()  # the library's own would fetch over the network
    return extend(draft, {"$ref": counted})(schema, registry=nothing)


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


def _problem(error: Any) -> Problem:
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
        sentence = f"expected {_EXPECTED[keyword](meant)}, got {shorten(got)}"
        return Problem("schema", at, _cut(sentence))
    return Problem("schema", at, _cut(f"expected what the schema says: {error.message}"))


def _unknown(at: str, got: Mapping[str, Any], schema: Mapping[str, Any]) -> Problem:
    known: Mapping[str, Any] = schema.get("properties", {})
    name = next((name for name in got if name not in known), "?")
    sentence = f"expected no field {shorten(name)}, got one"
    return Problem("schema", at, sentence, suggest(name, known))


def _a(word: Any) -> str:
    article = "an" if str(word)[:1] in "aio" else "a"
    return "null" if word == "null" else f"{article} {word}"


def _cut(sentence: str) -> str:
    return sentence if len(sentence) <= _MESSAGE else sentence[: _MESSAGE - 1] + "…"
