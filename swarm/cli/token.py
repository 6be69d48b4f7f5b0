"""`swarm token`: mint, look at, narrow and revoke tokens; the table of who may do what.

A token is read from a file or from stdin and printed by `mint` and `narrow` alone: it never
stands in an argument, where other users of the machine could see it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import click

from swarm.cli.exits import Exit, WrongUse, print_lines, print_result, print_rows, say
from swarm.cli.groups import Verbs
from swarm.cli.letters import done_or_written
from swarm.cli.stores import IN_MEMORY, chosen_store, opened_store, store_option
from swarm.core.capability.chain import fingerprint
from swarm.core.capability.claims import MAX_TOKEN, Claims
from swarm.core.capability.grant import Caveat
from swarm.core.capability.mint import Order, mark_of, mint, narrow, read
from swarm.core.capability.verbs import ROLES, TABLE, VERBS, table_rows
from swarm.stores.keyfile import KEY_FILE, KeyFile

__all__ = ("command",)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
file_option = click.option(
    "--token-file",
    metavar="FILE",
    help="Where the token is; '-', or none at all: on stdin.",
)


class _TakesToken(click.Command):
    """A command that never repeats a token that was given as a word of the command line."""

    allow_extra_args = True

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse words beside the options; '-' is stdin, as everywhere.

        Raises: WrongUse.
        """
        words = super().parse_args(ctx, args)
        if words not in ([], ["-"]):
            raise WrongUse(
                f"token {self.name}: expected the token on stdin or in --token-file FILE, got "
                "words on the command line, which others of this machine can see"
            )
        return words


@click.group("token", cls=Verbs)
def command() -> None:
    """Mint, inspect, narrow, revoke tokens; rotate the signing key; print the table."""


@command.command("verbs")
@json_option
def verbs(as_json: bool) -> int:
    """Print the table of roles and verbs."""
    if as_json:
        whole = {
            "verbs": dict(VERBS),
            "roles": {role: [v for v in VERBS if v in TABLE[role]] for role in ROLES},
        }
        print_result(json.dumps(whole))
        return Exit.OK
    print_rows(table_rows())
    return Exit.OK


@command.command("mint")
@click.argument("subject")
@click.option("--role", required=True, metavar="ROLE", help=f"One of {', '.join(ROLES)}.")
@click.option("--verb", "verbs", multiple=True, help="Only these; default: all of the role.")
@click.option("--run", metavar="ID", help="Good for this run alone.")
@click.option("--step", metavar="KEY", help="Good for this step of the run alone.")
@click.option("--attempt", type=int, help="Good for this attempt of the step alone.")
@click.option("--ttl", "ttl_s", type=int, metavar="SECONDS", help="How long it lives.")
@click.option("--uses", type=int, help="How often it is good; default: any number of times.")
@click.option("--depth", type=int, help="How often it may be handed on; default: not at all.")
@store_option
def mint_(
    subject: str,
    role: str,
    verbs: tuple[str, ...],
    run: str | None,
    step: str | None,
    attempt: int | None,
    ttl_s: int | None,
    uses: int | None,
    depth: int | None,
    store: str | None,
) -> int:
    """Print a new token for SUBJECT, signed with the store's key.

    Whoever can read the store's keys may do this; a host may be running meanwhile.
    """
    order = Order(subject, role, verbs or None, run, step, attempt, ttl_s, uses, depth)
    print_result(mint(_keys(store).keyring(), order, time.time()))
    return Exit.OK


@command.command("inspect", cls=_TakesToken)
@file_option
@json_option
def inspect(token_file: str | None, as_json: bool) -> int:
    """Say what a token says. No key is needed, and none is asked whether it holds."""
    token = _token(token_file)
    kid, claims, caveats = read(token)
    said = {
        "fingerprint": fingerprint(claims.jti),
        "kid": kid,
        **_claimed(claims),
        "caveats": [json.loads(caveat) for caveat in caveats],
    }
    if as_json:
        print_result(json.dumps(said))
        return Exit.OK
    for name, value in said.items():
        shown = f"{value}  {_moment(value)}" if name in ("iat", "nbf", "exp") else value
        print_lines(f"{name:<12} {_spoken(shown)}", hang=13)
    return Exit.OK


@command.command("narrow", cls=_TakesToken)
@file_option
@click.option("--verb", "verbs", multiple=True, help="Only these of its verbs.")
@click.option("--run", metavar="ID", help="Only this run.")
@click.option("--step", metavar="KEY", help="Only this step.")
@click.option("--attempt", type=int, help="Only this attempt.")
@click.option("--ttl", "ttl_s", type=int, metavar="SECONDS", help="From now on, at most.")
@click.option("--uses", type=int, help="At most so many more uses.")
@click.option("--depth", type=int, help="Handed on at most so often.")
def narrow_(
    token_file: str | None,
    verbs: tuple[str, ...],
    run: str | None,
    step: str | None,
    attempt: int | None,
    ttl_s: int | None,
    uses: int | None,
    depth: int | None,
) -> int:
    """Print the token with less. No key is needed."""
    wanted = frozenset(verbs) if verbs else None
    ends_s = None if ttl_s is None else int(time.time()) + ttl_s
    caveat = Caveat(wanted, run, step, attempt, ends_s, uses, depth)
    if caveat == Caveat():
        raise WrongUse("narrow: expected something to take away, such as --run ID, got nothing")
    print_result(narrow(_token(token_file), caveat))
    return Exit.OK


@command.command("revoke", cls=_TakesToken)
@file_option
@click.option("--fingerprint", "mark", help="One token, as `inspect` and records name it.")
@click.option("--subject", help="All tokens of this subject that there are.")
@click.option("--run", metavar="ID", help="All tokens that are bound to this run.")
@click.option("--kid", help="All tokens of this signing key.")
@store_option
def revoke(
    token_file: str | None,
    mark: str | None,
    subject: str | None,
    run: str | None,
    kid: str | None,
    store: str | None,
) -> int:
    """Void tokens: one, a subject's, a run's, or a signing key's.

    Where a host has the store open, that host does it, and it holds there at once.
    """
    chosen = {"subject": subject, "run": run, "kid": kid, "token": mark}
    if all(value is None for value in chosen.values()):
        chosen["token"] = _token(token_file)
    what = {name: value for name, value in chosen.items() if value is not None}
    if len(what) > 1:
        raise WrongUse(f"revoke: expected one of token, subject, run and kid, got {len(what)}")
    if kid is not None:
        _keys(store).change(lambda ring: ring.without(kid, time.time()))
    else:
        anyio.run(_revoke, _place(store), *what.items())
    (name,) = what
    say(f"revoked by {name}")
    return Exit.OK


@command.command("rotate")
@store_option
def rotate(store: str | None) -> int:
    """Mint with a new signing key from now on; print its kid.

    What the old one signed holds until it expires, unless that key is revoked.
    """
    ring = _keys(store).change(lambda ring: ring.rotated(time.time()))
    print_result(ring.current.kid)
    return Exit.OK


async def _revoke(store: str, what: tuple[str, str]) -> None:
    by, name = what

    async def here() -> None:
        async with opened_store(store) as host:
            await host.tokens.revoke(**{by: name})

    # A letter lies in a folder: of a token it has the fingerprint alone.
    told = mark_of(name) if by == "token" else name
    await done_or_written(store, {"act": "revoke", "by": by, "name": told}, here)


def _place(store: str | None) -> str:
    chosen = chosen_store(store)
    if chosen == IN_MEMORY:
        raise WrongUse("expected a store in a folder: what is in memory has no signing key")
    return chosen


def _keys(store: str | None) -> KeyFile:
    return KeyFile(Path(_place(store)) / KEY_FILE, time.time)


def _token(file: str | None) -> str:
    """Read a token; what follows it is no part of it, but one line end.

    Raises: WrongUse.
    """
    if file is None or file == "-":
        if sys.stdin.isatty():
            raise WrongUse("expected a token on stdin or in --token-file FILE, got a terminal")
        text = sys.stdin.read(MAX_TOKEN + 2)
    else:
        try:
            with Path(file).open(encoding="ascii", errors="replace") as opened:
                text = opened.read(MAX_TOKEN + 2)
        except OSError as e:
            raise WrongUse(f"{file}: expected a file that can be read, got {e.strerror}") from e
    return text.removesuffix("\n").removesuffix("\r")


def _claimed(claims: Claims) -> dict[str, Any]:
    """Return what is said, but the name that is nobody's business: it has a fingerprint."""
    return {name: getattr(claims, name) for name in Claims.__slots__ if name != "jti"}


def _moment(time_s: Any) -> str:
    try:
        return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return "beyond the calendar"


def _spoken(value: Any) -> str:
    if value is None:
        return "any"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value)) or "none"
    return str(value)
