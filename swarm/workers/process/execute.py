"""Becoming a program that is looked for in the folders of PATH.

The library's own search tells of the first folder that was denied, whatever came behind it.
So a folder that the user may not look into made every missing program "permission denied",
and hid why the one that there is could not be started. Knows the standard library only.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from typing import NoReturn

__all__ = ("execute",)


def execute(argv: list[str], env: Mapping[str, str]) -> NoReturn:
    """Become the program *argv* names; a folder that cannot be looked into holds nothing.

    Raises: OSError: of the file that was found and cannot be started, else that of none.
    """
    name = argv[0]
    if "/" in name:
        os.execve(name, argv, env)  # noqa: S606 - there is no shell
    denied: OSError | None = None
    # `os.get_exec_path` imports something on the way, which must not happen after a fork.
    for folder in env.get("PATH", os.defpath).split(os.pathsep):
        file = os.path.join(folder, name)
        try:
            os.execve(file, argv, env)  # noqa: S606 - there is no shell
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError as error:
            if os.path.exists(file):
                denied = denied or error
    raise denied or FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
