"""The layers that every host has."""

from __future__ import annotations

from typing import Any, Final

from swarm.middleware.audit import AUDIT
from swarm.middleware.retry import RETRY
from swarm.middleware.timeout import TIMEOUT
from swarm.ports.layer import LayerFactory

__all__ = ("SHIPPED",)

SHIPPED: Final[tuple[LayerFactory[Any], ...]] = (AUDIT, RETRY, TIMEOUT)
