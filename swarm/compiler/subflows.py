"""Agents of kind `flow`: the blueprints that they name, put into the document.

A blueprint is named by the path of its file, below the folder of the one that names it.
Its canonical document and digest go into the agent: the digest of the whole covers them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

from flowir.errors import Problem, shorten
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.blueprint.places import inside
from swarm.blueprint.shapes import is_array, is_object
from swarm.compiler.source import SUFFIXES
from swarm.errors import BlueprintInvalid

__all__ = ("DEPTH", "Embedder", "Loader")

# How many blueprints deep a run may go, the outermost not counted.
DEPTH = 8

Loader: TypeAlias = Callable[[Path, tuple[Path, ...]], Awaitable[CompiledBlueprint]]


class _Refused(Exception):
    """Why a name leads to no blueprint: code, sentence, hint."""


class Embedder:
    """Resolves the `flow` agents of one document.

    *above* are the files of the blueprints on the way to this one, itself last; *load*
    compiles a file below them.
    """

    def __init__(self, folder: Path, above: tuple[Path, ...], load: Loader) -> None:
        self._folder = folder.resolve()
        self._above = above
        self._load = load

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
            path = self._path(agent["blueprint"])
            child = await self._load(path, self._above)
        except _Refused as refused:
            code, sentence, hint = refused.args
            found.append(Problem(code, place, sentence, hint))
            return agent
        except BlueprintInvalid as error:
            found += _within(agent["blueprint"], error, place)
            return agent
        return {**agent, "document": child.document, "digest": child.digest}

    def _path(self, name: Any) -> Path:
        if not isinstance(name, str) or not name:
            said = f"expected the path of a blueprint, got {shorten(name)}"
            raise _Refused("flow.path", said, None)
        if not name.endswith(SUFFIXES):
            said = f"expected the path of a blueprint's file, got {name!r}"
            hint = "versions from a store of blueprints are not to be had here yet"
            raise _Refused("flow.unavailable", said, hint)
        path = (self._folder / name).resolve()
        if not path.is_relative_to(self._folder):
            said = f"expected a file below the blueprint's own folder, got {name!r}"
            raise _Refused("flow.path", said, None)
        if path in self._above:
            way = " -> ".join(p.name for p in (*self._above[self._above.index(path) :], path))
            raise _Refused("flow.cycle", f"expected no circle, got {way}", None)
        if len(self._above) > DEPTH:
            said = f"expected at most {DEPTH} blueprints within each other, got one more"
            raise _Refused("flow.depth", said, None)
        return path


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
