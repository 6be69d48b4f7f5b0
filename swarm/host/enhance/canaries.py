"""Canaries: a version that the loop committed is tried on a share of new runs.

What is out is what the tag `canary` points at, so that every process of the store sees it,
and a loop that was killed finds it. Each step of ending one can be done twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import flowir
from flowir.errors import FlowError
from swarm.blueprint.selector import parse_selector
from swarm.core.run import ENDED, RunOutcome
from swarm.enhance.canary import CANARY, Canary, RunEnd, Weighed, draws, weighed
from swarm.enhance.policy import AUTHOR
from swarm.host.blueprints import EVIDENCE
from swarm.host.enhance.bench import Bench
from swarm.host.run import Run
from swarm.ports.versions import Entry

__all__ = ("Canaries",)

# Runs that are looked through for those of two versions.
_LOOKED: Final = 5_000
# Of the old version.
_COMPARED: Final = 200
# Looks that the loop takes at most, in `blueprints/enhance.lua`, with some to spare.
_LOOKS: Final = 4_000


class Canaries:
    """Tries what was committed, where the policy says so."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._owed: dict[str, float] = {}

    @property
    def _policy(self) -> Canary | None:
        return self._bench.policy.canary

    # -- beginning ---------------------------------------------------------------------

    async def begun(self, change: Mapping[str, Any], entry: Entry, run_id: str) -> dict[str, Any]:
        """Let a new version out, if the policy has canaries; return what the issue is now."""
        outcome = {"state": "applied", "label": entry.label, "version": entry.digest, "reasons": []}
        policy = self._policy
        if policy is None:
            return outcome
        versions, blueprint = self._bench.host.blueprints, entry.blueprint
        tags = await versions.tags(blueprint)
        if policy.tag not in tags:
            await self._tag(blueprint, change["label"], policy.tag, run_id)
        elif tags[policy.tag].number >= entry.number:
            return outcome
        await self._tag(blueprint, entry.label, CANARY, run_id)
        look_s = max(policy.look_s, policy.longest_s / _LOOKS)
        return {**outcome, "state": "canary", "look_s": look_s}

    async def out(self, blueprint: str) -> Entry | None:
        """Return what is tried of a blueprint now.

        A canary whose issue was cancelled is nobody's any more: it is over.
        """
        if self._policy is None:
            return None
        entry = (await self._bench.host.blueprints.tags(blueprint)).get(CANARY)
        if entry is not None and await self._is_left(entry):
            await self._untag(blueprint, "")
            return None
        return entry

    async def _is_left(self, entry: Entry) -> bool:
        selector = f"{entry.blueprint}@{entry.label}"
        told = (await self._bench.host.blueprints.read(selector)).files.get(EVIDENCE)
        run_id = None if told is None else json.loads(told.body).get("run")
        if run_id is None:
            return True
        return (await self._bench.host.run(run_id)).status in ENDED

    async def serving(self, selector: str, run_id: str | None) -> str:
        """Return the version that a new run of *selector* begins with, as a selector."""
        policy = self._policy
        wanted = parse_selector(selector)
        if policy is None or wanted.text != policy.tag:
            return selector
        blueprint = wanted.blueprint
        entry = (await self._bench.host.blueprints.tags(blueprint)).get(CANARY)
        if entry is None or not self._drawn(policy.share, blueprint, run_id):
            return selector
        return f"{blueprint}@{entry.label}"

    def _drawn(self, share: float, blueprint: str, run_id: str | None) -> bool:
        if run_id is not None:
            # Whoever starts it again must get the same.
            return draws(share, run_id)
        owed = self._owed.get(blueprint, 0.0) + share
        self._owed[blueprint] = owed - 1 if owed >= 1 else owed
        return owed >= 1

    # -- ending ------------------------------------------------------------------------

    async def looked(
        self, change: Mapping[str, Any], outcome: Mapping[str, Any], run_id: str
    ) -> dict[str, Any]:
        """Look at a canary; keep it, take it back, or leave it out."""
        policy, blueprint = self._policy, change["blueprint"]
        tags = await self._bench.host.blueprints.tags(blueprint)
        entry = tags.get(CANARY)
        if policy is None or entry is None or entry.label != outcome["label"]:
            return await self._over(change, tags, outcome)
        stable = tags[policy.tag]
        found = await self._weighed(policy, entry, stable)
        if found.act == "wait" or (found.act == "keep" and self._is_frozen(blueprint)):
            return {**outcome, "reasons": [found.reason]}
        if found.act == "keep":
            await self._tag(blueprint, entry.label, policy.tag, run_id)
            await self._untag(blueprint, run_id)
            return {**outcome, "state": "applied", "reasons": [found.reason]}
        await self._take_back(change, entry, found.reason, run_id)
        return {**outcome, "state": "rolled_back", "reasons": [found.reason]}

    def _is_frozen(self, blueprint: str) -> bool:
        return self._bench.switch.frozen(blueprint)

    async def _over(
        self, change: Mapping[str, Any], tags: Mapping[str, Entry], outcome: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Say how a canary ended that is out no more: killed behind it, or taken in by hand."""
        policy = self._policy
        stable = None if policy is None else tags.get(policy.tag)
        kept = stable is not None and stable.label == outcome["label"]
        if kept:
            return {**outcome, "state": "applied", "reasons": []}
        log = await self._bench.host.blueprints.log(change["blueprint"], limit=50)
        back = [e.note for e in log if e.back_to == change["label"] and e.note.author == AUTHOR]
        reason = back[0].reason if back else "enhance.canary_ended: it was taken in by hand"
        return {**outcome, "state": "rolled_back", "reasons": [reason]}

    async def _take_back(
        self, change: Mapping[str, Any], entry: Entry, reason: str, run_id: str
    ) -> None:
        versions, blueprint = self._bench.host.blueprints, entry.blueprint
        # First of all nothing more is committed, then nothing more begins with it.
        self._bench.switch.freeze(True, blueprint)
        (head,) = await versions.log(blueprint, limit=1)
        if head.label == entry.label:
            about = {"reasons": [reason]}
            with self._bench.acting_as(AUTHOR, "blueprint.rollback", run_id, about):
                back = f"{blueprint}@{change['label']}"
                await versions.rollback(back, author=AUTHOR, reason=f"{reason[:200]} ({run_id})")
        await self._untag(blueprint, run_id)

    async def _weighed(self, policy: Canary, entry: Entry, stable: Entry) -> Weighed:
        host, bench = self._bench.host, self._bench
        since = entry.note.written_s
        news: list[Run] = []
        olds: list[Run] = []
        for run in await host.runs(("succeeded", "failed", "blocked"), limit=_LOOKED):
            row = run.summary
            if row.blueprint != entry.blueprint:
                continue
            if row.digest == entry.digest and (row.began_s or 0.0) >= since:
                news.append(run)
            elif row.digest == stable.digest and len(olds) < _COMPARED:
                olds.append(run)
        ends = [[await _end(policy, run) for run in some] for some in (news, olds)]
        return weighed(policy, ends[0], ends[1], bench.now() - since)

    # -- tags --------------------------------------------------------------------------

    async def _tag(self, blueprint: str, label: str, tag: str, run_id: str) -> None:
        with self._bench.acting_as(AUTHOR, "blueprint.tag", run_id, {}):
            await self._bench.host.blueprints.tag(f"{blueprint}@{label}", tag)

    async def _untag(self, blueprint: str, run_id: str) -> None:
        with self._bench.acting_as(AUTHOR, "blueprint.tag", run_id or None, {}):
            await self._bench.host.blueprints.untag(blueprint, CANARY)


async def _end(policy: Canary, run: Run) -> RunEnd:
    """Read how a run ended."""
    if run.status == "succeeded" and policy.score is None:
        return RunEnd(True)
    outcome = await run.wait()
    if run.status == "succeeded":
        return RunEnd(True, score=_score(policy.score or "", outcome))
    error: Mapping[str, Any] = outcome.error or {}
    codes: Sequence[Any] = (error.get("code"), error.get("cause_code"))
    return RunEnd(False, any(str(code).startswith("capability.") for code in codes))


def _score(expression: str, outcome: RunOutcome) -> float | None:
    try:
        value = flowir.evaluate(expression, outcome.ctx)
    except FlowError:
        return None
    return float(value) if type(value) in (int, float) else None
