"""What a keeper does by itself, where no host has to be there."""

from __future__ import annotations

import resource
import sys

import pytest

from swarm.workers.process import keeper


def test_where_the_system_has_no_prctl_nothing_is_asked_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    prctl = keeper._prctl()  # pyright: ignore[reportPrivateUsage]
    assert prctl(1, 9) is False


@pytest.mark.parametrize(
    ("hard", "most", "more", "expected"),
    [
        (resource.RLIM_INFINITY, 100, 0, (100, 100)),
        (resource.RLIM_INFINITY, 100, 1, (100, 101)),
        (1000, 100, 0, (100, 100)),
        (1000, 100, 1, (100, 101)),
        (100, 100, 1, (100, 100)),
        (50, 100, 0, (50, 50)),
        (50, 100, 1, (50, 50)),
    ],
)
def test_a_limit_is_lowered_and_never_above_what_there_is(
    monkeypatch: pytest.MonkeyPatch, hard: int, most: int, more: int, expected: tuple[int, int]
) -> None:
    kept: list[tuple[int, tuple[int, int]]] = []

    def getrlimit(limit: int) -> tuple[int, int]:
        return hard, hard

    def setrlimit(limit: int, both: tuple[int, int]) -> None:
        kept.append((limit, both))

    monkeypatch.setattr(resource, "getrlimit", getrlimit)
    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    keeper._lower(resource.RLIMIT_CPU, most, more)  # pyright: ignore[reportPrivateUsage]
    assert kept == [(resource.RLIMIT_CPU, expected)]
