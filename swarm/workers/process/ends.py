"""How a program's end is said: each way to fail has a code, a reason and a sentence."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

from flowir.errors import shorten
from swarm.workers.process.child import Ended, Unstarted, signal_name

__all__ = ("bad_end", "is_passing", "unstarted")

# The host is out of something for a moment; anything else fails the same way again.
_PASSING = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, 0})
_SIGNALS = {
    "SIGKILL": "killed",
    "SIGTERM": "terminated",
    "SIGSEGV": "crashed",
    "SIGBUS": "crashed",
    "SIGILL": "crashed",
    "SIGFPE": "crashed",
    "SIGABRT": "crashed",
    "SIGSYS": "crashed",
    "SIGXCPU": "cpu_limit",
    "SIGXFSZ": "file_limit",
}
_SENTENCES = {
    "killed": "was ended by SIGKILL (by the system for want of memory, or by somebody)",
    "cpu_limit": "was ended by SIGXCPU: it computed longer than it may",
    "file_limit": "was ended by SIGXFSZ: it wrote a larger file than it may",
}
_EXITS = {
    126: ("not_executable", "exited with code 126: it found a command that cannot be executed"),
    127: ("not_found", "exited with code 127: it did not find a command"),
}


def bad_end(ended: Ended, good_codes: frozenset[int]) -> tuple[str, str, dict[str, Any]] | None:
    """Return code, sentence and values of an end that is none of the good ones."""
    code = ended.code
    if ended.limit is not None:
        return "process.limit", f"went beyond its limit {ended.limit!r}", {"limit": ended.limit}
    if code is None:
        return "process.lost", "was lost: whoever watched it was killed", {}
    if code in good_codes:
        return None
    if code >= 0:
        reason, said = _EXITS.get(code, ("exit", f"exited with code {code}"))
        return "process.exit", said, {"exit_code": code, "reason": reason}
    name = signal_name(code)
    reason = _SIGNALS.get(name, "signal")
    said = _SENTENCES.get(reason, f"was ended by {name}")
    return "process.signal", said, {"signal": name, "reason": reason}


def unstarted(error: Unstarted, program: str, cwd: Path) -> tuple[str, str]:
    """Return the reason why a program could not be started, and the sentence."""
    what = (os.strerror(error.number) if error.number else "its keeper was killed").lower()
    if error.at == "cwd":
        return "cwd", f"cannot start in {str(cwd)!r}: {what}"
    if error.number == errno.E2BIG:
        return "too_large", f"cannot start {shorten(program)}: its arguments are too long in all"
    found = cwd / program
    if error.number == errno.EACCES and "/" in program and found.is_dir():
        return "directory", f"cannot start {shorten(program)}: is a directory"
    reasons = {
        errno.ENOENT: "missing",
        errno.ENOTDIR: "missing",
        errno.EACCES: "not_executable",
        errno.ENOEXEC: "not_executable",
    }
    return reasons.get(error.number, "system"), f"cannot start {shorten(program)}: {what}"


def is_passing(error: Unstarted) -> bool:
    """Tell whether the same may go well another time."""
    return error.number in _PASSING
