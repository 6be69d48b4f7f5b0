"""Folding the log into the file, beside the writer, so that no commit waits for it.

A commit goes to the end of the log. Once that is long enough, its pages are copied into the
file, and the log begins anew: some 15 ms, most of them the disk's. SQLite lets the commit wait
that makes the log so long. Here a thread copies, through a connection of its own, while others
commit. What came meanwhile is little; it is copied between two commits, because a log that
is written to never begins anew.

Where the disk is so slow that the log grows much longer meanwhile, the next commit waits
after all: a log has no other end.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread

import apsw

from swarm.stores.sqlite import connection as connections
from swarm.stores.sqlite.binding import Connection
from swarm.stores.sqlite.connection import Source, connect_folding

__all__ = ("Folding",)

_FOLD = "pragma wal_checkpoint(passive)"
# So many times longer than it is to become, it is too long.
_MOST = 4


class Folding:
    """Keeps the log of one file short; used by whoever has the writer's connection.

    An error says nothing about what is committed: the log keeps it, and another fold comes.
    *instead* says what stands at the path in the place of the file, if anything does.
    Units: `pages` is the length of the log after the last commit, `due` when to call `fold`.
    """

    def __init__(self, source: Source, instead: Callable[[], str | None]) -> None:
        self._source = source
        self._instead = instead
        self._each = connections.CHECKPOINT_PAGES
        self._thread: Thread | None = None
        self.pages = 0
        self.due = self._each

    def watch(self, connection: Connection) -> None:
        """Hear how long the log is after each commit of *connection*, in the place of SQLite."""
        connection.set_wal_hook(self._heard)

    def fold(self, connection: Connection) -> None:
        """Begin to fold beside, or end what was begun; *connection* has no transaction open."""
        too_long = self.pages >= self.due + (_MOST - 1) * self._each
        thread = self._thread
        if too_long or (thread is not None and not thread.is_alive()) or not self._begin():
            self.end()
            self._rest(connection)

    def _begin(self) -> bool:
        """Let a thread fold, unless one does; tell whether one is at it."""
        if self._thread is None:
            thread = Thread(target=self._beside, name="swarm-fold")
            try:
                thread.start()
            except RuntimeError:  # the system gives no more threads
                return False
            self._thread = thread
        return True

    def end(self) -> None:
        """Return when nothing is done beside any more."""
        # Forgotten when it has ended, not before: an interrupt may end the waiting.
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _heard(self, connection: object, name: str, pages: int) -> int:
        if pages < self.pages:
            self.due = self._each
        self.pages = pages
        return apsw.SQLITE_OK

    def _rest(self, connection: Connection) -> None:
        # A reader may keep the log from beginning anew: then there is no hurry either.
        self.due = self.pages + self._each
        try:
            connection.execute(_FOLD).fetchone()
        except apsw.Error:
            return

    def _beside(self) -> None:
        try:
            connection = connect_folding(self._source, self._instead)
            try:
                connection.execute(_FOLD).fetchone()
            finally:
                connection.close(True)
        except apsw.Error:
            return
