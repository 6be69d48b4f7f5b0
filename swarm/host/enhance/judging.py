"""Verdicts on changes, and the decision that follows from them and the policy."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import anyio

from swarm.blueprint.canonical import canonical_bytes
from swarm.blueprint.difference import compare
from swarm.blueprint.frozen import thawed
from swarm.enhance.changes import kinds_of
from swarm.enhance.policy import AUTHOR, Decision, History, decide
from swarm.enhance.verdicts import Change, Verdict, judged, missing
from swarm.host.enhance.bench import Bench, selector_of
from swarm.host.enhance.replaying import Replaying

__all__ = ("Judge", "review_of")

_LOGGER = logging.getLogger(__name__)
_KEPT = 1000


class Judge:
    """Judges changes along all axes; a verdict on the same change is not worked out twice."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._replaying = Replaying(bench)
        self._verdicts: dict[tuple[str, str, str, str], Verdict] = {}

    async def verdict(self, axis: str, change: Any, made: Change) -> Verdict:
        """Judge a change along one axis."""
        approved = hashlib.sha256(canonical_bytes(made.baseline)).hexdigest()
        key = (axis, approved, made.base, made.result)
        found = self._verdicts.get(key)
        if found is None:
            found = judged(axis, made, self._bench.policy.cost_factor)
            if found is None:
                found = await self._tried(axis, change, made)
            if len(self._verdicts) > _KEPT:
                self._verdicts.clear()
            self._verdicts[key] = found
        return found

    async def verdicts(self, change: Any, made: Change) -> list[Verdict]:
        """Judge a change along every axis that must pass."""
        required = self._bench.policy.required()
        return [await self.verdict(axis, change, made) for axis in required]

    async def decision(self, change: Any, made: Change, told: Any) -> Decision:
        """Decide over a change; *told* are the verdicts that the flow collected of it."""
        bench = self._bench
        required = bench.policy.required()
        absent = missing(told if isinstance(told, list) else [], made.base, made.result, required)
        if absent:
            said = f"enhance.quorum_not_met: no verdict, or more than one, on {', '.join(absent)}"
            return Decision("reject", (said,))
        return decide(
            bench.policy,
            await self.verdicts(change, made),
            kinds_of(made.head, made.document),
            await self._history(change["blueprint"]),
            base=made.base,
            result=made.result,
            now_s=bench.now(),
            frozen=bench.switch.frozen(change["blueprint"]),
        )

    async def _history(self, blueprint: str) -> History:
        log = await self._bench.host.blueprints.log(blueprint, limit=200)
        mine = [entry.note.author == AUTHOR for entry in log]
        times = tuple(e.note.written_s for e, own in zip(log, mine, strict=True) if own)
        return History(times, mine.index(False) if False in mine else len(mine))

    # -- the axes that need a host -----------------------------------------------------

    async def _tried(self, axis: str, change: Any, made: Change) -> Verdict:
        match axis:
            case "compiles":
                passed, evidence = await self._compiles(made)
            case "replay":
                passed, evidence = await self._replaying.judged(change["blueprint"], made)
            case "cases":
                passed, evidence = await self._measured(change, made)
            case _:
                passed, evidence = False, f"enhance.unknown_axis: nobody judges {axis!r}"
        return Verdict(axis, made.base, made.result, passed, (evidence,))

    async def _compiles(self, made: Change) -> tuple[bool, str]:
        compiled = await self._bench.host.blueprints.compiled(thawed(made.document))
        return compiled.digest == made.result, f"version {compiled.digest[:12]}"

    async def _measured(self, change: Any, made: Change) -> tuple[bool, str]:
        cases, policy = self._bench.cases, self._bench.policy
        if cases is None:
            return self._without_cases()
        contents = await self._bench.host.blueprints.read(selector_of(change))
        files = {path: file.body for path, file in contents.files.items()}
        name, both = change["blueprint"], (made.head, made.document)
        try:
            with anyio.fail_after(policy.cases_s):
                # Twice: what scores differently by itself is no measure.
                olds, news = [
                    [_scores(await cases(name, document, files)) for _ in "ab"] for document in both
                ]
        except TimeoutError:
            return False, f"enhance.late: the cases took over {policy.cases_s:g} s"
        except Exception as e:
            # The project's own, and what they run was proposed by a stranger: no measure.
            _LOGGER.warning("the cases of %s raised", name, exc_info=e)
            return False, f"enhance.cases_failed: they raised {type(e).__name__}"
        if not olds[0] or not news[0]:
            return self._without_cases()
        return _compared(olds, news, policy.margin)

    def _without_cases(self) -> tuple[bool, str]:
        passed = self._bench.policy.without_cases == "commit"
        return passed, "enhance.no_cases: the blueprint has no cases that measure it"


def review_of(
    issue: Any, change: Any, made: Change, verdicts: Any, decision: Decision
) -> dict[str, Any]:
    """Say what a senior needs to judge: what is computed first, what was claimed last."""
    flow = compare(made.head, made.document, {}, {}).flow
    return {
        "run": change["blueprint"],
        "base": made.base,
        "result": made.result,
        "reasons": list(decision.reasons),
        "gained": list(flow.gained),
        "lost": list(flow.lost),
        "flow": [*flow.added, *flow.removed, *flow.moved, *flow.changed, *flow.agents],
        "ops": change["ops"],
        "verdicts": verdicts,
        "intent": issue["intent"],
        "rationale": change["rationale"],
    }


def _scores(found: Any) -> Mapping[str, float] | None:
    """Hold what cases gave against what they may give.

    Raises: TypeError, ValueError.
    """
    if found is None:
        return None
    scores = {str(name): float(score) for name, score in dict(found).items()}
    if not all(map(isfinite, scores.values())):
        raise ValueError("expected scores that are numbers")
    return scores


def _compared(
    olds: Sequence[Mapping[str, float] | None],
    news: Sequence[Mapping[str, float] | None],
    margin: float,
) -> tuple[bool, str]:
    """Compare the scores of two versions: no case is worse, and the sum is no lower."""
    old, new = olds[0] or {}, news[0] or {}
    if olds[0] != olds[1] or news[0] != news[1]:
        return False, "enhance.unsteady: the cases score differently when they are run again"
    worse = sorted(name for name, score in old.items() if new.get(name, 0.0) < score)
    sums = f"{sum(old.values()):g} of {len(old)} before, {sum(new.values()):g} now"
    if worse:
        return False, f"enhance.case_worse: {', '.join(worse[:5])} ({sums})"
    if sum(new.values()) < sum(old.values()) + margin:
        return False, f"enhance.no_gain: expected {margin:g} more, got {sums}"
    return True, f"cases: {sums}"
