"""The guard gate, asked by itself: what the loop is not told by the documents that it meets."""

from __future__ import annotations

from typing import Any

import pytest

from swarm.enhance.guards import is_guard, weakened

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


# -- who guards, and what each objection says ----------------------------------------------


@pytest.mark.parametrize(
    ("agent", "guards"),
    [
        (None, False),
        ({"kind": "human"}, True),
        ({"kind": "lua"}, False),
        ({"kind": "lua", "verdict": ["PASS"]}, True),
        ({"kind": "lua", "verdict": []}, False),
        ({"kind": "lua", "tags": ["guard"]}, True),
        ({"kind": "lua", "tags": ["guards"]}, False),
        *(({"kind": "lua", "layers": [{"use": one}]}, True)
          for one in ("senior", "main_ai", "audit", "redact")),
        ({"kind": "lua", "layers": ["audit"]}, True),
        ({"kind": "lua", "layers": ["retry", {"use": "cache"}, {}]}, False),
        ({"kind": "lua", "layers": ["retry", {"use": "senior"}]}, True),
    ],
)  # fmt: skip
def test_who_says_yes_or_no_is_a_guard(agent: dict[str, Any] | None, guards: bool) -> None:
    assert is_guard(agent) is guards


def _told(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [str(one) for one in weakened(before, after)]


def _agents(*agents: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"swarm": 1, "id": "letters", "agents": list(agents), "flow": _seq(), **more}


EDITOR, PRINTER = AGENTS
GONE = "enhance.guard_removed: guard 'editor' is gone"
OTHERWISE = "enhance.protected_path: guard 'editor' is told otherwise"


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ([EDITOR, PRINTER], []),
        ([EDITOR], []),
        ([PRINTER], [GONE]),
        ([{**EDITOR, "prompt": "may it?"}], [OTHERWISE]),
        ([{**EDITOR, "kind": "lua"}], [OTHERWISE]),
        ([{**EDITOR, "tags": ["x"]}], [OTHERWISE]),
        # Another gate's.
        ([{**EDITOR, "timeout_s": 3, "retry": {}, "concurrency": 1, "budget": {}, "reserve": {},
           "deadline_s": 1}], []),
        ([EDITOR, {**PRINTER, "argv": ["other"]}], []),
    ],
)  # fmt: skip
def test_a_guard_is_there_and_is_told_what_it_was(
    after: list[dict[str, Any]], said: list[str]
) -> None:
    assert _told(_agents(*AGENTS), _agents(*after)) == said


AUDIT, RETRY = {"use": "audit"}, {"use": "retry", "times": 2}


@pytest.mark.parametrize(
    ("had", "has", "said"),
    [
        ([], [], []),
        ([AUDIT], [AUDIT], []),
        ([AUDIT], [], ["enhance.guard_removed: {} loses the layer 'audit'"]),
        ([AUDIT, AUDIT], [AUDIT], ["enhance.guard_removed: {} loses the layer 'audit'"]),
        ([RETRY, AUDIT, "cache"], ["cache"], ["enhance.guard_removed: {} loses the layer 'audit'"]),
        ([AUDIT], [AUDIT, RETRY], ["enhance.protected_path: the layers of {} are changed"]),
        ([AUDIT, RETRY], [RETRY, AUDIT], ["enhance.protected_path: the layers of {} are changed"]),
        ([RETRY], [{"use": "retry"}], ["enhance.protected_path: the layers of {} are changed"]),
        ([], [AUDIT], ["enhance.protected_path: the layers of {} are changed"]),
    ],
)
def test_layers_stay_as_they_were(had: list[Any], has: list[Any], said: list[str]) -> None:
    before, after = _agents(PRINTER, layers=had), _agents(PRINTER, layers=has)
    assert _told(before, after) == [one.format("the blueprint") for one in said]
    before = _agents({**PRINTER, "tags": ["guard"], "layers": had})
    after = _agents({**PRINTER, "tags": ["guard"], "layers": has})
    assert _told(before, after) == [one.format("agent 'printer'") for one in said]
    new = _told(_agents(), _agents({**PRINTER, "layers": has}))
    expected = ["enhance.protected_path: the layers of agent 'printer' are changed"]
    assert new == (expected if has else [])


def _loop(most: int, body: dict[str, Any], cond: Any = None) -> dict[str, Any]:
    cond = {"op": "lit", "value": True} if cond is None else cond
    return {"kind": "loop", "counter": "$.i", "max": most, "cond": cond, "body": body}


def _fanout(body: dict[str, Any]) -> dict[str, Any]:
    items = {"op": "path", "at": "$.files"}
    return {"kind": "fanout", "items": items, "bind": "$.it", "join": "all", "body": body}


def _say(code: str, said: str) -> str:
    return f"enhance.{code}: {said}"


REMOVED = _say("guard_removed", "a step that asks guard 'editor' is gone")
BYPASSED = _say("guard_bypassed", "guard 'editor' is asked, or heard, otherwise")
CAUGHT = _say("guard_bypassed", "a failure of guard 'editor' is caught")
DECIDED = _say("guard_unreachable", "whether guard 'editor' is asked is decided otherwise")
NEVER = _say("guard_unreachable", "guard 'editor' is in a loop of no rounds")
WITHOUT = _say("guard_bypassed", "step printer $.printed is done without guard 'editor' before it")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (_seq(ASK), _seq(ASK), []),
        (_seq(ASK, ASK), _seq(ASK), [REMOVED]),
        (_seq(ASK), _seq(), [REMOVED]),
        (_seq(ASK), _seq({**ASK, "out": "$.other"}), [BYPASSED]),
        (_seq(ASK), _seq({**ASK, "timeout_s": 3}), []),
        (_seq(ASK), _seq(_tried(ASK, _seq(), _seq())), [CAUGHT]),
        (_seq(ASK), _seq(_now_and_then(ASK)), [DECIDED]),
        (_seq(_now_and_then(ASK)), _seq(ASK), [DECIDED]),
        (_seq(_loop(2, ASK)), _seq(_loop(0, ASK)), [NEVER]),
        (_seq(_loop(2, ASK)), _seq(_loop(1, ASK)), []),
        (_seq(_loop(2, ASK), _loop(3, _seq())), _seq(_loop(2, ASK), _loop(0, _seq())), []),
        (_seq(_loop(2, _now_and_then(ASK))), _seq(_loop(0, _now_and_then(ASK))), [NEVER]),
        # Of two that say the same the one that stands the same is the same one.
        (_seq(_now_and_then(ASK), ASK), _seq(ASK, _now_and_then(ASK)), []),
        # What is before an act on every way there.
        (_seq(ASK, PRINT), _seq(PRINT, ASK), [WITHOUT]),
        (_seq(_loop(2, ASK), PRINT), _seq(PRINT, _loop(2, ASK)), [WITHOUT]),
        (_seq(_fanout(ASK), PRINT), _seq(PRINT, _fanout(ASK)), [WITHOUT]),
        (_seq(_loop(2, _seq(ASK, PRINT))), _seq(_loop(2, _seq(PRINT, ASK))), [WITHOUT]),
        (_seq(_fanout(_seq(ASK, PRINT))), _seq(_fanout(_seq(PRINT, ASK))), [WITHOUT]),
    ],
)
def test_a_guard_is_asked_where_it_was(
    before: dict[str, Any], after: dict[str, Any], said: list[str]
) -> None:
    def of(flow: dict[str, Any]) -> dict[str, Any]:
        return {"swarm": 1, "id": "letters", "agents": AGENTS, "flow": flow}

    assert _told(of(before), of(after)) == said


@pytest.mark.parametrize(
    ("loop", "surely"),
    [
        (_loop(1, ASK), True),
        (_loop(0, ASK), False),
        (_loop(1, ASK, {"op": "lit", "value": False}), False),
        (_loop(1, ASK, {"op": "lit", "value": 1}), False),
        (_loop(1, ASK, {"op": "path", "at": "$.more"}), False),
        (_loop(1, ASK, {"op": "not", "value": True}), False),
        (_fanout(ASK), False),
    ],
)
def test_only_a_loop_that_goes_round_once_surely_asks_surely(
    loop: dict[str, Any], surely: bool
) -> None:
    """Made into one that may not, it is a guard less; one that may not has none to lose."""
    rarely = _loop(1, ASK, {"op": "path", "at": "$.rarely"})
    assert (WITHOUT in _told(_flow(loop, PRINT), _flow(rarely, PRINT))) is surely


# -- what becomes of an answer -------------------------------------------------------------

SAID: dict[str, Any] = {"op": "path", "at": "$.said"}
FAIL: dict[str, Any] = {
    "kind": "assign", "at": "$.x",
    "value": {"op": "fail", "code": "not.allowed", "message": {"op": "lit", "value": "no"}},
}  # fmt: skip
NOTHING: dict[str, Any] = {"kind": "assign", "at": "$.x", "value": {"op": "object", "code": "x"}}


def _if(cond: Any, then: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "branch", "cond": cond, "then": then}


def _set(at: str, value: Any) -> dict[str, Any]:
    return {"kind": "assign", "at": at, "value": value}


UNHEARD = _say("guard_bypassed", "what the answer of guard 'editor' decided is decided without it")
OVERWRITTEN = _say(
    "guard_bypassed", "somebody else writes where the answer of guard 'editor' stands"
)
LIT: dict[str, Any] = {"op": "lit", "value": True}


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ([ASK, _if(SAID, PRINT)], [ASK, _if(LIT, PRINT)], UNHEARD),
        ([ASK, _if(SAID, PRINT)], [ASK, _if(SAID, _seq())], UNHEARD),
        ([ASK, _if(SAID, PRINT)], [ASK, _if(SAID, _seq(PRINT))], None),
        ([ASK, _if(SAID, PRINT)], [ASK, _if(SAID, _if(LIT, PRINT))], UNHEARD),
        ([ASK, _if(SAID, PRINT)], [ASK, _if(SAID, PRINT), PRINT], None),
        ([ASK, _loop(2, PRINT, SAID)], [ASK, _loop(2, PRINT, LIT)], UNHEARD),
        ([ASK, _loop(2, PRINT, SAID)], [ASK, _loop(3, PRINT, SAID)], None),
        # It fails, or it does not.
        ([ASK, _if(SAID, FAIL)], [ASK, _if(SAID, NOTHING)], UNHEARD),
        # What is said on is heard as well,
        (
            [ASK, _set("$.a", SAID), _set("$.b", {"op": "path", "at": "$.a"}),
             _if({"op": "path", "at": "$.b"}, PRINT)],
            [ASK, _set("$.a", SAID), _set("$.b", {"op": "path", "at": "$.a"}), _if(LIT, PRINT)],
            UNHEARD,
        ),
        # or part of it; what is beside it is not.
        (
            [ASK, _if({"op": "path", "at": "$.said.score"}, PRINT)], [ASK, _if(LIT, PRINT)],
            UNHEARD,
        ),
        ([ASK, _if({"op": "path", "at": "$.saids"}, PRINT)], [ASK, _if(LIT, PRINT)], None),
        # Nobody else writes there,
        *(
            ([ASK], [ASK, {**PRINT, "out": at}], said)
            for at, said in (
                ("$.said", OVERWRITTEN), ("$.said.score", OVERWRITTEN), ("$", OVERWRITTEN),
                ("$.saids", None), ("$.other", None),
            )
        ),
        *(
            ([ASK], [ASK, {**node, name: "$.said"}], OVERWRITTEN)
            for name, node in (
                ("at", _set("$.a", LIT)),
                ("bind", _fanout(_seq())),
                ("index", _fanout(_seq())),
                ("out", {**_fanout(_seq()), "collect": LIT}),
                ("counter", _loop(2, _seq())),
                ("exhausted_at", _loop(2, _seq())),
                ("error_at", _tried(_seq(), _seq(), _seq())),
                ("err_at", _tried(_seq(), _seq(), _seq())),
            )
        ),
        # but who did so before.
        ([ASK, _set("$.said", LIT)], [_set("$.said", LIT), ASK], None),
    ],
)  # fmt: skip
def test_an_answer_decides_what_it_decided(
    before: list[dict[str, Any]], after: list[dict[str, Any]], said: str | None
) -> None:
    found = _told(_flow(*before), _flow(*after))
    assert [one for one in found if one in (UNHEARD, OVERWRITTEN)] == ([said] if said else [])


def test_an_act_behind_a_check_stays_behind_it() -> None:
    """A branch that fails lets nothing pass it unseen, whatever it is that was seen."""
    check = _if(SAID, FAIL)
    (found,) = _told(_flow(check, PRINT), _flow(PRINT, check))
    assert found.startswith("enhance.guard_bypassed: step printer $.printed is done without guard ")
    assert "'check {" in found
    for before, after in (
        ((_if(SAID, NOTHING), PRINT), (PRINT, _if(SAID, NOTHING))),
        ((check, PRINT), (check, PRINT, PRINT)),
        # One that is met now and then is one that was perhaps met.
        ((PRINT,), (check, PRINT)),
    ):
        assert _told(_flow(*before), _flow(*after)) == []
    rarely = _if(LIT, _seq(check))
    assert _told(_flow(rarely, PRINT), _flow(PRINT, rarely)) != []


CHECK: dict[str, Any] = {
    "kind": "branch",
    "cond": {"op": "path", "at": "$.odd"},
    "then": {
        "kind": "assign",
        "at": "$.never",
        "value": {"op": "fail", "code": "letter.odd", "message": {"op": "lit", "value": "no"}},
    },
}


def _perhaps(node: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "branch", "cond": {"op": "path", "at": "$.long"}, "then": node}


def _each(node: dict[str, Any]) -> dict[str, Any]:
    """Do it once for each of a list, which may be empty."""
    items = {"op": "path", "at": "$.pages"}
    return {"kind": "fanout", "items": items, "bind": "$.page", "body": node, "join": "all"}


@pytest.mark.parametrize(
    ("had", "has", "lost"),
    [
        ((CHECK, PRINT), (CHECK, PRINT), False),
        # Behind the act, and before it on some ways only: neither is what it was.
        ((CHECK, PRINT), (PRINT, CHECK), True),
        ((CHECK, PRINT), (_perhaps(CHECK), PRINT), True),
        ((_each(CHECK), PRINT), (PRINT, _each(CHECK)), True),
        ((_each(CHECK), PRINT), (CHECK, PRINT), False),
        ((CHECK, PRINT), (_each(CHECK), PRINT), True),
        ((PRINT, CHECK), (CHECK, PRINT), False),
    ],
)
def test_a_check_that_fails_a_run_is_before_what_it_was_before(
    had: tuple[Any, ...], has: tuple[Any, ...], lost: bool
) -> None:
    def of(*nodes: Any) -> dict[str, Any]:
        return {"swarm": 1, "id": "letters", "agents": AGENTS, "flow": _seq(*nodes)}

    found = [str(one) for one in weakened(of(*had), of(*has))]
    assert any("is done without guard 'check " in one for one in found) is lost
