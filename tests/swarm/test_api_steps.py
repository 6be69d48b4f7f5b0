"""Whoever has an order's token does it over HTTP: reads it, reports, and answers once."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Any

import anyio
import httpx2
import pytest

from swarm import Host, RunFailed
from swarm.core.capability.grant import Caveat
from swarm.core.capability.mint import narrow
from swarm.operators import Operators, Task
from swarm.ports.operators import Order
from tests.swarm.operating import BOUNDS, House, house, step, until

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@lru_cache(maxsize=1)
def app_of(host: Host) -> Any:
    return host.asgi()


def bearing(one: House, token: str) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app=app_of(one.host))
    headers = {"authorization": f"Bearer {token}"}
    return httpx2.AsyncClient(transport=transport, base_url="http://swarm", headers=headers)


async def asked(one: House, agent: dict[str, Any] | None = None, input: Any = 1) -> Any:
    """Start a run whose order nobody takes; return it."""
    run = await one.host.start(await one.load(agent), {"given": input})
    await until(lambda: any(c.order.run == run.id for c in one.operators.desk.cases.values()))
    return run


def order_of(one: House, run: Any) -> Order:
    return next(c.order for c in one.operators.desk.cases.values() if c.order.run == run.id)


def token_of(one: House, run: Any) -> str:
    mint = order_of(one, run).token
    assert mint is not None
    return mint()


async def test_a_sub_agent_does_the_order_in_the_operators_place() -> None:
    made = step({"verdict": ["PASS", "BLOCKED"], "prompt": "read it"}, "{text = ctx.page}")
    made["agents"].append({"name": "page", "kind": "function", "function": "page", "output": "ref"})
    first = {"kind": "step", "ref": "page", "in": "null", "out": "$.page"}
    made["flow"] = {"kind": "seq", "children": [first, made["flow"]]}
    tokens, stopped = list[str](), list[str]()
    async with house() as one:

        @one.host.function("page")
        def page(given: Any) -> str:
            return "a long page"

        operator = one.operator()

        @operator.handler
        async def hand_on(task: Task) -> Any:
            """Give the token to somebody else, and wait for nothing."""
            assert task.order.token is not None
            tokens.append(task.order.token)
            try:
                await anyio.sleep_forever()
            finally:
                stopped.append(task.key)

        async def thin(worker: httpx2.AsyncClient) -> None:
            told = (await worker.get("/v1/step")).json()
            assert told["prompt"] == "read it"
            assert told["answer_schema"] == {"enum": ["PASS", "BLOCKED"]}
            digest = told["input"]["text"]["$ref"]
            found = await worker.get(f"/v1/step/inputs/{digest}")
            assert (found.text, found.headers["content-type"][:10]) == ("a long page", "text/plain")
            assert (await worker.post("/v1/step/progress", json={"text": "half"})).is_success
            part = await worker.put("/v1/step/parts/notes", json={"value": ["n"]})
            assert part.status_code == 204
            answer = {"value": "PASS", "usage": {"tokens": 7, "cost": 0.5}}
            done = await worker.post("/v1/step/result", json=answer)
            assert (done.status_code, done.json()) == (200, {"written": True})
            # The attempt is over: nothing that is said of it counts any more.
            for path in ("result", "fail", "progress"):
                body = {"result": answer, "fail": {"message": "no"}, "progress": {"text": "x"}}
                late = await worker.post(f"/v1/step/{path}", json=body[path])
                assert late.status_code == 403, late.text

        async with operator.running():
            await operator.welcomed()
            run = await one.host.start(await one.host.load(made), {})
            await until(lambda: bool(tokens))
            async with bearing(one, tokens[0]) as worker:
                await thin(worker)
            assert (await run.result())["out"] == "PASS"
            await until(lambda: bool(stopped))
            events = [event async for event in run.events()]
        told = Counter(event["kind"] for event in events)
        assert (told["step.finished"], told["step.progress"]) == (2, 1)
        assert [e["name"] for e in events if e["kind"] == "step.part"] == ["notes"]
        used = [(e["tokens"], e["cost"]) for e in events if e["kind"] == "step.finished"]
        assert used == [(0, 0.0), (7, 0.5)]


async def test_a_sub_agent_says_that_it_cannot_be_done() -> None:
    async with house() as one:
        run = await asked(one)
        failing = {"code": "paper.empty", "message": "nothing on it", "permanent": True}
        async with bearing(one, token_of(one, run)) as worker:
            told = await worker.post("/v1/step/fail", json={**failing, "usage": {"tokens": 3}})
            assert (told.status_code, told.json()["written"]) == (200, True)
        with pytest.raises(RunFailed) as caught:
            await run.result()
        assert caught.value.error["cause_code"] == "paper.empty"
        (failed,) = [e async for e in run.events() if e["kind"] == "step.failed"]
        assert failed["tokens"] == 3


async def test_of_fifty_answers_at_once_one_counts() -> None:
    async with house() as one:
        run, told = await asked(one), Counter[int]()
        token = token_of(one, run)

        async def answer(n: int) -> None:
            async with bearing(one, token) as worker:
                told[(await worker.post("/v1/step/result", json={"value": n})).status_code] += 1

        async with anyio.create_task_group() as tasks:
            for n in range(50):
                tasks.start_soon(answer, n)
        assert told[200] == 1, told
        assert told[200] + told[403] + told[409] == 50, told
        ends = [e async for e in run.events() if e["kind"] == "step.finished"]
        assert len(ends) == 1


async def test_control_a_desk_that_takes_every_answer_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = Operators.answer

    taken: list[str] = []

    def takes_all(self: Operators, key: str, ending: Any, by: str) -> str:
        taken.append(key)
        if len(taken) == 2:  # the attempt is open for two of them, whoever is quicker
            answer(self, key, ending, by)
        return "taken"

    def shows_all(self: Operators, key: str) -> Order | None:
        case = self.desk.cases.get(key)
        return None if case is None else case.order

    monkeypatch.setattr(Operators, "answer", takes_all)
    monkeypatch.setattr(Operators, "order", shows_all)
    monkeypatch.setattr("swarm.host.guest_step._WRITTEN_S", 0.05)
    with pytest.raises(AssertionError):
        await test_of_fifty_answers_at_once_one_counts()


async def test_a_token_reaches_its_own_attempt_and_what_it_was_narrowed_to() -> None:
    async with house() as one:
        run, other = await asked(one), await asked(one, input=2)
        token = token_of(one, run)
        less = narrow(token, Caveat(verbs=frozenset({"step.result"})))
        async with bearing(one, less) as worker:
            assert (await worker.get("/v1/step")).status_code == 403
            theirs = order_of(one, other).key
            answer = await worker.post("/v1/step/result", params={"key": theirs}, json={"value": 1})
            assert (answer.status_code, answer.json()["code"]) == (409, "step.unasked")
            assert (await worker.post("/v1/step/result", json={"value": "mine"})).is_success
        assert (await run.result())["out"] == "mine"
        assert other.status in ("running", "waiting")
        # A token of the desk is nothing here, and one of another attempt is of another attempt.
        async with bearing(one, one.token("ada")) as worker:
            assert (await worker.post("/v1/step/result", json={"value": 1})).status_code == 401
        later = one.host.tokens.mint("w", "worker", run=other.id, step="$", attempt=2)
        async with bearing(one, later) as worker:
            assert (await worker.post("/v1/step/result", json={"value": 1})).status_code == 403


async def test_a_use_that_is_good_once_answers_once() -> None:
    async with house() as one:
        run = await asked(one)
        at: dict[str, Any] = {"run": run.id, "step": "$", "attempt": 1}
        once = one.host.tokens.mint("w", "worker", uses=1, **at)
        async with bearing(one, once) as worker:
            assert (await worker.post("/v1/step/result", json={"value": 1})).status_code == 200
            assert (await worker.post("/v1/step/result", json={"value": 1})).status_code == 403


async def test_each_order_of_a_panel_has_its_key() -> None:
    async with house() as one:
        run = await asked(one, {"seat": ["law", "tax"], "of": "all"})
        async with bearing(one, token_of(one, run)) as worker:
            bare = await worker.get("/v1/step")
            assert (bare.status_code, "by 'key'" in bare.json()["detail"]) == (409, True)
            for seat in ("law", "tax"):
                key = {"key": f"{run.id}/$/1/{seat}"}
                assert (await worker.get("/v1/step", params=key)).json()["key"] == key["key"]
                answer = {"value": seat}
                done = await worker.post("/v1/step/result", params=key, json=answer)
                assert done.status_code in (200, 202)
        said = (await run.result())["out"]["answers"]
        assert [one["value"] for one in said] == ["law", "tax"]


async def test_what_a_layer_still_looks_at_counts_and_is_not_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a panel, one answer ends nothing: the attempt goes on with the other seat."""
    monkeypatch.setattr("swarm.host.guest_step._WRITTEN_S", 0.05)
    async with house() as one:
        run = await asked(one, {"seat": ["law", "tax"], "of": "all"})
        async with bearing(one, token_of(one, run)) as worker:
            key = {"key": f"{run.id}/$/1/law"}
            done = await worker.post("/v1/step/result", params=key, json={"value": 1})
            assert (done.status_code, done.json()) == (202, {"written": False})
            again = await worker.post("/v1/step/result", params=key, json={"value": 2})
            assert (again.status_code, again.json()["code"]) == (409, "step.answered")
        await run.cancel()


async def test_an_attempt_of_the_host_itself_is_answered_by_its_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("swarm.host.guest_step._COMES_S", 0.05)
    begun, go_on = anyio.Event(), anyio.Event()
    async with house(operators=Operators(BOUNDS)) as one:

        @one.host.function("slow")
        async def slow(given: Any) -> str:
            begun.set()
            await go_on.wait()
            return "own"

        agent = {"name": "reviewer", "kind": "function", "function": "slow"}
        run = await one.host.start(await one.host.load(step(agent)), {"given": 1})
        await begun.wait()
        at: dict[str, Any] = {"run": run.id, "step": "$", "attempt": 1}
        async with bearing(one, one.host.tokens.mint("w", "worker", **at)) as worker:
            assert (await worker.post("/v1/step/progress", json={"text": "x"})).is_success
            for ask in (
                worker.get("/v1/step"),
                worker.post("/v1/step/result", json={"value": 1}),
                worker.post("/v1/step/fail", json={"message": "no"}),
            ):
                told = await ask
                assert (told.status_code, told.json()["code"]) == (409, "step.unasked")
        go_on.set()
        assert (await run.result())["out"] == "own"


@pytest.mark.parametrize("name", ["a%0ab", "%1b%5b31m", "%00", "n" * 101, "%e2%80%aex"])
async def test_a_part_is_called_by_a_word(name: str) -> None:
    async with house() as one:
        run = await asked(one)
        async with bearing(one, token_of(one, run)) as worker:
            for part, status in ((name, 422), ("n" * 100, 204), ("Zwölf%20Punkte", 204)):
                told = await worker.put(f"/v1/step/parts/{part}", json={"value": 1})
                assert told.status_code == status, told.text
        await run.cancel()


async def test_only_references_of_the_input_are_read() -> None:
    async with house() as one:
        run = await asked(one, input={"deep": [{"$ref": 1}]})
        async with bearing(one, token_of(one, run)) as worker:
            for digest in ("sha256:" + "0" * 64, "x", "..%2f..%2fkeys.json"):
                told = await worker.get(f"/v1/step/inputs/{digest}")
                assert told.status_code == 404, told.text
        await run.cancel()
