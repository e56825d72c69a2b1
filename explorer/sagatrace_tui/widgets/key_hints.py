"""The line of key hints, made from the bindings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from rich.cells import cell_len
from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.reactive import reactive

from sagatrace_tui.theme import TONES
from sagatrace_tui.widgets.bar import Bar

__all__ = ["KeyHints", "key_groups", "key_name"]

_NAMES: Final = {
    "down": "↓",
    "up": "↑",
    "left": "←",
    "right": "→",
    "pagedown": "PgDn",
    "pageup": "PgUp",
    "home": "Home",
    "end": "End",
    "enter": "Enter",
    "escape": "Esc",
    "space": "Space",
    "tab": "Tab",
    "shift+tab": "Shift+Tab",
    "minus": "-",
    "equals_sign": "=",
    "question_mark": "?",
    "slash": "/",
    "colon": ":",
    "asterisk": "*",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "f1": "F1",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
}


def key_name(key: str) -> str:
    """Return the name of a key as people write it, like `Ctrl+D`."""
    if key.startswith("ctrl+"):
        return f"Ctrl+{key_name(key.removeprefix('ctrl+'))}"
    return _NAMES.get(key, key)


def key_groups(bindings: Iterable[BindingType]) -> list[tuple[list[str], Binding]]:
    """Return each action once, with the names of all its keys."""
    groups: dict[str, tuple[list[str], Binding]] = {}
    for binding in Binding.make_bindings(bindings):
        groups.setdefault(binding.action, ([], binding))[0].append(key_name(binding.key))
    return list(groups.values())


_GAPS: Final = (3, 2)  # blanks between hints; two if that shows more hints


class KeyHints(Bar):
    """Shows as many hints as fit. Help and back always show. The first of two hints for one key wins."""

    DEFAULT_CSS = """
    KeyHints { background: $surface; }
    """

    hints: reactive[tuple[tuple[str, str], ...]] = reactive(())
    instead: reactive[Mapping[str, str]] = reactive({})
    """Labels that replace those of some keys in the current state."""

    def __init__(self, *bindings: Iterable[BindingType]) -> None:
        super().__init__()
        self._keys: dict[str, str] = {}
        self.show(*bindings)

    def show(self, *bindings: Iterable[BindingType]) -> None:
        """Show hints for these bindings."""
        hints: dict[str, str] = {}
        for group in bindings:
            for keys, binding in key_groups(group):
                if binding.show and binding.description:
                    hints.setdefault(keys[0], binding.description)
                    self._keys[keys[0]] = binding.key
        self.hints = tuple(hints.items())

    def render(self) -> Content:
        """The line."""
        shown, gap = self._shown()
        parts: list[str | tuple[str, str]] = []
        for key, description in shown:
            parts += [(key, f"{TONES['key']} bold"), f" {description}{' ' * gap}"]
        return Content.assemble(*parts)

    def _shown(self) -> tuple[list[tuple[str, str]], int]:
        hints = [(key, self.instead.get(key, does)) for key, does in self.hints]
        return max((self._fitting(hints, gap) for gap in _GAPS), key=lambda found: len(found[0]))

    def on_click(self, event: events.Click) -> None:
        """Press the key whose hint was clicked."""
        place = event.x - 1
        shown, gap = self._shown()
        for hint in shown:
            if 0 <= place < _width(hint):
                self.app.simulate_key(self._keys[hint[0]])
                return
            place -= _width(hint) + gap

    def _fitting(self, hints: list[tuple[str, str]], gap: int) -> tuple[list[tuple[str, str]], int]:
        *rest, helping, leaving = hints
        room = self.size.width + gap - sum(_width(hint) + gap for hint in (helping, leaving))
        shown = []
        for hint in rest:
            room -= _width(hint) + gap
            if room < 0:
                break
            shown.append(hint)
        return [*shown, helping, leaving], gap


def _width(hint: tuple[str, str]) -> int:
    return cell_len(hint[0]) + 1 + cell_len(hint[1])
