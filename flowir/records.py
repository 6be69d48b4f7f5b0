"""`dataclass` of the standard library, whose methods are made when they are first needed.

Theory of operation: `dataclasses.dataclass` writes the source of up to six methods for each
class and compiles it, a third of what importing the host takes, and most of these classes are
never made by a process. Here a class is a real data class (fields, slots, `replace`, `asdict`,
patterns), but its comparing, hashing and printing are shared functions, and its `__init__` is
compiled when the first object is made, or somebody looks at it.

For slotted classes only; knows nothing of what they hold.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, FrozenInstanceError
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

__all__ = ("dataclass",)


class _Made:
    """What stands in a signature as the default of a field that has a factory."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<factory>"


_MADE = _Made()


def _dataclass(
    *, frozen: bool = False, slots: bool = True, eq: bool = True, kw_only: bool = False
) -> Callable[[type], type]:
    """Return what makes a class a data class, as `dataclasses.dataclass` does."""
    assert slots  # noqa: S101 - the one kind that is made here

    def made(given: type) -> type:
        own = given.__dict__
        # A class that compares has a hash of its own, or none.
        hashed = "__hash__" in own and not (own["__hash__"] is None and "__eq__" in own)
        compared, told, begun = "__eq__" in own, "__repr__" in own, "__init__" in own
        # Where nothing is said, the standard library would ask for a signature.
        given.__doc__ = given.__doc__ or given.__name__
        cls = dataclasses.dataclass(
            init=False, repr=False, eq=False, slots=True, kw_only=kw_only
        )(given)  # fmt: skip
        fields = dataclasses.fields(cls)
        if not begun:
            _give(cls, __init__=_Init(cls, frozen=frozen))
        if not told:
            _give(cls, __repr__=_printing([f.name for f in fields if f.repr]))
        if eq:
            values = _reader([f.name for f in fields if f.compare])
            if not compared:
                _give(cls, __eq__=_comparing(values))
            if not hashed:
                _give(cls, __hash__=_hashing(values) if frozen else None)
        if frozen:
            names = tuple(f.name for f in fields)
            _give(
                cls, __setattr__=_refusing(cls, "assign to"), __delattr__=_refusing(cls, "delete")
            )
            _give(cls, __getstate__=_state(names), __setstate__=_stated(names))
        return cls

    return made


def _give(cls: type, **members: Any) -> None:
    for name, member in members.items():
        if callable(member) and hasattr(member, "__qualname__"):
            member.__name__, member.__qualname__ = name, f"{cls.__qualname__}.{name}"
        setattr(cls, name, member)


class _Init:
    """Stands where `__init__` will: whoever looks at it, to call it or to read it, gets it."""

    __slots__ = ("_cls", "_frozen")

    def __init__(self, cls: type, *, frozen: bool) -> None:
        self._cls = cls
        self._frozen = frozen

    def __get__(self, made: Any, owner: type | None = None) -> Any:
        # Two threads may both be the first: they make the same.
        init = _compiled_init(self._cls, frozen=self._frozen)
        type.__setattr__(self._cls, "__init__", init)
        return init if made is None else init.__get__(made, owner)


def _compiled_init(cls: type, *, frozen: bool) -> Any:
    fields: Mapping[str, Field[Any]] = cls.__dict__["__dataclass_fields__"]
    known: dict[str, Any] = {"_MADE": _MADE}
    body = [line for f in fields.values() for line in _lines(cls, f, known, frozen=frozen)]
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    asked = [f for f in fields.values() if f.init]
    plain = ["self", *(_parameter(f) for f in asked if not f.kw_only)]
    named = [_parameter(f) for f in asked if f.kw_only]
    parameters = ", ".join([*plain, *(["*", *named] if named else [])])
    source = "\n ".join([f"def __init__({parameters}):", *(body or ["pass"])])
    exec(source, known)  # noqa: S102 - names of fields, and nothing else
    init = known["__init__"]
    init.__module__, init.__qualname__ = cls.__module__, f"{cls.__qualname__}.__init__"
    init.__annotations__ = {**{f.name: f.type for f in asked}, "return": None}
    return init


def _parameter(field: Field[Any]) -> str:
    if field.default is not MISSING:
        return f"{field.name}=_d_{field.name}"
    return f"{field.name}=_MADE" if field.default_factory is not MISSING else field.name


def _lines(cls: type, field: Field[Any], known: dict[str, Any], *, frozen: bool) -> list[str]:
    """Write how a field gets its value; what the lines name is put into *known*."""
    name = field.name
    known[f"_d_{name}"], known[f"_f_{name}"] = field.default, field.default_factory
    if field.default_factory is not MISSING:
        value = f"_f_{name}()" + (f" if {name} is _MADE else {name}" if field.init else "")
    elif field.init:
        value = name
    elif field.default is not MISSING:
        value = f"_d_{name}"
    else:
        return []
    if not frozen:
        return [f"self.{name} = {value}"]
    # The slot itself: what refuses to be assigned to is not asked.
    known[f"_s_{name}"] = getattr(cls, name).__set__
    return [f"_s_{name}(self, {value})"]


def _reader(names: list[str]) -> Callable[[Any], Any]:
    """Return what reads members as a tuple."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda made: tuple(getattr(made, name) for name in names)


def _comparing(values: Callable[[Any], Any]) -> Any:
    def __eq__(self: Any, other: Any) -> Any:  # noqa: N807
        if other.__class__ is not self.__class__:
            return NotImplemented
        return values(self) == values(other)

    return __eq__


def _hashing(values: Callable[[Any], Any]) -> Any:
    def __hash__(self: Any) -> int:  # noqa: N807
        return hash(values(self))

    return __hash__


def _printing(names: list[str]) -> Any:
    @recursive_repr()
    def __repr__(self: Any) -> str:  # noqa: N807
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{self.__class__.__qualname__}({shown})"

    return __repr__


def _refusing(cls: type, act: str) -> Any:
    names = frozenset(cls.__dict__["__dataclass_fields__"])
    kept = object.__setattr__ if act == "assign to" else object.__delattr__

    def refuse(self: Any, name: str, *value: Any) -> None:
        # A class that is derived from this one may have members of its own.
        if type(self) is cls or name in names:
            raise FrozenInstanceError(f"cannot {act} field {name!r}")
        kept(self, name, *value)

    return refuse


def _state(names: tuple[str, ...]) -> Any:
    def __getstate__(self: Any) -> list[Any]:  # noqa: N807
        return [getattr(self, name) for name in names]

    return __getstate__


def _stated(names: tuple[str, ...]) -> Any:
    def __setstate__(self: Any, state: list[Any]) -> None:  # noqa: N807
        for name, value in zip(names, state, strict=True):
            object.__setattr__(self, name, value)

    return __setstate__


if TYPE_CHECKING:
    # What reads types knows the standard library's, which this is.
    from dataclasses import dataclass
else:
    dataclass = _dataclass
