"""Versions of blueprints: registered, listed, shown, compared, tagged, taken back."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Query, Response

from swarm.api.gate import Bearer, GatedRoute, Host, gated
from swarm.api.messages import (
    BlueprintPage,
    DiffView,
    EntryPage,
    EntryView,
    RegisteredView,
    Registration,
    Rollback,
    Tag,
    TagList,
    VersionView,
)
from swarm.api.served import Registered, ServedBlueprints
from swarm.blueprint.selector import parse_blueprint_id, parse_tag
from swarm.compiler.source import SUFFIXES
from swarm.errors import BlueprintInvalid, Place, Problem, Refused

__all__ = ("router",)

router = APIRouter(prefix="/v1/blueprints", route_class=GatedRoute, tags=["blueprints"])

Limit = Annotated[int, Query(ge=1, le=1000)]
Selector = Annotated[str, Query(min_length=1, max_length=128)]


@router.get("", **gated("blueprint.read"))
async def list_blueprints(
    host: Host,
    visitor: Bearer,
    limit: Limit = 50,
    after: Annotated[str | None, Query(max_length=128)] = None,
) -> BlueprintPage:
    """List the newest entry of each blueprint, by id."""
    async with visitor.act("blueprint.read"):
        found = [e for e in await host.blueprints.list() if after is None or e.blueprint > after]
    shown = [EntryView.of(entry) for entry in found[:limit]]
    return BlueprintPage(blueprints=shown, next=shown[-1].blueprint if len(found) > limit else None)


_ADDED = {201: {"description": "A new entry."}, 200: {"model": RegisteredView}}


@router.post("", status_code=201, **gated("blueprint.register", responses=_ADDED))
async def register_blueprint(
    sent: Registration, host: Host, visitor: Bearer, response: Response
) -> RegisteredView:
    """Add a version; one that is the newest already stays the only one (200)."""
    if (sent.document is None) == (sent.files is None):
        raise Refused("http.invalid", "body: expected one of 'document' and 'files'")
    async with visitor.act("blueprint.register") as passed:
        made = await _register(sent, host.blueprints, passed.decision.actor)
    response.status_code = 201 if made.is_new else 200
    return RegisteredView(entry=EntryView.of(made.entry), is_new=made.is_new)


async def _register(sent: Registration, kept: ServedBlueprints, author: str) -> Registered:
    about: dict[str, Any] = {
        "author": author,
        "reason": sent.reason,
        "bump": sent.bump,
        "label": sent.label,
        "expected": sent.expected,
    }
    if sent.document is not None:
        return await kept.register(sent.document, **about)
    files = sent.files or {}
    source = _source(files, sent.source)
    with tempfile.TemporaryDirectory(prefix="swarm-") as scratch:
        folder = Path(scratch) / "sent"
        await to_thread.run_sync(_written, files, folder)
        try:
            return await kept.register(str(folder / source), **about)
        except BlueprintInvalid as error:
            raise BlueprintInvalid([_moved(one, folder) for one in error.problems]) from error


def _source(files: Mapping[str, str], named: str | None) -> str:
    for path in files:
        parts = PurePosixPath(path).parts
        if path.startswith("/") or not parts or ".." in parts or "\0" in path or "\\" in path:
            raise Refused("version.path", f"files: expected paths below a folder, got {path!r}")
    scripts = [path for path in files if path.endswith(SUFFIXES)]
    source = named if named is not None else (scripts[0] if len(scripts) == 1 else None)
    if source is None or source not in files:
        said = "source: expected the name of one of 'files', got none that there is"
        raise Refused("http.invalid", said)
    return source


def _written(files: Mapping[str, str], folder: Path) -> None:
    folder.mkdir()
    for path, text in files.items():
        place = folder / path
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, "utf-8", newline="")
        except (OSError, UnicodeEncodeError) as error:
            said = f"files: expected paths and texts that can be written, got {path!r}"
            raise Refused("version.path", said) from error


def _moved(problem: Problem, folder: Path) -> Problem:
    """Tell a problem as the sender named the file: where it lay meanwhile is of no use."""
    file = problem.where.file.removeprefix(f"{folder}/")
    message = problem.message.replace(f"{folder}/", "")
    where = Place(file, problem.where.line)
    return Problem(problem.code, message, where, problem.at, problem.hint, problem.silence)


@router.get("/{blueprint}/log", **gated("blueprint.read"))
async def blueprint_log(
    blueprint: str,
    host: Host,
    visitor: Bearer,
    limit: Limit = 50,
    before: Annotated[int | None, Query(ge=1, le=1 << 31)] = None,
) -> EntryPage:
    """Tell the history of a blueprint, the newest entry first."""
    parse_blueprint_id(blueprint)
    async with visitor.act("blueprint.read"):
        found = await host.blueprints.log(blueprint, limit=limit, before=before)
    entries = [EntryView.of(entry) for entry in found]
    more = len(entries) == limit and entries[-1].number > 1
    return EntryPage(entries=entries, next=entries[-1].number if more else None)


@router.get("/{blueprint}/versions/{selector}", **gated("blueprint.read"))
async def show_version(blueprint: str, selector: str, host: Host, visitor: Bearer) -> VersionView:
    """Show a version: its document and its files."""
    async with visitor.act("blueprint.read"):
        entry = await host.blueprints.find(f"{blueprint}@{selector}")
        contents = await host.blueprints.read(f"{blueprint}@{entry.label}")
    return VersionView(
        entry=EntryView.of(entry),
        document=dict(contents.document),
        files={path: _text(file.body) for path, file in contents.files.items()},
        source=contents.source,
        generated=contents.generated,
    )


def _text(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


@router.get("/{blueprint}/diff", **gated("blueprint.read"))
async def diff_versions(
    blueprint: str, old: Selector, host: Host, visitor: Bearer, new: Selector = "latest"
) -> DiffView:
    """Compare two versions."""
    async with visitor.act("blueprint.read"):
        found = await host.blueprints.diff(f"{blueprint}@{old}", f"{blueprint}@{new}")
    flow = {name: list(lines) for name, lines in asdict(found.flow).items()}
    return DiffView(source=found.source, document=[dict(o) for o in found.document], flow=flow)


@router.get("/{blueprint}/tags", **gated("blueprint.read"))
async def list_tags(blueprint: str, host: Host, visitor: Bearer) -> TagList:
    """Tell what each tag points at."""
    parse_blueprint_id(blueprint)
    async with visitor.act("blueprint.read"):
        found = await host.blueprints.tags(blueprint)
    return TagList(tags={tag: EntryView.of(entry) for tag, entry in found.items()})


@router.put("/{blueprint}/tags/{tag}", **gated("blueprint.tag"))
async def put_tag(blueprint: str, tag: str, sent: Tag, host: Host, visitor: Bearer) -> EntryView:
    """Let a tag point at a version."""
    async with visitor.act("blueprint.tag"):
        entry = await host.blueprints.tag(f"{blueprint}@{sent.selector}", parse_tag(tag))
    return EntryView.of(entry)


@router.delete("/{blueprint}/tags/{tag}", status_code=204, **gated("blueprint.tag"))
async def remove_tag(blueprint: str, tag: str, host: Host, visitor: Bearer) -> None:
    """Remove a tag."""
    parse_blueprint_id(blueprint)
    async with visitor.act("blueprint.tag"):
        await host.blueprints.untag(blueprint, parse_tag(tag))


@router.post("/{blueprint}/rollback", **gated("blueprint.rollback"))
async def roll_back(blueprint: str, sent: Rollback, host: Host, visitor: Bearer) -> RegisteredView:
    """Put an older version at the head of the history again, as a new entry."""
    async with visitor.act("blueprint.rollback") as passed:
        made = await host.blueprints.rollback(
            f"{blueprint}@{sent.selector}", author=passed.decision.actor, reason=sent.reason
        )
    return RegisteredView(entry=EntryView.of(made.entry), is_new=made.is_new)
