"""`redact`: what looks like a secret is replaced in all that comes out of an agent's work.

That is its answer and parts, its progress, its failures and its questions. Patterns are the
host's to give: a pattern of a stranger could keep a text busy for ever.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final

from pydantic import Field

from flowir.errors import WorkerFailure
from swarm.middleware.secrets import Secrets
from swarm.ports.layer import LayerCall, LayerFactory, LayerParams, Next, PassingLink, Site
from swarm.ports.questions import Ask
from swarm.ports.worker import CostlyFailure, FieldProblem, Outcome, StepLink

__all__ = ("REDACT", "RedactLayer", "RedactParams")

_Texts = Annotated[tuple[str, ...], Field(strict=False)]


class RedactParams(LayerParams):
    """More names of members, and more looks (regular expressions), than the usual ones.

    Shape: `keys` count without case, `_` and `-`.
    """

    keys: _Texts = ()
    patterns: _Texts = ()


class RedactLayer:
    """Hides the secrets of one agent's work."""

    in_place: Final = True

    def __init__(self, params: RedactParams, site: Site) -> None:
        self._secrets = Secrets(params.keys, params.patterns)

    async def __call__(self, call: LayerCall, next: Next) -> Outcome:
        """Carry a call on, and let no secret out."""
        secrets = self._secrets
        try:
            outcome = await next(call.with_link(_SilentLink(call.link, secrets)))
        except WorkerFailure as failure:
            raise _hidden(failure, secrets) from failure.__cause__
        value, parts, usage = outcome
        hidden = secrets.hidden(value)
        if parts:
            parts = secrets.hidden(dict(parts))
        elif hidden is value:
            return outcome
        return Outcome(hidden, parts, usage)


def _hidden(failure: WorkerFailure, secrets: Secrets) -> WorkerFailure:
    message, data = secrets.text(failure.message), secrets.hidden(failure.data)
    if message is failure.message and data is failure.data:
        return failure
    if isinstance(failure, CostlyFailure):
        return CostlyFailure(failure.code, message, failure.permanent, data, usage=failure.usage)
    return WorkerFailure(failure.code, message, failure.permanent, data)


class _SilentLink(PassingLink):
    __slots__ = ("_secrets",)

    def __init__(self, link: StepLink, secrets: Secrets) -> None:
        self.link = link
        self._secrets = secrets

    async def progress(self, text: str) -> None:
        await self.link.progress(self._secrets.text(str(text)))

    async def part(self, name: str, value: Any) -> Mapping[str, Any]:
        hidden = self._secrets.hidden({name: value})
        return await self.link.part(name, hidden[name])

    def shown(self, value: Any) -> Any:
        return self._secrets.hidden(value)

    async def ask(self, ask: Ask) -> Any:
        secrets = self._secrets
        prompt, about = secrets.text(ask.prompt), secrets.hidden(ask.input)
        return await self.link.ask(
            Ask(
                prompt,
                about,
                ask.schema,
                ask.to,
                ask.deadline_s,
                ask.on_deadline,
                ask.default,
                ask.escalate_to,
            )
        )


def _problems(params: RedactParams, site: Site) -> Iterable[FieldProblem]:
    if params.patterns and not site.trusted:
        said = "expected patterns from the host alone, got some from a blueprint"
        yield FieldProblem("layer.field_wrong", "patterns", said, "name members with 'keys'")
        return
    for pattern in params.patterns:
        try:
            re.compile(pattern)
        except re.error as e:
            said = f"expected regular expressions, got {pattern!r}: {e}"
            yield FieldProblem("layer.field_wrong", "patterns", said)


REDACT = LayerFactory("redact", 20, RedactParams, RedactLayer, again="adds", problems=_problems)
