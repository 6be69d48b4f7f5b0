"""The first context of a run: what it is given, with the defaults of its blueprint's schema.

`inputs` of a blueprint is a JSON Schema; it is judged when the blueprint is compiled, and
each first context is held against it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from flowir.door import admit_measured
from flowir.effects import Admitted
from flowir.errors import FlowError, Problem
from flowir.limits import Limits
from flowir.values import private_copy
from swarm.blueprint.fitting import misfit
from swarm.blueprint.places import inside
from swarm.blueprint.schemas import schema_problems, target_of
from swarm.blueprint.shapes import is_array, is_object
from swarm.errors import Refused

__all__ = ("first_context", "inputs_problems", "with_defaults")


def inputs_problems(schema: Any, at: str = "$.inputs") -> list[Problem]:
    """Find what is wrong with the schema of a first context, its defaults among it."""
    found = schema_problems(schema, at, "inputs.schema")
    return found or list(_default_problems(schema, schema, at))


def first_context(schema: Mapping[str, Any] | None, input: Any, limits: Limits) -> Admitted:
    """Return the first context of a run that is given *input* (None: an empty object).

    Raises: Refused (run.input).
    """
    try:
        context = Admitted(*admit_measured({} if input is None else input, limits=limits))
        if schema is not None:
            whole = with_defaults(schema, context.value)
            context = Admitted(*admit_measured(whole, limits=limits))
    except FlowError as refused:
        raise Refused("run.input", f"input: {refused}", at=refused.at) from refused
    found = None if schema is None else misfit(schema, context.value)
    if found is not None:
        raise Refused("run.input", f"input: {found}", at=found.at, hint=found.hint)
    return context


def with_defaults(schema: Any, value: Any) -> Any:
    """Return *value* with the defaults of the properties that it lacks.

    Shape: members of objects that are there, at any depth; an object that is absent comes
    with what its own default says. What does not fit the schema stays as it is.

    >>> size = {"properties": {"w": {"default": 3}}}
    >>> with_defaults({"properties": {"n": {"default": 1}, "size": size}}, {"size": {}})
    {'size': {'w': 3}, 'n': 1}
    """
    return _Filler(schema).fill(value, schema)


class _Filler:
    """Walks a value beside the schemas that speak of it; each place of it is met once."""

    def __init__(self, root: Any) -> None:
        self._root = root

    def fill(self, value: Any, *schemas: Any) -> Any:
        if is_object(value):
            return self._object(value, self._speaking(schemas))
        if is_array(value):
            rules = [schema["items"] for schema in self._speaking(schemas) if "items" in schema]
            return [self.fill(item, *rules) for item in value] if rules else value
        return value

    def default(self, schema: Mapping[str, Any]) -> Any:
        """Return the default of a property, with those of the members that it lacks.

        A reference adds nothing here: it may lead back, to a value without end.
        """
        value = private_copy(schema["default"])
        return self._object(value, [schema]) if is_object(value) else value

    def _object(self, value: Mapping[str, Any], schemas: Iterable[Mapping[str, Any]]) -> Any:
        filled = dict(value)
        for name, rules in _properties(schemas).items():
            if name in value:
                filled[name] = self.fill(value[name], *rules)
                continue
            given = [rule for rule in rules if "default" in rule]
            if given:
                filled[name] = self.default(given[0])
        return filled

    def _speaking(self, schemas: Iterable[Any]) -> list[dict[str, Any]]:
        """Return the schemas with those they refer to, and those they take together."""
        found: dict[int, dict[str, Any]] = {}
        todo = list(schemas)
        while todo:
            schema = todo.pop(0)
            if not is_object(schema) or id(schema) in found:
                continue
            found[id(schema)] = schema
            ref, parts = schema.get("$ref"), schema.get("allOf")
            todo += [target_of(self._root, ref)] if isinstance(ref, str) else []
            todo += parts if is_array(parts) else []
        return list(found.values())


def _properties(schemas: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return what each schema says of each property, where that is more than yes or no."""
    found: dict[str, list[Any]] = {}
    for schema in schemas:
        properties = schema.get("properties")
        for name, rule in properties.items() if is_object(properties) else ():
            if is_object(rule):
                found.setdefault(name, []).append(rule)
    return found


def _default_problems(root: Any, schema: Any, at: str) -> Iterator[Problem]:
    """Find the defaults that would not fit their own schema."""
    properties = schema.get("properties") if is_object(schema) else None
    for name, rule in properties.items() if is_object(properties) else ():
        place = inside(inside(at, "properties"), name)
        if is_object(rule) and "default" in rule:
            wrong = misfit(root, _Filler(root).default(rule), part=rule)
            if wrong is not None:
                yield replace(wrong, code="inputs.default", at=inside(place, "default"))
        yield from _default_problems(root, rule, place)
