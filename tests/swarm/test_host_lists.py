"""Lists of a host, asked for in every wrong way: sentences, and the right ways beside them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest

from swarm.errors import Refused
from swarm.host.host import Host

pytestmark = pytest.mark.anyio

HELLO: dict[str, Any] = {
    "swarm": 1,
    "id": "hello",
    "agents": [],
    "flow": {"kind": "assign", "at": "ctx.said", "value": "'hello'"},
}
MORE = " — continue the list for more"
STATUSES = (
    "'pending', 'running', 'waiting', 'paused', 'interrupted', 'blocked', 'succeeded', "
    "'failed', 'cancelled'"
)


@pytest.mark.parametrize(
    ("asked", "code", "said"),
    [
        (
            {"limit": 10**30},
            "list.limit",
            "runs: expected 'limit' to be a whole number from 1 to 10,000, got 1" + "0" * 30 + MORE,
        ),
        ({"limit": 0}, "list.limit", "from 1 to 10,000, got 0"),
        ({"limit": -1}, "list.limit", "from 1 to 10,000, got -1"),
        ({"limit": "many"}, "list.limit", "got 'many'"),
        ({"limit": 2.0}, "list.limit", "got 2.0"),
        ({"limit": True}, "list.limit", "got true"),
        ({"limit": None}, "list.limit", "got null"),
        ({"before": "r_of_nobody"}, "run.unknown", "got 'r_of_nobody'"),
        ({"before": 7}, "run.unknown", "got 7"),
        (
            {"status": "finnished"},
            "list.status",
            f"runs: expected 'status' to be one of {STATUSES}, got 'finnished'",
        ),
        ({"status": "suceeded"}, "list.status", "got 'suceeded' — did you mean 'succeeded'?"),
        ({"status": ["failed", "lost"]}, "list.status", "got 'lost'"),
        ({"status": [["failed"]]}, "list.status", "got ['failed']"),
        ({"status": 3}, "list.status", "got 3"),
        ({"status": b"failed"}, "list.status", "got a bytes"),
    ],
)
async def test_a_list_that_cannot_be_is_a_sentence(
    asked: dict[str, Any], code: str, said: str
) -> None:
    async with Host.in_memory() as host:
        await (await host.start(await host.load(HELLO))).wait()
        with pytest.raises(Refused) as refused:
            await host.runs(**asked)
        assert (refused.value.code, said in str(refused.value)) == (code, True), refused.value


@pytest.mark.parametrize(
    ("status", "found"),
    [(None, 1), ("succeeded", 1), (["succeeded", "failed"], 1), ((), 0), ({"failed": 1}, 0)],
)
async def test_a_list_that_can_be_is_given(status: Collection[str] | None, found: int) -> None:
    async with Host.in_memory() as host:
        await (await host.start(await host.load(HELLO))).wait()
        for limit in (1, 10_000):
            assert len(await host.runs(status, limit=limit)) == found  # pyright: ignore[reportArgumentType] - words come from outside


@pytest.mark.parametrize("asked", [{"limit": 10**9}, {"limit": "x"}, {"since": -1}, {"since": "x"}])
async def test_a_part_of_the_audit_log_that_cannot_be_is_a_sentence(asked: dict[str, Any]) -> None:
    async with Host.in_memory() as host:
        with pytest.raises(Refused, match=r"^audit: expected '(limit|since)' to be a whole number"):
            await host.audit(**asked)


@pytest.mark.parametrize("asked", [{"limit": 10**9}, {"limit": None}, {"before": 0}])
async def test_a_part_of_a_history_that_cannot_be_is_a_sentence(asked: dict[str, Any]) -> None:
    host = Host.in_memory(scripts="inline")
    await host.blueprints.register(HELLO, author="ada")
    with pytest.raises(Refused, match=r"^log: expected '(limit|before)' to be a whole number"):
        await host.blueprints.log("hello", **asked)
    assert len(await host.blueprints.log("hello", limit=10_000, before=2)) == 1


@pytest.mark.parametrize("since", [-1, "x", 1.5, None, True])
async def test_events_are_watched_from_a_whole_number_on(since: Any) -> None:
    async with Host.in_memory() as host:
        run = await host.start(await host.load(HELLO))
        with pytest.raises(Refused, match=r"^events: expected 'since' to be a whole number"):
            run.events(since)
        assert [e["seq"] async for e in run.events(0)] == [1, 2]
        assert [e["seq"] async for e in run.events(10**9)] == []
