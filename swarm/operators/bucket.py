"""How much may be said: so much at once, and so much a second over time."""

from __future__ import annotations

__all__ = ("Bucket",)


class Bucket:
    """Fills with time. Units: *rate* a second, *burst* at once; times in seconds."""

    __slots__ = ("_at_s", "_burst", "_left", "_rate")

    def __init__(self, rate: float, burst: float, now_s: float) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._left = self._burst
        self._at_s = now_s

    def take(self, now_s: float, much: float = 1) -> bool:
        """Take some out; return whether there was as much."""
        self._gain(now_s)
        self._left -= much
        return self._left >= 0

    def wait_s(self, now_s: float, much: float = 1) -> float:
        """Return how long to wait until there is as much."""
        self._gain(now_s)
        return max((much - self._left) / self._rate, 0.0)

    def _gain(self, now_s: float) -> None:
        self._left = min(self._left + (now_s - self._at_s) * self._rate, self._burst)
        self._at_s = now_s
