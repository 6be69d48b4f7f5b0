"""`swarm.Enhancer`: what an app makes beside its host, asks, and lets go on by itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import anyio

from swarm.blueprint.compiled import CompiledBlueprint
from swarm.blueprint.frozen import thawed
from swarm.enhance.policy import AUTHOR, Decision, Policy
from swarm.enhance.proposals import cleaned, read_issue
from swarm.enhance.rules import propose as propose_by_rules
from swarm.errors import Refused
from swarm.host.enhance.approvals import Approvals
from swarm.host.enhance.bench import Bench, Cases, Proposer, loop_file, wall
from swarm.host.enhance.canaries import Canaries
from swarm.host.enhance.committing import Committer
from swarm.host.enhance.issues import Issues, IssueView
from swarm.host.enhance.judging import Judge, review_of
from swarm.host.enhance.making import Maker
from swarm.host.enhance.proposing import Proposing
from swarm.host.enhance.switch import Switch
from swarm.host.enhance.turns import Turns
from swarm.host.host import Host
from swarm.host.run import Run
from swarm.workers.context import StepContext

__all__ = ("Enhancer",)

_LOOK_S: Final = 0.25
# Who judges, decides and commits is not to be had by setting.
_OURS: Final = frozenset(
    {"enhance_turn", "enhance_brief", "enhance_apply", "enhance_verify", "enhance_decide",
     "enhance_commit", "enhance_watch"}
)  # fmt: skip


class Enhancer:
    """Improves the blueprints of one host; made before the host is opened.

    Shape: *proposer* and *cases* are the project's; *loop* the blueprint that is run, and
    *agents* stand in it, by name, for those that it has: of any kind, with any settings, but
    for those that judge, decide and commit.
    Raises: Refused (enhance.policy); Refused (function.taken), for a second one on a host.
    """

    def __init__(
        self,
        host: Host,
        policy: Policy | Mapping[str, Any] | None = None,
        *,
        proposer: Proposer = propose_by_rules,
        cases: Cases | None = None,
        loop: str | os.PathLike[str] | None = None,
        agents: Mapping[str, Mapping[str, Any]] | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.host = host
        self.policy = policy if isinstance(policy, Policy) else Policy.of(policy or {})
        self._loop_file = Path(loop) if loop is not None else loop_file()
        self._agents = {name: dict(agent) for name, agent in (agents or {}).items()}
        self._loaded: CompiledBlueprint | None = None
        self._switch = Switch(host.folder)
        bench = Bench(
            host, self.policy, proposer, cases, self._switch, clock or wall, lambda s: self.did(s)
        )
        self._issues = Issues(bench)
        self._turns = Turns(host)
        self._maker = Maker(bench)
        self._judge = Judge(bench)
        self._approvals = Approvals(bench)
        self._proposing = Proposing(bench, self._issues)
        self._canaries = Canaries(bench)
        self._committer = Committer(
            bench, self._maker, self._judge, self._approvals, self._canaries
        )
        host.improve_by(self)
        self._bench = bench
        self._register()

    def _register(self) -> None:
        functions: Mapping[str, Callable[..., Any]] = {
            "enhance_turn": self._turn,
            "enhance_brief": self._brief,
            "enhance_propose": self._propose,
            "enhance_apply": self._apply,
            "enhance_verify": self._verify,
            "enhance_decide": self._decide,
            "enhance_commit": self.commit,
            "enhance_watch": self._watch,
        }
        for name, function in functions.items():
            self.host.function(name)(function)

    async def did(self, step: str) -> None:
        """Hear that a step of the loop was done, before its answer is kept: for tests of kills."""

    # -- the desk ----------------------------------------------------------------------

    async def submit(
        self,
        blueprint: str,
        intent: str,
        *,
        author: str,
        examples: Sequence[str] = (),
        key: str | None = None,
    ) -> Run:
        """Start on an issue; its run is its id.

        Shape: submitted again under the same *key* it is the same issue.
        Raises: Refused (enhance.issue, enhance.forbidden_target, enhance.rate_limited,
        enhance.cooling_down, enhance.frozen, version.unknown).
        """
        issue = read_issue(
            {"blueprint": blueprint, "intent": intent, "author": author, "examples": [*examples]}
        )
        known = None if key is None else await self._issues.known(issue, key)
        if known is not None:
            return known
        run_id = await self._issues.admit(issue, key)
        if self._loaded is None:
            loaded = await self.host.load(str(self._loop_file))
            self._loaded = await self._with_agents(loaded) if self._agents else loaded
        return await self.host.start(self._loaded, {"issue": issue.to_wire()}, run_id=run_id)

    async def _with_agents(self, loop: CompiledBlueprint) -> CompiledBlueprint:
        """Put the agents of the settings in the place of those that the loop has.

        Raises: Refused (enhance.agents); BlueprintInvalid.
        """
        document = thawed(loop.document)
        names = [agent["name"] for agent in document["agents"]]
        for name, agent in self._agents.items():
            if name not in names or name in _OURS:
                known = ", ".join(one for one in names if one not in _OURS)
                told = f"enhance.agents: expected one of {known}, got {name!r}"
                raise Refused("enhance.agents", told)
            document["agents"][names.index(name)] = {**agent, "name": name}
        return await self.host.load(document)

    async def issues(self, blueprint: str | None = None, *, limit: int = 1000) -> list[IssueView]:
        """Return the issues, the latest first, as far as they are."""
        runs = (await self._issues.runs(blueprint))[:limit]
        return [await self.show(run.id) for run in runs]

    async def show(self, run_id: str) -> IssueView:
        """Return an issue as it is.

        Raises: Refused (enhance.unknown, run.unknown).
        """
        return await self._issues.show(run_id)

    async def log(self, blueprint: str) -> list[dict[str, Any]]:
        """Return the entries of a blueprint that the loop made, the newest first, as JSON."""
        entries = await self.host.blueprints.log(blueprint, limit=1000)
        return [
            {
                "label": entry.label,
                "version": entry.digest,
                "author": entry.note.author,
                "reason": entry.note.reason,
                "written_s": entry.note.written_s,
            }
            for entry in entries
            if entry.note.author.split("+")[0] == AUTHOR
        ]

    async def approve(
        self,
        run_id: str,
        *,
        by: str,
        token: str | None = None,
        seen: tuple[str, str] | None = None,
    ) -> Run:
        """Approve what an issue waits for; the change goes on to be committed.

        Shape: *token* None: the owner of the store approves, in the name of *by*. A token
        must be a senior's, for this run, and for this base and result alone. *seen* are the
        base and the result that were looked at, where another may wait by now.
        Raises: Denied; Refused (enhance.not_waiting, enhance.stale).
        """
        run, question = await self._issues.waiting(run_id)
        review = question.ask.input
        if seen is not None and seen != (review["base"], review["result"]):
            told = f"{run_id}: expected the base and the result that wait, got others"
            raise Refused("enhance.stale", told)
        if token is None:
            token = self.approval(run_id, review, by)
        else:
            self._approvals.checked(token, run_id, review["base"], review["result"])
        await run.answer(question.id, {"approve": True, "token": token}, by=by)
        return run

    def approval(self, run_id: str, review: Mapping[str, Any], by: str) -> str:
        """Mint a token that approves one change, once."""
        return self._approvals.mint(run_id, review, by)

    async def reject(self, run_id: str, *, by: str, reason: str = "") -> Run:
        """Refuse what an issue waits for.

        Raises: Refused (enhance.not_waiting).
        """
        run, question = await self._issues.waiting(run_id)
        await run.answer(question.id, {"approve": False, "reason": cleaned(reason)}, by=by)
        return run

    # -- the switch --------------------------------------------------------------------

    @property
    def frozen(self) -> bool:
        """Whether nothing is committed by the loop, whatever is approved."""
        return self._switch.frozen()

    def frozen_for(self, blueprint: str | None = None) -> bool:
        """Whether nothing is committed of *blueprint*, or of any (None)."""
        return self._switch.frozen(blueprint)

    async def serving(self, selector: str, run_id: str | None) -> str:
        """Return the version that a new run of *selector* begins with, as a selector."""
        return await self._canaries.serving(selector, run_id)

    def freeze(self, frozen: bool = True, blueprint: str | None = None) -> None:
        """Stop the loop from committing, or let it go on; any process may say so.

        Shape: *blueprint* None: all of them.
        """
        self._switch.freeze(frozen, blueprint)

    # -- the loop's agents -------------------------------------------------------------

    async def _turn(self, issue: Any, context: StepContext) -> dict[str, Any]:
        """Wait until nothing else of the blueprint is in flight; say what there is now."""
        read = read_issue(issue)
        await self._turns.hold(context.run, read.blueprint)
        # What is tried is no head to begin from: it may be gone tomorrow.
        while await self._canaries.out(read.blueprint) is not None:  # noqa: ASYNC110 - any process
            await anyio.sleep(_LOOK_S)
        entry = await self.host.blueprints.find(read.blueprint)
        await self.did("turn")
        return {"blueprint": read.blueprint, "label": entry.label, "base": entry.digest}

    async def _brief(self, issue: Any, head: Any, context: StepContext) -> dict[str, Any]:
        """Say what whoever proposes is to know."""
        return await self._proposing.brief(read_issue(issue), head, context.run)

    async def _propose(self, brief: dict[str, Any]) -> Any:
        """Ask the project's proposer."""
        found = await self._proposing.proposal(brief)
        await self.did("propose")
        return found

    async def _apply(self, head: Any, proposal: Any, context: StepContext) -> dict[str, Any]:
        """Carry a proposal out on the head that it is for; nothing is kept yet."""
        await self._turns.hold(context.run, head["blueprint"])
        change = await self._maker.change(head, proposal)
        await self.did("apply")
        return change

    async def _verify(self, axis: str, change: Any, context: StepContext) -> dict[str, Any]:
        """Judge a change along one axis."""
        await self._turns.hold(context.run, change["blueprint"])
        made = await self._maker.made(change, change["ops"])
        verdict = await self._judge.verdict(axis, change, made)
        await self.did("verify")
        return verdict.to_wire()

    async def _decide(
        self, issue: Any, change: Any, verdicts: Any, context: StepContext
    ) -> dict[str, Any]:
        """Decide, and say what a senior is to look at, where one is asked."""
        await self._turns.hold(context.run, change["blueprint"])
        if change["problem"]:
            return Decision("reject", (change["problem"],)).to_wire()
        made = await self._maker.made(change, change["ops"])
        decision = await self._judge.decision(change, made, verdicts)
        review = review_of(issue, change, made, verdicts, decision)
        wire = {**decision.to_wire(), "review": review}
        if decision.act == "ask":
            self._turns.free(context.run)
        await self.did("decide")
        return wire

    async def commit(
        self, issue: Any, change: Any, verdicts: Any, answer: Any, context: StepContext
    ) -> dict[str, Any]:
        """Commit what was found good, refuse what was not; record either."""
        run_id = context.run
        await self._turns.hold(run_id, change["blueprint"])
        outcome = await self._committer.outcome(issue, change, verdicts, answer, run_id)
        await self.did("commit")
        if outcome["state"] != "conflict":
            self._turns.free(run_id)
        if outcome["state"] in ("rejected", "conflict"):
            await self._bench.note_denied(run_id, outcome["reasons"], change)
        return outcome

    async def _watch(self, change: Any, outcome: Any, context: StepContext) -> dict[str, Any]:
        """Look how a new version does that serves a share of runs."""
        looked = await self._canaries.looked(change, outcome, context.run)
        await self.did("watch")
        return looked
