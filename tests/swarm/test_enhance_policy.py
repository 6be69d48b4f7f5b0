"""What is done with a change: refused, put before a person, or committed."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from swarm.enhance.policy import Decision, History, Policy, decide
from swarm.enhance.verdicts import AXES, Verdict
from swarm.errors import Refused

NOON_S = 1_790_035_200.0 - 1_790_035_200.0 % 86_400 + 12 * 3600
OFTEN: dict[str, Any] = {"per_hour": 1, "per_day": 2, "gap_s": 10.0}


def test_a_policy_that_says_nothing_is_the_careful_one() -> None:
    assert Policy().model_dump() == {
        "unattended": ("text", "tags", "limits", "script", "flow"),
        "targets": None,
        "forbidden": (),
        "axes": (),
        "without_cases": "ask",
        "without_runs": "commit",
        "widening": "reject",
        "per_hour": 4,
        "per_day": 20,
        "in_a_row": 10,
        "gap_s": 600.0,
        "hours": (0, 24),
        "issues_per_hour": 4,
        "failures": 3,
        "cool_down_s": 3600.0,
        "approval_s": 86_400,
        "cost_factor": 1.25,
        "margin": 0.0,
        "cases_s": 300.0,
        "replays": 20,
        "canary": None,
        "replays_s": 120.0,
    }


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"replays": 0}, "replays: input should be greater than or equal to 1"),
        ({"replays": 101}, "replays: input should be less than or equal to 100"),
        ({"cost_factor": 0.5}, "cost_factor: input should be greater than or equal to 1"),
        ({"hours": [0]}, "hours.1: field required"),
        ({"more": 1}, "more: extra inputs are not permitted"),
        ({"gap_s": -1}, "gap_s: input should be greater than or equal to 0"),
    ],
)
def test_what_is_no_policy_is_refused_at_its_place(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused) as refused:
        Policy.of(settings)
    assert (refused.value.code, refused.value.message) == ("enhance.policy", f"enhance: {said}")


BETWEEN: list[tuple[str, Any, Any, Any, Any]] = [
    # A setting, the least and the most, and what is just outside; None: there is no end.
    ("per_hour", 0, -1, None, None),
    ("per_day", 0, -1, None, None),
    ("in_a_row", 0, -1, None, None),
    ("issues_per_hour", 0, -1, None, None),
    ("failures", 0, -1, None, None),
    ("gap_s", 0.0, -0.1, 1e9, float("inf")),
    ("cool_down_s", 0.0, -0.1, 1e9, float("inf")),
    ("margin", 0.0, -0.1, 1e9, float("inf")),
    ("approval_s", 1, 0, 86_400, 86_401),
    ("cost_factor", 1.0, 0.9, 10.0, 10.1),
    ("cases_s", 0.1, 0.0, 3600.0, 3600.1),
    ("replays_s", 0.1, 0.0, 3600.0, 3600.1),
    ("replays", 1, 0, 100, 101),
    ("hours", (0, 0), (-1, 0), (24, 24), (24, 25)),
]


@pytest.mark.parametrize(("name", "least", "less", "most", "more"), BETWEEN)
def test_a_setting_is_between_its_ends(
    name: str, least: Any, less: Any, most: Any, more: Any
) -> None:
    for value in (least, most):
        if value is not None:
            assert getattr(Policy.of({name: value}), name) == value
    for value in (less, more):
        if value is not None:
            with pytest.raises(ValidationError):
                Policy.model_validate({name: value})


def test_a_policy_stays_as_it_was_read_and_is_read_as_it_stands() -> None:
    policy = Policy.of({"per_hour": 3})
    with pytest.raises(ValidationError, match="frozen"):
        policy.per_hour = 4  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(Refused, match="enhance: per_hour: input should be a valid integer"):
        Policy.of({"per_hour": "3"})


def test_the_shipped_axes_are_required_always_and_each_once() -> None:
    assert Policy(axes=("style", "power", "style")).required() == (*AXES, "style")


def decided(
    policy: Policy | None = None,
    failing: dict[str, tuple[str, ...]] | None = None,
    kinds: Any = ("script",),
    history: History | None = None,
    *,
    now_s: float = NOON_S,
    frozen: bool = False,
    verdicts: list[Verdict] | None = None,
) -> Decision:
    failing = failing or {}
    if verdicts is None:
        verdicts = [
            Verdict(axis, "b", "r", axis not in failing, failing.get(axis, ("fine",)))
            for axis in AXES
        ]
    return decide(
        policy or Policy(), verdicts, frozenset(kinds), history or History(),
        base="b", result="r", now_s=now_s, frozen=frozen,
    )  # fmt: skip


def test_what_all_axes_pass_is_committed() -> None:
    assert History() == History(unattended_at=(), in_a_row=0)
    assert decided() == Decision("commit")
    assert decided().to_wire() == {"act": "commit", "reasons": []}


def test_a_frozen_loop_commits_nothing() -> None:
    assert decided(frozen=True) == Decision("reject", ("enhance.frozen: the loop is frozen",))


def test_an_axis_that_says_nothing_or_twice_is_none() -> None:
    passed = [Verdict(axis, "b", "r", True) for axis in AXES]
    said = "enhance.quorum_not_met: no verdict, or more than one, on "
    for verdicts, names in (
        (passed[1:], AXES[0]),
        ([*passed, passed[2]], AXES[2]),
        ([Verdict(AXES[0], "b", "other", True), *passed[1:]], AXES[0]),
        ([], ", ".join(AXES)),
    ):
        assert decided(verdicts=verdicts) == Decision("reject", (said + names,))


ASKED: list[tuple[str, str, dict[str, str], str]] = [
    ("schema", "enhance.schema: no", {}, "reject"),
    ("power", "enhance.capability_widened: no", {}, "reject"),
    ("power", "enhance.capability_widened: no", {"widening": "ask"}, "ask"),
    ("guards", "enhance.guard_removed: no", {"widening": "ask"}, "ask"),
    ("limits", "enhance.limit_raised: no", {"widening": "ask"}, "ask"),
    ("cost", "enhance.cost_budget: no", {"widening": "ask"}, "ask"),
    ("schema", "enhance.schema: no", {"widening": "ask"}, "reject"),
    ("cases", "enhance.no_cases: none", {}, "ask"),
    ("cases", "enhance.no_cases: none", {"without_cases": "reject"}, "reject"),
    ("cases", "enhance.case_worse: a", {}, "reject"),
    ("replay", "enhance.no_runs: none", {"without_runs": "ask"}, "ask"),
    ("replay", "enhance.no_runs: none", {"without_runs": "reject"}, "reject"),
    ("replay", "enhance.no_runs: none", {}, "reject"),
    ("replay", "enhance.replay_worse: a", {"without_runs": "ask"}, "reject"),
    ("replay", "enhance.replay_untold: a", {}, "ask"),
]


@pytest.mark.parametrize(("axis", "evidence", "settings", "act"), ASKED)
def test_what_fails_is_refused_unless_a_person_may_tell(
    axis: str, evidence: str, settings: dict[str, Any], act: Any
) -> None:
    failing = {axis: (evidence,)}
    assert decided(Policy(**settings), failing) == Decision(act, (evidence,))
    # Beside what nobody may let pass there is nothing to ask.
    both = decided(Policy(**settings), {**failing, "compiles": ("enhance.compiles: no",)})
    assert both.act == "reject"


@pytest.mark.parametrize(
    ("ages_s", "said"),
    [
        ((), None),
        ((3599.0,), "1 commits an hour are the most"),
        ((3600.0,), None),
        ((3600.0, 86_399.0), "2 commits a day are the most"),
        ((3600.0, 86_400.0), None),
    ],
)
def test_a_blueprint_is_changed_so_many_times_an_hour_and_a_day(
    ages_s: tuple[float, ...], said: str | None
) -> None:
    history = History(tuple(NOON_S - age for age in ages_s))
    found = decided(Policy(**OFTEN), history=history)
    reasons = () if said is None else (f"enhance.rate_limited: {said}",)
    assert found == Decision("commit" if said is None else "reject", reasons)


@pytest.mark.parametrize(
    ("ages_s", "said"),
    [
        ((10.0, 50.0), None),
        ((50.0, 9.0), "the last commit is 9 s old, of 10"),
        ((0.0,), "the last commit is 0 s old, of 10"),
    ],
)
def test_between_two_commits_there_is_a_gap(ages_s: tuple[float, ...], said: str | None) -> None:
    history = History(tuple(NOON_S - age for age in ages_s))
    found = decided(Policy(gap_s=10.0), history=history)
    assert found.reasons == (() if said is None else (f"enhance.rate_limited: {said}",))


@pytest.mark.parametrize(
    ("hours", "within"),
    [
        ((0, 24), set(range(24))),
        ((9, 17), set(range(9, 17))),
        ((22, 6), {22, 23, *range(6)}),
        ((9, 9), set[int]()),
    ],
)
def test_within_its_hours_nobody_has_to_look(hours: tuple[int, int], within: set[int]) -> None:
    midnight_s = NOON_S - 12 * 3600
    for hour in range(24):
        for second in (0, 3599.9):
            found = decided(Policy(hours=hours), now_s=midnight_s + hour * 3600 + second)
            said = f"{hour} o'clock UTC is none of the hours from {hours[0]} to {hours[1]}"
            expected = Decision("ask", (f"enhance.beyond_allowance: {said}",))
            assert found == (Decision("commit") if hour in within else expected)


@pytest.mark.parametrize(
    ("kinds", "settings", "in_a_row", "reasons"),
    [
        (("script", "flow"), {}, 9, ()),
        (("agent",), {}, 0, ("beyond_allowance: a change of agent needs a person",)),
        (
            ("script", "flow"),
            {"unattended": ("text",)},
            0,
            ("beyond_allowance: a change of flow, script needs a person",),
        ),
        (
            ("prompt",),
            {"unattended": ("text", "script")},
            0,
            ("prompt_changed: what somebody is told is changed: a person reads it first",),
        ),
        (("script",), {}, 10, ("beyond_allowance: 10 commits since a person looked",)),
    ],
)
def test_what_is_beyond_the_allowance_is_put_before_a_person(
    kinds: tuple[str, ...], settings: dict[str, Any], in_a_row: int, reasons: tuple[str, ...]
) -> None:
    found = decided(Policy(**settings), kinds=kinds, history=History((), in_a_row))
    assert found.reasons == tuple(f"enhance.{reason}" for reason in reasons)
    assert found.act == ("ask" if reasons else "commit")
