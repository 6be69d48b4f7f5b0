"""What the model's validator says, in our words: the only place that reads its errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from flowir.errors import Problem, shorten
from swarm.blueprint.places import inside
from swarm.blueprint.words import suggest

__all__ = ("problems_of",)

_EXPECTED: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "string_type": lambda _: "a string",
    "string_too_short": lambda _: "a string that is not empty",
    "int_type": lambda _: "an integer",
    "float_type": lambda _: "a number",
    "finite_number": lambda _: "a finite number",
    "greater_than": lambda ctx: f"a number above {ctx['gt']:g}",
    "greater_than_equal": lambda ctx: f"a number of at least {ctx['ge']}",
    "less_than_equal": lambda ctx: f"a number of at most {ctx['le']}",
    "list_type": lambda _: "an array",
    "too_short": lambda ctx: f"an array of at least {ctx['min_length']}",
    "dict_type": lambda _: "an object",
    "model_type": lambda _: "an object",
    "bool_type": lambda _: "true or false",
    "literal_error": lambda ctx: f"one of {ctx['expected']}",
}


# Checks of the model's own, whose message is what was expected and whose type is the code.
_OWN = frozenset({"id", "name", "version"})


def problems_of(
    error: ValidationError,
    models: Mapping[str, type[BaseModel]],
    *,
    at: str = "$",
    of: str | None = None,
) -> list[Problem]:
    """Translate the errors of validating what stands at *at*, in their order.

    Shape: *models* has the model of each place whose fields are known; *of* is what was
    validated, the first word of the codes (None: the document, or one of its agents).
    """
    fields = {at: tuple(model.model_fields) for at, model in models.items()}
    return [_problem(detail, fields, at, of) for detail in error.errors(include_url=False)]


def _problem(
    detail: Mapping[str, Any], fields: Mapping[str, Iterable[str]], root: str, owner: str | None
) -> Problem:
    steps: tuple[str | int, ...] = detail["loc"]
    kind: str = detail["type"]
    at, around = _place(root, steps), _place(root, steps[:-1])
    last = str(steps[-1]) if steps else ""
    of = owner or ("agent" if steps[:1] == ("agents",) and len(steps) > 1 else "blueprint")
    if kind == "missing":
        return Problem(f"{of}.field_missing", around, f"expected a field {last!r}, got none")
    if kind == "extra_forbidden":
        return _unknown(of, at, around, last, fields.get(around, ()))
    expected = _EXPECTED.get(kind, lambda _: str(detail["msg"]))(detail.get("ctx", {}))
    code = f"{of}.{kind}" if kind in _OWN else f"{of}.field_wrong"
    return Problem(code, at, f"expected {expected}, got {shorten(detail['input'])}")


# What has fields of its own, by the last word of its place.
_OWNERS = {".budget": "a budget", ".limits": "the limits", ".reserve": "the reserve"}


def _unknown(of: str, at: str, around: str, name: str, fields: Iterable[str]) -> Problem:
    whole = "the layer" if of == "layer" else "the document"
    owner = _OWNERS.get(around[around.rfind(".") :], whole)
    sentence = f"expected a field of {owner}, got {name!r}"
    return Problem(f"{of}.field_unknown", at, sentence, suggest(name, fields))


def _place(at: str, steps: Iterable[str | int]) -> str:
    for step in steps:
        at = inside(at, step)
    return at
