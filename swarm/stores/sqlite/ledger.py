"""What is remembered of tokens, on a disk: written in the transactions of the journal.

Counts are written as they are, not as one more, so that a statement whose fate was unknown
can be carried out again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from swarm.ports.capability import Revoked
from swarm.stores.ledger import MemoryLedger, Remembered

__all__ = ("SqliteLedger",)

Beside: TypeAlias = Callable[[str, tuple[Any, ...]], None]

_VOID: Final = (
    "insert into token_void (kind, name, epoch, until_s) values (?, ?, ?, ?) "
    "on conflict do update set epoch = excluded.epoch, until_s = excluded.until_s"
)
_EPOCH: Final = "update token_state set epoch = max(epoch, ?) where one = 1"
_USE: Final = (
    "insert into token_use (counter, count, until_s) values (?, ?, ?) "
    "on conflict do update set count = excluded.count"
)
_TIME: Final = "update token_state set high_s = max(high_s, ?) where one = 1"
_FORGET: Final = (
    "delete from token_void where until_s < ?",
    "delete from token_use where until_s < ?",
)


class SqliteLedger(MemoryLedger):
    """Answers from memory, and lets *beside* write what changes."""

    def __init__(self, beside: Beside, remembered: Remembered) -> None:
        super().__init__(remembered)
        self._beside = beside

    def _keep_void(self, kind: Revoked, name: str, epoch: int, until_s: int) -> None:
        self._beside(_VOID, (kind, name, epoch, until_s))
        self._beside(_EPOCH, (epoch,))

    def _keep_use(self, counter: str, count: int, until_s: int) -> None:
        self._beside(_USE, (counter, count, until_s))

    def _keep_time(self, now_s: int) -> None:
        self._beside(_TIME, (now_s,))
        for statement in _FORGET:
            self._beside(statement, (now_s,))
