"""Secrets: handed over on a pipe, and taken out of whatever a program says."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from swarm.errors import Refused

__all__ = ("Redactor", "SecretBook", "SecretsTooLarge", "handed_over")

_SHORTEST = 8
_MOST_BYTES = 60 * 1024  # what every system's pipe takes at once, and a little less


class SecretsTooLarge(ValueError):
    """More than a pipe takes at once."""


class SecretBook:
    """The secrets of a host by name; printing it shows the names only."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"SecretBook({sorted(self._values)})"

    def add(self, name: str, value: str) -> None:
        """Keep a secret; one of the same name is replaced.

        Raises: Refused (secret.value, secret.name), never with the value.
        """
        if not name.isidentifier():
            raise Refused("secret.name", f"host.secret: expected a name, got {name!r}")
        size = len(value.encode("utf-8", "surrogatepass"))
        if not _SHORTEST <= size <= _MOST_BYTES:
            raise Refused(
                "secret.value",
                f"host.secret: expected {name!r} to have {_SHORTEST} to {_MOST_BYTES} bytes, "
                f"got {size} — a short one could not be told from other words",
            )
        self._values[name] = value

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def of(self, names: Iterable[str]) -> dict[str, str]:
        """Return some of them by name.

        Raises: KeyError.
        """
        return {name: self._values[name] for name in names}


class Redactor:
    """Puts `[secret NAME]` where a program tells what it was told."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._marks: dict[str, str] = {}
        for name, value in secrets.items():
            mark = f"[secret {name}]"
            # As it is, as it stands within JSON, and line by line.
            for form in (value, json.dumps(value)[1:-1], *value.splitlines()):
                if len(form) >= _SHORTEST:
                    self._marks[form] = mark
        self._forms = sorted(self._marks, key=len, reverse=True)
        self.longest = max((len(form.encode()) for form in self._forms), default=0)

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, self._marks[form])
        return text

    def value(self, value: Any) -> Any:
        """Return a JSON value without secrets."""
        if not self._forms:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return {self.text(name): self.value(member) for name, member in value.items()}
        return value


def handed_over(secrets: Mapping[str, str]) -> bytes:
    """Write secrets as their program reads them: one JSON object, one line.

    Raises: SecretsTooLarge.
    """
    data = json.dumps(dict(secrets), ensure_ascii=False).encode() + b"\n"
    if len(data) > _MOST_BYTES:
        raise SecretsTooLarge(f"expected at most {_MOST_BYTES} bytes of secrets, got {len(data)}")
    return data
