"""The host as the bearer of a token sees it: real hosts, on a disk where that matters."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from swarm.core.capability import mint
from swarm.core.capability.grant import Caveat
from swarm.core.capability.keys import OVERLAP_S
from swarm.errors import Denied, Refused, RunFailed
from swarm.host.host import Host
from swarm.host.parts import Parts
from swarm.ports.worker import Call, Outcome, StepLink
from swarm.stores.audit import MemoryAudit
from swarm.stores.memory import MemoryJournal
from swarm.testing.agents import ScriptedWorker, scripted_blueprint
from swarm.testing.clock import FakeClock
from swarm.testing.ids import CountedIds

pytestmark = pytest.mark.anyio

HELLO: dict[str, Any] = {
    "swarm": 1,
    "id": "hello",
    "agents": [],
    "flow": {"kind": "assign", "at": "ctx.said", "value": "'hello'"},
}
ASKS: dict[str, Any] = {
    "swarm": 1,
    "id": "asks",
    "agents": [{"name": "human", "kind": "human", "prompt": "sure?"}],
    "flow": {"kind": "step", "ref": "human", "in": "null", "out": "ctx.answer"},
}
STEP: dict[str, Any] = {
    "kind": "step",
    "ref": "a",
    "in": {"op": "lit", "value": 1},
    "out": "$.a",
}


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


async def denied(act: Awaitable[Any], reason: str | None = None) -> None:
    """Expect a no; *reason* None: the one that outsiders are told."""
    with pytest.raises(Denied) as found:
        await act
    if reason is None:
        assert str(found.value) == "expected a token that holds, got none"
    else:
        assert found.value.values["reason"] == reason


# -- acts ---------------------------------------------------------------------------------


async def test_a_guest_does_what_his_token_covers() -> None:
    async with Host.in_memory() as host:
        hello, asks = await host.load(HELLO), await host.load(ASKS)
        guest = host.guest(host.tokens.mint("ada", "operator"))
        run = await guest.start(hello)
        assert await run.result() == {"said": "hello"}
        assert [event["kind"] async for event in run.events()][-1] == "run.finished"
        assert (await guest.runs())[0].run_id == run.id
        asked = await guest.start(asks)
        async for event in asked.events():
            if event["kind"] == "run.waiting":
                break
        (question,) = await asked.questions()
        await asked.answer(question.id, "yes")
        assert await asked.result() == {"answer": "yes"}
        events = [event async for event in (await host.run(asked.id)).events()]
        (answered,) = [e for e in events if e["kind"] == "question.answered"]
        assert answered["by"] == "ada", "in the name of the token, whatever is asked for"


async def test_a_question_to_somebody_is_answered_by_nobody_else() -> None:
    clock = FakeClock()
    parts = Parts(MemoryJournal(), clock, CountedIds(), audit=MemoryAudit())
    to_ada = {**ASKS["agents"][0], "to": "ada", "deadline_s": 60}
    escalates = {**to_ada, "on_deadline": "escalate", "escalate_to": "senior"}
    async with Host(parts) as host:
        blueprint = await host.load({**ASKS, "agents": [escalates]})
        tokens = {"ada": "operator", "bob": "operator", "cleo": "senior"}
        ada, bob, cleo = (host.guest(host.tokens.mint(*one)) for one in tokens.items())
        for who, other in ((ada, bob), (cleo, ada)):
            run = await bob.start(blueprint)
            async for event in run.events():
                if event["kind"] == "run.waiting":
                    break
            (question,) = await run.questions()
            if who is cleo:
                await denied((await cleo.run(run.id)).answer(question.id, "yes"), "to")
                # Whoever is late answers what is somebody else's by now.
                await clock.advance(61)
            await denied((await other.run(run.id)).answer(question.id, "no"), "to")
            assert (await run.questions())[0].id == question.id
            await (await who.run(run.id)).answer(question.id, "yes")
            assert await run.result() == {"answer": "yes"}
        refused = [e for e in await host.audit() if e.decision == "denied"]
        assert [(e.actor, e.verb, e.detail["reason"]) for e in refused] == [
            ("bob", "question.answer", "to"),
            ("cleo", "question.answer", "to"),
            ("ada", "question.answer", "to"),
        ]
        # Whoever has the host answers for anybody.
        run = await host.start(blueprint)
        async for event in run.events():
            if event["kind"] == "run.waiting":
                break
        await run.answer(f"{run.id}:1", "yes")
        assert await run.result() == {"answer": "yes"}


async def test_an_observer_sees_and_touches_nothing() -> None:
    async with Host.in_memory() as host:
        asks = await host.load(ASKS)
        run = await host.start(asks)
        guest = host.guest(host.tokens.mint("eve", "observer"))
        seen = await guest.run(run.id)
        assert await seen.status() in ("running", "waiting")
        await denied(guest.start(asks), "role")
        await denied(seen.cancel(), "role")
        await denied(seen.pause(), "role")
        await denied(seen.answer(f"{run.id}:1", "yes"), "role")
        await denied(guest.resume(run.id), "role")
        await denied(guest.rerun(run.id, from_step="x"), "role")
        await denied(guest.mint("eve", "admin"), "role")
        await denied(guest.revoke(subject="ada"), "role")
        await denied(guest.rotate(), "role")
        assert len(await host.runs()) == 1


@pytest.mark.parametrize("token", ["", "v1.x.y.z", "Bearer x", "null"])
async def test_an_outsider_is_told_the_same_whatever_he_tries(token: str) -> None:
    """B48 among them: minting is offered to nobody who has not shown a token."""
    async with Host.in_memory() as host:
        hello = await host.load(HELLO)
        guest = host.guest(token)
        acts: list[Awaitable[Any]] = [
            guest.start(hello),
            guest.run("r_1"),
            guest.runs(),
            guest.resume("r_1"),
            guest.rerun("r_1", from_step="x"),
            guest.step("r_1", "$", 1),
            guest.mint("ada", "admin"),
            guest.delegate(),
            guest.revoke(subject="ada"),
            guest.rotate(),
        ]
        for act in acts:
            await denied(act)
        assert await host.runs() == ()


async def test_a_token_of_one_run_reaches_no_other() -> None:
    async with Host.in_memory() as host:
        hello = await host.load(HELLO)
        mine, other = await host.start(hello), await host.start(hello)
        guest = host.guest(host.tokens.mint("ada", "operator", run=mine.id))
        assert (await guest.run(mine.id)).id == mine.id
        await denied(guest.run(other.id), "run")
        await denied(guest.run("r_of_nobody"), "run")
        await denied(guest.runs(), "run")
        await denied(guest.start(hello), "run")


async def test_what_was_opened_ends_with_its_token() -> None:
    clock = FakeClock()
    async with Host(Parts(MemoryJournal(), clock, CountedIds())) as host:
        asks = await host.load(ASKS)
        guest = host.guest(host.tokens.mint("ada", "operator", ttl_s=60))
        run = await guest.start(asks)
        stream = run.events()
        assert (await anext(stream))["kind"] == "run.started"
        await clock.advance(61)
        await denied(run.cancel())
        await denied(run.status())
        await denied(anext(stream))


async def test_a_revoked_token_ends_a_stream_at_its_next_event() -> None:
    async with Host.in_memory() as host:
        token = host.tokens.mint("ada", "operator")
        run = await host.guest(token).start(await host.load(HELLO))
        stream = run.events()
        await anext(stream)
        await host.tokens.revoke(token=token)
        await denied(anext(stream))
        await denied(run.result())


# -- uses: counted with their effect --------------------------------------------------------


async def test_of_fifty_starts_at_once_one_happens() -> None:
    """B35."""
    async with Host.in_memory() as host:
        hello = await host.load(HELLO)
        token = host.tokens.mint("ada", "operator", ["run.start"], uses=1)
        refused: list[str] = []

        async def start() -> None:
            try:
                await host.guest(token).start(hello)
            except Denied as e:
                refused.append(e.values["reason"])

        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(start)
        assert refused == ["used"] * 49
        assert len(await host.runs()) == 1


async def test_what_did_not_happen_is_not_counted() -> None:
    async with Host.in_memory() as host:
        hello = await host.load(HELLO)
        guest = host.guest(host.tokens.mint("ada", "operator", uses=1))
        with pytest.raises(Refused):
            await guest.start("of-no-store")
        with pytest.raises(Refused):
            await guest.start(hello, run_id="a/b")
        run = await guest.start(hello)
        await denied(guest.start(hello), "used")
        assert (await (await host.run(run.id)).wait()).status == "succeeded"


async def test_the_count_outlives_the_host(tmp_path: Path) -> None:
    """B37."""
    async with Host(tmp_path) as host:
        hello = await host.load(HELLO)
        token = host.tokens.mint("ada", "operator", uses=2)
        await host.guest(token).start(hello)
    async with Host(tmp_path) as host:
        await host.guest(token).runs()
        await denied(host.guest(token).runs(), "used")
    async with Host(tmp_path) as host:
        await denied(host.guest(token).runs(), "used")


KILLED = """
import os, sys, anyio
from pathlib import Path
from swarm.host.host import Host
from swarm.stores.sqlite import writer

when, folder, token = sys.argv[1], sys.argv[2], Path(sys.argv[3]).read_text()
write = writer.Writer.write

def killed(self, batch):
    if batch.runs and when == "before":
        os._exit(9)
    write(self, batch)
    if batch.runs and when == "after":
        os._exit(9)

async def main():
    writer.Writer.write = killed
    async with Host(folder, resume="manual") as host:
        await host.guest(token).start(await host.load(%r))

anyio.run(main)
"""


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_kill_leaves_use_and_effect_or_neither(tmp_path: Path, when: str) -> None:
    """B36."""
    store = tmp_path / "store"
    async with Host(store) as host:
        token = host.tokens.mint("ada", "operator", uses=1)
        hello = await host.load(HELLO)
    file = tmp_path / "token"
    file.write_text(token)
    argv = [sys.executable, "-c", KILLED % HELLO, when, str(store), str(file)]
    assert subprocess.run(argv, check=False, timeout=60).returncode == 9  # noqa: S603, ASYNC221
    async with Host(store, resume="manual") as host:
        began = len(await host.runs())
        assert began == (when == "after")
        if began:
            await denied(host.guest(token).start(hello), "used")
        else:
            await host.guest(token).start(hello)
        assert len(await host.runs()) == 1, "once, whatever was killed"


# -- revocation ------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["token", "subject", "run", "kid"])
async def test_what_is_revoked_stays_so_after_a_restart(tmp_path: Path, what: str) -> None:
    """B38, B39."""
    async with Host(tmp_path) as host:
        token = host.tokens.mint("ada", "operator", run="r_1")
        other = host.tokens.mint("bob", "operator")
        names = {"token": token, "subject": "ada", "run": "r_1", "kid": token.split(".")[1]}
        await host.tokens.revoke(**{what: names[what]})
        await denied(host.guest(token).run("r_1"))
        if what != "kid":
            assert await host.guest(other).runs() == ()
    async with Host(tmp_path) as host:
        await denied(host.guest(token).run("r_1"))
        if what != "kid":
            assert await host.guest(other).runs() == ()
        fresh = host.tokens.mint("ada", "operator")
        assert await host.guest(fresh).runs() == (), "what is minted later is not revoked"


async def test_an_older_copy_of_the_store_forgets_no_revocation(tmp_path: Path) -> None:
    """B62: the keys know of more revocations than the copy does."""
    store, copy = tmp_path / "store", tmp_path / "copy.db"
    async with Host(store) as host:
        token = host.tokens.mint("ada", "operator")
        bystander = host.tokens.mint("bob", "operator")
        await host.guest(token).start(await host.load(HELLO))
        shutil.copy(store / "journal.db", copy)
        shutil.copy(store / "journal.db-wal", f"{copy}-wal")
        await host.tokens.revoke(token=token)
    for name in ("journal.db", "journal.db-wal", "journal.db-shm"):
        (store / name).unlink(missing_ok=True)
    shutil.copy(copy, store / "journal.db")
    shutil.copy(f"{copy}-wal", store / "journal.db-wal")
    async with Host(store) as host:
        await denied(host.guest(token).runs())
        await denied(host.guest(bystander).runs())
        fresh = host.guest(host.tokens.mint("ada", "operator"))
        assert len(await fresh.runs()) == 1
    async with Host(store) as host:
        await denied(host.guest(token).runs())
        assert len(await fresh_of(host).runs()) == 1


def fresh_of(host: Host) -> Any:
    return host.guest(host.tokens.mint("ada", "operator"))


async def test_a_copy_that_lacks_no_revocation_voids_nothing(tmp_path: Path) -> None:
    async with Host(tmp_path) as host:
        token = host.tokens.mint("ada", "operator")
        await host.tokens.revoke(subject="bob")
    async with Host(tmp_path) as host:
        assert await host.guest(token).runs() == ()


@pytest.mark.parametrize(
    "what", [{}, {"subject": "a", "run": "r_1"}, {"token": "x"}, {"token": "v1.x"}, {"kid": "x"}]
)
async def test_a_revocation_of_nothing_is_refused(what: dict[str, str]) -> None:
    async with Host.in_memory() as host:
        with pytest.raises(Refused):
            await host.tokens.revoke(**what)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_rotation_under_load_refuses_nobody_and_keeps_no_removed_key() -> None:
    """B63: 10,000 requests while the key turns five times."""
    async with Host.in_memory() as host:
        tokens, wrong, removed, turns = host.tokens, 0, "", 0
        current = tokens.mint("ada", "observer", ["run.list"])
        for number in range(10_000):
            if number % 1_700 == 1_699:
                removed, old, turns = current, tokens.rotate(), turns + 1
                current = tokens.mint("ada", "observer", ["run.list"])
                assert tokens.guard.admit(removed), "within the overlap"
                await tokens.revoke(kid=removed.split(".")[1])
                assert old == current.split(".")[1]
            asked = removed if number % 4 == 3 else current
            wrong += tokens.guard.admit(asked).allowed != (asked is current)
        assert (turns, wrong) == (5, 0)


async def test_what_an_old_key_signed_holds_until_its_overlap_is_over(tmp_path: Path) -> None:
    clock = FakeClock()
    async with Host(Parts(MemoryJournal(), clock, CountedIds())) as host:
        token = host.tokens.mint("ada", "senior")
        host.tokens.rotate()
        assert host.tokens.guard.admit(token)
        await clock.advance(OVERLAP_S)
        assert not host.tokens.guard.admit(token)


# -- steps -----------------------------------------------------------------------------------


class Patient:
    """A worker that waits, and shows what it was given."""

    def __init__(self) -> None:
        self.call: Call | None = None
        self.here, self.go = anyio.Event(), anyio.Event()

    async def __call__(self, call: Call, link: StepLink) -> Outcome:
        self.call = call
        self.here.set()
        await self.go.wait()
        return Outcome("done")


async def worked(
    body: Callable[[Host, Any, Call], Awaitable[None]], **agents: Any
) -> list[dict[str, Any]]:
    """Let *body* act while a step goes on; return the run's events."""
    worker = Patient()
    blueprint = scripted_blueprint(STEP, {"a": worker, **agents})
    async with Host.in_memory() as host:
        run = await host.start(blueprint)
        await worker.here.wait()
        assert worker.call is not None
        await body(host, run, worker.call)
        worker.go.set()
        await run.wait()
        return [dict(event) async for event in run.events()]


async def test_the_worker_of_an_attempt_may_speak_from_outside() -> None:
    async def body(host: Host, run: Any, call: Call) -> None:
        step = await host.guest(host.worker_token(call)).step(call.run_id, call.key, call.attempt)
        await step.progress("half")
        await step.part("log", [1])
        assert await step.call("b", 7) == 14

    events = await worked(body, b=ScriptedWorker(lambda n: n * 2))
    kinds = [event["kind"] for event in events]
    assert {"step.progress", "step.part", "step.called"} <= set(kinds)


async def test_a_token_of_an_attempt_is_good_for_nothing_else() -> None:
    """B24, B32."""

    async def body(host: Host, run: Any, call: Call) -> None:
        guest = host.guest(host.worker_token(call))
        await denied(guest.step(call.run_id, call.key, 2), "stale_attempt")
        await denied(guest.step(call.run_id, "$.other", 1), "step")
        await denied(guest.step("r_other", call.key, 1), "run")
        await denied(guest.run(run.id))
        await denied(guest.start(await host.load(HELLO)))
        desk = host.guest(host.tokens.mint("ada", "operator"))
        await denied(desk.step(call.run_id, call.key, 1))

    await worked(body)


@pytest.mark.parametrize("end", ["finished", "cancelled"])
async def test_a_token_of_a_step_that_is_over_is_void(end: str) -> None:
    """B33."""
    worker = Patient()
    async with Host.in_memory() as host:
        run = await host.start(scripted_blueprint(STEP, {"a": worker}))
        await worker.here.wait()
        call = worker.call
        assert call is not None
        guest = host.guest(host.worker_token(call))
        step = await guest.step(call.run_id, call.key, call.attempt)
        await step.progress("still here")
        if end == "cancelled":
            await run.cancel()
        worker.go.set()
        await run.wait()
        before = [dict(event) async for event in run.events()]
        await denied(step.progress("too late"), "over")
        await denied(guest.step(call.run_id, call.key, call.attempt), "over")
        assert [dict(event) async for event in run.events()] == before


async def test_a_step_token_ends_a_minute_after_its_attempt_must() -> None:
    async with Host.in_memory() as host:
        for timeout_s, ttl_s in ((10.0, 70), (None, 1_800), (5_000.0, 1_800)):
            token = host.worker_token(Call("r_1", "$", "a", None, 1, None, timeout_s))
            claims = mint.read(token)[1]
            assert claims.exp - claims.iat == ttl_s


async def test_a_step_that_asks_for_no_token_pays_for_none() -> None:
    async with Host.in_memory() as host:
        run = await host.start(scripted_blueprint(STEP, {"a": ["done"]}))
        await run.result()
        assert host._open is not None  # pyright: ignore[reportPrivateUsage]
        assert host._open.authority is None  # pyright: ignore[reportPrivateUsage]


# -- what scripts and workers may ask of the host ---------------------------------------------


SCRIPT: dict[str, Any] = {
    "swarm": 1,
    "id": "calls",
    "agents": [
        {"name": "a", "kind": "lua", "source": "return swarm.call('b', 1)"},
        {"name": "b", "kind": "lua", "source": "swarm.progress('b') return input + 1"},
    ],
    "flow": {"kind": "step", "ref": "a", "in": "1", "out": "ctx.a"},
}


async def test_a_script_does_what_the_row_of_the_worker_says() -> None:
    """The same script, with and without the verb: the table decides, and not the script."""
    async with Host.in_memory(scripts="inline") as host:
        assert await (await host.start(await host.load(SCRIPT))).result() == {"a": 2}
    for lacking in ("step.call", "step.progress"):
        row = {"step.call", "step.progress", "step.part"} - {lacking}
        async with Host.in_memory(scripts="inline", roles={"worker": row}) as host:
            with pytest.raises(RunFailed) as failed:
                await (await host.start(await host.load(SCRIPT))).result()
            assert failed.value.error["cause_code"] == "capability.denied"
            assert lacking in failed.value.error["message"]


async def test_the_row_of_a_role_replaces_the_default_for_tokens_too() -> None:
    async with Host.in_memory(roles={"observer": ["run.list", "run.start"]}) as host:
        guest = host.guest(host.tokens.mint("eve", "observer"))
        run = await guest.start(await host.load(HELLO))
        await denied(run.status(), "role")


@pytest.mark.parametrize("rows", [{"owner": ["run.start"]}, {"worker": ["run.strat"]}])
async def test_a_table_with_unknown_words_is_refused(rows: dict[str, list[str]]) -> None:
    with pytest.raises(Refused) as refused:
        Host.in_memory(roles=rows)
    assert refused.value.code == "capability.table"


class Again:
    """A worker that calls itself."""

    async def __call__(self, call: Call, link: StepLink) -> Outcome:
        return Outcome(await link.call("a", None))


async def test_agents_that_call_each_other_come_to_an_end() -> None:
    """B46: the grant of a call is one less deep than its caller's."""
    async with Host.in_memory() as host:
        with pytest.raises(RunFailed) as failed:
            await (await host.start(scripted_blueprint(STEP, {"a": Again()}))).result()
        assert failed.value.error["cause_code"] == "call.depth"


# -- children ---------------------------------------------------------------------------------


async def test_a_guest_hands_on_less_than_he_has() -> None:
    """B46, B47."""
    async with Host.in_memory() as host:
        hello = await host.load(HELLO)
        guest = host.guest(host.tokens.mint("ada", "operator", depth=1))
        child = host.guest(await guest.delegate(["run.list"], ttl_s=60))
        assert await child.runs() == ()
        await denied(child.start(hello), "verb")
        await denied(child.delegate(), "verb")
        await denied(guest.delegate(["token.mint"]), "verb")
        await denied(guest.delegate(depth=1), "spawn_depth")
        await denied(host.guest(host.tokens.mint("ada", "operator")).delegate(), "spawn_depth")
        await host.tokens.revoke(subject="ada")
        await denied(child.runs())


async def test_an_admin_mints_and_revokes_and_does_no_work() -> None:
    async with Host.in_memory() as host:
        admin = host.guest(host.tokens.mint("root", "admin"))
        token = await admin.mint("ada", "operator", ["run.list"], ttl_s=60)
        assert await host.guest(token).runs() == ()
        await admin.revoke(subject="ada")
        await denied(host.guest(token).runs())
        await denied(admin.start(await host.load(HELLO)), "role")
        assert await admin.rotate()


# -- what is left behind ------------------------------------------------------------------------


async def test_no_secret_is_left_anywhere(tmp_path: Path) -> None:
    """B52: in the store's files, the environment, or the command line."""
    async with Host(tmp_path) as host:
        token = host.tokens.mint("ada", "operator", uses=5)
        narrow = mint.narrow(token, Caveat(uses=1))
        await host.guest(narrow).start(await host.load(HELLO))
        await denied(host.guest(narrow).runs(), "used")
        await host.tokens.revoke(token=token)
        jti, tag = mint.read(token)[1].jti, token.rpartition(".")[2]
        words = [jti.encode(), bytes.fromhex(jti), tag.encode(), narrow.rpartition(".")[2].encode()]
        assert left_behind(tmp_path, words) == []


def left_behind(folder: Path, words: list[bytes]) -> list[str]:
    """Return the files, of the store and about this process, that hold one of the words."""
    about = Path(f"/proc/{os.getpid()}")
    kept = [one for one in folder.rglob("*") if one.is_file()]
    files = [*kept, about / "environ", about / "cmdline"]
    return [str(file) for file in files if any(word in file.read_bytes() for word in words)]


async def test_a_host_whose_key_file_others_can_read_does_not_open(tmp_path: Path) -> None:
    """B57."""
    async with Host(tmp_path) as host:
        host.tokens.mint("ada", "operator")
    (tmp_path / "keys.json").chmod(0o644)
    with pytest.raises(Refused) as refused:
        async with Host(tmp_path):
            pytest.fail("it opened")
    assert refused.value.code == "keys.file"
    (tmp_path / "keys.json").chmod(0o600)
    async with Host(tmp_path) as host:
        assert await host.runs() == ()
