"""Each operation asked in many ways as each role: every answer is one that is documented.

The size is `SWARM_API_EXAMPLES` for each operation, role and way; the seed is fixed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, cast

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
from swarm.operators.wire import options
from tests.swarm.operating import until
from tests.swarm.web import ALL_VERBS, world

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


@dataclass(slots=True)
class Server:
    """A host on a real port, in a thread of its own."""

    url: str = ""
    document: dict[str, Any] | None = None
    known: dict[str, str] | None = None
    tokens: dict[str, str] | None = None


@pytest.fixture(scope="module")
def server() -> Generator[Server]:
    there, ready = Server(), threading.Event()
    ends: list[uvicorn.Server] = []

    async def serve() -> None:
        async with world(roles=ALL_VERBS) as made:
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

    # What takes nothing cannot be asked in a wrong way.
    with suppress(Unsatisfiable):
        ask()
    return told


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_every_answer_is_one_that_is_documented(server: Server, mode: GenerationMode) -> None:
    told = asked(server, mode)
    statuses = [one for found in told.values() for one in found]
    assert {role for role, _ in statuses} == set(ROLES)
    assert all(status < 500 and status != 429 for _, status in statuses)
    # Of what is asked in a wrong way little is accepted; of the rest more has to be.
    least = 5 if mode is GenerationMode.POSITIVE else 1
    assert sum(1 for role, status in statuses if role == "admin" and status < 300) > least
    assert sum(1 for found in told.values() if found) > len(told) / 2
    print(f"{len(statuses)} requests to {len(told)} operations, each answered as documented")  # noqa: T201


def test_control_an_answer_that_is_not_documented_is_found_out(server: Server) -> None:
    lying = replace(server, document=deepcopy(server.document))
    assert lying.document is not None
    operation = lying.document["paths"]["/v1/host"]["get"]
    assert operation[VERB] == "host.read"
    del operation["responses"]["200"]
    with pytest.raises(FailureGroup) as found:
        asked(lying, GenerationMode.POSITIVE, "/v1/host")
    assert {type(one).__name__ for one in found.value.exceptions} == {"UndefinedStatusCode"}
