"""The layers that every host has."""

from __future__ import annotations

from typing import Any, Final

from swarm.middleware.audit import AUDIT
from swarm.middleware.breaker import BREAKER
from swarm.middleware.budget import BUDGET
from swarm.middleware.cache import CACHE
from swarm.middleware.delegate import DELEGATE
from swarm.middleware.limit import LIMIT
from swarm.middleware.long_hold import LONG_HOLD
from swarm.middleware.lua import LUA
from swarm.middleware.main_ai import MAIN_AI
from swarm.middleware.redact import REDACT
from swarm.middleware.resolver import RESOLVER
from swarm.middleware.retry import RETRY
from swarm.middleware.senior import SENIOR
from swarm.middleware.timeout import TIMEOUT
from swarm.ports.layer import LayerFactory

__all__ = ("SHIPPED",)

# In their order, outermost first.
SHIPPED: Final[tuple[LayerFactory[Any], ...]] = (
    AUDIT,
    REDACT,
    MAIN_AI,
    SENIOR,
    LUA,
    RESOLVER,
    CACHE,
    RETRY,
    BREAKER,
    BUDGET,
    LIMIT,
    TIMEOUT,
    LONG_HOLD,
    DELEGATE,
)
