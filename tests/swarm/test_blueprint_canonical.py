from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowir.door import parse_json
from flowir.values import same
from swarm.blueprint.canonical import canonical_bytes, digest_of

_SCALARS: Any = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
_VALUES: Any = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4)
)


def test_keys_are_sorted_and_nothing_is_escaped_that_need_not_be() -> None:
    document = {"b": "ü", "a": [1, {"z": None, "y": True}]}
    assert canonical_bytes(document) == '{"a":[1,{"y":true,"z":null}],"b":"ü"}'.encode()


def test_an_integer_and_a_float_are_not_the_same_bytes() -> None:
    assert canonical_bytes({"n": 5}) != canonical_bytes({"n": 5.0})


def test_large_integers_are_exact() -> None:
    assert canonical_bytes({"n": 2**53 + 1}) == b'{"n":9007199254740993}'


def test_what_is_not_finite_has_no_spelling() -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_bytes({"n": float("nan")})


@given(st.dictionaries(_TEXTS, _VALUES, max_size=5))
def test_the_bytes_read_back_as_the_same_document(document: dict[str, Any]) -> None:
    spelled = canonical_bytes(document)
    read = parse_json(spelled)
    assert same(read, document)
    assert canonical_bytes(read) == spelled


def test_the_digest_does_not_depend_on_the_process() -> None:
    script = (
        "from swarm.blueprint.canonical import digest_of\n"
        "print(digest_of({name: list(name) for name in set('flow agents id'.split())}))"
    )
    seen = {
        subprocess.run(  # noqa: S603  # our own interpreter
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("0", "1", "2")
    }
    here = digest_of({name: list(name) for name in ("id", "flow", "agents")})
    assert seen == {here}
    assert len(here) == 64


@given(_VALUES)
def test_the_digest_is_that_of_the_bytes(value: Any) -> None:
    assert digest_of(value) == hashlib.sha256(canonical_bytes(value)).hexdigest()


@pytest.mark.parametrize(
    "value",
    [
        "",
        "\x00\x1f\x7f\x85\u2028\u2029\ufeff\uffff\U0010ffff",
        '"\\/\b\f\n\r\t',
        2**64,
        -(10**400),
        -0.0,
    ],
)
def test_the_digest_of_what_encoders_spell_in_several_ways(value: Any) -> None:
    assert digest_of(value) == hashlib.sha256(canonical_bytes(value)).hexdigest()
