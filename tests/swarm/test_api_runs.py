"""Runs, blueprints, outputs and the rest over HTTP, in memory and on a disk."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from fastapi import FastAPI

from swarm.core.audit.proof import check_proof, read_proof
from swarm.host.host import Host
from tests.swarm.web import ALL_VERBS, HELLO, World, web, world

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["memory", "sqlite"])
async def there(
    request: pytest.FixtureRequest, tmp_path: Path, anyio_backend: str
) -> AsyncGenerator[World]:
    store = None if request.param == "memory" else tmp_path / "store"
    async with world(store, roles=ALL_VERBS) as made:
        yield made


@pytest.fixture
async def client(there: World) -> AsyncGenerator[httpx2.AsyncClient]:
    async with there.as_role("admin", depth=2) as made:
        yield made


async def fine(answer: httpx2.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


def kinds(text: str) -> list[str]:
    return [line.removeprefix("event: ") for line in text.splitlines() if line.startswith("event")]


async def ended(client: httpx2.AsyncClient, run_id: str) -> dict[str, Any]:
    """Watch a run to its end, and show it."""
    await client.get(f"/v1/runs/{run_id}/events")
    return await fine(await client.get(f"/v1/runs/{run_id}"))


# -- runs ---------------------------------------------------------------------------------


async def test_a_run_is_started_watched_and_shown(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/v1/runs", json={"blueprint": "hello@1.0.0", "input": {"n": 1}})
    made = await fine(answer, 201)
    assert answer.headers["location"] == f"/v1/runs/{made['id']}"
    shown = await ended(client, made["id"])
    assert shown["status"] == "succeeded"
    assert shown["ctx"]["said"]["type"] == "text"
    assert shown["ended_s"] >= shown["began_s"]


async def test_lists_go_on_behind_their_cursor(client: httpx2.AsyncClient) -> None:
    for number in range(5):
        await fine(
            await client.post("/v1/runs", json={"blueprint": "hello", "run_id": f"r{number}"}), 201
        )
    seen: list[str] = []
    before = None
    while True:
        params = {"limit": 2} if before is None else {"limit": 2, "before": before}
        page = await fine(await client.get("/v1/runs", params=params))
        seen += [run["id"] for run in page["runs"]]
        before = page["next"]
        if before is None:
            break
    assert len(seen) == len(set(seen)) == 7
    waiting = await fine(await client.get("/v1/runs", params={"status": "waiting"}))
    assert [run["status"] for run in waiting["runs"]] == ["waiting"]


async def test_a_question_is_answered_once(there: World, client: httpx2.AsyncClient) -> None:
    path = f"/v1/runs/{there.asking}/questions"
    (question,) = (await fine(await client.get(path)))["questions"]
    assert question["prompt"] == "sure?"
    assert question["schema"] is None
    await fine(await client.post(f"{path}/{question['id']}/answer", json={"value": "yes"}), 204)
    shown = await ended(client, there.asking)
    assert shown["ctx"] == {"answer": "yes"}
    again = await client.post(f"{path}/{question['id']}/answer", json={"value": "no"})
    assert again.status_code in (404, 409)
    run = await there.host.run(there.asking)
    answered = [e async for e in run.events() if e["kind"] == "question.answered"]
    assert [event["by"] for event in answered] == ["ada"]


async def test_a_question_to_a_senior_is_answered_by_one(there: World) -> None:
    asks = {"name": "human", "kind": "human", "prompt": "sure?", "to": "senior"}
    flow = {"kind": "step", "ref": "human", "in": "null", "out": "ctx.answer"}
    run = await there.host.start({"swarm": 1, "id": "senior", "agents": [asks], "flow": flow})
    async for event in run.events():
        if event["kind"] == "run.waiting":
            break
    path = f"/v1/runs/{run.id}/questions/{run.id}:1/answer"
    async with there.as_role("operator") as client:
        refused = await client.post(path, json={"value": "no"})
        assert (refused.status_code, refused.json()["code"]) == (403, "capability.denied")
    async with there.as_role("senior") as client:
        await fine(await client.post(path, json={"value": "yes"}), 204)
    assert await run.result() == {"answer": "yes"}


async def test_who_may_not_answer_does_not_learn_which_runs_there_are(there: World) -> None:
    async with there.as_role("operator", run=there.run) as client:
        told = [
            await client.post(f"/v1/runs/{run}/questions/{run}:1/answer", json={"value": 1})
            for run in (there.asking, "r_of_nobody")
        ]
    assert [(one.status_code, one.json()["code"]) for one in told] == [
        (403, "capability.denied"),
        (403, "capability.denied"),
    ]


async def test_a_run_is_paused_resumed_and_cancelled(
    there: World, client: httpx2.AsyncClient
) -> None:
    path = f"/v1/runs/{there.asking}"
    assert (await fine(await client.post(f"{path}/pause")))["id"] == there.asking
    await (await there.host.run(there.asking)).wait()
    assert (await fine(await client.get(path)))["status"] == "paused"
    assert (await client.get(f"{path}/events?since=1000")).status_code == 204
    assert (await fine(await client.post(f"{path}/resume")))["live"] is True
    await fine(await client.post(f"{path}/cancel", json={"reason": "enough"}))
    shown = await ended(client, there.asking)
    assert shown["status"] == "cancelled"
    assert shown["error"]["message"] == "enough"
    refused = await client.post(f"{path}/pause")
    assert refused.status_code == 409
    assert refused.json()["code"] == "run.state"


async def test_a_run_is_repeated_from_a_step(there: World, client: httpx2.AsyncClient) -> None:
    order = {"from_step": "page", "run_id": "again"}
    flow = {"kind": "seq", "children": [{**HELLO["flow"], "id": "page"}]}
    await fine(await client.post("/v1/blueprints", json={"document": {**HELLO, "flow": flow}}), 201)
    first = await fine(await client.post("/v1/runs", json={"blueprint": "hello"}), 201)
    await ended(client, first["id"])
    path = f"/v1/runs/{first['id']}/rerun"
    assert (await fine(await client.post(path, json=order), 201))["id"] == "again"
    assert (await client.post(path, json=order)).status_code == 409
    missing = await client.post(path, json={"from_step": "nowhere"})
    assert missing.json()["code"] == "rerun.step"
    key = {"idempotency-key": "twice"}
    order = {"from_step": "page"}
    one = await fine(await client.post(path, json=order, headers=key), 201)
    there.app.state.front.memory = type(there.app.state.front.memory)()
    assert (await fine(await client.post(path, json=order, headers=key), 201))["id"] == one["id"]


# -- events -------------------------------------------------------------------------------


async def test_events_are_told_as_sse_and_as_lines_from_any_place(
    there: World, client: httpx2.AsyncClient
) -> None:
    path = f"/v1/runs/{there.run}/events"
    whole = await client.get(path)
    assert whole.headers["content-type"].startswith("text/event-stream")
    assert kinds(whole.text)[0] == "run.started"
    assert kinds(whole.text)[-1] == "run.finished"
    lines = await client.get(path, params={"form": "lines"})
    events = [json.loads(line) for line in lines.text.splitlines()]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    for place in range(len(events) + 2):
        rest = await client.get(path, headers={"last-event-id": str(place)})
        assert kinds(rest.text) == [event["kind"] for event in events[place:]]
        assert rest.status_code == (204 if place >= len(events) else 200)
    assert (await client.get(path, headers={"last-event-id": "x"})).status_code == 422


async def test_what_is_there_now_is_told_without_waiting(
    there: World, client: httpx2.AsyncClient
) -> None:
    with anyio.fail_after(20):
        answer = await client.get(f"/v1/runs/{there.asking}/events", params={"follow": "false"})
    assert kinds(answer.text)[-1] == "run.waiting"


# -- outputs ------------------------------------------------------------------------------


async def test_outputs_are_read_whole_in_part_and_not_again(
    there: World, client: httpx2.AsyncClient
) -> None:
    path = f"/v1/runs/{there.run}/outputs"
    found = (await fine(await client.get(path)))["outputs"]
    assert [one["name"] for one in found] == ["note", None]
    text = f"{path}/{found[1]['ref']}"
    whole = await client.get(text)
    assert whole.content == b"0123456789 hello"
    assert whole.headers["content-type"] == "text/plain; charset=utf-8"
    ranges = {
        "bytes=0-0": (206, b"0"),
        "bytes=4-": (206, b"456789 hello"),
        "bytes=-5": (206, b"hello"),
        "bytes=-99": (206, b"0123456789 hello"),
        "bytes=14-99": (206, b"lo"),
        "bytes=16-": (416, None),
        "bytes=-0": (416, None),
        "bytes=3-2": (200, whole.content),
        "bytes=0-1,3-4": (200, whole.content),
        "lines=1-2": (200, whole.content),
    }
    for asked, (status, body) in ranges.items():
        answer = await client.get(text, headers={"range": asked})
        assert (answer.status_code, answer.content if body is not None else None) == (status, body)
    part = await client.get(text, headers={"range": "bytes=2-3"})
    assert part.headers["content-range"] == "bytes 2-3/16"
    tag = whole.headers["etag"]
    assert (await client.get(text, headers={"if-none-match": tag})).status_code == 304
    other = {"range": "bytes=2-3", "if-range": '"other"'}
    assert (await client.get(text, headers=other)).status_code == 200
    assert (await fine(await client.get(f"{path}/note"))) == {"of": "hello"}
    assert (await client.get(f"{path}/nothing")).json()["code"] == "output.unknown"


# -- idempotency --------------------------------------------------------------------------


async def test_a_start_that_is_sent_again_starts_nothing(
    there: World, client: httpx2.AsyncClient
) -> None:
    order = {"blueprint": "hello", "input": {"n": 1}}
    key = {"idempotency-key": "monday"}
    answers: list[dict[str, Any]] = []

    async def send() -> None:
        answers.append(await fine(await client.post("/v1/runs", json=order, headers=key), 201))

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(send)
    # What the server remembers is gone: the run's id is not.
    there.app.state.front.memory = type(there.app.state.front.memory)()
    await send()
    assert len({answer["id"] for answer in answers}) == 1
    runs = (await fine(await client.get("/v1/runs")))["runs"]
    assert len(runs) == 3
    other = await client.post("/v1/runs", json={"blueprint": "asks"}, headers=key)
    assert other.status_code == 409
    assert other.json()["code"] == "http.idempotency"
    there.app.state.front.memory = type(there.app.state.front.memory)()
    other = await client.post("/v1/runs", json={"blueprint": "asks"}, headers=key)
    assert other.json()["code"] == "run.conflict"
    wrong = await client.post("/v1/runs", json=order, headers={"idempotency-key": "a b"})
    assert wrong.status_code == 400


async def test_another_write_that_is_sent_again_is_answered_again(
    client: httpx2.AsyncClient,
) -> None:
    key = {"idempotency-key": "one"}
    tokens = [
        (await fine(await client.post("/v1/tokens", json={"ttl_s": 60}, headers=key), 201))["token"]
        for _ in range(3)
    ]
    assert len(set(tokens)) == 1
    other = await fine(await client.post("/v1/tokens", json={"ttl_s": 60}), 201)
    assert other["token"] != tokens[0]


# -- blueprints ---------------------------------------------------------------------------


async def test_versions_are_registered_shown_compared_tagged_and_taken_back(
    client: httpx2.AsyncClient,
) -> None:
    script = (
        'local flow = require "flow"\n'
        'return flow.blueprint { id = "mine", agents = {},\n'
        '  flow = flow.assign { at = "ctx.a", value = 1 } }\n'
    )
    sent: dict[str, Any] = {"files": {"mine.lua": script, "notes.txt": "n"}, "reason": "first"}
    made = await fine(await client.post("/v1/blueprints", json=sent), 201)
    assert made["entry"]["author"] == "ada"
    assert (await fine(await client.post("/v1/blueprints", json=sent)))["is_new"] is False
    sent["files"]["mine.lua"] = script.replace("value = 1", "value = 2")
    changed = {**sent, "bump": "minor", "expected": "1.0.0"}
    assert (await fine(await client.post("/v1/blueprints", json=changed), 201))["is_new"]
    path = "/v1/blueprints/mine"
    log = await fine(await client.get(f"{path}/log", params={"limit": 1}))
    assert [entry["label"] for entry in log["entries"]] == ["1.1.0"]
    log = await fine(await client.get(f"{path}/log", params={"before": log["next"]}))
    assert [entry["label"] for entry in log["entries"]] == ["1.0.0"]
    shown = await fine(await client.get(f"{path}/versions/1.0.0"))
    assert shown["files"][shown["source"]] == script
    diff = await fine(await client.get(f"{path}/diff", params={"old": "1.0.0"}))
    assert "-  flow = flow.assign" in diff["source"]
    assert [operation["op"] for operation in diff["document"]] == ["replace"]
    await fine(await client.put(f"{path}/tags/prod", json={"selector": "1.0.0"}))
    tags = (await fine(await client.get(f"{path}/tags")))["tags"]
    assert tags["prod"]["label"] == "1.0.0"
    await fine(await client.delete(f"{path}/tags/prod"), 204)
    back = await fine(await client.post(f"{path}/rollback", json={"selector": "1.0.0"}))
    assert back["entry"]["back_to"] == "1.0.0"
    page = await fine(await client.get("/v1/blueprints", params={"limit": 2}))
    assert [one["blueprint"] for one in page["blueprints"]] == ["asks", "hello"]
    page = await fine(await client.get("/v1/blueprints", params={"after": page["next"]}))
    assert [one["blueprint"] for one in page["blueprints"]] == ["mine"]


async def test_problems_are_told_on_the_senders_lines(client: httpx2.AsyncClient) -> None:
    script = (
        'local flow = require "flow"\n'
        'return flow.blueprint { id = "mine", flow = flow.step { agent = "x" } }\n'
    )
    answer = await client.post("/v1/blueprints", json={"files": {"mine.lua": script}})
    assert answer.status_code == 422
    problems = answer.json()["problems"]
    assert {one["path"] for one in problems} == {"mine.lua"}
    assert {one["line"] for one in problems} == {2}
    assert "/sent" not in answer.text


@pytest.mark.parametrize(
    "path", ["../a.lua", "/etc/a.lua", "a/../../b.lua", "..", "a\\b.lua", "a\0.lua"]
)
async def test_files_that_would_be_written_elsewhere_are_refused(path: str) -> None:
    async with world(roles=ALL_VERBS) as there, there.as_role("admin") as client:
        answer = await client.post("/v1/blueprints", json={"files": {path: "return 1"}})
        assert answer.json()["code"] == "version.path"
        neighbours = {"files": {"a.lua": 'return require("flow")', "a.lua/b": "x"}}
        answer = await client.post("/v1/blueprints", json={**neighbours, "source": "a.lua"})
        assert answer.status_code == 422


# -- tokens, audit, host ------------------------------------------------------------------


async def test_a_token_makes_one_with_less_and_none_with_more(
    there: World, client: httpx2.AsyncClient
) -> None:
    order = {"verbs": ["run.read"], "run": there.run, "ttl_s": 60}
    token = (await fine(await client.post("/v1/tokens", json=order), 201))["token"]
    async with there.client(token) as watcher:
        assert (await watcher.get(f"/v1/runs/{there.run}")).status_code == 200
        assert (await watcher.get(f"/v1/runs/{there.asking}")).status_code == 403
        said = await fine(await watcher.get("/v1/token"))
        assert said["verbs"] == ["run.read"]
        assert said["run"] == there.run
    async with there.as_role("operator", depth=2) as operator:
        more = await operator.post("/v1/tokens", json={"verbs": ["blueprint.register"]})
        assert more.status_code == 403
        longer = await operator.post("/v1/tokens", json={"ttl_s": 10**6})
        assert longer.status_code == 403
    await fine(await client.post("/v1/tokens/revoke", json={"run": there.run}), 204)
    async with there.client(token) as watcher:
        assert (await watcher.get(f"/v1/runs/{there.run}")).status_code == 401
    none = await client.post("/v1/tokens/revoke", json={})
    assert none.json()["code"] == "capability.revoke"


async def test_a_proof_that_is_fetched_stands_by_itself(
    there: World, client: httpx2.AsyncClient
) -> None:
    log = await fine(await client.get("/v1/audit", params={"run": there.run}))
    assert log["entries"][0]["verb"] == "run.start"
    answer = await client.get("/v1/audit/proof", params={"run": there.run})
    proof = read_proof(answer.content)
    assert check_proof(proof, [proof.checkpoint.key]) is None
    assert (await fine(await client.post("/v1/audit/checkpoints")))["size"] > 0
    unknown = await client.get("/v1/audit/proof", params={"run": "nobody"})
    assert unknown.status_code == 404


async def test_the_host_tells_how_it_is(there: World, client: httpx2.AsyncClient) -> None:
    shown = await fine(await client.get("/v1/host"))
    assert shown["journal"] == "ok"
    assert shown["live_runs"] == 1
    text = (await client.get("/metrics")).text
    assert "swarm_runs_live 1.0" in text
    assert 'swarm_http_requests_total{method="GET",route="/v1/host",status="200"} 1.0' in text
    assert there.run not in text
    async with there.client() as anybody:
        assert (await fine(await anybody.get("/health"))) == {"status": "ok"}
        assert (await fine(await anybody.get("/ready"))) == {"status": "ready"}
        assert (await fine(await anybody.get("/openapi.json")))["openapi"].startswith("3.1")


async def test_a_host_that_drains_takes_nothing_in(
    there: World, client: httpx2.AsyncClient
) -> None:
    there.app.state.front.draining = True
    answer = await client.post("/v1/runs", json={"blueprint": "hello"})
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert (await client.get("/ready")).status_code == 503
    assert (await client.get("/health")).status_code == 200


async def test_a_worker_reports_with_the_token_of_his_attempt() -> None:
    begun, go_on = anyio.Event(), anyio.Event()
    async with web() as host:

        @host.function("slow")
        async def slow(input: Any) -> None:
            begun.set()
            await go_on.wait()

        agent = {"name": "slow", "kind": "function", "function": "slow"}
        step = {"kind": "step", "ref": "slow", "in": "1", "out": "ctx.a"}
        document = {"swarm": 1, "id": "slow", "agents": [agent], "flow": step}
        run = await host.start(await host.load(document))
        await begun.wait()
        started = [e async for e in run.events(follow=False) if e["kind"] == "step.started"]
        at: dict[str, Any] = {"run": run.id, "step": started[0]["key"], "attempt": 1}
        token = host.tokens.mint("agent:slow", "worker", **at)
        there = World(host, host.asgi(), run.id, run.id)
        async with there.client(token) as worker:
            await fine(await worker.post("/v1/step/progress", json={"text": "half"}), 204)
            await fine(await worker.put("/v1/step/parts/draft", json={"value": [1]}), 204)
            go_on.set()
            await run.wait()
            assert (await worker.post("/v1/step/progress", json={"text": "x"})).status_code == 403
        told = [event["kind"] async for event in run.events()]
        assert {"step.progress", "step.part"} <= set(told)


# -- in other applications ----------------------------------------------------------------


async def test_the_api_mounts_in_anybodys_app() -> None:
    async with web() as host:
        outer = FastAPI()
        outer.mount("/agents", host.asgi())
        token = host.tokens.mint("ada", "operator")
        transport = httpx2.ASGITransport(app=outer)
        headers = {"authorization": f"Bearer {token}"}
        async with httpx2.AsyncClient(
            transport=transport, base_url="http://app", headers=headers
        ) as client:
            assert (await client.get("/agents/health")).status_code == 200
            assert (await client.get("/agents/v1/runs")).status_code == 200
            assert (await client.get("/agents/v1/runs/none")).status_code == 404
        assert host.is_open


async def test_served_by_itself_it_opens_the_host_and_closes_it() -> None:
    host = Host.in_memory()
    app = host.asgi()
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app), base_url="http://app"
    ) as client:
        assert (await client.get("/ready")).status_code == 503
        assert (await client.get("/v1/runs")).status_code == 503
        async with app.router.lifespan_context(app):
            assert (await client.get("/ready")).status_code == 200
    assert not host.is_open
