"""The mistakes of a test script, without a run of it: for `swarm check`."""

from __future__ import annotations

from pathlib import Path

from swarm.cli.project import find_project
from swarm.errors import BlueprintInvalid, Problem
from swarm.lua.choice import ChosenScripts
from swarm.testing.runner import Rehearsals
from swarm.testing.suite import SuiteInvalid

__all__ = ("mistakes_of",)


async def mistakes_of(file: str) -> tuple[Problem, ...]:
    """Return what is wrong with a test script, or with its blueprint."""
    scripts = ChosenScripts()
    try:
        await Rehearsals.open(file, scripts, includes=find_project(Path(file)).includes)
    except (SuiteInvalid, BlueprintInvalid) as e:
        return e.problems
    finally:
        await scripts.aclose()
    return ()
