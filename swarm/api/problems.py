"""What went wrong, as RFC 9457 problem documents: our code, our sentence, a fitting status.

    {"type": "urn:swarm:error:run.unknown", "title": "Not Found", "status": 404,
     "code": "run.unknown", "detail": "expected the id of a run of this host, got 'r_1'"}

Whoever shows no token that holds gets one document, byte for byte the same whatever was
wrong with it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.routing import Match

from flowir.errors import FlowError, Malformed
from swarm.errors import BlueprintInvalid, SwarmError

__all__ = ("MEDIA", "answer_to", "problem", "status_of", "told")

_LOGGER = logging.getLogger(__name__)

MEDIA: Final = "application/problem+json"
RETRY_S: Final = 1

# By the whole code; where it is not here, by its last word; else the family decides.
_STATUS: Final[Mapping[str, int]] = {
    "capability.unauthenticated": 401,
    "capability.denied": 403,
    "http.throttled": 429,
    "http.again": 409,
    "step.unasked": 409,
    "output.reference": 422,
    "http.draining": 503,
    "http.method": 405,
    "http.media": 415,
    "http.slow": 408,
    "http.too_large": 413,
    "http.range": 416,
    "http.idempotency": 409,
    "malformed": 400,
    "http.malformed": 400,
    "value.too_large": 413,
    "version.too_large": 413,
    "journal.degraded": 503,
    "journal.failed": 503,
    "journal.fenced": 503,
    "host.closed": 503,
    "version.busy": 503,
    "store.locked": 503,
    "bug": 500,
    "function.unknown": 422,
    "agent.unknown": 422,
    "audit.unavailable": 404,
    "enhance.unavailable": 404,
    "enhance.frozen": 409,
    "enhance.not_waiting": 409,
    "enhance.stale": 409,
    "enhance.rate_limited": 429,
    "enhance.cooling_down": 429,
}
_WORDS: Final[Mapping[str, int]] = {
    "unknown": 404,
    "conflict": 409,
    "state": 409,
    "answered": 409,
    "expired": 409,
    "closed": 409,
    "live": 409,
    "damaged": 500,
    "unreadable": 500,
}


def status_of(code: str) -> int:
    """Return the status that an error of this code is answered with."""
    known = _STATUS.get(code)
    return known if known is not None else _WORDS.get(code.rpartition(".")[2], 422)


def told(code: str, detail: str, **more: Any) -> dict[str, Any]:
    """Write a problem document."""
    status = status_of(code)
    title = HTTPStatus(status).phrase
    head = {"type": f"urn:swarm:error:{code}", "title": title, "status": status}
    return {**head, "code": code, "detail": detail, **more}


def problem(
    code: str, detail: str, headers: Mapping[str, str] | None = None, **more: Any
) -> Response:
    """Answer with a problem document."""
    document = told(code, detail, **more)
    sent = dict(headers or {})
    if document["status"] == 503:
        sent.setdefault("retry-after", str(RETRY_S))
    if document["status"] == 401:
        sent["www-authenticate"] = "Bearer"
    body = json.dumps(document, ensure_ascii=True).encode()
    return Response(body, document["status"], sent, MEDIA)


def answer_to(error: Exception, request: Request | None = None) -> Response:
    """Turn any exception into an answer; what nobody foresaw is logged, and told as such."""
    match error:
        case BlueprintInvalid():
            listed = [_problem(one) for one in error.problems]
            return problem(error.code, error.message, problems=listed)
        case Malformed():
            said = [{"code": p.code, "at": p.at, "message": p.message} for p in error.problems]
            return problem(error.code, str(error), problems=said)
        case SwarmError():
            return problem(error.code, error.message)
        case FlowError():
            return problem(error.code, str(error))
        case RequestValidationError():
            return _invalid(error)
        case HTTPException():
            return _http(error, request)
        case _:
            where = "" if request is None else f"{request.method} {request.url.path}"
            _LOGGER.error("%s failed", where, exc_info=error)
            return problem("bug", "cannot happen, please report: the host's log tells more")


def _problem(one: Any) -> dict[str, Any]:
    return {
        "code": one.code,
        "message": one.message,
        "path": one.where.file,
        "line": one.where.line,
        "at": one.at,
        "hint": one.hint,
    }


def _invalid(error: RequestValidationError) -> Response:
    listed = [
        {
            "code": "http.invalid",
            "at": ".".join(map(str, one["loc"])),
            # What was sent is not repeated: it may be a secret in the wrong place.
            "message": f"{str(one['msg'])[:1].lower()}{str(one['msg'])[1:]}",
        }
        for one in error.errors()
    ]
    first = listed[0]
    return problem("http.invalid", f"{first['at']}: {first['message']}", problems=listed)


def _methods(request: Request | None) -> str:
    """Return what may be asked of an address, by whichever route."""
    found: set[str] = set()
    if request is None:
        return ""
    for route in request.app.state.routes:
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            found |= getattr(route, "methods", None) or set()
    return ", ".join(sorted(found))


def _http(error: HTTPException, request: Request | None) -> Response:
    if error.status_code == 404:
        return problem("http.unknown", "expected the address of a resource, got another")
    if error.status_code == 405:
        allowed = _methods(request) or (error.headers or {}).get("Allow", "")
        headers = {"allow": allowed}
        return problem("http.method", f"expected one of {allowed}, got another method", headers)
    return problem("http.malformed", f"expected a request that can be read: {error.detail}")
