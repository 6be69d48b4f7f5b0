"""What a process that runs scripts cannot do any more, tried by somebody inside it."""

from __future__ import annotations

import platform
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from swarm.lua import jail
from swarm.lua.jail import MEASURES

JAILED = Path(__file__).parents[1] / "lua" / "jailed.py"
FILTERED = sys.platform == "linux" and platform.machine() in ("x86_64", "aarch64")


def tried(act: str) -> tuple[list[str], str, int]:
    done = subprocess.run(  # noqa: S603 - our own child
        [sys.executable, str(JAILED), act], capture_output=True, text=True, check=False
    )
    held, _, said = done.stdout.partition("\n")
    return held.split(), said, done.returncode


def test_what_scripts_need_is_allowed() -> None:
    held, said, code = tried("nothing")
    assert (said, code) == ("done", 0)
    assert "limits" in held
    if FILTERED:
        assert tuple(held) == MEASURES


def test_memory_is_limited_everywhere() -> None:
    assert tried("memory")[1:] == ("refused MemoryError", 0)


@pytest.mark.skipif(not FILTERED, reason="system calls are filtered on these machines only")
@pytest.mark.parametrize(
    "act",
    [
        "open", "create", "list", "stat", "unlink", "duplicate", "pipe", "socket", "fork",
        "execute", "kill", "limits", "code", "trace",
    ],
)  # fmt: skip
def test_the_system_ends_a_process_that_tries_to(act: str) -> None:
    assert tried(act)[1:] == ("", -signal.SIGSYS)


HEADER = Path("/usr/include/asm-generic/unistd.h")
CALLS = [
    "read",
    "write",
    "munmap",
    "brk",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_yield",
    "mremap",
    "madvise",
    "exit",
    "gettimeofday",
    "getrusage",
    "futex",
    "restart_syscall",
    "clock_gettime",
    "exit_group",
    "getrandom",
]


@pytest.mark.skipif(not HEADER.is_file(), reason="the kernel's headers are not installed")
def test_the_calls_of_aarch64_are_those_of_the_kernel_s_headers() -> None:
    text = HEADER.read_text()
    said = dict(re.findall(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)$", text, re.MULTILINE))
    table = jail._TABLES["aarch64"]  # pyright: ignore[reportPrivateUsage]
    assert sorted(table.mapping) == sorted(int(said[name]) for name in ("mmap", "mprotect"))
    assert sorted(table.others) == sorted(int(said[name]) for name in CALLS)
