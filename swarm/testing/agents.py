"""Agents that answer what a test wrote down."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from flowir.errors import WorkerFailure
from flowir.wire import dump, load
from swarm.blueprint.agent import AgentSpec
from swarm.blueprint.canonical import digest_of
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.blueprint.contract import contracts_of
from swarm.ports.worker import Call, Outcome, StepLink, Worker

__all__ = ("Script", "ScriptedWorker", "scripted_blueprint", "worker_of")

Script: TypeAlias = Iterable[Any] | Callable[[Any], Any]


class ScriptedWorker:
    """Answers in the order written down, or as a function of the input says.

    >>> writer = ScriptedWorker(["first draft", ConnectionError("away"), "second draft"])
    >>> shouter = ScriptedWorker(lambda text: text.upper())

    Shape: an exception is raised, an Outcome is given as it is, anything else is the
    value of one; a function may be async. `calls` holds what was asked.
    """

    def __init__(self, script: Script) -> None:
        self.calls: list[Call] = []
        self._function = script if callable(script) else None
        self._answers = deque(() if callable(script) else script)

    async def __call__(self, call: Call, link: StepLink) -> Outcome:
        """Do the attempt and return its outcome."""
        self.calls.append(call)
        answer = self._next() if self._function is None else self._function(call.input)
        if inspect.isawaitable(answer):
            answer = await answer
        if isinstance(answer, BaseException):
            raise answer
        return answer if isinstance(answer, Outcome) else Outcome(answer)

    def _next(self) -> Any:
        if not self._answers:
            raise WorkerFailure(
                "scripted.exhausted",
                f"expected {len(self.calls) - 1} calls as written down, got one more",
                True,
            )
        return self._answers.popleft()


def scripted_blueprint(
    flow: Mapping[str, Any],
    agents: Mapping[str, Script | Worker],
    *,
    id: str = "scripted",
    settings: Mapping[str, Mapping[str, Any]] | None = None,
) -> CompiledBlueprint:
    """Make a blueprint of a flow in wire form whose agents are workers, or scripts of some.

    Shape: *settings* by agent, for those that the host itself reads (`timeout_s`, `verdict`).
    """
    loaded = load(dict(flow))
    given = settings or {}
    specs = {name: AgentSpec(name, "scripted", given.get(name, {})) for name in agents}
    listed = [{"name": s.name, "kind": s.kind, **s.settings} for s in specs.values()]
    document = {"swarm": 1, "id": id, "agents": listed, "flow": dump(loaded)}
    return CompiledBlueprint(
        id=id,
        document=document,
        digest=digest_of(document),
        flow=loaded,
        agents=specs,
        contracts=contracts_of(specs),
        workers={name: worker_of(agent) for name, agent in agents.items()},
        places={},
        sources={},
    )


def worker_of(agent: Any) -> Any:
    """Return a worker as it is, and a script as one: a worker takes a call and a link."""
    takes_link = callable(agent) and len(inspect.signature(agent).parameters) == 2
    return agent if takes_link else ScriptedWorker(agent)
