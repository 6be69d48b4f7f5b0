"""Who is at the door: the token of a request, and peers that show too many bad ones.

A token stands in one `Authorization` header, in exactly one spelling. Elsewhere (address,
cookie, body) it counts for nothing; in the address it is refused, because addresses are
written down everywhere.
"""

from __future__ import annotations

import ipaddress
import re
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from urllib.parse import unquote_plus

from swarm.core.capability.chain import MAX_TOKEN, split

__all__ = ("Throttle", "bearer_of", "peer_of", "tells_a_token")

# RFC 6750 §2.1, and nothing that it leaves open: one space, one spelling of the scheme.
_BEARER = re.compile(rb"Bearer ([A-Za-z0-9._-]+)")


def bearer_of(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return what stands in the one header that counts; None: there is nothing like it."""
    shown = [value for name, value in headers if name.lower() == b"authorization"]
    found = _BEARER.fullmatch(shown[0]) if len(shown) == 1 else None
    if found is None or len(found[1]) > MAX_TOKEN:
        return None
    return found[1].decode("ascii")


def tells_a_token(query: bytes) -> bool:
    """Tell whether an address gives a token away, under whatever name."""
    if len(query) > 4 * MAX_TOKEN:
        return True
    parts = re.split(rb"[&;=]", query)
    return any(split(unquote_plus(part.decode("latin-1"))) is not None for part in parts)


def peer_of(client: tuple[str, int] | None) -> str:
    """Name a peer: an address, or the /64 of one, of which a peer has as many as he likes."""
    if client is None:
        return "local"
    try:
        address = ipaddress.ip_address(client[0])
    except ValueError:
        return client[0]
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))


class Throttle:
    """Counts bad tokens of each peer; after *most* in a minute he is asked to wait.

    Shape: each failure beyond doubles the wait, from one second up to a minute; meanwhile
    nothing that he shows is judged. Of more than *peers* the one seen longest ago is let
    go of.
    Units: seconds of *now*.
    """

    def __init__(self, now: Callable[[], float], *, most: int = 10, peers: int = 10_000) -> None:
        self._now = now
        self._most = most
        self._peers = peers
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()
        self._until: dict[str, tuple[float, float]] = {}

    def wait_s(self, peer: str) -> float:
        """Return how long this peer has to wait; 0: he need not."""
        until, _ = self._until.get(peer, (0.0, 0.0))
        return max(0.0, until - self._now())

    def failed(self, peer: str) -> None:
        """Count a failure."""
        now = self._now()
        recent = self._failed.setdefault(peer, deque(maxlen=self._most + 1))
        self._failed.move_to_end(peer)
        recent.append(now)
        while recent[0] <= now - 60:
            recent.popleft()
        if len(recent) >= self._most:
            _, before = self._until.get(peer, (0.0, 0.5))
            pause = min(60.0, before * 2)
            self._until[peer] = (now + pause, pause)
        else:
            self._until.pop(peer, None)
        self._bound()

    def _bound(self) -> None:
        while len(self._failed) > self._peers:
            peer, _ = self._failed.popitem(last=False)
            self._until.pop(peer, None)
