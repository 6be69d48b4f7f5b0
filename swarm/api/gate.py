"""The one gate: each route names the verb that it is, and is passed by who may do that.

A route without a verb cannot be made. The gate stands before a body is looked into, so
whoever may not do a thing does not learn how it would be done.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from swarm.api.door import Front
from swarm.api.problems import MEDIA, answer_to
from swarm.api.served import Served, Visitor
from swarm.core.capability.grant import Grant
from swarm.core.capability.verbs import VERBS
from swarm.errors import Bug

__all__ = (
    "ANY",
    "NONE",
    "VERB",
    "Bearer",
    "GatedRoute",
    "Host",
    "In",
    "Said",
    "gated",
    "open_to_all",
)

VERB: Final = "x-swarm-verb"
# Who shows any token that holds may do this; and this may be done without one.
ANY: Final = "any"
NONE: Final = "none"

_PROBLEMS: Final = {
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
}


def _responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    content = {MEDIA: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
    return {s: {"description": _PROBLEMS[s], "content": content} for s in statuses}


def gated(verb: str, **more: Any) -> dict[str, Any]:
    """Return what a route that is the act *verb* is declared with."""
    if verb not in VERBS and verb != ANY:
        raise Bug(f"a route's verb: {verb}")
    responses = {**_responses(*_PROBLEMS), **more.pop("responses", {})}
    return {"openapi_extra": {VERB: verb}, "responses": responses, **more}


def open_to_all(**more: Any) -> dict[str, Any]:
    """Return what a route is declared with that needs no token."""
    return {"openapi_extra": {VERB: NONE, "security": []}, **more}


class GatedRoute(APIRoute):
    """A route behind the gate; whatever it raises becomes a problem document."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Put the gate before the route."""
        inner = super().get_route_handler()
        verb = (self.openapi_extra or {}).get(VERB)
        if verb is None:
            raise Bug(f"a route without a verb: {self.path}")

        async def handled(request: Request) -> Response:
            try:
                if verb in VERBS:
                    await _passed(request, verb)
                return await inner(request)
            except Exception as error:  # noqa: BLE001 - each is told, as a problem document
                return answer_to(error, request)

        return handled


async def _passed(request: Request, verb: str) -> None:
    visitor, grant = visitor_of(request), grant_of(request)
    if verb.startswith("step."):
        # A worker's token says itself which attempt it is about.
        await visitor.expect(verb, grant.run or "", grant.step or "", grant.attempt or 0)
    else:
        await visitor.expect(verb, request.path_params.get("run_id"))


def visitor_of(request: Request) -> Visitor:
    """Return who asks."""
    return request.state.visitor


def grant_of(request: Request) -> Grant:
    """Return what his token says."""
    return request.state.grant


def front_of(request: Request) -> Front:
    """Return what the door knows."""
    return request.app.state.front


def served_of(request: Request) -> Served:
    """Return the host."""
    return request.app.state.front.served


Bearer = Annotated[Visitor, Depends(visitor_of)]
Said = Annotated[Grant, Depends(grant_of)]
Host = Annotated[Served, Depends(served_of)]
In = Annotated[Front, Depends(front_of)]
