"""Random flows that mostly do something: for tests that compare two ways to run one.

`RandomFlow(seed)` holds a wire flow, a first context, and workers whose answers depend on
nothing but what they are asked for. Deterministic: the seed is the whole story.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from random import Random
from typing import Any

import flowir

__all__ = ("RandomFlow",)

JSON = Any
_NAMES = ("a", "b", "c", "d")
_COUNTERS = ("i", "j", "k")


def _path(at: str) -> JSON:
    return {"op": "path", "at": at}


def _lit(value: JSON) -> JSON:
    return {"op": "lit", "value": value}


@dataclass(frozen=True)
class RandomFlow:
    """One flow; with *racing* false every order of answers must give the same result."""

    seed: int
    racing: bool = True

    @property
    def document(self) -> JSON:
        random = Random(self.seed)  # noqa: S311 - drawn again from its seed
        return _Maker(random, self.racing).root()

    @property
    def ctx(self) -> JSON:
        return {"a": 1, "b": [1, 2], "c": {"n": 0, "d": None}, "list": [3, 1, 2], "log": []}

    def outcome(self, ref: str, input: JSON) -> flowir.Success | flowir.Failure:
        """Answer as worker *ref* does: the same input gives the same answer."""
        text = json.dumps([self.seed, ref, input], sort_keys=True)
        chance = zlib.crc32(text.encode())
        if chance % 5 == 0:
            code = ("net.down", "net.slow", "disk.full")[chance % 3]
            return flowir.Failure(code, f"chance {chance}", chance % 2 == 0, {"chance": chance})
        return flowir.Success([chance % 7, {"of": input}] if chance % 3 else chance % 11)

    def dispatch(self, ref: str, input: JSON) -> JSON:
        """Answer as `outcome` does, for the blocking driver."""
        outcome = self.outcome(ref, input)
        if isinstance(outcome, flowir.Failure):
            raise flowir.WorkerFailure(*outcome)
        return outcome.value


class _Maker:
    def __init__(self, random: Random, racing: bool) -> None:
        self.random = random
        self.racing = racing
        self.loops = 0

    def root(self) -> JSON:
        """Several parts, most of them guarded: one that fails does not end the rest."""
        parts = [self._try(3) if self.random.random() < 0.8 else self.node(4) for _ in range(4)]
        return {"kind": "seq", "children": parts}

    def node(self, depth: int) -> JSON:
        makers = [self._step, self._step, self._assign, self._assign]
        if depth:
            makers += [self._seq, self._seq, self._seq, self._branch, self._loop]
            makers += [self._fanout, self._fanout, self._try, self._try]
        return self.random.choice(makers)(depth - 1)

    def _target(self) -> str:
        return self.random.choice(
            ["$.a", "$.b", "$.d", "$.c.n", "$.e.m.x", "$.e.m.y", "$.list[-1]", "$.log[0]", "$.b[0]"]
        )

    def _expr(self, depth: int = 2) -> JSON:
        leaves = [_path(f"$.{self.random.choice(_NAMES)}"), _lit(self.random.randint(-2, 5))]
        leaves += [_path("$.x"), _lit([1, "s"]), _path("$.c.n")]
        if not depth or self.random.random() < 0.5:
            leaf = self.random.choice(leaves)
            return {"op": "default", "arg": leaf, "fallback": _lit(0)}
        return self._compound(depth - 1)

    def _compound(self, depth: int) -> JSON:
        left, right = self._expr(depth), self._expr(depth)
        return self.random.choice(
            [
                {"op": "add", "lhs": _lit(2), "rhs": {"op": "len", "arg": _path("$.list")}},
                {"op": "concat", "args": [_lit("s"), _lit(2.5)]},
                {"op": "eq", "lhs": left, "rhs": right},
                {"op": "array", "items": [left, right]},
                {"op": "object", "fields": {"n": left, "m": right}},
                {"op": "if", "cond": left, "then": right, "else": left},
                {"op": "map", "over": _path("$.list"), "bind": f"r{depth}", "body": left},
                {"op": "call_extern", "ref": "json.encode", "args": [left]},
            ]
        )

    def _step(self, depth: int) -> JSON:
        step = {"kind": "step", "ref": self.random.choice("uvw"), "in": self._expr()}
        if self.random.random() < 0.8:
            step["out"] = self._target()
        if self.random.random() < 0.4:
            step["retry"] = {"max_attempts": self.random.randint(1, 3)}
        return step

    def _assign(self, depth: int) -> JSON:
        return {"kind": "assign", "at": self._target(), "value": self._expr()}

    def _seq(self, depth: int) -> JSON:
        count = self.random.randint(0, 4)
        return {"kind": "seq", "children": [self.node(depth) for _ in range(count)]}

    def _branch(self, depth: int) -> JSON:
        cond = {"op": "not", "arg": self._expr()}
        branch = {"kind": "branch", "cond": cond, "then": self.node(depth)}
        return branch | ({"else": self.node(depth)} if self.random.random() < 0.5 else {})

    def _loop(self, depth: int) -> JSON:
        counter = f"$.{_COUNTERS[self.loops % 3]}"
        self.loops += 1
        loop = {"kind": "loop", "counter": counter, "cond": self._expr(), "max": 3}
        if self.random.random() < 0.3:
            loop["exhausted_at"] = "$.d"
        return loop | {"body": self.node(depth)}

    def _fanout(self, depth: int) -> JSON:
        joins = ["all_settled", "all"] if self.racing else ["all_settled"]
        joins += ["any", "race", "quorum"] if self.racing else []
        fanout = {
            "kind": "fanout",
            "items": _path("$.list"),
            "bind": "$.x",
            "body": self.node(depth),
            "join": self.random.choice(joins),
            "out": self.random.choice(("$.a", "$.d")),
            "collect": self._expr(),
        }
        if fanout["join"] == "quorum":
            fanout["quorum"] = self.random.randint(1, 3)
        if self.random.random() < 0.4:
            fanout["limit"] = self.random.randint(1, 2)
        return fanout

    def _try(self, depth: int) -> JSON:
        node = {"kind": "try", "body": self.node(depth), "catch": self.node(depth)}
        if self.random.random() < 0.4:
            node["finally"] = self.node(depth)
        if self.random.random() < 0.3:
            node["on"] = self.random.choice([["net.*"], ["path.missing", "step.failed"], ["x"]])
        if self.random.random() < 0.5:
            node["error_at"] = "$.d"
        if self.random.random() < 0.3:
            node["restore"] = False
        return node
