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


# Of fifteen scripts that were written before anybody looked at what is lowered, two were
# refused, and stand in the corpus as their hints say; a third made helpers that change a
# table of their caller be lowered.
REFUSED = {
    "ab_prompts": [(27, "math.huge: a number of a flow is finite", "begin with the first of")],
    "newsletter": [
        (
            26,
            "changes a table that list[…][…] may reach",
            "begin the loop with local own = copy(item)",
        ),
        (26, "changes a table that list[…] may reach", "write copy(…) where list_2 is set"),
        (
            26,
            "changes a table that items[…] may reach",
            "begin the loop with local own = copy(item)",
        ),
    ],
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_script_that_is_refused_says_what_its_twin_in_the_corpus_does(name: str) -> None:
    plain = Batch((CORPUS / "refused" / f"{name}.lua").read_text()).lowered(0)
    told = [(where.line, problem) for where, problem in plain.problems]
    for (line, problem), (expected, why, hint) in zip(told, REFUSED[name], strict=True):
        assert line == expected
        assert why in problem.message
        assert hint in (problem.hint or "")
    assert CORPUS / f"{name}.lua" in SCRIPTS


def test_there_are_enough() -> None:
    assert len(SCRIPTS) >= 59
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
