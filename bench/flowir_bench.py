"""What the language costs: `python -m bench.flowir_bench [--strict]`.

Prints one line a figure, with its target where there is one. With `--strict` it exits
with 1 if a target was missed.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import flowir
from bench import flows
from bench.lanes import grown_mb
from bench.rounds import Figure, Round, interleave, ratio, report

__all__ = ("expressions", "figures", "main")

_ROUNDS = 15
_TURNS = 5_000
_UNROLLED = 1_000
_LONG = 10_000
_LANES = 10_000
_FUEL = 1_000_000_000
_DOCUMENT = 10_000


def figures() -> Iterator[Figure]:
    """Measure everything, one figure after the other."""
    yield from _steps()
    yield from _inside()
    yield from _appends()
    yield from expressions()
    yield from _documents()
    yield from _snapshots()
    if Path("/proc/self/statm").exists():
        yield from _memory()


def main() -> int:
    """Print every figure as it is found."""
    return report(figures())


def timed(node: dict[str, Any], ctx: dict[str, Any], count: int) -> Round:
    """Build a round: seconds of one of the *count* things that *node* does.

    The clock is read by two steps around *node*: what a run costs before and after, with
    a large context above all, is not in it.
    """
    flow = flowir.load(flows.marked(node))

    def one() -> float:
        marks: list[float] = []

        def dispatch(ref: str, input: Any) -> Any:
            if ref == flows.MARK:
                marks.append(perf_counter())
            return input

        flowir.run(flow, ctx, dispatch, fuel=_FUEL)
        return (marks[1] - marks[0]) / count

    return one


def _steps() -> Iterator[Figure]:
    turn = flows.repeat(_TURNS, flows.step())
    deep = flows.repeat(_TURNS, flows.beneath(18, flows.step()))
    plain, below, large = interleave(
        timed(turn, flows.narrow(), _TURNS),
        timed(deep, flows.narrow(), _TURNS),
        timed(turn, flows.wide(), _TURNS),
        times=_ROUNDS,
    )
    yield Figure("step in a loop, blocking driver", median(plain) * 1e6, "µs", 5)
    yield Figure("step beneath 18 levels of nodes", median(below) * 1e6, "µs", 9)
    yield Figure("step over a context of 1 MB, to a small one", ratio(large, plain), "times", 1.2)


def _inside() -> Iterator[Figure]:
    leaf = "$.wide.key5000"
    plain, inside = interleave(
        timed(flows.seq(*[flows.step()] * _UNROLLED), flows.wide(), _UNROLLED),
        timed(flows.seq(*[flows.step(leaf, leaf)] * _UNROLLED), flows.wide(), _UNROLLED),
        times=_ROUNDS,
    )
    name = "step that reads and writes among 10,000 keys, to a plain one"
    yield Figure(name, ratio(inside, plain), "times", 2)


def _appends() -> Iterator[Figure]:
    """Compare appends to a list of 10,000 with a plain step, and with a list of 2."""
    long = {**flows.narrow(), "list": [1] * _LONG}
    ends = [f"$.list[{_LONG + i}]" for i in range(_UNROLLED)]
    first = [f"$.tags[{2 + i}]" for i in range(_UNROLLED)]
    work = (
        [flows.step()] * _UNROLLED,
        [flows.step(out=end) for end in ends],
        [flows.assign(end, flows.lit(1)) for end in ends],
        [flows.assign(end, flows.lit(1)) for end in first],
        [flows.append("$.list")] * _UNROLLED,
        [flows.append("$.tags")] * _UNROLLED,
    )
    rounds = (timed(flows.seq(*nodes), long, _UNROLLED) for nodes in work)
    plain, step, *assigns = interleave(*rounds, times=_ROUNDS)
    yield Figure("step that appends its answer after 10,000, to a plain one",
                 ratio(step, plain), "times", 2)  # fmt: skip
    for name, late, early in (("assign", *assigns[:2]), ("list.concat", *assigns[2:])):
        name = f"{name} that appends after 10,000"
        yield Figure(f"{name}, to a plain step", ratio(late, plain), "times", 2)
        yield Figure(f"{name}, to one after 2", ratio(late, early), "times", 2)


def expressions() -> Iterator[Figure]:
    """Measure what expressions cost."""
    n = flows.path("$.n")
    two = {"op": "lt", "lhs": {"op": "add", "lhs": n, "rhs": flows.lit(1)}, "rhs": flows.lit(9)}
    items = {"op": "filter", "over": flows.path("$.list"), "bind": "x",
             "body": {"op": "gt", "lhs": flows.path("@x"), "rhs": flows.lit(500)}}  # fmt: skip
    values = (flows.lit(1), two, items)
    ctx = {**flows.narrow(), "list": list(range(1000))}
    work = (flows.seq(*[flows.assign("$.done", value)] * _UNROLLED) for value in values)
    rounds = (timed(node, ctx, _UNROLLED) for node in work)
    plain, sum_, filtered = map(median, interleave(*rounds, times=_ROUNDS))
    yield Figure("assign of a literal", plain * 1e9, "ns")
    yield Figure("expression ctx.n + 1 < 9", (sum_ - plain) * 1e9, "ns")
    yield Figure("filter over 1,000 items, an item", (filtered - plain) * 1e6, "ns")


def _documents() -> Iterator[Figure]:
    document = flows.seq(
        *(flows.seq(flows.step(f"$.a{i}", f"$.b{i}"), flows.assign("$.x", flows.path(f"$.b{i}")))
          for i in range(_DOCUMENT // 3))
    )  # fmt: skip
    nodes = _DOCUMENT // 3 * 3 + 1

    def load() -> float:
        before = perf_counter()
        flowir.load(document)
        return (perf_counter() - before) / nodes

    def compile_() -> float:
        flow = flowir.load(document)
        before = perf_counter()
        flowir.Machine(flow, {})
        return (perf_counter() - before) / nodes

    loading, compiling = map(median, interleave(load, compile_, times=3))
    yield Figure("load, a node of 10,000", loading * 1e6, "µs")
    yield Figure("compile, a node of 10,000", compiling * 1e6, "µs")


def _snapshots() -> Iterator[Figure]:
    for name, node, ctx in (
        ("one step over a small context", flows.step(), flows.narrow()),
        ("one step over 1 MB", flows.step(), flows.wide()),
        ("10,000 waiting lanes over 1 MB", flows.lanes("$.item", _LANES),
         {**flows.wide(), "items": list(range(_LANES))}),
    ):  # fmt: skip
        flow = flowir.load(node)
        machine = flowir.Machine(flow, ctx)
        machine.start()
        frozen, thawed = _snapshot_seconds(flow, machine)
        yield Figure(f"snapshot, {name}", frozen * 1e3, "ms")
        yield Figure(f"restore, {name}", thawed * 1e3, "ms")


def _snapshot_seconds(flow: flowir.Flow, machine: flowir.Machine) -> tuple[float, float]:
    def freeze() -> float:
        before = perf_counter()
        machine.snapshot()
        return perf_counter() - before

    taken = machine.snapshot()

    def thaw() -> float:
        gc.collect()
        before = perf_counter()
        flowir.Machine.restore(flow, taken)
        return perf_counter() - before

    frozen, thawed = interleave(freeze, thaw, times=5)
    return median(frozen), median(thawed)


def _memory() -> Iterator[Figure]:
    name = "10,000 waiting lanes over 1 MB"
    yield Figure(f"{name}, bind at the root", grown_mb("$.item", _LANES), "MB", 30)
    inside = grown_mb("$.wide.item", _LANES)
    yield Figure(f"{name}, bind among the 10,000 keys", inside, "MB", 30)


if __name__ == "__main__":
    raise SystemExit(main())
