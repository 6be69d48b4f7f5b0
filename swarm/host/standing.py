"""Whether a store is as long as it was, by the last checkpoint that was kept of it.

A store whose write-ahead log was removed, or that was put back from a copy, is whole and
short: nothing in it says what is missing. Looked at when a host opens. Whether somebody
wrote its audit log anew is for `swarm audit verify` to say, which reads all of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from anyio import to_thread

from swarm.errors import SwarmError
from swarm.ports.audit import AuditLog, AuditReading, CheckpointSink, CheckpointWitness

if TYPE_CHECKING:
    from swarm.core.capability.guard import KeyStore

__all__ = ("shortfall",)

_LOGGER = logging.getLogger(__name__)


async def shortfall(
    log: AuditLog,
    records: Callable[[], AbstractContextManager[AuditReading]],
    sinks: Sequence[CheckpointSink],
    keys: Callable[[], KeyStore],
) -> SwarmError | None:
    """Say what is missing of a log that one of its checkpoints knows to be longer, if any is."""
    for sink in sinks:
        wire = await _latest(sink)
        if wire is None or await _is_there(log, records, wire):
            continue
        if _is_ours(wire, keys):
            return _shortened(log, wire)
        _LOGGER.warning("a checkpoint of %s entries is not of this store", wire["size"])
    return None


async def _latest(sink: CheckpointSink) -> Mapping[str, Any] | None:
    if not isinstance(sink, CheckpointWitness):
        return None
    try:
        wire = await sink.latest()
    except Exception:
        _LOGGER.exception("the last checkpoint cannot be read")
        return None
    if wire is None:
        return None
    if type(wire.get("size")) is not int or type(wire.get("head")) is not str:
        _LOGGER.warning("the last checkpoint that was kept is none")
        return None
    return wire


async def _is_there(
    log: AuditLog,
    records: Callable[[], AbstractContextManager[AuditReading]],
    wire: Mapping[str, Any],
) -> bool:
    """Tell whether the log has what was signed; of whatever came behind that nothing is said."""
    size, head, _ = log.end()
    if wire["size"] >= size:
        return wire["size"] == size and wire["head"] == head.hex()

    def read() -> bool:
        with records() as opened:
            row = next(opened.rows(wire["size"] - 1), None)
            return row is not None and row.hash.hex() == wire["head"]

    return wire["size"] < 1 or await to_thread.run_sync(read)


def _is_ours(wire: Mapping[str, Any], keys: Callable[[], KeyStore]) -> bool:
    from swarm.core.audit.checkpoint import public_key, read_checkpoint

    try:
        checkpoint, ring = read_checkpoint(wire), keys().keyring()
    except SwarmError as error:
        _LOGGER.warning("%s", error)
        return False
    trusted = {*ring.witnesses.values(), *map(public_key, ring.keys)}
    return checkpoint.host == ring.host and checkpoint.holds(trusted)


def _shortened(log: AuditLog, wire: Mapping[str, Any]) -> SwarmError:
    signed, found = wire["size"], log.size
    got = f"{found}" if found < signed else "others"
    return SwarmError(
        "journal.shortened",
        f"journal: expected the {signed} entries of the audit log that a checkpoint has signed, "
        f"got {got} — the end of the store was lost, and perhaps that of this run: resume it "
        "to go on with what is there",
        signed=signed,
        found=found,
    )
