"""pydantic-graph: a node that returns itself until the count is reached, and a `map`.

It keeps nothing: version 2 has no persistence.
"""

# pyright: basic, reportMissingImports=false
# What it imports is in an environment of its own.

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic_graph import (
    BaseNode,
    End,
    Graph,
    GraphBuilder,
    GraphRunContext,
    StepContext,
    reduce_list_append,
)

from .meter import Works, contend, payload

SETTINGS = {"memory": "nothing is kept"}


@dataclass
class Count:
    """The state of the chain."""

    n: int = 0
    most: int = 0
    payload: dict[str, str] = field(default_factory=dict)


@dataclass
class Bump(BaseNode[Count, None, int]):
    """The step; a node that returns itself is the faster of the two ways to write it."""

    async def run(self, ctx: GraphRunContext[Count, None]) -> Bump | End[int]:
        ctx.state.n += 1
        return Bump() if ctx.state.n < ctx.state.most else End(ctx.state.n)


def chain_graph() -> Graph:
    g = GraphBuilder(state_type=Count, output_type=int)

    @g.step
    async def begin(ctx: StepContext[Count, None, None]) -> Bump:
        return Bump()

    first = g.decision().branch(g.match_node(Bump))
    g.add(g.node(Bump), g.edge_from(g.start_node).to(begin), g.edge_from(begin).to(first))
    return g.build()


def fan_graph() -> Graph:
    g = GraphBuilder(input_type=list[int], output_type=list[int])

    @g.step
    async def double(ctx: StepContext[None, None, int]) -> int:
        return 2 * ctx.inputs

    found = g.join(reduce_list_append, initial_factory=list[int])
    g.add(
        g.edge_from(g.start_node).map().to(double),
        g.edge_from(double).to(found),
        g.edge_from(found).to(g.end_node),
    )
    return g.build()


@asynccontextmanager
async def opened(mode: str, folder: Path) -> AsyncGenerator[Works]:
    chained, fanned = chain_graph(), fan_graph()

    async def chain(size: int) -> int:
        return await chained.run(state=Count(most=size))

    async def fan(size: int) -> list[int]:
        # Answers are joined as they come; the work asks for their order.
        return sorted(await fanned.run(inputs=list(range(size))))

    async def runs(size: int) -> list[int]:
        return await asyncio.gather(*(chained.run(state=Count(most=5)) for _ in range(size)))

    async def carried(size: int) -> list[int]:
        state = Count(most=size, payload=payload())
        return [await chained.run(state=state), len(state.payload)]

    yield {"W1": chain, "W2": fan, "W3": runs, "W4": carried}


if __name__ == "__main__":
    contend(opened, settings=SETTINGS, packages=("pydantic-graph",))
