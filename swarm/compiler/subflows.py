"""Agents of kind `flow`: the blueprints that they name, put into the document.

A blueprint is named by the path of its file, below the folder of the one that names it,
or as a version of the store (`research@^1.2`), which is looked up once, here.
Its canonical document and digest go into the agent: the digest of the whole covers them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

from flowir.errors import Problem, shorten
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.blueprint.frozen import thawed
from swarm.blueprint.places import inside
from swarm.blueprint.shapes import is_array, is_object
from swarm.compiler.source import is_file_name
from swarm.errors import BlueprintInvalid, Refused

__all__ = ("DEPTH", "Embedder", "Loader", "Versions")

# How many blueprints deep a run may go, the outermost not counted.
DEPTH = 8

Loader: TypeAlias = Callable[[Path, tuple[Path, ...]], Awaitable[CompiledBlueprint]]
Versions: TypeAlias = Callable[[str], Awaitable[CompiledBlueprint]]


class _Refused(Exception):
    """Why a name leads to no blueprint: code, sentence, hint."""


class Embedder:
    """Resolves the `flow` agents of one document.

    *above* are the files of the blueprints on the way to this one, itself last; *load*
    compiles a file below them, *versions* what a store has by that name. `files` has the
    digests of what they are made of, by the way from the folder.
    """

    def __init__(
        self,
        folder: Path,
        above: tuple[Path, ...],
        load: Loader,
        versions: Versions | None = None,
    ) -> None:
        self._folder = folder.resolve()
        self._above = above
        self._load = load
        self._versions = versions
        self.files: dict[str, str] = {}

    async def embedded(self, document: Any) -> tuple[Any, list[Problem]]:
        """Return the document with what its agents name, and what could not be found."""
        agents: Any = document.get("agents") if is_object(document) else None
        if not is_array(agents) or not any(map(_is_open, agents)):
            return document, []
        found: list[Problem] = []
        resolved = [
            await self._agent(agent, inside("$.agents", i), found) if _is_open(agent) else agent
            for i, agent in enumerate(agents)
        ]
        return {**document, "agents": resolved}, found

    async def _agent(self, agent: Any, at: str, found: list[Problem]) -> Any:
        place = inside(at, "blueprint")
        try:
            child = await self._child(agent["blueprint"])
        except _Refused as refused:
            code, sentence, hint = refused.args
            found.append(Problem(code, place, sentence, hint))
            return agent
        except BlueprintInvalid as error:
            found += _within(agent["blueprint"], error, place)
            return agent
        return {**agent, "document": thawed(child.document), "digest": child.digest}

    async def _child(self, name: Any) -> CompiledBlueprint:
        if not isinstance(name, str) or not name:
            said = f"expected the path of a blueprint, or its id in the store, got {shorten(name)}"
            raise _Refused("flow.path", said, None)
        if is_file_name(name):
            child = await self._load(self._path(name), self._above)
            below = PurePosixPath(name).parent
            self.files |= {str(below / file): digest for file, digest in child.files.items()}
            return child
        if self._versions is None:
            said = f"expected the path of a blueprint's file, got {name!r}"
            raise _Refused("flow.unavailable", said, "there is no store of blueprints here")
        if len(self._above) > DEPTH:
            raise _too_deep()
        try:
            return await self._versions(name)
        except Refused as error:
            raise _Refused("flow.version", error.message, None) from error

    def _path(self, name: str) -> Path:
        path = (self._folder / name).resolve()
        if not path.is_relative_to(self._folder):
            said = f"expected a file below the blueprint's own folder, got {name!r}"
            raise _Refused("flow.path", said, None)
        if path in self._above:
            way = " -> ".join(p.name for p in (*self._above[self._above.index(path) :], path))
            raise _Refused("flow.cycle", f"expected no circle, got {way}", None)
        if len(self._above) > DEPTH:
            raise _too_deep()
        return path


def _too_deep() -> _Refused:
    said = f"expected at most {DEPTH} blueprints within each other, got one more"
    return _Refused("flow.depth", said, None)


def _is_open(agent: Any) -> bool:
    """Tell whether an agent names a blueprint that is not in the document yet."""
    return (
        is_object(agent)
        and agent.get("kind") == "flow"
        and "blueprint" in agent
        and "document" not in agent
    )


def _within(name: str, error: BlueprintInvalid, place: str) -> list[Problem]:
    """Return the problems of a blueprint as problems of who names it.

    A circle, or too great a depth, is told of as what it is, however far within.
    """
    found: list[Problem] = []
    for problem in error.problems:
        code = problem.code if problem.code in ("flow.cycle", "flow.depth") else "flow.invalid"
        said = problem.message if code == problem.code else f"{name!r}: {problem}"
        found.append(Problem(code, place, said))
    return found
