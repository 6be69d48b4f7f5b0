"""Agents of kind `human`: a person does the step, by answering a question.

The step's input is what the question is about. Without a schema, an agent's verdicts are
the answers it takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, Final, cast

from flowir.errors import WorkerFailure, shorten
from swarm.blueprint.agent import AgentSpec
from swarm.blueprint.shapes import is_object
from swarm.blueprint.words import suggest
from swarm.core.questions import faults
from swarm.ports.questions import Ask
from swarm.ports.worker import Call, FieldProblem, Outcome, StepLink, Toolbox

__all__ = ("HumanFactory", "HumanWorker", "ask_of", "question_of")

_SETTINGS: Final = frozenset(f.name for f in fields(Ask)) - {"prompt"}


class HumanWorker:
    """Asks one question for each attempt; the answer to it is the step's."""

    def __init__(self, agent: AgentSpec) -> None:
        self._agent = agent

    async def __call__(self, call: Call, link: StepLink) -> Outcome:
        """Do the attempt and return its outcome."""
        return Outcome(await link.ask(question_of(self._agent, call.input)))


class HumanFactory:
    """Makes the workers of agents of kind `human`."""

    kind = "human"
    fields = _SETTINGS - {"input"} | {"prompt"}
    required = frozenset[str]()

    def problems(self, agent: AgentSpec, tools: Toolbox) -> Iterable[FieldProblem]:
        """Find a question that nobody could answer as it says."""
        prompt = agent.settings.get("prompt", "")
        if not isinstance(prompt, str):
            said = f"expected the question as a string, got {shorten(prompt)}"
            yield FieldProblem("question.malformed", "prompt", said)
        for field, sentence in faults(question_of(agent, None)):
            yield FieldProblem("question.malformed", field, sentence)

    def build(self, agent: AgentSpec, tools: Toolbox) -> HumanWorker:
        """Make the worker of an agent without problems."""
        return HumanWorker(agent)


def ask_of(prompt: Any, settings: Any) -> Ask:
    """Make a question of what a script says: a text, and a table of settings or nothing.

    Raises: WorkerFailure (question.malformed, permanent).
    """
    if not isinstance(prompt, str):
        raise _malformed(f"expected the question as a string, got {shorten(prompt)}")
    given: Any = {} if settings is None else settings
    if not is_object(given):
        raise _malformed(f"expected a table of settings, got {shorten(settings)}")
    unknown = sorted(given.keys() - _SETTINGS)
    if unknown:
        said = f"expected a setting of a question, got {unknown[0]!r}"
        hint = suggest(unknown[0], _SETTINGS)
        raise _malformed(f"{said} — {hint}" if hint else said)
    return Ask(prompt, **cast("Mapping[str, Any]", given))


def question_of(agent: AgentSpec, input: Any) -> Ask:
    """Return what an agent of this kind asks about *input*."""
    settings = {name: agent.settings[name] for name in _SETTINGS if name in agent.settings}
    verdicts = agent.settings.get("verdict")
    if verdicts and "schema" not in settings:
        settings["schema"] = {"enum": verdicts}
    words = (agent.settings.get("prompt"), agent.instructions, agent.description, agent.name)
    prompt = next(word for word in words if word)
    return Ask(prompt, **{**settings, "input": input})


def _malformed(sentence: str) -> WorkerFailure:
    return WorkerFailure("question.malformed", f"swarm.ask: {sentence}", True)
