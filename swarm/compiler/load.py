"""Load a blueprint from a file or an object, by its form."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from anyio import to_thread

from flowir.errors import Problem as Finding
from flowir.syntax import one_newline
from swarm.blueprint.author import RETURNED, lower
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.blueprint.document import Written, admit_document, read_json, read_yaml
from swarm.blueprint.frozen import FrozenObject, thawed
from swarm.compiler.compile import compile_document
from swarm.compiler.plain import plain_of
from swarm.compiler.references import Gathered, gathered
from swarm.compiler.registry import Registry
from swarm.compiler.scripts import agent_places
from swarm.compiler.shelf import Shelf
from swarm.compiler.source import read_source
from swarm.compiler.subflows import Embedder, Versions
from swarm.errors import BlueprintInvalid, Place, Problem, ScriptFailed
from swarm.ports.scripts import Script
from swarm.ports.worker import Toolbox

__all__ = ("Source", "load_blueprint")

Source: TypeAlias = str | os.PathLike[str] | Mapping[str, Any]


async def load_blueprint(
    source: Source, *, registry: Registry, tools: Toolbox, versions: Versions | None = None
) -> CompiledBlueprint:
    """Load and compile a blueprint: a `.lua`, `.json`, `.yaml` or `.yml` file, or a document.

    Shape: files appear in problems as they were given. The folder of a file stands for
    the one in *tools*. Blueprints that it names as agents are loaded with it: files, and
    through *versions* those that a store of versions has.
    Raises: BlueprintInvalid, with every problem; a file that cannot be read is one.
    """
    loader = _Loader(registry, tools, versions)
    if isinstance(source, (str, os.PathLike)):
        return await loader.load(os.fspath(source), ())
    if isinstance(source, FrozenObject):
        source = thawed(source)
    # What is no document at all is refused as one.
    written = admit_document(dict(source) if isinstance(source, Mapping) else source)  # pyright: ignore[reportUnnecessaryIsInstance] - callers are not all checked
    return await loader.compiled(written, tools, (), None)


class _Loader:
    """Loads one blueprint, and those that it names; *above* are the files on the way."""

    def __init__(self, registry: Registry, tools: Toolbox, versions: Versions | None) -> None:
        self._registry = registry
        self._tools = tools
        self._versions = versions

    async def load(self, file: str, above: tuple[Path, ...]) -> CompiledBlueprint:
        """Load a file."""
        text = await to_thread.run_sync(read_source, file)
        folder = Path(file).parent
        tools = replace(self._tools, folder=folder.absolute())
        above = (*above, _located(file))
        if file.endswith(".lua"):
            return await self._lua(file, text, folder, tools, above)
        read = read_json if file.endswith(".json") else read_yaml
        text = one_newline(text)
        written = read(text, file=file)
        return await self.compiled(written, tools, above, folder, sources={file: text}, file=file)

    async def compiled(
        self,
        written: Written,
        tools: Toolbox,
        above: tuple[Path, ...],
        folder: Path | None,
        **more: Any,
    ) -> CompiledBlueprint:
        """Compile a document as it was read; without a *folder* it may name no files."""
        places = written.places
        written_in = tuple(more.get("sources", ()))
        named = await self._named(written.document, folder, places, written_in)
        document, found = await self._embedded(named, tools, above)
        return compile_document(
            document, places, registry=self._registry, tools=tools, found=found, named=named, **more
        )

    async def _lua(
        self, file: str, text: str, folder: Path, tools: Toolbox, above: tuple[Path, ...]
    ) -> CompiledBlueprint:
        required: set[str] = set()
        try:
            authored = await tools.scripts.author(
                Script(file, text), folder=folder, required=required.add
            )
        except ScriptFailed as e:
            # Builders let no function pass: what holds one is no blueprint.
            hint = RETURNED if e.code == "script.result" and e.bare.endswith(" function") else None
            problem = Problem(e.code, e.bare, e.where or Place(file), hint=hint)
            raise BlueprintInvalid([problem]) from e
        plain = plain_of(authored)
        lowered = lower(authored if plain is None else plain.authored, file=file)
        sources = {file: one_newline(text), **await to_thread.run_sync(_modules, required - {file})}
        refused: list[Problem] = []
        if plain is not None:
            flow = await to_thread.run_sync(plain.lowered, sources)
            lowered, refused = plain.placed(flow, lowered), plain.problems(flow)
        places = agent_places(lowered, sources)
        named = await self._named(lowered.document, folder, places, tuple(sources))
        document, found = await self._embedded(named, tools, above)
        with _together(refused):
            return compile_document(
                document,
                places,
                registry=self._registry,
                tools=tools,
                sources=sources,
                builders=lowered.builders,
                found=[*lowered.problems, *found],
                told=lowered.told,
                named=named,
                file=file,
            )

    async def _named(
        self,
        document: Any,
        folder: Path | None,
        places: Mapping[str, Place],
        written_in: Sequence[str],
    ) -> Gathered:
        shelf = Shelf(folder, self._tools.includes)

        def gather() -> Gathered:
            made = gathered(document, shelf, self._registry, places)
            made.files |= _digests(written_in, folder)
            return made

        return await to_thread.run_sync(gather)

    async def _embedded(
        self, named: Gathered, tools: Toolbox, above: tuple[Path, ...]
    ) -> tuple[Any, list[Finding]]:
        """Put in the blueprints that are named as agents; their files are files of this one."""
        folder = tools.folder or Path.cwd()
        embedder = Embedder(folder, above, self._within, self._versions)
        embedded = await embedder.embedded(named.document)
        named.files |= embedder.files
        return embedded

    async def _within(self, path: Path, above: tuple[Path, ...]) -> CompiledBlueprint:
        return await self.load(str(path), above)


def _located(file: str) -> Path:
    return Path(file).resolve()


@contextmanager
def _together(refused: Sequence[Problem]) -> Generator[None]:
    """Tell what is wrong with the rest together with what was refused of the flow.

    Agents are not unused where the flow that asks them could not be read.
    """
    try:
        yield
    except BlueprintInvalid as e:
        if not refused:
            raise
        others = [problem for problem in e.problems if problem.code != "agent.unused"]
        problems = sorted([*refused, *others], key=lambda one: one.where.line or 0)
        raise BlueprintInvalid(problems) from e
    if refused:
        raise BlueprintInvalid(refused)


def _digests(files: Iterable[str], folder: Path | None) -> dict[str, str]:
    """Return the digests of what a blueprint is written in, by the way from its folder."""
    found: dict[str, str] = {}
    for file in files:
        with suppress(OSError):
            data = Path(file).read_bytes()
            found[os.path.relpath(file, folder or ".")] = hashlib.sha256(data).hexdigest()
    return found


def _modules(files: Iterable[str]) -> dict[str, str]:
    """Read the modules that a script required; one that has gone meanwhile has no text."""
    found: dict[str, str] = {}
    for file in sorted(files):
        try:
            found[file] = one_newline(read_source(file))
        except BlueprintInvalid:
            continue
    return found
