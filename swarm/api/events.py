"""The events of a run: those that were, then each as it happens, as SSE or JSON lines.

    id: 7
    event: step.finished
    data: {"seq": 7, "kind": "step.finished", …}

A number names a place in the journal, so a reader who comes back with `Last-Event-ID` gets
what came since, without a gap and without anything twice, from whichever host has the run.
Behind the last event the stream ends; whoever comes back for more is told 204, which ends
the reconnecting of browsers. A token that ends while the stream goes on ends it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias, cast

import anyio
from fastapi import APIRouter, Header, Query
from fastapi.responses import Response, StreamingResponse
from pydantic_core import to_json

from swarm.api.door import Front
from swarm.api.gate import Bearer, GatedRoute, Host, In, gated
from swarm.api.problems import told
from swarm.api.served import Visitor
from swarm.core.events import Event
from swarm.core.log import EventStream
from swarm.errors import SwarmError

__all__ = ("router",)

router = APIRouter(prefix="/v1", route_class=GatedRoute, tags=["runs"])

SSE: Final = "text/event-stream"
LINES: Final = "application/x-ndjson"
_MOST_SEQ = 1 << 53

# One event, as whoever reads server-sent events hands it on.
_SSE: Final = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("id", "event", "data")},
    "required": ["event", "data"],
}
_STREAM = {
    200: {
        "description": "Events, as SSE or as JSON lines.",
        "content": {SSE: {"schema": _SSE}, LINES: {"schema": {"type": "string"}}},
    },
    204: {"description": "The run has ended, and there is nothing behind `since`."},
}


@router.get(
    "/runs/{run_id}/events",
    response_class=Response,
    **gated("run.read", responses=_STREAM),
)
async def run_events(
    run_id: str,
    host: Host,
    visitor: Bearer,
    front: In,
    since: Annotated[int, Query(ge=0, le=_MOST_SEQ)] = 0,
    follow: Annotated[bool, Query()] = True,
    form: Annotated[Literal["sse", "lines"], Query()] = "sse",
    last_event_id: Annotated[int | None, Header(ge=0, le=_MOST_SEQ)] = None,
) -> Response:
    """Watch a run; `follow=false` ends with what there is now."""
    behind = since if last_event_id is None else last_event_id
    async with visitor.act("run.read", run_id):
        run = await host.run(run_id)
    events = run.events(behind, follow=follow)
    # Of a run that rests the first is looked for here: whether there is one is a status.
    first = None if run.live else await anext(events, None)
    if first is None and not run.live:
        return Response(status_code=204)
    body = _watched(first, events, visitor, run_id, _sse if form == "sse" else _line, front)
    return StreamingResponse(body, media_type=SSE if form == "sse" else LINES)


Write: TypeAlias = Callable[[Mapping[str, Any]], bytes]


async def _watched(
    first: Event | None,
    events: EventStream,
    visitor: Visitor,
    run_id: str,
    write: Write,
    front: Front,
) -> AsyncGenerator[bytes]:
    front.metrics.streams.inc()
    try:
        if first is not None:
            yield write(first)
        async for event in _with_beats(events, front.bounds.beat_s):
            visitor.look("run.read", run_id)
            yield (_BEAT if write is _sse else b"") if event is None else write(event)
    except SwarmError as error:
        # The status is long gone: what ends the stream is told in it.
        yield write({"kind": "problem", **told(error.code, error.message)})
    finally:
        front.metrics.streams.dec()


async def _with_beats(events: EventStream, beat_s: float) -> AsyncGenerator[Event | None]:
    """Yield events, and None where there was none for a while."""
    while True:
        event = None
        with anyio.move_on_after(beat_s) as waited:
            event = await anext(events, _OVER)
        if event is _OVER:
            return
        yield None if waited.cancelled_caught else cast("Event", event)


def _sse(event: Mapping[str, Any]) -> bytes:
    number = f"id: {event['seq']}\n".encode() if "seq" in event else b""
    head = f"event: {event['kind']}\n".encode()
    # JSON in one line: what could end a line is escaped in it.
    return number + head + b"data: " + to_json(event) + b"\n\n"


def _line(event: Mapping[str, Any]) -> bytes:
    return to_json(event) + b"\n"


_BEAT: Final = b": still here\n\n"
_OVER: Final = object()
