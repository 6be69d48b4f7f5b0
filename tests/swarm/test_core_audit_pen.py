"""Entries that are written without an object: the same bytes as of the entry itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.blueprint.canonical import canonical_bytes, digest_of
from swarm.core.audit.entries import LATEST_S, MOST_BYTES, body_of, entry_of
from swarm.core.audit.pen import Pen
from swarm.errors import SwarmError
from swarm.ports.audit import AuditEntry

GIVEN, GAVE = digest_of({"n": 1}), digest_of(["tea"])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
TIMES = st.one_of(
    st.floats(1.0, LATEST_S, exclude_min=True, exclude_max=True),
    st.floats(1.7e9, 1.9e9),
    st.integers(1_700_000_000_000_000, 1_900_000_000_000_000).map(lambda us: us / 1e6),
)


def canonical(entry: AuditEntry) -> bytes:
    """Write an entry as everything canonical is written."""
    said = {name: value for name, value in entry._asdict().items() if value is not None}
    del said["detail"]
    return canonical_bytes(said)


@given(actor=TEXTS, verb=TEXTS, run=TEXTS, step=TEXTS, at_s=TIMES, attempt=st.integers(1, 10**12))
def test_both_entries_of_an_attempt_are_canonical_json(
    actor: str, verb: str, run: str, step: str, at_s: float, attempt: int
) -> None:
    writer, at = Pen(actor, verb), (run, step, attempt)
    begun = AuditEntry(at_s, actor, verb, "begun", *at, GIVEN)
    done = AuditEntry(at_s, actor, verb, "done", *at, GIVEN, GAVE)
    assert writer.begun(at_s, *at, GIVEN) == canonical(begun) == body_of(begun)
    assert writer.done(at_s, *at, GIVEN, GAVE) == canonical(done) == body_of(done)


def mixed(places: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return where a pen was that did not write where it was."""
    writer = Pen("agent:w", "do")
    made = [(place, entry_of(writer.done(1.5, *place, 1, GIVEN, GAVE))) for place in places]
    return [place for place, entry in made if place != (entry.run, entry.step)]


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=12))
def test_the_entries_of_several_steps_and_runs_do_not_mix(places: list[tuple[str, str]]) -> None:
    assert mixed(places) == []


@pytest.mark.parametrize("at_s", [0.0, 1.0, -5.5, LATEST_S, 1e300])
def test_a_time_that_two_encoders_may_spell_otherwise_is_left_to_the_log(at_s: float) -> None:
    made = Pen("agent:w", "do").begun(at_s, "r_1", "$", 1, GIVEN)
    assert made == AuditEntry(at_s, "agent:w", "do", "begun", "r_1", "$", 1, GIVEN)
    assert body_of(made) == canonical(entry_of(made))


@pytest.mark.parametrize(
    "given", ["", "sha256", '"' * 64, "\\" * 64, "ä" * 64, GIVEN + "0", GIVEN[:-1] + '"']
)
def test_a_digest_that_is_none_is_left_to_the_log(given: str) -> None:
    writer, at = Pen("agent:w", "do"), (1.5, "r_1", "$", 1)
    for made in (writer.begun(*at, given), writer.done(*at, given, GAVE)):
        assert isinstance(made, AuditEntry)
        assert entry_of(body_of(made)) == made
    assert isinstance(writer.done(*at, GIVEN, GAVE), bytes)


@pytest.mark.parametrize("step", ["ä" * MOST_BYTES, "x" * MOST_BYTES])
def test_what_is_too_long_is_left_to_the_log_which_refuses_it(step: str) -> None:
    writer = Pen("agent:w", "do")
    for made in (
        writer.begun(1.5, "r_1", step, 1, GIVEN),
        writer.done(1.5, "r_1", step, 1, GIVEN, GAVE),
    ):
        assert isinstance(made, AuditEntry)
        with pytest.raises(SwarmError, match="at most 16384 bytes"):
            body_of(made)
    assert isinstance(writer.begun(1.5, "r_1", "$", 1, GIVEN), bytes)


def test_what_is_nearly_too_long_is_within_the_bound_however_it_is_written() -> None:
    writer = Pen("agent:w", "do")
    for length in range(MOST_BYTES - 700, MOST_BYTES, 7):
        made = writer.done(1.5, "r_1", "x" * length, 10**12, GIVEN, GAVE)
        assert not isinstance(made, bytes) or len(made) <= MOST_BYTES


def test_a_step_that_is_no_text_is_refused_and_the_next_one_written() -> None:
    writer = Pen("agent:w", "do")
    for _ in range(2):
        with pytest.raises(UnicodeEncodeError):
            writer.begun(1.5, "r_1", "\ud800", 1, GIVEN)
        with pytest.raises(UnicodeEncodeError):
            writer.done(1.5, "r_1", "\ud800", 1, GIVEN, GAVE)
    assert entry_of(writer.begun(1.5, "r_1", "$", 1, GIVEN)).step == "$"


def test_a_place_that_was_refused_is_not_where_the_next_entry_is() -> None:
    writer, no_text = Pen("agent:w", "do"), [[5], None, object()]
    step = "$.a"
    writer.begun(1.5, "r_1", step, 1, GIVEN)
    for wrong in no_text:
        for place in (("r_2", wrong), (wrong, step)):
            with pytest.raises(TypeError):
                writer.begun(1.5, *place, 1, GIVEN)  # pyright: ignore[reportArgumentType]
        for run in ("r_2", "r_1"):
            made = entry_of(writer.done(1.5, run, step, 1, GIVEN, GAVE))
            assert (made.run, made.step) == (run, step)


def test_a_digest_is_looked_at_again_where_it_is_another() -> None:
    writer, at = Pen("agent:w", "do"), (1.5, "r_1", "$", 1)
    assert entry_of(writer.begun(*at, GIVEN)).input == GIVEN
    assert entry_of(writer.begun(*at, GAVE)).input == GAVE
    for wrong in ('"' * 64, GIVEN[:-1], GIVEN[:-1] + "ä", ""):
        assert isinstance(writer.begun(*at, wrong), AuditEntry)
        assert isinstance(writer.done(*at, wrong, GAVE), AuditEntry)
        assert entry_of(writer.done(*at, GAVE, GIVEN)).input == GAVE


def test_a_pen_that_does_not_see_that_it_is_elsewhere_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def once(self: Pen, run: str, step: str) -> str | None:
        return self._where or go(self, run, step)  # pyright: ignore[reportPrivateUsage]

    go = Pen._go  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(Pen, "_go", once)
    assert mixed([("r_1", "$.a"), ("r_1", "$.b"), ("r_2", "$.a")]) == [
        ("r_1", "$.b"),
        ("r_2", "$.a"),
    ]
