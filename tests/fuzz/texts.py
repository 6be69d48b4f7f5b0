"""Texts that nobody would write, for each entry: `python -m tests.fuzz.texts --seconds 60`.

Bytes of good examples are changed, cut, doubled and mixed. Whatever comes of it, an entry
returns or raises an error of ours.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import flowir
from flowir.door import parse_json
from flowir.errors import FlowError
from swarm.blueprint.agent_file import AgentFileRefused, read_agent_file
from swarm.blueprint.document import read_json, read_yaml
from swarm.blueprint.patches import applied
from swarm.errors import SwarmError
from swarm.lua.syntax import parse_lua

__all__ = ("ENTRIES", "campaign", "changed")

TYPED = (FlowError, SwarmError, AgentFileRefused)
ROOT = Path(__file__).parents[2]
_BITS = [b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\n", b"\t", b"\0", b"\xff", b"-", b"e"]
_BITS.extend(
    [
        b"9" * 30,
        b"\xed\xa0\x80",
        b"\\ud800",
        b"*a",
        b"&a ",
        b"!!x ",
        b"<<",
        b"? ",
        b"- ",
        b"---",
    ]
)
_BITS.extend(
    [b"/~1", b"ctx.", b"[[", b"]]", b"--", b"end", b"function", b"@", b"$", b"#", b"'", b"%"]
)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _patch(data: bytes) -> Any:
    return applied({"a": [1, {"b": 2}], "t": "x"}, parse_json(data))


ENTRIES: Mapping[str, tuple[Callable[[bytes], Any], list[bytes]]] = {
    "json": (parse_json, [b'{"a": [1, 2.5e3, "\\u00e9\\n", null, true], "b": {"c": -1}}']),
    "flow": (flowir.load, [b'{"kind":"let","at":"$.x","value":{"op":"lit","value":[1]}}']),
    "document": (
        lambda data: read_json(_text(data)),
        [b'{"swarm": 1, "id": "a",\n "flow": {"kind": "seq", "children": []}}'],
    ),
    "yaml": (
        lambda data: read_yaml(_text(data)),
        [b"a: [1, 'x', {b: null}]\nc:\n  - |\n    text\n  - \"\\u00e9\"\n# end\n"],
    ),
    "agent": (
        lambda data: read_agent_file(_text(data)),
        [b"---\nname: a\nkind: human\nlimits: { timeout_s: 3 }\n---\nDo it.\n"],
    ),
    "patch": (
        _patch,
        [b'[{"op":"test","path":"/t","value":"x"},{"op":"move","from":"/a/0","path":"/a/-"}]'],
    ),
    "expression": (
        lambda data: flowir.parse_expr(_text(data)),
        [b'#ctx.files < 3 and default(ctx.v["k"], "") ~= "PASS" or {a = 1, 2.5e3}[1] .. \'x\''],
    ),
    "lua": (
        lambda data: parse_lua(_text(data)),
        [b'local f = function(a, ...) for i = 1, #a do a[i] = -i ^ 2 end return a.b:c("x") end'],
    ),
}


def changed(chance: random.Random, seed: bytes) -> bytes:
    """Change a text in one to four places."""
    data = seed
    for _ in range(chance.randint(1, 4)):
        a = chance.randrange(len(data) + 1)
        b = min(len(data), a + chance.randrange(12))
        data = chance.choice(
            [
                data[:a] + data[b:],
                data[:a] + chance.choice(_BITS) + data[a:],
                data[:b] + data[a:b] * chance.randint(1, 50) + data[b:],
                data[:a] + bytes([chance.randrange(256)]) + data[a + 1 :],
                data[:a],
                data[:a] + chance.choice(_BITS) * chance.choice([2, 300]) + data[b:],
            ]
        )
    return data


def campaign(
    seed: int, *, most: int | None = None, seconds: float | None = None
) -> tuple[int, list[str]]:
    """Try *most* texts at each entry, or as many as there is time for; return what got out."""
    chance, tried, found = random.Random(seed), 0, list[str]()  # noqa: S311 - to be repeated
    until = None if seconds is None else time.monotonic() + seconds
    while (most is None or tried < most * len(ENTRIES)) and (
        until is None or time.monotonic() < until
    ):
        for name, (entry, seeds) in ENTRIES.items():
            data, tried = changed(chance, chance.choice(seeds)), tried + 1
            try:
                entry(data)
            except TYPED:
                continue
            except BaseException as e:  # noqa: BLE001 - this is what is looked for
                found.append(f"{name}: {type(e).__name__}: {str(e)[:200]}: {data[:400]!r}")
    return tried, found


def main() -> int:
    """Run a campaign and print what it found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.texts", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    tried, found = campaign(given.seed, seconds=given.seconds)
    sys.stdout.write("".join(json.dumps(one) + "\n" for one in found[:50]))
    sys.stdout.write(f"survived {tried - len(found)} / {tried} texts, seed {given.seed}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
