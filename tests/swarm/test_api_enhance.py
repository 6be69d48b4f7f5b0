"""Issues over HTTP: who may say what, and what a senior's word is good for."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from tests.swarm.operating import until
from tests.swarm.web import World, web

pytestmark = pytest.mark.anyio

ISSUES = "/v1/enhance/issues"
WANTED = {"blueprint": "improved", "intent": "be kind", "examples": ["'no.' is too short"]}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def there(anyio_backend: str) -> AsyncGenerator[World]:
    async with web(improved=True) as host:
        yield World(host, host.asgi(), "", "")


async def submitted(there: World, **more: Any) -> Any:
    """Submit an issue as an operator, and return it once a senior is asked."""
    async with there.as_role("operator") as client:
        answer = await client.post(ISSUES, json={**WANTED, **more})
        assert answer.status_code == 201, answer.text
        where = answer.headers["location"]
        run = await there.host.run(answer.json()["run"])
        await until(lambda: run.status == "waiting")
        return (await client.get(where)).json()


def seen(issue: Any) -> dict[str, str]:
    review = issue["decision"]["review"]
    return {"base": review["base"], "result": review["result"]}


async def ended(there: World, issue: Any) -> Any:
    await (await there.host.run(issue["run"])).wait()
    async with there.as_role("observer") as client:
        return (await client.get(f"{ISSUES}/{issue['run']}")).json()


async def test_a_senior_approves_the_change_that_he_looked_at_and_no_other(there: World) -> None:
    issue, other = await submitted(there), await submitted(there, intent="be brief")
    assert (issue["state"], issue["issue"]["author"]) == ("waiting", "ada")
    place = f"{ISSUES}/{issue['run']}/approve"
    for role in ("observer", "operator", "admin"):
        async with there.as_role(role) as client:
            assert (await client.post(place, json=seen(issue))).status_code == 403
    async with there.as_role("senior", run=other["run"]) as client:
        assert (await client.post(place, json=seen(issue))).status_code == 403
    async with there.as_role("senior") as client:
        stale = await client.post(place, json=seen(other))
        assert (stale.status_code, stale.json()["code"]) == (409, "enhance.stale")
        assert (await client.post(place, json={})).status_code == 422
        assert (await client.post(place, json=seen(issue))).status_code == 200
        # It waits no more.
        assert (await client.post(place, json=seen(issue))).status_code in (404, 409)
    done = await ended(there, issue)
    assert (done["state"], done["outcome"]["label"]) == ("applied", "1.0.1")
    async with there.as_role("observer") as client:
        (entry,) = (await client.get("/v1/enhance/log/improved")).json()["entries"]
        assert entry["author"] == "swarm.enhance+ada"
        listed = (await client.get(ISSUES, params={"blueprint": "improved"})).json()["issues"]
        assert [one["run"] for one in listed] == [other["run"], issue["run"]]
        only = (await client.get(ISSUES, params={"limit": 1})).json()["issues"]
        assert [one["run"] for one in only] == [other["run"]]
    acts = [(e.actor, e.verb, e.decision) for e in await there.host.audit()]
    assert ("ada", "enhance.approve", "allowed") in acts
    assert ("ada", "enhance.approve", "denied") in acts


async def test_what_is_rejected_says_why(there: World) -> None:
    issue = await submitted(there)
    async with there.as_role("senior") as client:
        place = f"{ISSUES}/{issue['run']}/reject"
        assert (await client.post(place, json={"reason": "too kind"})).status_code == 200
    done = await ended(there, issue)
    assert done["state"] == "rejected"
    assert "too kind" in done["outcome"]["reasons"][0]


async def test_a_frozen_loop_takes_no_issue_until_it_is_let_go_on(there: World) -> None:
    async with there.as_role("senior") as client:
        for about in ({}, {"blueprint": "improved"}):
            answer = await client.put("/v1/enhance/freeze", json={"frozen": True, **about})
            assert answer.json()["frozen"] is True
            refused = await client.post(ISSUES, json=WANTED)
            assert (refused.status_code, refused.json()["code"]) == (409, "enhance.frozen")
            answer = await client.put("/v1/enhance/freeze", json={"frozen": False, **about})
            assert answer.json()["frozen"] is False
            assert (await client.post(ISSUES, json=WANTED)).status_code == 201
    async with there.as_role("operator") as client:
        answer = await client.put("/v1/enhance/freeze", json={"frozen": True})
        assert answer.status_code == 403
    thrown = [e.detail for e in await there.host.audit() if e.verb == "enhance.freeze"]
    assert [(d["frozen"], d["blueprint"]) for d in thrown if "frozen" in d] == [
        (True, None), (False, None), (True, "improved"), (False, "improved"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ({"blueprint": "nobody", "intent": "x"}, 404, "version.unknown"),
        ({"blueprint": "enhance", "intent": "x"}, 422, "enhance.forbidden_target"),
        ({"blueprint": "improved", "intent": ""}, 422, "http.invalid"),
        ({"blueprint": "improved", "intent": "x", "author": "eve"}, 422, "http.invalid"),
        ({"blueprint": "im proved", "intent": "x"}, 422, "version.id"),
    ],
)
async def test_an_issue_that_is_none_is_refused(
    there: World, sent: dict[str, Any], status: int, code: str
) -> None:
    async with there.as_role("operator") as client:
        answer = await client.post(ISSUES, json=sent)
        assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_host_that_improves_nothing_says_so() -> None:
    async with web() as host:
        there = World(host, host.asgi(), "", "")
        async with there.as_role("senior") as client:
            for method, path, body in (
                ("POST", ISSUES, WANTED),
                ("GET", ISSUES, None),
                ("GET", "/v1/enhance/log/hello", None),
                ("PUT", "/v1/enhance/freeze", {"frozen": True}),
            ):
                answer = await client.request(method, path, json=body)
                assert (answer.status_code, answer.json()["code"]) == (404, "enhance.unavailable")
