"""A guest's acts: each under its verb, handed on whole, and answered as the host answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from swarm.core.capability.guard import DESK, WORK
from swarm.core.capability.mint import Order
from swarm.core.capability.rules import Decision
from swarm.errors import Denied, Refused
from swarm.host.blueprints import Blueprints
from swarm.host.guest import Guest, GuestRun
from swarm.host.guest_blueprints import GuestBlueprints
from swarm.testing import scripted_blueprint
from tests.swarm.guests import ADA, Door, Said, Spoken, Stream

pytestmark = pytest.mark.anyio


def host(name: str, *args: Any, **more: Any) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    return name, args, {**more, "within": True}


COMPILED = scripted_blueprint({"kind": "seq", "children": []}, {})

# What a guest asks for, under which verb and of which run, what the host is asked for then.
ACTS: dict[str, tuple[Callable[[Guest], Awaitable[Any]], tuple[str, str | None], Any]] = {
    "start": (
        lambda guest: guest.start(COMPILED, 5, run_id="r_1", budget={"steps": 1}),
        ("run.start", "r_1"),
        host("start", COMPILED, 5, run_id="r_1", budget={"steps": 1}),
    ),
    "run": (lambda guest: guest.run("r_1"), ("run.read", "r_1"), host("run", "r_1")),
    "runs": (
        lambda guest: guest.runs(),
        ("run.list", None),
        host("runs", None, limit=1000, before=None),
    ),
    "some runs": (
        lambda guest: guest.runs(["failed"], limit=5, before="r_7"),
        ("run.list", None),
        host("runs", ["failed"], limit=5, before="r_7"),
    ),
    "resume": (lambda guest: guest.resume("r_1"), ("run.resume", "r_1"), host("resume", "r_1")),
    "rerun": (
        lambda guest: guest.rerun("r_1", from_step="$", set={"a": 1}, new_id="r_2"),
        ("run.rerun", "r_1"),
        host("rerun", "r_1", from_step="$", set={"a": 1}, new_id="r_2"),
    ),
    "gc": (
        lambda guest: guest.gc(),
        ("run.forget", None),
        host("gc", older_than_s=None, status=None, keep=0, dry_run=False),
    ),
    "some gc": (
        lambda guest: guest.gc(older_than_s=3, status=["failed"], keep=2, dry_run=True),
        ("run.forget", None),
        host("gc", older_than_s=3, status=["failed"], keep=2, dry_run=True),
    ),
    "audit": (lambda guest: guest.audit(), ("audit.read", None), host("audit", 0, limit=1000)),
    "some audit": (
        lambda guest: guest.audit(5, limit=6),
        ("audit.read", None),
        host("audit", 5, limit=6),
    ),
    "checkpoint": (lambda guest: guest.checkpoint(), ("audit.prove", None), host("checkpoint")),
}
ANSWERED: dict[str, Any] = {
    "gc": "the gc", "some gc": "the gc", "audit": "the audit", "some audit": "the audit",
    "checkpoint": "the checkpoint", "runs": ("a row",) * 2, "some runs": ("a row",) * 2,
}  # fmt: skip


@pytest.mark.parametrize("what", ACTS)
async def test_an_act_of_a_guest_is_the_hosts_under_its_verb(what: str) -> None:
    act, (verb, run), asked = ACTS[what]
    door = Door()
    answer = await act(door.guest)
    assert door.guard.calls == [("check", (verb, run, None, None), {"purposes": DESK})]
    assert door.acts == [(verb, run, None, None, False)]
    assert door.host.calls == [asked]
    if what in ANSWERED:
        assert answer == ANSWERED[what]
    else:
        assert isinstance(answer, GuestRun)
        assert answer.id == "r_1"


@pytest.mark.parametrize("what", ACTS)
async def test_an_act_that_is_not_covered_reaches_no_host_and_is_recorded(what: str) -> None:
    act, (verb, run), _ = ACTS[what]
    door = Door(allowed=False)
    with pytest.raises(Denied):
        await act(door.guest)
    assert door.refused == [(verb, "role", run, None, None)]
    assert (door.acts, door.host.calls) == ([], [])


async def test_a_guest_starts_a_version_by_its_name() -> None:
    door = Door()
    await door.guest.start("id@1", run_id="r_1")
    assert door.host.calls == [
        host("load_to_run", "id@1", "r_1"),
        host("start", "the load_to_run", None, run_id="r_1", budget=None),
    ]


async def test_a_host_is_there_for_who_acts_in_a_guests_name() -> None:
    door = Door()
    assert door.guest.host is door.host


async def test_looks_are_of_the_desk_or_of_the_work_and_count_no_use() -> None:
    door = Door()
    await door.guest.expect("run.read", "r_1")
    await door.guest.expect("step.read", "r_1", "$", 2)
    door.guest.look("run.read", "r_1")
    assert door.guard.calls == [
        ("look", ("run.read", "r_1", None, None), {"purposes": DESK}),
        ("look", ("step.read", "r_1", "$", 2), {"purposes": WORK}),
        ("look", ("run.read", "r_1"), {"purposes": DESK}),
    ]
    assert await door.guest.admitted() is ADA
    assert door.guard.calls[-1] == ("admit", ("a token", DESK | WORK), {})
    assert (door.acts, door.refused) == ([], [])


async def test_a_look_that_says_no_is_recorded_once() -> None:
    door = Door(allowed=False)
    with pytest.raises(Denied):
        await door.guest.expect("step.read", "r_1", "$", 2)
    with pytest.raises(Denied):
        door.guest.look("run.read", "r_1")
    with pytest.raises(Denied, match="a token that holds"):
        await door.guest.admitted()
    assert door.refused == [
        ("step.read", "role", "r_1", "$", 2),
        ("visit", "form", None, None, None),
    ]


# -- steps and tokens ----------------------------------------------------------------------


async def test_a_step_is_there_while_its_attempt_goes_on() -> None:
    door, links = Door(), Spoken()
    door.run.link = links.link
    step = await door.guest.step("r_1", "$", 2)
    assert step._at == ("r_1", "$", 2)  # pyright: ignore[reportPrivateUsage]
    assert door.guard.calls == [("check", ("step.read", "r_1", "$", 2), {"purposes": WORK})]
    assert door.acts == [("step.read", "r_1", "$", 2, False)]
    assert links.calls == [("link", ("$", 2), {})]
    passed = cast("Any", SimpleNamespace(decision=Decision(True, "ok", "", ADA)))
    assert await door.guest.link(passed, "step.part", "r_1", "$", 2) == "the link"
    links.answers["link"] = None
    with pytest.raises(Denied) as caught:
        await door.guest.link(passed, "step.part", "r_1", "$", 2)
    assert caught.value.values == {"verb": "step.part", "reason": "over"}
    assert door.refused == [("step.part", "over", "r_1", "$", 2)]


async def test_what_a_bearer_hands_on_is_of_his_own_name_and_role() -> None:
    door = Door()
    door.authority.answers["child"] = ("less", Decision(True, "ok", "token.delegate", ADA))
    token = await door.guest.delegate(
        ["run.read"], run="r_1", step="$", attempt=1, ttl_s=2, uses=3, depth=4
    )
    assert token == "less"  # noqa: S105
    order = Order("ada", "operator", ["run.read"], "r_1", "$", 1, 2, 3, 4)
    assert door.authority.calls == [("child", (ADA, order), {})]
    assert door.acts == [("token.delegate", "r_0", "$/0", 7, True)]
    assert door.guard.calls == [
        ("admit", ("a token", DESK | WORK), {}),
        ("check", ("token.delegate", "r_0", "$/0", 7), {"purposes": WORK}),
    ]
    await door.guest.delegate()
    assert door.authority.calls[-1] == ("child", (ADA, Order("ada", "operator")), {})
    door.authority.answers["child"] = (None, Decision(False, "wider", "token.delegate", ADA))
    with pytest.raises(Denied) as caught:
        await door.guest.delegate()
    assert caught.value.values["reason"] == "wider"
    assert door.refused == [("token.delegate", "wider", "r_0", "$/0", 7)]


async def test_who_shows_nothing_hands_nothing_on() -> None:
    door = Door(allowed=False)
    with pytest.raises(Denied, match="a token that holds"):
        await door.guest.delegate()
    assert door.refused == [("token.delegate", "form", None, None, None)]
    assert door.authority.calls == []


async def test_tokens_are_minted_revoked_and_rotated_under_their_verbs() -> None:
    door = Door()

    async def revoke(**what: str) -> None:
        door.authority.calls.append(("revoke", (), what))

    door.authority.revoke = revoke
    assert await door.guest.mint("bob", "observer", ["run.read"], uses=1) == "the mint"
    await door.guest.revoke(subject="bob")
    assert await door.guest.rotate() == "the rotate"
    assert [call for call in door.authority.calls if call[0] != "child"] == [
        ("mint", ("bob", "observer", ["run.read"]), {"uses": 1}),
        ("revoke", (), {"subject": "bob"}),
        ("rotate", (), {}),
    ]
    assert door.acts == [
        (verb, None, None, None, True) for verb in ("token.mint", "token.revoke", "token.rotate")
    ]


# -- a run --------------------------------------------------------------------------------------


class Behind(Said):
    """A run as a guest sees it, of which some answers come at once."""

    id, status = "r_1", "waiting"

    def events(self, since: int = 0, **more: Any) -> Any:
        self.calls.append(("events", (since,), more))

        return Stream([{"kind": "run.started"}, {"kind": "run.finished"}])


OF_A_RUN: dict[str, tuple[Callable[[GuestRun], Awaitable[Any]], str, Any, Any]] = {
    "wait": (lambda run: run.wait(), "run.read", ("wait", (), {}), "the wait"),
    "cancel": (
        lambda run: run.cancel(), "run.cancel", ("cancel", ("cancelled by a guest",), {}), None,
    ),
    "cancel why": (lambda run: run.cancel("why"), "run.cancel", ("cancel", ("why",), {}), None),
    "pause": (lambda run: run.pause(), "run.pause", ("pause", (), {}), None),
    "questions": (
        lambda run: run.questions(), "question.read", ("questions", (), {}), "the questions",
    ),
    "answer": (
        lambda run: run.answer("r_1:1", 5),
        "question.answer",
        ("answer", ("r_1:1", 5), {"by": "ada", "may": ("ada", "operator")}), None,
    ),
    "outputs": (lambda run: run.outputs(), "output.read", ("outputs", (), {}), "the outputs"),
    "output": (
        lambda run: run.output(cast("Any", 5)),
        "output.read", ("output", ("5",), {}), "the output",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", OF_A_RUN)
async def test_an_act_on_a_run_is_the_runs_under_its_verb(what: str) -> None:
    act, verb, asked, answer = OF_A_RUN[what]
    door, behind = Door(), Behind()
    assert await act(GuestRun(door.guest, cast("Any", behind))) == answer
    assert behind.calls == [asked]
    assert door.acts == [(verb, "r_1", None, None, False)]
    closed, behind = Door(allowed=False), Behind()
    with pytest.raises(Denied):
        await act(GuestRun(closed.guest, cast("Any", behind)))
    assert behind.calls == []


async def test_a_run_tells_its_status_and_its_result() -> None:
    door, behind = Door(), Behind()
    run = GuestRun(door.guest, cast("Any", behind))
    assert await run.status() == "waiting"
    behind.answers["wait"] = SimpleNamespace(unwrap=lambda: {"a": 1})
    assert await run.result() == {"a": 1}
    assert [act[0] for act in door.acts] == ["run.read", "run.read"]


async def test_watching_is_one_use_and_is_looked_at_with_each_event() -> None:
    door, behind = Door(), Behind()
    stream = GuestRun(door.guest, cast("Any", behind)).events(3, kinds=["run.*"], at="$")
    assert behind.calls == [("events", (3,), {"kinds": ["run.*"], "at": "$"})]
    assert door.guard.calls == []
    assert [event["kind"] async for event in stream] == ["run.started", "run.finished"]
    assert [name for name, _, _ in door.guard.calls] == ["check", "look", "look"]
    assert door.acts == [("run.read", "r_1", None, None, False)]
    GuestRun(door.guest, cast("Any", behind)).events()
    assert behind.calls[-1] == ("events", (0,), {"kinds": None, "at": None})
    again = GuestRun(door.guest, cast("Any", behind)).events()
    assert (await anext(again))["kind"] == "run.started"
    door.allowed = False
    with pytest.raises(Denied):
        await anext(again)


# -- versions -----------------------------------------------------------------------------------

DOCUMENT: dict[str, Any] = {"id": "a"}
VERSIONS: dict[str, tuple[Callable[[GuestBlueprints], Awaitable[Any]], str, Any]] = {
    "find": (lambda b: b.find("a@1"), "read", ("find", ("a@1",), {})),
    "list": (lambda b: b.list(), "read", ("list", (), {})),
    "log": (lambda b: b.log("a"), "read", ("log", ("a",), {"limit": 50, "before": None})),
    "some log": (
        lambda b: b.log("a", limit=2, before=9), "read", ("log", ("a",), {"limit": 2, "before": 9}),
    ),
    "read": (lambda b: b.read("a@1"), "read", ("read", ("a@1",), {})),
    "tags": (lambda b: b.tags("a"), "read", ("tags", ("a",), {})),
    "diff": (lambda b: b.diff("a@1", "a@2"), "read", ("diff", ("a@1", "a@2"), {})),
    "register": (
        lambda b: b.register(DOCUMENT),
        "register",
        ("register", (DOCUMENT,), {
            "author": "ada", "reason": "", "bump": "patch", "label": None, "expected": None,
        }),
    ),
    "some register": (
        lambda b: b.register(DOCUMENT, reason="why", bump="major", label="2.0", expected="c"),
        "register",
        ("register", (DOCUMENT,), {
            "author": "ada", "reason": "why", "bump": "major", "label": "2.0", "expected": "c",
        }),
    ),
    "patch": (
        lambda b: b.patch("a@1", [{"op": "x"}], reason="why", bump="minor"),
        "register",
        ("patch", ("a@1", [{"op": "x"}]), {"author": "ada", "reason": "why", "bump": "minor"}),
    ),
    "rollback": (
        lambda b: b.rollback("a@1", reason="why"),
        "rollback", ("rollback", ("a@1",), {"author": "ada", "reason": "why"}),
    ),
    "tag": (lambda b: b.tag("a@1", "t"), "tag", ("tag", ("a@1", "t"), {})),
    "untag": (lambda b: b.untag("a", "t"), "tag", ("untag", ("a", "t"), {})),
}  # fmt: skip


@pytest.mark.parametrize("what", VERSIONS)
async def test_an_act_on_versions_is_the_hosts_under_its_verb(what: str) -> None:
    act, verb, asked = VERSIONS[what]
    door, versions = Door(), Said()
    door.host.blueprints = versions
    answer = await act(door.guest.blueprints)
    assert versions.calls == [asked]
    assert answer == (None if what == "untag" else f"the {asked[0]}")
    assert door.acts == [(f"blueprint.{verb}", None, None, None, False)]
    assert versions.calls == [asked]
    closed = Door(allowed=False)
    closed.host.blueprints = versions
    with pytest.raises(Denied):
        await act(closed.guest.blueprints)
    assert versions.calls == [asked]


@pytest.mark.parametrize("document", ["blueprints/a.lua", ["a"], None])
async def test_a_guest_hands_in_documents_and_no_paths(document: Any) -> None:
    door, versions = Door(), Said()
    guest = GuestBlueprints(door.guest.act, cast("Blueprints", versions))
    with pytest.raises(Refused) as caught:
        await guest.register(document)
    kind = type(document).__name__
    assert caught.value.code == "capability.path"
    assert str(caught.value) == f"register: expected a document of a guest, got {kind}"
    assert versions.calls == []
