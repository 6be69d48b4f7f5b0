"""Workers that answer as a case says.

A case's `answers` maps a worker to its script:

    {"value": v} or {"fail": {code, message, permanent?, data?}}   the same each time
    {"raise": text}          an exception of the worker's own
    {"echo": true}           the input
    {"spoil": true}          destroys its input, then answers "spoilt"
    [answer, …]              one after the other
    {"inputs": [[input, script], …]}   by input

Knows neither machine nor driver.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import flowir
from tests.spec.cases import Case, is_array, is_object, make

__all__ = ("Workers",)

JSON = Any


class Workers:
    """The workers of one run of a case: asked once for each dispatch."""

    def __init__(self, case: Case) -> None:
        self._scripts: dict[str, JSON] = make(case.raw.get("answers", {}))
        self._asked: Counter[str] = Counter()

    def answer(self, ref: str, input: JSON) -> JSON:
        """Return the worker's value, or raise what it raises."""
        answer = self._find(ref, self._scripts[ref], input)
        if "echo" in answer:
            return input
        if "spoil" in answer:
            _empty(input)
            return "spoilt"
        if "raise" in answer:
            raise RuntimeError(answer["raise"])
        if "fail" in answer:
            raise flowir.WorkerFailure(**answer["fail"])
        return answer["value"]

    def outcome(self, ref: str, input: JSON) -> flowir.Success | flowir.Failure:
        """Return the same as `answer`, as a driver tells it to the machine."""
        try:
            return flowir.Success(self.answer(ref, input))
        except flowir.WorkerFailure as error:
            return flowir.Failure(error.code, error.message, error.permanent, error.data)
        except RuntimeError as error:
            return flowir.Failure("worker.error", str(error))

    def _find(self, name: str, script: JSON, input: JSON) -> JSON:
        if is_object(script) and "inputs" in script:
            for n, (expected, below) in enumerate(script["inputs"]):
                if _text(expected) == _text(input):
                    return self._find(f"{name}:{n}", below, input)
            raise AssertionError(f"{name} was asked for {input!r}, which no script expects")
        if is_array(script):
            turn = self._asked[name]
            self._asked[name] += 1
            assert turn < len(script), f"{name} was asked {turn + 1} times"
            return script[turn]
        return script


def _text(value: JSON) -> str:
    return json.dumps(value, sort_keys=True)


def _empty(value: JSON) -> None:
    for item in value if is_array(value) else ():
        if is_array(item) or is_object(item):
            item.clear()
    value.clear()
