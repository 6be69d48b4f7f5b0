"""Outputs of a run by reference: bytes that never change, whole or in part.

An address names bytes by their digest, so its ETag is that digest, and a part of it can be
asked for as long as the run is remembered (RFC 9110 §14).
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Response

from swarm.api.gate import Bearer, GatedRoute, Host, gated
from swarm.api.messages import OutputList, OutputView
from swarm.api.problems import problem

__all__ = ("router",)

router = APIRouter(prefix="/v1", route_class=GatedRoute, tags=["outputs"])

_MEDIA: Final = {
    "text": "text/plain; charset=utf-8",
    "json": "application/json",
    "bytes": "application/octet-stream",
}
_RANGE = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})", re.ASCII)

_BYTES: dict[str, Any] = {
    media: {"schema": {} if kind == "json" else {"type": "string", "format": "binary"}}
    for kind, media in _MEDIA.items()
}
_RESPONSES = {
    200: {"description": "All of it.", "content": _BYTES},
    206: {"description": "The part that was asked for.", "content": _BYTES},
    304: {"description": "What the asker has."},
    416: {"description": "There is no such part."},
}


@router.get("/runs/{run_id}/outputs", **gated("output.read"))
async def list_outputs(run_id: str, host: Host, visitor: Bearer) -> OutputList:
    """Tell what the run's steps have handed over as data."""
    async with visitor.act("output.read", run_id):
        found = await (await host.run(run_id)).outputs()
    return OutputList(outputs=[OutputView(**output.to_wire()) for output in found])


@router.get(
    "/runs/{run_id}/outputs/{which:path}",
    response_class=Response,
    **gated("output.read", responses=_RESPONSES),
)
async def read_output(
    run_id: str,
    which: str,
    host: Host,
    visitor: Bearer,
    range: Annotated[str | None, Header()] = None,
    if_none_match: Annotated[str | None, Header()] = None,
    if_range: Annotated[str | None, Header()] = None,
) -> Response:
    """Return an output: by `sha256:…`, by a part's name, a step's key, or `KEY/NAME`."""
    async with visitor.act("output.read", run_id):
        output, body = await (await host.run(run_id)).output_bytes(which)
    tag = f'"{output.ref}"'
    headers = {
        "etag": tag,
        "accept-ranges": "bytes",
        # A text that a step wrote is shown by no browser as a page of ours.
        "content-disposition": "attachment",
        "content-security-policy": "sandbox",
    }
    if if_none_match is not None and _names(if_none_match, tag):
        return Response(status_code=304, headers=headers)
    media = _MEDIA[output.to_wire()["type"]]
    asked = _asked(range, len(body)) if if_range in (None, tag) else None
    if asked is None:
        return Response(body, headers=headers, media_type=media)
    first, behind = asked
    if first >= behind:
        said = f"range: expected a part of {len(body)} bytes, got none of them"
        return problem("http.range", said, {"content-range": f"bytes */{len(body)}"})
    headers["content-range"] = f"bytes {first}-{behind - 1}/{len(body)}"
    return Response(body[first:behind], 206, headers, media)


def _names(header: str, tag: str) -> bool:
    known = {one.strip().removeprefix("W/") for one in header.split(",")}
    return "*" in known or tag in known


def _asked(header: str | None, size: int) -> tuple[int, int] | None:
    """Read one range as (first, behind the last); None: all of it is meant, as RFC 9110 says.

    >>> _asked("bytes=2-3", 10), _asked("bytes=-4", 10), _asked("bytes=8-", 10)
    ((2, 4), (6, 10), (8, 10))
    >>> _asked("bytes=0-1,4-5", 10) is None
    True
    """
    found = _RANGE.fullmatch(header or "")
    if found is None or found[0] == "bytes=-":
        return None
    first, last = found.groups()
    if not first:
        return max(size - int(last), 0), size
    if last and int(last) < int(first):
        return None
    return int(first), size if not last else min(int(last) + 1, size)
