"""Tokens, the audit log, and the host itself."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from swarm.api.gate import ANY, Bearer, GatedRoute, Host, In, Said, gated, open_to_all
from swarm.api.messages import (
    AuditPage,
    Delegated,
    Delegation,
    HostView,
    OperatorList,
    OperatorView,
    Ready,
    Revocation,
    TokenView,
)
from swarm.api.metrics import MEDIA
from swarm.operators.service import Operators, Session

__all__ = ("router",)

router = APIRouter(route_class=GatedRoute)

_TEXT = {200: {"content": {MEDIA: {"schema": {"type": "string"}}}}}
_OBJECT = {200: {"content": {"application/json": {"schema": {"type": "object"}}}}}


# -- tokens ------------------------------------------------------------------------------


@router.get("/v1/token", tags=["tokens"], **gated(ANY))
async def show_token(grant: Said) -> TokenView:
    """Tell what the bearer's token says, as far as it holds."""
    return TokenView(
        subject=grant.subject,
        role=grant.role,
        verbs=sorted(grant.verbs or ()),
        run=grant.run,
        step=grant.step,
        attempt=grant.attempt,
        expires_s=grant.expires_s,
        depth=grant.depth,
        fingerprint=grant.token,
    )


@router.post("/v1/tokens", status_code=201, tags=["tokens"], **gated("token.delegate"))
async def delegate_token(order: Delegation, visitor: Bearer) -> Delegated:
    """Mint a token that has less than the bearer's: over the network there is no other."""
    return Delegated(token=await visitor.delegate(**order.model_dump()))


@router.post("/v1/tokens/revoke", status_code=204, tags=["tokens"], **gated("token.revoke"))
async def revoke_tokens(what: Revocation, visitor: Bearer) -> None:
    """Void tokens that were minted before now."""
    await visitor.revoke(**what.model_dump(exclude_none=True))


# -- audit -------------------------------------------------------------------------------

Run = Annotated[str | None, Query(max_length=64)]


@router.get("/v1/audit", tags=["audit"], **gated("audit.read"))
async def audit_log(
    host: Host,
    visitor: Bearer,
    since: Annotated[int, Query(ge=0, le=1 << 53)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    run: Run = None,
) -> AuditPage:
    """Read entries of the audit log."""
    async with visitor.act("audit.read"):
        found = await host.records.entries(since, limit, run)
    entries = [{"no": row.no, **json.loads(row.body)} for row in found]
    return AuditPage(entries=entries, next=found[-1].no if len(found) == limit else None)


@router.get(
    "/v1/audit/proof", response_class=Response, tags=["audit"],
    **gated("audit.prove", responses=_OBJECT),
)  # fmt: skip
async def audit_proof(
    host: Host,
    visitor: Bearer,
    run: Annotated[str, Query(min_length=1, max_length=64)],
    step: Annotated[str | None, Query(max_length=1024)] = None,
) -> Response:
    """Prove what the log has about a run, or about a step of it; the proof stands by itself."""
    async with visitor.act("audit.prove"):
        return _json(await host.records.prove(run, step))


@router.post(
    "/v1/audit/checkpoints", response_class=Response, tags=["audit"],
    **gated("audit.prove", responses=_OBJECT),
)  # fmt: skip
async def audit_checkpoint(host: Host, visitor: Bearer) -> Response:
    """Sign how the log is now."""
    async with visitor.act("audit.prove"):
        return _json(await host.checkpoint())


def _json(value: Any) -> Response:
    return Response(json.dumps(value), media_type="application/json")


# -- the host ----------------------------------------------------------------------------


@router.get("/v1/host", tags=["host"], **gated("host.read"))
async def show_host(host: Host, visitor: Bearer) -> HostView:
    """Tell how the host is."""
    async with visitor.act("host.read"):
        return HostView(
            version=version("lua-swarm"),
            durable=host.durable,
            journal=host.health,
            live_runs=host.live_runs,
        )


@router.get("/v1/operators", tags=["host"], **gated("host.read"))
async def list_operators(host: Host, visitor: Bearer) -> OperatorList:
    """List the sessions of operators."""
    async with visitor.act("host.read"):
        link = host.operators
        found = list(link.sessions.values()) if isinstance(link, Operators) else []
    return OperatorList(operators=[_operator(session) for session in found])


def _operator(session: Session) -> OperatorView:
    member = session.member
    return OperatorView(
        session=session.id,
        subject=member.subject,
        name=member.name,
        state=session.state,
        seats=sorted(member.seats),
        tags=sorted(member.tags),
        capacity=member.capacity,
        orders=list(member.orders),
        draining=member.draining,
    )


@router.get(
    "/metrics", response_class=Response, tags=["host"], **gated("host.read", responses=_TEXT)
)
async def metrics(host: Host, visitor: Bearer, front: In) -> Response:
    """Return what is counted, for Prometheus."""
    async with visitor.act("host.read"):
        text = front.metrics.text(host.live_runs, host.health)
    return Response(text, media_type=MEDIA)


@router.get("/health", tags=["host"], **open_to_all(responses=_OBJECT), response_class=Response)
async def health() -> Response:
    """Tell that the process answers."""
    return _json({"status": "ok"})


_NOT_READY = {503: {"model": Ready, "description": "No work is taken in."}}


@router.get("/ready", tags=["host"], **open_to_all(responses=_NOT_READY))
async def ready(host: Host, front: In, response: Response) -> Ready:
    """Tell whether work is taken in."""
    if front.draining or not host.is_open:
        found = Ready(status="draining" if front.draining else "closed")
    else:
        found = Ready(status="ready" if host.health == "ok" else host.health)
    if found.status != "ready":
        response.status_code = 503
        response.headers["retry-after"] = "1"
    return found
