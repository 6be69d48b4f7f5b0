"""`swarm enhance`: say what is wrong with a blueprint, and judge what becomes of it."""

from __future__ import annotations

import getpass
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import click

from swarm.cli.blueprints import function_option
from swarm.cli.exits import Exit, WrongUse, print_lines, print_result, say
from swarm.cli.project import Project, find_project, import_functions
from swarm.cli.stores import IN_MEMORY, checked_store, chosen_store, opened_store, store_option
from swarm.enhance.proposals import cleaned
from swarm.enhance.rules import propose as propose_by_rules
from swarm.host.enhance import Enhancer, IssueView
from swarm.host.host import Host
from swarm.host.run import Run
from swarm.testing.cases import suite_cases

__all__ = ("command",)

_REST_S = 0.02
_STATES = {"applied": Exit.OK, "canary": Exit.OK, "waiting": Exit.WAITING}

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
author_option = click.option("--author", envvar="SWARM_AUTHOR", help="Who says so; default: you.")


@click.group("enhance")
def command() -> None:
    """Improve blueprints: submit issues, look at them, approve or reject what waits."""


# -- what is put together ------------------------------------------------------------------


@asynccontextmanager
async def _opened(store: str, functions: tuple[str, ...] = ()) -> AsyncGenerator[Enhancer]:
    """Open a host with the loop's policy, proposer and cases as `[enhance]` of the project says."""
    project = find_project(None)
    host = opened_store(store, project.includes)
    project.equip(host)
    registered = import_functions(project, functions)
    for name, function in registered.items():
        host.function(name)(function)
    enhancer = _enhancer(host, project, registered)
    async with host:
        yield enhancer


def _enhancer(host: Host, project: Project, functions: Any) -> Enhancer:
    settings = dict(project.enhance)
    suites = settings.pop("cases", {})
    proposer = settings.pop("proposer", None)
    loop = settings.pop("loop", None)
    if not isinstance(suites, dict) or not all(isinstance(x, str) for x in suites.values()):
        raise WrongUse(f"swarm.toml: enhance.cases: expected test scripts by id, got {suites!r}")
    if proposer is not None and proposer not in functions:
        raise WrongUse(f"swarm.toml: enhance.proposer: expected a function, got {proposer!r}")
    paths = {str(name): project.folder / path for name, path in suites.items()}
    return Enhancer(
        host,
        settings,
        proposer=propose_by_rules if proposer is None else functions[proposer],
        cases=suite_cases(paths, includes=project.includes) if paths else None,
        loop=None if loop is None else project.folder / loop,
    )


def _author(given: str | None) -> str:
    if given:
        return given
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


async def _rested(enhancer: Enhancer, run: Run) -> IssueView:
    """Return an issue once it has ended, is tried, or waits for a person who has not answered."""
    while run.status in ("pending", "running", "waiting"):
        if run.status == "waiting" and await run.questions():
            break
        if (await enhancer.show(run.id)).state == "canary":
            break
        await anyio.sleep(_REST_S)
    return await enhancer.show(run.id)


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

    Exits with 0 where a version was committed, 3 where a person is asked, 1 where it was
    rejected.
    """
    folder = chosen_store(store)
    if folder == IN_MEMORY:
        raise WrongUse("expected a folder that keeps versions, got one that forgets them")

    async def main() -> IssueView:
        async with _opened(folder, functions) as enhancer:
            run = await enhancer.submit(
                blueprint, intent, author=_author(author), examples=examples
            )
            return await _rested(enhancer, run)

    return _ended(anyio.run(main), as_json)


@command.command("list")
@click.argument("blueprint", required=False)
@store_option
@json_option
def list_(blueprint: str | None, store: str | None, as_json: bool) -> int:
    """List issues, the latest first; those of BLUEPRINT, if it is named."""

    async def main() -> list[IssueView]:
        async with _opened(checked_store(store)) as enhancer:
            return await enhancer.issues(blueprint)

    for view in anyio.run(main):
        wire = json.dumps(view.to_wire(), ensure_ascii=False)
        print_result(wire) if as_json else print_lines(_line(view))
    return Exit.OK


@command.command("show")
@click.argument("issue")
@store_option
@json_option
def show(issue: str, store: str | None, as_json: bool) -> int:
    """Show ISSUE as a review: what is computed, the verdicts, and what became of it."""

    async def main() -> IssueView:
        async with _opened(checked_store(store)) as enhancer:
            return await enhancer.show(issue)

    _print(anyio.run(main), as_json)
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

    async def main() -> IssueView:
        async with _opened(checked_store(store)) as enhancer:
            await enhancer.host.resume(issue)
            run = await enhancer.approve(issue, by=_author(author), token=token)
            return await _rested(enhancer, run)

    return _ended(anyio.run(main), as_json)


@command.command("reject")
@click.argument("issue")
@click.option("--reason", default="", help="Why; the next proposer is told.")
@author_option
@store_option
def reject(issue: str, reason: str, author: str | None, store: str | None) -> int:
    """Refuse what ISSUE waits for."""

    async def main() -> None:
        async with _opened(checked_store(store)) as enhancer:
            await enhancer.host.resume(issue)
            run = await enhancer.reject(issue, by=_author(author), reason=reason)
            await _rested(enhancer, run)

    anyio.run(main)
    say(f"rejected {issue}")
    return Exit.OK


@command.command("freeze")
@click.option("--off", is_flag=True, help="Let it go on.")
@store_option
def freeze(off: bool, store: str | None) -> int:
    """Stop the loop from committing anything, beside whoever runs a host there."""
    enhancer = Enhancer(Host(checked_store(store), resume="manual"))
    enhancer.freeze(not off)
    say("the loop goes on" if off else "the loop is frozen — swarm enhance freeze --off")
    return Exit.OK


@command.command("log")
@click.argument("blueprint")
@store_option
@json_option
def log(blueprint: str, store: str | None, as_json: bool) -> int:
    """Print the versions of BLUEPRINT that the loop made, the newest first."""

    async def main() -> list[dict[str, Any]]:
        async with _opened(checked_store(store)) as enhancer:
            return await enhancer.log(blueprint)

    for row in anyio.run(main):
        said = f"{blueprint}@{row['label']}  {row['author']}  {cleaned(row['reason'])}"
        print_result(json.dumps(row, ensure_ascii=False)) if as_json else print_lines(said)
    return Exit.OK


# -- as people read it ---------------------------------------------------------------------


def _ended(view: IssueView, as_json: bool) -> int:
    _print(view, as_json)
    return _STATES.get(view.state, Exit.FAILED)


def _print(view: IssueView, as_json: bool) -> None:
    if as_json:
        print_result(json.dumps(view.to_wire(), ensure_ascii=False))
    else:
        print_lines(*_review(view))


def _line(view: IssueView) -> str:
    issue = view.issue
    return f"{view.run}  {view.state}  {issue['blueprint']}  {cleaned(issue['intent'])[:80]}"


def _review(view: IssueView) -> Iterator[str]:
    issue, review = view.issue, view.decision.get("review", {})
    yield f"{issue['blueprint']}: {view.state}  ({view.run})"
    yield f"  asked by {issue['author']}: {cleaned(issue['intent'])}"
    for operation in view.change.get("ops", ()):
        yield f"  {json.dumps(operation, ensure_ascii=True)[:300]}"
    for title in ("flow", "gained", "lost"):
        for one in review.get(title, ()):
            yield f"  {title}: {cleaned(one)}"
    for verdict in view.verdicts:
        mark = "✓" if verdict["pass"] else "✗"
        yield f"  {mark} {verdict['axis']}: {cleaned('; '.join(verdict['evidence'])) or 'holds'}"
    for reason in view.outcome.get("reasons", ()) or view.decision.get("reasons", ()):
        yield f"  because {cleaned(reason)}"
    rationale = view.change.get("rationale")
    if rationale:
        yield f"  its proposer says: {cleaned(rationale)}"
    if view.state == "applied":
        yield f"  committed as {issue['blueprint']}@{view.outcome['label']}"
    if view.state == "canary":
        yield f"  tried as {issue['blueprint']}@{view.outcome['label']} on a share of its runs"
    if view.state == "waiting":
        yield f"  swarm enhance approve {view.run}"
