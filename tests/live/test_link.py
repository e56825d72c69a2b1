"""The state of a subscriber's connection after each sequence of messages."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from sagatrace.mirror import Heard
from sagatrace.mirror.connection_state import SILENCE, Link
from sagatrace_tui.live.status import SWEEP, LiveStatus, live_status, seconds_between_looks


def pulse(publisher: str = "A", published: int = 0, lost: int = 0, ends: bool = False) -> bytes:
    return json.dumps({"publisher": publisher, "published": published, "lost": lost, "ends": ends}).encode()


def listening(*, hears_all: bool = False) -> Link:
    link = Link(hears_all)
    link.opened()
    return link


def test_a_confirmed_subscription_is_a_gap() -> None:
    link = Link(hears_all=False)
    assert (link.phase, link.gaps, link.is_live(0)) == ("connecting", 0, False)
    link.opened()
    assert (link.phase, link.gaps, link.is_live(0)) == ("listening", 1, False)
    link.closed()
    link.opened()
    assert link.gaps == 2


def test_the_connection_is_live_only_while_a_publisher_is_heard() -> None:
    link = listening()
    link.pulse(pulse(), 10)
    assert link.is_live(10)
    link.closed()
    assert not link.is_live(10)
    link.opened()
    assert not link.is_live(10)
    link.event(11)
    assert link.is_live(11)
    assert not link.is_live(11.1 + SILENCE)


def test_a_publisher_heard_by_another_subscriber_counts_until_its_next_pulse_is_due() -> None:
    link = Link(hears_all=False)
    link.opened(heard_at=10)
    assert link.is_live(10 + SILENCE)
    assert not link.is_live(10.1 + SILENCE)
    link.closed()
    link.opened()
    assert not link.is_live(11)


GAPS: dict[str, tuple[list[Callable[[Link], None]], int]] = {
    "nothing lost": ([lambda k: k.pulse(pulse(published=1), 1), lambda k: k.pulse(pulse(published=5), 3)], 0),
    "a newcomer that lost some before": ([lambda k: k.pulse(pulse(lost=2), 1)], 1),
    "and lost no more": ([lambda k: k.pulse(pulse(lost=2), 1), lambda k: k.pulse(pulse(lost=2), 3)], 1),
    "more lost": ([lambda k: k.pulse(pulse(), 1), lambda k: k.pulse(pulse(lost=1), 3)], 1),
    "a publisher that ends": (
        [lambda k: k.pulse(pulse(), 1), lambda k: k.pulse(pulse(ends=True), 3), lambda k: k.tick(99)],
        0,
    ),
    "a publisher that falls silent": ([lambda k: k.pulse(pulse(), 1), lambda k: k.tick(1.1 + SILENCE)], 1),
    "one of two": (
        [lambda k: k.pulse(pulse("A"), 1), lambda k: k.pulse(pulse("B"), 4), lambda k: k.tick(1.1 + SILENCE)],
        1,
    ),
    "no pulse but noise": ([lambda k: k.pulse(b"{}", 1), lambda k: k.pulse(b"\xff", 2), lambda k: k.tick(99)], 0),
}


@pytest.mark.parametrize("case", GAPS)
def test_the_messages_that_mean_a_gap(case: str) -> None:
    happens, gaps = GAPS[case]
    link = listening()
    for one in happens:
        one(link)
    assert link.gaps - 1 == gaps


@pytest.mark.parametrize(("arrived", "gaps"), [(3, 0), (4, 0), (2, 1)])
def test_a_subscriber_to_all_traces_compares_a_publisher_s_count_with_the_messages(arrived: int, gaps: int) -> None:
    link = listening(hears_all=True)
    link.pulse(pulse(published=10), 1)
    for _ in range(arrived):
        link.event(2)
    link.pulse(pulse(published=13), 3)
    assert link.gaps - 1 == gaps


def test_the_number_of_tracked_publishers_is_bounded() -> None:
    link = listening()
    for number in range(5000):
        link.pulse(pulse(f"P{number}"), 1)
    link.tick(99)
    assert link.gaps - 1 <= 1000


def heard(phase: str, *, live: bool = False, fault: str | None = None) -> Heard:
    return Heard((), missed=False, phase=phase, live=live, ignored=0, fault=fault)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("known", "behind", "words"),
    [
        (None, False, "polling every 1 s"),
        (None, True, "polling every 1 s"),
        (heard("connecting"), False, "polling every 1 s, connecting to Redis"),
        (heard("lost"), False, "reconnecting · polling every 1 s"),
        (heard("lost"), True, "reconnecting · polling every 1 s"),
        (heard("lost", fault="ConnectionError: refused"), False, "reconnecting · polling every 1 s"),
        (
            heard("lost", fault="AuthenticationError: invalid username-password pair"),
            False,
            "reconnecting, AuthenticationError · polling every 1 s",
        ),
        (heard("listening"), True, "catching up"),
        (heard("listening", live=True), True, "catching up"),
        (heard("listening"), False, "polling every 1 s, no publisher heard"),
        (heard("listening", live=True), False, "live (Redis)"),
    ],
)
def test_the_state_line_claims_only_known_facts(known: Heard | None, behind: bool, words: str) -> None:
    assert live_status(known, behind=behind, every=1.0).words == words


@pytest.mark.parametrize(
    ("known", "free", "over", "seconds"),
    [
        (None, True, False, 1.0),
        (None, False, False, 1.0),
        (heard("listening", live=True), True, False, 1.0),
        (heard("listening", live=True), False, False, SWEEP),
        (heard("listening"), False, False, 1.0),
        (heard("lost", live=False), False, False, 1.0),
        (None, False, True, SWEEP),
    ],
)
def test_a_store_that_charges_is_read_rarely_only_while_that_is_safe(
    known: Heard | None, free: bool, over: bool, seconds: float
) -> None:
    assert seconds_between_looks(known, free=free, over=over, least=1.0) == seconds
    assert LiveStatus("polling", seconds).words == f"polling every {seconds:g} s"
