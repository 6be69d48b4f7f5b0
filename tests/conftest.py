"""How all tests draw their examples: the same ones in every gate, new ones at a desk."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# A busy machine must not turn a test red: no deadline, and no judgement of speed.
settings.register_profile(
    "swarm",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,
)
settings.load_profile("swarm")
