"""Who is at the door: one spelling of a token, peers by what they can have many of, waits."""

from __future__ import annotations

from random import Random

import pytest

from swarm.api.bearer import Throttle, bearer_of, peer_of, tells_a_token
from swarm.core.capability.chain import MAX_TOKEN
from swarm.core.capability.keys import Keyring
from swarm.core.capability.mint import Order, mint

TOKEN = mint(Keyring.fresh(0), Order("ada", "observer"), 0)
LONGEST = "x" * MAX_TOKEN


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([TOKEN], TOKEN),
        ([LONGEST], LONGEST),
        ([LONGEST + "x"], None),
        ([], None),
        ([TOKEN, TOKEN], None),
        ([f" {TOKEN}"], None),
        ([f"{TOKEN} "], None),
        ([f"{TOKEN},{TOKEN}"], None),
        ([f"{TOKEN}="], None),
        ([""], None),
    ],
)
def test_a_token_stands_in_one_header_in_one_spelling(values: list[str], found: str | None) -> None:
    for name in (b"authorization", b"Authorization"):
        headers = [(name, f"Bearer {value}".encode()) for value in values]
        assert bearer_of([(b"cookie", f"Bearer {TOKEN}".encode()), *headers]) == found
    for scheme in (b"bearer ", b"Bearer  ", b"Bearer\t", b"Token ", b""):
        assert bearer_of([(b"authorization", scheme + TOKEN.encode())]) is None


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("", False),
        ("token=abc&limit=5", False),
        (f"token={TOKEN}", True),
        (f"limit=5&x={TOKEN}&y=1", True),
        (f"x;y={TOKEN}", True),
        (TOKEN, True),
        (TOKEN.replace(".", "%2E"), True),
        (f"x={TOKEN}x", False),
        ("x" * (4 * MAX_TOKEN), False),
        ("x" * (4 * MAX_TOKEN + 1), True),
    ],
)
def test_an_address_that_gives_a_token_away_is_told(query: str, told: bool) -> None:
    assert tells_a_token(query.encode()) is told


@pytest.mark.parametrize(
    ("host", "peer"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::2", "2001:db8::/64"),
        ("2001:db8:0:1::2", "2001:db8:0:1::/64"),
        ("/run/swarm.sock", "/run/swarm.sock"),
    ],
)
def test_a_peer_is_what_he_cannot_have_many_of(host: str, peer: str) -> None:
    assert peer_of((host, 1)) == peer


def test_who_has_no_address_is_here() -> None:
    assert peer_of(None) == "local"


class Slow:
    """The rules of the throttle, done from everything that ever happened."""

    def __init__(self, most: int, peers: int) -> None:
        self.most, self.peers = most, peers
        self.failures: dict[str, list[float]] = {}
        self.waits: dict[str, tuple[float, float]] = {}

    def failed(self, peer: str, now: float) -> None:
        # The latest is the last.
        mine = [*self.failures.pop(peer, []), now]
        self.failures[peer] = mine
        if sum(at > now - 60 for at in mine) >= self.most:
            pause = min(60.0, 2 * self.waits.get(peer, (0.0, 0.5))[1])
            self.waits[peer] = (now + pause, pause)
        else:
            self.waits.pop(peer, None)
        if len(self.failures) > self.peers:
            oldest = next(iter(self.failures))
            del self.failures[oldest]
            self.waits.pop(oldest, None)

    def wait_s(self, peer: str, now: float) -> float:
        return max(0.0, self.waits.get(peer, (0.0, 0.0))[0] - now)


@pytest.mark.parametrize("seed", range(20))
def test_a_peer_waits_for_as_long_as_the_rules_say(seed: int) -> None:
    chance, now = Random(seed), [1000.0]  # noqa: S311 - drawn again
    throttle, slow = Throttle(lambda: now[0], most=3, peers=4), Slow(3, 4)
    for _ in range(400):
        now[0] += chance.choice((0.0, 0.0, 1.0, 5.0, 30.0, 61.0))
        peer = chance.choice("aaabbcdefg")
        throttle.failed(peer)
        slow.failed(peer, now[0])
        for one in "abcdefg":
            assert throttle.wait_s(one) == slow.wait_s(one, now[0])


def test_the_wait_doubles_from_a_second_to_a_minute_and_is_forgotten() -> None:
    now = [0.0]
    throttle = Throttle(lambda: now[0])
    waits: list[float] = []
    for _ in range(17):
        throttle.failed("eve")
        waits.append(throttle.wait_s("eve"))
    assert waits == [0.0] * 9 + [1, 2, 4, 8, 16, 32, 60, 60]
    now[0] += 59.5
    assert throttle.wait_s("eve") == 0.5
    now[0] += 60
    throttle.failed("eve")
    assert throttle.wait_s("eve") == 0.0
