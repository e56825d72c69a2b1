"""Input of terminals: malformed input is dropped, keys stay keys, and Textual's parser never fails."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from textual import events
from textual._xterm_parser import XTermParser

from sagatrace_tui.terminal.input_filter import LARGEST_PASTE, InputFilter
from strange_bytes import mutated


class Keyboard:
    """The filter with Textual's parser behind it. Time passes only with `pause`."""

    def __init__(self) -> None:
        self.filter = InputFilter(clock=lambda: 0.0)
        self.parser = XTermParser()
        self.messages: list[object] = []

    def send(self, data: bytes) -> None:
        self._parse(self.filter.feed(data))

    def pause(self) -> None:
        if self.filter.deadline is not None:
            self._parse(self.filter.tick())
        assert self.filter.deadline is None

    def _parse(self, text: str) -> None:
        if text:
            self.messages += self.parser.feed(text)

    @property
    def keys(self) -> list[str]:
        return [message.key for message in self.messages if isinstance(message, events.Key)]


def typed(*chunks: bytes) -> Keyboard:
    keyboard = Keyboard()
    for chunk in chunks:
        keyboard.send(chunk)
    keyboard.pause()
    return keyboard


@pytest.mark.parametrize(
    ("sent", "keys"),
    [
        (b"\x1b3", ["escape", "3"]),
        (b"\x1bq\x1b", ["escape", "q", "escape"]),
        (b"\x1b[A\x1bOP", ["up", "f1"]),
    ],
)
def test_a_key_that_comes_with_a_delayed_escape_stays_a_key(sent: bytes, keys: list[str]) -> None:
    keyboard = Keyboard()
    keyboard.filter = InputFilter(clock=lambda: 0.0, delays_escape=True)
    keyboard.send(sent)
    keyboard.pause()
    assert keyboard.keys == keys


@pytest.mark.parametrize(
    ("sent", "keys"),
    [
        (b"j\xe9k", ["j", "replacement_character", "k"]),
        (b"\xa4", ["replacement_character"]),
        (b"\xc3", ["replacement_character"]),
        ("é漢".encode(), ["é", "漢"]),
        (b"\x1b", ["escape"]),
        (b"\x1b\x1b", ["escape", "escape"]),
        (b"\x1b\x03", ["escape", "ctrl+c"]),
        (b"\x1b[A\x1b[1;5B\x1bOP\x1b[[B\x1b[3~\x1b[Z", ["up", "ctrl+down", "f1", "f2", "delete", "shift+tab"]),
        (b"\x1b[97u\x1b[97:65;2u\x1b[97;5:3u\x1b[99;5:1u", ["a", "A", "ctrl+c"]),
        (b"\x1b[97;;97:98u", ["a", "b"]),
        (b"\x1b[99999999999;1uj", ["j"]),
        (b"\x1b[55296;1uj\x1b[97;;55296uk", ["j", "k"]),
        (b"\x1b[97;999ux", ["x"]),
        (b"\x1b[5qj\x1b[?1;2cj\x1b[>0;10;1c", ["j", "j"]),
        (b"\x1b[12\x01", ["ctrl+a"]),
        (b"\x1b]11;rgb:0000/0000/0000\x07j\x1bP1$r0m\x1b\\k", ["j", "k"]),
        pytest.param(b"\x1b]52;c;" + b"A" * 9000 + b"\x07j", ["j"], id="a long clipboard"),
        pytest.param(b"\x1b[" + b"1" * 9000 + b"Aj", ["j"], id="a long number"),
    ],
)
def test_keys(sent: bytes, keys: list[str]) -> None:
    assert typed(sent).keys == keys
    assert typed(*(bytes([byte]) for byte in sent)).keys == keys, "torn between any two bytes"


@pytest.mark.parametrize(
    ("sent", "keys"),
    [
        ([b"\x1bq"], ["alt+q"]),
        ([b"\x1bqj"], ["alt+q", "j"]),
        ([b"\x1b", b"q"], ["escape", "q"]),
        ([b"j\x1b", b"wk"], ["j", "escape", "w", "k"]),
        ([b"\x1b", b"\x1b", b"q"], ["escape", "escape", "q"]),
        ([b"\x1b", b"[A"], ["up"]),
        ([b"\x1b", b"OP"], ["f1"]),
        ([b"\x1b[", b"Aq"], ["up", "q"]),
    ],
)
def test_a_letter_after_escape_is_another_key_unless_both_come_together(sent: list[bytes], keys: list[str]) -> None:
    assert typed(*sent).keys == keys


@pytest.mark.parametrize(
    ("sent", "places"),
    [
        (b"\x1b[M \x21\x21", [("MouseDown", 0, 0)]),
        (b"\x1b[M \xa0\x30\x1b[M#\xa0\x30", [("MouseDown", 127, 15), ("MouseUp", 127, 15)]),
        (b"\x1b[M \x00\x21j", []),
        (b"\x1b[M`\xff\xff", [("MouseScrollUp", 222, 222)]),
        (b"\x1b[32;140;9M\x1b[35;140;9M", [("MouseDown", 139, 8), ("MouseUp", 139, 8)]),
        (b"\x1b[<0;140;9M\x1b[<0;140;9m", [("MouseDown", 139, 8), ("MouseUp", 139, 8)]),
        (b"\x1b[<0;0;9M\x1b[<0;-4;9M\x1b[<128;4;9M\x1b[<0;99999999;9M", []),
    ],
)
def test_the_mouse_in_all_three_codings(sent: bytes, places: list[tuple[str, int, int]]) -> None:
    messages = typed(sent).messages
    mice = [message for message in messages if isinstance(message, events.MouseEvent)]
    assert [(type(mouse).__name__, int(mouse.x), int(mouse.y)) for mouse in mice] == places


def test_a_paste_is_text_whatever_is_in_it_and_one_without_an_end_ends() -> None:
    keyboard = typed(b"\x1b[200~one\x1b[31mq\x1b", b"\xe9\x03two\x1b[20", b"1~j")
    (paste,) = [message for message in keyboard.messages if isinstance(message, events.Paste)]
    assert paste.text == "one[31mq\ufffdtwo"
    assert keyboard.keys == ["j"]
    torn = typed(b"\x1b[200~" + b"x" * (LARGEST_PASTE + 5))
    torn.send(b"j")
    (paste,) = [message for message in torn.messages if isinstance(message, events.Paste)]
    assert len(paste.text) == LARGEST_PASTE
    assert torn.keys == ["j"]


def test_an_answer_of_the_terminal_is_not_a_key() -> None:
    assert typed(b"\x1b]11;rgb:ffff/ffff/ffff\x1b\\").filter.replies == ["11;rgb:ffff/ffff/ffff"]


def test_after_anything_a_key_is_a_key(heavy: bool) -> None:
    random_ = random.Random(7)
    keyboard = Keyboard()
    for _ in range(200_000 if heavy else 10_000):
        data = mutated(random_)
        keyboard.send(data)
        keyboard.pause()
        keyboard.messages.clear()
        keyboard.send(b"j")
        assert keyboard.keys == ["j"], data
        keyboard.messages.clear()


@given(st.lists(st.binary(max_size=60), max_size=6))
@example([b"\xc2", b"\x1b"])
def test_any_bytes_in_any_pieces_are_parsed_and_no_text_hides_a_sequence(chunks: list[bytes]) -> None:
    keyboard = typed(*chunks)
    keyboard.messages.clear()
    keyboard.send(b"x\x1b[A")
    assert keyboard.keys == ["x", "up"]


def test_every_character_is_a_key() -> None:
    keyboard = Keyboard()
    text = "".join(map(chr, [*range(0xA0, 0xD800), *range(0xE000, 0x110000, 61)]))
    assert not re.search("[\x00-\x9f]", text)
    keyboard.send(text.encode())
    assert len(keyboard.keys) == len(text)
