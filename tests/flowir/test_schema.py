from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings

from flowir.nodes import NODE_FIELDS, OP_FIELDS
from flowir.schema import schema
from flowir.wire import dump
from tests.flowir.strategies import documents, flows
from tests.flowir.test_wire import MALFORMED, MALFORMED_EXPRS, assign

_JUDGE: Any = jsonschema.Draft202012Validator(schema())

# What a schema has no words for: unique ids, bound variables, whatever is no JSON; and
# what it says otherwise: 3.0 is an integer there, `$` may stand before a last line break.
_BEYOND = (
    "an id that no other",
    "a bound",
    "got 3.0",
    "got inf",
    "lone surrogate",
    "finite number",
    "64 bit",
    "a tuple",
    "string keys",
)
_BEYOND_VALUES = ("ud800", "a\\n", str(10**30))


def _is_beyond(document: Any, says: str) -> bool:
    text = repr(document)
    return any(word in says for word in _BEYOND) or any(word in text for word in _BEYOND_VALUES)


def test_the_schema_is_a_schema_and_json() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    assert json.loads(json.dumps(schema())) == schema()


def test_no_two_schemas_share_their_parts() -> None:
    schema()["$defs"]["retry"]["properties"].clear()
    assert schema()["$defs"]["retry"]["properties"]


def test_each_kind_and_op_has_a_definition() -> None:
    names = set(schema()["$defs"])
    assert {f"node.{kind}" for kind in (*NODE_FIELDS, "let")} <= names
    assert {f"expr.{op}" for op in OP_FIELDS} <= names


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents())
def test_what_loads_is_valid(document: Any) -> None:
    _JUDGE.validate(document)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(flows())
def test_what_is_dumped_is_valid(flow: Any) -> None:
    _JUDGE.validate(dump(flow))


@pytest.mark.parametrize(
    ("document", "says"),
    [
        *((d, says) for d, says in MALFORMED if not _is_beyond(d, says)),
        *((assign(value=e), says) for e, says in MALFORMED_EXPRS if not _is_beyond(e, says)),
    ],
    ids=lambda v: str(v)[:60],
)
def test_what_does_not_load_is_not_valid(document: Any, says: str) -> None:
    assert not _JUDGE.is_valid(document), says


def test_an_error_is_told_of_one_kind_only() -> None:
    errors = list(_JUDGE.iter_errors({"kind": "seq", "children": [{"kind": "step", "ref": "a"}]}))
    assert [error.message for error in errors] == ["'in' is a required property"]
