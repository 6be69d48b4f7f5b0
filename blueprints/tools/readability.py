"""Grade a text: the Python function behind the agent `readability`."""

from __future__ import annotations

import re
from typing import Any

__all__ = ("grade",)

LONGEST_SENTENCE = 24  # words; plain-language guides advise 15 to 25
FILLERS = ("actually", "basically", "in order to", "really", "simply", "very")

_WORD = re.compile(r"[\w'-]+")
_DOUBLED = re.compile(r"\b(\w+)\s+\1\b", re.IGNORECASE)
_SENTENCE = re.compile(r"[^.!?]+[.!?]")


def grade(text: str) -> dict[str, Any]:
    """Say whether *text* reads well, and what stands in the way.

    >>> grade("It is is late.")["findings"]
    [{'kind': 'doubled', 'what': 'is is'}]
    """
    findings = [{"kind": "doubled", "what": m.group()} for m in _DOUBLED.finditer(text)]
    findings += [
        {"kind": "filler", "what": word}
        for word in FILLERS
        if re.search(rf"\b{word}\b", text, re.IGNORECASE)
    ]
    findings += [
        {"kind": "long", "what": sentence.strip()}
        for sentence in _SENTENCE.findall(text)
        if len(_WORD.findall(sentence)) > LONGEST_SENTENCE
    ]
    return {
        "verdict": "REVISE" if findings else "PASS",
        "words": len(_WORD.findall(text)),
        "findings": findings,
    }
