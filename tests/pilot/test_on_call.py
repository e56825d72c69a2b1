"""Needs of an on-call engineer in any pane and any size of terminal: hints, errors, marks, the verdict."""

from __future__ import annotations

import re

import pytest

from sagas import NOW, UnreliableStore, event, failed, screen_text, still, succeeded, trace_of, until
from sagatrace.event import TraceEvent
from sagatrace_tui.app import SagatraceApp
from sagatrace_tui.widgets.detail_lines import detail_lines
from sagatrace_tui.widgets.ledger import Ledger
from sagatrace_tui.widgets.span_detail import SpanDetail
from sagatrace_tui.widgets.span_tree import SpanTree

STACK = """Traceback (most recent call last):
  File "/usr/lib/python3.12/site-packages/rq/job.py", line 1539, in _execute
    result = self.func(*self.args, **self.kwargs)
             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/loans/sagas/loan_saga.py", line 199, in notify_the_customer
    raise CustomerWithdrew(reason)
CustomerWithdrew: the customer withdrew
"""


def dotted() -> list[TraceEvent]:
    """A failed saga whose jobs have the long names that RQ gives them."""
    job = {"job_name": "acme.loans.sagas.loan_saga.notify_the_customer"}
    error = {"error": "the customer withdrew the application", "error_type": "CustomerWithdrew", "stack": STACK}
    return [
        event("T7", "wf", "workflow:loan-approval:started", 0.0),
        event("T7", "dis", "stage:disbursement:started", 0.1, "wf", data={"compensation": "reverse_transfer"}),
        event("T7", "dis", "stage:disbursement:completed", 0.2, "wf"),
        event("T7", "not", "job:started", 0.3, "wf", data=job),
        event("T7", "not", "job:failed", 0.4, "wf", data={**job, **error}),
        event("T7", "und", "reverse_transfer:compensating", 0.5, "wf", data={"original_span_id": "dis"}),
        event("T7", "und", "reverse_transfer:compensation_failed", 0.6, "wf", data={"error": "account closed"}),
        event("T7", "wf", "workflow:loan-approval:failed", 0.7, data={"error": "aborted"}),
    ]


def opened(events: list[TraceEvent]) -> SagatraceApp:
    return SagatraceApp(UnreliableStore(events), trace_id="T7", clock=still)


def hints(app: SagatraceApp) -> str:
    """Return the last line, with single spaces between hints."""
    return re.sub(" {2,}", "   ", screen_text(app).splitlines()[-1].strip())


async def test_the_hints_are_those_of_the_current_pane() -> None:
    app = opened(failed("T7"))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        assert hints(app).startswith("Enter Detail   e Error   w Why")
        for key, shown in (
            ("tab", "Enter Open   Space Fold   w Why"),
            ("c", "Enter Go to span   w Why"),
            ("1", "Enter"),
        ):
            await pilot.press(key)
            await until(pilot, lambda shown=shown: hints(app).startswith(shown), shown)
            assert hints(app).endswith("? Help   q Back")
        await pilot.press("slash")
        await until(pilot, lambda: hints(app) == "Enter Back to tree   Esc Cancel", "the hints of the line")
        await pilot.press("escape")
        await until(pilot, lambda: hints(app).startswith("Enter Detail"), "those of the tree again")


async def test_the_hint_to_pause_and_resume_is_shown_on_80_columns() -> None:
    app = opened(failed("T7"))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        for shown in ("f Pause", "f Resume", "f Pause"):
            await until(pilot, lambda shown=shown: shown in hints(app), shown)
            assert hints(app).endswith("? Help   q Back")
            await pilot.press("f")


async def test_120_columns_hint_at_every_key_of_an_incident() -> None:
    app = opened(failed("T7"))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        for shown in ("w Why", "c Compensation", "d Compare", "Y Copy summary", "q Back"):
            assert shown in hints(app)


async def test_80_columns_show_the_end_of_the_subtitle_in_whole_words() -> None:
    app = SagatraceApp(UnreliableStore(failed("T7")), clock=still, is_demo=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "rollback incomplete" in screen_text(app), "the list")
        assert screen_text(app).splitlines()[0].rstrip().endswith("  list --store demo")


async def test_the_hints_of_the_query_line_are_its_own() -> None:
    app = SagatraceApp(UnreliableStore(failed("T7")), clock=still)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "rollback incomplete" in screen_text(app), "the list")
        await pilot.press("slash")
        await until(
            pilot, lambda: hints(app) == "Tab Complete   ↑ Earlier query   Enter Search   Esc Back", "its hints"
        )
        await pilot.press("escape")
        await until(pilot, lambda: hints(app).startswith("Enter Open"), "those of the list")


async def test_errors_are_walked_from_the_detail_without_leaving_it() -> None:
    app = opened(failed("T7"))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        await pilot.press("tab", "e")
        await until(pilot, lambda: "error 2 of 2" in screen_text(app), "the next one")
        detail, tree = app.screen.query_one(SpanDetail), app.screen.query_one(SpanTree)
        assert (tree.highlighted, detail.has_focus) == ("und", True)
        assert detail.subject is not None
        assert detail.subject[2] == "und"
        await pilot.press("E")
        await until(pilot, lambda: "error 1 of 2" in screen_text(app), "the one before")
        assert detail.has_focus


async def test_e_goes_to_an_error_from_the_compensation_view() -> None:
    app = opened(failed("T7"))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        await pilot.press("c")
        await until(pilot, lambda: "STILL STANDING" in screen_text(app), "the ledger")
        await pilot.press("e")
        await until(pilot, lambda: "error 2 of 2" in screen_text(app), "the error in the tree")
        assert app.screen.query_one(SpanTree).has_focus


async def test_the_ledger_goes_from_step_to_step() -> None:
    app = opened(dotted())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        await pilot.press("c", "j")
        ledger = app.screen.query_one(Ledger)
        assert ledger.highlighted == "und"
        await pilot.press("k")
        assert ledger.highlighted == "dis"


async def test_80_columns_hold_the_whole_verdict_and_when_it_was() -> None:
    app = opened(dotted())
    async with app.run_test(size=(80, 24)) as pilot:
        verdict = (
            "failed at notify_the_customer (CustomerWithdrew: the customer withdrew the application)"
            " · rollback incomplete: 1 of 1 step still standing (stage:disbursement)"
        )

        def head() -> str:
            return " ".join(" ".join(screen_text(app).splitlines()[:6]).split())

        await until(pilot, lambda: verdict in head(), "the verdict")
        await until(pilot, lambda: "at 10:00:00Z" in head(), "when it was")


async def test_the_header_names_the_function_of_a_job_without_its_package() -> None:
    job = {"job_name": "acme.loans.sagas.origination.workflows.loan_saga.approve_loan"}
    app = opened([event("T7", "wf", "job:started", 0, data=job), event("T7", "wf", "job:failed", 1, data=job)])
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        assert screen_text(app).splitlines()[0].split()[2] == "approve_loan"


async def test_the_error_is_in_sight_on_a_small_terminal() -> None:
    app = opened(dotted())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "Error  CustomerWithdrew" in screen_text(app), "the error")
        shown = screen_text(app)
        assert "\n the customer withdrew the application" in shown
        assert shown.index("role ") < shown.index("Error  CustomerWithdrew")


async def test_the_age_of_an_ended_trace_is_updated() -> None:
    now = [NOW]
    app = SagatraceApp(UnreliableStore(failed("T7")), trace_id="T7", clock=lambda: now[0])
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "started 1m ago" in screen_text(app), "when it was")
        now[0] += 120_000_000
        await until(pilot, lambda: "started 3m ago" in screen_text(app), "when it was as of now")


@pytest.mark.parametrize(
    ("width", "reason"),
    [
        (34, "error 1 of 2 (+2 consequences)"),
        (54, "error 1 of 2 (+2 consequences) · took 4.50s"),
        (80, "error 1 of 2 (+2 consequences) · took 4.50s · started 1m ago at 10:00:00Z"),
    ],
)
async def test_a_fact_of_the_header_is_shown_whole_or_not_at_all(width: int, reason: str) -> None:
    app = opened(failed("T7"))
    async with app.run_test(size=(width, 24)) as pilot:
        await until(pilot, lambda: "error 1 of 2" in screen_text(app), "the facts")
        assert reason in (line.strip() for line in screen_text(app).splitlines())


@pytest.mark.parametrize(("width", "stands"), [(120, "⚠ still standing"), (80, "⚠ still standing"), (40, "⚠")])
async def test_prominent_text_is_never_cut_off(width: int, stands: str) -> None:
    app = opened(dotted())
    async with app.run_test(size=(width, 12 if width == 40 else 24)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the cause")
        await pilot.press("g")
        await pilot.pause()
        (step,) = (line for line in screen_text(app).splitlines() if "✔ stage:" in line)
        assert f" {stands} " in step


def test_a_traceback_is_read_without_scrolling_sideways() -> None:
    lines = ["".join(text for text, _ in line.parts) for line in detail_lines(trace_of(dotted()), "not", 44)]
    start = lines.index("Traceback (most recent call last):")
    shown = lines[start + 1 : lines.index("", start)]
    assert shown == [
        "  … 1 frame of RQ",
        '  File "…/loan_saga.py", line 199, in',
        "    notify_the_customer",
        "    raise CustomerWithdrew(reason)",
        "CustomerWithdrew: the customer withdrew",
    ]


def test_a_traceback_of_rq_alone_is_shown() -> None:
    stack = STACK.replace("/srv/loans/sagas/loan_saga.py", "/usr/lib/python3.12/site-packages/rq/worker/base.py")
    events = [event("T7", "not", "job:failed", 0.4, data={"error": "x", "stack": stack})]
    text = "\n".join("".join(text for text, _ in line.parts) for line in detail_lines(trace_of(events), "not", 90))
    assert "rq/job.py" in text
    assert "rq/worker/base.py" in text


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("e", "Nothing failed in this trace"),
        ("w", "Nothing failed in this trace"),
        ("n", "No match: press / to find text"),
        ("asterisk", "No match: press / to find text"),
    ],
)
async def test_a_key_without_an_effect_shows_the_reason(key: str, reason: str) -> None:
    app = opened(succeeded("T7"))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "validate_application" in screen_text(app), "the tree")
        await pilot.press(key)
        await until(pilot, lambda: f"» {reason}" in screen_text(app), reason)


async def test_idle_gaps_are_collapsed_and_the_screen_says_so() -> None:
    steps = [
        event("T7", f"s{at}", f"stage:s{at}:{what}", at + took, "wf")
        for at in (0, 3600)
        for what, took in (("started", 0), ("completed", 9))
    ]
    ends = [event("T7", "wf", "workflow:x:started", 0), event("T7", "wf", "workflow:x:failed", 3610)]
    app = opened([*ends, *steps])
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "stage:s3600" in screen_text(app), "the tree")
        await pilot.press("i")
        await until(pilot, lambda: "» 1 idle gap collapsed, at ≈" in screen_text(app), "the collapsed gap")
        await until(pilot, lambda: "≈" in screen_text(app).splitlines()[3], "the gap on the axis")
        await pilot.press("i")
        await until(pilot, lambda: "Idle gaps are expanded" in screen_text(app), "the expanded gap")


def test_the_length_of_a_long_value_is_shown_within_the_pane() -> None:
    events = [*dotted(), event("T7", "not", "job:progress", 0.35, data={"note": "x" * 900, "few": "y" * 20})]
    lines = ["".join(text for text, _ in line.parts) for line in detail_lines(trace_of(events), "not", 44)]
    (note,) = (line for line in lines if "note:" in line)
    assert note.endswith("… [900 characters]")
    assert len(note) <= 44
    assert f"  few: {'y' * 20}" in lines


def test_times_hours_into_a_trace_are_distinguishable() -> None:
    events = [
        event("T7", "wf", "workflow:x:started", 0),
        *(event("T7", "j", f"job:{what}", 7200 + n, "wf") for n, what in enumerate(("started", "retrying", "started"))),
    ]
    lines = ["".join(text for text, _ in line.parts) for line in detail_lines(trace_of(events), "j", 60)]
    assert [line.split()[0] for line in lines if line.endswith(("job:started", "job:retrying"))] == [
        "+2:00:00.0",
        "+2:00:01.0",
        "+2:00:02.0",
    ]


async def test_escape_undoes_a_search_and_never_quits() -> None:
    app = SagatraceApp(UnreliableStore([*failed("T7"), *succeeded("T8")]), clock=still)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "2 traces" in screen_text(app), "the list")
        await pilot.press("slash", *"status:failed", "enter")
        await until(pilot, lambda: "1 trace " in screen_text(app), "the match")
        await pilot.press("escape")
        await until(pilot, lambda: "2 traces" in screen_text(app), "all again")
        assert "status:failed since:2h" in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: "» All traces are shown. / searches, q quits" in screen_text(app), "what to press")
        assert app.is_running


async def test_jobs_that_depend_on_a_failed_one_are_blocked_and_not_shown_as_running() -> None:
    deferred = {"job_name": "send_letter", "depends_on": ["pay"]}
    app = SagatraceApp(
        UnreliableStore(
            [
                event("T7", "pay", "job:started", 70.0, data={"job_name": "charge_card"}),
                event("T7", "mail", "job:deferred", 70.1, data=deferred),
                event("T7", "pay", "job:failed", 71.0, data={"error": "declined"}),
            ]
        ),
        trace_id="T7",
        clock=still,
    )
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "◌ send_letter  blocked" in screen_text(app), "the job that waits")
        head = " ".join(" ".join(screen_text(app).splitlines()[:4]).split())
        assert "failed at charge_card (declined) · nothing to undo" in head
        await pilot.press("G")
        await until(pilot, lambda: "blocked    by charge_card, which failed" in screen_text(app), "by what")
