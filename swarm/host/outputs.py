"""The outputs of a run: what its steps handed over as data, as its journal tells.

    report         $.children[0]   a part, by its name
    $.children[1]                  the answer of an agent that declares `output = "ref"`

Knows rows; who reads the bytes is told by `swarm.core.outputs`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flowir.errors import shorten
from flowir.records import dataclass
from swarm.blueprint.words import near
from swarm.core.outputs import Reference, reference_of
from swarm.errors import Refused
from swarm.ports.journal import Row

__all__ = ("Output", "found", "outputs_of")

_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Output:
    """One output: a part, or an answer (`name` is None then), and what stands for it.

    Shape: `key` and `attempt` say whose, `agent` who was asked.
    """

    key: str
    attempt: int
    agent: str
    name: str | None
    reference: Reference

    @property
    def ref(self) -> str:
        """Its name in the store, `sha256:…`."""
        return f"sha256:{self.reference.digest}"

    def to_wire(self) -> dict[str, Any]:
        """Return it as one flat JSON object."""
        reference = self.reference
        return {
            "key": self.key,
            "attempt": self.attempt,
            "agent": self.agent,
            "name": self.name,
            "ref": self.ref,
            "size": reference.size,
            "type": reference.type,
        }


def outputs_of(rows: Iterable[Row]) -> tuple[Output, ...]:
    """Return the outputs in the order in which they were made.

    Of the parts of one name that an attempt hands over, the last counts.
    """
    made: dict[tuple[str, int, str | None], Output] = {}
    for row in rows:
        if row["kind"] not in ("step.part", "step.finished"):
            continue
        reference = reference_of(row["value"])
        if reference is None:
            continue
        name: str | None = row["name"] if row["kind"] == "step.part" else None
        at = (row["key"], row["attempt"], name)
        made.pop(at, None)
        made[at] = Output(row["key"], row["attempt"], row["step"], name, reference)
    return tuple(made.values())


def found(outputs: Iterable[Output], which: str, run_id: str) -> Output:
    """Find an output: by `sha256:…` (its beginning does), by name, by key, or `KEY/NAME`.

    A name that several have means the last of them; an agent's name means its answer.
    Raises: Refused (output.unknown).
    """
    known = list(outputs)
    for meant in (_by_reference, _by_name, _by_step):
        fits = [output for output in known if meant(output, which)]
        if fits:
            return fits[-1]
    words = {word for output in known for word in (output.name, output.key) if word}
    close = near(which, words)
    hint = f" — did you mean {close!r}?" if close else ""
    raise Refused(
        "output.unknown",
        f"run {run_id}: expected the name, key or reference of one of its {len(known)} outputs, "
        f"got {shorten(which)}{hint}",
        run_id=run_id,
    )


def _by_reference(output: Output, which: str) -> bool:
    long_enough = len(which) >= len("sha256:") + _DIGITS
    return long_enough and which.startswith("sha256:") and output.ref.startswith(which)


def _by_name(output: Output, which: str) -> bool:
    return output.name is not None and which in (output.name, f"{output.key}/{output.name}")


def _by_step(output: Output, which: str) -> bool:
    return output.name is None and which in (output.key, output.agent)
