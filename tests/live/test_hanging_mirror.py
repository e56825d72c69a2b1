"""A mirror whose Redis accepts connections and never answers: jobs do not contact it, and the store gets all events."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis
from rq import Queue

from sagatrace import TraceContext, trace_meta
from sagatrace.stores import open_store
from sagatrace_tui.demo.workers import worker_command, worker_environment
from servers import until

HERE = Path(__file__).parent


@contextmanager
def mute_redis() -> Iterator[tuple[str, list[socket.socket]]]:
    """Accept every connection and never answer. Return the processes that have connected."""
    callers: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    callers.append(server.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept)
        thread.start()
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0", callers
        server.shutdown(socket.SHUT_RDWR)
        thread.join(120)
        for caller in callers:
            caller.close()


def test_jobs_never_touch_the_mirror_and_everything_is_stored(tmp_path: Path, redis: Redis) -> None:
    url = f"sqlite:///{tmp_path}/traces.db"
    with mute_redis() as (mirror, callers):
        queue = Queue("live", connection=redis)
        for number in range(5):
            meta = trace_meta(TraceContext.new(f"T{number}"))
            queue.enqueue("mirror_free.loaded", meta=meta)
        path = str(redis.connection_pool.connection_kwargs["path"])
        store = open_store(url)
        store.append([])
        command = worker_command(f"unix://{path}", "--quiet", "--path", str(HERE), "live")
        # Not a burst worker: its shipper would end with it, perhaps before it tries to publish.
        with subprocess.Popen(command, env=worker_environment(url, mirror)) as worker:
            try:
                until(lambda: all(len(store.fetch_trace(f"T{n}").events) == 3 for n in range(5)), "all is stored")
                until(lambda: callers, "that the shipper has tried to publish")
            finally:
                worker.terminate()
        assert worker.returncode == 0
        for number in range(5):
            [loaded] = [one for one in store.fetch_trace(f"T{number}").events if one.event_type == "test:loaded"]
            assert loaded.data["mirror"] is False
            assert loaded.data["pid"] != os.getpid()
        store.close()
