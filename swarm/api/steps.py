"""The workers of attempts, from outside: what is to be done, how far it is, and the answer.

    GET /v1/step ──→ progress, parts ──→ result or fail

The token says which attempt it is about, and is good for nothing else. Whoever has an order
as an operator hands its token on, and does not have to speak WebSocket where he does.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Response
from pydantic_core import to_json

from swarm.api.gate import Bearer, GatedRoute, Said, gated
from swarm.api.messages import (
    StepAnswered,
    StepFailSent,
    StepOrder,
    StepPartSent,
    StepProgressSent,
    StepResultSent,
    StepUsage,
)
from swarm.api.served import ServedStep, Visitor
from swarm.core.capability.grant import Grant
from swarm.operators.frames import WORD
from swarm.ports.worker import Usage

__all__ = ("router",)

router = APIRouter(prefix="/v1/step", route_class=GatedRoute, tags=["step"])

# Which order of the attempt, where a panel is asked; without it, the only one.
Key = Annotated[str | None, Query(min_length=1, max_length=2000)]

# The names of the operators' protocol: they stand in lists, logs and terminals.
PartName = Annotated[str, Path(pattern=WORD)]

_LATER: Final = {
    202: {"model": StepAnswered, "description": "It counts, and is not written down yet."}
}
_RAW: Final = {"schema": {"type": "string", "format": "binary"}}
_BYTES: dict[int | str, Any] = {
    200: {
        "description": "What the reference stands for.",
        "content": {
            "text/plain; charset=utf-8": _RAW,
            "application/json": {"schema": {}},
            "application/octet-stream": _RAW,
        },
    }
}


@router.get("", **gated("step.read"))
async def show_order(visitor: Bearer, grant: Said, key: Key = None) -> StepOrder:
    """Tell what is to be done in the attempt that the token is bound to."""
    order = await _step(visitor, grant).order(key)
    run, step, attempt = _attempt(grant)
    return StepOrder(
        key=order.key,
        run=run,
        step=step,
        attempt=attempt,
        agent=order.agent,
        prompt=order.prompt,
        input=order.body,
        answer_schema=order.schema,
        told=None if order.told is None else dict(order.told),
    )


@router.get("/inputs/{digest}", response_class=Response, **gated("step.read", responses=_BYTES))
async def read_input(digest: str, visitor: Bearer, grant: Said, key: Key = None) -> Response:
    """Return what a reference within that input stands for, by its `sha256:…`."""
    found = await _step(visitor, grant).read(digest, key)
    if isinstance(found, str):
        return Response(found, media_type="text/plain; charset=utf-8", headers=_APART)
    if isinstance(found, bytes):
        return Response(found, media_type="application/octet-stream", headers=_APART)
    return Response(to_json(found), media_type="application/json", headers=_APART)


@router.post("/progress", status_code=204, **gated("step.progress"))
async def step_progress(said: StepProgressSent, visitor: Bearer, grant: Said) -> None:
    """Tell how far the attempt is."""
    await _step(visitor, grant).progress(said.text)


@router.put("/parts/{name}", status_code=204, **gated("step.part"))
async def step_part(name: PartName, sent: StepPartSent, visitor: Bearer, grant: Said) -> None:
    """Hand over a named artifact of the attempt; the last of a name counts."""
    await _step(visitor, grant).part(name, sent.value)


@router.post("/result", **gated("step.result", responses=_LATER))
async def step_result(
    sent: StepResultSent, visitor: Bearer, grant: Said, response: Response, key: Key = None
) -> StepAnswered:
    """Answer the attempt, in the name of the operator who has it; the first answer counts."""
    step = _step(visitor, grant)
    written = await step.result(sent.value, usage=_used(sent.usage), halted=sent.halted, key=key)
    return _answered(written, response)


@router.post("/fail", **gated("step.fail", responses=_LATER))
async def step_fail(
    sent: StepFailSent, visitor: Bearer, grant: Said, response: Response, key: Key = None
) -> StepAnswered:
    """Say that the attempt cannot be done; the first answer counts."""
    written = await _step(visitor, grant).fail(
        sent.code,
        sent.message,
        permanent=sent.permanent,
        data=sent.data,
        usage=_used(sent.usage),
        key=key,
    )
    return _answered(written, response)


# A text that a step wrote is shown by no browser as a page of ours.
_APART: Final = {"content-disposition": "attachment", "content-security-policy": "sandbox"}


def _answered(written: bool, response: Response) -> StepAnswered:
    response.status_code = 200 if written else 202
    return StepAnswered(written=written)


def _used(usage: StepUsage) -> Usage:
    return Usage(usage.tokens, usage.cost)


def _step(visitor: Visitor, grant: Grant) -> ServedStep:
    return visitor.worker(*_attempt(grant))


def _attempt(grant: Grant) -> tuple[str, str, int]:
    return grant.run or "", grant.step or "", grant.attempt or 0
