"""Messages arrive once and in order, whatever happens to the lines between two channels."""

from __future__ import annotations

import json
import random

import pytest

from swarm.operators.channel import Channel
from swarm.operators.faults import PeerFault
from swarm.operators.frames import FROM_OPERATOR, Ack, Numbered, Progress, numbered_text, read_frame
from swarm.operators.limits import Bounds

BOUNDS = Bounds(redeliver_s=5, unacked=10)


def said(n: int) -> Progress:
    return Progress(key="r/s/1", text=str(n))


def read(text: str) -> Numbered:
    frame = read_frame(text, FROM_OPERATOR, 10_000)
    assert isinstance(frame, Numbered)
    return frame


def test_what_is_said_again_is_heard_once() -> None:
    one, other = Channel(BOUNDS), Channel(BOUNDS)
    frame = read(one.post(said(1), 0))
    assert other.take(frame) == [frame]
    assert other.owes
    assert other.take(frame) == []
    assert other.duplicates == 1


def test_who_overtook_waits_for_the_others() -> None:
    one, other = Channel(BOUNDS), Channel(BOUNDS)
    frames = [read(one.post(said(n), 0)) for n in (1, 2, 3)]
    assert other.take(frames[2]) == []
    assert other.take(frames[1]) == []
    assert other.received == 0
    assert other.take(frames[0]) == frames
    assert other.received == 3


def test_what_is_acknowledged_is_let_go_of_and_the_rest_is_sent_on_the_next_line() -> None:
    one = Channel(BOUNDS)
    for n in (1, 2, 3):
        one.post(said(n), 0)
    assert [json.loads(text)["n"] for text in one.attach(2, 1, 0)] == [2, 3]
    one.acknowledge(3)
    assert one.attach(3, 3, 0) == []


def test_after_a_while_it_is_sent_again_on_the_same_line() -> None:
    one = Channel(BOUNDS)
    one.post(said(1), 0)
    assert one.again(4.9) == []
    assert len(one.again(5)) == 1
    assert one.again(9.9) == []
    assert len(one.attach(2, 0, 100)) == 1
    assert one.again(104.9) == [], "sent on the next line just now"
    assert len(one.again(105)) == 1


@pytest.mark.parametrize("ack", [1, 2**40])
def test_an_acknowledgement_of_what_was_never_said_is_malformed(ack: int) -> None:
    with pytest.raises(PeerFault, match=r"message.ack: expected at most 0"):
        Channel(BOUNDS).take(Ack(ack=ack))


def test_a_number_far_ahead_is_malformed_and_a_missing_one_too() -> None:
    with pytest.raises(PeerFault, match=r"message.n: expected 1, got 9999"):
        Channel(BOUNDS).take(said(1).model_copy(update={"n": 9999}))
    with pytest.raises(PeerFault, match=r"message.n: expected a number"):
        Channel(BOUNDS).take(said(1))


def test_a_message_that_nobody_could_read_stands_in_nobodys_way() -> None:
    one, other = Channel(BOUNDS), Channel(BOUNDS)
    first, second = (read(one.post(said(n), 0)) for n in (1, 2))
    assert other.take(second) == []
    assert other.skip(1) == [second]
    assert other.take(first) == []


def test_too_much_unacknowledged_is_full_and_too_large_is_not_said() -> None:
    one = Channel(BOUNDS)
    for n in range(10):
        one.post(said(n), 0)
    assert not one.full
    one.post(said(11), 0)
    assert one.full
    small = Channel(Bounds(message_bytes=300))
    with pytest.raises(PeerFault, match="expected at most 300 bytes"):
        small.post(Progress(key="r/s/1", text="x" * 300), 0)
    assert small.sent == 0


def test_what_is_kept_is_counted_in_bytes_too() -> None:
    size = len(numbered_text(said(1)))
    one = Channel(Bounds(unacked_bytes=2 * size))
    for n in (1, 2):
        one.post(said(n), 0)
    assert not one.full
    one.post(said(3), 0)
    assert one.full
    one.acknowledge(1)
    assert not one.full


def test_a_message_of_just_the_bound_is_said_and_one_byte_more_is_not() -> None:
    # A hundred bytes are left for what goes before it.
    size = len(numbered_text(said(1))) + 100
    Channel(Bounds(message_bytes=size)).post(said(1), 0)
    with pytest.raises(PeerFault, match=f"expected at most {size - 1} bytes"):
        Channel(Bounds(message_bytes=size - 1)).post(said(1), 0)


def test_one_may_be_so_much_ahead_and_no_more() -> None:
    other = Channel(Bounds(early=3))
    assert other.take(said(3).model_copy(update={"n": 3})) == []
    with pytest.raises(PeerFault, match=r"message.n: expected 1, got 4"):
        other.take(said(4).model_copy(update={"n": 4}))


def _chaos(seed: int, *, forgets: bool = False) -> tuple[list[str], int]:
    """Send twenty messages over a line that loses, doubles and shuffles; return what arrived."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    one, other = Channel(Bounds(redeliver_s=1)), Channel(Bounds(redeliver_s=1))
    wire = [one.post(said(n), 0) for n in range(20)]
    heard: list[str] = []
    for now_s in range(200):
        rng.shuffle(wire)
        for text in wire:
            for _ in range(rng.choice((0, 1, 1, 2))):
                if forgets:
                    other.received = 0
                heard += [f.text for f in other.take(read(text)) if isinstance(f, Progress)]
        if rng.random() < 0.7:
            one.acknowledge(other.received)
        cut = rng.random() < 0.1
        wire = one.attach(now_s, other.received, now_s) if cut else one.again(now_s)
    return heard, one.unacked


def test_a_line_that_loses_doubles_and_shuffles_delivers_once_and_in_order() -> None:
    for seed in range(100):
        heard, unacked = _chaos(seed)
        assert heard == [str(n) for n in range(20)], f"seed={seed}"
        assert unacked == 0


def test_a_channel_that_forgets_what_it_heard_would_be_found_out() -> None:
    assert any(_chaos(seed, forgets=True)[0] != [str(n) for n in range(20)] for seed in range(5))


def test_a_channel_begins_with_nothing_said_heard_or_owed() -> None:
    channel = Channel(BOUNDS)
    assert (channel.sent, channel.received, channel.epoch) == (0, 0, 0)
    assert (channel.owes, channel.duplicates, channel.unacked, channel.full) == (False, 0, 0, False)
    assert channel.again(100) == []


def test_what_is_not_acknowledged_is_said_again_each_five_seconds() -> None:
    channel = Channel(BOUNDS)
    texts = [channel.post(said(n), float(n)) for n in (0, 1)]
    assert channel.unacked == 2
    assert channel.again(4.9) == []
    assert channel.again(5.0) == texts[:1]
    assert channel.again(6.0) == texts[1:]
    assert channel.again(9.9) == []
    assert channel.again(11.0) == texts
    channel.acknowledge(1)
    assert (channel.unacked, channel.again(99.0)) == (1, texts[1:])


def test_a_message_without_a_number_says_what_was_heard_and_on_which_line() -> None:
    one, other = Channel(BOUNDS), Channel(BOUNDS)
    other.take(read(one.post(said(1), 0)))
    other.attach(3, 0, 0)
    assert other.owes
    stamped = other.stamp(Ack())
    assert (stamped.ack, stamped.epoch, other.owes) == (1, 3, False)
    assert one.take(stamped) == [stamped]
    assert one.unacked == 0
    other.take(read(one.post(said(2), 0)))
    assert other.owes
    assert '"ack":2' in other.post(said(1), 0)
    assert not other.owes
