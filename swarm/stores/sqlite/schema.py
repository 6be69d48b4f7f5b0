"""The tables of a store, and how an older one becomes a newer one.

    store     one row: the epoch, one more for each opening
    run       a row a run: a reading of its events, for lists
    event     every row of every run, in the order of appending; `pos` is host-wide
    blob      bytes by their SHA-256
    holding   which run holds which blob
    token_…   what was revoked, what was used how often, the latest time seen
    audit     what was done by whom, in a chain and a tree; refuses changes

`event` is in order of appending and not clustered by run: a group of 1,000 runs then
writes 2 µs a row instead of 5.5, one dirty page after the other.

A migration is a function that changes the tables; its place in `MIGRATIONS` is the
version that it leads to. All that are missing happen in one transaction with the new
`user_version`, so a kill leaves the old store or the new one. A migration that was
released is never edited.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

import apsw

from swarm.errors import Refused
from swarm.stores.checkpoints import CHECKPOINTS
from swarm.stores.sqlite.binding import Connection

__all__ = ("APPLICATION_ID", "LINKED", "MIGRATIONS", "admit", "admit_reader", "migrate")

Migration: TypeAlias = Callable[[Connection], None]

APPLICATION_ID: Final = 0x5377726D  # "Swrm"


def _first(connection: Connection) -> None:
    connection.execute(
        """
        create table store (
            one integer primary key check (one = 1),
            epoch integer not null
        ) strict;
        create table run (
            no integer primary key,
            id text not null unique,
            status text not null,
            blueprint text,
            digest text,
            began_s real,
            ended_s real
        ) strict;
        create index run_status on run (status, no);
        create table event (
            pos integer primary key,
            run integer not null references run (no),
            seq integer not null,
            hash blob not null,
            body blob not null,
            unique (run, seq)
        ) strict;
        create table blob (
            digest blob not null unique,
            body blob not null
        ) strict;
        create table holding (
            run integer not null references run (no),
            digest blob not null references blob (digest),
            primary key (run, digest)
        ) strict, without rowid;
        create index holding_digest on holding (digest);
        insert into store values (1, 0);
        """
    )


def _tokens(connection: Connection) -> None:
    connection.execute(
        """
        create table token_void (
            kind text not null,
            name text not null,
            epoch integer not null,
            until_s integer not null,
            primary key (kind, name)
        ) strict, without rowid;
        create table token_use (
            counter text primary key,
            count integer not null,
            until_s integer not null
        ) strict, without rowid;
        create table token_state (
            one integer primary key check (one = 1),
            epoch integer not null,
            high_s integer not null
        ) strict;
        insert into token_state values (1, 0, 0);
        """
    )


def _audit(connection: Connection) -> None:
    connection.execute(
        """
        create table audit (
            no integer primary key,
            hash blob not null,
            tree blob not null,
            body blob not null
        ) strict;
        create trigger audit_stays before update on audit
            begin select raise(abort, 'the audit log is not changed'); end;
        create trigger audit_keeps before delete on audit
            begin select raise(abort, 'the audit log is not shortened'); end;
        """
    )


def _parents(connection: Connection) -> None:
    """Note whose run a run is, so that it goes when that one goes."""
    connection.execute(
        """
        alter table run add column parent text;
        update run set parent = (
            select json_extract(cast(body as text), '$.parent.run')
            from event where event.run = run.no and seq = 1
        );
        create index run_parent on run (parent) where parent is not null;
        """
    )


def _linked(connection: Connection) -> None:
    """Begin the audit log anew: its links are the leaves of its tree now.

    What was written in the other form was signed as it is: it stays, beside the new one, and
    so do the checkpoints that the store has of it.
    """
    if connection.execute("select 1 from audit limit 1").fetchone() is None:
        return
    connection.execute(
        """
        drop trigger audit_stays;
        drop trigger audit_keeps;
        alter table audit rename to audit_before;
        """
    )
    _audit(connection)
    signed = Path(connection.filename).with_name(CHECKPOINTS)
    if signed.exists():
        signed.replace(signed.with_suffix(".before.jsonl"))


MIGRATIONS: tuple[Migration, ...] = (_first, _tokens, _audit, _parents, _linked)


def admit(connection: Connection, path: str) -> None:
    """Look, without a write, whether this file is a store that can be opened.

    Raises: Refused (store.foreign), for a file of something else; Refused (store.newer).
    """
    try:
        application, version, tables = (
            _number(connection, sql)
            for sql in (
                "pragma application_id",
                "pragma user_version",
                "select count(*) from sqlite_schema",
            )
        )
    except apsw.NotADBError as error:
        raise _foreign(path) from error
    if (application or tables) and application != APPLICATION_ID:
        raise _foreign(path)
    if version > len(MIGRATIONS):
        raise Refused(
            "store.newer",
            f"{path}: expected a store of version {len(MIGRATIONS)} or older, got {version} "
            "— a newer swarm wrote it; nothing was changed",
            path=path,
            version=version,
        )


# Readers change nothing, and find what they ask for in stores from this version on.
READABLE: Final = 4
# The audit log has its form of now in stores from this version on.
LINKED: Final = 5


def admit_reader(connection: Connection, path: str, least: int = READABLE) -> None:
    """Look whether this file is a store whose runs can be read as it is.

    Raises: Refused (store.foreign, store.newer, store.older).
    """
    admit(connection, path)
    version = _number(connection, "pragma user_version")
    if version < least:
        raise Refused(
            "store.older",
            f"{path}: expected a store of version {least} or newer, got {version} — a command "
            "that writes to it, such as swarm runs resume, brings it up to date",
            path=path,
            version=version,
        )


def migrate(connection: Connection) -> None:
    """Bring the tables to the newest version."""
    version = _number(connection, "pragma user_version")
    if version == len(MIGRATIONS):
        return
    connection.execute("begin immediate")
    for migration in MIGRATIONS[version:]:
        migration(connection)
    connection.execute(f"pragma application_id = {APPLICATION_ID}")
    connection.execute(f"pragma user_version = {len(MIGRATIONS)}")
    connection.execute("commit")


def _number(connection: Connection, sql: str) -> int:
    row = connection.execute(sql).fetchone()
    assert row is not None  # noqa: S101 - these statements have one row
    return int(row[0])


def _foreign(path: str) -> Refused:
    return Refused(
        "store.foreign",
        f"{path}: expected a store of swarm, got a file of something else",
        path=path,
    )
