"""End to end: log in over a real sshd on loopback, and find the cause of a failed saga."""

from __future__ import annotations

import getpass
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from test_terminals import CAUSE, Command, copied

from pty_terminal import PtyTerminal

pytestmark = pytest.mark.sshd  # needs OpenSSH, which no package index has: `pytest -m sshd`


@dataclass(frozen=True)
class Server:
    """A private sshd, and the command to log in."""

    process: subprocess.Popen[bytes]
    login: list[str]


def program(name: str) -> str:
    found = shutil.which(name, path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    assert found, f"{name} is needed for this test: apt-get install openssh-server openssh-client"
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Server]:
    """Run sshd on a free port of loopback, with new keys."""
    daemon, client, keygen = program("sshd"), program("ssh"), program("ssh-keygen")
    for name in ("host", "user"):
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)], check=True)
    (tmp_path / "authorized").write_bytes((tmp_path / "user.pub").read_bytes())
    port = free_port()
    config = tmp_path / "sshd_config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path}/host\nAuthorizedKeysFile {tmp_path}/authorized\n"
        f"PidFile {tmp_path}/pid\nStrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\n"
        "PasswordAuthentication no\nPrintMotd no\nPrintLastLog no\nAcceptEnv LC_ALL COLORTERM\n"
    )
    if Path("/run").is_dir() and not Path("/run/sshd").exists() and psutil.Process().uids().effective == 0:
        Path("/run/sshd").mkdir(mode=0o755)  # needed by an sshd of root for its privilege separation
    log = (tmp_path / "sshd.log").open("wb")
    process = subprocess.Popen([daemon, "-D", "-e", "-f", str(config)], stderr=log, stdin=subprocess.DEVNULL)
    options = ["StrictHostKeyChecking=no", f"UserKnownHostsFile={tmp_path}/known", "SendEnv=LC_ALL COLORTERM"]
    login = [client, "-tt", "-q", "-F", "none", "-p", str(port), "-i", str(tmp_path / "user")]
    login += [part for option in options for part in ("-o", option)]
    try:
        _wait_for_port(port, process, tmp_path / "sshd.log")
        yield Server(process, [*login, f"{getpass.getuser()}@127.0.0.1"])
    finally:
        process.terminate()
        process.wait(10)
        log.close()


def _wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 15
    pause = threading.Event()
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        pause.wait(0.05)
    raise AssertionError(f"sshd does not listen on {port}:\n{log.read_text()}")


def test_a_session_from_log_in_to_the_cause_the_compensation_the_clipboard_and_out(sshd: Server, tui: Command) -> None:
    with PtyTerminal([*sshd.login, shlex.join(["exec", *tui()]).replace("'exec'", "exec")]) as terminal:
        terminal.until("VERDICT", "loan-2", "rollback incomplete")
        terminal.press("/status:failed\r", "· 1 trace ·")
        terminal.press("\r", CAUSE, "rollback incomplete: 1 of 1 step still standing", "InsufficientFunds")
        terminal.press("w", "why: 4 of 7 spans")
        terminal.press("c", "STILL STANDING  1", "compensation failed after 1 attempt", "← release_credit")
        terminal.press("Y", "Copied the summary")
        assert copied(bytes(terminal.raw))[-1].startswith("**rollback incomplete** — `loan-2`")
        terminal.press("\x1b", CAUSE)
        terminal.press("\x1a", "Cannot suspend: no parent shell")
        terminal.press("q", "VERDICT")
        terminal.send("q")
        assert terminal.wait() == 0
        assert terminal.is_restored
    _nothing_left(sshd)


def test_a_connection_that_breaks_leaves_no_process(sshd: Server, tui: Command) -> None:
    with PtyTerminal([*sshd.login, shlex.join(tui("loan-2"))]) as terminal:
        terminal.until(CAUSE)
        assert _apps(sshd)
        terminal.process.kill()
        terminal.process.wait(10)
    _nothing_left(sshd)


def _apps(sshd: Server) -> list[psutil.Process]:
    found = psutil.Process(sshd.process.pid).children(recursive=True)
    return [process for process in found if Path(sys.executable).name in process.name() or "python" in process.name()]


def _nothing_left(sshd: Server) -> None:
    deadline = time.monotonic() + 10
    pause = threading.Event()
    while left := _apps(sshd):
        assert time.monotonic() < deadline, f"still running: {left}"
        pause.wait(0.05)
