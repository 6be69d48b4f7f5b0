"""Everything that can be said against a flow before it runs, at once.

malformed           the document is no flow (then nothing else is looked at)
extern.unknown      nobody registered this function
extern.arity        a standard extern with too many or too few arguments
ref.unknown         nobody does steps of this name (only where the names are given)
path.unwritten      a read that finds nothing, as nothing can have written there
node.unreachable    a node that no run arrives at
cond.not_boolean    a branch that always fails on its condition
text.or_value       `a or b` where Lua gives a value, and this language a boolean
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from flowir.errors import Malformed, Problem
from flowir.nodes import Flow
from flowir.reach import unwritten
from flowir.report import in_document_order
from flowir.rules import Rules
from flowir.wire import dump, load, parse_document

__all__ = ("check",)


def check(
    flow_or_document: Flow | Mapping[str, Any] | str | bytes,
    *,
    externs: Mapping[str, Callable[..., Any]] | Collection[str] | None = None,
    refs: Collection[str] | None = None,
    inputs: Mapping[str, Any] | None = None,
) -> tuple[Problem, ...]:
    """Return every problem of a flow, from the top of its document to the end.

    Shape: *externs* are the host's own functions, or their names; *refs* the names of
    what does steps; *inputs* the JSON Schema of the first context. What is not given is
    not judged: without *inputs*, no read that the first context may answer.
    """
    document = flow_or_document
    try:
        if isinstance(document, Flow):
            flow, document = document, dump(document)
        else:
            document = parse_document(document)
            flow = load(document)
    except Malformed as e:
        return e.problems
    found = [*Rules(externs, refs).problems(flow), *unwritten(flow, inputs)]
    return in_document_order(found, document)
