"""Arguments and variables reach the terminal and logs only as text, and show no secret.

The commands, arguments and variables come from the program itself, so that new ones are tried too.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import click
import pytest
from click.testing import CliRunner
from redis import Redis
from rq import Queue

import sagatrace
import sagatrace.rq.reconciler
import sagatrace.shipper.__main__
import sagatrace_tui
from sagas import failed
from sagatrace.stores import open_store
from sagatrace_tui.cli import main, tui_main
from sagatrace_tui.demo.workers import worker_command, worker_environment

ESCAPES = "\x1b[31m\x1b]0;owned\x07\x9b2J\x1b[2J\r\u202etxt\u2066\u200b\x7f\x00"
SECRET = "zq"  # noqa: S105 - each part of each password holds it
ADDRESSES = [
    "redis://:zq1@127.0.0.1:1/0",
    "redis://user:zq1/zq2@127.0.0.1:1",
    "redis://:zq1#zq2?zq3@127.0.0.1:1",
    "redis://zq1@127.0.0.1:1",
    "redis://zq1/zq2@127.0.0.1:1",
    "redis://:zq1@127.0.0.1:1?foo=1",
    "redis://127.0.0.1:1/0?password=zq1",
    "redis://127.0.0.1:zq1@host",
    "redis+sentinel://u:zq1/zq2@127.0.0.1:1/name",
    "unix://:zq1@/nowhere.sock",
    "cosmos://u:zq1@127.0.0.1:1/d/c",
    "https://127.0.0.1:1/?key=zq1",
    "postgres://u:zq1@127.0.0.1/d",
    "AccountEndpoint=https://127.0.0.1:1/;AccountKey=zq1zq1zq1zq1;",
]
VALUES = [ESCAPES.replace("\x00", ""), *ADDRESSES, f"{ADDRESSES[1]}{ESCAPES.replace(chr(0), '')}"]
ACTIVE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\uffff"
    "\ue000-\uf8ff\U000e0000-\U0010ffff]"
)
SOURCES = [Path(module.__file__ or "").parent for module in (sagatrace, sagatrace_tui)]
VARIABLES = sorted(
    {
        name
        for directory in SOURCES
        for path in directory.rglob("*.py")
        for name in re.findall(r"SAGATRACE_[A-Z_]*[A-Z]", path.read_text())
    }
)


def clean(said: str, about: object) -> None:
    """Fail if the text has a control sequence or a secret."""
    found = ACTIVE.search(said)
    assert found is None, (about, ascii(said[max(0, found.start() - 200) : found.start() + 100]))
    assert SECRET not in said, (about, said)


def commands() -> dict[str, click.Command]:
    """Return every command of both programs, with its arguments."""
    group = click.Context(main)
    found = {name: main.get_command(group, name) for name in main.list_commands(group)}
    return {"": main, "sagatrace-tui": tui_main} | {name: one for name, one in found.items() if one is not None}


COMMANDS = commands()
SAFE = {"trace_id": "T", "words": "T", "files": os.devnull}
"""Values that are not hostile, of arguments by name. Any other required argument gets the id of a trace."""


def usual(command: click.Command) -> list[str]:
    """Return arguments with which the command works and ends."""
    arguments = [one for one in command.params if isinstance(one, click.Argument)]
    return [SAFE.get(one.name or "", "T") for one in arguments if one.required or command.name == "tail"]


def hostile(command: click.Command, value: str) -> Iterator[list[str]]:
    """Yield command lines with the value in place of each argument and option, after the last, and as an option."""
    yield [*usual(command), value, value]
    yield [*usual(command), f"--{value}"]
    yield [*usual(command), f"--store={value}", value]
    for one in command.params:
        if isinstance(one, click.Argument):
            yield [value]
        elif isinstance(one, click.Option) and one.is_flag:
            yield [*usual(command), one.opts[0], f"--store={value}"]
        elif isinstance(one, click.Option):
            yield [*usual(command), f"{one.opts[0]}={value}" if one.opts[0].startswith("--") else one.opts[0] + value]
            yield [*usual(command), one.opts[0], value]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use a new directory with a store of one trace, and no other settings."""
    for name in list(os.environ):
        if name.startswith(("SAGATRACE_", "RQ_")):
            monkeypatch.delenv(name)
    for name in ("HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAGATRACE_STORE", f"sqlite:///{tmp_path}/traces.db")
    monkeypatch.setenv("SAGATRACE_MAX_WAIT", "0.2")
    store = open_store(f"sqlite:///{tmp_path}/traces.db")
    store.append(failed("T"))
    store.close()
    return tmp_path


@pytest.fixture
def say(
    home: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, list[str]], str]:
    """Return standard output, standard error and the log of a command."""
    caplog.set_level("DEBUG")
    # The output of this runner is not a file, so its reader is not known.
    monkeypatch.setattr("sagatrace_tui.commands.tail._require_reader", lambda: None)
    monkeypatch.setattr(
        "sagatrace_tui.live.tail.follow_store", lambda _store, _mirror: (one for one in ())
    )  # without end

    def said(name: str, arguments: list[str]) -> str:
        caplog.clear()
        command = COMMANDS[name]
        called = tui_main if command is tui_main else main
        result = CliRunner().invoke(called, [*([name] if name and called is main else []), *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), (arguments, result.exception)
        return result.output + caplog.text

    return said


def test_every_command_and_variable_is_tried() -> None:
    assert {"", "sagatrace-tui", "doctor", "import", "tail"} <= COMMANDS.keys()
    assert {"SAGATRACE_STORE", "SAGATRACE_MIRROR", "SAGATRACE_REDIS_URL", "SAGATRACE_COSMOS_KEY"} <= set(VARIABLES)


@pytest.mark.parametrize("name", COMMANDS)
def test_no_argument_is_more_than_text(say: Callable[[str, list[str]], str], name: str) -> None:
    for value in VALUES:
        for arguments in hostile(COMMANDS[name], value):
            clean(say(name, arguments), arguments)


@pytest.mark.parametrize("name", COMMANDS)
def test_no_variable_is_more_than_text(
    say: Callable[[str, list[str]], str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in VARIABLES:
        for value in VALUES:
            with monkeypatch.context() as patched:
                patched.setenv(variable, value)
                clean(say(name, usual(COMMANDS[name])), (variable, value))


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("is_empty", [False, True])
def test_no_path_of_a_store_is_more_than_text(
    say: Callable[[str, list[str]], str], home: Path, name: str, is_empty: bool
) -> None:
    path = home / f"{ESCAPES.replace(chr(0), '')}.db"
    url = "sqlite:///" + "".join(f"%{byte:02X}" for byte in bytes(path))
    store = open_store(url)
    store.append([] if is_empty else failed("T"))
    store.close()
    clean(say(name, [*usual(COMMANDS[name]), *(["--store", url] if name else [])]), "usual")
    if COMMANDS[name].params and not is_empty and name:
        clean(say(name, ["--store", url, "nothing", "of this name"]), "superfluous")


@pytest.mark.parametrize("module", [sagatrace.shipper.__main__, sagatrace.rq.reconciler])
def test_the_processes_of_workers_show_no_more(
    home: Path,
    module: ModuleType,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level("DEBUG")
    monkeypatch.setattr("os.umask", lambda _: 0)  # the shipper's own, not that of these tests
    for value in VALUES:
        lines = [[], [value], [value, value], [f"--{value}"], ["--redis-url", value]]
        for variable, arguments in [("SAGATRACE", one) for one in lines] + [(name, []) for name in VARIABLES]:
            with monkeypatch.context() as patched:
                patched.setattr(sys, "stderr", sys.stderr)
                patched.setenv(variable, value if variable != "SAGATRACE" else "")
                with suppress(SystemExit):
                    module.main(arguments)
                said = capsys.readouterr()
                clean(said.out + said.err + caplog.text, (variable, value, arguments))
                caplog.clear()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        *((name, VALUES[-1]) for name in ("STORE", "OUTBOX", "REDACT", "SAMPLE", "MIRROR", "REDIS_URL", "MAX_WAIT")),
        ("STORE", ADDRESSES[11]),
        ("REDACT", ADDRESSES[1]),
        ("MIRROR", ADDRESSES[1]),
        ("REDIS_URL", ADDRESSES[5]),
    ],
    ids=ascii,
)
def test_a_worker_and_its_shipper_log_no_more(home: Path, redis: Redis, variable: str, value: str) -> None:
    Queue("q", connection=redis).enqueue("builtins.len", "T")
    path = redis.connection_pool.connection_kwargs["path"]
    worker = subprocess.run(
        worker_command(f"unix://{path}", "--burst", "q"),
        env={**worker_environment(f"sqlite:///{home}/traces.db"), f"SAGATRACE_{variable}": value},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    logs = "".join(log.read_text() for log in home.rglob("shipper.log"))
    assert worker.returncode == 0, worker.stdout
    assert redis.exists("rq:finished:q"), worker.stdout
    clean(re.sub("\x1b\\[[0-9;]*m", "", worker.stdout) + logs, worker.stdout)  # RQ's own colours
