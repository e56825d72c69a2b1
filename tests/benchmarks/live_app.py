"""The app for bench_live.py: it writes the time of each drawing to a file.

    python live_app.py STORE_URL MIRROR_URL OUT [TRACE_ID]

Each line of OUT is a time of the monotonic or the wall clock in seconds, and the content of the screen then: `row`,
a trace of the list and its latest event; `drawn`, how many events the open trace shows. `cursor` is the row it came
to, not drawn yet.
"""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

from sagatrace.mirror import Mirror
from sagatrace.stores import open_store
from sagatrace_tui.app import SagatraceApp
from sagatrace_tui.live.listing import Listing
from sagatrace_tui.live.trace_feed import OpenTrace
from sagatrace_tui.screens.search import SearchScreen
from sagatrace_tui.screens.trace import TraceScreen
from sagatrace_tui.terminal.detect import detect
from sagatrace_tui.widgets.span_tree import SpanTree


def watch(out: TextIO) -> None:
    """Let the app record each drawing after its frame is sent."""
    shown: dict[str, int] = {}
    show_list, show_trace, moved = SearchScreen._show, TraceScreen.show, SpanTree.cursor_moved

    def list_shown(screen: SearchScreen, listing: Listing, *rest: Any) -> None:
        show_list(screen, listing, *rest)
        news = [(row.trace_id, row.latest) for row in listing.rows if shown.get(row.trace_id) != row.latest]
        shown.update(news)
        screen.call_after_refresh(write, [f"row {trace_id} {latest}" for trace_id, latest in news])

    def trace_shown(screen: TraceScreen, reading: OpenTrace, *rest: Any) -> None:
        show_trace(screen, reading, *rest)
        count = reading.trace.event_count if reading.trace is not None else 0
        screen.call_after_refresh(write, [f"drawn {count}"])

    def cursor_shown(tree: SpanTree) -> None:
        moved(tree)
        write([f"cursor {tree.cursor}"])

    def write(lines: list[str]) -> None:
        out.writelines(f"{time.time():.6f} {time.monotonic():.6f} {line}\n" for line in lines)

    patched: Any = SearchScreen
    patched._show = list_shown
    patched = TraceScreen
    patched.show = trace_shown
    patched = SpanTree
    patched.cursor_moved = cursor_shown


def main() -> None:
    """Run it as `sagatrace-tui` does."""
    import os

    store_url, mirror_url, path, *trace_id = sys.argv[1:]
    sys.setswitchinterval(0.0005)
    store = open_store(store_url, read_only=True)
    with open(path, "w", buffering=1) as out:  # noqa: PTH123
        watch(out)
        mirror = Mirror(mirror_url, store.label) if mirror_url else None
        app = SagatraceApp(store, trace_id=next(iter(trace_id), None), mirror=mirror, terminal=detect(os.environ))
        app.run()


if __name__ == "__main__":
    main()
