"""What a process that runs scripts cannot do any more, tried by somebody inside it."""

from __future__ import annotations

import json
import os
import platform
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

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


def test_a_limit_that_the_system_does_not_have_is_said_not_to_hold() -> None:
    assert not jail._set_limit("RLIMIT_OF_ELSEWHERE", 0)  # pyright: ignore[reportPrivateUsage]


@pytest.mark.skipif(sys.platform != "linux", reason="asks what Linux notes of a process")
def test_all_that_it_gives_up_is_noted_by_the_system() -> None:
    held, said, code = tried("settings")
    noted, done = said.split("\n")
    assert (held, done, code) == (list(MEASURES[:-1]), "done", 0)
    assert json.loads(noted) == {
        "AS": [512 * 1024 * 1024] * 2,
        "NOFILE": [3, 3],
        "FSIZE": [0, 0],
        "CORE": [0, 0],
        "NPROC": [0, 0],
        "parent_death": signal.SIGKILL,
        "dumpable": 0,
        "no_new_privs": 1,
    }


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


HEADER_X86 = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")


@pytest.mark.skipif(not HEADER_X86.is_file(), reason="the kernel's headers are not installed")
def test_the_calls_of_x86_64_are_those_of_the_kernel_s_headers() -> None:
    said = dict(re.findall(r"^#define __NR_(\w+) (\d+)$", HEADER_X86.read_text(), re.MULTILINE))
    table = jail._TABLES["x86_64"]  # pyright: ignore[reportPrivateUsage]
    assert sorted(table.mapping) == sorted(int(said[name]) for name in ("mmap", "mprotect"))
    assert sorted(table.others) == sorted(int(said[name]) for name in [*CALLS, "time"])


@pytest.mark.parametrize(("name", "elf"), [("x86_64", 62), ("aarch64", 183)])
def test_a_machine_is_known_by_its_number_in_elf_as_64_bit_and_little_endian(
    name: str, elf: int
) -> None:
    """As linux/audit.h makes AUDIT_ARCH_X86_64 and AUDIT_ARCH_AARCH64."""
    table = jail._TABLES[name]  # pyright: ignore[reportPrivateUsage]
    assert table.audit == 0x80000000 | 0x40000000 | elf


ALLOWED, KILLED = 0x7FFF0000, 0x80000000


def verdict(steps: list[Any], machine: int, call: int, third: int) -> int:
    """Carry a filter out as the kernel does."""
    data, held, at = {0: call, 4: machine, 32: third}, 0, 0
    while True:
        step = steps[at]
        at += 1
        match step.code:
            case 0x20:
                held = data[step.k]
            case 0x15:
                at += step.yes if held == step.k else step.no
            case 0x45:
                at += step.yes if held & step.k else step.no
            case 0x06:
                return step.k
            case _:
                pytest.fail(f"no step of a filter: {step.code:#x}")


@pytest.mark.parametrize("name", ["x86_64", "aarch64"])
def test_the_filter_of_a_machine_lets_through_what_is_listed_and_nothing_else(name: str) -> None:
    """Also that of a machine which is not at hand."""
    table = jail._TABLES[name]  # pyright: ignore[reportPrivateUsage]
    steps = list(jail._steps(table))  # pyright: ignore[reportPrivateUsage]
    read, write, run = 1, 2, 4
    for call in range(600):
        for third in (0, read, write, read | write, run, run | read, run | write | 0x1000000):
            fine = call in table.others or (call in table.mapping and not third & run)
            assert verdict(steps, table.audit, call, third) == (ALLOWED if fine else KILLED)
            assert verdict(steps, table.audit ^ 1, call, third) == KILLED


def test_without_a_table_for_the_machine_there_is_no_filter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []

    def prctl(*given: Any) -> bool:
        asked.append(given)
        return True

    filter_calls = jail._filter_calls  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(machine="riscv64"))
    assert (filter_calls(prctl), asked) == (False, [])
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(machine="aarch64"))
    assert filter_calls(prctl)
    assert [given[:2] for given in asked] == [(22, 2)]
