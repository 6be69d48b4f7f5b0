"""A new version serves a share of new runs, until it is known to do as well as the old one.

    out     runs of the tag begin with it, so many of a hundred
    kept    it had its runs, and did as well: the tag is moved to it
    back    it fell behind, or never had its runs: the version before is at the head again

Falling behind is decided as soon as it is certain: more failures than its runs may have in
all are too many after three of them as well.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from statistics import fmean
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, field_validator

from flowir.errors import FlowError
from flowir.records import dataclass
from flowir.text import parse_expr

__all__ = ("CANARY", "Canary", "RunEnd", "Weighed", "draws", "weighed")

# The tag of the version that is tried.
CANARY: Final = "canary"
_Share = Annotated[float, Field(gt=0, le=1)]


class Canary(BaseModel):
    """How a new version is tried.

    Shape: runs of `ID@tag` are those that are shared; `score` is an expression over the
    final context of a run that went well. Units: `runs` of the canary decide; more than
    `worse` times the failures of the old version, and more than `tolerated`, are too many;
    `margin` is how much lower the mean score may be; `look_s` between two looks at it,
    `longest_s` until it has had its runs.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    tag: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")] = "stable"
    share: _Share = 0.1
    runs: Annotated[int, Field(ge=1, le=1000)] = 20
    worse: Annotated[float, Field(ge=1, le=10)] = 2.0
    tolerated: Annotated[int, Field(ge=0, le=100)] = 1
    score: str | None = None
    margin: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    look_s: Annotated[float, Field(gt=0, le=60)] = 15.0
    longest_s: Annotated[float, Field(gt=0, le=7 * 86_400)] = 86_400.0

    @field_validator("score")
    @classmethod
    def _expression(cls, score: str | None) -> str | None:
        try:
            if score is not None:
                parse_expr(score)
        except FlowError as e:
            raise ValueError(str(e)) from None
        return score


class RunEnd(NamedTuple):
    """How a run ended: `breach` if it reached for what it may not; `score` if it has one."""

    well: bool
    breach: bool = False
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Weighed:
    """What is to become of a canary, and why."""

    act: Literal["wait", "keep", "back"]
    reason: str


def weighed(
    canary: Canary, news: Sequence[RunEnd], olds: Sequence[RunEnd], age_s: float
) -> Weighed:
    """Compare the runs of a new version with those of the old one.

    >>> well, badly = RunEnd(True), RunEnd(False)
    >>> weighed(Canary(runs=4), [well] * 3, [well] * 9, 60.0).act
    'wait'
    >>> weighed(Canary(runs=4), [well] * 4, [well] * 9, 60.0).act
    'keep'
    >>> weighed(Canary(runs=4), [badly] * 2, [well] * 9, 60.0).act
    'back'
    """
    if any(end.breach for end in news):
        return Weighed("back", "enhance.canary_breach: a run reached for what it may not")
    failed, count = sum(not end.well for end in news), len(news)
    rate = sum(not end.well for end in olds) / len(olds) if olds else 0.0
    most = max(canary.tolerated, math.floor(canary.worse * rate * canary.runs))
    sums = f"{failed} of {count} runs failed, {rate:.0%} with the version before"
    if failed > most:
        return Weighed("back", f"enhance.canary_failing: {sums}; {most} were allowed")
    if count < canary.runs:
        if age_s < canary.longest_s:
            return Weighed("wait", sums)
        said = f"{count} of {canary.runs} runs in {canary.longest_s:g} s"
        return Weighed("back", f"enhance.canary_late: {said}")
    return _scored(canary, news, olds, sums)


def _scored(canary: Canary, news: Sequence[RunEnd], olds: Sequence[RunEnd], sums: str) -> Weighed:
    """Compare mean scores; a run of the canary without one scores nothing."""
    before = [end.score for end in olds if end.score is not None]
    if canary.score is None or not before:
        return Weighed("keep", f"canary: {sums}")
    old, new = fmean(before), fmean(end.score or 0.0 for end in news)
    scores = f"{new:.3g} a run, {old:.3g} with the version before"
    if new < old - canary.margin:
        return Weighed("back", f"enhance.canary_worse: {scores}")
    return Weighed("keep", f"canary: {sums}; {scores}")


def draws(share: float, run_id: str) -> bool:
    """Tell whether a run of this id begins with the canary: the same each time.

    >>> sum(draws(0.25, f"run-{n}") for n in range(1000))
    260
    """
    first = hashlib.sha256(run_id.encode()).digest()[:8]
    return int.from_bytes(first, "big") < share * 2**64
