"""Acts on the letters of other processes: on runs, what may go, tokens, issues.

They go the way that everything goes: through `Run` and the host, so that an answer enters
the engine by its one door, is journaled, and is refused the second time. What came of it is
written down for whoever asked.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from flowir.errors import FlowError, shorten
from swarm.errors import Refused, SwarmError
from swarm.host.collection import Collected
from swarm.host.run import Run
from swarm.ports.clock import Clock
from swarm.stores.inbox import Inbox

if TYPE_CHECKING:
    from swarm.api.served import ServedEnhancer
    from swarm.host.authority import Authority

__all__ = ("Desk", "Steered")

_LOGGER = logging.getLogger(__name__)
# How often the folder is looked at: one system call.
_LOOK_S: Final = 0.2


class Steered(Protocol):
    """What letters are about: the host."""

    @property
    def tokens(self) -> Authority:
        """Who revokes tokens."""
        ...

    @property
    def enhancer(self) -> ServedEnhancer | None:
        """Who improves its blueprints, if somebody does."""
        ...

    async def run(self, run_id: str) -> Run:
        """Return a run by its id."""
        ...

    async def gc(
        self,
        *,
        older_than_s: float | None = None,
        status: Collection[str] | None = None,
        keep: int = 0,
        dry_run: bool = False,
    ) -> Collected:
        """Remove runs that have ended."""
        ...


class Desk:
    """Serves an inbox, for a host."""

    def __init__(self, inbox: Inbox, clock: Clock, host: Steered) -> None:
        self._inbox = inbox
        self._clock = clock
        self._host = host

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
            return {"ok": True, **await self._act(name, letter)}
        except (SwarmError, FlowError) as error:
            if error.code == "host.closed":
                raise
            return {"ok": False, "code": error.code, "message": error.message}

    async def _act(self, name: str, letter: Any) -> dict[str, Any]:
        """Do what a letter asks for; return what there is to tell of it."""
        act = letter.get("act") if isinstance(letter, dict) else None
        if act == "enhance":
            return {"value": await self._improve(name, letter)}
        if act == "gc":
            return await self._collect(letter)
        if act == "revoke":
            return await self._revoke(letter)
        run = await self._host.run(_text(letter, "run"))
        match act:
            case "answer":
                by = letter.get("by")
                await run.answer(_text(letter, "question"), letter.get("value"), by=by)
            case "pause":
                await run.pause()
            case "cancel":
                await run.cancel(_text(letter, "reason"))
            case other:
                said = f"an act of answer, pause, cancel, gc or revoke, got {shorten(other)}"
                raise _malformed(said)
        return {"status": run.status}

    async def _improve(self, name: str, letter: Any) -> Any:
        """Let who improves the host's blueprints do what a letter says; return it as JSON."""
        loop = self._host.enhancer
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

    async def _collect(self, letter: Mapping[str, Any]) -> dict[str, Any]:
        older, status, keep = letter.get("older_than_s"), letter.get("status"), letter.get("keep")
        numbers = type(keep) is int and (older is None or type(older) in (int, float))
        if not numbers or not (status is None or _are_words(status)):
            raise _malformed(f"a letter of gc with older_than_s, status, keep, got {letter!r:.200}")
        done = await self._host.gc(
            older_than_s=older,
            status=status,
            keep=letter["keep"],
            dry_run=letter.get("dry_run") is not False,
        )
        return {"runs": list(done.runs), "removed": asdict(done.forgotten)}

    async def _revoke(self, letter: Mapping[str, Any]) -> dict[str, Any]:
        """Void tokens; a single one by its fingerprint, so that none lies in a folder."""
        by = _text(letter, "by")
        if by not in ("token", "subject", "run"):
            raise _malformed(f"a letter of revoke by token, subject or run, got {shorten(by)}")
        await self._host.tokens.revoke(**{by: _text(letter, "name")})
        return {}


def _text(letter: Any, name: str) -> str:
    found = letter.get(name) if isinstance(letter, dict) and "act" in letter else None
    if not isinstance(found, str):
        raise _malformed(f"a letter with {name!r}, got {shorten(letter)}")
    return found


def _are_words(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(word, str) for word in cast("list[Any]", value)
    )


def _malformed(expected: str) -> SwarmError:
    return SwarmError("inbox.malformed", f"expected {expected}")
