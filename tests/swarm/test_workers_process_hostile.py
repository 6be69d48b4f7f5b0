# ruff: noqa: E501 - a program is easier to read on one line
"""Programs that mean harm: what each does, and what must come of it.

Beside the fault list: there a machine or a mistake is to blame, here the program wants it.
Each has a twin, one change away, that is answered. After each, nothing of it is left.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flowir import WorkerFailure
from swarm.workers.process import hearing
from swarm.workers.process.child import Patience
from tests.swarm.programs import Shop, open_shop, python, sh

pytestmark = pytest.mark.anyio

QUICK = Patience(grace_s=0.3, drain_s=0.3)
LINE = {"output": "ndjson"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass(frozen=True)
class Harm:
    """What a program does, with which code its step fails, and a twin with its answer.

    Shape: *code* None: it is answered with *said*, and has not got what it wanted.
    """

    name: str
    argv: list[str]
    code: str | None
    twin: list[str]
    answer: Any
    said: Any = None
    fields: tuple[tuple[str, Any], ...] = ()


def harm(
    name: str, argv: list[str], code: str | None, twin: list[str], answer: Any, said: Any = None,
    **fields: Any,
) -> Harm:  # fmt: skip
    return Harm(name, argv, code, twin, answer, said, tuple(fields.items()))


# Keepers and nurseries are processes of the same user: a program may look for them.
PARENTS = "import os\np = os.getppid()\n"
HARMS = [
    harm(
        "kills its keeper, and goes on",
        python(PARENTS + "import time; os.kill(p, 9); time.sleep(60)"),
        "process.lost",
        python(PARENTS + "os.kill(p, 0); print('there')"),
        "there",
    ),
    harm(
        "stops its keeper, and goes on",
        python(PARENTS + "import time; os.kill(p, 19); time.sleep(60)"),
        "process.lost",
        python(PARENTS + "os.kill(p, 18); print('there')"),
        "there",
    ),
    harm(
        "asks the keeper to end by every signal that asks",
        python(PARENTS + "for n in (1, 2, 3, 10, 12, 13, 14, 15): os.kill(p, n)\nprint('on')"),
        None,
        python("print('on')"),
        "on",
        said="on",
    ),
    harm(
        "writes into what it thinks is the keeper's socket",
        python("import os\nfor fd in range(3, 64):\n try: os.write(fd, b'gone')\n except OSError: pass\nprint('on')"),
        None,
        python("print('on')"),
        "on",
        said="on",
    ),
    harm(
        "reads the environment of its keeper",
        python("import os; print(len(open(f'/proc/{os.getppid()}/environ').read()))"),
        None,
        python("print(0)"),
        "0",
        said="0",
    ),
    harm(
        "gives itself another name and marks nothing",
        sh("exec env -i /bin/sh -c 'setsid sleep 1000 >/dev/null 2>&1 </dev/null & echo left'"),
        None,
        sh("exec env -i /bin/sh -c 'echo left'"),
        "left",
        said="left",
    ),
    harm(
        "leaves a chain of orphans that fork as they are ended",
        python("import os, time\nif os.fork() == 0:\n os.setsid()\n for _ in range(20):\n  if os.fork(): time.sleep(0.02); os._exit(0)\n time.sleep(1000)\nprint('left')"),
        None,
        python("import os\nif os.fork() == 0: os._exit(0)\nos.wait(); print('left')"),
        "left",
        said="left",
    ),
    harm(
        "stops all that it leaves behind",
        python("import os, time, signal\npid = os.fork()\nif pid == 0: os.setsid(); time.sleep(1000)\nos.kill(pid, signal.SIGSTOP); print('left')"),
        None,
        python("print('left')"),
        "left",
        said="left",
    ),
    harm(
        "stops itself",
        sh("kill -STOP $$"),
        "step.timeout",
        sh("(sleep 0.1; kill -CONT $$) & kill -STOP $$; echo on"),
        "on",
        timeout_s=None,
    ),
    harm(
        "closes everything and computes on",
        python("import os\nfor fd in range(3): os.close(fd)\nwhile True: pass"),
        "step.timeout",
        python("import os; os.write(1, b'done')\nfor fd in range(3): os.close(fd)"),
        "done",
    ),
    harm(
        "says a byte at a time, without end and without a line",
        python("import os\nwhile True: os.write(1, b'x')"),
        "process.line_limit",
        python("import os\nfor byte in b'[1]\\n': os.write(1, bytes([byte]))"),
        [1],
        output="ndjson",
        limits={"line_bytes": 2000},
    ),
    harm(
        "says more messages than are heard",
        python("import sys\nsys.stdout.write('1\\n' * 9_000)"),
        "process.output_limit",
        python("import sys\nsys.stdout.write('1\\n' * 2_000)"),
        1,
        output="ndjson",
    ),
    harm(
        "says more empty lines than are heard",
        python("import sys\nsys.stdout.write('\\n' * 50_000)"),
        "process.output_limit",
        python("import sys\nsys.stdout.write('\\n' * 5_000 + '1\\n')"),
        1,
        output="ndjson",
    ),
    harm(
        "says a frame of four gigabytes",
        python("import os; os.write(1, b'\\xff\\xff\\xff\\xff' + b'x' * 100)"),
        "process.line_limit",
        python("import os; os.write(1, b'\\0\\0\\0\\1' + b'1')"),
        1,
        output="frames",
    ),
    harm(
        "says half a frame",
        python("import os; os.write(1, b'\\0\\0\\0\\x09' + b'[1')"),
        "process.output",
        python("import os; os.write(1, b'\\0\\0\\0\\3' + b'[1]')"),
        [1],
        output="frames",
    ),
    harm(
        "says an event of many lines, none of them an end",
        python("import sys\nsys.stdout.write('data: xxxxxxxxx\\n' * 2_000)"),
        "process.line_limit",
        python("print('data: [1,\\ndata: 2]\\n')"),
        [1, 2],
        output="sse",
        limits={"line_bytes": 10_000},
    ),
    harm(
        "says that it used less than nothing",
        python("print('{{\"used\": -5, \"answer\": 1}}'.replace('{{', '{').replace('}}', '}'))"),
        None,
        python("print('{{\"used\": 5, \"answer\": 1}}'.replace('{{', '{').replace('}}', '}'))"),
        1,
        output="json",
        result="/answer",
        said=1,
        usage={"tokens": "/used"},
    ),
    harm(
        "says its answer in the colours of a terminal",
        python("import sys; sys.stderr.write('\\x1b[2J\\x1b]0;owned\\x07'); sys.exit(3)"),
        "process.exit",
        python("import sys; sys.stderr.write('\\x1b[2J'); print('fine')"),
        "fine",
    ),
    harm(
        "fills its directory with names that cannot be read",
        python("import os\nfor n in range(300): open(b'\\xff\\n' + str(n).encode(), 'w').close()\nos.chmod('.', 0); print('left')"),
        None,
        python("open('a', 'w').close(); print('left')"),
        "left",
        said="left",
        cwd="{workdir}",
    ),
    harm(
        "puts a directory where a part is to be, and a link to it",
        sh("mkdir -p a/b; ln -s a link; ln -s /etc/passwd a/b/part"),
        "process.part",
        sh("mkdir -p a/b; printf mine > a/b/part"),
        "",
        cwd="{workdir}",
        parts={"part": "a/b/part"},
    ),
    harm(
        "replaces its directory by a link to another",
        sh("d=$PWD; cd /; rmdir $d && ln -s /etc $d"),
        "process.part",
        sh("printf mine > passwd"),
        "",
        cwd="{workdir}",
        parts={"part": "passwd"},
    ),
    harm(
        "takes its input for ever",
        python("import sys, time\nsys.stdin.read(1)\nwhile True: time.sleep(1)"),
        "step.timeout",
        python("import sys; print(len(sys.stdin.read()))"),
        "300000",
    ),
    harm(
        "raises its own limits",
        python("import resource as r\nr.setrlimit(r.RLIMIT_NOFILE, (100_000, 100_000))"),
        "process.exit",
        python("import resource as r\nr.setrlimit(r.RLIMIT_NOFILE, (20, 20)); print('lower')"),
        "lower",
        limits={"open_files": 64},
    ),
]  # fmt: skip


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setattr(hearing, "_MOST_HEARD", 5_000)
    monkeypatch.setattr(hearing, "_MOST_LINES", 20_000)
    with open_shop(tmp_path, patience=QUICK, timeout_s=4.0) as opened:
        yield opened


async def tried(shop: Shop, one: Harm, argv: list[str]) -> tuple[str | None, Any]:
    fields = {name: value for name, value in one.fields if name != "timeout_s"}
    try:
        outcome = await shop.ask(argv, "y" * 300_000, **fields)
    except WorkerFailure as failure:
        odd = any(character in failure.message for character in "\n\x1b")
        return f"{failure.code}, of more than a line" if odd else failure.code, None
    return None, outcome.value


async def test_programs_that_mean_harm_are_survived(shop: Shop) -> None:
    lost: list[str] = []
    for one in HARMS:
        found = await tried(shop, one, one.argv)
        left = shop.left()
        if found != (one.code, one.said) or left:
            lost.append(f"{one.name}: {found}, left {left}")
    print(f"hostile programs survived: {len(HARMS) - len(lost)} / {len(HARMS)}")  # noqa: T201
    assert lost == []


async def test_their_twins_are_answered(shop: Shop) -> None:
    found = {one.name: (await tried(shop, one, one.twin)) for one in HARMS}
    sys.stdout.write(f"benign twins answered: {len(found)}\n")
    assert found == {one.name: (None, one.answer) for one in HARMS}


@pytest.mark.parametrize(("used", "tokens"), [("-5", 0), ("1e308", 10**15), ("7", 7), ("true", 0)])
async def test_what_it_says_that_it_used_is_a_number_that_can_be_added(
    used: str, tokens: int, shop: Shop
) -> None:
    script = f"print('{{{{\"used\": {used}}}}}')".replace("{{", "{").replace("}}", "}")
    outcome = await shop.ask(python(script), output="json", usage={"tokens": "/used"})
    assert outcome.usage.tokens == tokens
