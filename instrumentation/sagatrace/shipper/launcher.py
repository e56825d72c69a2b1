"""Keep one shipper for each outbox and host running while this process lives.

    keeper = ShipperKeeper(directory)
    keeper.attend()         # at the start, and regularly: starts a shipper if none is running
    keeper.close()          # at the end: waits until the events are in the store, for a limited time

A worker does this itself. A producer with its own outbox can do the same, or run `sagatrace ship --follow` beside it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Final

from sagatrace.files import make_directory, open_log
from sagatrace.segments import seal, sealed_segments
from sagatrace.shipper.lock import SHIPPER_LOCK, USERS_LOCK, is_at, is_held, require_owner, try_lock
from sagatrace.shown import logger

__all__ = ["SHIPPER_LOG", "ShipperKeeper"]

log: Final = logger("sagatrace")

SHIPPER_LOG: Final = "shipper.log"
_EVERY: Final = 5.0  # seconds between two checks of the shipper
_PAUSE: Final = 15.0  # seconds between two starts of a shipper that fails
_MAX_LOG: Final = 1 << 20
_ANOTHER: Final = 4  # successive checks that must find the outbox in use, to be sure that another process uses it


class ShipperKeeper:
    """Keep a shipper running for the outbox. The keeper works only in the process that created it, not in its children.

    A shipper gets the present environment of this process, completed by `environment`. `flush_for` is in seconds.
    """

    def __init__(
        self, directory: Path, *, flush_for: float = 5.0, environment: Mapping[str, str] | None = None
    ) -> None:
        self._directory = directory
        self._flush_for = flush_for
        self._environment = {**(environment or {}), **os.environ}  # a job in this process may change it later
        self._owner = os.getpid()
        self._users: int | None = None
        self._process: _Process | None = None
        self._started = 0.0
        self._next_look = 0.0
        self._logged: set[str] = set()

    def attend(self) -> None:
        """Start a shipper if none is running. Frequent calls are cheap. Each cause of failure is logged once."""
        now = time.monotonic()
        if os.getpid() != self._owner or now < self._next_look:
            return
        self._next_look = now + _EVERY
        try:
            if self._users is not None and not is_at(self._users, self._directory / USERS_LOCK):
                self._leave()
                self._log_once(
                    f"{self._directory} was removed or replaced, perhaps with events in it: using the new one"
                )
            if self._users is None:
                self._users = self._join()
            if not self._starts() and not is_held(self._directory / SHIPPER_LOCK):
                self._start()
        except OSError as error:
            self._log_once(f"no shipper for {self._directory}: {error}")

    def _starts(self) -> bool:
        """Return whether the last shipper still runs, or failed a moment ago, so that a new one would fail too."""
        if self._process is None:
            return False
        status = self._process.poll()
        if status is None:
            return True
        self._process = None
        if status == 0:  # another shipper was running already
            return False
        self._log_once(f"a shipper ended with status {status}: see {self._directory / SHIPPER_LOG}")
        self._next_look = max(self._next_look, self._started + _PAUSE)
        return time.monotonic() < self._started + _PAUSE

    def _log_once(self, cause: str) -> None:
        if cause not in self._logged:
            self._logged.add(cause)
            log.error("sagatrace: %s", cause)

    def flush(self) -> bool:
        """Wait until all earlier events are in the store. Return False after `flush_for` seconds."""
        deadline = time.monotonic() + self._flush_for
        seal(self._directory)
        waiting = sealed_segments(self._directory)
        self._next_look = self._started = 0.0
        while waiting and time.monotonic() < deadline:
            self.attend()
            time.sleep(0.005)
            waiting = [segment for segment in waiting if segment.exists()]
        if waiting:
            why = f"after {self._flush_for:g} s events still wait in {self._directory} for the store"
            log.warning("sagatrace: %s: the shipper keeps retrying, the next worker's shipper resumes", why)
        return not waiting

    def close(self) -> None:
        """Flush, and stop using the outbox. The shipper ends when the outbox is empty and unused."""
        if self._users is None or os.getpid() != self._owner:
            return
        try:
            done = self.flush()
        finally:
            self._leave()
        if done:
            self._await_end()

    def _await_end(self) -> None:
        """Wait for the shipper to end if no other process uses the outbox, so that the directory can be removed."""
        deadline = time.monotonic() + 1.0
        used = 0
        while time.monotonic() < deadline and (self._runs() or is_held(self._directory / SHIPPER_LOCK)):
            # The shipper itself takes that lock briefly, to check whether it is held.
            used = used + 1 if is_held(self._directory / USERS_LOCK, by_any=True) else 0
            if used > _ANOTHER:
                return
            time.sleep(0.005)

    def _runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _join(self) -> int:
        """Become a user of the outbox. Only an ending shipper holds the lock exclusively, for a moment."""
        deadline = time.monotonic() + 1.0
        make_directory(self._directory)
        require_owner(self._directory)
        while (users := try_lock(self._directory / USERS_LOCK, shared=True)) is None:
            if time.monotonic() > deadline:
                raise BlockingIOError(f"{self._directory / USERS_LOCK} is held by a shipper that does not end")
            time.sleep(0.002)
        return users

    def _leave(self) -> None:
        if self._users is not None:
            os.close(self._users)
            self._users = None

    def _start(self) -> None:
        path = self._directory / SHIPPER_LOG
        self._started = time.monotonic()
        with self._log_file(path) as errors:
            # -P: a module of the application must not shadow a module of the standard library. A new session:
            # neither Ctrl-C nor the end of the worker's process group may end the shipper.
            self._process = _Process(
                [sys.executable, "-P", "-m", "sagatrace.shipper", "--follow", "--while-used", str(self._directory)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=self._environment,
                start_new_session=True,
            )
        log.info("sagatrace: started a shipper, process %d, which logs to %s", self._process.pid, path)

    def _log_file(self, path: Path) -> BinaryIO:
        try:
            if path.exists() and path.stat().st_size > _MAX_LOG:
                path.replace(path.with_suffix(".old.log"))
            return open_log(path)
        except OSError as error:  # such as a full disk: the shipper must run, as it frees space
            self._log_once(f"the shipper runs without a log: {error}")
            return Path(os.devnull).open("ab")


class _Process(subprocess.Popen[bytes]):
    """A shipper process. It may outlive its parent, so it must not cause a ResourceWarning."""

    def __del__(self, *_: object) -> None:
        """Do nothing. After the parent's end, init reaps the process."""
