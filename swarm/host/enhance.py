"""The enhance loop's host: the agents of `blueprints/enhance.lua`, and the desk before it.

Each issue is a run of that blueprint, so its state is a reading of the journal, and a loop
that was killed goes on where it was. Nothing that the flow carries is believed: what is
decided and what is committed follows from the stored base, the operations and the policy,
worked out here again. A version says in a file of its own which run made it, so that one
run commits once, whatever was killed between the commit and its answer.

Knows no blueprint by name: what is asked, proposed and judged is the same for all.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import anyio
from uuid_utils import uuid7

from flowir.errors import FlowError
from swarm.blueprint.canonical import canonical_bytes
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.blueprint.difference import compare
from swarm.blueprint.frozen import thawed
from swarm.blueprint.patches import applied, difference
from swarm.core.acts import Act, acting
from swarm.core.questions import Question
from swarm.enhance.changes import kinds_of, reserved
from swarm.enhance.policy import AUTHOR, Decision, History, Policy, decide
from swarm.enhance.proposals import Issue, Proposal, cleaned, quoted, read_issue, read_proposal
from swarm.enhance.rules import propose as propose_by_rules
from swarm.enhance.verdicts import Change, Verdict, judged, missing
from swarm.errors import BlueprintInvalid, Denied, Refused, SwarmError
from swarm.host.blueprints import EVIDENCE
from swarm.host.host import Host
from swarm.host.run import Run
from swarm.ports.versions import Entry
from swarm.workers.context import StepContext

__all__ = ("Cases", "Enhancer", "IssueState", "IssueView", "Proposer", "loop_file")

# Given the issue, the document, its source, failures and lessons, all as data; answers with
# a proposal (`swarm.enhance.proposals`).
Proposer: TypeAlias = Callable[[dict[str, Any]], Any]
# Given a blueprint's id, a document and the files beside it; the score of each case from 0
# to 1, or None, where it has no cases.
Cases: TypeAlias = Callable[
    [str, Mapping[str, Any], Mapping[str, bytes]], Awaitable[Mapping[str, float] | None]
]
IssueState: TypeAlias = Literal["pending", "in_flight", "waiting", "applied", "rejected"]

_LOOP: Final = "enhance"
_FREEZE: Final = "enhance.frozen"
_TOLD: Final = 5
_PROPOSE_S: Final = 600.0
_POLL_S: Final = 0.05


def loop_file() -> Path:
    """Return the loop's own blueprint: beside the package, or in the repository."""
    packed = Path(__file__).parents[1] / "enhance" / "enhance.lua"
    return packed if packed.is_file() else Path(__file__).parents[2] / "blueprints/enhance.lua"


@dataclass(frozen=True, slots=True)
class IssueView:
    """An issue as people see it: `run` is its id, `outcome` what became of it so far."""

    run: str
    state: IssueState
    issue: Mapping[str, Any]
    change: Mapping[str, Any]
    verdicts: Sequence[Mapping[str, Any]]
    decision: Mapping[str, Any]
    outcome: Mapping[str, Any]

    def to_wire(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "run": self.run,
            "state": self.state,
            "issue": self.issue,
            "change": self.change,
            "verdicts": list(self.verdicts),
            "decision": self.decision,
            "outcome": self.outcome,
        }


class Enhancer:
    """Improves the blueprints of one host; made before the host is opened.

    Shape: *proposer* and *cases* are the project's; *loop* the blueprint that is run, whose
    agents may be others as long as these functions decide and commit.
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
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.host = host
        self.policy = policy if isinstance(policy, Policy) else Policy.of(policy or {})
        self._proposer = proposer
        self._cases = cases
        self._loop_file = Path(loop) if loop is not None else loop_file()
        self._now = clock or _wall
        self._loaded: CompiledBlueprint | None = None
        self._frozen = False
        self._verdicts: dict[tuple[str, str, str, str], Verdict] = {}
        self._holders: dict[str, str] = {}
        functions: Mapping[str, Callable[..., Any]] = {
            "enhance_turn": self._turn,
            "enhance_propose": self._propose,
            "enhance_apply": self._apply,
            "enhance_verify": self._verify,
            "enhance_decide": self._decide,
            "enhance_commit": self.commit,
        }
        for name, function in functions.items():
            host.function(name)(function)

    async def did(self, step: str) -> None:
        """Hear that a step of the loop was done, before its answer is kept: for tests of kills."""

    # -- the desk ----------------------------------------------------------------------

    async def submit(
        self, blueprint: str, intent: str, *, author: str, examples: Sequence[str] = ()
    ) -> Run:
        """Start on an issue; its run is its id.

        Raises: Refused (enhance.issue, enhance.forbidden_target, enhance.rate_limited,
        enhance.cooling_down, enhance.frozen, version.unknown).
        """
        issue = read_issue(
            {"blueprint": blueprint, "intent": intent, "author": author, "examples": [*examples]}
        )
        try:
            await self._admit(issue)
        except Refused as refused:
            await self._note_denied(None, issue.author, [_said(refused)], issue.to_wire())
            raise
        run_id = f"{_prefix(issue.blueprint)}{uuid7().hex}"
        return await self.host.start(await self._loop(), {"issue": issue.to_wire()}, run_id=run_id)

    async def _admit(self, issue: Issue) -> None:
        self._expect_target(issue.blueprint)
        if self.frozen:
            raise Refused(
                "enhance.frozen", "enhance: expected a loop that goes on, got a frozen one"
            )
        await self.host.blueprints.find(issue.blueprint)
        now_s = self._now()
        runs = await self._runs(issue.blueprint)
        most = self.policy.issues_per_hour
        if most < 1 or (len(runs) >= most and now_s - await _time_of(runs[most - 1], 0) < 3600):
            raise Refused(
                "enhance.rate_limited",
                f"enhance: expected at most {self.policy.issues_per_hour} issues an hour on "
                f"{issue.blueprint!r}, got one more",
            )
        await self._expect_cool(runs, now_s)

    async def _expect_cool(self, runs: Sequence[Run], now_s: float) -> None:
        last = [run for run in runs if run.status in ("succeeded", "failed")]
        last = last[: self.policy.failures] if self.policy.failures else []
        fresh = [run for run in last if now_s - await _time_of(run, -1) < self.policy.cool_down_s]
        if not fresh or len(fresh) < self.policy.failures:
            return
        for run in fresh:
            if _state(run, (await run.wait()).ctx or {}) != "rejected":
                return
        raise Refused(
            "enhance.cooling_down",
            f"enhance: the last {self.policy.failures} issues were rejected; expected a pause of "
            f"{self.policy.cool_down_s:g} s",
        )

    def _expect_target(self, blueprint: str) -> None:
        policy = self.policy
        allowed = policy.targets is None or blueprint in policy.targets
        if not allowed or blueprint in (*policy.forbidden, _LOOP):
            said = f"enhance: expected a blueprint that may be improved, got {blueprint!r}"
            raise Refused("enhance.forbidden_target", said)

    async def issues(self, blueprint: str | None = None) -> list[IssueView]:
        """Return the issues, the latest first, as far as they are."""
        return [await self.show(run.id) for run in await self._runs(blueprint)]

    async def show(self, run_id: str) -> IssueView:
        """Return an issue as it is.

        Raises: Refused (enhance.unknown, run.unknown).
        """
        run = await self.host.run(run_id)
        ctx = await _told(run)
        if "issue" not in ctx:
            raise Refused("enhance.unknown", f"{run_id}: expected the run of an issue")
        return IssueView(
            run.id,
            _state(run, ctx),
            ctx["issue"],
            ctx.get("change", {}),
            ctx.get("verdicts", []),
            ctx.get("decision", {}),
            ctx.get("outcome", {}),
        )

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

    async def approve(self, run_id: str, *, by: str, token: str | None = None) -> Run:
        """Approve what an issue waits for; the change goes on to be committed.

        Shape: *token* None: the owner of the store approves, in the name of *by*. A token
        must be a senior's, for this run, and for this base and result alone.
        Raises: Denied; Refused (enhance.not_waiting).
        """
        run, question = await self._waiting(run_id)
        review = question.ask.input
        if token is None:
            token = self.approval(run_id, review, by)
        else:
            self._checked(token, run_id, review["base"], review["result"])
        await run.answer(question.id, {"approve": True, "token": token}, by=by)
        return run

    def approval(self, run_id: str, review: Mapping[str, Any], by: str) -> str:
        """Mint a token that approves one change, once."""
        return self.host.tokens.mint(
            by,
            "senior",
            ["enhance.approve"],
            run=run_id,
            step=_binding(review["base"], review["result"]),
            uses=1,
            ttl_s=self.policy.approval_s,
        )

    async def reject(self, run_id: str, *, by: str, reason: str = "") -> Run:
        """Refuse what an issue waits for.

        Raises: Refused (enhance.not_waiting).
        """
        run, question = await self._waiting(run_id)
        await run.answer(question.id, {"approve": False, "reason": cleaned(reason)}, by=by)
        return run

    async def _waiting(self, run_id: str) -> tuple[Run, Question]:
        run = await self.host.run(run_id)
        for question in await run.questions():
            if isinstance(question.ask.input, dict) and "result" in question.ask.input:
                return run, question
        raise Refused("enhance.not_waiting", f"{run_id}: expected an issue that waits, got none")

    # -- the switch --------------------------------------------------------------------

    @property
    def frozen(self) -> bool:
        """Whether nothing is committed by the loop, whatever is approved."""
        folder = self.host.folder
        return self._frozen or (folder is not None and (folder / _FREEZE).exists())

    def freeze(self, frozen: bool = True) -> None:
        """Stop the loop from committing, or let it go on; any process may say so."""
        self._frozen = frozen
        folder = self.host.folder
        if folder is not None and frozen:
            (folder / _FREEZE).touch()
        elif folder is not None:
            (folder / _FREEZE).unlink(missing_ok=True)

    # -- the loop's agents -------------------------------------------------------------

    async def _turn(self, issue: Any, context: StepContext) -> dict[str, Any]:
        """Wait until nothing else of the blueprint is in flight; say what there is now."""
        read = read_issue(issue)
        await self._hold(context.run, read.blueprint)
        entry = await self.host.blueprints.find(read.blueprint)
        await self.did("turn")
        return {"blueprint": read.blueprint, "label": entry.label, "base": entry.digest}

    async def _hold(self, run_id: str, blueprint: str) -> None:
        while True:
            holder = self._holders.setdefault(blueprint, run_id)
            if holder == run_id:
                return
            other = await self.host.run(holder)
            if other.status not in ("pending", "running"):
                self._free(holder)
            else:
                await anyio.sleep(_POLL_S)

    def _free(self, run_id: str) -> None:
        self._holders = {b: holder for b, holder in self._holders.items() if holder != run_id}

    async def _propose(self, issue: Any, head: Any, context: StepContext) -> dict[str, Any]:
        """Ask the proposer; what it answers is read strictly."""
        read = read_issue(issue)
        asked = await self._asked(read, head, context.run)
        try:
            with anyio.fail_after(_PROPOSE_S):
                answer = self._proposer(asked)
                if inspect.isawaitable(answer):
                    answer = await answer
            wire = read_proposal(answer).to_wire()
        except TimeoutError:
            return {"proposal": {}, "problem": "enhance.late: no proposal came in time"}
        except SwarmError as e:
            return {"proposal": {}, "problem": _said(e)}
        await self.did("propose")
        return {"proposal": wire, "problem": ""}

    async def _asked(self, issue: Issue, head: Any, run_id: str) -> dict[str, Any]:
        contents = await self.host.blueprints.read(_selector(head))
        failures = await self._failures(issue.blueprint)
        lessons = await self._lessons(issue.blueprint, run_id)
        source = contents.files[contents.source].body.decode("utf-8", "replace")
        return {
            "issue": issue.to_wire(),
            "document": thawed(contents.document),
            "source": source,
            "failures": failures,
            "lessons": lessons,
            "quoted": "\n".join(
                [
                    quoted("issue", [issue.intent, *issue.examples]),
                    quoted("failures", failures),
                    quoted("lessons", lessons),
                ]
            ),
        }

    async def _failures(self, blueprint: str) -> list[str]:
        runs = await self.host.runs("failed", limit=100)
        found = [run for run in runs if run.summary.blueprint == blueprint][:_TOLD]
        return [cleaned(str(await _error_of(run)))[:300] for run in found]

    async def _lessons(self, blueprint: str, but: str) -> list[str]:
        found: list[str] = []
        for run in await self._runs(blueprint):
            if run.id != but and run.status == "succeeded" and len(found) < _TOLD:
                outcome = ((await run.wait()).ctx or {}).get("outcome", {})
                if outcome.get("state") == "rejected":
                    found += [cleaned(one)[:300] for one in outcome.get("reasons", ())[:2]]
        return found[:_TOLD]

    async def _apply(self, head: Any, proposal: Any, context: StepContext) -> dict[str, Any]:
        """Carry a proposal out on the head that it is for; nothing is kept yet."""
        await self._hold(context.run, head["blueprint"])
        change: dict[str, Any] = {**head, "ops": [], "rationale": "", "bump": "patch",
                                  "result": "", "axes": [], "problem": ""}  # fmt: skip
        if proposal["problem"]:
            return {**change, "problem": proposal["problem"]}
        try:
            read = read_proposal(proposal["proposal"])
            ops = await self._operations(head, read)
            for objection in reserved(ops):
                return {**change, "problem": str(objection)}
            made = await self._made(head, ops)
        except (SwarmError, FlowError) as e:
            return {**change, "problem": _said(e)}
        await self.did("apply")
        return {
            **change,
            "ops": ops,
            "rationale": read.rationale,
            "bump": read.bump,
            "result": made.result,
            "axes": list(self.policy.required()),
        }

    async def _operations(self, head: Any, proposal: Proposal) -> list[Any]:
        if proposal.source is None:
            return [dict(op) for op in proposal.ops]
        contents = await self.host.blueprints.read(_selector(head))
        with tempfile.TemporaryDirectory(prefix="swarm-") as folder:
            for path, file in contents.files.items():
                target = Path(folder) / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file.body)
            source = Path(folder) / "blueprint.lua"
            source.write_text(proposal.source, "utf-8")
            built = await self.host.blueprints.compiled(str(source))
        return difference(thawed(contents.document), thawed(built.document))

    async def _made(self, head: Any, ops: Any) -> Change:
        """Work out what a change is, from the stored base and the operations alone."""
        contents = await self.host.blueprints.read(_selector(head))
        before = thawed(contents.document)
        after = applied(before, ops)
        if after.get("id") != before.get("id"):
            raise Refused("enhance.protected_path", "'id' is people's to change")
        compiled = await self.host.blueprints.compiled(after)
        baseline = await self._baseline(head["blueprint"])
        return Change(head["base"], compiled.digest, baseline, before, thawed(compiled.document))

    async def _baseline(self, blueprint: str) -> Mapping[str, Any]:
        """Return what a person approved last: not what the loop made of it since."""
        before: int | None = None
        while True:
            log = await self.host.blueprints.log(blueprint, limit=100, before=before)
            for entry in log:
                if entry.note.author != AUTHOR:
                    found = await self.host.blueprints.read(f"{blueprint}@{entry.label}")
                    return thawed(found.document)
            if not log:
                said = f"{blueprint}: expected a version that a person registered, got none"
                raise Refused("enhance.no_baseline", said)
            before = log[-1].number

    async def _verify(self, axis: str, change: Any, context: StepContext) -> dict[str, Any]:
        """Judge a change along one axis."""
        await self._hold(context.run, change["blueprint"])
        made = await self._made(change, change["ops"])
        verdict = await self._verdict(axis, change, made)
        await self.did("verify")
        return verdict.to_wire()

    async def _verdict(self, axis: str, change: Any, made: Change) -> Verdict:
        approved = hashlib.sha256(canonical_bytes(made.baseline)).hexdigest()
        key = (axis, approved, made.base, made.result)
        found = self._verdicts.get(key)
        if found is None:
            found = judged(axis, made, self.policy.cost_factor)
            if found is None:
                found = await self._tried(axis, change, made)
            if len(self._verdicts) > 1000:
                self._verdicts.clear()
            self._verdicts[key] = found
        return found

    async def _tried(self, axis: str, change: Any, made: Change) -> Verdict:
        def verdict(passed: bool, *evidence: str) -> Verdict:
            return Verdict(axis, made.base, made.result, passed, evidence)

        if axis == "compiles":
            compiled = await self.host.blueprints.compiled(thawed(made.document))
            return verdict(compiled.digest == made.result, f"version {compiled.digest[:12]}")
        if axis != "cases":
            return verdict(False, f"enhance.unknown_axis: nobody judges {axis!r}")
        if self._cases is None:
            return verdict(*self._without_cases())
        contents = await self.host.blueprints.read(_selector(change))
        files = {path: file.body for path, file in contents.files.items()}
        try:
            with anyio.fail_after(self.policy.cases_s):
                # Twice: what scores differently by itself is no measure.
                olds = [await self._cases(change["blueprint"], made.head, files) for _ in "ab"]
                news = [await self._cases(change["blueprint"], made.document, files) for _ in "ab"]
        except TimeoutError:
            return verdict(False, f"enhance.late: the cases took over {self.policy.cases_s:g} s")
        if not olds[0] or not news[0]:
            return verdict(*self._without_cases())
        return verdict(*_measured(olds, news, self.policy.margin))

    def _without_cases(self) -> tuple[bool, str]:
        passed = self.policy.without_cases == "commit"
        return passed, "enhance.no_cases: the blueprint has no cases that measure it"

    async def _decide(
        self, issue: Any, change: Any, verdicts: Any, context: StepContext
    ) -> dict[str, Any]:
        """Decide, and say what a senior is to look at, where one is asked."""
        await self._hold(context.run, change["blueprint"])
        if change["problem"]:
            return Decision("reject", (change["problem"],)).to_wire()
        made = await self._made(change, change["ops"])
        decision = await self._decision(change, made, verdicts)
        wire = decision.to_wire()
        if decision.act == "ask":
            wire["review"] = self._review(issue, change, made, verdicts, decision)
            self._free(context.run)
        await self.did("decide")
        return wire

    async def _decision(self, change: Any, made: Change, told: Any) -> Decision:
        required = self.policy.required()
        absent = missing(told if isinstance(told, list) else [], made.base, made.result, required)
        if absent:
            said = f"enhance.quorum_not_met: no verdict, or more than one, on {', '.join(absent)}"
            return Decision("reject", (said,))
        verdicts = [await self._verdict(axis, change, made) for axis in required]
        return decide(
            self.policy,
            verdicts,
            kinds_of(made.head, made.document),
            await self._history(change["blueprint"]),
            base=made.base,
            result=made.result,
            now_s=self._now(),
            frozen=self.frozen,
        )

    def _review(
        self, issue: Any, change: Any, made: Change, verdicts: Any, decision: Decision
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

    async def _history(self, blueprint: str) -> History:
        log = await self.host.blueprints.log(blueprint, limit=200)
        mine = [entry.note.author == AUTHOR for entry in log]
        times = tuple(e.note.written_s for e, own in zip(log, mine, strict=True) if own)
        return History(times, mine.index(False) if False in mine else len(mine))

    async def commit(
        self, issue: Any, change: Any, verdicts: Any, answer: Any, context: StepContext
    ) -> dict[str, Any]:
        """Commit what was found good, refuse what was not; record either."""
        run_id = context.run
        await self._hold(run_id, change["blueprint"])
        outcome = await self._committed(issue, change, verdicts, answer, run_id)
        await self.did("commit")
        if outcome["state"] != "conflict":
            self._free(run_id)
        if outcome["state"] != "applied":
            await self._note_denied(run_id, change["blueprint"], outcome["reasons"], change)
        return outcome

    async def _committed(
        self, issue: Any, change: Any, verdicts: Any, answer: Any, run_id: str
    ) -> dict[str, Any]:
        before = await self._by_run(change, run_id)
        if before is not None:
            return _applied(before)
        if change["problem"]:
            return _rejected([change["problem"]])
        try:
            self._expect_target(change["blueprint"])
            made = await self._made(change, change["ops"])
            if made.result != change["result"]:
                return _rejected(["enhance.quorum_not_met: the change is not what was judged"])
            decision = await self._decision(change, made, verdicts)
            author = AUTHOR
            if decision.act == "reject":
                return _rejected(decision.reasons)
            if decision.act == "ask":
                author = self._approved(answer, run_id, made)
            return _applied(await self._put(issue, change, made, decision, author, run_id))
        except Denied as e:
            return _rejected([f"enhance.unapproved: {e}"])
        except (SwarmError, FlowError) as e:
            state = "conflict" if getattr(e, "code", "") == "version.conflict" else "rejected"
            return {"state": state, "reasons": [_said(e)]}

    def _approved(self, answer: Any, run_id: str, made: Change) -> str:
        if not isinstance(answer, dict) or answer.get("approve") is not True:
            reason = answer.get("reason", "") if isinstance(answer, dict) else ""
            raise Refused("enhance.unapproved", f"a senior said no: {reason or 'without a reason'}")
        subject = self._checked(str(answer.get("token", "")), run_id, made.base, made.result)
        return f"{AUTHOR}+{subject}"

    def _checked(self, token: str, run_id: str, base: str, result: str) -> str:
        """Return whose approval a token is.

        Raises: Denied, for one that is not of this run, this base and this result.
        """
        binding = _binding(base, result)
        passed = self.host.tokens.guard.check(token, "enhance.approve", run=run_id, step=binding)
        grant = passed.decision.unwrap()
        passed.release()
        if (grant.run, grant.step) != (run_id, binding) or grant.role != "senior":
            said = "enhance.approve: expected a senior's token for this change alone"
            raise Denied("capability.denied", said, verb="enhance.approve", reason="step")
        return grant.subject

    async def _put(
        self, issue: Any, change: Any, made: Change, decision: Decision, author: str, run_id: str
    ) -> Entry:
        verdicts = [await self._verdict(x, change, made) for x in self.policy.required()]
        evidence = {
            "run": run_id,
            "issue": issue,
            "base": made.base,
            "result": made.result,
            "ops": change["ops"],
            "rationale": change["rationale"],
            "decision": decision.to_wire(),
            "verdicts": [one.to_wire() for one in verdicts],
        }
        if self.frozen:
            raise Refused("enhance.frozen", "the loop was frozen meanwhile")

        def landing(_: str | None) -> None:
            detail = {**(act.detail or {}), "base": made.base, "result": made.result}
            self.host.recorder.note(author, "blueprint.register", "allowed", run_id, detail=detail)

        act = Act(landing)
        with acting(act):
            found = await self.host.blueprints.patch(
                _selector(change),
                change["ops"],
                author=author,
                reason=cleaned(f"{issue['intent']} ({run_id})")[:300],
                bump=change["bump"],
                evidence=json.dumps(evidence, indent=1, sort_keys=True).encode(),
            )
        return found.entry

    async def _by_run(self, change: Any, run_id: str) -> Entry | None:
        """Find what this run committed before, if it was killed since."""
        blueprint = change["blueprint"]
        for entry in await self.host.blueprints.since(blueprint, change["label"]):
            if entry.note.author.split("+")[0] != AUTHOR:
                continue
            contents = await self.host.blueprints.read(f"{blueprint}@{entry.label}")
            told = contents.files.get(EVIDENCE)
            if told is not None and json.loads(told.body).get("run") == run_id:
                return entry
        return None

    # -- parts -------------------------------------------------------------------------

    async def _note_denied(
        self, run_id: str | None, what: str, reasons: Sequence[str], change: Mapping[str, Any]
    ) -> None:
        known = ("blueprint", "base", "result", "label", "intent")
        detail = {k: change[k] for k in known if k in change}
        detail["reasons"] = [cleaned(reason)[:500] for reason in reasons][:20]
        recorder = self.host.recorder
        recorder.note(AUTHOR, "blueprint.register", "denied", run_id, detail=detail)
        await recorder.flush()

    async def _loop(self) -> CompiledBlueprint:
        if self._loaded is None:
            self._loaded = await self.host.load(str(self._loop_file))
        return self._loaded

    async def _runs(self, blueprint: str | None) -> list[Run]:
        prefix = "enh-" if blueprint is None else _prefix(blueprint)
        runs = await self.host.runs(limit=1000)
        return [run for run in runs if run.id.startswith(prefix)]


def _wall() -> float:
    import time

    return time.time()


def _measured(
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


def _state(run: Run, ctx: Mapping[str, Any]) -> IssueState:
    match run.status:
        case "succeeded":
            return "applied" if ctx.get("outcome", {}).get("state") == "applied" else "rejected"
        case "failed" | "cancelled":
            return "rejected"
        case "waiting":
            return "waiting"
        case "running":
            return "in_flight"
        case _:
            return "pending"


async def _time_of(run: Run, which: int) -> float:
    """Return when an event of a run was, by its place among them, in UTC seconds since 1970."""
    return (await run.log.read(0))[which]["time_s"]


async def _told(run: Run) -> dict[str, Any]:
    """Read off the journal what the steps of an issue said, the last of each."""
    found: dict[str, Any] = {"verdicts": []}
    since = 0
    while not run.live or since < run.log.shown:
        events = await run.log.read(since)
        if not events:
            break
        for event in events:
            if event["kind"] == "run.started" and isinstance(event["input"], dict):
                found |= event["input"]
            elif event["kind"] == "step.finished":
                _tell(found, event["step"], event["value"])
        since = events[-1]["seq"]
    return found


def _tell(found: dict[str, Any], agent: str, value: Any) -> None:
    match agent:
        case "enhance_apply":
            found |= {"change": value, "verdicts": []}
        case "enhance_verify":
            found["verdicts"].append(value)
        case "enhance_decide":
            found["decision"] = value
        case "enhance_commit":
            found["outcome"] = value
        case _:
            pass


async def _error_of(run: Run) -> Any:
    outcome = await run.wait()
    return outcome.error


def _prefix(blueprint: str) -> str:
    return f"enh-{hashlib.sha256(blueprint.encode()).hexdigest()[:12]}-"


def _selector(head: Mapping[str, Any]) -> str:
    return f"{head['blueprint']}@{head['label']}"


def _binding(base: str, result: str) -> str:
    return f"{base}:{result}"


def _applied(entry: Entry) -> dict[str, Any]:
    return {"state": "applied", "label": entry.label, "version": entry.digest, "reasons": []}


def _rejected(reasons: Sequence[str]) -> dict[str, Any]:
    return {"state": "rejected", "reasons": list(reasons)}


def _said(error: Exception) -> str:
    if isinstance(error, BlueprintInvalid):
        first = error.problems[0]
        return f"{first.code}: {cleaned(str(first.message))}"
    return f"{getattr(error, 'code', 'bug')}: {cleaned(str(error))}"
