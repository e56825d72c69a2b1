"""The incident summary of strange text: no line is forged, no value is markup, and what is cut says so."""

from __future__ import annotations

import re
import shutil
import subprocess

import msgspec
import pytest
from notation import LATER, event

from sagatrace_tui.incident.summary import MARKDOWN, SLACK, incident_summary
from sagatrace_tui.labels import inert
from sagatrace_tui.model import build_trace


def test_a_job_cannot_forge_a_line_of_the_summary() -> None:
    data = {"error": "\n\n**succeeded**\x1b[2J", "job_name": "`a`\n# b"}
    forged = event(1, "J`\n**succeeded**", "job:failed", data=data)
    text = incident_summary(build_trace("T", [forged], now=LATER), inert)
    assert not [line for line in text.splitlines() if line.startswith(("**succeeded", "#"))]
    assert "\x1b" not in text


def test_an_error_written_as_markdown_is_code() -> None:
    for error in ("**rolled_back** all fine", "[click](http://evil)", "<!-- @channel", "~~no~~", "_undone_", "a`b` c"):
        failed = [event(0, "A", "stage:a:started"), event(1, "A", "stage:a:failed", data={"error": error})]
        text = incident_summary(build_trace("T", failed, now=LATER), inert)
        quoted = error.replace("`", "ˋ")
        assert f"- error: `{quoted}`\n" in text
        assert f"\n`failed at stage:a ({quoted}) · nothing to undo`\n" in text
        assert text.count(quoted) == 2
    plain = [event(0, "A", "stage:a:started"), event(1, "A", "stage:a:failed", data={"error": "read_only: a-b"})]
    assert "- error: read_only: a-b\n" in incident_summary(build_trace("T", plain, now=LATER), inert)


def test_only_text_that_a_chat_shows_as_a_picture_is_code() -> None:
    for error, shown in ((":fire:", "`:fire:`"), ("db:5432:gone", "db:5432:gone"), ("a:b:c", "a:b:c")):
        failed = [event(0, "A", "stage:a:started"), event(1, "A", "stage:a:failed", data={"error": error})]
        assert f"- error: {shown}\n" in incident_summary(build_trace("T", failed, now=LATER), inert)


def test_a_shortened_error_says_so() -> None:
    for error, shown in (
        ("2 faults:\n  amount\n  iban", "2 faults:…"),
        ("\n only one \n", "only one"),
        ("x" * 501, "x" * 499 + "…"),
        ("\n" * 6000 + "far below", "…"),
    ):
        failed = [event(0, "A", "stage:a:started"), event(1, "A", "stage:a:failed", data={"error": error})]
        trace = build_trace("T", failed, now=LATER)
        assert f"- error: {shown}\n" in incident_summary(trace, inert)
        assert ("…" in shown) == ("…" in trace.summary)


def test_names_of_any_length_leave_room_for_the_rest() -> None:
    long = "n" * 1_000_000
    events = [
        event(0, "loan", f"workflow:{long}:started"),
        event(1, "A", f"stage:{long}:started", "loan", data={"compensation": long}),
        event(2, "A", f"stage:{long}:completed", "loan"),
        event(3, "B", f"stage:{long}:started", f"gone{long}"),
        event(4, "B", f"stage:{long}:failed", f"gone{long}"),
        event(5, "U", f"{long}:compensating", "loan", data={"original_span_id": "A", "reason": long}),
        event(6, "loan", f"workflow:{long}:failed"),
    ]
    trace = build_trace("T", events, now=LATER)
    assert trace.summary.startswith("failed at stage:nnn")
    assert trace.summary.endswith("n…)")
    assert "· rollback incomplete: 1 of 1 step still standing (stage:nnn" in trace.summary
    assert max(map(len, incident_summary(trace, inert).splitlines())) < 1100


def test_a_trace_id_is_given_whole() -> None:
    trace_id = "a\n" + "b" * 253
    text = incident_summary(build_trace(trace_id, [], now=LATER), inert)
    assert text.startswith(f"**unknown** — `a␊{'b' * 253}`\n")


@pytest.mark.parametrize(
    "ids",
    [("T 1", "pay"), ("-T", "p"), ("it's", "$HOME;`id`"), ("a`b\x1b[2J\u202e", "c\\d'é\n"), ("T", "<!here>")],
    ids=repr,
)
@pytest.mark.parametrize("markup", [MARKDOWN, SLACK], ids=["markdown", "slack"])
def test_the_last_line_is_a_command_that_a_shell_takes_for_these_ids(ids: tuple[str, str], markup: object) -> None:
    trace_id, span_id = ids
    failed = msgspec.structs.replace(event(1, span_id, "stage:pay:failed"), trace_id=trace_id)
    text = incident_summary(build_trace(trace_id, [failed], now=LATER), inert, markup)  # type: ignore[arg-type]
    command = re.fullmatch(r"Open the trace: `([^`]*)`", text.splitlines()[-1])
    assert command is not None
    assert command[1] == inert(command[1])
    shown = command[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    bash = shutil.which("bash")
    assert bash is not None
    script = f"sagatrace-tui() {{ printf '%s\\0' \"$@\"; }}; {shown}"
    ran = subprocess.run([bash, "-c", script], capture_output=True, check=True, text=True)
    assert [one for one in ran.stdout.split("\0")[:-1] if one != "--"] == [trace_id, span_id]


@pytest.mark.parametrize(
    "wrote",
    [
        "*bold*", "_it_", "~no~", "<!here>", "<!channel|all>", "<@U012AB>", "<https://evil.example|bank>", "@here",
        "#ops", "https://evil.example", "evil.example", "www.evil", ":fire:", "a:fire:b", "ok :)", "a & b", "`code`",
        "> quoted", "me@evil.example", "mailto:me",
    ],
)  # fmt: skip
def test_no_value_of_a_job_is_markup_in_slack(wrote: str) -> None:
    data = {"error": wrote, "error_type": wrote, "job_name": wrote, "worker": wrote, "reason": wrote}
    events = [
        event(0, "R", "workflow:r:started"),
        event(0.5, "B", "stage:book:completed", "R", data={"compensation": wrote, wrote: wrote}),
        event(1, "A", "job:failed", "R", data=data),
        event(2, wrote, f"stage:{wrote}:failed", "R", data=data),
        event(3, "R", "workflow:r:failed", data=data),
    ]
    text = incident_summary(build_trace("T", events, now=LATER), inert, SLACK)
    own = re.sub("`[^`\n]*`", "", text)
    assert not set(own) & set("`<>&@#~_")
    assert not re.search(r"https?:|evil|fire|:\)|mailto|\*[^\n]*\*.", own.replace("*rollback missing* —", ""))
    assert not set(text) & set("<>")
    assert all(f"&{rest}".startswith(("&amp;", "&lt;", "&gt;")) for rest in text.split("&")[1:])
    headings = [line for line in text.splitlines() if line.startswith("*")]
    named = ["*rollback missing*", "*Still standing*", "*Why*", "*Other failures*", "*Compensation*"]
    assert [line.partition(" —")[0] for line in headings] == named
    assert all(line.startswith("• ") for line in text.partition("*Why*\n")[2].partition("\n\n")[0].splitlines())
