"""Times: relative, UTC and local. Each time of day has its zone."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from sagas import failed, trace_of
from sagatrace_tui.times import Mode, Times
from sagatrace_tui.widgets.detail_lines import detail_lines

KOLKATA, BERLIN = ZoneInfo("Asia/Kolkata"), ZoneInfo("Europe/Berlin")


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000_000)


NOW = at("2025-12-22 22:30:00")


@pytest.mark.parametrize(
    ("moment", "relative", "utc", "local"),
    [
        ("2025-12-22 22:29:48", "12s ago", "22:29:48Z", "23:29:48+01"),
        ("2025-12-22 23:10:00", "in 40m", "23:10:00Z", "12-23 00:10+01"),  # the next day there
        ("2025-07-01 10:00:01", "174d ago", "07-01 10:00Z", "07-01 12:00+02"),  # summer time there
        ("2024-12-31 23:30:00", "355d ago", "2024-12-31Z", "01-01 00:30+01"),  # this year there
    ],
)
def test_a_narrow_column_shows_the_time_with_its_zone(moment: str, relative: str, utc: str, local: str) -> None:
    texts = [Times(mode, BERLIN).brief(at(moment), NOW) for mode in ("relative", "UTC", "local")]
    assert texts == [relative, utc, local]
    assert all(len(text) <= Times(mode, BERLIN).width(NOW) for mode, text in zip(_MODES, texts, strict=True))


_MODES: tuple[Mode, ...] = ("relative", "UTC", "local")


def test_long_forms_carry_the_zone() -> None:
    moment = at("2025-12-22 10:00:01.100")
    assert [Times(mode, KOLKATA).clock(moment) for mode in _MODES] == [
        "2025-12-22 10:00:01Z", "2025-12-22 10:00:01Z", "2025-12-22 15:30:01+0530",
    ]  # fmt: skip
    assert Times("local", KOLKATA).moment(moment) == "2025-12-22 15:30:01.100+0530"
    assert Times("local", KOLKATA).moment_from(moment, moment) == "15:30:01.100+0530"
    assert Times("local", KOLKATA).moment_from(at("2025-12-22 18:29:59"), moment) == "23:59:59.000+0530"
    assert Times("local", KOLKATA).moment_from(at("2025-12-22 18:30:00"), moment).startswith("2025-12-23 00:00:00")


def test_distances_in_a_trace_stay_exact_however_long_it_is() -> None:
    start = at("2025-12-22 10:00:00")
    near, far = start + 1_100_000, start + (2 * 3600 + 5 * 60 + 3) * 1_000_000 + 120_000
    assert Times().in_trace([start, near], start) == ["+0", "+1.10s"]
    assert Times().in_trace([near, far, start - 90_000_000], start) == ["+0:00:01.1", "+2:05:03.1", "-0:01:30.0"]
    assert Times("UTC").in_trace([near, far], start) == ["10:00:01.100Z", "12:05:03.120Z"]


def test_a_moment_in_a_sentence_is_also_local() -> None:
    text = "funding completed at 2025-12-22 10:00:01Z, after it had failed"
    assert Times("local", BERLIN).in_text(text) == "funding completed at 2025-12-22 11:00:01+01, after it had failed"
    assert Times("UTC", BERLIN).in_text(text) == Times("relative", BERLIN).in_text(text) == text
    assert Times("local", BERLIN).in_text("at 2025-99-22 10:00:01Z") == "at 2025-99-22 10:00:01Z"


def test_moments_outside_the_calendar_are_shown() -> None:
    for mode in _MODES:
        for micros in (10**18, -(10**18), 253_402_300_799_999_999):
            assert Times(mode, KOLKATA).moment(micros)


def test_one_key_cycles_the_modes_and_names_the_zone() -> None:
    times, words = Times(zone=BERLIN), []
    for _ in _MODES:
        times = times.following
        words.append(times.words(NOW))
    assert words == ["Times are UTC", "Times are local, +01", "Times are relative; times of day are UTC"]


def test_the_detail_shows_distance_and_time_of_day_in_the_order_of_the_mode() -> None:
    trace = trace_of(failed("t"))
    for times, shown in ((Times(), "+3.10s  10:00:03.100Z"), (Times("local", KOLKATA), "15:30:03.100+0530  +3.10s")):
        lines = ["".join(text for text, _ in line.parts) for line in detail_lines(trace, "fuj", 60, times=times)]
        assert f"started    {shown}" in lines
