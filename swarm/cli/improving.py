"""The loop of improvement as a project has it: its policy, its proposer, its cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from swarm.cli.exits import WrongUse
from swarm.cli.project import Project
from swarm.enhance.rules import propose as propose_by_rules
from swarm.host.enhance import Enhancer
from swarm.host.host import Host
from swarm.testing.cases import suite_cases

__all__ = ("enhancer_of",)


def enhancer_of(
    host: Host, project: Project, functions: Mapping[str, Callable[..., Any]]
) -> Enhancer:
    """Let a host that is not open yet improve its blueprints as `[enhance]` says.

    Raises: WrongUse; Refused (enhance.policy).
    """
    settings = dict(project.enhance)
    suites = settings.pop("cases", {})
    proposer = settings.pop("proposer", None)
    loop = settings.pop("loop", None)
    agents = settings.pop("agents", {})
    if not isinstance(agents, dict) or not all(isinstance(x, dict) for x in agents.values()):
        raise WrongUse(f"swarm.toml: enhance.agents: expected agents by name, got {agents!r}")
    if not isinstance(suites, dict) or not all(isinstance(x, str) for x in suites.values()):
        raise WrongUse(f"swarm.toml: enhance.cases: expected test scripts by id, got {suites!r}")
    if proposer is not None and proposer not in functions:
        raise WrongUse(f"swarm.toml: enhance.proposer: expected a function, got {proposer!r}")
    paths = {str(name): project.folder / path for name, path in suites.items()}
    return Enhancer(
        host,
        settings,
        proposer=propose_by_rules if proposer is None else functions[proposer],
        cases=suite_cases(paths, includes=project.includes) if paths else None,
        loop=None if loop is None else project.folder / loop,
        agents=agents,
    )
