"""docs/operator-protocol.md says what the code does: its tables are printed from there.

SWARM_WRITE_DOCS=1 writes what has changed.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel

from swarm.operators import frames
from swarm.operators.faults import FAULTS
from swarm.operators.frames import FROM_HOST, FROM_OPERATOR, Numbered, schemas
from swarm.operators.limits import DEFAULT_BOUNDS
from swarm.operators.states import ORDER, SESSION, rows
from swarm.operators.wire import HANDSHAKE_S, MESSAGE_S

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/operator-protocol.md"
SCHEMAS = ROOT / "docs/operator-frames.json"
_PARTS = ("Resume", "Limits", "OrderBody", "Usage")


def _shape(schema: dict[str, Any]) -> str:
    """Say in a few words what a value is."""
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(word)}`" for word in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_shape(one) for one in schema["anyOf"])
    if "$ref" in schema:
        return f"[{schema['$ref'].rpartition('/')[2]}](#made-of)"
    kind: str = schema.get("type", "any JSON")
    low, high = schema.get("minimum"), schema.get("maximum")
    if kind == "array":
        return f"array of {_shape(schema.get('items', {}))}{_most(schema.get('maxItems'))}"
    if kind == "string":
        return f"string{_most(schema.get('maxLength'))}"
    if low is not None and high is not None and high < 2**53:
        return f"{kind} {low} to {high}"
    return f"{kind}, at least {low}" if low is not None else kind


def _most(most: int | None) -> str:
    return "" if most is None else f", at most {most}"


def _fields(model: type[BaseModel], *, without: frozenset[str]) -> str:
    schema = model.model_json_schema()
    needed = set(schema.get("required", ()))
    lines = ["| field | is | if absent |", "|---|---|---|"]
    for name, one in schema["properties"].items():
        if name in without:
            continue
        absent = "—" if name in needed else f"`{json.dumps(one.get('default'))}`"
        lines.append(f"| `{name}` | {_shape(one)} | {absent} |")
    return "\n".join(lines) if len(lines) > 2 else ""


def _told(model: type[BaseModel]) -> str:
    text = (model.__doc__ or "").replace("Shape: ", "").replace("Units: ", "")
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n")).strip()


def _messages(side: Any) -> str:
    parts: list[str] = []
    common = frozenset({"type", "ack", "epoch", "n"})
    for name, model in cast("dict[str, type[BaseModel]]", side.models).items():
        mark = " **n**" if issubclass(model, Numbered) else ""
        table = _fields(model, without=common)
        parts.append(f"### `{name}`{mark}\n\n{_told(model)}" + (f"\n\n{table}" if table else ""))
    return "\n\n".join(parts)


def _states(table: Any) -> str:
    lines = ["| state | event | then |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {a} | {b} | {c} |" for a, b, c in rows(table))])


def _parts() -> str:
    models = [cast("type[BaseModel]", getattr(frames, name)) for name in _PARTS]
    return "\n\n".join(
        f"### {m.__name__}\n\n{_told(m)}\n\n{_fields(m, without=frozenset())}" for m in models
    )


def _faults() -> str:
    lines = ["| number | code | means | then |", "|---|---|---|---|"]
    for code, fault in FAULTS.items():
        lines.append(f"| {fault.number} | `{code}` | {fault.means} | {fault.then} |")
    return "\n".join(lines)


_BLOCKS = {
    "session": lambda: _states(SESSION),
    "order": lambda: _states(ORDER),
    "from operator": lambda: _messages(FROM_OPERATOR),
    "from host": lambda: _messages(FROM_HOST),
    "parts": _parts,
    "faults": _faults,
}


def _printed(text: str) -> str:
    for name, block in _BLOCKS.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        assert pattern.search(text), name
        text = pattern.sub(lambda m, made=block: f"{m[1]}{made()}\n{m[2]}", text, count=1)
    return text


def _schemas() -> str:
    whole = {"operator": schemas(FROM_OPERATOR), "host": schemas(FROM_HOST)}
    return json.dumps(whole, separators=(",", ":")).replace('},"', '},\n"') + "\n"


def test_the_tables_of_the_page_are_the_codes() -> None:
    text = PAGE.read_text("utf-8")
    made = _printed(text)
    if "SWARM_WRITE_DOCS" in os.environ:
        PAGE.write_text(made, "utf-8")
        SCHEMAS.write_text(_schemas(), "utf-8")
        return
    assert text == made


def test_the_schemas_beside_the_page_are_the_codes() -> None:
    if "SWARM_WRITE_DOCS" not in os.environ:
        assert SCHEMAS.read_text("utf-8") == _schemas()


def test_the_numbers_of_the_page_are_the_codes() -> None:
    text = PAGE.read_text("utf-8")
    bounds = DEFAULT_BOUNDS
    for said in (
        f"more than {bounds.unacked} messages",
        f"at most {bounds.early}.",
        f"hello within {bounds.hello_s:g} s",
        f"not there within {HANDSHAKE_S:g} s",
        f"longer than {MESSAGE_S:g} s",
        "(1 MiB)",
        "above 2 MiB",
    ):
        assert said in text, said
    assert bounds.message_bytes == 1024 * 1024


def test_the_example_session_is_one_that_both_sides_read() -> None:
    """The short form at the top names messages that there are, with the fields they have."""
    text = PAGE.read_text("utf-8")
    shown = re.findall(r"(?:──|←──) (\w+)(?: n=\d)? \{([^}]*)\}", text)
    assert len(shown) >= 6
    models = {**FROM_OPERATOR.models, **FROM_HOST.models}
    for name, fields in shown:
        named = {re.split(r"[: ]", field.strip())[0] for field in fields.split(",")}
        known = set(models[name].model_fields)
        assert {f for f in named if not f.startswith('"')} <= known, name
