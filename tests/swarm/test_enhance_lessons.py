"""Lessons: kept, shown the freshest first, dropped where they do not help."""

from __future__ import annotations

from swarm.enhance.lessons import Issued, lessons

NOOP = "enhance.noop: nothing is changed"
POWER = "enhance.capability_widened: step 'a' may start programs"


def refused(*reasons: str, shown: tuple[str, ...] = ()) -> Issued:
    return Issued(shown, True, reasons)


def applied(*shown: str) -> Issued:
    return Issued(shown, False, ())


def test_what_was_refused_is_a_lesson_and_what_was_applied_is_none() -> None:
    assert lessons([]) == []
    assert lessons([applied()]) == []
    assert lessons([Issued((), False, ["applied, with a note"])]) == []
    assert lessons([refused(NOOP), refused(POWER)]) == [POWER, NOOP]


def test_two_reasons_of_an_issue_and_five_in_all_are_shown() -> None:
    many = [refused(f"a.{n}: x", f"b.{n}: x", f"c.{n}: x") for n in range(4)]
    shown = lessons(many)
    assert len(shown) == 5
    assert not any(text.startswith("c.") for text in shown)
    assert shown[:2] == ["a.3: x", "b.3: x"]


def test_a_lesson_that_was_shown_twice_in_vain_is_dropped() -> None:
    past = [refused(NOOP), refused(NOOP, shown=(NOOP,))]
    assert lessons(past) == [NOOP]
    past.append(refused("enhance.noop: again, in other words", shown=(NOOP,)))
    assert NOOP not in lessons(past)
    # It is not taken up again: it did not help.
    assert NOOP not in lessons([*past, refused(NOOP)])


def test_a_lesson_that_helps_stays_and_what_was_in_vain_once_is_forgiven() -> None:
    vain = refused(NOOP, shown=(NOOP,))
    assert lessons([refused(NOOP), vain, applied(NOOP), vain, applied(NOOP)]) == [NOOP]
    # Refused for something else: this one was learnt.
    other = refused(POWER, shown=(NOOP,))
    assert lessons([refused(NOOP), vain, other, vain]) == [NOOP, POWER]


def test_a_lesson_of_another_time_is_dropped() -> None:
    assert lessons([refused(NOOP), *[applied()] * 29]) == [NOOP]
    assert lessons([refused(NOOP), *[applied()] * 30]) == []


def test_a_lesson_is_one_line_and_has_an_end() -> None:
    (text,) = lessons([refused("enhance.noop: a\nb\x1b[2J" + "x" * 1000)])
    assert len(text) <= 300
    assert text.startswith("enhance.noop: a b[2Jx")
