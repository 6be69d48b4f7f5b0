"""The language of flows: seven node kinds, pure expressions, and the machine that runs them.

    load        a document becomes a Flow, or Malformed says everything that is wrong
    check       every problem of a document, also what only a careful reader would find
    run         a flow, to its end, in this thread
    Machine     the evaluator itself: asked and answered, for any driver
    evaluate    one expression; parse_expr and format_expr for its written form

Performs no I/O and knows nothing of the host. `docs/flow-ir.md` is the specification.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flowir.check import check
from flowir.door import admit
from flowir.drive import run
from flowir.effects import Cancel, Dispatch, Effect, Failure, Outcome, Success
from flowir.errors import FlowError, Malformed, Problem, ProtocolError, WorkerFailure
from flowir.exprs import evaluate_compiled
from flowir.externs import STANDARD_EXTERNS, registry
from flowir.limits import Limits
from flowir.machine import Machine
from flowir.nodes import Flow
from flowir.schema import schema
from flowir.text import format_expr, parse_expr
from flowir.wire import dump, load, load_expr

__all__ = (
    "STANDARD_EXTERNS",
    "Cancel",
    "Dispatch",
    "Effect",
    "Failure",
    "Flow",
    "FlowError",
    "Limits",
    "Machine",
    "Malformed",
    "Outcome",
    "Problem",
    "ProtocolError",
    "Success",
    "WorkerFailure",
    "check",
    "dump",
    "evaluate",
    "format_expr",
    "load",
    "parse_expr",
    "run",
    "schema",
)


def evaluate(
    expr: Mapping[str, Any] | str,
    ctx: Any,
    *,
    externs: Mapping[str, Callable[..., Any]] | None = None,
) -> Any:
    """Evaluate one expression, in wire form or written as text.

    >>> evaluate("#ctx.files > 1", {"files": ["a", "b"]})
    True

    Raises: Malformed for the expression or the context; FlowError of the evaluation.
    """
    wire = load_expr(parse_expr(expr) if isinstance(expr, str) else expr)
    return evaluate_compiled(wire, admit(ctx), registry(externs))
