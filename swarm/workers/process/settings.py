"""What the host says of all the programs it starts: `swarm.ProcessSettings`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import field

from flowir.records import dataclass
from swarm.workers.process.child import Patience
from swarm.workers.process.limits import Limits

__all__ = ("ProcessSettings",)


@dataclass(frozen=True, slots=True)
class ProcessSettings:
    """How agents of kind `process` are run.

    Shape: `parallel` programs at a time, the others in the order of their coming (None:
    any number); `limits` hold where an agent has none of its own, and `most`, by the same
    names, is what an agent may ask for; `pass_env` names variables of the host that every
    program sees; `programs`, where given, are the only ones that may be started, as `argv`
    names them; `keep_workdir` leaves the working directory of an attempt that failed.
    Units: `timeout_s` for a step that has none (None: no limit), `patience` in seconds.
    """

    parallel: int | None = 4
    timeout_s: float | None = 300.0
    limits: Limits = field(default_factory=Limits)
    most: Mapping[str, int] = field(default_factory=dict[str, int])
    patience: Patience = field(default_factory=Patience)
    pass_env: Collection[str] = ()
    programs: Collection[str] | None = None
    keep_workdir: bool = False
