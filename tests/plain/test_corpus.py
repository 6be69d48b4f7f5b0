"""Ordinary scripts: each lowers whole, checks clean, and does what Lua does."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import flowir
from flowir.errors import WorkerFailure
from tests.plain.both import Batch

CORPUS = Path(__file__).parents[1] / "lua" / "corpus"
SCRIPTS = sorted(CORPUS.glob("*.lua"))
INPUTS: dict[str, list[dict[str, Any]]] = json.loads((CORPUS / "inputs.json").read_text())


class Answers:
    """Agents that answer from a list, over and over; `{"$fails": code}` is a failure."""

    def __init__(self, answers: dict[str, list[Any]]) -> None:
        self._answers = answers
        self._asked: Counter[str] = Counter()

    def __call__(self, name: str, _given: Any, call: int) -> Any:
        if call == 1:
            self._asked.clear()
        listed = self._answers.get(name, [None])
        answer = listed[self._asked[name] % len(listed)]
        self._asked[name] += 1
        if isinstance(answer, dict) and "$fails" in answer:
            raise WorkerFailure(str(answer["$fails"]), "no answer", True, None)
        return answer


def test_there_are_thirty() -> None:
    assert len(SCRIPTS) >= 30
    assert {path.stem for path in SCRIPTS} == set(INPUTS)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_an_ordinary_script_lowers_whole(path: Path) -> None:
    plain = Batch(path.read_text()).lowered(0)
    assert plain.problems == ()
    assert flowir.check(plain.node) == ()


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_an_ordinary_script_does_what_lua_does(path: Path) -> None:
    for case in INPUTS[path.stem]:
        batch = Batch(path.read_text(), Answers(case["answers"]))
        program = batch.program(0)
        for ctx in case["inputs"]:
            assert program.through_machine(ctx) == program.through_lua(ctx), ctx
