"""Each operation asked in many ways as each role: every answer is one that is documented.

Each is asked in one right way, too, by whoever may do it, and then it goes well.
The size is `SWARM_API_EXAMPLES` for each operation, role and way; the seed is fixed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

import anyio
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from swarm.api.bearer import Throttle
from swarm.api.gate import VERB
from swarm.core.capability.verbs import ROLES
from swarm.host.host import Host
from swarm.operators import Operators
from swarm.operators.wire import options
from tests.swarm.operating import step, until
from tests.swarm.web import ALL_VERBS, HELLO, World, world

_EXAMPLES = int(os.environ.get("SWARM_API_EXAMPLES", "2"))
_CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
_SETTINGS = settings(
    max_examples=_EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[*HealthCheck],  # pyright: ignore[reportArgumentType]
)


class Right(NamedTuple):
    """How an operation is asked so that it goes well: what for, and with whose token."""

    path: dict[str, str]
    body: Any
    query: dict[str, str]
    role: str
    token: str


@dataclass(slots=True)
class Server:
    """A host on a real port, in a thread of its own."""

    url: str = ""
    document: dict[str, Any] | None = None
    known: dict[str, str] | None = None
    tokens: dict[str, str] | None = None
    right: dict[str, Right] | None = None


@pytest.fixture(scope="module")
def server() -> Generator[Server]:
    there, ready = Server(), threading.Event()
    ends: list[uvicorn.Server] = []

    async def serve() -> None:
        operators = Operators()
        async with world(roles=ALL_VERBS, operators=operators, improved=True) as made:
            app = made.app
            # Bad tokens are tried elsewhere.
            app.state.front.throttle = Throttle(lambda: 0.0, most=1_000_000)
            there.document = app.openapi()
            there.known = {
                "run_id": made.asking,
                "blueprint": "hello",
                "selector": "1.0.0",
                "tag": "prod",
                "which": "note",
            }
            there.tokens = {r: made.host.tokens.mint("ada", r) for r in ROLES if r != "worker"}
            at: dict[str, Any] = {"run": made.run, "step": "$", "attempt": 1}
            there.tokens["worker"] = made.host.tokens.mint("ada", "worker", **at)
            there.right = await _right_ways(made, operators)
            quiet: dict[str, Any] = {**options(), "log_config": None, "log_level": 60}
            config = uvicorn.Config(app, port=0, lifespan="off", **quiet)
            running = uvicorn.Server(config)
            ends.append(running)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(running.serve)
                await until(lambda: running.started)
                port = running.servers[0].sockets[0].getsockname()[1]
                there.url = f"http://127.0.0.1:{port}"
                ready.set()

    thread = threading.Thread(target=anyio.run, args=(serve,), daemon=True)
    thread.start()
    assert ready.wait(60)
    yield there
    ends[0].should_exit = True
    ends[0].force_exit = True
    thread.join(30)


async def _right_ways(made: World, operators: Operators) -> dict[str, Right]:
    """Make what each operation is about, for it alone; return how to ask it."""
    host, admin = made.host, made.host.tokens.mint("ada", "admin", depth=2)
    waiting = {act: await host.start("asks") for act in ("pause", "resume", "cancel", "answer")}
    while any(run.status != "waiting" for run in waiting.values()):  # noqa: ASYNC110
        await anyio.sleep(0.01)
    (question,) = await waiting["answer"].questions()
    await waiting["resume"].pause()
    await host.blueprints.tag("hello@1.0.0", "gone")
    of_run = {"run_id": made.run}
    hello = {"blueprint": "hello"}

    def way(path: dict[str, str] | None = None, body: Any = None, **query: str) -> Right:
        return Right(path or {}, body, query, "admin", admin)

    def at(act: str, body: Any = None, **more: str) -> Right:
        return way({"run_id": waiting[act].id, **more}, body)

    desk = {
        "POST /v1/runs": way(body={"blueprint": "hello"}),
        "GET /v1/runs": way(),
        "GET /v1/runs/{run_id}": way(of_run),
        "POST /v1/runs/{run_id}/cancel": at("cancel", {}),
        "POST /v1/runs/{run_id}/pause": at("pause"),
        "POST /v1/runs/{run_id}/resume": at("resume"),
        "POST /v1/runs/{run_id}/rerun": way(of_run, {"from_step": "$"}),
        "GET /v1/runs/{run_id}/questions": at("answer"),
        "POST /v1/runs/{run_id}/questions/{question_id}/answer": at(
            "answer", {"value": 1}, question_id=question.id
        ),
        "GET /v1/runs/{run_id}/events": way(of_run, follow="false"),
        "GET /v1/runs/{run_id}/outputs": way(of_run),
        "GET /v1/runs/{run_id}/outputs/{which}": way({**of_run, "which": "note"}),
        "GET /v1/blueprints": way(),
        "POST /v1/blueprints": way(body={"document": {**HELLO, "id": "new"}}),
        "GET /v1/blueprints/{blueprint}/log": way(hello),
        "GET /v1/blueprints/{blueprint}/versions/{selector}": way({**hello, "selector": "1.0.0"}),
        "GET /v1/blueprints/{blueprint}/diff": way(hello, old="1.0.0"),
        "GET /v1/blueprints/{blueprint}/tags": way(hello),
        "PUT /v1/blueprints/{blueprint}/tags/{tag}": way({**hello, "tag": "prod"}, {}),
        "DELETE /v1/blueprints/{blueprint}/tags/{tag}": way({**hello, "tag": "gone"}),
        "POST /v1/blueprints/{blueprint}/rollback": way(hello, {"selector": "1.0.0"}),
        **await _ways_of_issues(host, way),
        "GET /v1/token": way(),
        "POST /v1/tokens": way(body={"ttl_s": 60}),
        "POST /v1/tokens/revoke": way(body={"subject": "eve"}),
        "GET /v1/audit": way(),
        "GET /v1/audit/proof": way(run=made.run),
        "POST /v1/audit/checkpoints": way(),
        "GET /v1/host": way(),
        "GET /v1/operators": way(),
        "GET /metrics": way(),
        "GET /health": way(),
        "GET /ready": way(),
    }
    return desk | await _ways_of_workers(host, operators)


async def _ways_of_issues(host: Host, way: Callable[..., Right]) -> dict[str, Right]:
    """Do the same for what improves blueprints: one issue to approve, and one to refuse."""
    loop = host.enhancer
    assert loop is not None
    issues: list[str] = []
    for intent in ("be kind", "be brief"):
        run = await loop.submit("improved", intent, author="bob", examples=())
        while run.status != "waiting":  # noqa: ASYNC110
            await anyio.sleep(0.01)
        issues.append(run.id)
    review: Any = (await loop.show(issues[0])).to_wire()["decision"]["review"]
    seen = {"base": review["base"], "result": review["result"]}
    return {
        "POST /v1/enhance/issues": way(body={"blueprint": "improved", "intent": "be quick"}),
        "GET /v1/enhance/issues": way(),
        "GET /v1/enhance/issues/{issue}": way({"issue": issues[0]}),
        "POST /v1/enhance/issues/{issue}/approve": way({"issue": issues[0]}, seen),
        "POST /v1/enhance/issues/{issue}/reject": way({"issue": issues[1]}, {"reason": "no"}),
        "PUT /v1/enhance/freeze": way(body={"frozen": False}),
        "GET /v1/enhance/log/{blueprint}": way({"blueprint": "improved"}),
    }


async def _ways_of_workers(host: Host, operators: Operators) -> dict[str, Right]:
    """Do the same for what takes the token of an attempt: each has one of its own."""
    asked = step(input="{page = ctx.page}")
    asked["agents"].append(HELLO["agents"][0])
    page = {"kind": "step", "ref": "page", "in": "'x'", "out": "ctx.page"}
    asked["flow"] = {"kind": "seq", "children": [page, asked["flow"]]}
    blueprint, ways = await host.load(asked), dict[str, Right]()
    for name, path, body in (
        ("GET /v1/step", {}, None),
        ("GET /v1/step/inputs/{digest}", {"digest": ""}, None),
        ("POST /v1/step/progress", {}, {"text": "half"}),
        ("PUT /v1/step/parts/{name}", {"name": "note"}, {"value": 1}),
        ("POST /v1/step/result", {}, {"value": 1}),
        ("POST /v1/step/fail", {}, {"message": "no"}),
    ):
        run = await host.start(blueprint, {})
        found = None
        while found is None:
            await anyio.sleep(0.01)
            cases = operators.desk.cases.values()
            found = next((case.order for case in cases if case.order.run == run.id), None)
        assert found.token is not None
        if "digest" in path:
            path = {"digest": found.body["page"]["$ref"]}
        ways[name] = Right(path, body, {}, "worker", found.token())
    return ways


def asked(server: Server, mode: GenerationMode, *paths: str) -> dict[str, list[tuple[str, int]]]:
    """Ask operations in some ways, each as every role; return the statuses that came back."""
    assert server.document is not None
    schema = schemathesis.openapi.from_dict(server.document)
    told: dict[str, list[tuple[str, int]]] = {}
    for found in schema.get_all_operations():
        operation: Any = cast("Any", found).ok()
        if not paths or operation.path in paths:
            name = f"{operation.method.upper()} {operation.path}"
            told[name] = _asked(server, operation, mode)
    return told


def _asked(server: Server, operation: Any, mode: GenerationMode) -> list[tuple[str, int]]:
    assert server.known is not None
    assert server.tokens is not None
    known, tokens = server.known, server.tokens
    told: list[tuple[str, int]] = []

    @seed(20261126)
    @_SETTINGS
    @given(operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        # Half of the ways are about what there is: elsewhere all ends with 404.
        if len(told) % (2 * len(tokens)) == 0:
            for name in set(case.path_parameters or ()) & set(known):
                case.path_parameters[name] = known[name]
        if case.path.endswith("/events"):
            case.query = {**(case.query or {}), "follow": "false"}
        for role, token in tokens.items():
            headers = {"Authorization": f"Bearer {token}"}
            answer = case.call_and_validate(server.url, headers=headers, checks=_CHECKS)
            told.append((role, answer.status_code))

    if mode is GenerationMode.POSITIVE:
        told.append(_asked_right(server, operation))
    # What takes nothing cannot be asked in a wrong way.
    with suppress(Unsatisfiable):
        ask()
    return told


def _asked_right(server: Server, operation: Any) -> tuple[str, int]:
    assert server.right is not None
    way = server.right[f"{operation.method.upper()} {operation.path}"]
    given = {} if way.body is None else {"body": way.body, "media_type": "application/json"}
    case = operation.Case(path_parameters=way.path, query=way.query, **given)
    headers = {"Authorization": f"Bearer {way.token}"}
    answer = case.call_and_validate(server.url, headers=headers, checks=_CHECKS)
    return way.role, answer.status_code


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_every_answer_is_one_that_is_documented(server: Server, mode: GenerationMode) -> None:
    told = asked(server, mode)
    statuses = [one for found in told.values() for one in found]
    assert {role for role, _ in statuses} == set(ROLES)
    assert all(status < 500 and status != 429 for _, status in statuses)
    print(f"{len(statuses)} requests to {len(told)} operations, each answered as documented")  # noqa: T201
    if mode is GenerationMode.POSITIVE:
        _went_well(told)
    else:
        # Of what is asked in a wrong way little is accepted.
        assert sum(1 for role, status in statuses if role == "admin" and status < 300) > 1
        assert sum(1 for found in told.values() if found) > len(told) / 2


def _went_well(told: dict[str, list[tuple[str, int]]]) -> None:
    """See that each operation goes well for an admin, or, of an attempt, for its worker."""
    well = {
        role: {name for name, found in told.items() if any(r == role and s < 300 for r, s in found)}
        for role in ("admin", "worker")
    }
    of_attempts = {name for name in told if name.split()[1].startswith("/v1/step")}
    desk = set(told) - of_attempts
    print(  # noqa: T201
        f"goes well: {len(well['admin'] & desk)} of {len(desk)} operations for an admin, "
        f"{len(well['worker'] & of_attempts)} of {len(of_attempts)} for a worker"
    )
    assert desk <= well["admin"], desk - well["admin"]
    assert of_attempts <= well["worker"], of_attempts - well["worker"]


def test_control_an_answer_that_is_not_documented_is_found_out(server: Server) -> None:
    lying = replace(server, document=deepcopy(server.document))
    assert lying.document is not None
    operation = lying.document["paths"]["/v1/host"]["get"]
    assert operation[VERB] == "host.read"
    del operation["responses"]["200"]
    with pytest.raises(FailureGroup) as found:
        asked(lying, GenerationMode.POSITIVE, "/v1/host")
    assert {type(one).__name__ for one in found.value.exceptions} == {"UndefinedStatusCode"}
