"""What it takes to begin: an import, a help text, a run from the shell to its result.

Each is a process of its own, started in turns with a bare interpreter; the figure is the
quickest of several, because a start is slowed by nothing but what else the machine does. On a
busy machine the processor's time says more than the clock.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.rounds import Figure, in_folder, interleave

HELLO = """
local flow = require "flow"
local greeter = flow.lua "greeter" [[ return "Hello, " .. input .. "!" ]]
return flow.blueprint {
  id = "hello",
  agents = { greeter },
  flow = function(ctx) ctx.greeting = greeter(ctx.name) end,
}
"""
SWARM = str(Path(sys.executable).parent / "swarm")
TIMES = 10


class Start:
    """A round that starts a process and waits for its end."""

    def __init__(self, *command: str) -> None:
        self._command = command
        # Without bytecode each start would compile every module anew.
        self._kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        self.cpu_s: list[float] = []

    def __call__(self) -> float:
        before, began = os.times(), time.perf_counter()
        subprocess.run(self._command, check=True, capture_output=True, env=self._kept)  # noqa: S603
        took, after = time.perf_counter() - began, os.times()
        self.cpu_s.append(
            after.children_user + after.children_system
            - before.children_user - before.children_system
        )  # fmt: skip
        return took


def figures(folder: Path) -> Iterator[Figure]:
    file = folder / "hello.lua"
    file.write_text(HELLO)
    run = (SWARM, "run", str(file), "--set", "name=Ada", "--store")
    starts = {
        "a bare interpreter": (Start(sys.executable, "-c", "pass"), None),
        "import swarm": (Start(sys.executable, "-c", "import swarm"), 150),
        "swarm --help": (Start(SWARM, "--help"), 150),
        "swarm run hello.lua, nothing kept": (Start(*run, ":memory:"), 500),
        "swarm run hello.lua, in a store": (Start(*run, str(folder / "store")), 500),
    }
    seconds = interleave(*(start for start, _ in starts.values()), times=TIMES)
    for (name, (start, most)), took in zip(starts.items(), seconds, strict=True):
        yield Figure(name, 1000 * min(took), "ms", most)
        yield Figure("  of the processor's time", 1000 * min(start.cpu_s), "ms")


if __name__ == "__main__":
    sys.exit(in_folder(figures))
