"""The detail of a span: all data of its events, bounded, and drawn again only after a change."""

from __future__ import annotations

from textual.app import ComposeResult

from sagas import event, failed, interrupted, orphaned, repeated, screen_text, trace_of
from sagatrace.event import TraceEvent
from sagatrace_tui.theme import ThemedApp
from sagatrace_tui.views.outline import Outline
from sagatrace_tui.widgets.detail_lines import MAX_EVENTS, detail_lines
from sagatrace_tui.widgets.span_detail import SpanDetail


class Harness(ThemedApp):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[object] = []

    def compose(self) -> ComposeResult:
        yield SpanDetail()

    def show(self, events: list[TraceEvent], span_id: str) -> SpanDetail:
        trace = trace_of(events)
        panel = self.query_one(SpanDetail)
        panel.subject = (trace, Outline(trace), span_id)
        panel.focus()
        return panel

    def on_span_detail_value_opened(self, message: SpanDetail.ValueOpened) -> None:
        self.said.append(message.value)

    def on_span_detail_span_chosen(self, message: SpanDetail.SpanChosen) -> None:
        self.said.append(message.span_id)


def text_of(span_id: str, events: list[TraceEvent], width: int = 100) -> str:
    lines = detail_lines(trace_of(events), span_id, width)
    return "\n".join("".join(text for text, _ in line.parts) for line in lines)


def test_a_failed_span_shows_fields_role_error_traceback_and_events() -> None:
    text = text_of("fuj", failed("t"))
    for expected in (
        "transfer_funds\nstatus     ✘ failed\nrole       the cause: it failed first, and nothing below it failed\n",
        "kind       job\nparent     stage:funding  fun\n",
        "took       300ms\nspan id    fuj\n",
        "started    +3.10s  10:00:03.100Z\nended      +3.40s  10:00:03.400Z\ntook       300ms\n",
        "Error  InsufficientFunds\nbalance 1200 < 25000\n",
        'most recent call last):\n  File "/app/loans/funding.py", line 88, in transfer_funds\n    ledger.debit(account',
        "Events  2\n+3.10s    job:started\n+3.40s    job:failed  failed",
    ):
        assert expected in text


def test_the_cause_is_not_said_to_be_the_first_failure_if_the_saga_caught_an_earlier_one() -> None:
    events = [
        event("t", "wf", "workflow:order:started", 0.0),
        event("t", "mail", "step:mail:started", 0.1, "wf"),
        event("t", "mail", "step:mail:failed", 0.2, "wf", data={"error": "no such address"}),
        event("t", "ship", "step:ship:started", 0.3, "wf"),
        event("t", "ship", "step:ship:failed", 0.4, "wf", data={"error": "no truck"}),
        event("t", "wf", "workflow:order:failed", 0.5, data={"error": "no truck"}),
    ]
    said = "role       the cause: a span above failed with its error, and nothing below it failed\n"
    assert said in text_of("ship", events)
    assert "role       an independent failure, apart from the cause\n" in text_of("mail", events)


def test_the_traceback_comes_before_the_fields_and_keeps_its_end() -> None:
    frames = "".join(f'  File "/app/steps.py", line {n}, in step_{n}\n    go({n})\n' for n in range(20))
    stack = f"Traceback (most recent call last):\n{frames}ValueError: no funds\n"
    lines = text_of("s", [event("t", "s", "job:failed", 0.0, data={"stack": stack, "error": "no funds"})]).split("\n")
    start, end = lines.index("Traceback  Enter shows it in full"), lines.index("kind       job")
    assert lines[start + 1] == "Traceback (most recent call last):"
    assert lines[start + 2] == "  … 26 more lines"
    assert lines[end - 2 :][:2] == ["ValueError: no funds", ""]
    assert end - start <= 20


def test_a_retried_span_shows_each_attempt_with_its_error_and_a_sign() -> None:
    text = text_of("crj", failed("t"))
    assert "waited     100ms\n" in text
    assert "Attempts  2\n  1 ✘ +300ms      900ms  bureau timed out\n  2 ✔ +2.20s      400ms  \n" in text


def test_an_attempt_that_failed_without_a_message_shows_its_type_and_no_sign_of_success() -> None:
    attempts = [
        event("t", "j", "job:started", 0.1, data={"attempt": 1}),
        event("t", "j", "job:retrying", 0.2, data={"attempt": 1, "error": "", "error_type": "TimeoutError"}),
        event("t", "j", "job:started", 0.3, data={"attempt": 2}),
        event("t", "j", "job:retrying", 0.4, data={"attempt": 2, "error": "no answer", "error_type": "BureauDown"}),
        event("t", "j", "job:started", 0.5, data={"attempt": 3}),
        event("t", "j", "job:retrying", 0.6, data={"attempt": 3}),
        event("t", "j", "job:started", 0.7, data={"attempt": 4}),
        event("t", "j", "job:completed", 0.8, data={"attempt": 4}),
    ]
    lines = text_of("j", attempts).partition("Attempts  4\n")[2].splitlines()[:4]
    assert [(line[:5], line[25:]) for line in lines] == [
        ("  1 ✘", "TimeoutError"), ("  2 ✘", "BureauDown: no answer"), ("  3 ✘", "failed"), ("  4 ✔", ""),
    ]  # fmt: skip
    narrow = text_of("j", attempts, 45).partition("Attempts  4\n")[2].splitlines()[:2]
    assert [line[25:] for line in narrow] == ["TimeoutError", "no answer"], "the message matters more than its type"


def test_data_is_shown_as_a_tree_without_the_keys_shown_elsewhere() -> None:
    text = text_of("wf", failed("t"))
    assert "Data\n  loan_id: L7\n▾ applicant: \n    name: Ada Lovelace\n▾   scores: \n      - 710\n" in text
    assert "\nerror:" not in text


def test_a_step_names_its_undo_an_undo_its_step_and_a_standing_step_is_prominent() -> None:
    assert "undoes     stage:credit  cre\n" in text_of("und", failed("t"))
    text = text_of("cre", failed("t"))
    assert "undo       release_credit\n" in text
    assert "undone     no, still standing: compensation failed after 1 attempt; its effect is unknown\n" in text


def test_a_missing_parent_is_explained() -> None:
    assert text_of("gone", orphaned("t")).startswith("missing parent\nspan       gone\n\nNamed as parent by 1 span")
    assert "⚠          orphan: " in text_of("kid", orphaned("t"))


def test_cut_text_shows_its_whole_length() -> None:
    nested: dict[str, object] = {"end": 1}
    for _ in range(60):
        nested = {"n": nested}
    big = {"blob": "x" * 1_000_000, "list": list(range(5000)), "deep": nested, "stack": "frame\n" * 9000}
    events = [event("t", "s", "job:started", 0.0, data=big)]
    events += [event("t", "s", "ai:note", n / 1000) for n in range(MAX_EVENTS + 9)]
    text = text_of("s", events)
    assert "x… [1,000,000 characters]" in text
    assert "more lines, Enter shows all]" in text
    assert "[cut: the end of 54,000 characters] …" in text
    assert "… and 10 more events" in text
    assert len(text) < 60_000


def test_a_long_field_and_a_long_error_wrap_below_themselves() -> None:
    lines = text_of("cre", failed("t"), width=30).split("\n")
    assert "undone     no, still standing:" in lines
    assert lines[lines.index("undone     no, still standing:") + 1 :][:4] == [
        " " * 11 + "compensation failed", " " * 11 + "after 1 attempt;", " " * 11 + "its effect is",
        " " * 11 + "unknown",
    ]  # fmt: skip


def test_a_frame_keeps_the_end_of_its_path_and_its_line_number() -> None:
    stack = 'Traceback (most recent call last):\n  File "/srv/app/loans/funding/ledger.py", line 88, in debit\nE: no\n'
    text = text_of("s", [event("t", "s", "job:failed", 0.0, data={"stack": stack})], width=44)
    assert '  File "…/ledger.py", line 88, in debit\n' in text


async def test_data_folds_with_space_and_opens_whole_with_enter() -> None:
    app = Harness()
    async with app.run_test(size=(60, 40)) as pilot:
        events = [event("t", "s", "job:started", 0.0, data={"a": {"b": [1, 2]}, "long": "y" * 900})]
        panel = app.show(events, "s")
        await pilot.pause()
        rows = screen_text(app).split("\n")
        panel.cursor = next(at for at, row in enumerate(rows) if "▾ a:" in row)
        await pilot.press("space")
        assert "▸ a: 1 value" in screen_text(app)
        assert "  b:" not in screen_text(app)
        await pilot.press("l", "j")
        assert "▾   b:" in screen_text(app)
        panel.cursor = next(at for at, row in enumerate(screen_text(app).split("\n")) if "long:" in row)
        await pilot.press("enter")
        await pilot.pause()
        assert app.said == ["y" * 900]


async def test_enter_on_a_related_span_chooses_it() -> None:
    app = Harness()
    async with app.run_test(size=(60, 40)) as pilot:
        panel = app.show(failed("t"), "und")
        await pilot.pause()
        panel.cursor = next(at for at, row in enumerate(screen_text(app).split("\n")) if "undoes" in row)
        await pilot.press("enter")
        await pilot.pause()
        assert app.said == ["cre"]


async def test_the_same_span_in_the_same_state_keeps_its_place_and_another_begins_at_its_top() -> None:
    app = Harness()
    async with app.run_test(size=(60, 10)) as pilot:
        panel = app.show(failed("t"), "fuj")
        await pilot.press("j", "j", "j")
        app.show(failed("t"), "fuj")
        assert panel.cursor == 3
        app.show([*failed("t"), event("t", "fuj", "ai:note", 3.2, "fun")], "fuj")
        await pilot.pause()
        assert panel.cursor == 3
        app.show(failed("t"), "fun")
        await pilot.pause()
        assert panel.cursor == 0
        assert "stage:funding" in screen_text(app)


def test_a_run_of_a_repeated_job_names_its_number_and_the_runs_beside_it() -> None:
    first, second, third = (text_of(span_id, repeated("t")) for span_id in ("nightly", "nightly#2", "nightly#3"))
    assert "run        2 of 3\nrun before report  nightly\nrun after  report  nightly#3\n" in second
    assert "run        1 of 3\nrun after  report  nightly#2\n" in first
    assert "run        3 of 3\nrun before report  nightly#2\n" in third
    assert "run " not in text_of("wf", failed("t"))


def test_an_interrupted_span_is_named_with_its_reason() -> None:
    text = text_of("pay", interrupted("t"))
    assert "status     ↯ interrupted\n" in text
    assert "Work-horse terminated unexpectedly" in text
