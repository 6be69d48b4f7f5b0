"""Every example of docs/flow-ir.md, run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import flowir
from flowir.nodes import NODE_FIELDS, OP_FIELDS

PAGE = "docs/flow-ir.md"
TEXT = (Path(__file__).parents[2] / PAGE).read_text("utf-8")


def _blocks(info: str) -> list[str]:
    return re.findall(rf"^```{info}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


CONTEXT = json.loads(_blocks("json context")[0])
EXPRESSIONS = [line.split("-->") for line in _blocks("lua examples")[0].splitlines()]
FLOWS = [json.loads(block) for block in _blocks("json example")]


@pytest.mark.parametrize(("text", "expected"), EXPRESSIONS)
def test_expression_gives_what_the_page_says(text: str, expected: str) -> None:
    expected = expected.strip()
    if expected.startswith("!"):
        with pytest.raises(flowir.FlowError) as caught:
            flowir.evaluate(text.strip(), CONTEXT)
        assert caught.value.code == expected[1:]
    else:
        value = flowir.evaluate(text.strip(), CONTEXT)
        assert json.dumps(value) == json.dumps(json.loads(expected))


@pytest.mark.parametrize("example", FLOWS, ids=lambda e: e["flow"]["kind"])
def test_flow_ends_as_the_page_says(example: dict[str, Any]) -> None:
    flow = flowir.load(example["flow"])
    dispatch = _answering(example.get("answers", {}))
    if "error" in example:
        with pytest.raises(flowir.FlowError) as caught:
            flowir.run(flow, example["ctx"], dispatch)
        assert caught.value.code == example["error"]
    else:
        assert flowir.run(flow, example["ctx"], dispatch) == example["result"]


def _answering(answers: dict[str, Any]) -> Callable[[str, Any], Any]:
    def dispatch(ref: str, input: Any) -> Any:
        answer: Any = answers[ref].pop(0) if isinstance(answers[ref], list) else answers[ref]
        match answer:
            case {"fails": str() as code}:
                raise flowir.WorkerFailure(code, code)
            case _:
                return answer

    return dispatch


def test_each_node_has_its_section_and_names_its_fields() -> None:
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^### )", TEXT, re.DOTALL | re.MULTILINE))
    for kind, fields in NODE_FIELDS.items():
        stated = re.search(r"^Fields?: (.*)$", sections[kind], re.MULTILINE)
        assert stated is not None, kind
        required, _, optional = stated[1].partition("optional")
        assert set(re.findall(r"`(\w+)`", required)) == {n for n, f in fields.items() if f.required}
        assert set(re.findall(r"`(\w+)`", optional)) == {
            n for n, f in fields.items() if not f.required
        }


def test_each_op_is_in_the_table() -> None:
    table = TEXT[TEXT.index("| op | fields | result |") : TEXT.index("### Externs")]
    named = set(
        re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)))
    )
    assert named == set(OP_FIELDS)


def test_each_standard_extern_is_in_the_table() -> None:
    table = TEXT[TEXT.index("| extern | gives |") : TEXT.index("### Written form")]
    named = set(re.findall(r"`(\w+\.\w+)\(", table))
    assert named == set(flowir.STANDARD_EXTERNS)


@pytest.mark.parametrize("path", ["$foo", "a.b", "$.", "$.a..b", "$.a[", '$.a[""]', '$.a["x"]b'])
def test_paths_the_page_calls_malformed_are(path: str) -> None:
    assert f"`{path}`" in TEXT
    with pytest.raises(flowir.Malformed):
        flowir.load({"kind": "assign", "at": path, "value": {"op": "lit", "value": 1}})
