"""Steering runs of a store that another process has open: by letters, through one door."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio import to_thread

from swarm.cli import letters
from swarm.cli.main import invoke
from swarm.host.host import Host
from swarm.host.run import Run
from swarm.stores.inbox import Inbox
from swarm.stores.sqlite.owner import Owner

ASKS: dict[str, Any] = {
    "swarm": 1,
    "id": "asks",
    "agents": [{"name": "ask", "kind": "human", "prompt": "go on?", "schema": {"type": "boolean"}}],
    "flow": {"kind": "step", "ref": "ask", "in": "null", "out": "$.ok"},
}

Said = tuple[int, str, str]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SWARM_STORE", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def elsewhere(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Type a command while this test's host has the store."""

    async def run(*words: str) -> Said:
        if "cancel" in words:  # it listens for signals, which only a main thread can
            command = [sys.executable, "-c", "from swarm.cli.main import main; main()", *words]
            done = await anyio.run_process(command, check=False)
            return done.returncode, done.stdout.decode(), done.stderr.decode()
        code = await to_thread.run_sync(partial(invoke, words))
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


async def waiting(host: Host, run_id: str = "mine") -> Run:
    run = await host.start(await host.load(ASKS), {}, run_id=run_id)
    async for event in run.events():
        if event["kind"] == "run.waiting":
            break
    return run


async def test_an_answer_reaches_the_run_of_the_owner(
    store: Path, elsewhere: Callable[..., Any]
) -> None:
    async with Host(store) as host:
        run = await waiting(host)
        code, out, _ = await elsewhere("runs", "questions", "mine", "--json")
        assert (code, json.loads(out)["id"]) == (0, "mine:1")
        assert (await elsewhere("runs", "answer", "mine:1", "true", "--by", "ada"))[0] == 0
        assert await run.result() == {"ok": True}
        answered: list[Any] = [e async for e in run.events(kinds=["question.answered"])]
        assert [event["by"] for event in answered] == ["ada"]
        assert (await elsewhere("runs", "questions"))[:2] == (0, "")


async def test_a_second_answer_is_refused_to_whoever_gave_it(
    store: Path, elsewhere: Callable[..., Any]
) -> None:
    async with Host(store) as host:
        run = await waiting(host)
        assert (await elsewhere("runs", "answer", "mine:1", "true"))[0] == 0
        await run.wait()
        code, _, err = await elsewhere("runs", "answer", "mine:1", "false")
        assert code == 2
        assert "question.answered" in err
        assert await run.result() == {"ok": True}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("answer", "mine:1", '"yes"'), "question.value"),
        (("answer", "mine:9", "true"), "question.unknown"),
        (("answer", "nobody:1", "true"), "run.unknown"),
        (("pause", "nobody"), "run.unknown"),
        (("cancel", "nobody"), "run.unknown"),
    ],
)
async def test_what_the_owner_refuses_is_told(
    store: Path, elsewhere: Callable[..., Any], words: tuple[str, ...], code: str
) -> None:
    async with Host(store) as host:
        run = await waiting(host)
        exit_code, _, err = await elsewhere("runs", *words)
        assert exit_code == 2
        assert code in err
        assert run.status == "waiting"


async def test_pause_and_cancel_reach_the_run_of_the_owner(
    store: Path, elsewhere: Callable[..., Any]
) -> None:
    async with Host(store) as host:
        run = await waiting(host)
        assert (await elsewhere("runs", "pause", "mine"))[0] == 0
        assert (await run.wait()).status == "paused"
        assert (await elsewhere("runs", "cancel", "mine", "--reason", "enough"))[0] == 0
        assert (await run.wait()).status == "cancelled"


async def test_of_answers_at_once_one_counts(store: Path, elsewhere: Callable[..., Any]) -> None:
    async with Host(store) as host:
        run = await waiting(host)
        inbox = Inbox(store)
        names = [
            inbox.put({"act": "answer", "run": "mine", "question": "mine:1", "value": n % 2 == 0})
            for n in range(8)
        ]
        receipts: list[Any] = []
        while len(receipts) < len(names):
            receipts += [r for name in names if (r := inbox.receipt(name)) is not None]
            await anyio.lowlevel.checkpoint()
        assert sum(receipt["ok"] for receipt in receipts) == 1
        assert {r["code"] for r in receipts if not r["ok"]} <= {
            "question.answered",
            "question.closed",
        }
        assert await run.result() == {"ok": True}


async def test_a_letter_that_says_nothing_harms_nobody(store: Path) -> None:
    async with Host(store) as host:
        run = await waiting(host)
        inbox = Inbox(store)
        odd: list[Any] = [{}, {"act": "explode", "run": "mine"}, {"act": "answer", "run": 7}]
        names = [inbox.put(letter) for letter in odd]
        (store / "inbox/new/garbage.json").write_bytes(b"\xff{")
        (store / "inbox/new/huge.json").write_bytes(b"[" * 5_000_000)
        names += ["garbage.json", "huge.json"]
        receipts: dict[str, Any] = {}
        while len(receipts) < len(names):
            receipts |= {n: r for n in names if (r := inbox.receipt(n)) is not None}
            await anyio.lowlevel.checkpoint()
        assert {receipt["code"] for receipt in receipts.values()} == {"inbox.malformed"}
        assert run.status == "waiting"


async def test_what_a_dead_owner_had_claimed_the_next_one_does(store: Path) -> None:
    async with Host(store, resume="manual") as host:
        await waiting(host)
    inbox = Inbox(store)
    name = inbox.put({"act": "answer", "run": "mine", "question": "mine:1", "value": True})
    assert inbox.take() is not None
    assert inbox.receipt(name) is None
    async with Host(store) as host:
        assert await (await host.resume("mine")).result() == {"ok": True}


async def test_a_silent_owner_is_one_sentence_and_the_letter_is_withdrawn(
    store: Path, elsewhere: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letters, "_PATIENCE_S", 0.2)
    async with Host(store) as host:
        await waiting(host)
    held = Inbox(store)
    owner = Owner(store)
    try:
        code, _, err = await elsewhere("runs", "answer", "mine:1", "true")
    finally:
        owner.release()
    assert code == 2
    assert "store.silent" in err
    assert "nothing was done" in err
    assert held.take() is None


async def test_without_an_owner_the_command_acts_itself(
    store: Path, elsewhere: Callable[..., Any]
) -> None:
    async with Host(store, resume="manual") as host:
        await waiting(host)
    code, _, err = await elsewhere("runs", "answer", "mine:1", "true")
    assert code == 0
    assert "swarm runs resume mine" in err
    assert not (store / "inbox/new").exists()
    async with Host(store) as host:
        assert await (await host.resume("mine")).result() == {"ok": True}


# -- what may go, and who may no more ------------------------------------------------------------


async def test_runs_are_collected_by_the_owner(store: Path, elsewhere: Callable[..., Any]) -> None:
    async with Host(store) as host:
        await waiting(host)
        for name in ("one", "two", "three"):
            run = await waiting(host, name)
            await run.answer(f"{name}:1", True)
            await run.wait()
        words = ("runs", "gc", "--keep", "1", "--json")
        code, out, _ = await elsewhere(*words, "--dry-run")
        assert (code, json.loads(out)["runs"]) == (0, ["two", "one"])
        assert len(await host.runs()) == 4
        code, out, _ = await elsewhere(*words)
        assert (code, json.loads(out)["removed"]["runs"]) == (0, 2)
        assert {run.id for run in await host.runs()} == {"mine", "three"}
        forgotten = [e for e in await host.audit() if e.verb == "run.forget"]
        assert [e.detail for e in forgotten] == [{"runs": 2}]


async def test_what_the_owner_refuses_to_collect_is_told(
    store: Path, elsewhere: Callable[..., Any]
) -> None:
    async with Host(store) as host:
        await waiting(host)
        name = Inbox(store).put({"act": "gc", "keep": 0, "status": ["running"], "dry_run": False})
        receipt = None
        while receipt is None:
            receipt = Inbox(store).receipt(name)
            await anyio.lowlevel.checkpoint()
        assert (receipt["ok"], receipt["code"]) == (False, "retention.malformed")


@pytest.mark.parametrize("by", ["subject", "run", "token"])
async def test_tokens_are_revoked_by_the_owner_at_once(
    store: Path, elsewhere: Callable[..., Any], by: str
) -> None:
    async with Host(store) as host:
        token = host.tokens.mint("ada", "operator", run="r_1")
        other = host.tokens.mint("bob", "operator", run="r_2")
        assert host.judge().check(token, "run.read", run="r_1")
        words = {"subject": ("--subject", "ada"), "run": ("--run", "r_1")}
        if by == "token":
            (store / "held").write_text(token)
            words["token"] = ("--token-file", str(store / "held"))
        code, _, err = await elsewhere("token", "revoke", *words[by])
        assert (code, err) == (0, f"revoked by {by}\n")
        assert not host.judge().check(token, "run.read", run="r_1")
        assert host.judge().check(other, "run.read", run="r_2")
    async with Host(store) as host:
        assert not host.judge().check(token, "run.read", run="r_1"), "it lasts"


async def test_no_token_lies_in_the_inbox(
    store: Path, elsewhere: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    put: list[Any] = []
    real = Inbox.put

    def seen(self: Inbox, letter: Any) -> str:
        put.append(letter)
        return real(self, letter)

    monkeypatch.setattr(Inbox, "put", seen)
    async with Host(store) as host:
        token = host.tokens.mint("ada", "operator")
        (store / "held").write_text(token)
        assert (await elsewhere("token", "revoke", "--token-file", str(store / "held")))[0] == 0
        assert not host.judge().check(token, "run.list")
    (letter,) = put
    assert token not in json.dumps(letter)
    assert letter["by"] == "token"


async def test_letters_that_revoke_or_collect_nothing_harm_nobody(store: Path) -> None:
    async with Host(store) as host:
        token = host.tokens.mint("ada", "operator")
        inbox = Inbox(store)
        odd: list[Any] = [
            {"act": "revoke"},
            {"act": "revoke", "by": "all", "name": ""},
            {"act": "revoke", "by": "kid", "name": "x"},
            {"act": "revoke", "by": "subject", "name": 7},
            {"act": "gc"},
            {"act": "gc", "keep": "all"},
            {"act": "gc", "keep": 0, "older_than_s": "1d"},
            {"act": "gc", "keep": 0, "status": "failed"},
            [],
        ]
        names = [inbox.put(letter) for letter in odd]
        receipts: dict[str, Any] = {}
        while len(receipts) < len(names):
            receipts |= {n: r for n in names if (r := inbox.receipt(n)) is not None}
            await anyio.lowlevel.checkpoint()
        assert {receipt["code"] for receipt in receipts.values()} == {"inbox.malformed"}
        assert host.judge().check(token, "run.list")
