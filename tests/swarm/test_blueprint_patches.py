"""RFC 6902 patches, held to the letter and to a size."""

from __future__ import annotations

import copy
from typing import Any

import jsonpointer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.blueprint.patches import applied, difference
from swarm.errors import Refused

DOCUMENT = {"a": [1, 2, 3], "o": {"x": 1, "y": {"z": [True]}}, "t": "text", "n": None, "~/": 5}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=4)
    ),
    max_leaves=10,
)


def op(name: str, path: str, **more: Any) -> dict[str, Any]:
    return {"op": name, "path": path, **{key.rstrip("_"): value for key, value in more.items()}}


@pytest.mark.parametrize(
    ("operation", "place", "value"),
    [
        (op("add", "/a/-", value=4), "/a", [1, 2, 3, 4]),
        (op("add", "/a/0", value=0), "/a", [0, 1, 2, 3]),
        (op("add", "/o/w", value=None), "/o/w", None),
        (op("replace", "/t", value="u"), "/t", "u"),
        (op("remove", "/a/1"), "/a", [1, 3]),
        (op("move", "/m", from_="/o/y"), "/m", {"z": [True]}),
        (op("copy", "/a/1", from_="/t"), "/a", [1, "text", 2, 3]),
        (op("replace", "/~0~1", value=6), "/~0~1", 6),
    ],
)
def test_each_operation_does_what_the_rfc_says(operation: Any, place: str, value: Any) -> None:
    changed = applied(DOCUMENT, [operation])
    assert jsonpointer.resolve_pointer(changed, place) == value


def deep(levels: int) -> Any:
    made: Any = 1
    for _ in range(levels):
        made = [made]
    return made


HOSTILE: list[tuple[str, Any]] = [
    ("no list", {}), ("empty", []), ("65 operations", [op("add", "/a/-", value=1)] * 65),
    ("64 KiB", [op("add", "/x", value="x" * 70_000)]), ("upper case", [op("ADD", "/x", value=1)]),
    ("no value", [op("add", "/x")]), ("extra member", [op("add", "/x", value=1, y=2)]),
    ("no path", [{"op": "remove"}]), ("root replaced", [op("replace", "", value={})]),
    ("root removed", [op("remove", "")]), ("root tested", [op("test", "", value=DOCUMENT)]),
    ("root added", [op("add", "", value={})]), ("copied from root", [op("copy", "/x", from_="")]),
    ("index -1", [op("remove", "/a/-1")]), ("index 00", [op("remove", "/a/00")]),
    ("index 01", [op("replace", "/a/01", value=1)]), ("index +1", [op("remove", "/a/+1")]),
    ("index 1e0", [op("remove", "/a/1e0")]), ("index ' 0'", [op("remove", "/a/ 0")]),
    ("index 0x1", [op("remove", "/a/0x1")]), ("arabic", [op("remove", "/a/\u0661")]),
    ("huge", [op("remove", "/a/99999999999")]), ("beyond", [op("add", "/a/4", value=1)]),
    ("dash removed", [op("remove", "/a/-")]), ("dash replaced", [op("replace", "/a/-", value=1)]),
    ("dash tested", [op("test", "/a/-", value=1)]), ("dash from", [op("copy", "/x", from_="/a/-")]),
    ("missing replaced", [op("replace", "/nope", value=1)]), ("missing", [op("remove", "/nope")]),
    ("into own child", [op("move", "/o/y/w", from_="/o")]),
    ("onto its parent", [op("move", "/o", from_="/o/y")]),
    ("ancestor", [op("copy", "/o/y/w", from_="/o")]), ("no slash", [op("remove", "a")]),
    ("bad escape", [op("remove", "/~2")]), ("lone tilde", [op("remove", "/~")]),
    ("fragment", [op("remove", "#/a")]), ("below a string", [op("add", "/t/0", value=1)]),
    ("below a number", [op("add", "/a/0/x", value=1)]), ("noop", [op("test", "/t", value="text")]),
    ("move onto itself", [op("move", "/t", from_="/t")]),
    ("bool for int", [op("test", "/o/x", value=True), op("remove", "/t")]),
    ("other value", [op("test", "/t", value="no")]),
    ("second fails", [op("remove", "/t"), op("remove", "/t")]),
    ("doubling", [op("copy", f"/x{n + 1}", from_=f"/x{n}" if n else "/big") for n in range(40)]),
    ("too deep", [op("add", "/x", value=deep(400))]),
    ("not finite", [op("add", "/x", value=float("nan"))]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "operations"), HOSTILE, ids=[name for name, _ in HOSTILE])
def test_a_hostile_patch_changes_nothing(name: str, operations: Any) -> None:
    document = copy.deepcopy(DOCUMENT)
    if name == "doubling":
        document["big"] = "x" * 1_000_000
    before = copy.deepcopy(document)
    with pytest.raises(Refused) as caught:
        applied(document, operations)
    assert caught.value.code.startswith("patch.")
    assert document == before


@given(old=VALUES, new=VALUES)
def test_the_difference_of_two_makes_the_one_of_the_other(old: Any, new: Any) -> None:
    before, after = {"v": old}, {"v": new}
    operations = difference(before, after)
    if 0 < len(operations) <= 64:
        assert applied(before, operations) == after
