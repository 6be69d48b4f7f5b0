"""The guard gate, asked by itself: what the loop is not told by the documents that it meets."""

from __future__ import annotations

from typing import Any

from swarm.enhance.guards import weakened

AGENTS = [
    {"name": "editor", "kind": "human", "prompt": "may it go out?"},
    {"name": "printer", "kind": "process", "argv": ["lpr"]},
]
ASK: dict[str, Any] = {
    "kind": "step", "ref": "editor", "in": {"op": "path", "at": "$.letter"}, "out": "$.said",
}  # fmt: skip
PRINT: dict[str, Any] = {
    "kind": "step", "ref": "printer", "in": {"op": "path", "at": "$.letter"}, "out": "$.printed",
}  # fmt: skip


def _seq(*children: Any) -> dict[str, Any]:
    return {"kind": "seq", "children": list(children)}


def _document(otherwise: dict[str, Any]) -> dict[str, Any]:
    branch = {
        "kind": "branch",
        "cond": {"op": "path", "at": "$.long"},
        "then": _seq(ASK, PRINT),
        "else": otherwise,
    }
    return {"swarm": 1, "id": "letters", "agents": AGENTS, "flow": _seq(branch)}


def test_an_act_that_is_done_once_more_on_another_way_is_bypassed() -> None:
    """The guard stands before one of the two, and was met by then: that is not enough."""
    found = [one.code for one in weakened(_document(_seq()), _document(_seq(PRINT)))]
    assert found == ["enhance.guard_bypassed"]


def test_an_act_that_is_done_once_more_behind_its_guard_is_none() -> None:
    twin = _document(_seq())
    twin["flow"]["children"][0]["then"] = _seq(ASK, PRINT, PRINT)
    assert list(weakened(_document(_seq()), twin)) == []


def test_a_guard_that_is_gone_is_told_from_one_that_is_asked_otherwise() -> None:
    gone, other = _document(_seq()), _document(_seq())
    gone["flow"]["children"][0]["then"] = _seq(PRINT)
    asked = {**ASK, "in": {"op": "lit", "value": "fine"}}
    other["flow"]["children"][0]["then"] = _seq(asked, PRINT)
    codes = [[one.code for one in weakened(_document(_seq()), d)] for d in (gone, other)]
    assert "enhance.guard_removed" in codes[0]
    assert "enhance.guard_removed" not in codes[1]
    assert "enhance.guard_bypassed" in codes[1]


def _now_and_then(*asked: dict[str, Any]) -> dict[str, Any]:
    """Return a branch without another way: behind it nobody knows who was asked."""
    return {"kind": "branch", "cond": {"op": "path", "at": "$.long"}, "then": _seq(*asked)}


def _flow(*children: dict[str, Any]) -> dict[str, Any]:
    return {"swarm": 1, "id": "letters", "agents": AGENTS, "flow": _seq(*children)}


def test_a_guard_that_is_asked_now_and_then_is_not_asked_afterwards() -> None:
    before, after = _flow(_now_and_then(ASK), PRINT), _flow(PRINT, _now_and_then(ASK))
    found = list(weakened(before, after))
    assert [one.code for one in found] == ["enhance.guard_bypassed"]
    assert "step printer $.printed is done without guard 'editor' before it" in str(found[0])
    assert list(weakened(before, _flow(_now_and_then(ASK), PRINT, PRINT))) == []


WRITE: dict[str, Any] = {
    "kind": "assign", "at": "$.letter", "value": {"op": "lit", "value": "Dear all"},
}  # fmt: skip


def test_a_guard_who_was_asked_about_an_act_is_not_asked_before_it_as_well() -> None:
    """Asked twice, with the same words: the first answer is one about what was not there yet."""
    before = _flow(WRITE, ASK, PRINT)
    found = list(weakened(before, _flow(ASK, WRITE, ASK, PRINT)))
    assert {one.code for one in found} == {"enhance.guard_bypassed"}
    assert any("is done behind guard 'editor', who was asked about it" in str(o) for o in found)
    assert list(weakened(before, _flow(WRITE, ASK, PRINT, PRINT))) == []


def test_an_act_before_the_branch_that_may_ask_is_bypassed_although_it_is_done_behind_it_too() -> (
    None
):
    before = _flow(_now_and_then(ASK), PRINT)
    found = list(weakened(before, _flow(PRINT, _now_and_then(ASK), PRINT)))
    assert [one.code for one in found] == ["enhance.guard_bypassed"]


def _tried(body: dict[str, Any], catch: dict[str, Any], last: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "try", "body": body, "catch": catch, "finally": last}


def test_what_is_asked_whatever_happens_may_not_be_asked_now_and_then_instead() -> None:
    rarely, nothing = _now_and_then(ASK), _seq()
    for before, after in (
        (_tried(ASK, ASK, nothing), _tried(ASK, rarely, nothing)),
        (_tried(ASK, ASK, nothing), _tried(rarely, ASK, nothing)),
        (_tried(nothing, nothing, ASK), _tried(nothing, nothing, rarely)),
    ):
        codes = [one.code for one in weakened(_flow(before, PRINT), _flow(after, PRINT))]
        assert "enhance.guard_bypassed" in codes
        assert "enhance.guard_bypassed" not in [
            one.code for one in weakened(_flow(after, PRINT), _flow(before, PRINT))
        ]
