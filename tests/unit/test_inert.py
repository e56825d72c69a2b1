"""Text of jobs on the screen and in copies: scripts and signs stay whole, control characters are visible."""

from __future__ import annotations

import pytest

from sagatrace_tui.labels import copyable, inert, one_line
from sagatrace_tui.terminal.grid import Grid

PERSIAN = "می\u200cخواهم"
HINDI = "क्\u200dष"


@pytest.mark.parametrize("text", ["⚠\ufe0f late", "❤\ufe0f", PERSIAN, HINDI, "1\ufe0f\u20e3"])
def test_variation_selectors_and_joiners_inside_of_words_are_shown_and_copied_whole(text: str) -> None:
    assert inert(text) == text
    assert one_line(text) == text
    assert copyable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ad\u200dmin", "ad⟨U+200D⟩min"),
        ("\u200cخواهم", "⟨U+200C⟩خواهم"),
        ("می\u200c", "می⟨U+200C⟩"),
        ("a\ufe0f", "a⟨U+FE0F⟩"),
        ("⚠\ufe0f\ufe0f", "⚠\ufe0f⟨U+FE0F⟩"),
        ("می\u200c\u200cخ", "می⟨U+200C⟩⟨U+200C⟩خ"),
    ],
)
def test_elsewhere_they_show_as_visible_signs(text: str, shown: str) -> None:
    assert inert(text) == shown


def test_a_copy_is_the_text_without_controls() -> None:
    text = "\u202etxt.exe \u200b👨\u200d👩 tab\tline\r\nend"
    assert copyable(text) == text.replace("\r", "")
    assert copyable("\x1b[31mred\x07\x9b1m\ud800") == "␛[31mred␇⟨U+009B⟩1m⟨U+D800⟩"


def test_a_sign_takes_the_same_room_on_every_terminal() -> None:
    grid = Grid(10, 1, bce=False, ascii_only=False)
    grid.put(0, 0, "⚠\ufe0f ab", "")
    sent = grid.difference()
    assert "\ufe0f" not in sent
    assert "⚠  ab" in sent, "the two columns that Textual gives it"
