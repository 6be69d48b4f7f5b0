"""The application: routes behind the gate, behind the door; OpenAPI 3.1 that says so."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.routing import WebSocketRoute

from swarm.api import blueprints, desk, enhance, events, outputs, runs, steps
from swarm.api.door import Asgi, Bounds, Door, Front
from swarm.api.gate import ANY, NONE, VERB
from swarm.api.messages import ProblemDocument
from swarm.api.problems import answer_to
from swarm.api.served import Served

__all__ = ("build",)

_ABOUT = (
    "Flows of agents: start, watch and steer runs. Each operation is a verb (`x-swarm-verb`) "
    "that the bearer's token must cover. Errors are problem documents (RFC 9457)."
)


def build(
    host: Served, bounds: Bounds | None = None, sockets: Mapping[str, Asgi] | None = None
) -> FastAPI:
    """Make the application that serves *host*.

    Shape: *sockets* are endpoints that speak WebSocket, by their paths. Run by itself it
    opens the host and closes it again; a host that is open already it leaves alone.
    """
    front = Front(host, bounds or Bounds())
    app = FastAPI(
        title="swarm",
        version=version("lua-swarm"),
        description=_ABOUT,
        lifespan=_lifespan,
        docs_url=None,  # its page would load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={HTTPException: _told},
    )
    app.state.front = front
    parts = (runs, events, outputs, steps, blueprints, enhance, desk)
    for part in parts:
        app.include_router(part.router)
    app.state.routes = [route for part in parts for route in part.router.routes]
    for path, endpoint in (sockets or {}).items():
        app.router.routes.append(WebSocketRoute(path, endpoint))
    app.add_middleware(Door, front=front)
    app.openapi = lambda: _openapi(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncGenerator[None]:
    front: Front = app.state.front
    if front.served.is_open:
        yield
        return
    async with front.served:
        yield
        front.draining = True


async def _told(request: Any, error: Exception) -> Any:
    return answer_to(error, request)


def _openapi(app: FastAPI) -> dict[str, Any]:
    """Return the description, with the gate and the problem documents in it."""
    if app.openapi_schema is not None:
        return app.openapi_schema
    made = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    components = made.setdefault("components", {})
    model = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas = components.setdefault("schemas", {})
    schemas |= {**model.pop("$defs", {}), "ProblemDocument": model}
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    for operations in made["paths"].values():
        for operation in operations.values():
            if operation.get(VERB) != NONE:
                operation["security"] = [{"token": []}]
                _keyed(operation)
    app.openapi_schema = made
    return made


def _keyed(operation: dict[str, Any]) -> None:
    if operation.get(VERB) in (ANY, None) or "requestBody" not in operation:
        return
    operation.setdefault("parameters", []).append(
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "description": "Sent again with the same request: answered again, not done again.",
            "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
        }
    )
