"""Issues: taken in where the policy allows it, and read off the journal as people see them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

from uuid_utils import uuid7

from flowir.records import dataclass
from swarm.core.questions import Question
from swarm.core.run import ENDED
from swarm.enhance.lessons import Issued
from swarm.enhance.proposals import Issue
from swarm.errors import Refused
from swarm.host.enhance.bench import Bench, said
from swarm.host.run import Run
from swarm.ids import ISSUE

__all__ = ("IssueState", "IssueView", "Issues")

_PAST: Final = 100
_REFUSED: Final = ("rejected", "rolled_back")
IssueState: TypeAlias = Literal[
    "pending", "in_flight", "waiting", "canary", "applied", "rejected", "rolled_back"
]


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


class Issues:
    """The issues of one host."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    # -- taken in ----------------------------------------------------------------------

    async def known(self, issue: Issue, key: str) -> Run | None:
        """Return the run of what was submitted under *key*, if anything was."""
        run_id = _run_id(issue.blueprint, key)
        return next((r for r in await self.runs(issue.blueprint) if r.id == run_id), None)

    async def admit(self, issue: Issue, key: str | None = None) -> str:
        """Return the id of a new issue's run, where the policy takes it.

        Raises: Refused (enhance.forbidden_target, enhance.rate_limited,
        enhance.cooling_down, enhance.frozen, version.unknown), recorded.
        """
        try:
            await self._expect_fit(issue)
        except Refused as refused:
            await self._bench.note_denied(None, [said(refused)], issue.to_wire())
            raise
        return _run_id(issue.blueprint, key)

    async def _expect_fit(self, issue: Issue) -> None:
        bench, blueprint = self._bench, issue.blueprint
        bench.expect_target(blueprint)
        if bench.switch.frozen(blueprint):
            told = "enhance: expected a loop that goes on, got a frozen one"
            raise Refused("enhance.frozen", told)
        await bench.host.blueprints.find(blueprint)
        now_s = bench.now()
        runs = await self.runs(blueprint)
        most = bench.policy.issues_per_hour
        if most < 1 or (len(runs) >= most and now_s - await _time_of(runs[most - 1], 0) < 3600):
            raise Refused(
                "enhance.rate_limited",
                f"enhance: expected at most {most} issues an hour on {blueprint!r}, got one more",
            )
        await self._expect_cool(runs, now_s)

    async def _expect_cool(self, runs: Sequence[Run], now_s: float) -> None:
        policy = self._bench.policy
        last = [run for run in runs if run.status in ("succeeded", "failed")]
        last = last[: policy.failures] if policy.failures else []
        fresh = [run for run in last if now_s - await _time_of(run, -1) < policy.cool_down_s]
        if not fresh or len(fresh) < policy.failures:
            return
        for run in fresh:
            if state_of(run, (await run.wait()).ctx or {}) not in _REFUSED:
                return
        raise Refused(
            "enhance.cooling_down",
            f"enhance: the last {policy.failures} issues were rejected; expected a pause of "
            f"{policy.cool_down_s:g} s",
        )

    # -- as they are -------------------------------------------------------------------

    async def runs(self, blueprint: str | None) -> list[Run]:
        """Return the runs of issues, the latest first."""
        prefix = ISSUE if blueprint is None else _prefix(blueprint)
        runs = await self._bench.host.runs(limit=1000)
        return [run for run in runs if run.id.startswith(prefix)]

    async def show(self, run_id: str) -> IssueView:
        """Return an issue as it is.

        Raises: Refused (enhance.unknown, run.unknown).
        """
        run = await self._bench.host.run(run_id)
        ctx = await _told(run)
        if "issue" not in ctx:
            raise Refused("enhance.unknown", f"{run_id}: expected the run of an issue")
        return IssueView(
            run.id,
            state_of(run, ctx),
            ctx["issue"],
            ctx.get("change", {}),
            _in_order(ctx.get("verdicts", []), ctx.get("change", {})),
            ctx.get("decision", {}),
            ctx.get("outcome", {}),
        )

    async def past(self, blueprint: str, but: str) -> list[Issued]:
        """Return what became of the last issues that have ended, the oldest first."""
        found: list[Issued] = []
        for run in await self.runs(blueprint):
            if run.id != but and run.status == "succeeded" and len(found) < _PAST:
                ctx = (await run.wait()).ctx or {}
                outcome, brief = ctx.get("outcome", {}), ctx.get("brief", {})
                refused = outcome.get("state") in _REFUSED
                shown = brief.get("lessons", ())
                found.append(Issued(shown, refused, outcome.get("reasons", ())))
        return found[::-1]

    async def waiting(self, run_id: str) -> tuple[Run, Question]:
        """Return an issue's run, and the question that it waits with.

        Raises: Refused (enhance.not_waiting, run.unknown).
        """
        run = await self._bench.host.run(run_id)
        for question in await run.questions():
            if isinstance(question.ask.input, dict) and "result" in question.ask.input:
                return run, question
        what = "has ended" if run.status in ENDED else "asks nobody now"
        told = f"{run_id}: expected an issue that waits for a person, got one that {what}"
        raise Refused("enhance.not_waiting", told)


def state_of(run: Run, ctx: Mapping[str, Any]) -> IssueState:
    """Return the state of an issue, by its run and what that run has said."""
    state = ctx.get("outcome", {}).get("state")
    match run.status:
        case "succeeded":
            # What came to no end of its own, a conflict without end for one, is refused.
            return state if state in ("applied", "rolled_back") else "rejected"
        case "failed" | "cancelled":
            return "rejected"
        case "running" | "waiting" | "interrupted" if state == "canary":
            return "canary"
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
        case "enhance_commit" | "enhance_watch":
            found["outcome"] = value
        case _:
            pass


def _in_order(verdicts: list[Any], change: Mapping[str, Any]) -> list[Any]:
    """Put verdicts into the order of the change's axes: they come as they were worked out."""
    axes = {axis: place for place, axis in enumerate(change.get("axes", ()))}
    return sorted(verdicts, key=lambda verdict: axes.get(verdict["axis"], len(axes)))


def _run_id(blueprint: str, key: str | None) -> str:
    name = uuid7().hex if key is None else hashlib.sha256(key.encode()).hexdigest()[:32]
    return f"{_prefix(blueprint)}{name}"


def _prefix(blueprint: str) -> str:
    return f"{ISSUE}{hashlib.sha256(blueprint.encode()).hexdigest()[:12]}-"
