"""What a program sees of an environment: little, and nothing by accident.

Base: `PATH` and the words for language and time of the host, a home and a place for
temporary files that are the step's own. Beside it what the agent declares, and what the
host's settings pass on. `SWARM_STEP` marks whatever the step starts.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

__all__ = ("MARK", "base_environment", "name_is_allowed")

MARK = "SWARM_STEP"
_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
# Names that change what a program is, not what it does.
_REFUSED = re.compile(
    r"LD_.*|DYLD_.*|PYTHON.*|PERL5?(LIB|OPT|DB)|RUBY(LIB|OPT)|NODE_(OPTIONS|PATH)"
    r"|JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|GLIBC_TUNABLES|GCONV_PATH|LOCPATH"
    r"|GIT_(SSH.*|EXEC_PATH|CONFIG.*|EXTERNAL_DIFF|PROXY_COMMAND)"
    r"|BASH_.*|BASHOPTS|SHELLOPTS|PS4|PROMPT_COMMAND|IFS|CDPATH|ENV|PATH|HOME|SWARM_.*"
)
_DEFAULTS = {"LANG": "C.UTF-8", "TZ": "UTC"}


def name_is_allowed(name: str) -> bool:
    """Tell whether an agent may set a variable of this name.

    >>> [name_is_allowed(name) for name in ("MODE", "LD_PRELOAD", "mode", "PATH")]
    [True, False, False, False]
    """
    return bool(_NAME.fullmatch(name)) and not _REFUSED.fullmatch(name)


def base_environment(
    workdir: Path, passed: Iterable[str], host: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Build what every program sees.

    Shape: *passed* are names that the host hands on where it has them, `HOME` among them.
    The folder of the host's own interpreter comes last on the path, so that `python3` is
    found on a machine that has none elsewhere, and shadows nothing.
    """
    host = os.environ if host is None else host
    path = host.get("PATH") or os.defpath
    env = {
        "PATH": os.pathsep.join((path, str(Path(sys.executable).parent))),
        "HOME": str(workdir),
        "TMPDIR": str(workdir),
        **{name: host.get(name, default) for name, default in _DEFAULTS.items()},
    }
    return env | {name: host[name] for name in passed if name in host}
