"""Where the tables of a value come from: the access paths that an expression hands on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from swarm.lua.lowering import ops
from swarm.lua.lowering.access import (
    ANY,
    ANY_FIELD,
    WHOLE,
    Access,
    access_of,
    begins,
    variable,
)
from swarm.lua.lowering.effort import Effort
from swarm.lua.lowering.ops import Op

__all__ = ("Origins", "Ref")

# Where in a value a table is, and where that table came from.
Ref: TypeAlias = tuple[Access, Access]

# Externs that build a table of the members of their first argument, and of all arguments.
_OF_FIRST = frozenset({"list.slice", "list.sort", "object.without"})
_OF_ALL = frozenset({"list.concat", "object.merge"})


class Origins:
    """Reads expressions; *scripts* are the script's own tables, by identity."""

    def __init__(self, scripts: Mapping[int, Access], effort: Effort) -> None:
        self._scripts = scripts
        self._effort = effort

    def of(self, e: Op) -> list[Ref]:
        """Return the tables that a value shares with places, each with where it is in it."""
        found = self._of(e)
        self._effort.spend(1 + len(found))
        return found

    def _of(self, e: Op) -> list[Ref]:
        match e["op"]:
            case "path":
                at: str = e["at"]
                return [] if at.startswith("@") or at == "$" else [((), access_of(at))]
            case "lit":
                return list(self._scripted(e["value"]))
            case "default":
                return self.of(e["arg"]) + self.of(e["fallback"])
            case "if":
                return self.of(e["then"]) + self.of(e["else"])
            case "object":
                return [((k, *s), src) for k, v in e["fields"].items() for s, src in self.of(v)]
            case "array":
                return [((ANY, *s), src) for v in e["items"] for s, src in self.of(v)]
            case "get":
                return list(self._elements(e))
            case "call_extern":
                return self._call(e)
            case _:
                return []

    def twice(self, e: Op) -> Iterator[tuple[Access, Access]]:
        """Yield where a new table holds one and the same table twice."""
        if e["op"] in ("if", "default"):
            for name in ("then", "else", "arg", "fallback"):
                yield from self.twice(e[name]) if name in e else ()
            return
        for inside, value in _members(e):
            yield from (((*inside, *a), (*inside, *b)) for a, b in self.twice(value))
        before: dict[str, list[Ref]] = {}
        for part in _built(e):
            refs = self.of(part)
            for ref in refs:
                near = _near(ref, before)
                self._effort.spend(1 + len(near))
                yield from _both(ref, near)
            for ref in refs:
                before.setdefault(variable(ref[1]), []).append(ref)

    def thrown(self, e: Op) -> Iterator[Ref]:
        """Yield what the errors that an expression raises share with places.

        Lua hands a table that is raised over as it is; one that is raised again is the
        same table still.
        """
        self._effort.spend()
        if e["op"] == "fail" and "data" in e:
            yield from ((("data", *inside), source) for inside, source in self.of(e["data"]))
            for again in _raised_again(e["data"]):
                yield from self.of(again)
        for inner in _parts(e):
            yield from self.thrown(inner)

    def _scripted(self, value: Any) -> Iterator[Ref]:
        """Yield the tables of the script that stand in a literal."""
        if not isinstance(value, (dict, list)):
            return
        source = self._scripts.get(id(value))  # pyright: ignore[reportUnknownArgumentType]
        if source is not None:
            yield (), source
            return
        members: Mapping[str, Any] = value if isinstance(value, dict) else {}
        for name, member in members.items():
            yield from (((name, *inside), src) for inside, src in self._scripted(member))
        items: list[Any] = value if isinstance(value, list) else []
        for item in items:
            yield from (((ANY, *inside), src) for inside, src in self._scripted(item))

    def _elements(self, e: Op) -> Iterator[Ref]:
        known = ops.literal(e["key"])
        key = known[0] if known and isinstance(known[0], str) else ANY
        for inside, source in self.of(e["of"]):
            if not inside:
                yield (), (*source, key)
            elif inside[0] == key or ANY in (inside[0], key):
                yield inside[1:], source

    def _call(self, e: Op) -> list[Ref]:
        args: list[Op] = e["args"]
        if e["ref"] == "object.without" and args[0] == ops.path("$"):
            return [((), WHOLE)]
        if e["ref"] in _OF_FIRST:
            args = args[:1]
        if e["ref"] in _OF_FIRST or e["ref"] in _OF_ALL:
            return [_member(ref) for arg in args for ref in self.of(arg)]
        if e["ref"] == "json.decode" and args[0]["op"] == "concat":
            encoded = args[0]["args"][3]["args"][0]  # as ops.entry builds it
            return [((ANY, *inside), source) for inside, source in self.of(encoded)]
        return []


def _member(ref: Ref) -> Ref:
    """Return what members of a table that is built anew share with the old one."""
    inside, source = ref
    return (inside, source) if inside else ((ANY,), (*source, ANY))


def _built(e: Op) -> Iterator[Op]:
    """Yield the parts of a new table, each as a table of one member, that stand side by side."""
    match e["op"]:
        case "object":
            yield from (ops.obj({name: value}) for name, value in e["fields"].items())
        case "array":
            yield from (ops.array([value]) for value in e["items"])
        case "call_extern" if e["ref"] == "object.merge":
            yield from (one for one in e["args"] if one["op"] != "path")
        case _:
            return


def _members(e: Op) -> Iterator[tuple[Access, Op]]:
    match e["op"]:
        case "object":
            yield from (((name,), value) for name, value in e["fields"].items())
        case "array":
            yield from (((ANY,), value) for value in e["items"])
        case _:
            return


def _both(ref: Ref, others: list[Ref]) -> Iterator[tuple[Access, Access]]:
    """Yield where the one source stands, and where what is in it, or the same, stands too."""
    for one in others:
        upper, lower = (ref, one) if len(ref[1]) <= len(one[1]) else (one, ref)
        if begins(upper[1], lower[1]):
            yield upper[0] + lower[1][len(upper[1]) :], lower[0]


def _near(ref: Ref, before: Mapping[str, list[Ref]]) -> list[Ref]:
    """Return those before whose source may be that of *ref*."""
    name = variable(ref[1])
    near = list(before.get(name, ()))
    return near if name == ANY_FIELD else near + before.get(ANY_FIELD, [])


def _raised_again(data: Op) -> Iterator[Op]:
    """Yield the errors whose data is raised on."""
    match data["op"]:
        case "default":
            yield from _raised_again(data["arg"])
        case "if":
            yield from _raised_again(data["then"])
            yield from _raised_again(data["else"])
        case "get" if ops.literal(data["key"]) == ["data"]:
            yield data["of"]
        case _:
            return


def _parts(e: Op) -> Iterator[Op]:
    for name, inner in e.items():
        if name == "value" and e["op"] == "lit":
            continue
        if isinstance(inner, dict):
            members: dict[str, Any] = inner
            yield from [members] if "op" in members else members.values()
        elif isinstance(inner, list):
            items: list[Any] = inner
            yield from (one for one in items if isinstance(one, dict))
