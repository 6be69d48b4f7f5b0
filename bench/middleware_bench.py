"""What the default stack of layers adds to a step: CPU time of the same run with and without.

The stack is audit, redact, retry, budget, limit (places and rate) and timeout, all at work;
the agent is a worker that answers at once, so that all there is to see is what layers cost.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Iterator
from statistics import median
from typing import Any

import anyio

from bench.rounds import Figure, interleave, ratio, report
from swarm.host.host import Host
from swarm.ports.worker import Call, FieldProblem, Outcome, StepLink, Toolbox, Worker

STEPS = 3_000
ROUNDS = 7
STACK: tuple[dict[str, Any], ...] = (
    {"use": "audit"},
    {"use": "redact"},
    {"use": "retry"},
    {"use": "budget", "tokens": 1_000_000_000},
    {"use": "limit", "concurrency": 8, "rate_per_s": 1e9, "burst": 1_000_000},
    {"use": "timeout", "seconds": 60},
)
INPUT = {"topic": "tea", "lines": ["one", "two", "three"], "round": 1}


async def _work(call: Call, link: StepLink) -> Outcome:
    return Outcome(call.input)


class Instant:
    """Makes workers that answer at once, with their input."""

    kind = "instant"
    fields = frozenset[str]()
    required = frozenset[str]()

    def problems(self, agent: Any, tools: Toolbox) -> tuple[FieldProblem, ...]:
        return ()

    def build(self, agent: Any, tools: Toolbox) -> Worker:
        return _work


def chain() -> dict[str, Any]:
    body = {"kind": "step", "ref": "w", "in": {"op": "path", "at": "$.in"}, "out": "$.x"}
    cond = {"op": "lit", "value": True}
    flow = {"kind": "loop", "counter": "$.n", "cond": cond, "max": STEPS, "body": body}
    return {"swarm": 1, "id": "bench", "agents": [{"name": "w", "kind": "instant"}], "flow": flow}


async def run(layers: tuple[dict[str, Any], ...]) -> float:
    """Return the CPU seconds of one run."""
    async with Host.in_memory(layers=layers) as host:
        host.registry.register(Instant())
        loaded = await host.load(chain())
        gc.collect()
        began = time.process_time()
        await (await host.start(loaded, {"in": INPUT})).result()
        return time.process_time() - began


def timed(layers: tuple[dict[str, Any], ...]) -> float:
    return anyio.run(run, layers)


def figures() -> Iterator[Figure]:
    """Measure everything, one figure after the other."""
    single = [(one,) for one in STACK]
    stacks = [(), STACK, *single]
    taken = interleave(*[lambda layers=layers: timed(layers) for layers in stacks], times=ROUNDS)
    plain, whole, *each = taken
    yield Figure("a step without layers (CPU)", median(plain) / STEPS * 1e6, "µs")
    added = [(a - b) / STEPS * 1e6 for a, b in zip(whole, plain, strict=True)]
    yield Figure("the default stack adds", median(added), "µs", 25)
    yield Figure("a step with it, to one without", ratio(whole, plain), "times")
    for layers, seconds in zip(single, each, strict=True):
        cost = median((a - b) / STEPS * 1e6 for a, b in zip(seconds, plain, strict=True))
        yield Figure(f"  {layers[0]['use']} alone adds", cost, "µs")


def main() -> int:
    """Print every figure as it is found."""
    return report(figures())


if __name__ == "__main__":
    sys.exit(main())
