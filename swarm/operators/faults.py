"""What can be wrong between a host and an operator: one table of codes and numbers.

A fault that ends the line is its close code; the same number stands in an `error` message
where the line goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from flowir.records import dataclass
from swarm.errors import SwarmError

__all__ = ("FAULTS", "Fault", "PeerFault")


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to be wrong: its number on the wire, and what it means to an operator."""

    number: int
    means: str
    then: str


FAULTS: Final[Mapping[str, Fault]] = MappingProxyType(
    {
        "operator.malformed": Fault(
            4400, "a message is not what the protocol says", "mend it; the eleventh ends the line"
        ),
        "capability.unauthenticated": Fault(
            4401, "the token does not hold, or no longer", "connect with another token"
        ),
        "capability.denied": Fault(
            4403, "the token, or the order's holder, does not cover this", "do not try it again"
        ),
        "operator.protocol": Fault(
            4406, "none of the offered subprotocols is spoken; the reason lists those that are",
            "offer one of them",
        ),
        "operator.silent": Fault(4408, "no hello came in time", "connect again, and say hello"),
        "operator.replaced": Fault(
            4409, "another line has the session, or this message is of an earlier one",
            "do not reconnect: somebody else did",
        ),
        "operator.session": Fault(
            4410, "there is no such session, or none any more",
            "go on in the new session that `welcome` names",
        ),
        "operator.too_large": Fault(
            4413, "a message is larger than it may be",
            "hand a large value over as an output, and answer with its reference",
        ),
        "operator.stale": Fault(
            4422, "the order is over, or somebody else's", "let go of the order"
        ),
        "operator.too_fast": Fault(
            1008, "more messages than the welcome allows", "reconnect, slower"
        ),
        "operator.stopping": Fault(1012, "the host ends", "reconnect with a delay, and resume"),
        "operator.slow": Fault(
            1013, "messages were not taken or acknowledged in time", "reconnect, and resume"
        ),
    }
)  # fmt: skip


class PeerFault(SwarmError):
    """The other side broke the protocol, or may not do what it wants."""

    def __init__(self, code: str, message: str, **values: Any) -> None:
        super().__init__(code, message, **values)
        self.number = FAULTS[code].number
