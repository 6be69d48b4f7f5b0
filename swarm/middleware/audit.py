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
from swarm.core.audit.pen import Pen
from swarm.errors import SwarmError
from swarm.middleware.secrets import Secrets
from swarm.ports.audit import AuditEntry, AuditLog
from swarm.ports.layer import LayerCall, LayerFactory, LayerParams, Next, Site
from swarm.ports.worker import Outcome

__all__ = ("AUDIT", "AuditLayer", "AuditParams")

_LOGGER = logging.getLogger(__name__)
_VERB = "do"
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
        self._pen = Pen(self._actor, _VERB)
        self._secrets = Secrets()

    async def __call__(self, call: LayerCall, next: Next) -> Outcome:
        """Carry a call on, with an entry before and one behind."""
        given = call.digest or digest_of(call.input)
        if not call.begun:
            await self._begin(call, given)
        try:
            outcome = await next(call)
        except WorkerFailure as failure:
            said = {"code": failure.code, "message": self._secrets.text(failure.message)}
            self._ended(call, "failed", given, said)
            raise
        except anyio.get_cancelled_exc_class():
            self._ended(call, "cancelled", given)
            raise
        gave = digest_of(outcome.value)
        try:
            audit = self._host.audit or self._log()
            run, step, attempt = call.run_id, call.key, call.attempt
            audit.record(self._pen.done(self._wall(), run, step, attempt, given, gave))
        except Exception as error:  # noqa: BLE001 - whatever a log raises: it is not recorded
            self._failed(call.run_id, call.key, error)
        return outcome

    def begins(self, run_id: str, key: str, attempt: int, digest: str) -> None:
        """Put the entry before a call into the transaction that begins the attempt."""
        try:
            audit = self._host.audit or self._log()
            audit.record(self._pen.begun(self._wall(), run_id, key, attempt, digest))
        except Exception as error:  # noqa: BLE001 - whatever a log raises: it is not recorded
            self._failed(run_id, key, error)

    async def _begin(self, call: LayerCall, given: str) -> None:
        """Keep the entry before the worker is asked; what comes behind lasts with the answer."""
        run, step, attempt = call.run_id, call.key, call.attempt
        try:
            await self._log().append(self._pen.begun(self._wall(), run, step, attempt, given))
        except Exception as error:  # noqa: BLE001 - whatever a log raises: it is not recorded
            self._failed(run, step, error)

    def _ended(
        self, call: LayerCall, decision: str, given: str, detail: Mapping[str, Any] = _NOTHING
    ) -> None:
        """Put an entry into the transaction of an end without an answer."""
        at = (call.run_id, call.key, call.attempt)
        said = (self._wall(), self._actor, _VERB, decision, *at, given)
        try:
            self._log().record(AuditEntry(*said, detail=detail))
        except Exception as error:  # noqa: BLE001 - whatever a log raises: it is not recorded
            self._failed(call.run_id, call.key, error, gone=decision == "cancelled")

    def _log(self) -> AuditLog:
        audit = self._host.audit
        if audit is None:
            raise SwarmError("audit.unavailable", "expected a host with an audit log, got none")
        return audit

    def _failed(self, run_id: str, key: str, error: Exception, *, gone: bool = False) -> None:
        _LOGGER.error("run %s step %s is not audited: %s", run_id, key, error)
        if self._strict and not gone:
            said = f"{self._agent!r}: expected its audit entry to be kept, got: {error}"
            raise WorkerFailure("audit.failed", said) from error


AUDIT = LayerFactory("audit", 10, AuditParams, AuditLayer, again="adds")
