"""The policy of the loop, and the decision that follows from it.

The policy is the host's, outside of every blueprint: no proposal reaches it. It says what
may be committed without a person, and how often; everything else is refused, or is for a
senior to approve.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flowir.records import dataclass
from swarm.enhance.canary import Canary
from swarm.enhance.changes import Kind
from swarm.enhance.verdicts import AXES, Verdict, missing
from swarm.errors import Refused

__all__ = ("AUTHOR", "Act", "Decision", "History", "Policy", "decide")

# Who wrote an entry that no person has looked at; `swarm.enhance+ada` was approved by ada.
AUTHOR: Final = "swarm.enhance"
Act: TypeAlias = Literal["commit", "ask", "reject"]
_Count = Annotated[int, Field(ge=0)]
_Hour = Annotated[int, Field(ge=0, le=24)]
_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Policy(BaseModel):
    """What the loop may do.

    Shape: `unattended` are the kinds of change that need no person, and a change of a
    prompt always does; `targets` None: any blueprint but the `forbidden` ones; `axes` must
    all pass; `without_cases` is what becomes of a blueprint that has no cases,
    `without_runs` of one that never ran, and `widening` of a change with more power, fewer
    guards or higher limits; `hours` are those of the day (UTC, from and to) at which nobody
    has to look, over midnight where the first is the later one; `replays` of the last runs
    are gone through again; `canary` None: what is committed serves at once. Units: per
    blueprint; `cost_factor` times the steps of the baseline; `cases_s` and `replays_s`
    seconds for the cases, and the replays, of one change.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    unattended: tuple[Kind, ...] = ("text", "tags", "limits", "script", "flow")
    targets: tuple[str, ...] | None = None
    forbidden: tuple[str, ...] = ()
    axes: tuple[str, ...] = ()
    without_cases: Literal["ask", "reject", "commit"] = "ask"
    without_runs: Literal["ask", "reject", "commit"] = "commit"
    widening: Literal["reject", "ask"] = "reject"
    per_hour: _Count = 4
    per_day: _Count = 20
    in_a_row: _Count = 10
    gap_s: _Seconds = 600.0
    hours: tuple[_Hour, _Hour] = (0, 24)
    issues_per_hour: _Count = 4
    failures: _Count = 3
    cool_down_s: _Seconds = 3600.0
    approval_s: Annotated[int, Field(ge=1, le=86_400)] = 86_400
    cost_factor: Annotated[float, Field(ge=1, le=10)] = 1.25
    margin: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    cases_s: Annotated[float, Field(gt=0, le=3600)] = 300.0
    replays: Annotated[int, Field(ge=1, le=100)] = 20
    canary: Canary | None = None
    replays_s: Annotated[float, Field(gt=0, le=3600)] = 120.0

    @classmethod
    def of(cls, settings: Any) -> Policy:
        """Read a policy.

        Raises: Refused (enhance.policy).
        """
        try:
            return cls.model_validate_json(_json(settings))
        except ValidationError as e:
            first = e.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise Refused("enhance.policy", f"enhance: {where}: {first['msg'].lower()}") from None

    def required(self) -> tuple[str, ...]:
        """Return the axes that must pass: the shipped ones, always, and more."""
        return tuple(dict.fromkeys((*AXES, *self.axes)))


def _json(settings: Any) -> bytes:
    from pydantic_core import to_json

    return to_json(settings)


@dataclass(frozen=True, slots=True)
class History:
    """What the loop did to a blueprint before. Units: UTC seconds since 1970."""

    unattended_at: tuple[float, ...] = ()
    in_a_row: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done with a change, and why."""

    act: Act
    reasons: tuple[str, ...] = ()

    def to_wire(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {"act": self.act, "reasons": list(self.reasons)}


_WIDENING: Final = ("power", "guards", "limits", "cost")


def decide(
    policy: Policy,
    verdicts: Sequence[Verdict],
    kinds: frozenset[Kind],
    history: History,
    *,
    base: str,
    result: str,
    now_s: float,
    frozen: bool,
) -> Decision:
    """Decide over a change: refuse it, ask a senior, or commit it."""
    if frozen:
        return Decision("reject", ("enhance.frozen: the loop is frozen",))
    absent = missing([one.to_wire() for one in verdicts], base, result, policy.required())
    if absent:
        said = f"enhance.quorum_not_met: no verdict, or more than one, on {', '.join(absent)}"
        return Decision("reject", (said,))
    failed = [one for one in verdicts if not one.passed]
    asks = [one for one in failed if _may_ask(policy, one)]
    if len(asks) < len(failed):
        return Decision("reject", tuple(r for one in failed for r in one.evidence))
    rates = tuple(_too_often(policy, history, now_s))
    if rates:
        return Decision("reject", rates)
    reasons = [r for one in asks for r in one.evidence]
    reasons += _beyond(policy, kinds, history)
    reasons += _at_odd_hours(policy, now_s)
    return Decision("ask", tuple(reasons)) if reasons else Decision("commit")


def _may_ask(policy: Policy, verdict: Verdict) -> bool:
    if verdict.axis in _WIDENING:
        return policy.widening == "ask"
    said = tuple(text.partition(":")[0] for text in verdict.evidence)
    match verdict.axis:
        case "cases":
            return policy.without_cases == "ask" and "enhance.no_cases" in said
        case "replay":
            # What nobody can tell a person may: it is no worse end.
            asked = policy.without_runs == "ask" and "enhance.no_runs" in said
            return asked or "enhance.replay_untold" in said
        case _:
            return False


def _too_often(policy: Policy, history: History, now_s: float) -> Iterator[str]:
    ages = [now_s - at for at in history.unattended_at]
    if sum(age < 3600 for age in ages) >= policy.per_hour:
        yield f"enhance.rate_limited: {policy.per_hour} commits an hour are the most"
    elif sum(age < 86_400 for age in ages) >= policy.per_day:
        yield f"enhance.rate_limited: {policy.per_day} commits a day are the most"
    elif ages and min(ages) < policy.gap_s:
        yield f"enhance.rate_limited: the last commit is {min(ages):.0f} s old, of {policy.gap_s:g}"


def _at_odd_hours(policy: Policy, now_s: float) -> Iterator[str]:
    (first, last), hour = policy.hours, int(now_s // 3600) % 24
    within = first <= hour < last if first <= last else hour >= first or hour < last
    if not within:
        said = f"{hour} o'clock UTC is none of the hours from {first} to {last}"
        yield f"enhance.beyond_allowance: {said}"


def _beyond(policy: Policy, kinds: frozenset[Kind], history: History) -> Iterator[str]:
    if "prompt" in kinds:
        yield "enhance.prompt_changed: what somebody is told is changed: a person reads it first"
    others = sorted(kinds - {"prompt"} - set(policy.unattended))
    if others:
        yield f"enhance.beyond_allowance: a change of {', '.join(others)} needs a person"
    if history.in_a_row >= policy.in_a_row:
        said = f"{history.in_a_row} commits since a person looked"
        yield f"enhance.beyond_allowance: {said}"
