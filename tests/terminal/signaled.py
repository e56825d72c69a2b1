"""The app, which gets a signal while it writes the help to the terminal."""

from __future__ import annotations

import os
import signal
import sys

from textual.drivers._writer_thread import WriterThread

from sagatrace_tui import cli

_write = WriterThread.write


def main(name: str, url: str, trace_id: str) -> None:
    """Run the app on a trace. The signal comes while the queue of the writes is locked."""

    def write(self: WriterThread, text: str) -> None:
        if "Keys and signs" in text:
            WriterThread.write = _write  # type: ignore[method-assign]
            with self._queue.mutex:
                os.kill(os.getpid(), signal.Signals[name])
        _write(self, text)

    WriterThread.write = write  # type: ignore[method-assign]
    sys.argv = ["sagatrace-tui", "--store", url, trace_id]
    cli.tui_main()


if __name__ == "__main__":
    main(*sys.argv[1:])
