"""`swarm enhance`: say what is wrong with a blueprint, and judge what becomes of it.

Where another process has the store open, such as `swarm serve`, that one is asked by letter.
"""

from __future__ import annotations

import getpass
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import click

from swarm.blueprint.selector import parse_blueprint_id
from swarm.cli.blueprints import function_option
from swarm.cli.exits import Exit, WrongUse, print_lines, print_result, print_rows, say
from swarm.cli.groups import Verbs
from swarm.cli.improving import enhancer_of
from swarm.cli.letters import done_or_written
from swarm.cli.project import find_project, import_functions
from swarm.cli.stores import IN_MEMORY, checked_store, chosen_store, opened_store, store_option
from swarm.core.run import ENDED
from swarm.enhance.proposals import cleaned
from swarm.host.enhance import Enhancer
from swarm.host.host import Host
from swarm.host.run import Run

__all__ = ("command",)

_REST_S = 0.02
# Between two letters that ask how an issue is.
_ASK_S = 0.3
_GOING_ON = ("pending", "in_flight")
_STATES = {"applied": Exit.OK, "canary": Exit.OK, "waiting": Exit.WAITING}

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
author_option = click.option("--author", envvar="SWARM_AUTHOR", help="Who says so; default: you.")


@click.group("enhance", cls=Verbs)
def command() -> None:
    """Improve blueprints: submit issues, look at them, approve or reject what waits."""


# -- here, or by letter --------------------------------------------------------------------


@asynccontextmanager
async def _opened(store: str, functions: tuple[str, ...] = ()) -> AsyncGenerator[Enhancer]:
    """Open a host with the loop's policy, proposer and cases as `[enhance]` of the project says."""
    project = find_project(None)
    host = opened_store(store, project.includes)
    project.equip(host)
    registered = import_functions(project, functions)
    for name, function in registered.items():
        host.function(name)(function)
    enhancer = enhancer_of(host, project, registered)
    async with host:
        yield enhancer


class _Asked(NamedTuple):
    """What came of it, as JSON; `by_letter`: another process did it."""

    value: Any
    by_letter: bool


async def _asked(
    store: str,
    letter: Mapping[str, Any],
    here: Callable[[Enhancer], Awaitable[Any]],
    functions: tuple[str, ...] = (),
) -> _Asked:
    """Do it here; where another process has the store, let that one do it."""
    found: list[Any] = []

    async def act() -> None:
        async with _opened(store, functions) as enhancer:
            found.append(await here(enhancer))

    receipt = await done_or_written(store, {"act": "enhance", **letter}, act)
    return _Asked(found[0], False) if receipt is None else _Asked(receipt["value"], True)


async def _shown(store: str, issue: str) -> _Asked:
    async def here(enhancer: Enhancer) -> Any:
        return (await enhancer.show(issue)).to_wire()

    return await _asked(store, {"do": "show", "issue": issue}, here)


async def _followed(store: str, asked: _Asked) -> Any:
    """Return an issue once whoever works on it has come to something."""
    while asked.by_letter and asked.value["state"] in _GOING_ON:
        await anyio.sleep(_ASK_S)
        asked = await _shown(store, asked.value["run"])
    return asked.value


async def _woken(enhancer: Enhancer, issue: str) -> None:
    """Go on with an issue that rests; one that has ended waits for nobody, and will be told so."""
    run = await enhancer.host.run(issue)
    if run.status not in ENDED:
        await enhancer.host.resume(issue)


async def _rested(enhancer: Enhancer, run: Run) -> Any:
    """Return an issue once it has ended, is tried, or waits for a person who has not answered."""
    while run.status in ("pending", "running", "waiting"):
        if run.status == "waiting" and await run.questions():
            break
        if (await enhancer.show(run.id)).state == "canary":
            break
        await anyio.sleep(_REST_S)
    return (await enhancer.show(run.id)).to_wire()


def _author(given: str | None) -> str:
    if given:
        return given
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


# -- commands ------------------------------------------------------------------------------


@command.command("submit")
@click.argument("blueprint")
@click.argument("intent")
@click.option("--example", "examples", multiple=True, help="What shows it; may be given again.")
@author_option
@function_option
@store_option
@json_option
def submit(
    blueprint: str,
    intent: str,
    examples: tuple[str, ...],
    author: str | None,
    functions: tuple[str, ...],
    store: str | None,
    as_json: bool,
) -> int:
    """Say what is wrong with BLUEPRINT, in words, and wait for what becomes of it.

    Exits with 0 where a version was committed or is tried, 3 where a person is asked, 1
    where it was rejected.
    """
    folder = chosen_store(store)
    if folder == IN_MEMORY:
        raise WrongUse("expected a folder that keeps versions, got one that forgets them")
    by = _author(author)

    async def here(enhancer: Enhancer) -> Any:
        run = await enhancer.submit(blueprint, intent, author=by, examples=examples)
        return await _rested(enhancer, run)

    async def main() -> Any:
        letter = {"do": "submit", "blueprint": blueprint, "intent": intent, "author": by,
                  "examples": [*examples]}  # fmt: skip
        return await _followed(folder, await _asked(folder, letter, here, functions))

    return _ended(anyio.run(main), as_json)


@command.command("list")
@click.argument("blueprint", required=False)
@store_option
@json_option
def list_(blueprint: str | None, store: str | None, as_json: bool) -> int:
    """List issues, the latest first; those of BLUEPRINT, if it is named."""

    async def here(enhancer: Enhancer) -> Any:
        return [view.to_wire() for view in await enhancer.issues(blueprint)]

    letter = {"do": "list", "blueprint": blueprint}
    views = anyio.run(_asked, checked_store(store), letter, here).value
    if not as_json:
        print_rows([_listed(view) for view in views])
        return Exit.OK
    for view in views:
        print_result(json.dumps(view, ensure_ascii=False))
    return Exit.OK


@command.command("show")
@click.argument("issue")
@store_option
@json_option
def show(issue: str, store: str | None, as_json: bool) -> int:
    """Show ISSUE as a review: what is computed, the verdicts, and what became of it."""
    _print(anyio.run(_shown, checked_store(store), issue).value, as_json)
    return Exit.OK


@command.command("approve")
@click.argument("issue")
@click.option("--token-file", type=click.Path(exists=True, dir_okay=False), help="A token.")
@author_option
@store_option
@json_option
def approve(
    issue: str, token_file: str | None, author: str | None, store: str | None, as_json: bool
) -> int:
    """Approve what ISSUE waits for: as the owner of the store, or with a token."""
    token = None if token_file is None else Path(token_file).read_text("utf-8").strip()
    folder, by = checked_store(store), _author(author)

    async def here(enhancer: Enhancer) -> Any:
        await _woken(enhancer, issue)
        return await _rested(enhancer, await enhancer.approve(issue, by=by, token=token))

    async def main() -> Any:
        letter = {"do": "approve", "issue": issue, "by": by, "token": token}
        return await _followed(folder, await _asked(folder, letter, here))

    return _ended(anyio.run(main), as_json)


@command.command("reject")
@click.argument("issue")
@click.option("--reason", default="", help="Why; the next proposer is told.")
@author_option
@store_option
def reject(issue: str, reason: str, author: str | None, store: str | None) -> int:
    """Refuse what ISSUE waits for."""
    folder, by = checked_store(store), _author(author)

    async def here(enhancer: Enhancer) -> Any:
        await _woken(enhancer, issue)
        return await _rested(enhancer, await enhancer.reject(issue, by=by, reason=reason))

    letter = {"do": "reject", "issue": issue, "by": by, "reason": reason}
    anyio.run(_asked, folder, letter, here)
    say(f"rejected {issue}")
    return Exit.OK


@command.command("freeze")
@click.argument("blueprint", required=False)
@click.option("--off", is_flag=True, help="Let it go on.")
@store_option
def freeze(blueprint: str | None, off: bool, store: str | None) -> int:
    """Stop the loop from committing anything, or any change of BLUEPRINT.

    It holds at once, for whoever runs a host there.
    """
    enhancer = Enhancer(Host(checked_store(store), resume="manual"))
    enhancer.freeze(not off, None if blueprint is None else parse_blueprint_id(blueprint))
    what = "the loop" if blueprint is None else f"the loop on {blueprint}"
    say(f"{what} goes on" if off else f"{what} is frozen — swarm enhance freeze --off")
    return Exit.OK


@command.command("log")
@click.argument("blueprint")
@store_option
@json_option
def log(blueprint: str, store: str | None, as_json: bool) -> int:
    """Print the versions of BLUEPRINT that the loop made, the newest first."""

    async def here(enhancer: Enhancer) -> Any:
        return await enhancer.log(blueprint)

    letter = {"do": "log", "blueprint": blueprint}
    for row in anyio.run(_asked, checked_store(store), letter, here).value:
        said = f"{blueprint}@{row['label']}  {row['author']}  {cleaned(row['reason'])}"
        print_result(json.dumps(row, ensure_ascii=False)) if as_json else print_lines(said)
    return Exit.OK


# -- as people read it ---------------------------------------------------------------------


def _ended(view: Mapping[str, Any], as_json: bool) -> int:
    _print(view, as_json)
    return _STATES.get(view["state"], Exit.FAILED)


def _print(view: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_result(json.dumps(view, ensure_ascii=False))
    else:
        print_lines(*_review(view))


def _listed(view: Mapping[str, Any]) -> tuple[str, ...]:
    issue = view["issue"]
    return view["run"], view["state"], issue["blueprint"], cleaned(issue["intent"])[:80]


def _review(view: Mapping[str, Any]) -> Iterator[str]:
    issue, review = view["issue"], view["decision"].get("review", {})
    yield f"{issue['blueprint']}: {view['state']}  ({view['run']})"
    yield f"  asked by {issue['author']}: {cleaned(issue['intent'])}"
    for operation in view["change"].get("ops", ()):
        yield f"  {json.dumps(operation, ensure_ascii=True)[:300]}"
    for title in ("flow", "gained", "lost"):
        for one in review.get(title, ()):
            yield f"  {title}: {cleaned(one)}"
    for verdict in view["verdicts"]:
        mark = "✓" if verdict["pass"] else "✗"
        yield f"  {mark} {verdict['axis']}: {cleaned('; '.join(verdict['evidence'])) or 'holds'}"
    for reason in view["outcome"].get("reasons", ()) or view["decision"].get("reasons", ()):
        yield f"  because {cleaned(reason)}"
    rationale = view["change"].get("rationale")
    if rationale:
        yield f"  its proposer says: {cleaned(rationale)}"
    if view["state"] == "applied":
        yield f"  committed as {issue['blueprint']}@{view['outcome']['label']}"
    if view["state"] == "canary":
        yield f"  tried as {issue['blueprint']}@{view['outcome']['label']} on a share of its runs"
    if view["state"] == "waiting":
        yield f"  swarm enhance approve {view['run']}"
