"""References: what is kept apart, and how it is read again."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from flowir import FlowError
from flowir.limits import DEFAULT_LIMITS
from swarm.core import outputs
from swarm.core.outputs import keep, read, reference_of
from swarm.errors import Refused, SwarmError

pytestmark = pytest.mark.anyio


async def again(value: Any, body: bytes) -> Any:
    async def get(digest: str) -> bytes:
        assert digest == value["$ref"].removeprefix("sha256:")
        return body

    return await read(get, value, "r_1", "$.a")


@pytest.mark.parametrize(
    ("value", "type_", "body"),
    [
        ("grüße\n", "text", "grüße\n".encode()),
        ("", "text", b""),
        (b"\x00\xff", "bytes", b"\x00\xff"),
        ({"a": [1, 2.5, None]}, "json", b'{"a":[1,2.5,null]}'),
        (7, "json", b"7"),
        (None, "json", b"null"),
    ],
)
async def test_a_value_comes_back_as_it_was_kept(value: Any, type_: str, body: bytes) -> None:
    kept = keep(value, DEFAULT_LIMITS)
    wire = kept.reference.to_wire()
    assert (kept.body, wire["type"], wire["size"]) == (body, type_, len(body))
    assert wire["$ref"] == f"sha256:{sha256(body).hexdigest()}"
    assert reference_of(wire) == kept.reference
    assert await again(wire, kept.body) == value


@pytest.mark.parametrize("value", [float("nan"), (1, 2), {1: 2}, "\ud800", object(), 2**63])
def test_what_is_no_data_is_not_kept(value: Any) -> None:
    with pytest.raises(FlowError) as refused:
        keep(value, DEFAULT_LIMITS, "report")
    assert refused.value.code == "malformed"
    assert str(refused.value).startswith("report: ")


def test_data_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "MAX_BYTES", 10)
    assert keep("0123456789", DEFAULT_LIMITS).reference.size == 10
    with pytest.raises(FlowError) as refused:
        keep(b"0123456789a", DEFAULT_LIMITS)
    assert refused.value.code == "value.too_large"


REF = "sha256:" + "0" * 64
WHOLE = {"$ref": REF, "size": 1, "type": "text"}


@pytest.mark.parametrize(
    "value",
    [
        None,
        REF,
        {"$ref": REF},
        {**WHOLE, "more": 1},
        {**WHOLE, "size": "1"},
        {**WHOLE, "size": True},
        {**WHOLE, "type": "image"},
        {**WHOLE, "$ref": REF.upper()},
        {**WHOLE, "$ref": REF[:-1]},
        {**WHOLE, "$ref": 7},
        [WHOLE],
    ],
)
async def test_what_is_no_reference_is_refused(value: Any) -> None:
    assert reference_of(value) is None
    with pytest.raises(Refused) as refused:
        await again(value, b"")
    assert refused.value.code == "output.reference"
    assert str(refused.value).startswith("run r_1, step $.a: expected a reference, got ")


@pytest.mark.parametrize(("type_", "body"), [("json", b"{"), ("text", b"\xff")])
async def test_a_reference_that_was_made_up_is_refused(type_: str, body: bytes) -> None:
    with pytest.raises(Refused, match="expected a reference to") as refused:
        await again({**WHOLE, "type": type_}, body)
    assert refused.value.code == "output.reference"


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (Refused("blob.unknown", "gone"), "output.unknown"),
        (SwarmError("blob.damaged", "bent"), "output.damaged"),
        (SwarmError("journal.unreadable", "away"), "journal.unreadable"),
    ],
)
async def test_what_cannot_be_had_names_run_and_step(raised: SwarmError, code: str) -> None:
    async def get(digest: str) -> bytes:
        raise raised

    with pytest.raises(SwarmError) as caught:
        await read(get, WHOLE, "r_1", "$.a")
    assert caught.value.code == code
    if code != raised.code:
        assert str(caught.value).startswith(f"run r_1, step $.a: expected output {REF}")
        assert caught.value.values == {"run_id": "r_1", "step": "$.a", "digest": REF}
