"""The help of every command at 80 columns, and the exit statuses that it states."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from sagas import succeeded
from sagatrace.stores import open_store
from sagatrace_tui import cli

COMMANDS = cli.main.list_commands(click.Context(cli.main))
HELP = [(cli.main, ()), (cli.tui_main, ()), *((cli.main, (name,)) for name in COMMANDS)]
ARGUMENTS = {"show": ["T"], "why": ["T"], "diff": ["T"], "export": ["T"], "tail": ["T"], "import": ["-"]}
SETTINGS = [
    ({"SAGATRACE_MAX_WAIT": "soon"}, "SAGATRACE_MAX_WAIT='soon' is not a number of seconds"),
    ({"SAGATRACE_STORE": "postgres://u:s3cret@h/db"}, "unknown store URL 'postgres:…'"),
    ({"SAGATRACE_STORE": "sqlite://here"}, "names no file"),
    ({"SAGATRACE_STORE": "cosmos://h"}, "names no database and container"),
    ({"SAGATRACE_STORE": "cosmos://h/d/c", "SAGATRACE_COSMOS_TLS": "maybe"}, "SAGATRACE_COSMOS_TLS='maybe' is none of"),
]


def run(command: click.Command, *arguments: str) -> Result:
    result = CliRunner().invoke(command, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path}/traces.db"
    monkeypatch.setenv("SAGATRACE_STORE", url)
    kept = open_store(url)
    kept.append(succeeded("T"))
    kept.close()
    return url


@pytest.mark.parametrize("term", ["-status:failed", "-loan_id=L7", "-tag:two words"])
def test_a_query_term_with_a_minus_is_not_only_an_unknown_option(term: str) -> None:
    result = run(cli.main, "list", "since:1h", term)
    assert result.exit_code == 2
    assert f"no such option '{term[:2]}': a query term that begins with a minus comes after `--`" in result.output
    assert f": -- {shlex.quote(term)}\n" in result.output


@pytest.mark.parametrize("option", ["-x", "--limt", "--by:x"])
def test_another_unknown_option_gets_no_advice_about_terms(option: str) -> None:
    assert "query term" not in run(cli.main, "list", "-n", "5", option, "x:y").output


@pytest.mark.parametrize(("command", "path"), HELP, ids=[(path or ("",))[0] or one.name for one, path in HELP])
def test_no_line_of_help_is_cut_or_too_long_and_it_states_the_statuses(
    command: click.Command, path: tuple[str, ...]
) -> None:
    text = run(command, *path, "--help").stdout
    usage, _, rest = text.partition("\n\n")
    assert usage.startswith("Usage:")
    assert "..." not in rest
    assert max(map(len, text.splitlines())) <= 80
    assert re.search(r"Exit status: .* 2\s+wrong\s+usage\s+or\s+setting", rest, re.DOTALL)


def test_every_command_has_a_whole_sentence_in_the_list() -> None:
    listed = run(cli.main, "--help").stdout.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    assert [line.split()[0] for line in listed] == COMMANDS
    assert [line for line in listed if not line.endswith(".")] == []


def test_a_store_that_is_off_is_not_an_unknown_url(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAGATRACE", "off")
    result = run(cli.main, "standing")
    assert result.exit_code == 2
    assert "no store: SAGATRACE or SAGATRACE_STORE is `off`" in result.output


@pytest.mark.parametrize(("environ", "said"), SETTINGS, ids=[said for _, said in SETTINGS])
@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "cost"])
def test_a_wrong_setting_is_status_2(
    store: str, monkeypatch: pytest.MonkeyPatch, name: str, environ: dict[str, str], said: str
) -> None:
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value)
    if name == "ship":
        monkeypatch.setenv("SAGATRACE_OUTBOX", str(Path(store.removeprefix("sqlite:///")).parent))
    result = run(cli.main, name, *ARGUMENTS.get(name, []))
    assert result.exit_code == 2
    assert said in result.output
    assert "s3cret" not in result.output
    assert (result.stdout == "") == (name != "doctor")


@pytest.mark.parametrize("variable", ["SAGATRACE_REDIS_URL", "SAGATRACE_MIRROR"])
def test_a_wrong_redis_url_is_status_2_of_doctor(store: str, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "redis://:s3cret/x@127.0.0.1:1")
    result = run(cli.main, "doctor")
    assert result.exit_code == 2
    assert variable in result.output
    assert "s3cret" not in result.output


@pytest.mark.parametrize(
    ("arguments", "environ"),
    [
        (["cost", "--measure"], {"SAGATRACE_MAX_WAIT": "soon"}),
        (["cost", "--measure"], {}),  # a file charges nothing
        (["cost", "--throughput", "much"], {}),
        (["init", "--ttl", "soon"], {}),
        (["init", "--store", "memory:"], {}),
        (["init", "--print-az"], {}),
        (["groups"], {"SAGATRACE_WINDOW": "long"}),
        (["standing"], {"SAGATRACE_WINDOW": "long"}),
        (["ship"], {"SAGATRACE_MIRROR": "nowhere"}),
        (["ship"], {"SAGATRACE_OUTBOX": "off"}),
        (["doctor"], {"SAGATRACE_MIRROR": "nowhere"}),
        (["list", ".=1"], {}),
        (["list", "status:broken"], {}),
        (["tail", "name:x"], {}),
        (["why"], {}),
        (["why", "--json", "--slack", "T"], {}),
        (["standing", "--json", "--csv"], {}),
        (["list", "-n", "0"], {}),
        (["diff"], {}),
        (["nothing"], {}),
    ],
    ids=str,
)
def test_wrong_usage_and_what_one_command_needs_are_status_2(
    store: str, monkeypatch: pytest.MonkeyPatch, arguments: list[str], environ: dict[str, str]
) -> None:
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value)
    result = run(cli.main, *arguments)
    assert result.exit_code == 2, result.output
    assert arguments[0] == "doctor" or result.stdout == ""
    assert arguments[0] == "doctor" or result.stderr


def test_a_store_that_is_not_there_and_a_trace_that_is_not_are_1_and_7(store: str, tmp_path: Path) -> None:
    missing = f"sqlite:///{tmp_path}/no/such/file.db"
    for name in ("list", "groups", "standing", "show", "why", "diff", "export", "tail"):
        assert run(cli.main, name, "--store", missing, *ARGUMENTS.get(name, [])).exit_code == 1, name
    for name in ("show", "why", "diff", "export", "tail"):
        assert run(cli.main, name, "T9").exit_code == 7, name
    assert run(cli.main, "doctor", "--store", missing, "--no-write").exit_code == 1
