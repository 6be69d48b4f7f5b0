"""How control leaves a block, read off the tree: what may be lowered without flags.

`jumps`: by return, break or goto, always. `raises`: by `error`. `falls`: by its end, or
it raises. `maybe`: it may jump, or fall. A loop's own `break` does not leave the block
around the loop.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

from flowir.syntax import Call, Name, Return, Syntax
from swarm.lua.syntax import (
    Break,
    CallStatement,
    Do,
    GenericFor,
    Goto,
    If,
    NumericFor,
    Repeat,
    While,
)

__all__ = ("Body", "Leaves", "arms_of", "delivers_directly", "leaves", "pushed_arm", "returns_of")

Body: TypeAlias = tuple[Syntax, ...]
Leaves: TypeAlias = Literal["jumps", "raises", "falls", "maybe"]

# How often what follows an `if` is moved into one of its arms; beyond, a flag guards it.
_MOST_PUSHED = 12


def leaves(body: Body) -> Leaves:
    """Tell how control leaves *body*."""
    for statement in body:
        how = _statement_leaves(statement)
        if how != "falls":
            return how if how != "maybe" or statement is body[-1] else _after(body, statement)
    return "falls"


def _after(body: Body, statement: Syntax) -> Leaves:
    """Tell how a block leaves that may jump at *statement*, and goes on behind it."""
    rest = body[[one is statement for one in body].index(True) + 1 :]
    return "jumps" if leaves(rest) == "jumps" else "maybe"


def _statement_leaves(statement: Syntax) -> Leaves:
    match statement:
        case Return() | Break() | Goto():
            return "jumps"
        case CallStatement(call=Call(function=Name(name="error"))):
            return "raises"
        case Do(body=body):
            return leaves(body)
        case If():
            return _joined({leaves(body) for body in arms_of(statement)})
        case While() | Repeat() | NumericFor() | GenericFor():
            return "maybe" if any(True for _ in _jumps_out(statement.body)) else "falls"
        case _:
            return "falls"


def _joined(arms: set[Leaves]) -> Leaves:
    if len(arms) == 1:
        return next(iter(arms))
    if arms == {"falls", "raises"}:
        return "falls"
    return "jumps" if arms == {"jumps", "raises"} else "maybe"


def _jumps_out(body: Body) -> Iterator[Syntax]:
    """Yield each `return` or `goto` inside a loop's body: either may leave the loop."""
    for statement in body:
        match statement:
            case Return() | Goto():
                yield statement
            case Do() | While() | Repeat() | NumericFor() | GenericFor():
                yield from _jumps_out(statement.body)
            case If():
                for arm in arms_of(statement):
                    yield from _jumps_out(arm)
            case _:
                pass


def arms_of(statement: If) -> list[Body]:
    """Return the bodies of an `if`, the empty one of a missing `else` included."""
    return [*(arm.body for arm in statement.arms), statement.otherwise or ()]


def pushed_arm(statement: If, pushed: int) -> int | None:
    """Return the arm into which what follows may be moved: the only one that reaches it.

    None where no arm jumps, or where flags are needed: *pushed* counts the moves so far.
    """
    arms = [leaves(body) for body in arms_of(statement)]
    if pushed >= _MOST_PUSHED or "jumps" not in arms or "maybe" in arms:
        return None
    return arms.index("falls") if arms.count("falls") == 1 else None


def returns_of(body: Body) -> list[Return]:
    """Return every `return` of a function with this body, its inner functions' left out."""
    return [found for found in _jumps_out(body) if isinstance(found, Return)]


def delivers_directly(body: Body) -> bool:
    """Tell whether each `return` is the last thing that its function does.

    KEEP IN STEP with statements.py, which moves what follows an `if` in the same way.
    """
    pushed = 0
    for statement in body:
        if isinstance(statement, Return):
            return True
        if not returns_of((statement,)):
            continue
        if isinstance(statement, Do) and leaves(statement.body) == "jumps":
            return delivers_directly(statement.body)
        if not isinstance(statement, If):
            return False
        arms = arms_of(statement)
        settled = all(leaves(arm) in ("jumps", "raises") for arm in arms)
        if not settled and pushed_arm(statement, pushed) is None:
            return False
        if not all(map(delivers_directly, arms)):
            return False
        pushed += 1
    return True
