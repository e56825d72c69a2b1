"""`sagatrace` as users run it: real processes, real files, exit statuses, and one line per fault."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sagas import failed, trace_of
from sagatrace.event import new_event
from sagatrace.stores import TellsChanges, open_store
from sagatrace_tui.commands.show import tree_lines

SEED = Path(__file__).parents[1] / "examples" / "seed_trace.jsonl"


class Cli:
    """Run a command of this package with its own store and home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.env = {**os.environ, "HOME": str(home), "SAGATRACE_STORE": f"sqlite:///{home}/traces.db", "NO_COLOR": "1"}

    def __call__(self, *arguments: str, stdin: bytes = b"", command: str = "sagatrace") -> tuple[int, str, str]:
        program = [
            sys.executable,
            "-c",
            f"import sagatrace_tui.cli as c; c.{'tui_main' if '-' in command else 'main'}()",
        ]
        done = subprocess.run([*program, *arguments], input=stdin, capture_output=True, env=self.env, timeout=300)
        out, err = done.stdout.decode(), done.stderr.decode()
        assert "Traceback" not in out + err
        return done.returncode, out, err


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def test_the_example_file_imports_and_shows_its_tree(cli: Cli) -> None:
    status, out, err = cli("import", str(SEED))
    assert (status, out.split(" into ")[0], err) == (0, "7 new events of trace T1", "")
    status, out, _ = cli("show", "T1")
    assert status == 0
    assert out.splitlines()[1].startswith("failed at stage:funding (Insufficient funds) · rollback incomplete")
    assert out.split("\n\n")[1].splitlines()[:5] == [
        "? workflow never ended  [S1]",
        "├─ ✔ stage:validate success 1.10s  ⚠ still standing  [S2]",
        "│  └─ ✔ validate-job success 900ms  [S3]",
        "├─ ✘ stage:funding failed · Insufficient funds  ◆ CAUSE  [S6]",
        "└─ ? saga never ended  [S7]",
    ]
    status, out, _ = cli("list")
    assert status == 0
    assert out.splitlines()[1].split()[:5] == ["⚠", "rollback", "incomplete", "loan-approval", "T1"]


def test_importing_again_changes_nothing(cli: Cli) -> None:
    cli("import", str(SEED))
    status, out, _ = cli("import", str(SEED), str(SEED))
    assert (status, out.split(" into ")[0]) == (0, "0 new events of trace T1")
    assert out.strip().endswith("14 already there")


def test_an_export_can_be_imported(cli: Cli, tmp_path: Path) -> None:
    cli("import", str(SEED))
    status, exported, _ = cli("export", "T1")
    assert status == 0
    seed = [json.loads(line) for line in SEED.read_text().splitlines()]
    without_ids = [{k: v for k, v in json.loads(line).items() if k != "id"} for line in exported.splitlines()]
    assert without_ids == seed
    status, out, _ = cli("import", "-", "--store", f"sqlite:///{tmp_path}/other.db", stdin=exported.encode())
    assert (status, out.split(" of ")[0]) == (0, "7 new events")
    assert cli("export", "T1", "--store", f"sqlite:///{tmp_path}/other.db")[1] == exported


def test_a_malformed_line_is_named_and_the_others_are_imported(cli: Cli, tmp_path: Path) -> None:
    lines = SEED.read_bytes().splitlines()
    lines[1:1] = [b'{"trace_id": "T1"', b"", b"\xff\xfe", b'{"trace_id":"T1","span_id":"S","event_type":"x","nope":1}']
    file = tmp_path / "mixed.jsonl"
    file.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join(lines))
    status, out, err = cli("import", str(file), str(tmp_path / "missing.jsonl"), str(tmp_path))
    assert status == 1
    assert out.startswith("7 new events of trace T1")
    assert [line.split(": ")[1] for line in err.splitlines()] == [
        f"{file}:2",
        f"{file}:4",
        f"{file}:5",
        f"{tmp_path}/missing.jsonl",
        f"{tmp_path}",
    ]
    assert "not JSON" in err
    assert "unknown field 'nope'" in err
    assert "No such file" in err


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["show", "T9"], 7, "no trace 'T9'"),
        (["export", "T9"], 7, "no trace 'T9'"),
        (["list", "--store", "postgres://u:s3cret@h/db"], 2, "unknown store URL 'postgres:…'"),
        (["list", "--store", "sqlite:////nowhere/at/all.db"], 1, "no store at /nowhere/at/all.db yet"),
        (["import", "--store", "sqlite:////dev/null/x.db", str(SEED)], 1, "/dev/null/x.db"),
        (["list", "--store", "sqlite:////etc"], 1, "/etc"),
        (["list", "--limit", "0"], 2, "--limit"),
        (["import"], 2, "FILE"),
        (["shoe"], 2, "No such command"),
        (["show", "T\x1b[31m\u202e9"], 7, "no trace 'T␛[31m⟨U+202E⟩9'"),
    ],
)
def test_each_fault_is_one_clear_line_and_its_exit_status(
    cli: Cli, arguments: list[str], status: int, said: str
) -> None:
    cli("import", str(SEED))
    got, out, err = cli(*arguments)
    assert (got, out) == (status, "")
    assert said in err
    assert len(err.strip().splitlines()) == 1 or (status == 2 and "Usage:" in err)
    assert "s3cret" not in err


def test_a_part_of_an_id_and_a_job_s_id_find_the_trace(cli: Cli, tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/meant.db")
    jobs = [(f"order-4711-2026-0{number}", "order-4711") for number in range(5)]
    for trace_id, job in [*jobs, ("nightly", "charge-7")]:
        store.append([new_event(trace_id=trace_id, span_id=job, event_type="job:started", data={"job_id": job})])
    store.close()
    cli.env["SAGATRACE_STORE"] = f"sqlite:///{tmp_path}/meant.db"
    newest = "did you mean order-4711-2026-04, order-4711-2026-03, order-4711-2026-02, …?"
    for command in ("show", "why"):
        for asked, hint in (
            ("order", newest),
            ("order-4711", newest),
            ("charge-7", "did you mean nightly?"),
            ("2026-03", "did you mean order-4711-2026-03?"),
            ("NIGHT", "did you mean nightly?"),
            ("4711-2026", newest),
            (
                "T9",
                "`sagatrace list` shows the newest traces, `sagatrace list KEY=VALUE` those with a value in their data",
            ),
        ):
            status, _, err = cli(command, asked)
            assert (status, err.rpartition(": ")[2].strip()) == (7, hint)


def test_an_unreadable_setting_is_one_line(cli: Cli) -> None:
    cli.env["SAGATRACE_MAX_WAIT"] = "soon"
    status, out, err = cli("list")
    assert (status, out) == (2, "")
    assert err.startswith("sagatrace: SAGATRACE_MAX_WAIT='soon' is not a number of seconds")
    assert len(err.splitlines()) == 1


def test_doctor_leaves_no_trace_in_a_file_and_readers_of_changes_miss_no_event(cli: Cli, tmp_path: Path) -> None:
    cli("import", str(SEED))
    store = open_store(f"sqlite:///{tmp_path}/traces.db")
    assert isinstance(store, TellsChanges)
    cursor = store.fetch_all_since(None, 10).cursor
    for _ in range(2):
        status, out, _ = cli("doctor")
        assert status == 0
        assert re.search(
            r"^ok +writing +a probe event was written, read back and removed in \d+ ms$", out, re.MULTILINE
        )
    assert [line.split()[4] for line in cli("list")[1].splitlines()[1:]] == ["T1"]
    later = new_event(trace_id="T2", span_id="S", event_type="job:started")
    store.append([later])
    assert [event.id for event in store.fetch_all_since(cursor, 10).events] == [later.id]
    store.close()


HOSTILE = "\x1b]52;c;ZXZpbA==\x07\x9b31m\u202egnp.exe\u200b\n\r\t\x00[red]x[/red]"


def test_text_of_jobs_reaches_the_terminal_as_inert_text(cli: Cli) -> None:
    trace_id = f"H{HOSTILE}".replace("\x00", "")  # a NUL cannot be an argument
    document = {
        "trace_id": trace_id,
        "span_id": f"S{HOSTILE}",
        "parent_span_id": f"P{HOSTILE}",
        "event_type": "job:failed",
        "timestamp": "2025-01-01T00:00:00Z",
        "data": {"job_name": HOSTILE, "error": HOSTILE, "error_type": HOSTILE},
    }
    assert cli("import", "-", stdin=json.dumps(document).encode())[0] == 0
    for command in (["list"], ["show", trace_id]):
        status, out, err = cli(*command)
        assert status == 0
        assert "gnp.exe" in out
        assert not set(out + err) & set("\x1b\x9b\x07\r\t\x00\u202e\u200b"), command


def test_a_long_name_is_cut_and_marked(cli: Cli) -> None:
    document = {
        "trace_id": "T",
        "span_id": "S",
        "event_type": "job:failed",
        "timestamp": "2025-01-01T00:00:00Z",
        "data": {"job_name": "n" * 100_000, "error": "e" * 100_000},
    }
    assert cli("import", "-", stdin=json.dumps(document).encode())[0] == 0
    for command in ("show", "why", "list"):
        _, out, _ = cli(*([command] if command == "list" else [command, "T"]))
        assert max(map(len, out.splitlines())) < 1000, command
        assert "nn…" in out


def test_export_escapes_terminal_control_characters(cli: Cli) -> None:
    data = {"x": HOSTILE + "ü😀"}
    document = {"trace_id": "H", "span_id": "S", "event_type": "x", "timestamp": "2025-01-01T00:00:00Z", "data": data}
    cli("import", "-", stdin=json.dumps(document).encode())
    _, out, _ = cli("export", "H")
    assert json.loads(out)["data"] == data
    assert not set(out) & set("\x1b\x9b\x07\u202e\u200b")


def test_a_reader_that_stops_early_is_not_an_error(cli: Cli) -> None:
    many = b"\n".join(
        b'{"trace_id":"B","span_id":"S%d","event_type":"x","timestamp":"2025-01-01T00:00:00Z"}' % n
        for n in range(20_000)
    )
    cli("import", "-", stdin=many)
    program = f"{sys.executable} -c 'import sagatrace_tui.cli as c; c.main()' export B"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {program} | head -n 1"], capture_output=True, env=cli.env)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b'{"id":')


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        ("main show T1 >/dev/full", 1, "No space left on device"),
        ("main export T1 >/dev/full", 1, "No space left on device"),
        ("main import - <&-", 1, "-: cannot read it"),
        ("tui_main <&-", 1, "not a terminal"),
        ("tui_main >&-", 1, "not a terminal"),
    ],
)
def test_closed_and_full_streams_are_one_line_too(cli: Cli, command: str, status: int, said: str) -> None:
    cli("import", str(SEED))
    entry, _, rest = command.partition(" ")
    program = f"{sys.executable} -c 'import sagatrace_tui.cli as cli; cli.{entry}()' {rest}"
    done = subprocess.run(["bash", "-c", program], capture_output=True, env=cli.env, text=True)
    assert done.returncode == status
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_the_app_without_a_terminal_names_the_commands(cli: Cli) -> None:
    status, out, err = cli(command="sagatrace-tui")
    assert (status, out) == (1, "")
    assert "not a terminal" in err
    assert "sagatrace list" in err
    assert cli("--demo", "T1", command="sagatrace-tui")[0] == 2


def test_the_app_on_a_dumb_terminal_names_the_commands(cli: Cli) -> None:
    master, slave = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "sagatrace_tui"], stdin=slave, stdout=slave, stderr=subprocess.PIPE,
        env={**cli.env, "TERM": "dumb"}, timeout=300,
    )  # fmt: skip
    os.close(master)
    os.close(slave)
    assert done.returncode == 1
    assert b"TERM='dumb'" in done.stderr


def test_the_tree_marks_a_failed_undo() -> None:
    (undo,) = [line for line in tree_lines(trace_of(failed("T7"))) if "[und]" in line]
    assert undo.endswith("  ✘ undo failed  [und]")


def test_help_names_every_command_and_exit_status(cli: Cli) -> None:
    _, out, _ = cli("--help")
    for word in ("list", "show", "import", "export", "Exit status"):
        assert word in out
