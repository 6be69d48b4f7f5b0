"""What an agent promises of its steps: what goes in, what comes out, and its verdict.

Held against every attempt, whatever kind of worker does it, by `swarm.core.answers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from swarm.blueprint.agent import AgentSpec
from swarm.blueprint.fitting import Fitter
from swarm.blueprint.shapes import is_object
from swarm.blueprint.verdicts import not_a_word

__all__ = ("Breach", "Contract", "contract_of", "contracts_of")


class Breach(NamedTuple):
    """How an attempt broke its agent's contract, as its failure tells it."""

    code: str
    message: str
    permanent: bool
    at: str


class Contract:
    """One agent's promises; at least one is made.

    >>> contract = Contract(AgentSpec("editor", "lua", {"verdict": ["PASS", "BLOCKED"]}))
    >>> contract.answer({"verdict": "PAS"}).message
    "the answer of 'editor' at $.verdict: expected 'BLOCKED' or 'PASS', got 'PAS' — \
did you mean 'PASS'?"
    """

    __slots__ = ("_input", "_name", "_output", "_verdict")

    def __init__(self, spec: AgentSpec) -> None:
        self._name = spec.name
        self._verdict = spec.verdict
        self._input = _fitter(spec, "input_schema")
        self._output = _fitter(spec, "output_schema")

    def input(self, value: Any) -> Breach | None:
        """Return why a step may not ask this of the agent, if it may not.

        The same input does not fit the next time either.
        """
        return self._misfit(self._input, value, "input", permanent=True)

    def answer(self, value: Any) -> Breach | None:
        """Return why this is no answer of the agent, if it is none; another attempt may be."""
        at, word = "$", value
        if self._verdict and is_object(value):
            at, word = "$.verdict", value.get("verdict")
        if self._verdict and word not in self._verdict:
            said = not_a_word(word, self._verdict)
            place = "" if at == "$" else f" at {at}"
            said = f"the answer of {self._name!r}{place}: {said}"
            return Breach("agent.verdict", said, False, at)
        return self._misfit(self._output, value, "output", permanent=False)

    def _misfit(
        self, fitter: Fitter | None, value: Any, what: str, *, permanent: bool
    ) -> Breach | None:
        found = None if fitter is None else fitter.misfit(value)
        if found is None:
            return None
        place = "" if found.at == "$" else f" at {found.at}"
        hint = f" — {found.hint}" if found.hint else ""
        noun = "answer" if what == "output" else what
        said = f"the {noun} of {self._name!r}{place}: {found.message}{hint}"
        return Breach(f"agent.{what}", said, permanent, found.at)


def contract_of(spec: AgentSpec) -> Contract | None:
    """Return what an agent promises; None: nothing."""
    promised = ("verdict", "input_schema", "output_schema")
    return Contract(spec) if any(name in spec.settings for name in promised) else None


def contracts_of(agents: Mapping[str, AgentSpec]) -> dict[str, Contract]:
    """Return the contracts of those agents that promise something, by name."""
    found = {name: contract_of(spec) for name, spec in agents.items()}
    return {name: contract for name, contract in found.items() if contract is not None}


def _fitter(spec: AgentSpec, name: str) -> Fitter | None:
    return Fitter(spec.settings[name]) if name in spec.settings else None
