"""Issues: what somebody wants of a blueprint, what becomes of it, and what a senior says."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from swarm.api.gate import Bearer, GatedRoute, Host, gated
from swarm.api.messages import (
    Approval,
    FreezeSent,
    FreezeView,
    ImprovementLog,
    IssueDetail,
    IssueList,
    IssueSent,
    Refusal,
)
from swarm.api.served import Served, ServedEnhancer
from swarm.blueprint.selector import parse_blueprint_id
from swarm.core.acts import tell
from swarm.errors import Refused

__all__ = ("router",)

router = APIRouter(prefix="/v1/enhance", route_class=GatedRoute, tags=["enhance"])

_MADE = {201: {"headers": {"Location": {"schema": {"type": "string"}}}}}


def _loop(host: Served) -> ServedEnhancer:
    """Return who improves the blueprints of a host.

    Raises: Refused (enhance.unavailable).
    """
    if host.enhancer is None:
        said = "expected a host whose blueprints are improved, got one without an enhancer"
        raise Refused("enhance.unavailable", said)
    return host.enhancer


@router.post("/issues", status_code=201, **gated("enhance.submit", responses=_MADE))
async def submit_issue(
    sent: IssueSent, host: Host, visitor: Bearer, response: Response
) -> IssueDetail:
    """Say what is wrong with a blueprint; its run goes on by itself."""
    async with visitor.act("enhance.submit") as passed:
        loop = _loop(host)
        author = passed.decision.actor
        run = await loop.submit(sent.blueprint, sent.intent, author=author, examples=sent.examples)
        view = await loop.show(run.id)
    response.headers["location"] = f"/v1/enhance/issues/{run.id}"
    return IssueDetail.of(view)


@router.get("/issues", **gated("enhance.read"))
async def list_issues(
    host: Host,
    visitor: Bearer,
    blueprint: Annotated[str | None, Query(min_length=1, max_length=128)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
) -> IssueList:
    """List issues, the latest first; those of one blueprint, if it is named."""
    async with visitor.act("enhance.read"):
        found = await _loop(host).issues(blueprint, limit=limit)
    return IssueList(issues=[IssueDetail.of(view) for view in found])


@router.get("/issues/{issue}", **gated("enhance.read"))
async def show_issue(issue: str, host: Host, visitor: Bearer) -> IssueDetail:
    """Show an issue as a review: change, verdicts, decision, and what became of it."""
    async with visitor.act("enhance.read", issue):
        return IssueDetail.of(await _loop(host).show(issue))


@router.post("/issues/{issue}/approve", **gated("enhance.approve"))
async def approve_issue(issue: str, sent: Approval, host: Host, visitor: Bearer) -> IssueDetail:
    """Approve the change that was looked at: by its base and its result, and no other."""
    async with visitor.act("enhance.approve", issue) as passed:
        loop = _loop(host)
        by = passed.decision.actor
        await loop.approve(issue, by=by, seen=(sent.base, sent.result))
        return IssueDetail.of(await loop.show(issue))


@router.post("/issues/{issue}/reject", **gated("enhance.reject"))
async def reject_issue(issue: str, sent: Refusal, host: Host, visitor: Bearer) -> IssueDetail:
    """Refuse what an issue waits for; the next proposer is told why."""
    async with visitor.act("enhance.reject", issue) as passed:
        loop = _loop(host)
        await loop.reject(issue, by=passed.decision.actor, reason=sent.reason)
        return IssueDetail.of(await loop.show(issue))


@router.put("/freeze", **gated("enhance.freeze"))
async def freeze_loop(sent: FreezeSent, host: Host, visitor: Bearer) -> FreezeView:
    """Stop the loop from committing, or let it go on: all of it, or one blueprint."""
    if sent.blueprint is not None:
        parse_blueprint_id(sent.blueprint)
    async with visitor.act("enhance.freeze"):
        loop = _loop(host)
        tell({"frozen": sent.frozen, "blueprint": sent.blueprint})
        loop.freeze(sent.frozen, sent.blueprint)
    return FreezeView(frozen=loop.frozen_for(sent.blueprint), blueprint=sent.blueprint)


@router.get("/log/{blueprint}", **gated("enhance.read"))
async def improvement_log(blueprint: str, host: Host, visitor: Bearer) -> ImprovementLog:
    """Tell which versions of a blueprint the loop made, the newest first."""
    parse_blueprint_id(blueprint)
    async with visitor.act("enhance.read"):
        return ImprovementLog(entries=await _loop(host).log(blueprint))
