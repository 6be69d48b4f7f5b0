from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.lua.frames import MAX_FRAME, FrameBuffer, Garbled, pack, unpack


@given(st.lists(st.binary(max_size=50), max_size=8), st.integers(1, 40))
def test_fields_come_back_however_the_pieces_fall(fields: list[bytes], size: int) -> None:
    frame = pack(*fields)
    buffer = FrameBuffer()
    found: list[list[bytes]] = []
    for start in range(0, len(frame), size):
        buffer.feed(frame[start : start + size])
        taken = buffer.take()
        if taken is not None:
            found.append(taken)
    assert found == [fields]


@given(st.binary(max_size=60))
def test_bytes_are_fields_or_garbled(body: bytes) -> None:
    try:
        fields = unpack(body)
    except Garbled:
        return
    if body:
        assert pack(*fields)[4:] == body


def test_an_end_is_told() -> None:
    with pytest.raises(EOFError):
        FrameBuffer().feed(b"")


@pytest.mark.parametrize(
    "data", [(MAX_FRAME + 1).to_bytes(4, "little"), pack(b"a") + b"x", pack(b"a") * 2]
)
def test_more_than_one_frame_and_one_too_long_are_refused(data: bytes) -> None:
    buffer = FrameBuffer()
    buffer.feed(data)
    with pytest.raises(Garbled):
        buffer.take()
