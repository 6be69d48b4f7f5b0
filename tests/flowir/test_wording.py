"""Expressions in fewer words: only what guards a read goes, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from flowir.printer import format_expr
from flowir.show.wording import plainly
from flowir.text import parse_expr


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("default(ctx.a, nil)", "ctx.a"),
        ("default(ctx.a, false)", "ctx.a"),
        ("default(ctx.a, 0)", "default(ctx.a, 0)"),
        ("all_of(ctx.a)", "ctx.a"),
        ("all_of(ctx.a, ctx.b)", "ctx.a and ctx.b"),
        ("iif(ctx.a == lit{}, array{}, ctx.a)", "ctx.a"),
        ("iif(ctx.a == lit{}, array{}, ctx.b)", "iif(ctx.a == lit{}, array{}, ctx.b)"),
        ("iif(ctx.a, ctx.a, ctx.b)", "ctx.a or ctx.b"),
        ("iif(ctx.a, ctx.b, ctx.a)", "ctx.a and ctx.b"),
        ("iif(ctx.a, ctx.b, ctx.c)", "iif(ctx.a, ctx.b, ctx.c)"),
        ("not default(ctx.a, nil)", "not ctx.a"),
        (
            "{ x = default(ctx.a, nil), y = { default(ctx.b, nil) } }",
            "{ x = ctx.a, y = { ctx.b } }",
        ),
    ],
)
def test_an_expression_is_shown_without_its_guards(written: str, shown: str) -> None:
    assert format_expr(plainly(parse_expr(written))) == shown


def get(key: Any) -> dict[str, Any]:
    path = {"op": "path", "at": "$.a"}
    return {"op": "get", "of": path, "key": {"op": "lit", "value": key}}


@pytest.mark.parametrize(("key", "at"), [("b", "$.a.b"), (0, "$.a[0]"), ("x y", '$.a["x y"]')])
def test_a_member_by_a_known_key_is_a_path(key: Any, at: str) -> None:
    assert plainly(get(key)) == {"op": "path", "at": at}


@pytest.mark.parametrize("key", ["", True, None, 1.5, 2**63 - 1, -(2**63)])
def test_a_member_by_what_no_path_can_say_stays(key: Any) -> None:
    assert plainly(get(key)) == get(key)
