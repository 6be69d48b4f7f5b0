"""`swarm run --record`: what to hide of a run, and where its recording goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from swarm.blueprint.compiled import CompiledBlueprint
from swarm.cli.exits import WrongUse
from swarm.cli.programs import secret_values
from swarm.cli.project import Project, find_project
from swarm.core.run import ENDED
from swarm.errors import Refused
from swarm.host.run import Run
from swarm.middleware.secrets import Secrets
from swarm.testing.recording import recorded, write_recording
from swarm.workers.process.secrets import Redactor

__all__ = ("checked_file", "keep")


def checked_file(name: str) -> Path:
    """Return where a recording can be kept, before anything runs.

    Raises: WrongUse.
    """
    file = Path(name)
    if file.is_dir() or not file.absolute().parent.is_dir():
        raise WrongUse(f"--record: expected a file in a folder that is there, got {name!r}")
    return file


async def keep(run: Run, blueprint: CompiledBlueprint, name: str, file: Path) -> str | None:
    """Write the recording of a run that has ended; return why there is none."""
    if run.status not in ENDED:
        # The events of a run that rests do not end.
        said = f"expected a run that has ended, got one that is {run.status}"
        return f"nothing was recorded: recording.unended: {said}"
    events = [event async for event in run.events()]
    hide = _hiding(find_project(Path(name)), blueprint)
    try:
        write_recording(recorded(blueprint.flow, name, events, hide), file)
    except Refused as refused:
        return f"nothing was recorded: {refused.code}: {refused.message}"
    except OSError as error:
        return f"nothing was recorded: {file}: {(error.strerror or str(error)).lower()}"
    return None


def _hiding(project: Project, blueprint: CompiledBlueprint) -> Callable[[Any], Any]:
    """Return what takes the secrets out: those the project names, and what looks like one."""
    known = Redactor(secret_values(project.folder, project.secrets))
    params = list(_redact_params(project, blueprint))
    keys = [key for one in params for key in one.get("keys", ())]
    patterns = [pattern for one in params for pattern in one.get("patterns", ())]
    looks = Secrets(keys, patterns)
    return lambda value: looks.hidden(known.value(value))


def _redact_params(project: Project, blueprint: CompiledBlueprint) -> Iterator[Mapping[str, Any]]:
    """Yield what more the layers `redact` of the project and the blueprint take for secrets."""
    for layer in project.layers:
        if layer.get("use") == "redact":
            yield layer
    for uses in blueprint.layers.values():
        yield from (use.params for use in uses if use.key == "redact")
