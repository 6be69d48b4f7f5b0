"""`cache`: an answer that was given is given again, for the same agent and the same input.

What is the same is decided by the digests of the agent as the blueprint has it and of the
input; a Python function behind the agent is not part of that. Failures are never kept.
Answers are kept in memory, the latest used, as long as the host runs.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Annotated, Any, Final, NamedTuple

from pydantic import Field

from flowir.values import measure, private_copy
from swarm.blueprint.canonical import digest_of
from swarm.ports.layer import LayerCall, LayerFactory, LayerParams, Next, PassingLink, Site
from swarm.ports.worker import Outcome, StepLink

__all__ = ("CACHE", "CacheLayer", "CacheParams")


class CacheParams(LayerParams):
    """How much is kept, and for how long.

    Units: `ttl_s` in seconds (none given: until there is no room); `max_bytes` of answers as
    the door measures them.
    """

    ttl_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    max_entries: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    max_bytes: Annotated[int, Field(ge=1)] = 64 * 1024 * 1024


class _Kept(NamedTuple):
    value: Any
    parts: dict[str, Any]
    given: tuple[tuple[str, Any], ...]
    size: int
    at_s: float


class _Shelf:
    """Answers by their keys, the one that was used longest ago first."""

    def __init__(self, params: CacheParams) -> None:
        self._params = params
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._size = 0

    def get(self, key: str, now_s: float) -> _Kept | None:
        found = self._kept.get(key)
        ttl_s = self._params.ttl_s
        # One that is too old stands until the new answer takes its place, or others do.
        if found is None or (ttl_s is not None and now_s - found.at_s >= ttl_s):
            return None
        self._kept.move_to_end(key)
        return found

    def put(self, key: str, kept: _Kept) -> None:
        if key in self._kept:
            self._drop(key)
        if kept.size > self._params.max_bytes:
            return
        self._kept[key] = kept
        self._size += kept.size
        while len(self._kept) > self._params.max_entries or self._size > self._params.max_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: str) -> None:
        self._size -= self._kept.pop(key).size


class CacheLayer:
    """Remembers one agent's answers."""

    in_place: Final = True

    def __init__(self, params: CacheParams, site: Site) -> None:
        self._clock = site.host.clock
        self._shelf = site.shared("cache", "host", params, lambda: _Shelf(params))
        self._agent = _digest(site)

    async def __call__(self, call: LayerCall, next: Next) -> Outcome:
        """Give the answer that is known, or carry the call on and remember what comes."""
        key = f"{self._agent}/{digest_of(call.input)}"
        known = self._shelf.get(key, self._clock.monotonic())
        if known is not None:
            for name, value in known.given:
                await call.link.part(name, private_copy(value))
            return Outcome(private_copy(known.value), private_copy(known.parts))
        link = _NotingLink(call.link)
        outcome = await next(call.with_link(link))
        parts, given = dict(outcome.parts), tuple(link.given)
        size = measure([outcome.value, parts, [value for _, value in given]])[0]
        kept = _Kept(
            private_copy(outcome.value),
            private_copy(parts),
            given,
            size,
            self._clock.monotonic(),
        )
        self._shelf.put(key, kept)
        return outcome


def _digest(site: Site) -> str:
    """Return the name of what an agent does and where; whom it serves is no part of it."""
    agent, folder = site.agent, str(site.toolbox.folder)
    settings = {name: value for name, value in agent.settings.items() if name != "layers"}
    return digest_of({**settings, "name": agent.name, "kind": agent.kind, "folder": folder})


class _NotingLink(PassingLink):
    """Notes the parts that are handed over, to hand them over again."""

    __slots__ = ("given",)

    def __init__(self, link: StepLink) -> None:
        super().__init__(link)
        self.given: list[tuple[str, Any]] = []

    async def part(self, name: str, value: Any) -> Mapping[str, Any]:
        reference = await self.link.part(name, value)
        self.given.append((name, private_copy(value)))
        return reference


CACHE = LayerFactory("cache", 60, CacheParams, CacheLayer)
