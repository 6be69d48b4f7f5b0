"""JSON Schemas, as blueprints and questions use them: judged before anything runs.

Draft 2020-12. Nothing is fetched: a `$ref` leads to another schema within the same one, and
never back to where it stands without looking further into the value. No regular
expressions, which a hostile value can keep busy for ever. `swarm.blueprint.fitting` holds
values against schemas without problems.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from flowir.errors import Problem, shorten
from flowir.values import measure
from swarm.blueprint.fitting import told_by
from swarm.blueprint.places import inside
from swarm.blueprint.shapes import is_array, is_object
from swarm.blueprint.words import allowed, near, suggest

__all__ = ("schema_fault", "schema_problems", "target_of")

_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
_DEPTH = 32
_SIZE = 64 * 1024

# Where a schema holds schemas: by name, in a list, or one.
_BY_NAME = frozenset({"properties", "$defs", "definitions", "dependentSchemas"})
_LISTED = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_SINGLE = frozenset(
    {
        *("additionalProperties", "contains", "contentSchema", "else", "if", "items", "not"),
        *("propertyNames", "then"),
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
    # What they look through grows with every reference, unbounded.
    "unevaluatedItems": "use 'items' beside 'prefixItems'",
    "unevaluatedProperties": "use 'additionalProperties' beside 'properties'",
}
# Where a schema holds schemas for the very value that it is for itself.
_SAME_VALUE = frozenset({"allOf", "anyOf", "oneOf", "not", "if", "then", "else"})
_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")


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
    own = list(_Judge(schema, at, code).problems())
    told = {problem.at for problem in own}
    return own + [found for found in _against_draft(schema, at, code) if found.at not in told]


def schema_fault(schema: Any) -> str | None:
    """Return what is wrong with a schema, if anything is: the first of its problems."""
    return next((str(problem) for problem in schema_problems(schema)), None)


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


def _within(schema: Any, at: str) -> Iterator[tuple[str, Any]]:
    """Yield the schemas directly inside one, each with its place; what is malformed is not."""
    for name, member in schema.items() if is_object(schema) else ():
        place = inside(at, name)
        if name in _SINGLE:
            yield place, member
        elif name in _BY_NAME and is_object(member):
            yield from ((inside(place, key), inner) for key, inner in member.items())
        elif name in _LISTED and is_array(member):
            yield from ((inside(place, i), inner) for i, inner in enumerate(member))


class _Judge:
    """Finds what the draft allows and we do not, keyword by keyword."""

    def __init__(self, root: Any, at: str, code: str) -> None:
        self._root = root
        self._at = at
        self._code = code
        # Every place where a schema stands; what only looks like one is never judged.
        self._schemas: dict[str, Any] = {}
        todo = [(at, root)]
        while todo:
            place, schema = todo.pop()
            self._schemas[place] = schema
            todo += reversed(list(_within(schema, place)))
        self._places = {id(s): place for place, s in self._schemas.items() if is_object(s)}

    def problems(self) -> Iterator[Problem]:
        for place, schema in self._schemas.items():
            for name, member in schema.items() if is_object(schema) else ():
                yield from self._keyword(name, member, inside(place, name), place == self._at)
        yield from self._circles()

    def _keyword(self, name: str, member: Any, at: str, is_top: bool) -> Iterator[Problem]:
        if name in _REFUSED:
            yield Problem(self._code, at, f"expected no {name!r}, got one", _REFUSED[name])
        elif name == "$ref" and isinstance(member, str) and not self._leads(member):
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

    def _leads(self, ref: str) -> bool:
        """Tell whether a reference leads to a schema that is judged, in one spelling only."""
        target = target_of(self._root, ref)
        return "%" not in ref and (isinstance(target, bool) or id(target) in self._places)

    def _circles(self) -> Iterator[Problem]:
        """Find the references that lead back without looking further into the value."""
        open_, done = set[int](), set[int]()
        for start, schema in self._schemas.items():
            trail = [(id(schema), iter(self._same_value(schema, start)))]
            if id(schema) in done:
                continue
            open_.add(id(schema))
            while trail:
                key, rest = trail[-1]
                at, inner = next(rest, ("", None))
                if inner is None:
                    trail.pop()
                    open_.discard(key)
                    done.add(key)
                elif id(inner) in open_:
                    sentence = "expected a reference that leads on, got one that goes in a circle"
                    hint = "lead through 'properties' or 'items', which look further in"
                    yield Problem(self._code, at, sentence, hint)
                elif id(inner) not in done:
                    open_.add(id(inner))
                    place = self._places.get(id(inner), at)
                    trail.append((id(inner), iter(self._same_value(inner, place))))

    def _same_value(self, schema: Any, at: str) -> list[tuple[str, Any]]:
        if not is_object(schema):
            return []
        found: list[tuple[str, Any]] = []
        for name, member in schema.items():
            place = inside(at, name)
            if name == "$ref" and isinstance(member, str):
                found.append((place, target_of(self._root, member)))
            elif name == "dependentSchemas" and is_object(member):
                found += [(inside(place, key), inner) for key, inner in member.items()]
            elif name in _SAME_VALUE:
                listed = enumerate(member) if is_array(member) else ()
                found += [(inside(place, i), inner) for i, inner in listed] or [(place, member)]
        return [(place, inner) for place, inner in found if is_object(inner)]

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
        found = told_by(error)
        place = at + found.at[1:]
        if place not in told:
            told.add(place)
            yield Problem(code, place, found.message, found.hint)
