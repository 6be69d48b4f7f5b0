"""What a document names by file: texts, agents in Markdown, and the files its processes need.

    {"$file": "prompts/tone.txt"}            a text, where a text may stand
    {"$agent_md": "agents/reviewer.md"}      an agent, in the list of agents
    "files": ["tools/*.py"]                  what its processes read or run

All of it is put into the document, before it is compiled: the texts and agents themselves,
and of the other files the digests. A run never depends on what becomes of the files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any

from flowir.errors import Problem, shorten
from flowir.limits import DEFAULT_LIMITS
from flowir.records import dataclass
from flowir.values import private_copy
from swarm.blueprint.agent_file import AgentFileRefused, read_agent_file
from swarm.blueprint.places import inside
from swarm.blueprint.shapes import is_array, is_object
from swarm.compiler.blame import PlacedFinding
from swarm.compiler.globs import Globs
from swarm.compiler.registry import Registry
from swarm.compiler.shelf import FileRefused, Read, Shelf
from swarm.errors import Place

__all__ = ("Gathered", "gathered")

_FILE, _AGENT = "$file", "$agent_md"
_REFERENCES = (_FILE, _AGENT)
_TEXT_BYTES = 256 * 1024
# Of all that is put into one document: it must stay readable as one.
_ALL_BYTES = DEFAULT_LIMITS.document_bytes // 2
_MOST = 1_000
# Where texts may stand; a flow's come as expressions.
_TEXTS = ("agents", "description", "flow")
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(slots=True)
class Gathered:
    """A document with all that it names, and where that came from.

    Shape: `places` are the lines of what agents' files say; `listed` those on which their
    agents are listed; `texts` the files of texts, by place; `sources` the text of each file;
    `files` the digest of each, by the name the author has for it; `told` are places whose
    absence is in `found`.
    """

    document: Any
    found: list[Problem] = field(default_factory=list[Problem])
    places: dict[str, Place] = field(default_factory=dict[str, Place])
    listed: dict[str, Place | None] = field(default_factory=dict[str, "Place | None"])
    texts: dict[str, str] = field(default_factory=dict[str, str])
    sources: dict[str, str] = field(default_factory=dict[str, str])
    files: dict[str, str] = field(default_factory=dict[str, str])
    told: set[str] = field(default_factory=set[str])


def gathered(
    document: Any, shelf: Shelf, registry: Registry, places: Mapping[str, Place] = _NOTHING
) -> Gathered:
    """Return *document* with what it names put in; files are read here and now."""
    made = Gathered(document)
    if is_object(document) and ("files" in document or _names_any(document)):
        made.document = private_copy(document)
        _Gatherer(made, shelf, registry, places).gather()
    return made


def _names_any(document: Mapping[str, Any]) -> bool:
    return next(_references(document), None) is not None


@dataclass(frozen=True, slots=True)
class _Spot:
    """One value of a document: what holds it, under which key, and its place there."""

    holder: Any
    key: str | int
    at: str
    in_flow: bool

    @property
    def value(self) -> Any:
        return self.holder[self.key]

    def put(self, value: Any) -> None:
        self.holder[self.key] = value

    def within(self) -> Iterator[_Spot]:
        value: Any = self.value
        if is_object(value):
            names = [n for n in value if not (self.in_flow and _is_literal(value) and n == "value")]
        else:
            names = range(len(value)) if is_array(value) else ()
        for name in names:
            yield _Spot(value, name, inside(self.at, name), self.in_flow)


def _is_literal(value: Mapping[str, Any]) -> bool:
    return value.get("op") == "lit"


def _references(document: Mapping[str, Any]) -> Iterator[_Spot]:
    """Yield what names a file, in the order of the document, and what is put in meanwhile."""
    todo = [_Spot(document, n, inside("$", n), n == "flow") for n in _TEXTS if n in document]
    todo.reverse()
    while todo:
        spot = todo.pop()
        if is_object(spot.value) and any(name in spot.value for name in _REFERENCES):
            yield spot
            continue
        todo += reversed(list(spot.within()))


class _Gatherer:
    def __init__(
        self, made: Gathered, shelf: Shelf, registry: Registry, places: Mapping[str, Place]
    ) -> None:
        self._made = made
        self._shelf = shelf
        self._registry = registry
        self._places = places
        self._names: dict[str, str] = {}
        self._left = _ALL_BYTES
        self._count = 0

    def gather(self) -> None:
        document = self._made.document
        for spot in _references(document):
            self._reference(spot, "")
        if self._names:
            self._rename(document.get("flow"))
        if "files" in document:
            globs = Globs(self._shelf, self._made.found)
            document["files"] = globs.digests(document["files"])
            if is_object(document["files"]):
                self._made.files |= document["files"]

    def _reference(self, spot: _Spot, prefix: str) -> None:
        """Put in what one reference names; *prefix* is the include of who names it."""
        word = next(name for name in _REFERENCES if name in spot.value)
        beside = next((name for name in spot.value if name != word), None)
        name = spot.value[word]
        if beside is not None:
            said = f"expected {word!r} alone, got {beside!r} beside it"
            self._refuse(spot, FileRefused("file.reference", said))
        elif word == _AGENT and not _is_listed(spot):
            said = f"expected an agent's file in the list of agents, got {shorten(name)} here"
            self._refuse(spot, FileRefused("file.reference", said))
        elif word == _AGENT:
            self._agent(spot, name)
        else:
            self._text(spot, _prefixed(name, prefix))

    def _read(self, name: Any) -> tuple[Read, str]:
        self._count += 1
        if self._count > _MOST:
            said = f"expected at most {_MOST} names of files in a blueprint, got more"
            raise FileRefused("file.too_large", said)
        read = self._shelf.read(name, _TEXT_BYTES)
        self._left -= len(read.data)
        if self._left < 0:
            said = f"expected at most {_ALL_BYTES} bytes of files in a blueprint, got more"
            raise FileRefused("file.too_large", said)
        self._made.files[name] = read.digest
        return read, read.text()

    def _text(self, spot: _Spot, name: Any) -> None:
        try:
            read, text = self._read(name)
        except FileRefused as refused:
            self._refuse(spot, refused)
            return
        self._made.texts[spot.at] = read.shown
        spot.put({"op": "lit", "value": text} if spot.in_flow else text)

    def _agent(self, spot: _Spot, name: Any) -> None:
        made, at = self._made, spot.at
        made.listed[at] = self._places.get(at)
        stem = (
            PurePosixPath(name.rpartition(":")[2]).stem[:63] if isinstance(name, str) else "unknown"
        )
        if isinstance(name, str):
            self._names.setdefault(name, stem)
        try:
            read, text = self._read(name)
        except FileRefused as refused:
            self._refuse(spot, refused)
            self._stand_in(spot, stem)
            return
        made.sources[read.shown] = text
        try:
            file = read_agent_file(text)
        except AgentFileRefused as refused:
            where = Place(read.shown, refused.line)
            told = ("agent.front_matter", at, refused.sentence, refused.hint)
            made.found.append(PlacedFinding(*told, where))
            self._stand_in(spot, stem)
            return
        kind = file.front.get("kind")
        factory = self._registry.get(kind) if isinstance(kind, str) else None
        settings, lines, found = file.agent(stem, None if factory is None else factory.fields)
        spot.put(settings)
        made.places |= {at + place[1:]: Place(read.shown, line) for place, line in lines.items()}
        for problem in found:
            made.found.append(
                Problem(problem.code, at + problem.at[1:], problem.message, problem.hint)
            )
        if isinstance(settings["name"], str):
            self._names[name] = settings["name"]
        prefix = name[: name.index(":") + 1] if ":" in name else ""
        for inner in _references({"agents": settings}):
            held = _Spot(inner.holder, inner.key, at + inner.at[len("$.agents") :], False)
            self._reference(held, prefix)

    def _stand_in(self, spot: _Spot, stem: str) -> None:
        """Put an agent that has no problems of its own where one could not be read."""
        spot.put({"name": stem, "kind": "unknown"})
        # Its name may be another: who is asked is not known.
        self._made.told |= {inside(spot.at, "kind"), inside(spot.at, "name"), "$.agents"}

    def _refuse(self, spot: _Spot, refused: FileRefused) -> None:
        told = (refused.code, spot.at, refused.sentence, refused.hint)
        where = refused.where
        self._made.found.append(Problem(*told) if where is None else PlacedFinding(*told, where))
        spot.put({"op": "lit", "value": ""} if spot.in_flow else "")
        self._made.told.add(spot.at)

    def _rename(self, flow: Any) -> None:
        """Name the agents of steps that go by the path of their agent's file."""
        agents: Any = self._made.document.get("agents")
        given = [agent.get("name") for agent in agents if is_object(agent)]
        names = {name for name in given if isinstance(name, str)}
        todo = [_Spot({"flow": flow}, "flow", "$", True)]
        while todo:
            spot = todo.pop()
            node = spot.value
            ref = node.get("ref") if is_object(node) and node.get("kind") == "step" else None
            if isinstance(ref, str) and ref not in names and ref in self._names:
                node["ref"] = self._names[ref]
            todo += spot.within()


def _is_listed(spot: _Spot) -> bool:
    return isinstance(spot.key, int) and spot.at == inside("$.agents", spot.key)


def _prefixed(name: Any, prefix: str) -> Any:
    """Look for what an agent's file names in the folder that the agent's file is below."""
    return prefix + name if isinstance(name, str) and ":" not in name else name
