"""The thread that passes on input. Without it, no key could end the app."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from sagatrace_tui.terminal.input_filter import InputFilter
from sagatrace_tui.terminal.input_pump import InputPump


def test_a_fault_of_the_thread_ends_the_app_as_a_lost_terminal_does(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> str:
        raise LookupError("a fault of ours")

    monkeypatch.setattr(InputFilter, "feed", broken)
    hung_up = threading.Event()
    before = signal.signal(signal.SIGHUP, lambda *_: hung_up.set())
    terminal, keyboard = os.pipe()
    try:
        with InputPump(terminal, lambda _: None):
            os.write(keyboard, b"j")
            assert hung_up.wait(60)
    finally:
        signal.signal(signal.SIGHUP, before)
        os.close(keyboard)
        os.close(terminal)
    assert "the input cannot be read any more" in caplog.text
    assert "a fault of ours" in caplog.text
