"""The supervisor of the demo: runs redis-server, workers and a stream of sagas until its standard input closes.

    python -m sagatrace_tui.demo.supervisor DIRECTORY STORE_URL

The app holds the other end of standard input, so it closes when the app ends for any reason. Then, or on SIGTERM,
SIGINT or SIGHUP, the supervisor stops its processes and removes DIRECTORY.

On standard output it reports `pid N` for each process group it starts, and `failed WHY` when the demo cannot continue.
After a failure it waits for the end, so that the store remains readable.
"""

from __future__ import annotations

import itertools
import os
import select
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from redis import Redis
from redis.exceptions import RedisError
from rq import Queue

from sagatrace.destination import SERVED, outbox_id
from sagatrace.settings import Settings
from sagatrace_tui.demo import DIRECTORY_PREFIX
from sagatrace_tui.demo.loan_saga import SAGAS, SCENARIOS, STEPS, Loan, submit
from sagatrace_tui.demo.order_saga import OrderScenario, submit_order
from sagatrace_tui.demo.redis_server import RedisServer
from sagatrace_tui.demo.workers import WorkerGroup, await_last_worker

__all__ = ["main"]

_INTERVAL: Final = 1.5  # seconds between loans
_BACKLOG: Final = 4  # loans in the queue before the supervisor pauses
_TICK: Final = 0.25
_LAST_BREATH: Final = 3.0  # from the last answer of a server to the end of its process
_LAST_HORSE: Final = 10.0  # longer than the longest step
_ORDERS: Final[dict[str, OrderScenario]] = {"success": "delivered", "rollback": "no_courier"}
"""The scenario of the order submitted with a loan, by the loan's scenario."""
_WORKERS: Final = {"sagas-1": SAGAS, "sagas-2": SAGAS, "steps-1": STEPS, "steps-2": STEPS}


class _StopRequests:
    """Receives requests to stop: end of file on standard input, or a signal."""

    def __init__(self) -> None:
        self._signalled, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        self._stopped = False

    def wait(self, timeout: float | None) -> bool:
        """Wait at most `timeout` seconds for a request. Return whether to stop."""
        stdin = sys.stdin.fileno()
        if not self._stopped:
            ready, _, _ = select.select([self._signalled, stdin], [], [], timeout)
            self._stopped = self._signalled in ready or (stdin in ready and not os.read(stdin, 4096))
        return self._stopped


def main() -> None:
    """Run the demo until a request to stop."""
    if len(sys.argv) != 3 or not Path(sys.argv[1]).name.startswith(DIRECTORY_PREFIX):
        sys.exit(f"usage: python -m sagatrace_tui.demo.supervisor …/{DIRECTORY_PREFIX}NAME STORE_URL")
    directory, store_url = Path(sys.argv[1]), sys.argv[2]
    requests = _StopRequests()
    try:
        _run(directory, store_url, requests)
    except Exception as error:  # noqa: BLE001 - the app must show it
        traceback.print_exc()
        _report(f"failed {error or type(error).__name__}")
    while not requests.wait(None):
        pass
    shutil.rmtree(directory)


def _run(directory: Path, store_url: str, requests: _StopRequests) -> None:
    """Start all processes, submit loans until a request or a fault, and stop all processes."""
    redis = RedisServer(directory)
    workers = WorkerGroup(redis.url, store_url, directory)
    # This process enqueues jobs, so it also records events, in the outbox that the workers' shipper delivers.
    os.environ["SAGATRACE_STORE"] = store_url
    os.environ[SERVED] = outbox_id(Settings.from_env())
    try:
        redis.start()
        _report(f"pid {redis.pid}")
        for name, queue in _WORKERS.items():
            _report(f"pid {workers.start(name, queue)}")
        try:
            fault = _submit_loans(redis, workers, requests)
        except RedisError:
            # A killed server refuses connections a moment before its process ends.
            fault = redis.fault(within=_LAST_BREATH)
            if fault is None:
                raise
        if fault:
            _report(f"failed {fault}")
    finally:
        workers.stop()
        redis.stop()
        # A work-horse outlives a killed worker, and could create the store again.
        if not await_last_worker(directory, _LAST_HORSE):
            sys.stderr.write(f"a work-horse still runs {_LAST_HORSE:g} s after its worker ended\n")


def _submit_loans(redis: RedisServer, workers: WorkerGroup, requests: _StopRequests) -> str | None:
    """Submit loans until a request to stop (return None) or a fault (return it)."""
    with Redis(unix_socket_path=str(redis.socket), socket_timeout=5) as connection:
        waiting = Queue(SAGAS, connection=connection)
        loans = _loans()
        due = time.monotonic()
        while True:
            if fault := redis.fault() or workers.fault():
                connection.ping()  # raises if the server is the reason for a worker's end
                return fault
            if time.monotonic() >= due and waiting.count < _BACKLOG:
                loan = next(loans)
                submit(loan, connection)
                if loan.scenario in _ORDERS:
                    submit_order(loan.loan_id.replace("L", "4"), connection, _ORDERS[loan.scenario])
                due = time.monotonic() + _INTERVAL
            if requests.wait(_TICK):
                return None


def _loans() -> Iterator[Loan]:
    """Yield applications without end, with each scenario in turn."""
    for number in itertools.count():
        amount = 5_000 + number * 1_250 % 40_000
        yield Loan(f"L{101 + number}", amount, scenario=SCENARIOS[number % len(SCENARIOS)])


def _report(line: str) -> None:
    """Write one line for the app. Drop it if the app has ended."""
    try:
        os.write(sys.stdout.fileno(), (" ".join(line.split()) + "\n").encode())
    except BrokenPipeError:
        return


if __name__ == "__main__":
    main()
