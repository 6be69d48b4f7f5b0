"""Every public act of a host passes the guard for guests, under a verb of the table."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from swarm.core.capability.verbs import TABLE, VERBS
from swarm.errors import Denied, Refused
from swarm.host.blueprints import Blueprints
from swarm.host.guest import Guest, GuestRun
from swarm.host.guest_blueprints import GuestBlueprints
from swarm.host.host import Host
from swarm.host.run import Run
from swarm.ports.audit import AuditEntry

pytestmark = pytest.mark.anyio

HELLO: dict[str, Any] = {
    "swarm": 1,
    "id": "hello",
    "agents": [],
    "flow": {"kind": "assign", "at": "ctx.said", "value": "'hello'"},
}
PATCH = [{"op": "replace", "path": "/flow/value", "value": {"op": "lit", "value": "ho"}}]

# What a guest does, with the verb that it takes: what is called, and with what.
ACTS: dict[type, dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]]] = {
    Host: {
        "start": ("run.start", ("hello",), {}),
        "run": ("run.read", ("r_1",), {}),
        "runs": ("run.list", (), {}),
        "resume": ("run.resume", ("r_1",), {}),
        "rerun": ("run.rerun", ("r_1",), {"from_step": "$"}),
        "gc": ("run.forget", (), {"keep": 1}),
        "audit": ("audit.read", (), {}),
        "checkpoint": ("audit.prove", (), {}),
    },
    Run: {
        "wait": ("run.read", (), {}),
        "result": ("run.read", (), {}),
        "cancel": ("run.cancel", (), {}),
        "pause": ("run.pause", (), {}),
        "questions": ("question.read", (), {}),
        "answer": ("question.answer", ("q", 1), {}),
        "outputs": ("output.read", (), {}),
        "output": ("output.read", ("draft",), {}),
    },
    Blueprints: {
        "find": ("blueprint.read", ("hello",), {}),
        "list": ("blueprint.read", (), {}),
        "log": ("blueprint.read", ("hello",), {}),
        "read": ("blueprint.read", ("hello",), {}),
        "tags": ("blueprint.read", ("hello",), {}),
        "diff": ("blueprint.read", ("hello", "hello"), {}),
        "register": ("blueprint.register", (HELLO,), {}),
        "patch": ("blueprint.register", ("hello", PATCH), {}),
        "rollback": ("blueprint.rollback", ("hello@1.0.0",), {}),
        "tag": ("blueprint.tag", ("hello", "good"), {}),
        "untag": ("blueprint.tag", ("hello", "good"), {}),
    },
}
# What is not offered to guests, and why.
NOT_FOR_GUESTS: dict[type, dict[str, str]] = {
    Host: {
        "in_memory": "makes one",
        "durable": "says how it was made",
        "blueprints": "leads to acts of their own",
        "tokens": "leads to acts of their own: delegate, mint, revoke, rotate",
        "guest": "makes one",
        "worker_token": "the program's: hands the worker of an attempt its token",
        "function": "the program's own code",
        "layer": "the program's own code",
        "surround": "the program's own code",
        "run_programs": "how the machine is used",
        "secret": "the program's secrets",
        "load": "reads files of the host's machine",
        "asgi": "makes an application of it",
        "folder": "says how it was made",
        "health": "says how it is",
        "is_open": "says how it is",
        "judge": "judges the tokens of requests",
        "live_runs": "says how it is",
        "operators": "says how it was made",
        "scripts": "says how it was made",
        "enhancer": "says how it was made; the API's acts of the loop are gated one by one",
        "improve_by": "the program's",
        "load_to_run": "runs nothing; `Guest.start` takes a selector",
        "recorder": "says how it was made",
        "records": "says how it was made",
    },
    Run: {
        "id": "the bearer has it",
        "status": "offered as an act that waits",
        "summary": "offered by the list",
        "events": "looks at the token before each event",
        "ends": "the host's: how a canary does",
        "live": "how the host carries it",
        "lock": "the host's",
        "log": "the host's",
        "meter": "the host's",
        "begin": "the host's",
        "begun": "the host's",
        "drive": "the host's",
        "link": "the host's; a worker has `Guest.step`",
        "stop": "the host's",
        "interrupt": "the host's",
        "output_bytes": "the API's, behind its own look at the token",
        "retold": "the API's, behind its own look at the token",
    },
    Blueprints: {
        "close": "the program's",
        "load": "runs nothing; `Guest.start` takes a selector",
        "compiled": "reads files of the host's machine",
        "lay_out": "writes files of the host's machine",
        "export": "writes files of the host's machine",
        "put_aside": "reads files of the host's machine",
        "draft": "what the program put aside",
        "verify": "how the machine is",
        "collect": "how the machine is",
        "since": "read off the log",
    },
}
OFFERS = {Host: Guest, Run: GuestRun, Blueprints: GuestBlueprints}
CASES = [(kind, name) for kind, acts in ACTS.items() for name in acts]


def public(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


@pytest.mark.parametrize("kind", ACTS, ids=lambda kind: kind.__name__)
def test_every_public_act_has_a_verb_or_a_reason(kind: type) -> None:
    acts, others = set(ACTS[kind]), set(NOT_FOR_GUESTS[kind])
    assert public(kind) == acts | others
    assert not acts & others
    assert acts <= public(OFFERS[kind])
    assert {verb for verb, _, _ in ACTS[kind].values()} <= set(VERBS)


@pytest.mark.parametrize("guest", [Guest, GuestRun, GuestBlueprints], ids=lambda g: g.__name__)
def test_a_guest_is_offered_nothing_that_a_host_has_not(guest: type) -> None:
    """But what is about tokens, steps, and the guard itself."""
    (kind,) = (kind for kind, offered in OFFERS.items() if offered is guest)
    own = {"act", "admitted", "expect", "look", "step", "link", "delegate", "mint", "revoke"}
    own |= {"rotate", "host", "worker", "answering"}
    assert public(guest) - own <= public(kind)


async def offered(host: Host, token: str, kind: type, run: str, name: str) -> Callable[..., Any]:
    guest = host.guest(token)
    if kind is Host:
        return getattr(guest, name)
    if kind is Blueprints:
        return getattr(guest.blueprints, name)
    sees = host.guest(host.tokens.mint("eye", "observer"))
    seen = await sees.run(run)
    return getattr(GuestRun(guest, seen._run), name)  # pyright: ignore[reportPrivateUsage] - a run of another's token


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(("kind", "name"), CASES, ids=lambda one: getattr(one, "__name__", one))
async def test_an_act_is_denied_without_its_verb_and_recorded(kind: type, name: str) -> None:
    verb, args, named = ACTS[kind][name]
    row = set(TABLE["senior"]) - {verb}
    async with Host.in_memory(scripts="inline", roles={"senior": row}) as host:
        await host.blueprints.register(HELLO, author="ada")
        run = await host.start("hello", run_id="r_1")
        await run.wait()
        act = await offered(host, host.tokens.mint("eve", "senior"), kind, run.id, name)
        assert inspect.iscoroutinefunction(act)
        with pytest.raises(Denied):
            await act(*args, **named)
        last = (await host.audit())[-1]
        assert (last.actor, last.verb, last.decision) == ("eve", verb, "denied")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(("kind", "name"), CASES, ids=lambda one: getattr(one, "__name__", one))
async def test_an_act_is_done_with_its_verb_alone(kind: type, name: str) -> None:
    """The benign twin: nothing else is asked for than the verb that the table says."""
    verb, args, named = ACTS[kind][name]
    async with Host.in_memory(scripts="inline", roles={"senior": [verb]}) as host:
        await host.blueprints.register(HELLO, author="ada")
        run = await host.start("hello", run_id="r_1")
        await run.wait()
        act = await offered(host, host.tokens.mint("ada", "senior"), kind, run.id, name)
        got = "ok"
        try:
            await act(*args, **named)
        except Refused as refused:
            got = refused.code
        # The guard let it pass; the run has ended, and has no such step, output or tag.
        nothing = {"question.unknown", "rerun.step", "version.unknown", "output.unknown"}
        assert got in {"ok", "run.state", *nothing}
        assert not [entry for entry in await host.audit() if entry.decision == "denied"]


# -- what changes versions --------------------------------------------------------------------


def told(entries: Any) -> list[tuple[str, str, dict[str, Any]]]:
    """Return who did what to versions, without the guest's token."""
    leave = {"token", "role"}
    return [
        (e.actor, e.verb, {k: v for k, v in e.detail.items() if k not in leave})
        for e in entries
        if e.verb.startswith("blueprint.")
    ]


@pytest.mark.parametrize("place", ["memory", "disk"])
async def test_what_is_done_to_versions_is_recorded(tmp_path: Path, place: str) -> None:
    made = Host.in_memory(scripts="inline") if place == "memory" else Host(tmp_path)
    async with made as host:
        versions = host.blueprints
        for _ in range(2):  # the second changes nothing
            await versions.register(HELLO, author="ada")
        await versions.patch("hello", PATCH, author="bob")
        await versions.rollback("hello@1.0.0", author="bob")
        await versions.tag("hello", "good")
        await versions.untag("hello", "good")
        await versions.log("hello")
        guest = host.guest(host.tokens.mint("eve", "senior")).blueprints
        await guest.tag("hello@1.0.0", "old")
        await guest.patch("hello", PATCH)
        assert [e.note.author for e in await versions.log("hello")] == ["eve", "bob", "bob", "ada"]
        assert told(await host.audit()) == [
            ("owner", "blueprint.register",
             {"blueprint": "hello", "label": "1.0.0", "author": "ada"}),
            ("owner", "blueprint.register",
             {"blueprint": "hello", "label": "1.0.1", "author": "bob"}),
            ("owner", "blueprint.rollback",
             {"blueprint": "hello", "label": "1.0.2", "author": "bob", "back_to": "1.0.0"}),
            ("owner", "blueprint.tag", {"blueprint": "hello", "tag": "good", "label": "1.0.2"}),
            ("owner", "blueprint.tag", {"blueprint": "hello", "tag": "good", "label": None}),
            ("eve", "blueprint.tag", {"blueprint": "hello", "tag": "old", "label": "1.0.0"}),
            ("eve", "blueprint.register",
             {"blueprint": "hello", "label": "1.0.3", "author": "eve"}),
        ]  # fmt: skip


async def test_a_use_of_a_token_is_counted_with_what_it_changes(tmp_path: Path) -> None:
    async with Host(tmp_path) as host:
        token = host.tokens.mint("eve", "senior", uses=1)
        await host.guest(token).blueprints.register(HELLO)
    async with Host(tmp_path) as host:
        with pytest.raises(Denied):
            await host.guest(token).blueprints.tag("hello", "good")
        assert len(told(await host.audit())) == 2, "registered, and then denied"


async def test_what_cannot_be_done_to_versions_costs_no_use() -> None:
    async with Host.in_memory(scripts="inline") as host:
        guest = host.guest(host.tokens.mint("eve", "senior", uses=1)).blueprints
        with pytest.raises(Refused):
            await guest.tag("nobody", "good")
        await guest.register(HELLO)
        assert [(verb, told["label"]) for _, verb, told in told(await host.audit())] == [
            ("blueprint.register", "1.0.0")
        ]


async def test_a_guest_names_no_files_of_the_host(tmp_path: Path) -> None:
    file = tmp_path / "hello.lua"
    file.write_text("error('the file was run')")
    async with Host.in_memory(scripts="inline") as host:
        guest = host.guest(host.tokens.mint("eve", "senior"))
        with pytest.raises(Refused) as refused:
            await guest.blueprints.register(str(file))  # pyright: ignore[reportArgumentType] - what a stranger sends
        assert refused.value.code == "capability.path"
        with pytest.raises(Refused) as refused:
            await guest.start(str(file))
        for named in (file, {"swarm": 1, "id": "hello"}, 3):
            with pytest.raises(Refused, match="blueprint id: expected 1 to 63"):
                await guest.start(named)  # pyright: ignore[reportArgumentType] - as above
        assert refused.value.code == "version.id"
        assert await host.blueprints.list() == []


async def test_a_closed_host_changes_versions_without_a_record(tmp_path: Path) -> None:
    """The log is an open host's; the history says who it was."""
    await Host(tmp_path).blueprints.register(HELLO, author="ada")
    async with Host(tmp_path) as host:
        assert told(await host.audit()) == []
        assert (await host.blueprints.find("hello")).note.author == "ada"


async def test_the_audit_log_is_read_in_parts(tmp_path: Path) -> None:
    async with Host(tmp_path) as host:
        for name in ("a", "b", "c"):
            host.tokens.mint(name, "observer")
        guest = host.guest(host.tokens.mint("root", "admin"))
        await host.checkpoint()
        whole = await guest.audit()
        assert [entry.detail["subject"] for entry in whole] == ["a", "b", "c", "root"]
        assert await guest.audit(1, limit=2) == whole[1:3]
        assert await guest.audit(4) == []
        assert isinstance(whole[0], AuditEntry)


DRAFTS: dict[str, Any] = {
    "swarm": 1,
    "id": "drafts",
    "agents": [{"name": "w", "kind": "lua", "source": "return input", "output": "ref"}],
    "flow": {"kind": "step", "ref": "w", "in": "ctx.text", "out": "ctx.draft"},
}


async def test_a_guest_reads_outputs_of_the_run_that_his_token_names() -> None:
    """And of no other, though he knows its digest."""
    async with Host.in_memory(scripts="inline") as host:
        drafts = await host.load(DRAFTS)
        mine, other = [await host.start(drafts, {"text": text}) for text in ("mine", "secret")]
        reference = (await other.result())["draft"]
        await mine.result()
        guest = host.guest(host.tokens.mint("ada", "observer", run=mine.id))
        run = await guest.run(mine.id)
        assert [one.agent for one in await run.outputs()] == ["w"]
        assert await run.output("w") == "mine"
        with pytest.raises(Denied):
            await guest.run(other.id)
        for which in (reference["$ref"], reference):
            with pytest.raises(Refused) as refused:
                await run.output(which)
            assert refused.value.code == "output.unknown"
        assert await (await host.run(mine.id)).output(reference) == "secret", "the owner reads it"


async def test_runs_that_are_removed_are_recorded() -> None:
    async with Host.in_memory(scripts="inline") as host:
        hello = await host.load(HELLO)
        guest = host.guest(host.tokens.mint("root", "admin"))
        for _ in range(2):
            await (await host.start(hello)).wait()
        await host.gc(dry_run=True)
        await host.gc(older_than_s=1e9)
        assert len((await host.gc(keep=1)).runs) == 1
        assert len((await guest.gc()).runs) == 1
        entries = [e for e in await host.audit() if e.verb == "run.forget"]
        assert [(e.actor, e.detail["runs"]) for e in entries] == [("owner", 1), ("root", 1)]
