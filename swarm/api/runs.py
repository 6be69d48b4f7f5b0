"""Runs: started, listed, shown, steered; their questions."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from swarm.api.gate import Bearer, GatedRoute, Host, Said, gated
from swarm.api.messages import (
    Answer,
    Cancel,
    QuestionList,
    QuestionView,
    Rerun,
    RunDetail,
    RunPage,
    RunView,
    Start,
)
from swarm.api.once import run_id_of
from swarm.api.served import Served, ServedRun, Visitor
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.blueprint.selector import parse_selector
from swarm.core.capability.grant import Grant
from swarm.core.run import ENDED, RunStatus
from swarm.errors import Refused
from swarm.ids import parse_run_id

__all__ = ("router",)

router = APIRouter(prefix="/v1", route_class=GatedRoute, tags=["runs"])

_MADE = {201: {"headers": {"Location": {"schema": {"type": "string"}}}}}


@router.post("/runs", status_code=201, **gated("run.start", responses=_MADE))
async def start_run(
    order: Start, request: Request, response: Response, host: Host, visitor: Bearer, grant: Said
) -> RunDetail:
    """Start a run, or return the one that was started under this id or Idempotency-Key."""
    run_id = _chosen(request, grant, order.run_id)
    async with visitor.act("run.start", run_id):
        blueprint = await _blueprint(order, host, visitor, run_id)
        run = await host.start(blueprint, order.input, run_id=run_id, budget=order.budget)
        run = await host.run(run.id)
    response.headers["location"] = f"/v1/runs/{run.id}"
    return await _told(run)


async def _blueprint(
    order: Start, host: Served, visitor: Visitor, run_id: str | None
) -> CompiledBlueprint:
    if (order.blueprint is None) == (order.document is None):
        raise Refused("http.invalid", "body: expected one of 'blueprint' and 'document'")
    if order.document is not None:
        await visitor.expect("blueprint.register")
        return await host.load(order.document)
    # A path would name a file of the server's.
    return await host.load_to_run(str(parse_selector(order.blueprint or "")), run_id)


def _chosen(request: Request, grant: Grant, given: str | None) -> str | None:
    """Return the run's id: the one that was chosen, else the one that the key stands for."""
    if given is not None:
        return parse_run_id(given)
    key = getattr(request.state, "key", None)
    return None if key is None else run_id_of(grant.subject, key)


@router.get("/runs", **gated("run.list"))
async def list_runs(
    host: Host,
    visitor: Bearer,
    status: Annotated[list[RunStatus] | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    before: Annotated[str | None, Query(max_length=64)] = None,
) -> RunPage:
    """List runs, the latest first."""
    async with visitor.act("run.list"):
        found = await host.runs(status or None, limit=limit, before=before)
    runs = [RunView.of(run.summary) for run in found]
    return RunPage(runs=runs, next=runs[-1].id if len(runs) == limit else None)


@router.get("/runs/{run_id}", **gated("run.read"))
async def show_run(run_id: str, host: Host, visitor: Bearer) -> RunDetail:
    """Show a run: how it stands, and what came of it."""
    async with visitor.act("run.read", run_id):
        return await _told(await host.run(run_id))


@router.post("/runs/{run_id}/cancel", **gated("run.cancel"))
async def cancel_run(
    run_id: str, host: Host, visitor: Bearer, order: Cancel | None = None
) -> RunDetail:
    """Ask for the end of a run; one that has ended stays as it is."""
    async with visitor.act("run.cancel", run_id):
        run = await host.run(run_id)
        await run.cancel((order or Cancel()).reason)
    return await _told(run)


@router.post("/runs/{run_id}/pause", **gated("run.pause"))
async def pause_run(run_id: str, host: Host, visitor: Bearer) -> RunDetail:
    """Let what is in flight end, and begin nothing else."""
    async with visitor.act("run.pause", run_id):
        run = await host.run(run_id)
        await run.pause()
    return await _told(run)


@router.post("/runs/{run_id}/resume", **gated("run.resume"))
async def resume_run(run_id: str, host: Host, visitor: Bearer) -> RunDetail:
    """Go on with a run that rests."""
    async with visitor.act("run.resume", run_id):
        return await _told(await host.resume(run_id))


@router.post("/runs/{run_id}/rerun", status_code=201, **gated("run.rerun", responses=_MADE))
async def rerun_run(
    run_id: str,
    order: Rerun,
    request: Request,
    response: Response,
    host: Host,
    visitor: Bearer,
    grant: Said,
) -> RunDetail:
    """Start a run that begins with another's answers, up to a step."""
    new_id = _chosen(request, grant, order.run_id)
    async with visitor.act("run.rerun", run_id):
        run = await _rerun(host, run_id, order, new_id, known=order.run_id is None)
    response.headers["location"] = f"/v1/runs/{run.id}"
    return await _told(run)


async def _rerun(
    host: Served, run_id: str, order: Rerun, new_id: str | None, *, known: bool
) -> ServedRun:
    """Repeat a run; what was begun under the same Idempotency-Key is returned as it is."""
    try:
        run = await host.rerun(run_id, from_step=order.from_step, set=order.set, new_id=new_id)
    except Refused as error:
        if error.code != "run.conflict" or not known or new_id is None:
            raise
        return await _same(host, run_id, order, new_id, error)
    return await host.run(run.id)


async def _same(
    host: Served, run_id: str, order: Rerun, new_id: str, conflict: Refused
) -> ServedRun:
    """Return the run of a key, if it repeats what is to be repeated.

    Raises: Refused (run.conflict), where the key was used for something else.
    """
    run = await host.run(new_id)
    first = await anext(run.events(follow=False), None)
    origin = None if first is None or first["kind"] != "run.started" else first["rerun"]
    if origin is None or origin["run"] != run_id:
        raise conflict
    return run


async def _told(run: ServedRun) -> RunDetail:
    # What has ended is waited for: it only winds up.
    outcome = await run.wait() if run.status in ENDED or not run.live else None
    return RunDetail.told(run.summary, run.live, outcome)


# -- questions -----------------------------------------------------------------------------


@router.get("/runs/{run_id}/questions", response_model_by_alias=True, **gated("question.read"))
async def list_questions(run_id: str, host: Host, visitor: Bearer) -> QuestionList:
    """Tell what a run asks of people."""
    async with visitor.act("question.read", run_id):
        found = await (await host.run(run_id)).questions()
    return QuestionList(questions=[QuestionView.of(question) for question in found])


@router.post(
    "/runs/{run_id}/questions/{question_id}/answer", status_code=204, **gated("question.answer")
)
async def answer_question(
    run_id: str, question_id: str, answer: Answer, host: Host, visitor: Bearer
) -> None:
    """Answer a question, in the name of the token's subject; what is given first counts.

    One that is put to a name, or a role, is answered by nobody else.
    """
    async with visitor.answering(run_id) as (by, may):
        run = await host.run(run_id)
        await run.answer(question_id, answer.value, by=by, may=may)
