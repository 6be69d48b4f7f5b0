"""`swarm enhance` beside whoever has the store open: what is asked goes there by letter."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread

from swarm.cli.main import invoke
from swarm.host.desk import Desk
from swarm.host.host import Host
from swarm.host.parts import SystemClock
from swarm.stores.inbox import Inbox
from tests.swarm import improving as i
from tests.swarm.web import IMPROVED, web

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Host]:
    """Open the store's host, whose proposals wait for a senior."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SWARM_STORE", str(tmp_path / "state"))
    async with web(tmp_path / "state", improved=True) as opened:
        yield opened


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Type a command of `swarm enhance` while this test's host has the store."""

    async def run(*words: str) -> tuple[int, str, str]:
        code = await to_thread.run_sync(partial(invoke, ("enhance", *words)))
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


async def test_an_issue_is_submitted_shown_and_approved_by_letter(
    host: Host, typed: Callable[..., Any]
) -> None:
    code, out, err = await typed("submit", "improved", "be kind", "--author", "bob", "--json")
    assert code == 3, err
    issue = json.loads(out)
    assert (issue["state"], issue["issue"]["author"]) == ("waiting", "bob")
    code, out, _ = await typed("show", issue["run"])
    assert (code, "enhance.prompt_changed" in out) == (0, True)
    code, out, _ = await typed("list", "improved")
    assert (code, out.split()[:2]) == (0, [issue["run"], "waiting"])
    code, out, _ = await typed("approve", issue["run"], "--author", "ada")
    assert (code, "committed as improved@1.0.1" in out) == (0, True)
    code, out, _ = await typed("log", "improved", "--json")
    assert json.loads(out)["author"] == "swarm.enhance+ada"
    assert await i.labels(host, "improved") == ["1.0.1", "1.0.0"]
    # It waits no more, and the sentence is that of whoever has the store.
    code, _, err = await typed("approve", issue["run"])
    assert (code, "enhance.not_waiting" in err) == (2, True)


async def test_an_issue_is_rejected_by_letter_and_a_token_is_judged_there(
    host: Host, typed: Callable[..., Any], tmp_path: Path
) -> None:
    _, out, _ = await typed("submit", "improved", "be kind", "--json")
    run = json.loads(out)["run"]
    token = tmp_path / "token"
    token.write_text(host.tokens.mint("eve", "operator"))
    code, _, err = await typed("approve", run, "--token-file", str(token))
    assert (code, "capability.denied" in err) == (4, True), err
    assert (await typed("reject", run, "--reason", "too kind"))[0] == 0
    done = i.outcome_of(await (await host.run(run)).wait())
    assert done["reasons"] == ["enhance.unapproved: a senior said no: too kind"]


async def test_a_blueprint_is_frozen_beside_its_host(host: Host, typed: Callable[..., Any]) -> None:
    assert (await typed("freeze", "improved"))[0] == 0
    code, _, err = await typed("submit", "improved", "be kind")
    assert (code, "enhance.frozen" in err) == (2, True)
    assert (await typed("freeze", "improved", "--off"))[0] == 0
    assert (await typed("submit", "improved", "be kind"))[0] == 3


async def test_a_letter_that_is_claimed_again_is_the_same_issue(host: Host) -> None:
    assert host.folder is not None
    inbox = Inbox(host.folder / "other")
    name = inbox.put({"act": "enhance", "do": "submit", "blueprint": "improved",
                      "intent": "be kind", "author": "bob"})  # fmt: skip
    found: list[Any] = []

    class Twice(Inbox):
        """Loses what came of a letter, as a host does that dies."""

        def answer(self, name: str, receipt: Any) -> None:
            found.append(receipt)
            if len(found) == 1:
                (self._taken / name).rename(self._new / name)
            else:
                super().answer(name, receipt)

    desk = Desk(Twice(host.folder / "other"), SystemClock(), host)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(desk.serve)
        with anyio.fail_after(30):
            while inbox.receipt(name) is None:  # noqa: ASYNC110 - a file
                await anyio.sleep(0.05)
        tasks.cancel_scope.cancel()
    assert len({receipt["value"]["run"] for receipt in found}) == 1
    assert len(found) == 2
    loop = host.enhancer
    assert loop is not None
    assert len(await loop.issues("improved")) == 1


@pytest.mark.parametrize(
    ("letter", "code"),
    [
        ({"do": "submit"}, "inbox.malformed"),
        ({"do": "merge"}, "inbox.malformed"),
        ({"do": "show", "issue": 7}, "inbox.malformed"),
        ({"do": "show", "issue": "nobody"}, "run.unknown"),
        ({}, "inbox.malformed"),
    ],
)
async def test_a_letter_that_says_nothing_is_told_so(
    host: Host, letter: dict[str, Any], code: str
) -> None:
    assert host.folder is not None
    assert (await receipt_of(host.folder, letter))["code"] == code


async def test_a_host_that_improves_nothing_says_so_by_letter(tmp_path: Path) -> None:
    async with Host(tmp_path, scripts="inline") as host:
        await i.registered(host, IMPROVED)
        assert (await receipt_of(tmp_path, {"do": "list"}))["code"] == "enhance.unavailable"


async def receipt_of(folder: Path, letter: dict[str, Any]) -> Any:
    inbox = Inbox(folder)
    name = inbox.put({"act": "enhance", **letter})
    with anyio.fail_after(30):
        while (receipt := inbox.receipt(name)) is None:  # noqa: ASYNC110 - a file
            await anyio.sleep(0.05)
    return receipt
