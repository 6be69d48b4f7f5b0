"""`swarm audit`: read the log of acts, check all of it, prove a part, sign how it is.

All of it reads beside whoever has the store open, and none of it starts a host.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from swarm.cli.amounts import amount
from swarm.cli.exits import Exit, WrongUse, print_lines, print_result, say
from swarm.cli.groups import Verbs
from swarm.cli.stores import checked_store, store_option
from swarm.core.audit.checkpoint import (
    MAX_MARKS,
    Checkpoint,
    marks_of,
    public_key,
    read_checkpoint,
    signed,
    witnessed,
)
from swarm.core.audit.entries import entry_of
from swarm.core.audit.inspect import Inspected, inspect
from swarm.core.audit.proof import check_proof, make_proof, read_proof
from swarm.errors import Refused
from swarm.stores.checkpoints import CHECKPOINTS, FileSink
from swarm.stores.keyfile import KEY_FILE, KeyFile
from swarm.stores.sqlite.audit import AuditReader
from swarm.stores.sqlite.store import FILE

__all__ = ("command", "inspected")

# A file of checkpoints that is larger was not written by this.
_MOST_BYTES = 256 * 1024 * 1024

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
key_option = click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="HEX",
    help="A public key that may have signed; default: those of the store.",
)


@click.group("audit", cls=Verbs)
def command() -> None:
    """Read, verify and prove the log of what was done, by whom."""


@command.command("log")
@click.option("--run", metavar="ID", help="Only what is about this run.")
@click.option("--step", metavar="KEY", help="Only what is about this step of the run.")
@click.option("--since", default=0, show_default=True, help="Only entries behind this number.")
@store_option
@json_option
def log(run: str | None, step: str | None, since: int, store: str | None, as_json: bool) -> int:
    """Print entries: JSON lines, or a line for each."""
    if step is not None and run is None:
        raise WrongUse("log: expected --run ID beside --step, got none")
    with _reader(store) as reader:
        rows = reader.rows(since) if run is None else reader.of_step(run, step)
        for row in rows:
            if row.no <= since:
                continue
            said = json.loads(row.body)
            if as_json:
                print_result(json.dumps({"no": row.no, **said}))
            else:
                print_lines(_listed(row.no, said), hang=9)
    return Exit.OK


@command.command("verify")
@click.argument("proof", required=False)
@click.option(
    "--checkpoints",
    "files",
    multiple=True,
    metavar="FILE",
    help=f"Checkpoints that were kept elsewhere, beside the store's {CHECKPOINTS}.",
)
@click.option("--git", metavar="DIR", help="A repository in which checkpoints were committed.")
@key_option
@store_option
@json_option
def verify(
    proof: str | None,
    files: tuple[str, ...],
    git: str | None,
    keys: tuple[str, ...],
    store: str | None,
    as_json: bool,
) -> int:
    """Check the whole log, or the PROOF in a file; 1, if something is wrong.

    The log is read from its beginning: chain, tree, and every checkpoint. The first entry
    that is not what was written is named.
    """
    if proof is not None:
        return _verify_proof(Path(proof), keys, store, as_json)
    found = inspected(Path(checked_store(store)), files, git, keys)
    said: dict[str, Any] = {
        "entries": found.size,
        "checkpoints": found.checkpoints,
        "root": found.root.hex(),
        "fault": None if found.fault is None else str(found.fault),
        "no": None if found.fault is None else found.fault.no,
    }
    if as_json:
        print_result(json.dumps(said))
    elif found.fault is not None:
        print_lines(str(found.fault))
    else:
        entries = amount(found.size, "entry", "entries")
        print_lines(f"{entries}, {amount(found.checkpoints, 'checkpoint')}: as written")
    return Exit.OK if found.fault is None else Exit.FAILED


@command.command("prove")
@click.argument("run")
@click.argument("step", required=False)
@click.option("-o", "--output", metavar="FILE", help="Write the proof there; default: stdout.")
@store_option
def prove(run: str, step: str | None, output: str | None, store: str | None) -> int:
    """Prove what is in the log about STEP (its key) of RUN, or about all of the run.

    The proof stands by itself: entries, their paths, and a checkpoint signed now.
    """
    folder = Path(checked_store(store))
    with _reader(store) as reader:
        rows = list(reader.of_step(run, step))
        if not rows:
            about = f"run {run!r}" if step is None else f"step {step!r} of run {run!r}"
            raise WrongUse(f"expected entries about {about}, found none — swarm audit log")
        checkpoint = _sign(folder, reader)
        earlier = [c for c in _checkpoints(folder / CHECKPOINTS) if c.size <= checkpoint.size]
        made = make_proof(rows, checkpoint, reader.node, earlier[-1] if earlier else None)
    text = json.dumps(made.to_wire())
    if output is None:
        print_result(text)
    else:
        Path(output).write_text(f"{text}\n", "utf-8")
        entries = amount(len(rows), "entry", "entries")
        say(f"{output}: {entries} of {checkpoint.size}, signed by {checkpoint.key}")
    return Exit.OK


@command.command("checkpoint")
@click.option("-o", "--output", metavar="FILE", help="Append it there too.")
@click.option("--git", metavar="DIR", help="Commit it in this repository, under a ref of its own.")
@store_option
def checkpoint(output: str | None, git: str | None, store: str | None) -> int:
    """Sign how the log is now, and print that as JSON: to be kept elsewhere."""
    folder = Path(checked_store(store))
    with _reader(store) as reader:
        since = max(reader.size - MAX_MARKS, 0)
        wire = _sign(folder, reader, marks_of(reader.rows(since), reader.size)).to_wire()
    for file in (folder / CHECKPOINTS, *([Path(output)] if output is not None else ())):
        FileSink(file).write(wire)
    if git is not None:
        from swarm.stores.git.checkpoints import GitSink

        GitSink(git).write(wire)
    print_result(json.dumps(wire))
    return Exit.OK


@command.command("keys")
@store_option
def keys(store: str | None) -> int:
    """Print the public keys that may have signed checkpoints of the store."""
    for key in sorted(_trusted(Path(checked_store(store)), ())):
        print_result(key)
    return Exit.OK


# -- checking ------------------------------------------------------------------------------


def inspected(
    folder: Path, files: Iterable[str] = (), git: str | None = None, keys: Iterable[str] = ()
) -> Inspected:
    """Read the log of the store in *folder* against all checkpoints that there are.

    Raises: Refused (audit.checkpoint; keys.file, also where nobody knows which keys to believe).
    """
    trusted = _trusted(folder, keys)
    sources = [list(_checkpoints(file)) for file in _files(folder, files)]
    if git is not None:
        from swarm.stores.git.checkpoints import published

        sources.append([read_checkpoint(text) for text in published(git)])
    if not trusted and any(sources):
        raise _unknown(folder)
    with AuditReader(folder / FILE) as reader:
        return inspect(reader.rows(), sources, trusted)


def _verify_proof(file: Path, keys: tuple[str, ...], store: str | None, as_json: bool) -> int:
    try:
        proof = read_proof(file.read_bytes())
    except OSError as e:
        raise WrongUse(f"{file}: expected a file that can be read, got {e.strerror}") from e
    trusted = set(keys) if keys else _trusted(Path(checked_store(store)), ())
    if not trusted:
        raise _unknown(Path(checked_store(store)))
    wrong = check_proof(proof, trusted)
    if as_json:
        entries = [{"no": entry.no, **json.loads(entry.body)} for entry in proof.entries]
        print_result(json.dumps({"fault": wrong, "entries": [] if wrong else entries}))
    elif wrong is not None:
        print_lines(wrong)
    else:
        for entry in proof.entries:
            print_lines(_listed(entry.no, json.loads(entry.body)), hang=9)
        size, at = proof.checkpoint.size, _moment(proof.checkpoint.at_s)
        entries = amount(size, "entry", "entries")
        print_lines(f"in the log of {entries} that {proof.checkpoint.host} signed {at}")
    return Exit.OK if wrong is None else Exit.FAILED


def _trusted(folder: Path, given: Iterable[str]) -> set[str]:
    """Return the public keys to believe: those that were named, or the store's own."""
    named = set(given)
    if named or not (folder / KEY_FILE).exists():
        return named
    ring = _keys(folder).keyring()
    return {*ring.witnesses.values(), *map(public_key, ring.keys)}


def _unknown(folder: Path) -> Refused:
    """Say that nobody knows which keys to believe: a copy of the log is kept apart from them."""
    file = folder / KEY_FILE
    said = f"{file}: expected the keys that signed checkpoints, found none — swarm audit verify"
    return Refused("keys.file", f"{said} --key HEX")


def _checkpoints(file: Path) -> Iterator[Checkpoint]:
    """Read a file of checkpoints; a last line that a crash has cut short counts for nothing.

    Raises: Refused (audit.checkpoint).
    """
    if not file.exists():
        return
    if file.stat().st_size > _MOST_BYTES:
        raise WrongUse(f"{file}: expected a file of checkpoints, got one that is too large")
    lines = file.read_bytes().split(b"\n")
    for number, line in enumerate(lines):
        whole = number < len(lines) - 1 and line.endswith(b"}")
        if whole:
            yield read_checkpoint(line)


def _files(folder: Path, named: Iterable[str]) -> list[Path]:
    for name in named:
        if not Path(name).is_file():
            raise WrongUse(f"{name}: expected a file of checkpoints, found none")
    return [folder / CHECKPOINTS, *map(Path, named)]


# -- parts ---------------------------------------------------------------------------------


def _reader(store: str | None) -> AuditReader:
    return AuditReader(Path(checked_store(store)) / FILE)


def _keys(folder: Path) -> KeyFile:
    return KeyFile(folder / KEY_FILE, time.time)


def _sign(folder: Path, reader: AuditReader, marks: bytes = b"") -> Checkpoint:
    """Sign the log as it is read, and remember the public key for good."""
    keys = _keys(folder)
    ring = keys.keyring()
    if ring.current.kid not in ring.witnesses:
        ring = keys.change(witnessed)
    return signed(ring, reader.size, reader.root, reader.head, time.time(), marks)


def _listed(no: int, said: dict[str, Any]) -> str:
    entry = entry_of(json.dumps(said).encode())
    where = " ".join(
        f"{name} {value}"
        for name, value in (("run", entry.run), ("step", entry.step), ("attempt", entry.attempt))
        if value is not None
    )
    detail = f"  {json.dumps(dict(entry.detail), ensure_ascii=True)}" if entry.detail else ""
    head = f"{no:>7}  {_moment(entry.at_s)}  {entry.actor}  {entry.verb}  {entry.decision}"
    return f"{head}  {where}{detail}".rstrip()


def _moment(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M:%S")
