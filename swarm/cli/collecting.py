"""`swarm runs gc`: let go of runs that have ended."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import Any

import anyio
import click

from swarm.cli.amounts import amount
from swarm.cli.exits import Exit, WrongUse, print_result, say
from swarm.cli.letters import done_or_written
from swarm.cli.project import RetentionSettings, find_project
from swarm.cli.stores import checked_store, opened_store, store_option
from swarm.core.run import ENDED
from swarm.host.collection import Collected
from swarm.ports.journal import Forgotten

__all__ = ("gc", "seconds_of")

_AGE = re.compile(r"(\d{1,6})([smhdw])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@click.command("gc")
@click.option("--older-than", metavar="AGE", help="Only what ended that long ago: 90m, 12h, 30d.")
@click.option("--status", multiple=True, type=click.Choice(sorted(ENDED)), help="Only such ends.")
@click.option("--keep", type=click.IntRange(min=0), help="The latest so many of them stay.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@store_option
def gc(
    older_than: str | None,
    status: tuple[str, ...],
    keep: int | None,
    dry_run: bool,
    as_json: bool,
    store: str | None,
) -> int:
    """Remove runs that have ended, with all that only they hold.

    Without an option, `[retention]` of swarm.toml says what may go. What has not ended
    stays, and so does what another run holds; the file is not made smaller, its room is
    used again. Where another process has the store, that one does it.
    """
    chosen = _settings(older_than, status, keep)
    older_than_s = None if chosen.older_than is None else seconds_of(chosen.older_than)

    asked: dict[str, Any] = {
        "older_than_s": older_than_s,
        "status": chosen.status,
        "keep": chosen.keep,
    }
    folder = checked_store(store)
    found: list[Collected] = []

    async def here() -> None:
        async with opened_store(folder) as host:
            found.append(await host.gc(**asked, dry_run=dry_run))

    async def main() -> Collected:
        letter = {"act": "gc", **asked, "dry_run": dry_run}
        receipt = await done_or_written(folder, letter, here, long=True)
        if receipt is None:
            return found[0]
        return Collected(tuple(receipt["runs"]), Forgotten(**receipt["removed"]))

    collected = anyio.run(main)
    if as_json:
        whole = {"runs": collected.runs, "dry_run": dry_run, "removed": asdict(collected.forgotten)}
        print_result(json.dumps(whole))
        return Exit.OK
    for run_id in collected.runs:
        print_result(run_id)
    gone = collected.forgotten
    say(
        f"{'would remove' if dry_run else 'removed'} {amount(gone.runs, 'run')}, "
        f"{amount(gone.events, 'event')}, {amount(gone.blobs, 'blob')}: "
        f"{amount(gone.size_bytes, 'byte')}"
    )
    return Exit.OK


def _settings(
    older_than: str | None, status: tuple[str, ...], keep: int | None
) -> RetentionSettings:
    if older_than is None and not status and keep is None:
        found = find_project(None).retention
        if found is None:
            raise WrongUse(
                "expected --older-than, --status or --keep, or [retention] in swarm.toml, got none "
                "— --keep 0 lets go of all that have ended"
            )
        return found
    return RetentionSettings(older_than=older_than, status=list(status) or None, keep=keep or 0)


def seconds_of(text: str) -> float:
    """Read an age.

    >>> seconds_of("90m"), seconds_of("30d")
    (5400.0, 2592000.0)

    Raises: WrongUse.
    """
    found = _AGE.fullmatch(text)
    if found is None:
        raise WrongUse(f"expected an age such as 90m, 12h or 30d, got {text!r}")
    return float(int(found[1]) * _UNITS[found[2]])
