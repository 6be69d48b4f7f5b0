"""`audit`: what agents did, in the audit log: before it begins, and when it has ended.

In strict mode nothing happens unrecorded: where an entry cannot be kept, the step fails,
before its worker is asked or instead of its answer.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import anyio

from flowir.errors import WorkerFailure
from swarm.blueprint.canonical import digest_of
from swarm.errors import SwarmError
from swarm.middleware.secrets import Secrets
from swarm.ports.audit import AuditEntry
from swarm.ports.layer import LayerCall, LayerFactory, LayerParams, Next, Site
from swarm.ports.worker import Outcome

__all__ = ("AUDIT", "AuditLayer", "AuditParams")

_LOGGER = logging.getLogger(__name__)
_VERB = "do"
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType[str, Any]({})
# How long the entry of a cancelled step may hold up the cancellation.
_LAST_WORD_S = 2.0


class AuditParams(LayerParams):
    """`strict`: a step whose entry cannot be kept fails."""

    strict: bool = True


class AuditLayer:
    """Records each attempt of one agent."""

    def __init__(self, params: AuditParams, site: Site) -> None:
        self._strict = params.strict
        self._host = site.host
        self._actor = f"agent:{site.agent.name}"
        self._secrets = Secrets()

    async def __call__(self, call: LayerCall, next: Next) -> Outcome:
        """Carry a call on, with an entry before and one behind."""
        given = digest_of(call.input)
        await self._keep(self._entry(call, "begun", given))
        try:
            outcome = await next(call)
        except WorkerFailure as failure:
            said = {"code": failure.code, "message": self._secrets.text(failure.message)}
            await self._keep(self._entry(call, "failed", given, None, said))
            raise
        except anyio.get_cancelled_exc_class():
            with self._host.clock.deadline(_LAST_WORD_S) as scope:
                scope.shield = True
                await self._keep(self._entry(call, "cancelled", given))
            raise
        await self._keep(self._entry(call, "done", given, digest_of(outcome.value)))
        return outcome

    def _entry(
        self,
        call: LayerCall,
        decision: str,
        given: str,
        gave: str | None = None,
        detail: Mapping[str, Any] = _NOTHING,
    ) -> AuditEntry:
        at_s = self._host.clock.wall()
        run, step, attempt = call.run_id, call.key, call.attempt
        return AuditEntry(
            at_s, self._actor, _VERB, decision, run, step, attempt, given, gave, detail
        )

    async def _keep(self, entry: AuditEntry) -> None:
        try:
            log = self._host.audit
            if log is None:
                raise SwarmError("audit.unavailable", "expected a host with an audit log, got none")
            await log.append(entry)
        except Exception as error:
            _LOGGER.error("run %s step %s is not audited: %s", entry.run, entry.step, error)
            if self._strict and entry.decision != "cancelled":
                said = f"{self._actor}: expected its audit entry to be kept, got: {error}"
                raise WorkerFailure("audit.failed", said) from error


AUDIT = LayerFactory("audit", 10, AuditParams, AuditLayer, again="adds")
