"""Commits what was found good, once for each issue, with the evidence in the version.

What is committed is worked out again from the stored base and the operations; the version
says in a file of its own which run made it, so that a run that was killed behind its commit
finds it and commits nothing again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from flowir.errors import FlowError
from swarm.enhance.policy import AUTHOR, Decision
from swarm.enhance.proposals import cleaned
from swarm.enhance.verdicts import Change
from swarm.errors import Denied, Refused, SwarmError
from swarm.host.blueprints import EVIDENCE
from swarm.host.enhance.approvals import Approvals
from swarm.host.enhance.bench import Bench, said, selector_of
from swarm.host.enhance.canaries import Canaries
from swarm.host.enhance.judging import Judge
from swarm.host.enhance.making import Maker
from swarm.ports.versions import Entry

__all__ = ("Committer",)


class Committer:
    """Puts changes behind the heads of their histories, or says why not."""

    def __init__(
        self,
        bench: Bench,
        maker: Maker,
        judge: Judge,
        approvals: Approvals,
        canaries: Canaries,
    ) -> None:
        self._bench = bench
        self._canaries = canaries
        self._maker = maker
        self._judge = judge
        self._approvals = approvals

    async def outcome(
        self, issue: Any, change: Any, verdicts: Any, answer: Any, run_id: str
    ) -> dict[str, Any]:
        """Commit a change, refuse it, or say that somebody else was faster."""
        before = await self._by_run(change, run_id)
        if before is not None:
            return await self._canaries.begun(change, before, run_id)
        if change["problem"]:
            return _rejected([change["problem"]])
        try:
            self._bench.expect_target(change["blueprint"])
            made = await self._maker.made(change, change["ops"])
            if made.result != change["result"]:
                return _rejected(["enhance.quorum_not_met: the change is not what was judged"])
            decision = await self._judge.decision(change, made, verdicts)
            author = AUTHOR
            if decision.act == "reject":
                return _rejected(decision.reasons)
            if decision.act == "ask":
                author = self._approved(answer, run_id, made)
            entry = await self._put(issue, change, made, decision, author, run_id)
        except Denied as e:
            return _rejected([f"enhance.unapproved: {e}"])
        except (SwarmError, FlowError) as e:
            state = "conflict" if getattr(e, "code", "") == "version.conflict" else "rejected"
            return {"state": state, "reasons": [said(e)]}
        return await self._canaries.begun(change, entry, run_id)

    def _approved(self, answer: Any, run_id: str, made: Change) -> str:
        if not isinstance(answer, dict) or answer.get("approve") is not True:
            reason = answer.get("reason", "") if isinstance(answer, dict) else ""
            raise Refused("enhance.unapproved", f"a senior said no: {reason or 'without a reason'}")
        token = str(answer.get("token", ""))
        return f"{AUTHOR}+{self._approvals.checked(token, run_id, made.base, made.result)}"

    async def _put(
        self, issue: Any, change: Any, made: Change, decision: Decision, author: str, run_id: str
    ) -> Entry:
        evidence = {
            "run": run_id,
            "issue": issue,
            "base": made.base,
            "result": made.result,
            "ops": change["ops"],
            "rationale": change["rationale"],
            "decision": decision.to_wire(),
            "verdicts": [one.to_wire() for one in await self._judge.verdicts(change, made)],
        }
        if self._bench.switch.frozen(change["blueprint"]):
            raise Refused("enhance.frozen", "the loop was frozen meanwhile")
        about = {"base": made.base, "result": made.result}
        with self._bench.acting_as(author, "blueprint.register", run_id, about):
            found = await self._bench.host.blueprints.patch(
                selector_of(change),
                change["ops"],
                author=author,
                reason=cleaned(f"{issue['intent']} ({run_id})")[:300],
                bump=change["bump"],
                evidence=json.dumps(evidence, indent=1, sort_keys=True).encode(),
            )
        return found.entry

    async def _by_run(self, change: Any, run_id: str) -> Entry | None:
        """Find what this run committed before, if it was killed since."""
        versions, blueprint = self._bench.host.blueprints, change["blueprint"]
        for entry in await versions.since(blueprint, change["label"]):
            # What went back to an older version has that one's evidence.
            if entry.note.author.split("+")[0] != AUTHOR or entry.back_to is not None:
                continue
            contents = await versions.read(f"{blueprint}@{entry.label}")
            told = contents.files.get(EVIDENCE)
            if told is not None and json.loads(told.body).get("run") == run_id:
                return entry
        return None


def _rejected(reasons: Sequence[str]) -> dict[str, Any]:
    return {"state": "rejected", "reasons": list(reasons)}
