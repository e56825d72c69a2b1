"""A few lines that explain a problem and the next action."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Static

from sagatrace_tui.labels import inert
from sagatrace_tui.theme import TONES

__all__ = ["Notice"]


class Notice(Static):
    """Hidden without a message. `message` is (headline, explanation, whether it is a fault)."""

    DEFAULT_CSS = """
    Notice { height: auto; max-height: 60%; padding: 0 2; margin: 1 0; display: none; }
    Notice.-fault { border-left: thick $error; padding: 0 1; background: $surface; }
    """

    message: reactive[tuple[str, str, bool] | None] = reactive(None)

    def watch_message(self, message: tuple[str, str, bool] | None) -> None:
        """Show the message, or hide the notice."""
        self.display = message is not None
        if message is None:
            return
        headline, explanation, is_fault = message
        self.set_class(is_fault, "-fault")
        tone = TONES["bad" if is_fault else "plain"]
        text = inert(explanation, 1000, lines=True)
        self.update(Content.assemble((inert(headline, 200), f"{tone} bold"), "\n", (text, TONES["muted"])))
