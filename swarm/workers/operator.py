"""Agents of kind `operator`: whoever sits in a seat does the step, a person or a program.

An attempt is one order, or one for each seat of a panel. In a host without operators it is
a question of the run, put to the seat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any, Final, Literal, TypeAlias

import anyio
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flowir.errors import FlowError
from swarm.blueprint.agent import AgentSpec
from swarm.blueprint.words import suggest
from swarm.ports.operators import Absence, Choice, OperatorLink, Order, Reply
from swarm.ports.questions import Ask
from swarm.ports.worker import Call, FieldProblem, Outcome, StepLink, Toolbox, Usage

__all__ = ("OperatorFactory", "OperatorSettings", "OperatorWorker")

Seat = Annotated[str, Field(min_length=1, max_length=100)]
Minter: TypeAlias = Callable[[Call], str]
Link: TypeAlias = Callable[[], OperatorLink | None]


class OperatorSettings(BaseModel):
    """Who is asked, which of them, and what becomes of an order that nobody works on.

    Shape: `seat` one or several (none: the agent's name); `of` several: whoever can take
    it (`any`), every seat (`all`), or whoever answers first (`first`); `needs` are tags
    that an operator must have.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)

    seat: Seat | Annotated[list[Seat], Field(min_length=1, max_length=32)] | None = None
    of: Literal["any", "all", "first"] = "any"
    prompt: str | None = None
    choose: Choice = "least_busy"
    needs: Annotated[list[Seat], Field(max_length=64)] = []
    away_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    on_away: Literal["wait", "next", "escalate", "fail"] | None = None
    escalate_to: Seat | None = None


class OperatorWorker:
    """Asks operators to do the attempts of one agent."""

    def __init__(self, agent: AgentSpec, link: Link, mint: Minter) -> None:
        self._agent = agent
        self._link = link
        self._mint = mint
        self._settings = _settings(agent)
        seat = self._settings.seat or agent.name
        self._seats = [seat] if isinstance(seat, str) else list(dict.fromkeys(seat))
        words = (self._settings.prompt, agent.instructions, agent.description, agent.name)
        self._prompt = next(word for word in words if word)
        self._schema = agent.settings.get("output_schema") or _verdicts(agent)

    async def __call__(self, call: Call, link: StepLink) -> Outcome:
        """Do the attempt and return its outcome."""
        operators = self._link()
        if operators is None:
            ask = Ask(self._prompt, call.input, self._schema, self._seats[0], call.timeout_s)
            return Outcome(await link.ask(ask))
        async with link.held():
            if self._settings.of == "all":
                return self._panel(await self._all(operators, call, link))
            if self._settings.of == "first" and len(self._seats) > 1:
                return _outcome(await self._first(operators, call, link))
            first, *others = self._seats
            order = self._order(call, call.idempotency_key, tuple(others))
            return _outcome(await operators.ask(first, order, link))

    def _order(self, call: Call, key: str, seats: tuple[str, ...] = ()) -> Order:
        settings = self._settings
        on_away = settings.on_away or ("fail" if settings.away_s is not None else "wait")
        return Order(
            key,
            "do",
            call.agent,
            self._prompt,
            call.input,
            self._schema,
            call.run_id,
            call.key,
            call.attempt,
            call.timeout_s,
            tuple(settings.needs),
            seats,
            settings.choose,
            Absence(settings.away_s, on_away, settings.escalate_to),
            self._agent.told(),
            lambda: self._mint(call),
        )

    async def _all(
        self, operators: OperatorLink, call: Call, link: StepLink
    ) -> list[tuple[str, Reply]]:
        """Ask every seat; one that fails fails the panel."""
        replies: dict[str, Reply] = {}
        failed: list[Exception] = []
        async with anyio.create_task_group() as tasks:

            async def ask(seat: str) -> None:
                order = self._order(call, f"{call.idempotency_key}/{seat}")
                try:
                    replies[seat] = await operators.ask(seat, order, link)
                except FlowError as failure:
                    failed.append(failure)
                    tasks.cancel_scope.cancel()

            for seat in self._seats:
                tasks.start_soon(ask, seat)
        if failed:
            raise failed[0]
        return [(seat, replies[seat]) for seat in self._seats]

    async def _first(self, operators: OperatorLink, call: Call, link: StepLink) -> Reply:
        """Ask every seat, and take what comes first; the others are told to stop."""
        replies: list[Reply] = []
        failed: list[Exception] = []
        async with anyio.create_task_group() as tasks:

            async def ask(seat: str) -> None:
                order = self._order(call, f"{call.idempotency_key}/{seat}")
                try:
                    replies.append(await operators.ask(seat, order, link))
                    tasks.cancel_scope.cancel()
                except FlowError as failure:
                    failed.append(failure)

            for seat in self._seats:
                tasks.start_soon(ask, seat)
        if not replies:
            raise failed[-1]
        return replies[0]

    def _panel(self, replies: list[tuple[str, Reply]]) -> Outcome:
        """Make one answer of many: each, and the gravest verdict, the last of the agent's list."""
        said = [{"seat": seat, "by": reply.by, "value": reply.value} for seat, reply in replies]
        value: dict[str, Any] = {"answers": said}
        words = list(self._agent.verdict)
        if words:
            given = [_verdict(reply.value) for _, reply in replies]
            wrong = next((word for word in given if word not in words), None)
            gravest = max(given, key=lambda w: words.index(w) if w in words else len(words))
            value["verdict"] = gravest if wrong is None else wrong
        used = Usage()
        for _, reply in replies:
            used = used.plus(reply.usage)
        return Outcome(value, usage=used)


class OperatorFactory:
    """Makes the workers of agents of kind `operator`.

    Shape: *link* gives the way to the operators of this host, None where it has none;
    *mint* signs the token of an attempt.
    """

    kind = "operator"
    fields = frozenset(OperatorSettings.model_fields)
    required = frozenset[str]()

    def __init__(self, link: Link, mint: Minter) -> None:
        self._link = link
        self._mint = mint

    def problems(self, agent: AgentSpec, tools: Toolbox) -> Iterable[FieldProblem]:
        """Find settings that do not say who is asked, or contradict each other."""
        try:
            settings = _settings(agent)
        except ValidationError as error:
            # A union complains once for each of its forms: the last is the widest.
            wrong = {str(one["loc"][0]): one for one in error.errors(include_url=False)}
            for field, one in wrong.items():
                words = {"of": _OF, "on_away": _ON_AWAY, "choose": _CHOOSE}.get(field)
                said = f"expected {_expected(one['msg'])}, got {one['input']!r}"
                hint = (
                    suggest(one["input"], words)
                    if words and isinstance(one["input"], str)
                    else None
                )
                yield FieldProblem("operator.setting", field, said, hint)
            return
        if settings.on_away not in (None, "wait") and settings.away_s is None:
            said = f"expected seconds, for on_away {settings.on_away!r}, got none"
            yield FieldProblem("operator.setting", "away_s", said)
        if (settings.on_away == "escalate") != (settings.escalate_to is not None):
            said = "expected 'escalate_to' together with on_away 'escalate', got one of them"
            yield FieldProblem("operator.setting", "escalate_to", said)

    def build(self, agent: AgentSpec, tools: Toolbox) -> OperatorWorker:
        """Make the worker of an agent without problems."""
        return OperatorWorker(agent, self._link, self._mint)


_OF: Final = ("any", "all", "first")
_ON_AWAY: Final = ("wait", "next", "escalate", "fail")
_CHOOSE: Final = ("least_busy", "round_robin", "sticky")


def _settings(agent: AgentSpec) -> OperatorSettings:
    names = OperatorSettings.model_fields.keys() & agent.settings.keys()
    return OperatorSettings.model_validate({name: agent.settings[name] for name in names})


def _verdicts(agent: AgentSpec) -> Any:
    return {"enum": list(agent.verdict)} if agent.verdict else None


def _verdict(value: Any) -> Any:
    return value.get("verdict") if isinstance(value, dict) else value


def _outcome(reply: Reply) -> Outcome:
    parts = {} if reply.halted is None else {"halted": reply.halted}
    return Outcome(reply.value, parts, reply.usage)


def _expected(said: str) -> str:
    text = said[0].lower() + said[1:]
    for start in ("input should be ", "value should have ", "value error, "):
        text = text.removeprefix(start)
    return text
