"""`swarm test`: the cases beside blueprints, with scripted agents and no clock."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import anyio
import click

from flowir.records import dataclass
from swarm.cli.exits import Exit, WrongUse, print_lines, print_result, say
from swarm.cli.project import find_project
from swarm.cli.testing_replay import replay
from swarm.cli.testing_report import as_json, as_lines, covered
from swarm.cli.testing_watch import changes
from swarm.lua.choice import ChosenScripts
from swarm.testing.runner import SUFFIX, SuiteResult, find_tests, run_suite

__all__ = ("command",)


@dataclass(frozen=True, slots=True)
class _Order:
    """Which tests, and how."""

    paths: tuple[str, ...]
    filters: tuple[str, ...]
    update: bool
    json: bool
    fail_under: float | None


@click.command("test")
@click.argument("paths", metavar="[PATH]…", nargs=-1)
@click.option(
    "--filter",
    "filters",
    metavar="TEXT",
    multiple=True,
    help="Only the cases with this in their name; may be given again.",
)
@click.option("--update", is_flag=True, help="Write the golden logs that differ.")
@click.option("--watch", is_flag=True, help="Run again whenever a file changes, until Ctrl-C.")
@click.option("--replay", "recording", metavar="FILE", help="Hold PATH against a recorded run.")
@click.option(
    "--fail-under",
    metavar="PERCENT",
    type=click.FloatRange(0, 100),
    help="Fail where fewer nodes and ways of a blueprint are covered.",
)
@click.option("--json", "json_", is_flag=True, help="Print one object.")
def command(
    paths: tuple[str, ...],
    filters: tuple[str, ...],
    update: bool,
    watch: bool,
    recording: str | None,
    fail_under: float | None,
    json_: bool,
) -> int:
    """Run the tests of PATH: scripts `*_test.lua`, folders of them, or a blueprint's own.

    Without PATH, all below the working directory. Prints what did not pass, and which
    nodes and ways of the blueprints were never taken. Exits with 0, 1 where a case did not
    pass, 2 where a test has mistakes.

    With --replay, PATH is a blueprint, which is given the answers of a recorded run; the
    first departure from it is told, and exits with 1.
    """
    if recording is not None:
        if len(paths) > 1 or filters or update or watch or fail_under is not None:
            raise WrongUse("--replay: expected at most one blueprint, and no other option")
        return anyio.run(replay, recording, paths[0] if paths else None, json_)
    order = _Order(paths or (".",), filters, update, json_, fail_under)
    if watch:
        return anyio.run(_again_and_again, order)
    return anyio.run(_once, order)


async def _once(order: _Order) -> Exit:
    results = await _results(order)
    if order.json:
        print_result(json.dumps(as_json(results), ensure_ascii=False))
    else:
        print_lines(*as_lines(results))
    return _exit(order, results)


async def _again_and_again(order: _Order) -> Exit:
    await _once(order)
    async for _ in changes([Path(path) for path in order.paths]):
        say("")
        try:
            await _once(order)
        except click.ClickException as error:
            error.show()
    return Exit.OK


async def _results(order: _Order) -> list[SuiteResult]:
    files = _files(order.paths)
    _tell_of_layers(files)
    scripts = ChosenScripts()
    try:
        results = [
            await run_suite(
                str(file),
                scripts,
                includes=_includes(file),
                chosen=lambda name: _chosen(name, order.filters),
                update=order.update,
            )
            for file in files
        ]
    finally:
        await scripts.aclose()
    if order.filters and not any(one.cases or one.mistakes for one in results):
        raise WrongUse(f"--filter: expected a part of a case's name, got {order.filters[0]!r}")
    return results


def _tell_of_layers(files: list[Path]) -> None:
    """Say of layers that stand around an agent in a run, and not in a test."""
    projects = {project.folder: project for project in map(find_project, files)}
    for folder, project in projects.items():
        if project.layers:
            named = ", ".join(str(layer["use"]) for layer in project.layers)
            say(f"{folder / 'swarm.toml'}: its layers do not stand around tests: {named}")


def _includes(file: Path) -> Mapping[str, Path]:
    return find_project(file).includes


def _files(paths: tuple[str, ...]) -> list[Path]:
    files: list[Path] = []
    for name in paths:
        path = Path(name)
        if not path.exists():
            raise WrongUse(
                f"{name}: expected a test script, a blueprint or a folder, found nothing"
            )
        found = find_tests(path)
        if not found:
            wanted = f"{path.stem}{SUFFIX} beside it" if path.is_file() else f"a file *{SUFFIX}"
            raise WrongUse(f"{name}: expected {wanted}, found none")
        files += (file for file in found if file not in files)
    return files


def _chosen(name: str, filters: tuple[str, ...]) -> bool:
    return not filters or any(one.casefold() in name.casefold() for one in filters)


def _exit(order: _Order, results: list[SuiteResult]) -> Exit:
    if any(one.mistakes for one in results):
        return Exit.WRONG
    if any(case.verdict != "passed" for one in results for case in one.cases):
        return Exit.FAILED
    least = order.fail_under
    if least is not None:
        for file, coverage in covered(results).items():
            if coverage.percent < least:
                say(f"{file}: expected {least:g} % covered, got {coverage.percent:.1f} %")
                return Exit.FAILED
    return Exit.OK
