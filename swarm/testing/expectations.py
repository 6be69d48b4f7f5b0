"""Whether what a test expects of a run holds, and what it may expect at all.

Each expectation is one function that yields what is wrong with its arguments, before
anything runs, and one that says why it does not hold of a run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias, get_args, get_type_hints

from flowir import Flow, FlowError, evaluate, parse_expr
from flowir.errors import shorten
from flowir.nodes import places_of
from flowir.records import dataclass
from flowir.trace import nodes_of
from flowir.wire import load_expr
from swarm.blueprint.shapes import is_array, is_object
from swarm.blueprint.words import suggest
from swarm.core import events as kinds
from swarm.testing import golden
from swarm.testing.differing import first_difference, holds
from swarm.testing.rehearsal import Rehearsed

__all__ = ("EXPECTATIONS", "Judged", "Known", "kinds_of_events", "mistakes_in", "unmet")

# What is wrong with an argument: code, sentence, hint.
Mistake: TypeAlias = tuple[str, str, str | None]
_GOLDEN_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_AMOUNTS: Final = ("attempts", "cost", "steps", "tokens")
# Sums of costs are sums of decimal fractions.
_CENTS: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Known:
    """What a blueprint has that an expectation may speak of."""

    agents: tuple[str, ...]
    ids: dict[str, str]
    places: frozenset[str]

    @classmethod
    def of(cls, flow: Flow, agents: tuple[str, ...]) -> Known:
        """Read it from a flow."""
        return cls(agents, places_of(flow), frozenset(place for place, _ in nodes_of(flow)))

    def place(self, node: str) -> str:
        """Return the place of a node that is named by id or place."""
        return self.ids.get(node, node)


@dataclass(frozen=True, slots=True)
class Judged:
    """A run, and where its test is kept."""

    run: Rehearsed
    known: Known
    test: str
    update: bool = False


def mistakes_in(name: str, arguments: tuple[Any, ...], known: Known) -> Iterator[Mistake]:
    """Find what is wrong with an expectation, whatever a run comes to."""
    for code, sentence, hint in _TABLE[name][0](arguments, known):
        yield code, f"test.{name}: {sentence}", hint


def unmet(name: str, arguments: tuple[Any, ...], judged: Judged) -> str | None:
    """Say why an expectation does not hold of a run."""
    said = _TABLE[name][1](arguments, judged)
    return None if said is None else f"test.{name}: {said}"


def kinds_of_events() -> frozenset[str]:
    """Return the kinds that events may have."""
    hints = (
        get_type_hints(getattr(kinds, n))
        for n in kinds.__all__
        if n[0].isupper() and n != "Event" and n.upper() != n
    )
    return frozenset(kind for hint in hints if "kind" in hint for kind in get_args(hint["kind"]))


# -- who was asked -------------------------------------------------------------------------


def _path_mistakes(arguments: tuple[Any, ...], known: Known) -> Iterator[Mistake]:
    (agents,) = _filled(arguments, 1)
    if agents == {}:
        return
    if not is_array(agents) or not all(isinstance(name, str) for name in agents):
        yield _malformed(f"expected a list of agents, got {shorten(agents)}")
        return
    for name in dict.fromkeys(agents):
        yield from _agent(name, known)


def _path(arguments: tuple[Any, ...], judged: Judged) -> str | None:
    expected, got = list(arguments[0]), judged.run.path
    if expected == got:
        return None
    at = next(
        (i for i, pair in enumerate(zip(expected, got, strict=False)) if pair[0] != pair[1]),
        min(len(expected), len(got)),
    )
    one = repr(expected[at]) if at < len(expected) else "the end"
    other = repr(got[at]) if at < len(got) else "the end"
    return f"expected {one} as call {at + 1}, got {other}; the path was {', '.join(got) or 'empty'}"


def _calls_mistakes(arguments: tuple[Any, ...], known: Known) -> Iterator[Mistake]:
    agent, count = _filled(arguments, 2)
    yield from _agent(agent, known)
    yield from _count(count)


def _calls(arguments: tuple[Any, ...], judged: Judged) -> str | None:
    agent, count = arguments[:2]
    got = judged.run.path.count(agent)
    return None if got == count else f"expected {count} calls of {agent!r}, got {got}"


def _input_mistakes(arguments: tuple[Any, ...], known: Known) -> Iterator[Mistake]:
    agent, nth = _filled(arguments, 2)
    yield from _agent(agent, known)
    if type(nth) is not int or nth < 1:
        yield _malformed(f"expected which call, an integer from 1, got {shorten(nth)}")
    elif len(arguments) < 3:
        yield _malformed("expected the input as third argument, got none")


def _input(arguments: tuple[Any, ...], judged: Judged) -> str | None:
    agent, nth, expected = arguments[:3]
    inputs = [played.input for played in judged.run.calls if played.agent == agent]
    if len(inputs) < nth:
        return f"expected call {nth} of {agent!r}, got {len(inputs)} calls of it"
    found = first_difference(expected, inputs[nth - 1], "input")
    return None if found is None else f"call {nth} of {agent!r}: {found}"


# -- what came of it -----------------------------------------------------------------------


def _ctx_mistakes(arguments: tuple[Any, ...], known: Known) -> Iterator[Mistake]:
    (path,) = _filled(arguments, 1)
    if not isinstance(path, str) or not re.match(r"(ctx|\$)($|[.\[])", path):
        yield _malformed(f"expected a path such as 'ctx.verdict', got {shorten(path)}")
        return
    yield from _expression(path)
    if len(arguments) < 2:
        yield _malformed("expected the value as second argument, got none — test.null is one")


def _ctx(arguments: tuple[Any, ...], judged: Judged) -> str | None:
    path, expected = arguments[:2]
    if judged.run.status != "succeeded":
        return f"expected a final context, got a run that {judged.run.status}"
    try:
        got = evaluate(path, judged.run.ctx)
    except FlowError as error:
        return f"{path}: {error.message}"
    found = first_difference(expected, got, path)
    return None if found is None else str(found)


def _that_mistakes(arguments: tuple[Any, ...], known: Known) -> Iterator[Mistake]:
    (text,) = _filled(arguments, 1)
    if not isinstance(text, str):
        yield _malformed(f"expected an expression as text, got {shorten(text)}")
    else:
        yield from _expression(text)


def _that(arguments: tuple[Any, ...], judged: Judged) -> str | None:
    (text,) = arguments[:1]
    if judged.run.status != "succeeded":
        return f"expected a final context, got a run that {judged.run.status}"
    try:
        got = evaluate(text, judged.run.ctx)
    except FlowError as error:
        return f"{text}: {error.message}"
    return None if got is True else f"expected {text} to be true, got {shorten(got)}"


def _error_mistakes(arguments: tuple[Any, ...], known: Known) -> Iterator[Mistake]:
    code, message = _filled(arguments, 2)
    if not isinstance(code, str) or not code:
        yield _malformed(f"expected a code such as 'pages.missing', got {shorten(code)}")
    if message is not None and not isinstance(message, str):
        yield _malformed(f"expected a part of the message, got {shorten(message)}")


def _error(arguments: tuple[Any, ...], judged: Judged) -> str | None:
    code, message = _filled(arguments, 2)
    error = judged.run.error
    if error is None:
        return f"expected the run to fail with {code!r}, got a run that {judged.run.status}"
    if code not in (error["code"], error.get("cause_code")):
        got = error.get("cause_code") or error["code"]
        return f"expected the run to fail with {code!r}, got {got!r}: {error['message']}"
    if message is not None and message not in error["message"]:
        return f"expected a message with {message!r}, got {error['message']!r}"
    return None


# -- what happened -------------------------------------------------------------------------


def _event_mistakes(arguments: tuple[Any, ...], known: Known) -> Iterator[Mistake]:
    kind, members, count = _filled(arguments, 3)
    there = kinds_of_events()
    if not isinstance(kind, str) or kind not in there:
        hint = suggest(kind, there) if isinstance(kind, str) else None
        yield "case.malformed", f"expected a kind of event, got {shorten(kind)}", hint
    if members is not None and members != [] and not is_object(members):
        yield _malformed(f"expected members by name, got {shorten(members)}")
    elif is_object(members) and isinstance(members.get("step"), str):
        yield from _agent(members["step"], known)
    if count is not None:
        yield from _count(count)


def _event(arguments: tuple[Any, ...], judged: Judged) -> str | None:
    kind, members, count = _filled(arguments, 3)
    alike = [event for event in judged.run.events if event["kind"] == kind]
    found = [event for event in alike if holds(members or {}, dict(event))]
    if len(found) == count or (count is None and found):
        return None
    wanted = "one or more" if count is None else str(count)
    with_ = f" with {shorten(members)}" if members else ""
    return f"expected {wanted} of {kind!r}{with_}, got {len(found)} ({len(alike)} of that kind)"


def _part_mistakes(arguments: tuple[Any, ...], known: Known) -> Iterator[Mistake]:
    name = _filled(arguments, 1)[0]
    if not isinstance(name, str) or not name:
        yield _malformed(f"expected the name of a part, got {shorten(name)}")
    if len(arguments) < 2:
        yield _malformed("expected the value of the part, got none")


def _part(arguments: tuple[Any, ...], judged: Judged) -> str | None:
    name, expected = arguments
    parts = judged.run.parts
    if name not in parts:
        return f"expected a part {name!r}, got {', '.join(map(repr, parts)) or 'none'}"
    got = parts[name]
    if isinstance(got, bytes):
        got = got.decode("utf-8", "replace")
    found = first_difference(expected, got, name)
    return None if found is None else str(found)


def _usage_mistakes(arguments: tuple[Any, ...], known: Known) -> Iterator[Mistake]:
    (amounts,) = _filled(arguments, 1)
    if not is_object(amounts) or not amounts:
        yield _malformed(f"expected amounts by name, got {shorten(amounts)}")
        return
    for name, value in amounts.items():
        if name not in _AMOUNTS:
            yield "case.malformed", f"expected an amount, got {name!r}", suggest(name, _AMOUNTS)
        elif type(value) not in (int, float):
            yield _malformed(f"expected {name!r} to be a number, got {shorten(value)}")


def _usage(arguments: tuple[Any, ...], judged: Judged) -> str | None:
    got = judged.run.usage
    for name, expected in arguments[0].items():
        if abs(got[name] - expected) > _CENTS:
            return f"expected {name} {expected}, got {got[name]}"
    return None


def _took_mistakes(arguments: tuple[Any, ...], known: Known) -> Iterator[Mistake]:
    (seconds,) = _filled(arguments, 1)
    if type(seconds) not in (int, float) or seconds < 0:
        yield _malformed(f"expected seconds, a number from 0, got {shorten(seconds)}")


def _took(arguments: tuple[Any, ...], judged: Judged) -> str | None:
    expected, got = arguments[0], judged.run.took_s
    same = abs(got - expected) <= 1e-6 * max(1.0, abs(expected))
    return None if same else f"expected {expected:g} s by the fake clock, got {got:g} s"


def _visits_mistakes(arguments: tuple[Any, ...], known: Known) -> Iterator[Mistake]:
    node, count = _filled(arguments, 2)
    if not isinstance(node, str) or known.place(node) not in known.places:
        hint = suggest(node, known.ids) if isinstance(node, str) else None
        yield "case.step", f"expected the id or place of a node, got {shorten(node)}", hint
    if count is not None:
        yield from _count(count)


def _visits(arguments: tuple[Any, ...], judged: Judged) -> str | None:
    node, count = _filled(arguments, 2)
    got = judged.run.trace.nodes[judged.known.place(node)]
    if got == count or (count is None and got):
        return None
    wanted = "once or more" if count is None else f"{count} times"
    return f"expected {node!r} to be entered {wanted}, got {got}"


def _golden_mistakes(arguments: tuple[Any, ...], known: Known) -> Iterator[Mistake]:
    (name,) = _filled(arguments, 1)
    if not isinstance(name, str) or not _GOLDEN_NAME.fullmatch(name):
        yield _malformed(f"expected a name of letters, digits, '-', '_', '.', got {shorten(name)}")


def _golden(arguments: tuple[Any, ...], judged: Judged) -> str | None:
    path = golden.path_of(judged.test, arguments[0])
    return golden.compared(
        path, golden.lines_of(judged.run.events, judged.run.calls), update=judged.update
    )


# -- what they have in common --------------------------------------------------------------


def _filled(arguments: tuple[Any, ...], count: int) -> tuple[Any, ...]:
    """Return so many arguments, null for those that were left out."""
    return (*arguments, *(None,) * count)[:count]


def _malformed(sentence: str) -> Mistake:
    return "case.malformed", sentence, None


def _agent(name: Any, known: Known) -> Iterator[Mistake]:
    if not isinstance(name, str) or name not in known.agents:
        hint = suggest(name, known.agents) if isinstance(name, str) else None
        yield "case.step", f"expected an agent of the blueprint, got {shorten(name)}", hint


def _count(value: Any) -> Iterator[Mistake]:
    if type(value) is not int or value < 0:
        yield _malformed(f"expected how often, an integer from 0, got {shorten(value)}")


def _expression(text: str) -> Iterator[Mistake]:
    try:
        load_expr(parse_expr(text))
    except FlowError as error:
        yield _malformed(f"{error}")


_TABLE: Final[
    dict[
        str,
        tuple[
            Callable[[tuple[Any, ...], Known], Iterator[Mistake]],
            Callable[[tuple[Any, ...], Judged], str | None],
        ],
    ]
] = {
    "calls": (_calls_mistakes, _calls),
    "ctx": (_ctx_mistakes, _ctx),
    "error": (_error_mistakes, _error),
    "event": (_event_mistakes, _event),
    "golden": (_golden_mistakes, _golden),
    "input": (_input_mistakes, _input),
    "part": (_part_mistakes, _part),
    "path": (_path_mistakes, _path),
    "that": (_that_mistakes, _that),
    "took": (_took_mistakes, _took),
    "usage": (_usage_mistakes, _usage),
    "visits": (_visits_mistakes, _visits),
}

# What an expectation may be, by its name in `flow.test`.
EXPECTATIONS: Final = frozenset(_TABLE)
