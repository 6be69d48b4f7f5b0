"""Load a blueprint from a file or an object, by its form."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from anyio import to_thread

from swarm.blueprint.author import lower
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.blueprint.document import Written, admit_document, read_json, read_yaml
from swarm.compiler.compile import compile_document
from swarm.compiler.registry import Registry
from swarm.compiler.scripts import agent_places
from swarm.compiler.source import read_source
from swarm.errors import BlueprintInvalid, Place, Problem, ScriptFailed
from swarm.ports.scripts import Script
from swarm.ports.worker import Toolbox

__all__ = ("Source", "load_blueprint")

Source: TypeAlias = str | os.PathLike[str] | Mapping[str, Any]


async def load_blueprint(
    source: Source, *, registry: Registry, tools: Toolbox
) -> CompiledBlueprint:
    """Load and compile a blueprint: a `.lua`, `.json`, `.yaml` or `.yml` file, or a document.

    Shape: files appear in problems as they were given. The folder of a file stands for
    the one in *tools*.
    Raises: BlueprintInvalid, with every problem; a file that cannot be read is one.
    """
    if isinstance(source, Mapping):
        written = admit_document(dict(source))
        return compile_document(written.document, registry=registry, tools=tools)
    file = os.fspath(source)
    text = await to_thread.run_sync(read_source, file)
    folder = Path(file).parent
    tools = replace(tools, folder=folder.absolute())
    if file.endswith(".lua"):
        return await _load_lua(file, text, folder, registry=registry, tools=tools)
    read = read_json if file.endswith(".json") else read_yaml
    written = read(text, file=file)
    return _compiled(written, file, text, registry=registry, tools=tools)


def _compiled(
    written: Written, file: str, text: str, *, registry: Registry, tools: Toolbox
) -> CompiledBlueprint:
    return compile_document(
        written.document,
        written.places,
        registry=registry,
        tools=tools,
        sources={file: text},
        file=file,
    )


async def _load_lua(
    file: str, text: str, folder: Path, *, registry: Registry, tools: Toolbox
) -> CompiledBlueprint:
    try:
        authored = await tools.scripts.author(Script(file, text), folder=folder)
    except ScriptFailed as e:
        problem = Problem(e.code, e.bare, e.where or Place(file))
        raise BlueprintInvalid([problem]) from e
    lowered = lower(authored, file=file)
    modules = {place.file for place in lowered.places.values()} - {file}
    sources = {file: text, **await to_thread.run_sync(_modules, modules)}
    return compile_document(
        lowered.document,
        agent_places(lowered, sources),
        registry=registry,
        tools=tools,
        sources=sources,
        builders=lowered.builders,
        found=lowered.problems,
        told=lowered.told,
        file=file,
    )


def _modules(files: Iterable[str]) -> dict[str, str]:
    """Read the modules that a script required; one that has gone meanwhile has no text."""
    found: dict[str, str] = {}
    for file in sorted(files):
        try:
            found[file] = read_source(file)
        except BlueprintInvalid:
            continue
    return found
