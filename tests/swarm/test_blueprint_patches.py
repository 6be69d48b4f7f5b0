"""RFC 6902 patches, held to the letter and to a size."""

from __future__ import annotations

import copy
from typing import Any

import jsonpointer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowir.door import admit_measured
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


# -- what is said, and at which operation ----------------------------------------------------

OPS = "add, replace, test, remove, move, copy"
MALFORMED: list[tuple[Any, int | None, str]] = [
    ({}, None, "expected a list of operations, got {}"),
    ([], None, "expected a list of operations, got []"),
    ([op("remove", "/t")] * 65, None, "expected at most 64 operations, got 65"),
    ([5], 0, f"expected an op of {OPS}, got null"),
    ([op("remove", "/t"), op("ADD", "/x")], 1, f"expected an op of {OPS}, got 'ADD'"),
    ([{"op": ["add"]}], 0, f"expected an op of {OPS}, got ['add']"),
    ([op("add", "/x")], 0, "expected the members op, path, value, got ['op', 'path']"),
    ([op("move", "/x")], 0, "expected the members from, op, path, got ['op', 'path']"),
    ([op("remove", "a")], 0, "expected a pointer such as '/flow', got 'a'"),
    ([op("copy", "/x", from_=5)], 0, "expected a pointer such as '/flow', got 5"),
    ([op("remove", "")], 0, "expected a path below the document, got all of it"),
    ([op("copy", "/x", from_="")], 0, "expected a from below the document, got all of it"),
    ([op("move", "/o/y", from_="/o")], 0, "expected a place outside of '/o', got '/o/y'"),
    (
        [op("move", "/o", from_="/o/y")],
        0,
        "expected a place that does not hold '/o/y', got '/o'",
    ),
    (
        [op("add", "/x", value={1})],
        None,
        "$[0].value: expected a JSON value, got a set — write a list",
    ),
]


@pytest.mark.parametrize(("operations", "number", "said"), MALFORMED)
def test_what_is_no_patch_is_told_at_its_operation(
    operations: Any, number: int | None, said: str
) -> None:
    with pytest.raises(Refused) as caught:
        applied(DOCUMENT, operations)
    place = "patch" if number is None else f"patch[{number}]"
    assert caught.value.code == "patch.malformed"
    assert str(caught.value) == f"{place}: {said}"
    assert caught.value.values["op"] == number


FAILED: list[tuple[dict[str, Any], str]] = [
    (op("remove", "/a/3"), "no item '3'"),
    (op("remove", "/a/-"), "no item '-'"),
    (op("replace", "/a/3", value=1), "no item '3'"),
    (op("add", "/a/4", value=1), "no item '4'"),
    (op("add", "/a/01", value=1), "no item '01'"),
    (op("copy", "/a/0", from_="/a/-"), "no item '-'"),
    (op("copy", "/a/0", from_="/a/3"), "no item '3'"),
    (op("remove", "/o/~1"), "no member '/'"),
    (op("remove", "/o/~01"), "no member '~1'"),
    (op("add", "/nope/x", value=1), "no member 'nope'"),
    (op("move", "/x", from_="/nope"), "no member 'nope'"),
    (op("add", "/t/0", value=1), "nothing can be below 'text'"),
    (op("add", "/a/0/x", value=1), "nothing can be below 1"),
    (op("test", "/t", value="no"), "expected 'no' there, found 'text'"),
    (op("test", "/o/x", value=True), "expected true there, found 1"),
]


@pytest.mark.parametrize(("operation", "why"), FAILED)
def test_what_cannot_be_carried_out_is_told_with_its_reason(
    operation: dict[str, Any], why: str
) -> None:
    with pytest.raises(Refused) as caught:
        applied(DOCUMENT, [op("remove", "/n"), operation])
    place = f"patch[1]: {operation['op']} {operation['path']!r}"
    said = f"{place}: expected to be carried out, got: {why}"
    assert (caught.value.code, str(caught.value)) == ("patch.failed", said)
    assert caught.value.values["op"] == 1


@pytest.mark.parametrize(
    ("operations", "changed"),
    [
        ([op("add", "/a/3", value=4)], {"a": [1, 2, 3, 4]}),
        ([op("copy", "/a/3", from_="/a/2")], {"a": [1, 2, 3, 3]}),
        ([op("move", "/a/-", from_="/a/0")], {"a": [2, 3, 1]}),
        ([op("test", "/o/x", value=1), op("remove", "/o/x")], {"o": {"y": {"z": [True]}}}),
        ([op("test", "/a/2", value=3), op("remove", "/a/2")], {"a": [1, 2]}),
        ([op("move", "/t", from_="/t"), op("remove", "/a")], {"a": None}),
        ([op("move", "/tt", from_="/t")], {"tt": "text", "t": None}),
        ([op("copy", "/t", from_="/~0~1")], {"t": 5}),
    ],
)
def test_what_can_be_carried_out_is(operations: Any, changed: dict[str, Any]) -> None:
    expected = {**DOCUMENT, **changed}
    gone = {name for name, value in changed.items() if value is None}
    assert applied(DOCUMENT, operations) == {k: v for k, v in expected.items() if k not in gone}


def test_a_patch_is_as_large_as_it_may_be_and_no_larger() -> None:
    assert applied(DOCUMENT, [op("remove", "/t"), *[op("add", "/a/-", value=1)] * 63]) != DOCUMENT
    bare = admit_measured([op("add", "/x", value="")])[1]
    whole = "x" * (65_536 - bare)
    assert applied(DOCUMENT, [op("add", "/x", value=whole)])["x"] == whole
    patch = [op("add", "/x", value=f"{whole}x")]
    with pytest.raises(Refused) as caught:
        applied(DOCUMENT, patch)
    said = "patch: expected a patch of at most 65536 bytes, got 65537"
    assert (caught.value.code, str(caught.value)) == ("patch.malformed", said)


def test_a_patch_that_changes_nothing_and_one_that_makes_too_much_are_told_apart() -> None:
    with pytest.raises(Refused) as caught:
        applied(DOCUMENT, [op("replace", "/t", value="u"), op("replace", "/t", value="text")])
    assert (caught.value.code, str(caught.value)) == (
        "patch.noop", "patch: expected a change, got none",
    )  # fmt: skip
    doubling = [op("copy", f"/x{n + 1}", from_=f"/x{n}" if n else "/big") for n in range(40)]
    with pytest.raises(Refused) as caught:
        applied({"big": "x" * 1_000_000}, doubling)
    number = caught.value.values["op"]
    assert caught.value.code == "patch.too_large"
    assert str(caught.value).startswith(f"patch[{number}]: ")
    assert 0 < number < 40
