"""Every answer to every saga of the tables."""

from __future__ import annotations

import pytest
from notation import Saga, answers, read
from saga_tables import ALL

COLUMNS = ("verdict", "path", "roles", "compensations", "standing", "anomalies", "never_ran")
WORDS = {
    "roles": "cause, consequence, independent, recovered, compensation",
    "compensations": "compensated, failed, running, unconfirmed, not_started",
    "standing": "compensation failed after, rollback stopped before this step, compensation still running, "
    "compensation never started, unconfirmed, its compensation was undone again, undone before it completed, "
    "undone before it ended, undone before the work below it ended",
    "anomalies": "orphan, cycle, several_roots, clock_skew, duplicate, conflicting_outcomes, never_ended, "
    "out_of_order_undo, double_undo, empty_undo, hanging_undo, step_after_abort, green_but_compensated",
}


@pytest.mark.parametrize("saga", ALL, ids=lambda saga: saga.title)
def test_every_answer_to_a_saga(saga: Saga) -> None:
    trace = read(saga)
    assert answers(trace) == {column: getattr(saga, column) for column in COLUMNS}
    if saga.summary:
        assert trace.summary == saga.summary


def test_the_tables_hold_every_verdict_role_reason_outcome_and_anomaly() -> None:
    assert len({saga.title for saga in ALL}) == len(ALL) > 60
    assert {saga.verdict for saga in ALL} == {
        "succeeded", "running", "compensating", "failed", "rolled_back", "rollback_incomplete", "rollback_missing",
        "succeeded_but_compensated", "unknown",
    }  # fmt: skip
    for column, words in WORDS.items():
        text = " ".join(getattr(saga, column) for saga in ALL)
        for word in words.split(", "):
            assert word in text, f"no saga with {word} in {column}"
