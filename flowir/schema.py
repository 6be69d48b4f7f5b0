"""The JSON Schema of a flow document, generated from the tables of the language.

For editors and for other languages' programs. A schema can't say everything: what is
bound where, unique ids, how deep and how large; `load` is the judge.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from flowir.errors import CODE_PATTERN
from flowir.limits import DEFAULT_LIMITS, INT_MAX
from flowir.nodes import JOINS, NODE_FIELDS, OP_FIELDS, FieldSpec
from flowir.wire_nodes import KINDS, NULL_IS_ABSENT, SPELLINGS

__all__ = ("schema",)

Schema = dict[str, Any]

_NAME = "[A-Za-z_][A-Za-z0-9_]*"
_SEGMENTS = (
    r"(?:\.[^\s.\[\]\"'$@]+"
    r"|\[(?:0|-?[1-9][0-9]{0,16})\]"
    r'|\["(?:[^"\\\u0000-\u001f]|\\.)+"\]'
    r"|\['(?:[^'\\\u0000-\u001f]|\\.)+'\])*$"
)
_NOT_EMPTY: Schema = {"type": "string", "minLength": 1}


def schema() -> Schema:
    """Build the JSON Schema (2020-12) of a flow document.

    Shape: one definition for each node kind and each op, under `$defs`.
    """
    kinds = {kind: _node(kind, kind) for kind in NODE_FIELDS}
    kinds |= {read: _node(read, written) for read, written in SPELLINGS.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A flow",
        "$ref": "#/$defs/node",
        "$defs": {
            "node": _tagged("kind", kinds),
            "expr": _tagged("op", OP_FIELDS),
            **deepcopy(_TYPES),
            **{f"node.{kind}": kinds[kind] for kind in kinds},
            **{f"expr.{op}": _op(op) for op in OP_FIELDS},
        },
    }


def _tagged(tag: str, words: dict[str, Any]) -> Schema:
    """Choose the definition by the tag, so that an error is told of one kind only."""
    owner = "node" if tag == "kind" else "expr"
    return {
        "type": "object",
        "required": [tag],
        "properties": {tag: {"enum": list(words)}},
        "allOf": [
            {
                "if": {"properties": {tag: {"const": word}}, "required": [tag]},
                "then": {"$ref": f"#/$defs/{owner}.{word}"},
            }
            for word in words
        ],
    }


def _node(spelling: str, kind: str) -> Schema:
    out = _fields("kind", spelling, NODE_FIELDS[kind])
    out["description"] = (KINDS[kind].__doc__ or "").strip()
    out["properties"] |= {
        "id": {"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,63}$"},
        "implicit": {"type": "boolean"},
    }
    if "quorum" in NODE_FIELDS[kind]:
        out |= {
            "if": {"properties": {"join": {"const": "quorum"}}},
            "then": {"required": ["quorum"]},
            "else": {"properties": {"quorum": False}},
        }
    return out


def _op(op: str) -> Schema:
    return _fields("op", op, OP_FIELDS[op])


def _fields(tag: str, word: str, table: dict[str, FieldSpec]) -> Schema:
    return {
        "type": "object",
        "properties": {tag: {"const": word}} | {n: _field(n, s) for n, s in table.items()},
        "required": [tag, *(name for name, spec in table.items() if spec.required)],
        "additionalProperties": False,
    }


def _field(name: str, spec: FieldSpec) -> Schema:
    field = {"$ref": f"#/$defs/{spec.type}"}
    return {"anyOf": [field, {"type": "null"}]} if name in NULL_IS_ABSENT else field


def _list_of(type_: str) -> Schema:
    return {"type": "array", "items": {"$ref": f"#/$defs/{type_}"}}


def _path(roots: str) -> Schema:
    return {"type": "string", "pattern": f"^(?:{roots}){_SEGMENTS}"}


_SECONDS: Schema = {"type": "number", "minimum": 0}
_CONTEXT = r"\$|ctx"

# A definition for each type that the tables of the language name.
_TYPES: dict[str, Schema] = {
    "name": _NOT_EMPTY,
    "nodes": _list_of("node"),
    "exprs": _list_of("expr"),
    "fields": {"type": "object", "additionalProperties": {"$ref": "#/$defs/expr"}},
    "json": {},
    "var": {"type": "string", "pattern": f"^{_NAME}$"},
    "path": _path(f"{_CONTEXT}|@{_NAME}"),
    "place": _path(_CONTEXT),
    "target": {
        "anyOf": [
            {"$ref": "#/$defs/place"},
            {
                "type": "object",
                "properties": {"op": {"const": "path"}, "at": {"$ref": "#/$defs/place"}},
                "required": ["op", "at"],
                "additionalProperties": False,
            },
        ]
    },
    "bool": {"type": "boolean"},
    "count": {"type": "integer", "minimum": 0, "maximum": DEFAULT_LIMITS.iterations},
    "count_expr": {
        "anyOf": [
            {"type": "integer", "minimum": 1, "maximum": INT_MAX},
            {"$ref": "#/$defs/expr"},
        ]
    },
    "positive": {"type": "number", "exclusiveMinimum": 0},
    "join": {"enum": list(JOINS)},
    "code": {"type": "string", "pattern": f"^{CODE_PATTERN}$"},
    "codes": _list_of("code"),
    "retry": {
        "type": "object",
        "properties": {
            "max_attempts": {"type": "integer", "minimum": 1},
            "delay_s": _SECONDS,
            "factor": {"type": "number", "exclusiveMinimum": 0},
            "max_delay_s": _SECONDS,
            "jitter": {"type": "number", "minimum": 0, "maximum": 1},
            "on": {"$ref": "#/$defs/codes"},
        },
        "additionalProperties": False,
    },
}
