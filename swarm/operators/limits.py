"""How much an operator may ask of a host, in one table."""

from __future__ import annotations

from flowir.records import dataclass

__all__ = ("DEFAULT_BOUNDS", "Bounds")

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a host takes of operators, and how long it waits for them.

    Shape: `message_bytes` of one message, `unacked` messages (or `unacked_bytes`) that an
    operator has not acknowledged, `capacity` orders at a time, `mistakes` messages that are
    malformed before the line is cut; `connections` in all and from one address; `failures`
    of tokens a minute from one address; `early` messages that overtook others. Who says more
    than `volume` is read later.
    Units: seconds; `rate` messages a second over time, `burst` at once; `volume` bytes a
    second, `volume_burst` at once. `resume_s` is how
    long a session is kept without a line, `offer_s` how long an offer stands, `redeliver_s`
    after how long a message is sent again, `tick_s` how often a line is looked after.
    """

    message_bytes: int = _MIB
    unacked: int = 256
    unacked_bytes: int = 4 * _MIB
    capacity: int = 64
    mistakes: int = 10
    early: int = 256
    connections: int = 1024
    per_address: int = 8
    failures: int = 10
    rate: float = 200.0
    burst: int = 400
    volume: float = 4.0 * _MIB
    volume_burst: float = 8.0 * _MIB
    hello_s: float = 5.0
    resume_s: float = 600.0
    offer_s: float = 30.0
    redeliver_s: float = 5.0
    heartbeat_s: float = 20.0
    send_s: float = 10.0
    tick_s: float = 0.5
    remembered: int = 4096


DEFAULT_BOUNDS = Bounds()
