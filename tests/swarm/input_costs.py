"""What refusing each hostile text of `test_input_attacks` takes, one line of JSON for each.

    python -m tests.swarm.input_costs [planted]

Each row is tried in a process of its own, which has done each entry once with something small:
processor time is that of the refusal, and memory is how far the row has moved the peak of what
is resident. What takes long is tried again, and the least of its times counts: a refusal that is
slow is slow each time, a machine that has other work is not. A process that runs nothing else, so
that what is forked has one thread.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from time import process_time
from typing import Any

import anyio

from swarm.blueprint.canonical import canonical_bytes
from swarm.lua.runner import InlineScripts
from swarm.ports.scripts import Script
from tests.swarm import test_input_attacks as attacks
from tests.swarm.test_input_attacks import HANG_S, JSON, MEBIBYTE, ROWS, Act, Row, refused

SMALL: dict[Act, Any] = {
    **dict.fromkeys(JSON, "1"),
    **dict.fromkeys(attacks.YAML, "a: 1"),
    attacks.as_flow: attacks.seq(),
    attacks.as_patch: [attacks.CHANGE],
    attacks.as_value: 1,
    attacks.as_blueprint: {},
    attacks.as_agent: "a",
    attacks.as_patched: [attacks.op("add", "/description", value="better")],
}


def each(*texts: str) -> Callable[[], object]:
    return lambda: [act(text) for text in texts for act in JSON]


def behind_lua() -> object:
    value = {"list": [], "object": {}, "lists": [[], {}], "null": None}
    return anyio.run(InlineScripts().run, Script("a.lua", "return input"), value)


def in_circles() -> object:
    text = json.dumps([{"é": n, "a": [n / 7, None, ""]} for n in range(200)])
    return [canonical_bytes(act(text)) for act in JSON]


# The rows that are no single text: what is done there enters, and is held to the same.
OTHERS: dict[int, Callable[[], object]] = {
    13: each("9007199254740993", "-9223372036854775808"),
    14: each("0.1", "0." + "1" * 40, "5e-324"),
    15: each("-0.0", "1.0", "1e22"),
    18: lambda: refused(attacks.as_blueprint, {"id": "a\0b"}) or sys.exit("entered"),
    42: attacks.test_a_large_text_through_every_node_takes_no_memory,
    65: behind_lua,
    70: in_circles,
}


def slow(_given: object) -> None:
    end = process_time() + 0.3
    while process_time() < end:
        sum(range(1000))
    raise attacks.FlowError("slow", "planted")


def greedy(_given: object) -> None:
    assert len(bytearray(b"x") * (80 * MEBIBYTE))
    raise attacks.FlowError("greedy", "planted")


def open_door(_given: object) -> None:
    """Let everything in."""


TRIES = 5
SOON_S = 0.1

PLANTED = [Row(0, (act,), ("x",), "", ()) for act in (slow, greedy, open_door)]


def peak() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def least(work: Callable[[], object]) -> tuple[object, float]:
    """Do it until it was quick, some times at most: what it gave last, and its least time."""
    times: list[float] = []
    while True:
        began = process_time()
        given = work()
        times.append(process_time() - began)
        if times[-1] < SOON_S or len(times) == TRIES:
            return given, min(times)


def tried(row: Row) -> Iterator[dict[str, Any]]:
    for act in row.entries:
        if act in SMALL:
            act(SMALL[act])
    before = peak()
    for act in row.entries:
        # Some rows are all harmless, as the language decides: then that is held to the same.
        for number, item in enumerate(row.hostile or row.twins):
            if act is attacks.as_front and isinstance(item, str) and len(item) > 32_000:
                continue
            said, seconds = least(lambda act=act, item=item: refused(act, item))
            yield {
                "row": row.number,
                "what": f"{act.__name__} {number}",
                "refused": said is not None or not row.hostile,
                "seconds": seconds,
                "growth": peak() - before,
            }


def entered(number: int) -> Iterator[dict[str, Any]]:
    for act, small in SMALL.items():
        act(small)
    behind_lua()
    before = peak()
    _, seconds = least(OTHERS[number])
    yield {
        "row": number,
        "what": "all of it",
        "refused": True,
        "seconds": seconds,
        "growth": peak() - before,
    }


def apart(work: Callable[[], Iterator[dict[str, Any]]]) -> None:
    """Do it in a process of its own, which ends here."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        if os.waitpid(child, 0)[1]:
            sys.exit("a row ended badly")
        return
    signal.alarm(HANG_S)
    for told in work():
        sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    os._exit(0)


def main(*planted: str) -> None:
    for row in PLANTED if planted else ROWS:
        apart(lambda row=row: tried(row))
    for number in () if planted else OTHERS:
        apart(lambda number=number: entered(number))


if __name__ == "__main__":
    main(*sys.argv[1:])
