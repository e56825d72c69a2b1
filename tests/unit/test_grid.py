"""The difference sent to a terminal makes it show the new frame, after any earlier frame."""

from __future__ import annotations

from typing import Any

import pyte
import pyte.modes
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sagatrace_tui.incident.failure_groups import bars
from sagatrace_tui.terminal.console_signs import few
from sagatrace_tui.terminal.grid import Grid
from sagatrace_tui.terminal.plain_signs import plain

WIDTH, HEIGHT = 24, 8
STYLES = ["", "1", "38;2;1;2;3;48;2;9;9;9", "31;44", "48;2;9;9;9", "7", "38;5;9", "3;31"]
PIECE = st.tuples(
    st.integers(0, HEIGHT - 1),
    st.integers(0, WIDTH - 1),
    st.text("ab ─✔…", min_size=1, max_size=WIDTH) | st.just(" " * WIDTH),
    st.sampled_from(STYLES),
)
FRAME = st.lists(PIECE, min_size=1, max_size=12)


def picture(screen: pyte.Screen) -> list[list[tuple[Any, ...]]]:
    return [
        [
            (cell.data, cell.bg, cell.reverse, *((cell.fg, cell.bold, cell.italics) if cell.data != " " else ()))
            for cell in (screen.buffer[y][x] for x in range(WIDTH))
        ]
        for y in range(HEIGHT)
    ]


def whole(frame: list[tuple[int, int, str, str]], screen: pyte.Screen) -> None:
    """The frame as Textual would send it."""
    stream = pyte.Stream(screen)
    screen.reset_mode(pyte.modes.DECAWM)
    for row, column, text, style in frame:
        stream.feed(f"\x1b[{row + 1};{column + 1}H\x1b[{style}m{text[: WIDTH - column]}\x1b[0m")


@given(st.lists(FRAME, min_size=1, max_size=5), st.booleans())
@settings(max_examples=150, deadline=None)
def test_the_terminal_shows_each_frame(frames: list[Any], shifted: bool) -> None:
    # pyte erases to the style in force, as terminals with `bce` do.
    grid = Grid(WIDTH, HEIGHT, bce=True, ascii_only=False)
    ours, theirs = pyte.Screen(WIDTH, HEIGHT), pyte.Screen(WIDTH, HEIGHT)
    stream = pyte.Stream(ours)
    blank = [(row, 0, " " * WIDTH, "") for row in range(HEIGHT)]
    for number, frame in enumerate([blank, *frames]):
        wanted: list[tuple[int, int, str, str]] = [
            ((row + number) % HEIGHT if shifted else row, column, text, style) for row, column, text, style in frame
        ]
        for row, column, text, style in wanted:
            grid.put(row, column, text, style)
        whole(wanted, theirs)
        stream.feed(grid.difference())
        assert picture(ours) == picture(theirs)
        assert grid.difference() == ""


def scrolled(grid: Grid, top: int) -> str:
    for row in range(HEIGHT):
        text = f"row {top + row} {'abcdefgh'[(top + row) % 8] * 12}"
        grid.put(row, 0, f"{text:<{WIDTH}}", "38;2;1;2;3")
    return grid.difference()


@pytest.mark.parametrize("by", [1, 3, -1, -3])
def test_the_terminal_moves_rows_that_only_moved(by: int) -> None:
    grid = Grid(WIDTH, HEIGHT, bce=True, ascii_only=False)
    screen = pyte.Screen(WIDTH, HEIGHT)
    stream = pyte.Stream(screen)
    stream.feed(scrolled(grid, 10))
    sent = scrolled(grid, 10 + by)
    stream.feed(sent)
    assert [line.rstrip() for line in screen.display] == [
        f"row {10 + by + row} {'abcdefgh'[(10 + by + row) % 8] * 12}" for row in range(HEIGHT)
    ]
    assert len(sent) < 60 + abs(by) * 40


def test_one_changed_cell_costs_a_few_bytes() -> None:
    grid = Grid(80, 24, bce=True, ascii_only=False)
    for row in range(24):
        grid.put(row, 0, "x" * 80, "38;2;1;2;3")
    grid.difference()
    grid.put(12, 0, "x" * 40 + "y" + "x" * 39, "38;2;1;2;3")
    assert grid.difference() == "\x1b[13;41H\x1b[0;38;2;1;2;3my\x1b[m".replace("0;38", "38")


def test_blanks_take_any_foreground_and_runs_of_one_style_go_together() -> None:
    grid = Grid(60, 2, bce=True, ascii_only=False)
    red, blue, cursor = "38;2;255;0;0", "38;2;0;0;255", "48;2;9;9;9"
    for text, style in (("x", red), (" ", blue), ("y", red), ("name", blue), (" " * 20, red), ("bar", red)):
        grid.put(0, {"x": 0, " ": 1, "y": 2, "name": 3, "bar": 27}.get(text, 7), text, f"{style};{cursor}")
    sent = grid.difference().replace(f"38;2;255;0;0;{cursor}", "RED").replace(blue, "BLUE").replace(cursor, "CURSOR")
    assert sent.startswith("\x1b[1H\x1b[0;REDmx y\x1b[24Cbar")
    assert "\x1b[BLUEmname\x1b[20X" in sent


def test_without_bce_coloured_blanks_are_sent_not_erased() -> None:
    sent = []
    for bce in (True, False):
        grid = Grid(40, 1, bce=bce, ascii_only=False)
        grid.put(0, 0, "name" + " " * 36, "48;2;9;9;9")
        sent.append(grid.difference())
    assert "\x1b[K" in sent[0]
    assert "\x1b[K" not in sent[1]
    assert " " * 36 in sent[1]


def test_wide_signs_take_two_cells_and_are_never_halved() -> None:
    grid = Grid(10, 1, bce=True, ascii_only=False)
    grid.put(0, 0, "日本語    ", "")
    grid.difference()
    grid.put(0, 0, "日木語    ", "")
    assert "木" in grid.difference()


def test_a_combining_sign_beside_a_wide_one_stays_in_its_cell() -> None:
    grid = Grid(10, 1, bce=True, ascii_only=False)
    grid.put(0, 0, "e\u0301日x      ", "")
    grid.difference()
    grid.put(0, 0, "a\u0301日x      ", "")
    assert grid.difference() == "\x1b[1Ha\u0301"


@pytest.mark.parametrize(("sign", "step"), [("─", "\x1b[7C"), ("⏰", "\x1b[1;9H")])
def test_after_a_sign_of_doubtful_width_the_next_place_is_absolute(sign: str, step: str) -> None:
    grid = Grid(20, 1, bce=True, ascii_only=False)
    grid.put(0, 0, " " * 20, "")
    grid.difference()
    grid.put(0, 0, sign, "")
    grid.put(0, 8, "x", "")
    assert grid.difference() == f"{sign}{step}x"


def test_ascii_only_sends_ascii_cell_for_cell() -> None:
    grid = Grid(14, 1, bce=True, ascii_only=True)
    grid.put(0, 0, "├─✔ 日 é·…×⚠━", "")
    sent = grid.difference()
    assert sent.isascii()
    assert "+-+ ?  ?-~x!=" in sent
    assert plain(["│", "", "x"]) == "| x"
    assert len(set(plain(bars(range(9))))) == 9


def test_a_forgotten_screen_is_sent_whole() -> None:
    grid = Grid(10, 2, bce=False, ascii_only=False)
    grid.put(0, 0, "a" * 10, "")
    grid.put(1, 0, "b" * 10, "")
    first = grid.difference()
    grid.forget()
    assert grid.difference() == first


def test_a_console_gets_only_signs_that_its_font_has() -> None:
    drawn = few(["✔", "━", "│", "▶", "⚠", "…", "é", "µ", "漢", "", "a", "✘", "🎉"])
    assert drawn == "√═│►!~éµ? ax?"
    grid = Grid(12, 1, bce=False, ascii_only=False, few_signs=True)
    grid.put(0, 0, "✔ done ⋯", "")
    assert "√ done ~" in grid.difference()
