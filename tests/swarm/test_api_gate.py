"""Every route, walked with every role: nothing is answered that the table does not allow."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from swarm.api.bearer import Throttle
from swarm.api.gate import ANY, NONE, VERB, gated, open_to_all
from swarm.core.capability.verbs import ROLES, TABLE, VERBS
from swarm.errors import Bug
from swarm.host.host import Host
from swarm.operators import Operators
from tests.swarm.operating import step, until
from tests.swarm.web import ALL_VERBS, HELLO, World, web, world

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def there(anyio_backend: str) -> AsyncGenerator[World]:
    async with world() as made:
        yield made


def routes() -> list[tuple[str, str, str]]:
    """Return method, path and verb of every route, read from the description."""
    app = Host.in_memory().asgi()
    paths = app.openapi()["paths"]
    return [
        (method.upper(), path, operation[VERB])
        for path, operations in paths.items()
        for method, operation in operations.items()
    ]


ROUTES = routes()


def test_a_route_tells_of_every_way_in_which_it_may_end() -> None:
    told = gated("run.read", summary="x", responses={200: {"description": "fine"}})
    schema = {"$ref": "#/components/schemas/ProblemDocument"}
    problems = {"application/problem+json": {"schema": schema}}
    said = {status: one["description"] for status, one in told["responses"].items()}
    assert all(
        one["content"] == problems for status, one in told["responses"].items() if status != 200
    )
    assert said == {
        400: "The request cannot be read.",
        401: "No token that holds.",
        403: "The token does not cover this.",
        404: "There is no such thing.",
        408: "The body was not there in time.",
        409: "It is not in a state in which this can be done.",
        413: "Too large.",
        415: "Not JSON.",
        422: "It can be read, and does not fit.",
        429: "Too many tokens that did not hold.",
        503: "The host is closing, or cannot write now.",
        200: "fine",
    }
    assert (told["openapi_extra"], told["summary"]) == ({VERB: "run.read"}, "x")
    assert gated(ANY)["openapi_extra"] == {VERB: ANY}
    assert open_to_all(summary="x") == {
        "openapi_extra": {VERB: NONE, "security": []}, "summary": "x",
    }  # fmt: skip


def filled(path: str, world: World) -> str:
    known = {
        "run_id": world.asking,
        "question_id": "none",
        "blueprint": "hello",
        "selector": "latest",
        "tag": "prod",
        "which": "note",
        "name": "note",
        "issue": world.asking,
        "digest": "sha256:0",
    }
    return re.sub(r"\{(\w+)\}", lambda found: known[found[1]], path)


async def answered(there: World, token: str | None, method: str, path: str) -> int:
    query = {"follow": "false"} if path.endswith("/events") else {}
    async with there.client(token) as client:
        answer = await client.request(method, filled(path, there), params=query)
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code
    return answer.status_code


def test_the_walk_meets_every_route_that_is_served() -> None:
    app = Host.in_memory().asgi()
    served = {(method, route.path) for route in app.state.routes for method in route.methods}
    described = {(m, p.replace("{which}", "{which:path}")) for m, p, _ in ROUTES}
    assert served == described
    assert len(ROUTES) > 25


def test_only_these_routes_are_open_to_all() -> None:
    assert {path for _, path, verb in ROUTES if verb == NONE} == {"/health", "/ready"}


def test_a_route_without_a_verb_that_there_is_cannot_be_made() -> None:
    with pytest.raises(Bug):
        gated("run.everything")


async def test_every_route_with_every_role_is_answered_as_the_table_says(there: World) -> None:
    tokens: dict[str, str | None] = {
        role: there.host.tokens.mint("ada", role) for role in ROLES if role != "worker"
    }
    bound: dict[str, Any] = {"run": there.run, "step": "$", "attempt": 1}
    tokens |= {"worker": there.host.tokens.mint("ada", "worker", **bound)}
    for method, path, verb in ROUTES:
        for role, token in tokens.items():
            status = await answered(there, token, method, path)
            at_home = (role == "worker") == (path == "/v1/step" or path.startswith("/v1/step/"))
            if verb in (NONE, ANY):
                expected = status < 400
            elif not at_home:
                # A token of the other purpose is nothing here.
                expected = status == 401
            elif verb not in TABLE[role]:
                expected = status == 403
            elif role == "worker":
                # The attempt that it is bound to is over; what is said of it comes first.
                expected = status in (403, 422)
            else:
                expected = status not in (401, 403)
            assert expected, (method, path, verb, role, status)


async def test_every_route_without_a_token_says_the_same_nothing(there: World) -> None:
    bodies: set[bytes] = set()
    front = there.app.state.front
    async with there.client(peer="192.0.2.9") as client:
        for number, (method, path, verb) in enumerate(ROUTES):
            if verb != NONE:
                front.throttle = Throttle(front.now)
                answer = await client.request(method, filled(path, there))
                assert answer.status_code == 401, (number, path)
                bodies.add(answer.content)
    assert len(bodies) == 1


async def test_the_verb_of_a_route_is_all_that_it_takes(there: World) -> None:
    for method, path, verb in ROUTES:
        role = next((r for r in ("senior", "admin") if verb in TABLE[r]), None)
        if role is None or verb.startswith("step."):
            continue
        token = there.host.tokens.mint("ada", role, [verb], depth=3)
        assert await answered(there, token, method, path) not in (401, 403), (path, verb)
        others = [other for other in TABLE[role] if other != verb]
        token = there.host.tokens.mint("ada", role, others, depth=3)
        assert await answered(there, token, method, path) == 403, (path, verb)


async def test_the_gate_stands_before_the_body(there: World) -> None:
    async with there.as_role("observer") as client:
        answer = await client.post("/v1/runs", json={"nonsense": 1})
    assert answer.status_code == 403


async def test_a_token_for_one_run_reaches_no_other(there: World) -> None:
    async with there.as_role("operator", run=there.run) as client:
        assert (await client.get(f"/v1/runs/{there.run}")).status_code == 200
        assert (await client.get(f"/v1/runs/{there.asking}")).status_code == 403
        assert (await client.get("/v1/runs")).status_code == 403


async def test_a_document_that_is_sent_along_takes_the_right_to_register(there: World) -> None:
    document = {
        "swarm": 1,
        "id": "mine",
        "agents": [],
        "flow": {"kind": "assign", "at": "ctx.a", "value": "1"},
    }
    async with there.as_role("operator") as client:
        assert (await client.post("/v1/runs", json={"document": document})).status_code == 403
    async with there.as_role("senior") as client:
        answer = await client.post("/v1/runs", json={"document": document})
        assert answer.status_code == 201
        assert answer.json()["blueprint"] == "mine"


async def test_a_use_is_counted_once_a_request(there: World) -> None:
    async with there.as_role("operator", uses=2) as client:
        statuses = [(await client.get("/v1/runs")).status_code for _ in range(3)]
    assert statuses == [200, 200, 403]


async def test_what_is_refused_and_what_is_registered_stands_in_the_audit_log(
    there: World,
) -> None:
    async with there.as_role("observer") as client:
        await client.post("/v1/runs", json={})
    async with there.as_role("senior") as client:
        await client.put("/v1/blueprints/hello/tags/prod", json={"selector": "1.0.0"})
        found = (await client.get("/v1/audit", params={"limit": 1000})).json()["entries"]
    told = [(one["verb"], one["decision"]) for one in found]
    assert ("run.start", "denied") in told
    assert ("blueprint.tag", "allowed") in told
    assert set(VERBS) >= {verb for verb, _ in told if verb != "visit"}


async def test_every_operation_goes_well_for_who_may_do_it() -> None:
    """One request to each operation, in an order in which it can go well.

    An admin may do everything here, but for what takes the token of an attempt, which is of
    another purpose: that is done by whoever has such a token.
    """
    async with world(roles=ALL_VERBS, improved=True) as there:
        issues = [await waiting(there, f"be kind, {n}") for n in range(2)]
        run, asking = f"/v1/runs/{there.run}", f"/v1/runs/{there.asking}"
        (question,) = await (await there.host.run(there.asking)).questions()
        tries: list[tuple[str, str, Any]] = [
            ("GET", "/health", None),
            ("GET", "/ready", None),
            ("GET", "/metrics", None),
            ("GET", "/v1/host", None),
            ("GET", "/v1/operators", None),
            ("GET", "/v1/token", None),
            ("POST", "/v1/tokens", {"ttl_s": 60}),
            ("GET", "/v1/audit", None),
            ("GET", f"/v1/audit/proof?run={there.run}", None),
            ("POST", "/v1/audit/checkpoints", None),
            ("GET", "/v1/blueprints", None),
            ("POST", "/v1/blueprints", {"document": {**HELLO, "id": "new"}}),
            ("GET", "/v1/blueprints/hello/log", None),
            ("GET", "/v1/blueprints/hello/versions/1.0.0", None),
            ("GET", "/v1/blueprints/hello/diff?old=1.0.0", None),
            ("PUT", "/v1/blueprints/hello/tags/prod", {}),
            ("GET", "/v1/blueprints/hello/tags", None),
            ("DELETE", "/v1/blueprints/hello/tags/prod", None),
            ("POST", "/v1/blueprints/hello/rollback", {"selector": "1.0.0"}),
            ("POST", "/v1/runs", {"blueprint": "hello"}),
            ("GET", "/v1/runs", None),
            ("GET", run, None),
            ("GET", f"{run}/events", None),
            ("GET", f"{run}/outputs", None),
            ("GET", f"{run}/outputs/note", None),
            ("POST", f"{run}/rerun", {"from_step": "$"}),
            ("GET", f"{asking}/questions", None),
            ("POST", f"{asking}/pause", None),
            ("POST", f"{asking}/resume", None),
            ("POST", f"{asking}/questions/{question.id}/answer", {"value": 1}),
            ("POST", f"{asking}/cancel", {}),
            ("POST", "/v1/enhance/issues", {"blueprint": "improved", "intent": "be kind"}),
            ("GET", "/v1/enhance/issues?blueprint=improved", None),
            ("GET", f"/v1/enhance/issues/{issues[0]['run']}", None),
            ("POST", f"/v1/enhance/issues/{issues[0]['run']}/approve", seen(issues[0])),
            ("POST", f"/v1/enhance/issues/{issues[1]['run']}/reject", {"reason": "no"}),
            ("PUT", "/v1/enhance/freeze", {"frozen": False}),
            ("GET", "/v1/enhance/log/improved", None),
            ("POST", "/v1/tokens/revoke", {"subject": "eve"}),
        ]
        well: set[tuple[str, str]] = set()
        async with there.as_role("admin", depth=2) as client:
            for method, path, body in tries:
                answer = await client.request(method, path, json=body)
                if answer.is_success:
                    found = next(
                        (m, p) for m, p, _ in ROUTES
                        if m == method and re.fullmatch(pattern(p), path.partition("?")[0])
                    )  # fmt: skip
                    well.add(found)
                else:
                    print(method, path, answer.text)  # noqa: T201
    at_desk = {(m, p) for m, p, _ in ROUTES if not p.startswith("/v1/step")}
    told = f"{len(well)} of {len(at_desk)} operations go well for an admin"
    by_worker = await _done_by_worker()
    print(f"{told}, {len(by_worker)} of {len(ROUTES) - len(at_desk)} for a worker")  # noqa: T201
    assert well == at_desk
    assert well | by_worker == {(m, p) for m, p, _ in ROUTES}


async def waiting(there: World, intent: str) -> Any:
    """Submit an issue, and return it once a senior is asked."""
    loop = there.host.enhancer
    assert loop is not None
    run = await loop.submit("improved", intent, author="bob")
    await until(lambda: run.status == "waiting")
    return (await loop.show(run.id)).to_wire()


def seen(issue: Any) -> dict[str, str]:
    review = issue["decision"]["review"]
    return {"base": review["base"], "result": review["result"]}


async def _done_by_worker() -> set[tuple[str, str]]:
    """Ask for each operation of an attempt, with its token; return those that go well."""
    made = step(input="{page = ctx.page}")
    made["agents"].append({"name": "page", "kind": "function", "function": "page", "output": "ref"})
    page = {"kind": "step", "ref": "page", "in": "'x'", "out": "ctx.page"}
    made["flow"] = {"kind": "seq", "children": [page, made["flow"]]}
    operators, well = Operators(), set[tuple[str, str]]()
    async with web(operators=operators) as host:
        there = World(host, host.asgi(), "", "")
        # An attempt has one answer: there is one run for each.
        for answer, body in (("result", {"value": 1}), ("fail", {"message": "no"})):
            run = await host.start(await host.load(made), {})
            await until(lambda: bool(operators.desk.cases))
            ((key, case),) = operators.desk.cases.items()
            assert case.order.token is not None
            tries: list[tuple[str, str, Any]] = [
                ("GET", "", None),
                ("GET", f"/inputs/{case.order.body['page']['$ref']}", None),
                ("POST", "/progress", {"text": "half"}),
                ("PUT", "/parts/note", {"value": 1}),
                ("POST", f"/{answer}", body),
            ]
            async with there.client(case.order.token()) as client:
                for method, path, sent in tries:
                    told = await client.request(method, f"/v1/step{path}", json=sent)
                    if told.is_success:
                        found = re.sub("sha256:.*", "{digest}", path).replace("note", "{name}")
                        well.add((method, f"/v1/step{found}"))
            await run.wait()
            assert not operators.desk.cases, key
    return well


def pattern(path: str) -> str:
    return re.sub(r"\{which\}", "[^/]+", re.sub(r"\{(?!which)\w+\}", "[^/]+", path))


def test_every_problem_that_a_gated_route_may_answer_is_described() -> None:
    problems = {"400", "401", "403", "404", "409", "413", "415", "422", "429", "503"}
    paths = Host.in_memory().asgi().openapi()["paths"]
    for path, operations in paths.items():
        for method, operation in operations.items():
            told = {status for status in operation["responses"] if status >= "400"}
            assert operation[VERB] == NONE or told >= problems, (method, path)
