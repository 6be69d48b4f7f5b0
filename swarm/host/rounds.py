"""What a host does by the clock: it signs checkpoints of its audit log, and turns its key.

A checkpoint comes whenever so many entries more are kept, and at the latest so long after
the first entry that none speaks of. The key that signs tokens is replaced when it is a day
old; what the old one has signed holds for as long as tokens live.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from swarm.errors import SwarmError
from swarm.host.recorder import Recorder
from swarm.ports.clock import Clock

if TYPE_CHECKING:
    from swarm.core.capability.guard import KeyStore

__all__ = ("Once", "Rounds")

_LOGGER = logging.getLogger(__name__)

# How often the age of a key is looked at where nothing else is due.
_LOOK_S: Final = 3600.0


class Once:
    """The signing keys: opened when they are first asked for, and then the same."""

    def __init__(self, make: Callable[[], KeyStore]) -> None:
        self._make = make
        self.made: KeyStore | None = None

    def __call__(self) -> KeyStore:
        """Return them.

        Raises: Refused (keys.file).
        """
        if self.made is None:
            self.made = self._make()
        return self.made


class Rounds:
    """Goes round as long as the host is open.

    Units: *checkpoint_s* bounds how long an entry stands without a checkpoint behind it,
    *rotate_s* how old a key becomes that signs; 0: never by the clock. In seconds.
    """

    def __init__(
        self,
        clock: Clock,
        recorder: Recorder,
        keys: Once,
        *,
        checkpoint_s: float,
        rotate_s: float,
    ) -> None:
        self._clock = clock
        self._recorder = recorder
        self._keys = keys
        self._checkpoint_s = checkpoint_s if recorder.has_sinks else 0.0
        self._rotate_s = rotate_s

    async def serve(self) -> None:
        """Do what is due, until cancelled."""
        wait_s = min(self._checkpoint_s or _LOOK_S, self._rotate_s or _LOOK_S, _LOOK_S)
        while True:
            with self._clock.deadline(wait_s) as waited:
                await self._recorder.grown()
            try:
                await self._recorder.sign(late=waited.cancelled_caught and self._checkpoint_s > 0)
                self._rotate()
            except (SwarmError, OSError) as error:
                # What the journal, or the file of keys, cannot do now, is tried in the next round.
                _LOGGER.error("the rounds of the host: %s", error)

    def _rotate(self) -> None:
        """Mint with a new key, where this host uses one and that is old."""
        keys = self._keys.made
        if keys is None or not self._rotate_s:
            return
        now_s = self._clock.wall()
        if now_s - keys.keyring().current.made_s < self._rotate_s:
            return
        kid = keys.change(lambda ring: ring.rotated(now_s)).current.kid
        self._recorder.note("host", "token.rotate", "allowed", detail={"kid": kid})
        _LOGGER.info("tokens are signed with key %s from now on", kid)
