"""Agents of kind `function`: a Python function that the host registered does the step.

A sync function runs in a thread, unless it was registered with `inline=True`: then on the
loop's own, where it must end within a millisecond or so. A thread cannot be killed: when its
step is cancelled or times out the thread is abandoned, it finds `StepContext.cancelled` true,
and what it returns is dropped.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any, cast, get_type_hints

from anyio import CapacityLimiter, to_thread
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from flowir.errors import WorkerFailure, shorten
from flowir.limits import DEFAULT_LIMITS
from flowir.records import dataclass
from flowir.report import nearest
from flowir.values import kind_of
from swarm.blueprint.agent import AgentSpec
from swarm.ports.worker import Call, FieldProblem, Outcome, StepLink, Toolbox
from swarm.workers.context import StepContext

__all__ = (
    "FunctionFactory",
    "FunctionWorker",
    "Signature",
    "SignatureRefused",
    "in_place",
)

# Threads one function may keep busy. Each function has its own count: one that hangs, and
# whose threads are abandoned, does not starve the others.
_THREADS = 40
# What no model is in.
_SCALARS = frozenset({str, int, float, bool, type(None)})
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class SignatureRefused(Exception):
    """A function that cannot be an agent; the text says why."""


@dataclass(frozen=True, slots=True)
class _Field:
    """One parameter that is filled from the step's input."""

    name: str
    check: Callable[[Any], Any] | None
    required: bool
    positional: bool


@dataclass(frozen=True, slots=True)
class Signature:
    """How a step's input becomes a function's arguments.

    `context` names the parameter that receives the StepContext; `rest` tells whether
    fields without a parameter are taken too (`**fields`).
    """

    name: str
    fields: tuple[_Field, ...]
    context: str | None
    rest: bool

    @classmethod
    def of(cls, name: str, function: Callable[..., Any]) -> Signature:
        """Read a function's parameters.

        Raises: SignatureRefused.
        """
        hints = _hints(function)
        fields: list[_Field] = []
        context: str | None = None
        rest = False
        for parameter in _parameters(function):
            if hints.get(parameter.name) is StepContext:
                context = _context_name(parameter)
            elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
                rest = True
            else:
                fields.append(_field(parameter, hints))
        if len(fields) > 1 and any(f.positional for f in fields):
            raise SignatureRefused("has several parameters, so each must have a name to pass it by")
        return cls(name, tuple(fields), context, rest)

    def bind(self, input: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Turn a step's input into arguments.

        Raises: WorkerFailure (function.input, permanent).
        """
        if len(self.fields) == 1 and not self.rest:
            field = self.fields[0]
            value = self._checked(field, input)
            return ((value,), {}) if field.positional else ((), {field.name: value})
        if not self.fields and not self.rest:
            return (), {}
        return (), self._named(input)

    def _named(self, input: Any) -> dict[str, Any]:
        if type(input) is not dict:
            names = ", ".join(repr(f.name) for f in self.fields)
            raise self._wrong(
                f"expected an object with {names or 'named fields'}, "
                f"got {kind_of(input)} {shorten(input)}"
            )
        given = cast("Mapping[str, Any]", input)
        known = {f.name: f for f in self.fields}
        for name in given:
            if name not in known and (not self.rest or name == self.context):
                raise self._wrong(f"field {name!r} is not a parameter{_hint(name, known)}")
        missing = [f.name for f in self.fields if f.required and f.name not in given]
        if missing:
            raise self._wrong(f"expected field {missing[0]!r}, got {shorten(given)}")
        return {
            name: self._checked(known[name], value) if name in known else value
            for name, value in given.items()
        }

    def _checked(self, field: _Field, value: Any) -> Any:
        if field.check is None:
            return value
        try:
            return field.check(value)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, (field.name, *first["loc"])))
            said = first["msg"][:1].lower() + first["msg"][1:]
            raise self._wrong(f"{where}: {said}, got {shorten(first['input'])}") from error

    def _wrong(self, sentence: str) -> WorkerFailure:
        return WorkerFailure("function.input", f"function {self.name!r}: {sentence}", True)


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(_unwrapped(function), include_extras=True)
    except (NameError, TypeError, AttributeError) as error:
        raise SignatureRefused(f"has an annotation that cannot be read: {error}") from error


def _unwrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    """Find what carries the annotations of a partial, or of an object with `__call__`."""
    inner = inspect.unwrap(getattr(function, "func", function))
    return inner if inspect.isroutine(inner) else type(inner).__call__


def _parameters(function: Callable[..., Any]) -> Iterable[inspect.Parameter]:
    try:
        return inspect.signature(function).parameters.values()
    except (ValueError, TypeError) as error:
        raise SignatureRefused("has no signature that can be read") from error


def _context_name(parameter: inspect.Parameter) -> str:
    if parameter.kind not in _NAMED:
        raise SignatureRefused(f"takes the StepContext as {parameter}, not by its name")
    return parameter.name


def _field(parameter: inspect.Parameter, hints: Mapping[str, Any]) -> _Field:
    if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
        raise SignatureRefused(
            f"takes *{parameter.name}; a step's input has no such list of arguments"
        )
    hint = hints.get(parameter.name, Any)
    return _Field(
        parameter.name,
        None if hint is Any else _check(parameter.name, hint),
        parameter.default is inspect.Parameter.empty,
        parameter.kind is inspect.Parameter.POSITIONAL_ONLY,
    )


def _check(name: str, hint: Any) -> Callable[[Any], Any]:
    """Return what turns a value of JSON into one of the type, or raises ValidationError."""
    try:
        # The validator's own method: one call less for each step.
        return TypeAdapter(hint).validator.validate_python
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        raise SignatureRefused(f"annotates {name!r} with a type that JSON cannot fill") from error


def _hint(name: str, known: Iterable[str]) -> str:
    hint = nearest(name, known)
    return f" — {hint}" if hint else ""


def _is_async(function: Callable[..., Any]) -> bool:
    """Tell whether a function is awaited where it is called."""
    found = inspect.iscoroutinefunction
    return found(function) or found(_unwrapped(function))


def in_place(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a sync function be called on the loop's own thread, as an async one is.

    Raises: SignatureRefused, for one that is async, or takes a StepContext.
    """
    if _is_async(function):
        raise SignatureRefused("is async, and so runs in place without inline=True")
    if Signature.of(name, function).context is not None:
        # What a context does may take long, and nobody could await it.
        raise SignatureRefused("takes the StepContext, which a function with inline=True cannot")

    @wraps(function)
    async def called(*args: Any, **named: Any) -> Any:
        return function(*args, **named)

    return called


class FunctionWorker:
    """Calls one function for each attempt: in place if it is async, else in a thread."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self._function = function
        self._signature = Signature.of(name, function)
        self._is_async = _is_async(function)
        self._threads = CapacityLimiter(_THREADS)

    async def __call__(self, call: Call, link: StepLink) -> Outcome:
        """Do the attempt and return its outcome."""
        signature = self._signature
        args, named = signature.bind(call.input)
        if signature.context is not None:
            named[signature.context] = StepContext(call, link, in_thread=not self._is_async)
        if self._is_async:
            answer = await self._function(*args, **named)
        else:
            answer = await to_thread.run_sync(
                lambda: self._function(*args, **named),
                abandon_on_cancel=True,
                limiter=self._threads,
            )
        if type(answer) in _SCALARS:
            return Outcome(answer)
        return answer if isinstance(answer, Outcome) else Outcome(as_json(answer))


def as_json(value: Any, levels: int = DEFAULT_LIMITS.value_depth + 1) -> Any:
    """Turn the pydantic models in a function's answer into JSON; leave the rest to the door.

    That includes what is deeper than a value may be: a circle has no end.

    >>> class Point(BaseModel):
    ...     x: int
    >>> as_json([Point(x=1), "a"])
    [{'x': 1}, 'a']
    """
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    if levels == 0:
        return value
    if isinstance(value, list):
        return [as_json(item, levels - 1) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        members = cast("dict[Any, Any]", value)
        return {name: as_json(member, levels - 1) for name, member in members.items()}
    return value


class FunctionFactory:
    """Makes the workers of agents of kind `function`."""

    kind = "function"
    fields = frozenset({"function"})
    required = frozenset({"function"})

    def problems(self, agent: AgentSpec, tools: Toolbox) -> Iterable[FieldProblem]:
        """Find a function that is not registered, or that cannot take a step's input."""
        name = agent.settings["function"]
        if not isinstance(name, str):
            yield FieldProblem(
                "function.name",
                "function",
                f"expected the name of a registered function, got {shorten(name)}",
            )
        elif name not in tools.functions:
            yield FieldProblem(
                "function.unknown",
                "function",
                f"expected a function that the host registered, got {name!r}",
                nearest(name, tools.functions)
                or f'@host.function("{name}"), or [functions] of swarm.toml',
            )
        else:
            yield from self._signature_problems(name, tools.functions[name])

    def _signature_problems(
        self, name: str, function: Callable[..., Any]
    ) -> Iterable[FieldProblem]:
        try:
            Signature.of(name, function)
        except SignatureRefused as refused:
            yield FieldProblem("function.signature", "function", f"function {name!r} {refused}")

    def build(self, agent: AgentSpec, tools: Toolbox) -> FunctionWorker:
        """Make the worker of an agent without problems."""
        name = agent.settings["function"]
        return FunctionWorker(name, tools.functions[name])
