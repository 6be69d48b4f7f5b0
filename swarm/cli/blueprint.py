"""`swarm blueprint`: the versions of blueprints in the store."""

from __future__ import annotations

import getpass
import json
import textwrap
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import anyio
import click

from swarm.blueprint.difference import Difference
from swarm.blueprint.selector import parse_selector, parse_tag
from swarm.cli.amounts import amount
from swarm.cli.blueprints import InvalidBlueprint, opened_blueprints
from swarm.cli.exits import Exit, WrongUse, print_lines, print_result, say
from swarm.cli.groups import Verbs
from swarm.cli.inputs import read_value
from swarm.cli.stores import IN_MEMORY, chosen_store, missing_store, store_option
from swarm.compiler.source import read_source
from swarm.errors import BlueprintInvalid, Refused
from swarm.host.blueprints import Blueprints, Registered
from swarm.ports.versions import Draft, Entry

__all__ = ("command",)

_T = TypeVar("_T")
_VIEWS: Final = ("source", "document", "flow")
_WIDTH: Final = 80
# Of a conflict: how many entries that came between are told, and which views of them.
_BETWEEN: Final = 100
_TOLD: Final = ("flow", "source")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
author_option = click.option("--author", envvar="SWARM_AUTHOR", help="Who does it; default: you.")
reason_option = click.option("--reason", "-m", default="", help="Why, for the history.")
bump_option = click.option(
    "--bump",
    type=click.Choice(["major", "minor", "patch"]),
    default="patch",
    show_default=True,
    help="Which number of the label is raised.",
)


@click.group("blueprint", cls=Verbs)
def command() -> None:
    """Keep versions of blueprints: register, find, compare, tag, go back."""


def _acted(store: str | None, act: Callable[[Blueprints], Awaitable[_T]]) -> _T:
    """Do something with the versions of a store, without a host, beside whoever runs one."""
    folder = chosen_store(store)
    if folder == IN_MEMORY:
        raise WrongUse("expected a folder that keeps versions, got one that forgets them")

    async def main() -> _T:
        async with opened_blueprints(folder) as kept:
            return await act(kept)

    return anyio.run(main)


def _kept(store: str | None) -> str:
    """Return the folder of a store that is there: of nothing, nothing is damaged.

    Raises: Refused (store.missing).
    """
    folder = chosen_store(store)
    if folder != IN_MEMORY and not Path(folder).is_dir():
        raise missing_store(folder)
    return folder


def _looked(store: str | None, act: Callable[[Blueprints], Awaitable[_T]]) -> _T:
    """Look at the versions of a store: one that was named has to be there.

    Where none was named, nothing was registered yet: that is no mistake.
    Raises: Refused (store.missing).
    """
    return _acted(store if store is None else _kept(store), act)


def _author(given: str | None) -> str:
    if given:
        return given
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


# -- writing -----------------------------------------------------------------------------


@command.command("register")
@click.argument("blueprint", metavar="FILE")
@bump_option
@click.option("--label", help="The label itself, such as 2.0.0.")
@click.option(
    "--expect", metavar="SELECTOR", help="Write only if this is the newest: 1.2.3, a tag, a hash."
)
@click.option("--tag", "tags", multiple=True, help="Let this tag point at it.")
@click.option("--draft", is_flag=True, help="Put it aside, problems and all, as a draft.")
@author_option
@reason_option
@store_option
@json_option
def register(blueprint: str, store: str | None, draft: bool, as_json: bool, **given: Any) -> int:
    """Compile FILE and put it into the store as the newest version of its blueprint."""
    try:
        read_source(blueprint)  # before a store is made for it
    except BlueprintInvalid as e:
        raise InvalidBlueprint(e.problems) from None
    author = _author(given["author"])
    if draft:
        _check_draft(given)
        put_aside = _acted(
            store, lambda kept: kept.put_aside(blueprint, author=author, reason=given["reason"])
        )
        _print_put_aside(put_aside, as_json)
        return Exit.OK
    for tag in given["tags"]:
        parse_tag(tag)

    async def put(kept: Blueprints) -> Registered:
        try:
            found = await kept.register(
                blueprint,
                author=author,
                reason=given["reason"],
                bump=given["bump"],
                label=given["label"],
                expected=given["expect"],
            )
        except Refused as error:
            await _tell_conflict(kept, error)
            raise
        for tag in given["tags"]:
            await kept.tag(f"{found.entry.blueprint}@{found.entry.label}", tag)
        return found

    _print_registered(_acted(store, put), as_json)
    return Exit.OK


def _check_draft(given: Mapping[str, Any]) -> None:
    """Refuse what a draft cannot have.

    Raises: WrongUse.
    """
    said = [f"--{name.rstrip('s')}" for name in ("label", "tags", "expect") if given[name]]
    if said:
        wanted = "expected --draft alone: a draft has no label, no tag and no place in the history"
        raise WrongUse(f"{wanted}, got it with {', '.join(said)}")


def _print_put_aside(draft: Draft, as_json: bool) -> None:
    if as_json:
        print_result(json.dumps({"draft": draft.blueprint, "problems": list(draft.problems)}))
    else:
        found = amount(len(draft.problems), "problem")
        say(f"put aside as the draft of {draft.blueprint}, with {found}")


async def _tell_conflict(kept: Blueprints, error: Refused) -> None:
    """Say what came between, and what it changed."""
    head = error.values.get("head")
    if error.code != "version.conflict" or head is None:
        return
    log = await kept.log(head.blueprint, limit=_BETWEEN)
    commits = [entry.commit for entry in log]
    if error.values["expected"] not in commits:
        return
    begun = commits.index(error.values["expected"])
    for entry in log[:begun]:
        say(_line(entry))
    old = f"{head.blueprint}@{log[begun].label}"
    for line in _drawn(await kept.diff(old, f"{head.blueprint}@{log[0].label}"), _TOLD):
        say(line)


@command.command("patch")
@click.argument("selector")
@click.argument("patch", metavar="JSON|@FILE|-")
@bump_option
@author_option
@reason_option
@store_option
@json_option
def patch(selector: str, patch: str, store: str | None, as_json: bool, **given: Any) -> int:
    """Change the newest version by RFC 6902 operations; its source is printed anew."""
    operations = read_value(patch, "PATCH")

    async def act(kept: Blueprints) -> Registered:
        return await kept.patch(
            selector,
            operations,
            author=_author(given["author"]),
            reason=given["reason"],
            bump=given["bump"],
        )

    _print_registered(_acted(store, act), as_json)
    return Exit.OK


@command.command("rollback")
@click.argument("selector")
@author_option
@reason_option
@store_option
@json_option
def rollback(selector: str, store: str | None, as_json: bool, **given: Any) -> int:
    """Make an older version the newest again, as a new entry of the history."""
    author, reason = _author(given["author"]), given["reason"]

    async def act(kept: Blueprints) -> Registered:
        return await kept.rollback(selector, author=author, reason=reason)

    _print_registered(_acted(store, act), as_json)
    return Exit.OK


@command.command("tag")
@click.argument("selector")
@click.argument("tag", required=False)
@click.option("--delete", is_flag=True, help="Remove the tag.")
@store_option
@json_option
def tag(selector: str, tag: str | None, delete: bool, store: str | None, as_json: bool) -> int:
    """Let TAG point at a version, or list the tags of a blueprint."""
    if delete and tag is None:
        raise WrongUse("expected the tag to remove, got none")

    async def act(kept: Blueprints) -> dict[str, Entry]:
        if tag is not None and delete:
            await kept.untag(selector, tag)
            return {}
        if tag is not None:
            return {tag: await kept.tag(selector, tag)}
        return dict(await kept.tags(parse_selector(selector).blueprint))

    for name, entry in _acted(store, act).items():
        print_result(
            json.dumps({"tag": name, **_as_json(entry)}) if as_json else f"{name}  {_line(entry)}"
        )
    return Exit.OK


# -- looking -----------------------------------------------------------------------------


@command.command("list")
@store_option
@json_option
def list_(store: str | None, as_json: bool) -> int:
    """List the blueprints of the store, each with its newest version."""
    for entry in _looked(store, lambda kept: kept.list()):
        _print_entry(entry, as_json)
    return Exit.OK


@command.command("log")
@click.argument("blueprint")
@click.option("-n", "limit", default=20, show_default=True, type=click.IntRange(1))
@store_option
@json_option
def log(blueprint: str, limit: int, store: str | None, as_json: bool) -> int:
    """Show the history of BLUEPRINT, the newest first."""
    for entry in _looked(store, lambda kept: kept.log(blueprint, limit=limit)):
        _print_entry(entry, as_json)
    return Exit.OK


@command.command("show")
@click.argument("selector")
@click.option("--document", is_flag=True, help="The canonical document instead of the source.")
@click.option("--draft", is_flag=True, help="What was put aside for the blueprint.")
@store_option
@json_option
def show(selector: str, document: bool, draft: bool, store: str | None, as_json: bool) -> int:
    """Show a version: what is said of it, and its source."""
    if draft:
        return _show_draft(selector, store, as_json)

    async def act(kept: Blueprints) -> tuple[Entry, Any]:
        return await kept.find(selector), await kept.read(selector)

    entry, contents = _looked(store, act)
    if as_json:
        whole = {**_as_json(entry), "document": contents.document, "files": sorted(contents.files)}
        print_result(json.dumps(whole, ensure_ascii=False))
    elif document:
        print_result(json.dumps(contents.document, indent=2, ensure_ascii=False))
    else:
        say(_line(entry))
        for path in sorted(contents.files):
            say(f"  {path}")
        print_result(contents.files[contents.source].body.decode().rstrip("\n"))
    return Exit.OK


def _show_draft(blueprint: str, store: str | None, as_json: bool) -> int:
    draft = _looked(store, lambda kept: kept.draft(blueprint))
    if draft is None:
        raise WrongUse(f"expected a blueprint that has a draft, got {blueprint!r}")
    if as_json:
        said = {"blueprint": blueprint, "author": draft.note.author, "reason": draft.note.reason}
        whole = {**said, "problems": list(draft.problems), "files": sorted(draft.files)}
        print_result(json.dumps(whole, ensure_ascii=False))
        return Exit.OK
    for problem in draft.problems:
        say(problem)
    print_result(draft.files[draft.source].body.decode("utf-8", "replace").rstrip("\n"))
    return Exit.OK


@command.command("diff")
@click.argument("old")
@click.argument("new", required=False)
@click.option("--view", "views", multiple=True, type=click.Choice(_VIEWS), help="Default: all.")
@store_option
@json_option
def diff(
    old: str, new: str | None, views: tuple[str, ...], store: str | None, as_json: bool
) -> int:
    """Compare two versions: their sources, their documents (RFC 6902), their flows.

    NEW is the newest version of the same blueprint where it is left out.
    """
    newer = new or parse_selector(old).blueprint
    found = _looked(store, lambda kept: kept.diff(old, newer))
    if as_json:
        print_result(json.dumps(_difference_json(found), ensure_ascii=False))
        return Exit.OK
    for line in _drawn(found, views or _VIEWS):
        print_result(line)
    return Exit.OK


def _drawn(found: Difference, views: Sequence[str]) -> list[str]:
    lines: list[str] = []
    if "source" in views and found.source:
        lines += found.source.splitlines()
    if "document" in views:
        lines += [json.dumps(one, ensure_ascii=False) for one in found.document]
    if "flow" in views:
        flow = found.flow
        parts = (
            ("added", flow.added),
            ("removed", flow.removed),
            ("moved", flow.moved),
            ("changed", flow.changed),
            ("agent", flow.agents),
            ("power gained", flow.gained),
            ("power lost", flow.lost),
        )
        lines += [f"{name}: {line}" for name, told in parts for line in told]
    return lines


def _difference_json(found: Difference) -> dict[str, Any]:
    flow = found.flow
    members = ("added", "removed", "moved", "changed", "agents", "gained", "lost")
    return {
        "source": found.source,
        "document": list(found.document),
        "flow": {name: list(getattr(flow, name)) for name in members},
    }


# -- keeping -----------------------------------------------------------------------------


@command.command("export")
@click.argument("selector")
@click.argument("folder")
@store_option
def export(selector: str, folder: str, store: str | None) -> int:
    """Write the author's files of a version into FOLDER, which is new or empty."""
    print_result(str(_looked(store, lambda kept: kept.export(selector, folder))))
    return Exit.OK


@command.command("import")
@click.argument("folder")
@bump_option
@click.option("--label", help="The label itself, such as 2.0.0.")
@author_option
@reason_option
@store_option
@json_option
def import_(folder: str, store: str | None, as_json: bool, **given: Any) -> int:
    """Register what `export` wrote: the one blueprint file at the top of FOLDER."""
    if not Path(folder).is_dir():
        raise WrongUse(f"{folder}: expected a folder that `export` wrote, found none")
    names = ("blueprint.lua", "source.json", "blueprint.yaml", "blueprint.yml")
    found = [name for name in names if (Path(folder) / name).is_file()]
    if len(found) != 1:
        raise WrongUse(f"{folder}: expected one of {', '.join(names)}, got {len(found)} of them")
    source = Path(folder) / found[0]
    if source.is_symlink():
        # Whoever made the folder says what it leads to, and whoever imports it may read that.
        raise WrongUse(f"{source}: expected a file of the folder, got a link")

    async def act(kept: Blueprints) -> Registered:
        return await kept.register(
            str(source),
            author=_author(given["author"]),
            reason=given["reason"],
            bump=given["bump"],
            label=given["label"],
        )

    _print_registered(_acted(store, act), as_json)
    return Exit.OK


@command.command("verify")
@click.option("--repair", is_flag=True, help="Mend what can be mended.")
@store_option
@json_option
def verify(repair: bool, store: str | None, as_json: bool) -> int:
    """Look at every version of the store; exit with 1 where something is damaged."""
    faults = _acted(_kept(store), lambda kept: kept.verify(repair=repair))
    for fault in faults:
        whole = {"blueprint": fault.blueprint, "message": fault.message, **fault.values}
        if as_json:
            print_result(json.dumps(whole))
        else:
            print_lines(f"{fault.blueprint}: {fault.message}")
    return Exit.FAILED if faults else Exit.OK


@command.command("gc")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@store_option
@json_option
def gc(dry_run: bool, store: str | None, as_json: bool) -> int:
    """Remove what no version, tag or draft needs, and pack the rest."""
    freed = _acted(_kept(store), lambda kept: kept.collect(dry_run=dry_run))
    if as_json:
        print_result(json.dumps({"dry_run": dry_run, "freed_bytes": freed}))
        return Exit.OK
    say(f"{'would free' if dry_run else 'freed'} {amount(freed, 'byte')}")
    return Exit.OK


# -- how it looks ------------------------------------------------------------------------


def _print_registered(found: Registered, as_json: bool) -> None:
    if as_json:
        print_result(json.dumps({**_as_json(found.entry), "is_new": found.is_new}))
        return
    print_result(f"{found.entry.blueprint}@{found.entry.label}")
    if not found.is_new:
        say("that is what the newest version says already")


def _print_entry(entry: Entry, as_json: bool) -> None:
    if as_json:
        print_result(json.dumps(_as_json(entry)))
    else:
        print_lines(_line(entry))


def _line(entry: Entry) -> str:
    """Say what stands in the history: a line, with the reason below where it would be too long."""
    when = datetime.fromtimestamp(entry.note.written_s, UTC).strftime("%Y-%m-%d %H:%M")
    back = f" (back to {entry.back_to})" if entry.back_to else ""
    name = f"{entry.blueprint}@{entry.label}"
    head = f"{name}  {entry.digest[:10]}  {when}  {entry.note.author}{back}"
    why = entry.note.reason
    if len(head) + len(why) + 2 <= _WIDTH and "\n" not in why:
        return f"{head}  {why}".rstrip()
    indent = "    "
    below = textwrap.wrap(why, _WIDTH, initial_indent=indent, subsequent_indent=indent)
    return "\n".join([head, *below])


def _as_json(entry: Entry) -> dict[str, Any]:
    return {
        "blueprint": entry.blueprint,
        "number": entry.number,
        "label": entry.label,
        "digest": entry.digest,
        "commit": entry.commit,
        "author": entry.note.author,
        "reason": entry.note.reason,
        "written_s": entry.note.written_s,
        "back_to": entry.back_to,
    }
