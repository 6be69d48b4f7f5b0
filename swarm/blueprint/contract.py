"""What an agent promises of its steps: what goes in, what comes out, and its verdict.

Held against every attempt, whatever kind of worker does it, by `swarm.core.answers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from swarm.blueprint.agent import AgentSpec
from swarm.blueprint.fitting import Fitter
from swarm.blueprint.shapes import is_object
from swarm.blueprint.verdicts import word_fault

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

    def input(self, value: Any, *, purse: list[int] | None = None) -> Breach | None:
        """Return why a step may not ask this of the agent, if it may not.

        Shape: with a *purse*, as `Fitter.misfit` takes it, parts are `UNKNOWN` yet. The same
        input does not fit the next time either.
        """
        found = None if self._input is None else self._input.misfit(value, purse=purse)
        return None if found is None else self._breach("input", found.at, found.message, found.hint)

    def answer(self, value: Any) -> Breach | None:
        """Return why this is no answer of the agent, if it is none; another attempt may be."""
        at, word = "$", value
        if self._verdict and is_object(value):
            at, word = "$.verdict", value.get("verdict")
        if self._verdict and word not in self._verdict:
            return self._breach("verdict", at, *word_fault(word, self._verdict))
        found = None if self._output is None else self._output.misfit(value)
        return (
            None if found is None else self._breach("output", found.at, found.message, found.hint)
        )

    def _breach(self, what: str, at: str, sentence: str, hint: str | None) -> Breach:
        noun = "input" if what == "input" else "answer"
        place = "" if at == "$" else f" at {at}"
        more = f" — {hint}" if hint else ""
        said = f"the {noun} of {self._name!r}{place}: {sentence}{more}"
        return Breach(f"agent.{what}", said, what == "input", at)


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
