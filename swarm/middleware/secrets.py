"""Finding secrets in JSON: by the names of members, and by how they look.

What looks like one is replaced where it stands; the rest of a text stays. Patterns are
bounded and without nesting, so that no text keeps them busy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

__all__ = ("KEYS", "MASK", "Secrets")

MASK: Final = "[redacted]"
# Names whose values are secrets, compared without case, '_' and '-'.
KEYS: Final = frozenset(
    {
        *("accesskey", "accesstoken", "apikey", "authorization", "clientsecret", "cookie"),
        *("credentials", "password", "passphrase", "passwd", "privatekey", "pwd"),
        *("refreshtoken", "secret", "secretkey", "sessiontoken", "setcookie", "token"),
    }
)
# Each begins with a text that few other texts have, so that most are left at once.
_LOOKS: Final = (
    r"\bsk-[A-Za-z0-9_-]{16,200}",
    r"\bgh[pousr]_[A-Za-z0-9]{20,255}",
    r"\bgithub_pat_[A-Za-z0-9_]{20,255}",
    r"\bxox[abprs]-[A-Za-z0-9-]{10,200}",
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    r"\bAIza[A-Za-z0-9_-]{35}",
    r"\beyJ[A-Za-z0-9_-]{8,300}\.[A-Za-z0-9_-]{8,4000}\.[A-Za-z0-9_-]{8,1000}",
    r"(?i:\bbearer )[A-Za-z0-9._~+/-]{12,2000}=*",
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[A-Za-z0-9+/=\s]{0,8000}-----END [A-Z ]{0,30}-----",
    r"\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@]{1,100}:[^\s:/@]{1,200}@",
)
# What one of them must contain; the shortest is longer than `_SHORT`. Each begins with one
# letter, which the library looks for by itself: a text takes half the time then.
_HINT: Final = re.compile(
    "sk-|gh[pousr_]|github|xox|AKIA|ASIA|AIza|eyJ|e[aA][rR][eE][rR] |E[aA][rR][eE][rR] |-----B|://"
)
_SHORT: Final = 8


class Secrets:
    """What counts as a secret: the usual names and looks, and more of both."""

    def __init__(self, keys: Iterable[str] = (), patterns: Iterable[str] = ()) -> None:
        own = list(patterns)
        self._keys = KEYS | {_plain(key) for key in keys}
        self._pattern = re.compile("|".join((*_LOOKS, *own)))
        self._short = -1 if own else _SHORT
        self._hint = re.compile("") if own else _HINT
        self._known: dict[str, bool] = {}

    def hidden(self, value: Any) -> Any:
        """Return *value* without its secrets: itself, where it has none.

        >>> Secrets().hidden({"user": "ada", "api_key": "k", "log": "got sk-abcdefghijklmnopqrst"})
        {'user': 'ada', 'api_key': '[redacted]', 'log': 'got [redacted]'}
        """
        kind = type(value)
        if kind is str:
            return self.text(value)
        if kind is dict:
            return self._object(value)
        if kind is list:
            return self._array(value)
        return value

    def text(self, text: str) -> str:
        """Return *text* with what looks like a secret replaced."""
        if len(text) <= self._short or self._hint.search(text) is None:
            return text
        return self._pattern.sub(MASK, text)

    def _object(self, value: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] | None = None
        short, known = self._short, self._known
        for name, member in value.items():
            is_key = known.get(name)
            if is_key is None:
                is_key = self._is_key(name)
            new: Any
            if is_key and member is not None:
                new = MASK
            elif type(member) is str:
                # Most texts are short, and most members neither texts nor made of them.
                if len(member) <= short:
                    continue
                new = self.text(member)
            elif type(member) is dict or type(member) is list:
                new = self.hidden(member)
            else:
                continue
            if new is not member:
                if found is None:
                    found = dict(value)
                found[name] = new
        return value if found is None else found

    def _array(self, value: list[Any]) -> list[Any]:
        found: list[Any] | None = None
        short = self._short
        for i, item in enumerate(value):
            kind = type(item)
            if kind is str:
                if len(item) <= short:
                    continue
                new: Any = self.text(item)
            elif kind is dict or kind is list:
                new = self.hidden(item)
            else:
                continue
            if new is not item:
                if found is None:
                    found = list(value)
                found[i] = new
        return value if found is None else found

    def _is_key(self, name: str) -> bool:
        if len(self._known) > 10_000:
            self._known.clear()
        found = self._known[name] = _plain(name) in self._keys
        return found


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()
