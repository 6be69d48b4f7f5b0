"""The cases of a blueprint as a measure: `swarm test`, run over documents that nobody wrote.

A suite is the project's, beside its blueprint: what is proposed for a blueprint never
reaches what measures it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anyio import to_thread

from swarm.blueprint.printing import blueprint_script
from swarm.errors import Refused
from swarm.host.enhance import Cases
from swarm.lua.choice import ChosenScripts
from swarm.ports.scripts import ScriptRunner
from swarm.testing.runner import run_suite
from swarm.testing.suite import read_suite

__all__ = ("suite_cases",)


def suite_cases(
    suites: Mapping[str, Path],
    *,
    scripts: ScriptRunner | None = None,
    includes: Mapping[str, Path] | None = None,
) -> Cases:
    """Return what scores a document by the suite of its blueprint: 1 for a case that passes.

    Shape: *suites* are test scripts by the ids of blueprints; another blueprint has no cases.
    """
    runner = scripts or ChosenScripts()

    async def score(
        blueprint: str, document: Mapping[str, Any], files: Mapping[str, bytes]
    ) -> Mapping[str, float] | None:
        suite = suites.get(blueprint)
        if suite is None:
            return None
        named = Path((await read_suite(str(suite), runner)).blueprint)
        with tempfile.TemporaryDirectory(prefix="swarm-") as scratch:
            folder = Path(scratch)
            test = await to_thread.run_sync(_laid_out, folder, suite, named, document, files)
            found = await run_suite(str(test), runner, includes=includes)
        if found.mistakes:
            # A document that its own suite does not fit any more passes nothing of it.
            return {str(problem.code): 0.0 for problem in found.mistakes}
        return {one.case.name: float(one.verdict == "passed") for one in found.cases}

    return score


def _laid_out(
    folder: Path,
    suite: Path,
    named: Path,
    document: Mapping[str, Any],
    files: Mapping[str, bytes],
) -> Path:
    """Lay out a document under the name that its suite has for it, with all that is beside."""
    try:
        place = named.resolve().relative_to(suite.resolve().parent)
    except ValueError:
        said = f"{suite}: expected the suite of a blueprint beside it, or below"
        raise Refused("enhance.cases", said) from None
    root = (folder / place).parent
    for path, body in files.items():
        _write(root / path, body)
    golden = suite.parent / "golden"
    for file in golden.rglob("*") if golden.is_dir() else ():
        if file.is_file():
            _write(folder / "golden" / file.relative_to(golden), file.read_bytes())
    _write(folder / place, blueprint_script(document).encode())
    _write(folder / suite.name, suite.read_bytes())
    return folder / suite.name


def _write(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
