"""Documents: flows and expressions as JSON holds them, in and out (flow-ir.md §4).

`load` refuses whatever is not well formed and says every reason at once; `dump` writes
the canonical form, which loads as what was dumped. Written are:

- write targets as `path` expressions: readers of flow.ir want them so;
- paths in their canonical spelling, from `$`;
- no optional field that is absent or says what its absence says.

Knows nothing of what a flow does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flowir.door import parse_json
from flowir.errors import FlowError, Malformed, Problem
from flowir.limits import DEFAULT_LIMITS, Limits
from flowir.nodes import NODE_FIELDS, Expr, Flow, Node, Retry
from flowir.path import Path, format_path
from flowir.report import Report, Stopped, in_document_order
from flowir.values import private_copy
from flowir.wire_exprs import MEASURE_PER_BYTE, ExprReader
from flowir.wire_nodes import KINDS, RETRY_FIELDS, NodeReader

__all__ = ("dump", "load", "load_expr", "parse_document")

_Todo = list[tuple[Node, dict[str, Any]]]
Document = Mapping[str, Any] | str | bytes

# A node and its list of children, an expression and its list of operands: two levels of
# JSON each; a policy and its codes, below.
_LEVELS_EACH = 2


def load(document: Document, *, limits: Limits = DEFAULT_LIMITS) -> Flow:
    """Read a flow from a document: JSON text, its bytes, or the object.

    >>> load('{"kind": "seq", "children": []}').root
    Seq(id=None, implicit=False, children=())

    Raises: Malformed, with every reason, from the top of the document to its end.
    """
    parsed = parse_document(document, limits=limits)
    report = Report()
    try:
        root = NodeReader(report, limits).read(parsed)
    except Stopped:
        root = None
    if root is None:
        raise Malformed(in_document_order(report.problems, parsed))
    return Flow(root, limits)


def parse_document(document: Document, *, limits: Limits = DEFAULT_LIMITS) -> Any:
    """Parse the text of a document; an object is returned as it is.

    Raises: Malformed.
    """
    if not isinstance(document, str | bytes):
        return document
    size = len(document)
    if isinstance(document, str) and not document.isascii():
        size = len(document.encode("utf-8", "surrogatepass"))
    if size > limits.document_bytes:
        message = f"expected a document of at most {limits.document_bytes} bytes, got {size}"
        raise Malformed([Problem("malformed", "$", message)])
    deepest = (limits.node_depth + limits.expr_depth) * _LEVELS_EACH + limits.value_depth
    roomy = replace(
        limits,
        value_depth=deepest,
        value_size=limits.document_bytes * MEASURE_PER_BYTE,
        containers=limits.document_containers,
    )
    try:
        return parse_json(document, limits=roomy, max_bytes=limits.document_bytes)
    except Malformed:
        raise
    except FlowError as e:  # a value would be too large; a document is malformed
        raise Malformed([Problem("malformed", e.at, e.message)]) from None


def load_expr(
    value: Any,
    *,
    at: str = "$",
    bound: frozenset[str] = frozenset(),
    limits: Limits = DEFAULT_LIMITS,
) -> Expr:
    """Read one expression: a private copy in canonical form.

    >>> load_expr({"op": "path", "at": "ctx['a']"})
    {'op': 'path', 'at': '$.a'}

    Shape: *bound* are the variables that may be read; *at* is the expression's place.
    Raises: Malformed, with every reason.
    """
    report = Report()
    try:
        expr: Expr = ExprReader(report, limits).read(value, at, bound)
    except Stopped:
        expr = {}
    if report.problems:
        raise Malformed(in_document_order(report.problems, value, at))
    return expr


def dump(what: Flow | Node | Expr) -> dict[str, Any]:
    """Write a flow, a node or an expression as its canonical document.

    >>> dump(load('{"kind": "let", "at": "ctx.x", "value": {"op": "lit", "value": 1}}'))["at"]
    {'op': 'path', 'at': '$.x'}
    """
    if isinstance(what, Mapping):
        return private_copy(dict(what))
    root: dict[str, Any] = {}
    todo: _Todo = [(what.root if isinstance(what, Flow) else what, root)]
    while todo:
        node, out = todo.pop()
        _dump_node(node, out, todo)
    return root


def _dump_node(node: Node, out: dict[str, Any], todo: _Todo) -> None:
    kind = _KIND_OF[type(node)]
    out["kind"] = kind
    if node.id is not None:
        out["id"] = node.id
    for name, spec in NODE_FIELDS[kind].items():
        value: Any = getattr(node, spec.attr or name)
        if value is None or value is True:  # absent, or what its absence says
            continue
        if spec.type == "node":
            out[name] = {}
            todo.append((value, out[name]))
        elif spec.type == "nodes":
            out[name] = _dump_children(value, todo)
        else:
            out[name] = _dump_field(value)
    if node.implicit:
        out["implicit"] = True


def _dump_children(inner: tuple[Node, ...], todo: _Todo) -> list[dict[str, Any]]:
    outs: list[dict[str, Any]] = [{} for _ in inner]
    todo.extend(zip(inner, outs, strict=True))
    return outs


def _dump_field(value: Any) -> Any:
    match value:
        case Path():
            return {"op": "path", "at": format_path(value)}
        case Retry():
            return _dump_retry(value)
        case tuple():
            return [*value]
        case _:
            return private_copy(value)


def _dump_retry(retry: Retry) -> dict[str, Any]:
    out = {name: getattr(retry, name) for name in RETRY_FIELDS}
    plain = Retry()
    out = {name: value for name, value in out.items() if value != getattr(plain, name)}
    if retry.on is not None:
        out["on"] = list(retry.on)
    return out


_KIND_OF = {cls: kind for kind, cls in KINDS.items()}
