"""Acts on the letters of other processes: answers, pauses, cancellations, issues.

They go the way that everything goes: through `Run`, so that an answer enters the engine by
its one door, is journaled, and is refused the second time. What came of it is written down
for whoever asked.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from flowir.errors import FlowError, shorten
from swarm.errors import Refused, SwarmError
from swarm.host.run import Run
from swarm.ports.clock import Clock
from swarm.stores.inbox import Inbox

if TYPE_CHECKING:
    from swarm.api.served import ServedEnhancer

__all__ = ("Desk",)

_LOGGER = logging.getLogger(__name__)
# How often the folder is looked at: one system call.
_LOOK_S: Final = 0.2


class Desk:
    """Serves an inbox; *find* returns a run of the host by its id, *loop* who improves it."""

    def __init__(
        self,
        inbox: Inbox,
        clock: Clock,
        find: Callable[[str], Awaitable[Run]],
        loop: Callable[[], ServedEnhancer | None] = lambda: None,
    ) -> None:
        self._inbox = inbox
        self._clock = clock
        self._find = find
        self._loop = loop

    async def serve(self) -> None:
        """Act on what comes in, until cancelled."""
        try:
            self._inbox.open()
        except OSError as error:
            _LOGGER.error("the inbox cannot be opened: %s", error)
            return
        while True:
            try:
                await self._empty()
            except OSError as error:
                _LOGGER.error("the inbox cannot be read: %s", error)
            except Refused:
                return  # the host is closing: what was claimed is the next owner's
            await self._clock.sleep(_LOOK_S)

    async def _empty(self) -> None:
        while (claimed := self._inbox.take()) is not None:
            name, letter = claimed
            self._inbox.answer(name, await self._receipt(name, letter))

    async def _receipt(self, name: str, letter: Any) -> dict[str, Any]:
        try:
            if isinstance(letter, dict) and letter.get("act") == "enhance":
                return {"ok": True, "value": await self._improve(name, letter)}
            run = await self._find(_text(letter, "run"))
            await self._act(run, letter)
        except (SwarmError, FlowError) as error:
            if error.code == "host.closed":
                raise
            return {"ok": False, "code": error.code, "message": error.message}
        return {"ok": True, "status": run.status}

    async def _act(self, run: Run, letter: Any) -> None:
        match letter["act"]:
            case "answer":
                by = letter.get("by")
                await run.answer(_text(letter, "question"), letter.get("value"), by=by)
            case "pause":
                await run.pause()
            case "cancel":
                await run.cancel(_text(letter, "reason"))
            case other:
                raise _malformed(f"an act of answer, pause or cancel, got {shorten(other)}")

    async def _improve(self, name: str, letter: Any) -> Any:
        """Let who improves the host's blueprints do what a letter says; return it as JSON."""
        loop = self._loop()
        if loop is None:
            raise Refused("enhance.unavailable", "expected a host with an enhancer, got none")
        match letter.get("do"):
            case "submit":
                about = _text(letter, "blueprint"), _text(letter, "intent")
                author, examples = _text(letter, "author"), letter.get("examples") or ()
                # Its own name: a letter that is claimed again is the same issue.
                run = await loop.submit(*about, author=author, examples=examples, key=name)
                return (await loop.show(run.id)).to_wire()
            case "list":
                return [view.to_wire() for view in await loop.issues(letter.get("blueprint"))]
            case "show":
                return (await loop.show(_text(letter, "issue"))).to_wire()
            case "approve":
                issue, by = _text(letter, "issue"), _text(letter, "by")
                await loop.approve(issue, by=by, token=letter.get("token"))
                return (await loop.show(issue)).to_wire()
            case "reject":
                issue, by = _text(letter, "issue"), _text(letter, "by")
                await loop.reject(issue, by=by, reason=str(letter.get("reason") or ""))
                return (await loop.show(issue)).to_wire()
            case "log":
                return await loop.log(_text(letter, "blueprint"))
            case other:
                acts = "submit, list, show, approve, reject or log"
                raise _malformed(f"one of {acts}, got {shorten(other)}")


def _text(letter: Any, name: str) -> str:
    found = letter.get(name) if isinstance(letter, dict) and "act" in letter else None
    if not isinstance(found, str):
        raise _malformed(f"a letter with {name!r}, got {shorten(letter)}")
    return found


def _malformed(expected: str) -> SwarmError:
    return SwarmError("inbox.malformed", f"expected {expected}")
