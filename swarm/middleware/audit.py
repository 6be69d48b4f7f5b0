"""`audit`: what agents did, in the audit log: before it begins, and when it has ended.

In strict mode nothing happens unrecorded: where an entry cannot be kept, the step fails,
before its worker is asked or instead of its answer.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import anyio

from flowir.effects import tuple_of
from flowir.errors import WorkerFailure
from swarm.blueprint.canonical import digest_of
from swarm.errors import SwarmError
from swarm.middleware.secrets import Secrets
from swarm.ports.audit import AuditEntry, AuditLog
from swarm.ports.layer import LayerCall, LayerFactory, LayerParams, Next, Site
from swarm.ports.worker import Outcome

__all__ = ("AUDIT", "AuditLayer", "AuditParams")

_LOGGER = logging.getLogger(__name__)
_VERB = "do"
# The run, the step's key, and the attempt.
_At: TypeAlias = tuple[str, str, int]
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType[str, Any]({})


class AuditParams(LayerParams):
    """`strict`: a step whose entry cannot be kept fails."""

    strict: bool = True


class AuditLayer:
    """Records each attempt of one agent."""

    in_place: Final = True

    def __init__(self, params: AuditParams, site: Site) -> None:
        self._strict = params.strict
        self._host = site.host
        self._wall = site.host.clock.wall
        self._agent = site.agent.name
        self._actor = f"agent:{site.agent.name}"
        self._secrets = Secrets()

    async def __call__(self, call: LayerCall, next: Next) -> Outcome:
        """Carry a call on, with an entry before and one behind."""
        given = call.digest or digest_of(call.input)
        at = (call.run_id, call.key, call.attempt)
        if not call.begun:
            # It is there before the worker is asked; what comes behind lasts with the answer.
            try:
                begun = AuditEntry(self._wall(), self._actor, _VERB, "begun", *at, given)
                await self._log().append(begun)
            except Exception as error:  # noqa: BLE001 - whatever a log raises: it is not recorded
                self._failed(at, error)
        try:
            outcome = await next(call)
        except WorkerFailure as failure:
            said = {"code": failure.code, "message": self._secrets.text(failure.message)}
            self._record(at, "failed", given, None, said)
            raise
        except anyio.get_cancelled_exc_class():
            self._record(at, "cancelled", given)
            raise
        self._record(at, "done", given, digest_of(outcome.value))
        return outcome

    def begins(self, run_id: str, key: str, attempt: int, digest: str) -> None:
        """Put the entry before a call into the transaction that begins the attempt."""
        self._record((run_id, key, attempt), "begun", digest)

    def _record(
        self,
        at: _At,
        decision: str,
        given: str,
        gave: str | None = None,
        detail: Mapping[str, Any] = _NOTHING,
    ) -> None:
        """Put an entry into the transaction of what it tells of."""
        run_id, key, attempt = at
        try:
            audit = self._host.audit or self._log()
            actor, now_s = self._actor, self._wall()
            said = (now_s, actor, _VERB, decision, run_id, key, attempt, given, gave, detail)
            audit.record(tuple_of(AuditEntry, said))
        except Exception as error:  # noqa: BLE001 - whatever a log raises: it is not recorded
            self._failed(at, error, gone=decision == "cancelled")

    def _log(self) -> AuditLog:
        audit = self._host.audit
        if audit is None:
            raise SwarmError("audit.unavailable", "expected a host with an audit log, got none")
        return audit

    def _failed(self, at: _At, error: Exception, *, gone: bool = False) -> None:
        run_id, key, _ = at
        _LOGGER.error("run %s step %s is not audited: %s", run_id, key, error)
        if self._strict and not gone:
            said = f"{self._agent!r}: expected its audit entry to be kept, got: {error}"
            raise WorkerFailure("audit.failed", said) from error


AUDIT = LayerFactory("audit", 10, AuditParams, AuditLayer, again="adds")
