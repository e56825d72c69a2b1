"""The completion of shells, by the commands that a shell runs at each press of Tab."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sagas import event
from sagatrace.stores import open_store

SCRIPTS = Path(sys.executable).parent
Complete = Callable[..., tuple[list[str], str]]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/traces.db"


@pytest.fixture
def complete(url: str, tmp_path: Path) -> Complete:
    """Return a function that completes the last of some words, and returns the completions and standard error."""

    def run(*words: str, program: str = "sagatrace", shell: str = "bash", **environ: str) -> tuple[list[str], str]:
        position = words[-1] if shell == "fish" else str(len(words))
        variables = {
            "SAGATRACE_STORE": url,
            "HOME": str(tmp_path),
            f"_{program.upper().replace('-', '_')}_COMPLETE": f"{shell}_complete",
            "COMP_WORDS": " ".join([program, *words]),
            "COMP_CWORD": position,
        }
        done = subprocess.run(
            [SCRIPTS / program], env={**os.environ, **variables, **environ}, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0
        if shell == "zsh":
            return done.stdout.splitlines()[1::3], done.stderr
        return [line.partition(",")[2] for line in done.stdout.splitlines() if line], done.stderr

    return run


def put(url: str, *trace_ids: str) -> None:
    """Store a trace of each id, each a second later than the one before."""
    store = open_store(url)
    for number, trace_id in enumerate(trace_ids):
        store.append([event(trace_id, "S", "a:started", number, id=f"e{number}")])
    store.close()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_trace_ids_are_completed_the_newest_first(complete: Complete, url: str, shell: str) -> None:
    put(url, "order-1", "loan-1", "order-2", "order:3", "a/b=c@d+e")
    for words in (["show"], ["why", "--json"], ["diff", "loan-1"], ["export", "loan-1"], ["tail"]):
        assert complete(*words, "order", shell=shell) == (["order:3", "order-2", "order-1"], "")
    assert complete("order-", program="sagatrace-tui", shell=shell) == (["order-2", "order-1"], "")
    assert complete("show", "zzz", shell=shell) == ([], "")


def test_the_store_option_counts(complete: Complete, url: str, tmp_path: Path) -> None:
    put(url, "order-1")
    assert complete("show", "--store", url, "order", SAGATRACE_STORE="off") == (["order-1"], "")
    assert complete("show", "--store", f"sqlite:///{tmp_path}/none.db", "order") == ([], "")


def test_at_most_50_are_offered(complete: Complete, url: str) -> None:
    put(url, *(f"order-{number}" for number in range(60)))
    assert complete("show", "order")[0] == [f"order-{number}" for number in range(59, 9, -1)]


def test_an_id_that_a_shell_would_act_on_is_not_offered(complete: Complete, url: str) -> None:
    put(
        url,
        "a$(id)",
        "a;ls",
        "a b",
        "a\nplain,evil",
        "a*",
        "a`id`",
        "a'x",
        'a"x',
        "a\x1b[2J",
        "a\u202e",
        "a,b",
        "-a",
        "ok",
    )
    for shell in ("bash", "zsh", "fish"):
        assert complete("show", "a", shell=shell) == ([], "")


@pytest.mark.parametrize(
    "environ",
    [
        {"SAGATRACE_MAX_WAIT": "soon"},
        {"SAGATRACE_STORE": "postgres://h/db"},
        {"SAGATRACE_STORE": "sqlite:////dev/null/x.db"},
        {"SAGATRACE_STORE": "cosmos://nowhere.invalid/d/c"},
    ],
    ids=lambda environ: next(iter(environ.values())),
)
def test_an_error_gives_no_completion_and_no_noise(complete: Complete, url: str, environ: dict[str, str]) -> None:
    put(url, "order-1")
    assert complete("show", "order", **environ) == ([], "")


def test_a_store_that_never_answers_does_not_hold_up_the_shell(complete: Complete, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.db")
    assert complete("show", "order", SAGATRACE_STORE=f"sqlite:///{tmp_path}/pipe.db") == ([], "")


def test_threads_of_a_store_that_never_answers_do_not_hold_up_the_shell() -> None:
    program = """
import threading
from concurrent.futures import ThreadPoolExecutor
from sagatrace_tui import cli
from sagatrace_tui.commands import completion

def hang(*_arguments, **_options):
    ThreadPoolExecutor().submit(threading.Event().wait).result()  # a normal end of Python waits for such a thread

completion.open_store = hang
cli.main(prog_name="sagatrace")
"""
    variables = {"_SAGATRACE_COMPLETE": "bash_complete", "COMP_WORDS": "sagatrace show o", "COMP_CWORD": "2"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_commands_options_and_files_are_completed(complete: Complete) -> None:
    assert complete("st")[0] == ["standing"]
    assert complete("export", "--o")[0] == ["--otlp"]
    assert complete("import", "some")[0] == ["some"]  # of type `file`: the shell completes it itself


def test_a_real_bash_completes_as_the_page_says(url: str, tmp_path: Path) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    put(url, "order-1", "loan-1")
    page = (Path(__file__).parents[2] / ".github" / "docs" / "explore.md").read_text()
    (line,) = [line for line in page.splitlines() if line.startswith("eval ") and "bash_source" in line]
    pressed = "COMP_WORDS=(sagatrace why ord) COMP_CWORD=2; _sagatrace_completion sagatrace"
    script = f'{line}\n{pressed}\necho "${{COMPREPLY[@]}}"'
    environ = {**os.environ, "PATH": f"{SCRIPTS}:{os.environ['PATH']}", "SAGATRACE_STORE": url, "HOME": str(tmp_path)}
    done = subprocess.run([bash, "--norc", "-c", script], env=environ, capture_output=True, text=True, timeout=300)
    assert (done.stdout, done.stderr) == ("order-1\n", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_page_shows_a_line_for_each_shell_that_prints_a_script(shell: str) -> None:
    page = (Path(__file__).parents[2] / ".github" / "docs" / "explore.md").read_text()
    assert f"_SAGATRACE_COMPLETE={shell}_source sagatrace" in page
    environ = {**os.environ, "_SAGATRACE_COMPLETE": f"{shell}_source"}
    done = subprocess.run([SCRIPTS / "sagatrace"], env=environ, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"_SAGATRACE_COMPLETE={shell}_complete" in done.stdout
