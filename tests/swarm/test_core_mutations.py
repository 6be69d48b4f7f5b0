"""Another flow against a history: each change that means something is told, and where.

A random flow is run and its journal kept; then one place of the flow is changed. What the
changed flow would have done is worked out without any replay, by giving the machine
answers by what it asks for. Where that is another list of steps, or another end, the
replay must refuse; where it is the same, it must not. MUTATIONS in the environment says how
many are to mean something.
"""

from __future__ import annotations

import copy
import os
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any, cast

import pytest

import flowir
from flowir import Cancel, Dispatch, Machine
from swarm.blueprint.canonical import canonical_bytes, digest_of
from swarm.core.replay import Replay
from swarm.errors import SwarmError
from tests.flowir.random_flows import RandomFlow
from tests.swarm.test_core_replay import Journey, drawn

pytestmark = pytest.mark.anyio

MUTATIONS = int(os.environ.get("MUTATIONS", "80"))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


_OTHERS = {
    "ref": "uvw",
    "at": ("$.a", "$.b", "$.d", "$.list", "$.c.n"),
    "out": ("$.a", "$.d", "$.b"),
    "counter": ("$.i", "$.j", "$.k"),
}
_OPTIONAL = ("out", "retry", "else", "finally", "on")


def places(node: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where there is something to change that is well-formed afterwards, mostly.

    The limit of a fanout is left alone: it changes no step, only which may go on together.
    """
    if type(node) is dict:
        for name, member in cast("dict[str, Any]", node).items():
            if (type(member) is int and name != "limit") or name in _OTHERS or name in _OPTIONAL:
                yield (*at, name)
            yield from places(member, (*at, name))
    elif type(node) is list:
        for index, member in enumerate(cast("list[Any]", node)):
            yield (*at, index)
            yield from places(member, (*at, index))


def changed(document: Any, chance: Random) -> Any:
    """Return the document with one place changed: another value, gone, twice, or swapped."""
    found = copy.deepcopy(document)
    *way, last = chance.choice(list(places(found)))
    holder = found
    for name in way:
        holder = holder[name]
    value = holder[last]
    if type(holder) is list:
        act = chance.choice(("gone", "twice", "swapped"))
        if act == "gone":
            del holder[last]
        elif act == "twice":
            holder.insert(last, copy.deepcopy(value))
        else:
            other = chance.randrange(len(holder))
            holder[last], holder[other] = holder[other], holder[last]
    elif type(value) is int:
        holder[last] = value + chance.choice((-1, 1, 2))
    elif type(value) is str:
        holder[last] = chance.choice(_OTHERS[str(last)])
    else:
        del holder[last]
    return found


def trace(flow: RandomFlow, loaded: flowir.Flow) -> tuple[Counter[Any], bytes]:
    """Return every attempt that the flow asks for, and its end."""
    machine = Machine(loaded, flow.ctx)
    asked = Counter[Any]()
    waiting = list(machine.start())
    while waiting:
        effect = waiting.pop(0)
        assert not isinstance(effect, Cancel)
        asked[told(effect)] += 1
        outcome = flow.outcome(effect.ref, effect.input)
        waiting += machine.resolve(effect.key, outcome, effect.attempt)
    end = {"error": machine.error.to_json()} if machine.error else {"ctx": machine.result}
    return asked, canonical_bytes(end)


def told(asked: Dispatch) -> Any:
    delay_s = asked.delay_s if asked.attempt > 1 else 0
    return (
        asked.key,
        asked.attempt,
        asked.ref,
        asked.node_id,
        digest_of(asked.input),
        delay_s,
    )


async def history(seed: int) -> tuple[RandomFlow, list[Any]] | None:
    """Run a flow that succeeds and asks for something."""
    flow = RandomFlow(seed, racing=False)
    journey = Journey(flow, seed, max_tasks=drawn(seed).choice([1, 3, 256]))
    outcome = await journey.run()
    rows = await journey.rows()
    asks = sum(row["kind"] == "step.started" for row in rows)
    return (flow, rows) if outcome.status == "succeeded" and asks >= 3 else None


def refusal(loaded: flowir.Flow, rows: list[Any]) -> SwarmError | None:
    try:
        replay = Replay(loaded, rows[0])
        replay.feed(rows[1:])
    except SwarmError as error:
        return error
    return None


async def test_each_change_that_means_something_is_refused_and_no_other() -> None:
    chance = drawn(28)
    found = Counter[str]()
    seed = 0
    while found["refused"] + found["silent"] < MUTATIONS:
        seed += 1
        past = await history(seed)
        if past is None:
            continue
        flow, rows = past
        original = trace(flow, flowir.load(flow.document))
        for _ in range(80):
            document = changed(flow.document, chance)
            try:
                loaded = flowir.load(document)
            except flowir.Malformed:
                found["malformed"] += 1
                continue
            means = trace(flow, loaded) != original
            error = refusal(loaded, rows)
            if error is None:
                found["silent" if means else "accepted, the same"] += 1
                continue
            assert means, (seed, document)
            assert error.code == "resume.conflict"
            where = rows[error.values["seq"] - 1]
            assert ("key" not in where) or f"at {where['key']}" in error.message
            found["refused"] += 1
            found["names the place"] += "key" in where
    print(f"refused {found['refused']} / {found['refused'] + found['silent']}: {dict(found)}")  # noqa: T201
    assert found["silent"] == 0
    assert found["accepted, the same"] > 0
