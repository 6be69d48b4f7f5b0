"""How much may be said: so much at once, and so much a second over time."""

from __future__ import annotations

import pytest

from swarm.operators.bucket import Bucket


def test_it_begins_full_and_fills_with_time_up_to_what_may_be_said_at_once() -> None:
    bucket = Bucket(2.0, 4, 100.0)
    assert [bucket.take(100.0) for _ in range(5)] == [True] * 4 + [False]
    # What was refused was said all the same: it is paid for first.
    assert [bucket.take(101.0), bucket.take(101.0)] == [True, False]
    assert [bucket.take(1000.0) for _ in range(5)] == [True] * 4 + [False]


def test_more_is_taken_at_once_where_there_is_more() -> None:
    bucket = Bucket(10.0, 8, 0.0)
    assert [bucket.take(0.0, 5), bucket.take(0.0, 3), bucket.take(0.0, 0.5)] == [True, True, False]


def test_how_long_to_wait_is_told_without_taking() -> None:
    bucket = Bucket(2.0, 4, 0.0)
    assert (bucket.wait_s(0.0), bucket.wait_s(0.0, 4), bucket.wait_s(0.0, 6)) == (0, 0, 1)
    assert bucket.take(0.0, 4)
    assert [bucket.wait_s(at) for at in (0.0, 0.25, 0.5, 5.0)] == pytest.approx([0.5, 0.25, 0, 0])
    assert bucket.wait_s(5.0, 4) == 0
