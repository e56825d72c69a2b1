"""`sagatrace list`, `groups` and `standing` as a person or a cron job runs them."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from test_commands import Cli

from sagas import event, failed, recent, running, succeeded
from sagatrace.errors import StoreError
from sagatrace.event import encode_event, new_event
from sagatrace.stores import Arrived, FetchedTrace
from sagatrace.stores.memory import MemoryStore
from sagatrace_tui.cli import main
from sagatrace_tui.commands import outcome

HOSTILE = "\x1b]0;owned\x07=cmd|'/c calc'!A1"


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    cli = Cli(tmp_path)
    cli.env["XDG_STATE_HOME"] = str(tmp_path / "state")
    stored = [
        *recent(failed("bad-1"), 600),
        *recent(failed("bad-2"), 90),
        *recent(succeeded("good"), 300),
        *recent(running("busy"), 5),
        *recent(failed("last-week"), 7 * 86_400),
    ]
    status, _, err = cli("import", "-", stdin=b"\n".join(map(encode_event, stored)))
    assert (status, err) == (0, "")
    return cli


def objects(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def ids(cli: Cli, *query: str) -> list[str]:
    status, out, err = cli("list", "--json", "--", *query)
    assert status == 0, err
    return [one["trace_id"] for one in objects(out)]


def test_the_list_shows_why_each_trace_failed(cli: Cli) -> None:
    status, out, _ = cli("list")
    assert status == 0
    lines = out.splitlines()
    assert lines[0].split()[:8] == ["VERDICT", "NAME", "TRACE", "LAST", "TOOK", "SPANS", "ERRORS", "WHY"]
    columns = {line.split()[4]: line.split() for line in lines if "rollback" in line}
    assert columns["bad-2"][9] == "2", "the consequences of the failure do not count"
    assert " · 2 errors (+2 consequences)\n" in cli("show", "bad-2")[1]
    assert (
        sum("transfer_funds InsufficientFunds: balance 1200 < 25000 · 1 of 1 standing" in line for line in lines) == 3
    )


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ([], ["busy", "bad-2", "good", "bad-1", "last-week"]),
        (["status:failed", "since:10d"], ["bad-2", "bad-1", "last-week"]),
        (["status:failed", "since:1h"], ["bad-2", "bad-1"]),
        (["-status:failed"], ["busy", "good"]),
        (["-name:validate"], ["busy", "bad-2", "bad-1", "last-week"]),
        (["took:>4s", "since:1h"], ["busy", "bad-2", "bad-1"]),
        (["spans:>5", "-trace:last"], ["bad-2", "bad-1"]),
        (["status:running,succeeded"], ["busy", "good"]),
        (["standing:credit", "until:2000-01-01"], []),
        (["bad"], ["bad-2", "bad-1"]),
        (["reserve"], ["bad-2", "bad-1", "last-week"]),
        (['"bureau refused"', "since:5m"], ["bad-2"]),
        (["queue:loans", "since:5m"], ["bad-2"]),
        (["-loan_id=L7"], ["busy", "good"]),
    ],
)
def test_a_query_finds(cli: Cli, query: list[str], found: list[str]) -> None:
    assert ids(cli, *query) == found


def test_the_time_of_a_running_trace_lasts_until_now(cli: Cli) -> None:
    _, out, _ = cli("list", "status:running", "took:>4s")
    [line] = out.splitlines()[1:]
    assert "100ms" not in line, "the time between its first and its last event is not what the query compares"
    assert re.search(r"Z +\d+(\.\d+)?s +2 ", line) or re.search(r"Z +\dm\d\ds +2 ", line)
    shown = cli("show", "busy")[1]
    assert re.search(r" · running for (\d+\.\d+s|\dm\d\ds) · 2 spans", shown)


def test_a_limit_counts_the_traces_found(cli: Cli) -> None:
    status, out, _ = cli("list", "-n", "2", "--json", "status:rollback-incomplete")
    assert (status, [one["trace_id"] for one in objects(out)]) == (0, ["bad-2", "bad-1"])


def test_a_list_that_is_cut_says_so(cli: Cli) -> None:
    for as_json in ([], ["--json"]):
        status, out, err = cli("list", "-n", "2", *as_json)
        assert (status, err) == (0, "sagatrace: only the newest 2 traces: -n lists more\n")
        assert len(out.splitlines()) == (2 if as_json else 3)
    assert cli("list", "-n", "5")[2] == ""
    assert cli("list", "-n", "2", "status:failed", "since:1h")[2] == ""


def test_an_operator_of_other_query_languages_is_not_an_all_clear(cli: Cli) -> None:
    status, out, err = cli("standing", "status:failed", "AND", "standing:any")
    assert (status, out) == (2, "")
    assert "leave it out" in err


def test_a_query_is_saved_and_recalled(cli: Cli) -> None:
    assert ids(cli, "status:failed", "since:1h", "save:night") == ["bad-2", "bad-1"]
    assert ids(cli, "@night") == ["bad-2", "bad-1"]
    status, _, err = cli("list", "@day")
    assert (status, "no saved query @day (known: @night)" in err) == (2, True)


def test_a_wrong_query_is_wrong_usage_and_says_where(cli: Cli) -> None:
    for command in ("list", "groups", "standing"):
        status, out, err = cli(command, "status:failed", "since:\x1b[31myesterday")
        assert (status, out) == (2, "")
        assert "in 'since:␛[31myesterday' of the query" in err


def test_failures_of_one_kind_are_one_row(cli: Cli) -> None:
    status, out, _ = cli("groups", "--json")
    (group,) = objects(out)
    assert status == 0
    assert (group["count"], group["standing"], group["standing_in"]) == (2, 2, 2)
    assert (group["step"], group["error_type"], group["trace_ids"]) == (
        "transfer_funds",
        "InsufficientFunds",
        ["bad-2", "bad-1"],
    )
    (wider,) = objects(cli("groups", "--json", "since:10d")[1])
    assert wider["count"] == 3
    text = cli("groups", "since:10d")[1].splitlines()
    assert text[1].split()[:2] == ["3", "3"]
    assert text[1].endswith("[bad-2]")
    assert cli("groups", "trace:good")[1] == "no failures in 1 trace\n"
    assert cli("groups", "new")[1] == "no new kinds of failure in 4 traces (1 known kind)\n"
    assert [one["group"] for one in objects(cli("groups", "--json", "--by", "loan_id")[1])] == ["L7"]


def test_standing_steps_of_all_traces_are_listed_and_set_the_exit_status(cli: Cli) -> None:
    status, out, _ = cli("standing", "--json", "--keys", "loan_id,reservation")
    assert status == 5
    found = objects(out)
    assert [(one["trace_id"], one["step"], one["compensation"]) for one in found] == [
        ("bad-1", "stage:credit", "release_credit"),
        ("bad-2", "stage:credit", "release_credit"),
    ]
    assert found[0]["keys"] == {"loan_id": "L7", "reservation": "R-9"}
    status, out, _ = cli("standing")
    assert "LOAN_ID" in out.splitlines()[0], "chosen keys are remembered"
    assert cli("standing", "--keys", "")[0] == 5
    assert "LOAN_ID" not in cli("standing")[1]
    assert cli("standing", "trace:good") == (0, "nothing stands in 1 trace\n", "")
    assert len(objects(cli("standing", "--json", "since:10d")[1])) == 3
    cli.env["SAGATRACE_WINDOW"] = "10d"
    assert len(objects(cli("standing", "--json")[1])) == 3
    cli.env["SAGATRACE_WINDOW"] = "soon"
    status, _, err = cli("standing")
    assert (status, err) == (
        2,
        "sagatrace: SAGATRACE_WINDOW='soon' is not a length of time: write 30m, 24h or 7d\n",
    )


@pytest.mark.parametrize("command", [["list"], ["standing"], ["standing", "--csv"], ["groups", "--json"]])
def test_a_query_that_matches_no_trace_is_named_as_such(cli: Cli, command: list[str]) -> None:
    status, _, err = cli(*command, "trace:L104")
    assert (status, err.startswith("sagatrace: no traces in "), err.endswith(" that match\n")) == (0, True, True)


def test_values_are_inert_in_every_form(cli: Cli) -> None:
    events = [
        new_event(trace_id="evil", span_id="w", event_type="workflow:w:started", data={"order": HOSTILE}),
        new_event(trace_id="evil", span_id="s", parent_span_id="w", event_type=f"{HOSTILE}:started",
                  data={"compensation": HOSTILE}),
        new_event(trace_id="evil", span_id="s", parent_span_id="w", event_type=f"{HOSTILE}:completed"),
        new_event(trace_id="evil", span_id="w", event_type="workflow:w:failed", data={"error": HOSTILE}),
    ]  # fmt: skip
    assert cli("import", "-", stdin=b"\n".join(map(encode_event, events)))[0] == 0
    for form in ([], ["--json"], ["--csv"]):
        status, out, _ = cli("standing", "--keys", "order", *form, "trace:evil")
        assert status == 5
        assert "\x1b" not in out
        assert "\x07" not in out
    assert "\x1b" not in cli("list")[1] + cli("groups")[1] + cli("list", "--json")[1]
    (row,) = list(csv.DictReader(io.StringIO(cli("standing", "--csv", "--keys", "order", "trace:evil")[1])))
    assert all(not value.startswith(("=", "+", "-", "@")) for value in row.values())
    assert cli("standing", "--csv", "--json")[0] == 2


SHOWN: dict[str, dict[str, object]] = {
    "wf": {"parent_span_id": None, "kind": "workflow", "status": "failed", "attempts": 1},
    "cre": {"parent_span_id": "wf", "name": "stage:credit", "kind": "stage", "status": "success"},
    "crj": {"attempts": 2, "status": "success", "error": None},
    "fuj": {"name": "transfer_funds", "status": "failed", "error_type": "InsufficientFunds"},
}


def test_a_trace_as_one_object_has_the_answers_and_every_span(cli: Cli) -> None:
    status, out, err = cli("show", "bad-1", "--json")
    assert (status, err) == (0, "")
    shown = json.loads(out)
    spans = {one["span_id"]: one for one in shown.pop("spans")}
    assert shown == json.loads(cli("why", "bad-1", "--json")[1])
    assert len(spans) == shown["span_count"]
    for one in spans.values():
        assert list(one) == [
            "span_id", "parent_span_id", "name", "kind", "status", "enqueued_at", "started_at", "ended_at", "attempts",
            "error", "error_type",
        ]  # fmt: skip
        assert one["parent_span_id"] is None or list(spans).index(one["parent_span_id"]) < list(spans).index(
            one["span_id"]
        )
    for span_id, expected in SHOWN.items():
        assert {key: spans[span_id][key] for key in expected} == expected
    assert spans["wf"]["started_at"] == shown["started_at"]
    assert spans["wf"]["ended_at"] == shown["ended_at"]


def test_a_trace_as_one_object_is_ascii_and_a_missing_parent_is_not_a_span(cli: Cli) -> None:
    hostile = new_event(trace_id="odd", span_id="a", parent_span_id="gone", event_type=f"stage:{HOSTILE}\u202e:failed")
    cli("import", "-", stdin=encode_event(hostile))
    status, out, _ = cli("show", "odd", "--json")
    assert status == 0
    assert out.isascii()
    assert "\x1b" not in out
    assert [(one["span_id"], one["parent_span_id"]) for one in json.loads(out)["spans"]] == [("a", "gone")]


def test_failures_are_grouped_by_a_key_of_the_query(cli: Cli) -> None:
    by_option, by_query = cli("groups", "--by", "loan_id", "--json"), cli("groups", "by:loan_id", "--json")
    assert by_option == by_query
    assert [(one["group"], one["count"]) for one in objects(by_query[1])] == [("L7", 2)]
    for command in ("list", "standing", "tail"):
        status, _, err = cli(command, "by:loan_id", "status:failed")
        assert (status, "Use `sagatrace groups`" in err) == (2, True)


def test_a_misspelled_key_of_groups_is_named(cli: Cli) -> None:
    status, out, err = cli("groups", "--by", "lone_id")
    assert (status, "(no value)" in out) == (0, True)
    assert err == "sagatrace: no failed trace has a value for 'lone_id' in its data\n"


def test_only_new_kinds_of_failure_are_listed_when_a_query_asks_for_them(cli: Cli) -> None:
    """The command once accepted `new`, but listed every trace."""
    odd = new_event(trace_id="odd", span_id="w", event_type="workflow:w:failed", data={"error": "never seen before"})
    assert cli("import", "-", stdin=encode_event(odd))[0] == 0
    assert ids(cli, "new", "since:1h") == ["odd"]
    assert cli("standing", "new", "since:1h")[:2] == (0, "nothing stands in 1 trace\n")
    assert [one["new"] for one in objects(cli("groups", "new", "since:1h", "--json")[1])] == [True]


@pytest.mark.parametrize("query", [["until:2d"], ["since:1h", "until:2h"], ["since:2999-01-01"]])
def test_an_empty_time_range_is_wrong_usage_and_not_an_all_clear(cli: Cli, query: list[str]) -> None:
    for command in ("standing", "groups", *(["list"] if "since:" in query[0] else [])):  # `list` has no window
        status, out, err = cli(command, *query)
        assert (status, out, "no time is between" in err) == (2, "", True)


def test_an_unreadable_document_is_not_an_all_clear(cli: Cli) -> None:
    path = Path(cli.env["SAGATRACE_STORE"].removeprefix("sqlite:///"))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE event SET document = '{}' WHERE id LIKE 'good-val-stage%completed%'")
    status, out, err = cli("standing", "trace:good")
    assert (status, out) == (1, "nothing stands in 1 trace\n")
    assert err == "sagatrace: 1 document of these traces cannot be read: more steps may stand than are listed\n"
    assert cli("standing", "since:1h")[0] == 5


def run_into(cli: Cli, file: int, *arguments: str) -> tuple[int, bytes]:
    """Return the status and the standard error of a command that prints into a file, which is then closed."""
    program = [sys.executable, "-c", "import sagatrace_tui.cli as c; c.main()"]
    done = subprocess.run([*program, *arguments], stdout=file, stderr=subprocess.PIPE, env=cli.env, timeout=300)
    os.close(file)
    return done.returncode, done.stderr


@pytest.mark.parametrize(("command", "status"), [(["standing"], 5), (["why", "bad-1"], 5), (["why", "good"], 0)])
def test_the_status_is_the_answer_even_when_the_reader_of_the_text_has_gone(
    cli: Cli, command: list[str], status: int
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    assert run_into(cli, writing, *command) == (status, b"")


def test_a_full_disk_is_one_line_and_not_an_all_clear(cli: Cli) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    assert run_into(cli, full, "standing", "trace:good") == (1, b"sagatrace: [Errno 28] No space left on device\n")


def test_words_that_cannot_be_encoded_are_searched_as_they_are_stored(cli: Cli) -> None:
    """A word that cannot be encoded once reached the store and caused a traceback."""
    for command in ("list", "groups", "standing"):
        status, _, err = cli(command, "tag:\udcff", "\udc80")
        assert (status, err.count("\n"), "that match" in err) == (0, 1, True)


def test_a_store_that_fails_midway_is_not_an_all_clear(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(MemoryStore):
        label = "memory"

        def fetch_trace(self, trace_id: str, arrived: Arrived | None = None) -> FetchedTrace:
            if trace_id == "bad":
                raise StoreError("the store has gone")
            return super().fetch_trace(trace_id, arrived)

    store = Failing()
    store.append([*recent(succeeded("good"), 60), *recent(failed("bad"), 600)])
    monkeypatch.setattr(outcome, "open_store", lambda *_, **__: store)
    monkeypatch.setenv("XDG_STATE_HOME", cli.env["XDG_STATE_HOME"])
    for form in ([], ["--json"], ["--csv"]):
        done = CliRunner().invoke(main, ["standing", *form])
        assert (done.exit_code, done.stdout, done.stderr) == (1, "", "sagatrace: the store has gone\n")
    done = CliRunner().invoke(main, ["list", "--json"])
    assert (done.exit_code, [one["trace_id"] for one in objects(done.stdout)]) == (1, ["good"])


def test_the_oldest_of_ten_thousand_traces_is_read_too(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command once read only the newest 10 000 traces, and exited with 0 if none of their steps stood."""
    store = MemoryStore()
    store.append(recent(failed("bad"), 3_000))
    newer = recent([event(f"t{n:05}", "s", "ai:decision", n / 10) for n in range(10_001)], 2_000)
    store.append(newer)
    monkeypatch.setattr(outcome, "open_store", lambda *_, **__: store)
    monkeypatch.setenv("XDG_STATE_HOME", cli.env["XDG_STATE_HOME"])
    done = CliRunner().invoke(main, ["standing", "--json"])
    assert (done.exit_code, [one["trace_id"] for one in objects(done.stdout)]) == (5, ["bad"])
    assert [one["trace_ids"] for one in objects(CliRunner().invoke(main, ["groups", "--json"]).stdout)] == [["bad"]]


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "＝", "＋", "－", "＠", "\t=", "\r="])
def test_no_cell_is_a_formula(cli: Cli, sign: str) -> None:
    events = [
        new_event(trace_id=f"{sign}id", span_id="w", event_type="workflow:w:started", data={sign: f"{sign}1+1"}),
        new_event(trace_id=f"{sign}id", span_id=f"{sign}s", parent_span_id="w", event_type=f"{sign}step:completed",
                  data={"compensation": f"{sign}undo"}),
        new_event(trace_id=f"{sign}id", span_id="w", event_type="workflow:w:failed", data={"error": "e"}),
    ]  # fmt: skip
    assert cli("import", "-", stdin=b"\n".join(map(encode_event, events)))[0] == 0
    status, out, _ = cli("standing", "--csv", "--keys", sign.strip() or "=", "name:step")
    rows = list(csv.reader(io.StringIO(out)))
    assert (status, len(rows)) == (5, 2)
    for cell in (cell for row in rows for cell in row):
        assert not cell.startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r"))
