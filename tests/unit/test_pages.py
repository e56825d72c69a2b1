"""The commands, options, queries, settings and links on the pages for users exist."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import click
import pytest
from redis import Redis

from sagatrace import settings
from sagatrace.stores import open_store
from sagatrace_tui import cli
from sagatrace_tui.commands.why import EXIT_STATUSES
from sagatrace_tui.incident.query import KEYS, parse_query
from sagatrace_tui.labels import VERDICTS
from sagatrace_tui.live.refresh import wall_clock
from sagatrace_tui.model import build_trace

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / ".github" / "docs").glob("*.md"))]
NAMES = [page.name for page in PAGES]
EXPLORE = (ROOT / ".github" / "docs" / "explore.md").read_text()
OPERATE = (ROOT / ".github" / "docs" / "operate.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def commands_in(text: str) -> set[str]:
    """Return the `sagatrace …` commands that a text shows."""
    shown = re.findall(r"`(?:[A-Z_]+=\S+ )*(sagatrace [^`\n]+)`", text)
    shown += re.findall(
        r"^(?:\S*/)?(sagatrace [^\n#]+)", "\n".join(re.findall(r"```(?:sh)?\n(.*?)```", text, re.DOTALL)), re.MULTILINE
    )
    return set(shown)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_command_and_option_exists(page: Path) -> None:
    context = click.Context(cli.main)
    for line in commands_in(page.read_text()):
        name, *rest = shlex.split(line.removeprefix("sagatrace ").replace("…", ""))
        command = cli.main.get_command(context, name)
        assert command is not None, line
        known = {option for parameter in command.params for option in (*parameter.opts, "--help")}
        assert {word for word in rest if word.startswith("--") and word != "--"} <= known, line


def test_every_key_of_a_query_is_explained_and_every_example_can_be_read() -> None:
    table = EXPLORE.partition("## Queries")[2].partition("## Live")[0]
    assert [key for key in KEYS if f"`{key}" not in table and key != "trace:"] == []
    (whole,) = re.findall(r"```\n(.*?)\n```", table)
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    terms = [term for row in rows for term in re.findall(r"`([^`]+)`", row)]
    for query in [whole, *terms, "status:success"]:
        assert parse_query(query)


def test_each_verdict_is_in_the_table_with_its_words_and_its_exit_status() -> None:
    rows = re.findall(r"^\| ([a-z ]+) \| `(\w+)` \| (\d) \|$", EXPLORE, re.MULTILINE)
    assert {name: (words, int(status)) for words, name, status in rows} == {
        name: (words, EXIT_STATUSES[name]) for name, (_, words) in VERDICTS.items()
    }
    for _, name, _ in rows:
        assert parse_query(f"status:{name}") == parse_query(f"status:{name.replace('_', '-')}")


def test_every_setting_is_explained() -> None:
    documented = set(re.findall(r"^(SAGATRACE_\w+)", settings.__doc__ or "", re.MULTILINE))
    assert documented
    azure = (ROOT / ".github" / "docs" / "azure.md").read_text()
    assert {name for name in documented if name not in OPERATE + azure} == set()


def programs() -> list[tuple[str, str]]:
    pages = [page for page in PAGES if page.name != "README.md"]
    return [
        (page.name, text) for page in pages for text in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    ]


def run(command: list[str], directory: Path, **environment: str) -> str:
    """Run a command that must end with status 0, and return its output."""
    given = {**os.environ, **environment}
    done = subprocess.run(command, cwd=directory, env=given, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(("page", "text"), programs(), ids=[one[0] for one in programs()])
def test_every_program_runs(page: str, text: str, tmp_path: Path, redis_server: str) -> None:
    (tmp_path / "program.py").write_text(text)
    store = f"sqlite:///{tmp_path}/traces.db"
    run([sys.executable, "program.py"], tmp_path, SAGATRACE_STORE=store, REDIS_URL=redis_server)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_excerpt_is_in_the_file_that_it_names(page: Path) -> None:
    """Only the testing page has a ```py block without a file: a test, which the next test runs."""
    text = page.read_text()
    quoted = re.findall(r"<!-- from (\S+) -->\n```py\n(.*?)```", text, re.DOTALL)
    assert len(re.findall(r"^```py$", text, re.MULTILINE)) - len(quoted) == (page.name == "testing.md")
    for name, excerpt in quoted:
        source = f"\n{(ROOT / name).read_text()}\n"
        assert [part for part in excerpt.strip().split("\n\n\n") if f"\n{part}\n" not in source] == []


def test_the_test_of_the_testing_page_passes(tmp_path: Path) -> None:
    (text,) = re.findall(r"```py\n(.*?)```", (ROOT / ".github" / "docs" / "testing.md").read_text(), re.DOTALL)
    (tmp_path / "test_shown.py").write_text(text)
    run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_shown.py"], tmp_path)


def shell_block(page: str, command: str) -> str:
    """Return the one shell block of a page that holds this command."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / ".github" / "docs" / page).read_text(), re.DOTALL)
    (found,) = [block for block in blocks if command in block]
    return found


def run_block(text: str, directory: Path) -> str:
    """Run a shell block as bash does with `-e`, end what it left running, and return its output."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    script = f"trap 'kill $(jobs -p) 2> /dev/null || true; wait' EXIT\n{text}"
    return run(["bash", "-ec", script], directory, PATH=path, SAGATRACE_STORE=f"sqlite:///{directory}/traces.db")


def test_the_workers_of_the_page_on_instrumenting_run_an_order(tmp_path: Path, redis_server: str) -> None:
    (program,) = [text for page, text in programs() if page == "instrument.md" and "saga.run(" in text]
    (tmp_path / "shop.py").write_text(program)
    block = shell_block("instrument.md", "rq worker")
    assert "succeeded" in run_block(block.replace("redis://localhost:6379", redis_server), tmp_path)


def test_the_callbacks_of_the_page_on_instrumenting_run_two_orders(
    tmp_path: Path,
    redis: Redis,
    redis_server: str,
    work_off: Callable[..., str],
    until: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (program,) = [text for page, text in programs() if page == "instrument.md" and "then_next" in text]
    (tmp_path / "shop.py").write_text(program)
    url = f"sqlite:///{tmp_path}/traces.db"
    monkeypatch.setenv("REDIS_URL", redis_server)
    submit = [sys.executable, "-c", "import shop; shop.submit('4901'); shop.submit('4902')"]
    run(submit, tmp_path, SAGATRACE_STORE=url)
    work_off(redis_server, url, "steps", path=tmp_path)
    store = open_store(url, read_only=True)

    def verdicts() -> dict[str, str]:
        ids = ("order-4901", "order-4902")
        traces = [build_trace(one, store.fetch_trace(one).events, now=wall_clock()) for one in ids]
        return {trace.verdict: trace.name for trace in traces if trace.ended}

    until(lambda: verdicts() == {"succeeded": "workflow:order", "rolled_back": "workflow:order"}, "both verdicts")
    store.close()


def test_the_metrics_of_the_page_on_operation_are_written(tmp_path: Path) -> None:
    run_block(shell_block("operate.md", "--metrics"), tmp_path)
    assert "sagatrace_outbox_bytes" in (tmp_path / "sagatrace.prom").read_text()


@pytest.mark.skipif(shutil.which("curl") is None, reason="the command of the page needs curl")
def test_the_export_of_the_page_on_exploring_reaches_a_receiver(tmp_path: Path) -> None:
    program = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[0]
    (tmp_path / "shop.py").write_text(program)
    received: list[bytes] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the names of the base class
            """Print nothing."""

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        block = shell_block("explore.md", "curl").replace("localhost:4318", f"127.0.0.1:{server.server_port}")
        run_block(f"python shop.py 2> /dev/null || true\n{block}", tmp_path)
        server.shutdown()
    assert b"resourceSpans" in received[0]
