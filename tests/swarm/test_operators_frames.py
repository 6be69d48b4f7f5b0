"""The strict way in: sizes from both sides, what is malformed told in one sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from flowir.door import parse_json
from flowir.errors import FlowError
from swarm.operators.faults import PeerFault
from swarm.operators.frames import (
    FROM_HOST,
    FROM_OPERATOR,
    PROTOCOL,
    Ack,
    AnswerQuestion,
    Frame,
    Hello,
    Part,
    ReplyAnswer,
    Result,
    Usage,
    numbered_text,
    read_frame,
    schemas,
    text_of,
)


def fault(text: str, side: Any = FROM_OPERATOR, most: int = 1000) -> PeerFault:
    with pytest.raises(PeerFault) as caught:
        read_frame(text, side, most)
    return caught.value


def part(value: str) -> str:
    return json.dumps({"type": "part", "key": "k", "name": "n", "value": value}, ensure_ascii=False)


@pytest.mark.parametrize("letter", ["a", "\u00e9", "\u20ac", "\U0001f600"])
def test_a_message_is_measured_in_bytes(letter: str) -> None:
    text = part(letter * 20)
    size = len(text.encode())
    read = read_frame(text, FROM_OPERATOR, size)
    assert read == Part(key="k", name="n", value=letter * 20)
    said = fault(text, most=size - 1)
    assert (said.code, str(said)) == (
        "operator.too_large",
        f"message: expected at most {size - 1} bytes, got more",
    )


with pytest.raises(FlowError) as _door:
    parse_json("{", at="message")
NO_JSON = str(_door.value)
SIDE = "message.type: expected a message of this side, got"
KNOWN = (
    " \u2014 known are 'accept', 'ack', 'answer', 'decline', 'drain', 'error', 'fail', 'halt', "
    "'handover', 'heartbeat', 'hello', 'part', \u2026"
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", NO_JSON),
        (
            '{"type": "ack", "type": "ack"}',
            "message: expected each key once, got 'type' twice",
        ),
        ("[]", "message: expected an object, got list"),
        ("5", "message: expected an object, got int"),
        ("null", "message: expected an object, got NoneType"),
        ("{}", "message.type: expected a message of this side, got None"),
        ('{"type": 5}', "message.type: expected a message of this side, got 5"),
        ('{"type": ["ack"]}', "message.type: expected a message of this side, got ['ack']"),
        (
            '{"type": "hullo"}',
            f"{SIDE} 'hullo' \u2014 did you mean 'hello'?",
        ),
        (
            '{"type": "welcome"}',
            "message.type: expected a message of this side, got 'welcome'" + KNOWN,
        ),
        (
            json.dumps({"type": "\u00e9" + "x" * 53}),
            "message.type: expected a message of this side, got '\\xe9" + "x" * 53 + "'" + KNOWN,
        ),
        (
            json.dumps({"type": "\u00e9" + "x" * 55}),
            "message.type: expected a message of this side, got '\\xe9"
            + "x" * 52
            + "\u2026"
            + KNOWN,
        ),
        ('{"type": "hello"}', "message.name: field required"),
        (
            '{"type": "hello", "name": "a", "more": 1}',
            "message.more: extra inputs are not permitted",
        ),
        (
            '{"type": "hello", "name": "a", "seats": ["b", 5]}',
            "message.seats.1: input should be a valid string",
        ),
        (
            '{"type": "hello", "name": "a", "capacity": "5"}',
            "message.capacity: input should be a valid integer",
        ),
    ],
)
def test_what_is_malformed_is_told_with_its_place(text: str, said: str) -> None:
    found = fault(text)
    assert found.code == "operator.malformed"
    assert str(found) == said
    assert "n" not in found.values


@pytest.mark.parametrize("type_", ["nothing", "part"])
@pytest.mark.parametrize(
    ("n", "told"),
    [(1, 1), (2**53 - 1, 2**53 - 1), (0, None), (-1, None), (2**53, None), ("1", None),
     (True, None), (1.0, None), (None, None)],
)  # fmt: skip
def test_a_malformed_message_is_told_with_its_number_where_it_has_one(
    type_: str, n: Any, told: int | None
) -> None:
    assert fault(json.dumps({"type": type_, "n": n})).values.get("n") == told


def test_each_side_says_what_is_its_own() -> None:
    ours, theirs = set(FROM_HOST.models), set(FROM_OPERATOR.models)
    assert ours & theirs == {"ack", "answer", "drain", "error", "heartbeat"}
    answer = '{"type": "answer", "key": "k", "id": "q", "value": 1}'
    assert read_frame(answer, FROM_HOST, 1000) == AnswerQuestion(key="k", id="q", value=1)
    assert "message.id" in str(fault(answer))
    answer = '{"type": "answer", "key": "k", "value": 1}'
    assert read_frame(answer, FROM_OPERATOR, 1000) == ReplyAnswer(key="k", value=1)
    assert fault(part("x"), FROM_HOST).code == "operator.malformed"
    assert (schemas(FROM_HOST).keys(), schemas(FROM_OPERATOR).keys()) == (ours, theirs)
    assert PROTOCOL == "swarm.operator.v1"


def test_what_is_written_is_read_as_it_was() -> None:
    frames: list[Frame] = [
        Ack(ack=5, epoch=2),
        Hello(name="ada", seats=["a"], tags=["t"], capacity=2, takes="offer", holding=["k"]),
        Part(key="k", name="n", value={"a": [1, None, "\u20ac"]}, n=3),
        Result(key="k", value=1, usage=Usage(tokens=5, cost=0.5), token="t"),  # noqa: S106
    ]
    for frame in frames:
        assert read_frame(text_of(frame), FROM_OPERATOR, 1000) == frame
    assert [frame.kind for frame in frames] == ["ack", "hello", "part", "result"]


def test_of_a_message_that_is_sent_again_what_changes_is_not_written() -> None:
    frame = Part(key="k", name="n", value=float("inf"), n=3, ack=4, epoch=5)
    assert json.loads(numbered_text(frame)) == {
        "type": "part", "key": "k", "name": "n", "value": None, "token": None,
    }  # fmt: skip
    assert json.loads(text_of(frame)) | {"n": 3, "ack": 4, "epoch": 5} == json.loads(text_of(frame))


@pytest.mark.parametrize(
    ("name", "good"),
    [("a", True), ("a b", True), ("\u00e9", True), ("", False), ("a\nb", False), ("a\x9f", False),
     ("a\u202e", False), ("x" * 100, True), ("x" * 101, False)],
)  # fmt: skip
def test_names_stand_in_one_line(name: str, good: bool) -> None:
    text = json.dumps({"type": "hello", "name": name})
    if good:
        assert read_frame(text, FROM_OPERATOR, 1000) == Hello(name=name)
    else:
        assert str(fault(text)).startswith("message.name: string should match pattern")


def test_what_was_said_is_not_changed() -> None:
    frame: Any = Ack(ack=5)
    with pytest.raises(ValidationError, match="frozen"):
        frame.ack = 6
