"""Sagas that are undone completely, in part, or without success."""

from __future__ import annotations

from notation import Saga

COMPENSATION = [
    Saga("all undone, last thing first", """
        loan      0..9 failed
          credit  1..2 +release
          funds   3..4 +refund
          pay     5..6 failed !Closed:account closed
          u2      7..7.5 ~funds
          u1      8..8.5 ~credit
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        compensations="funds<u2:compensated credit<u1:compensated",
        summary="failed at stage:pay (Closed: account closed) · rolled back: both steps undone"),
    Saga("undone while the root still runs", """
        loan      0..
          credit  1..2 +release
          pay     3..4 failed
          u1      5.. ~credit
        """, verdict="compensating", path="loan pay", roles="pay:cause", compensations="credit<u1:running",
        standing="credit: compensation still running",
        summary="failed at stage:pay · compensating: 0 of 1 step undone"),
    Saga("failed, and its undoing has not begun yet", """
        loan      0..
          credit  1..2 +release
          pay     3..4 failed
        """, verdict="running", path="loan pay", roles="pay:cause", compensations="credit<-:not_started",
        standing="credit: compensation not started so far", summary="failed at stage:pay · running: workflow:loan"),
    Saga("the contract's own sentence", """
        loan      0..9 failed
          credit  1..2 +release
          limit   2..3 +restore
          funding 3..4 failed !InsufficientFunds:Insufficient funds
          u1      5..6 ~limit
          u2      7..8 failed ~credit !down
        """, verdict="rollback_incomplete", path="loan funding",
        roles="funding:cause loan:consequence u2:compensation", compensations="limit<u1:compensated credit<u2:failed",
        standing="credit: compensation failed after 1 attempt",
        summary="failed at stage:funding (InsufficientFunds: Insufficient funds) · "
             "rollback incomplete: 1 of 2 steps still standing (stage:credit)"),
    Saga("an undo that failed never hides why the trace did, though it failed last", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed !empty
          u1      5..8 failed ~credit !bureau down
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause u1:compensation",
        compensations="credit<u1:failed", standing="credit: compensation failed after 1 attempt"),
    Saga("no step was undone", """
        loan      0..9 failed
          credit  1..2 +release
          funds   3..4 +refund
          pay     5..6 failed
        """, verdict="rollback_missing", path="loan pay", roles="loan:consequence pay:cause",
        compensations="funds<-:not_started credit<-:not_started",
        standing="credit: compensation never started; funds: compensation never started",
        summary="failed at stage:pay · rollback missing: "
             "2 of 2 steps still standing (stage:credit, stage:funds), and no compensation began"),
    Saga("the unwinding stopped on its way", """
        loan      0..9 failed
          credit  1..2 +release
          funds   3..4 +refund
          pay     5..6 failed
          u2      7..8 ~funds
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        compensations="funds<u2:compensated credit<-:not_started",
        standing="credit: rollback stopped before this step"),
    Saga("the rollback skipped one step and continued: it did not stop there", """
        loan      0..9 failed
          credit  1..2 +release
          insure  2..3 +cancel
          funds   3..4 +refund
          pay     5..6 failed
          u3      6..7 ~funds
          u1      7..8 ~credit
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        compensations="funds<u3:compensated credit<u1:compensated insure<-:not_started",
        standing="insure: compensation never started"),
    Saga("the rollback did not reach an undo that was requested and never began", """
        loan      0..9 failed
          credit  1..2 +release
          insure  2..3 +cancel
          funds   3..4 +refund
          pay     5..6 failed
          u3      6..7 ~funds
          u1      q7 ~credit job
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        compensations="funds<u3:compensated credit<u1:not_started insure<-:not_started",
        standing="credit: compensation never started; insure: rollback stopped before this step",
        anomalies="never_ended(u1)", idle=True),
    Saga("a lone word that undoing began, and then silence", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5.. ~credit
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        compensations="credit<u1:unconfirmed",
        standing="credit: unconfirmed: compensation started, no outcome recorded",
        anomalies="never_ended(u1)", idle=True),
    Saga("undone, though it never said that it could be", """
        loan      0..9 failed
          credit  1..2
          pay     3..4 failed
          u1      5..6 ~credit
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        compensations="credit<u1:compensated"),
    Saga("a step it tried in vain to undo is standing though it declared nothing", """
        loan      0..9 failed
          credit  1..2
          pay     3..4 failed
          u1      5..6 failed ~credit !no
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause u1:compensation",
        compensations="credit<u1:failed", standing="credit: compensation failed after 1 attempt"),
    Saga("the first undo failed, the second did it", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5..6 failed ~credit named=release
          u2      7..8 ~credit named=release
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause u1:recovered",
        compensations="credit<u1:failed credit<u2:compensated"),
    Saga("the second undo has another name and place", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5..6 failed ~credit
          repair  7..8
            u2    7..8 ~credit
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause u1:recovered",
        compensations="credit<u1:failed credit<u2:compensated"),
    Saga("both undos failed", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5..6 failed ~credit
          u2      7..8 failed ~credit
        """, verdict="rollback_incomplete", path="loan pay",
        roles="loan:consequence pay:cause u1:compensation u2:compensation",
        compensations="credit<u1:failed credit<u2:failed", standing="credit: compensation failed after 2 attempts"),
    Saga("an undo that is a retried RQ job", """
        loan      0..20 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5..6:retry 7..8:retry 9..10 job ~credit !busy
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause u1:recovered",
        compensations="credit<u1:compensated"),
    Saga("an undo that is an RQ job, retried in vain", """
        loan      0..20 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5..6:retry 7..8:retry 9..10 failed job ~credit !busy
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause u1:compensation",
        compensations="credit<u1:failed", standing="credit: compensation failed after 3 attempts"),
    Saga("an undo that waits for a retried RQ job", """
        loan      0..20 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5..12 ~credit
            undo  6..7:retry 8..9 job !busy
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause undo:recovered",
        compensations="credit<u1:compensated"),
    Saga("an undo that waited for a job which never managed", """
        loan      0..20 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5..12 failed ~credit
            undo  6..7:retry 8..9 failed job !busy
        """, verdict="rollback_incomplete", path="loan pay",
        roles="loan:consequence pay:cause u1:compensation undo:compensation", compensations="credit<u1:failed",
        standing="credit: compensation failed after 2 attempts"),
    Saga("an undo that handled the failure of its job, which the worker recorded a moment later", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5..6 ~credit
            undo  5.2..6.03 failed job !busy
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause undo:recovered",
        compensations="credit<u1:compensated"),
    Saga("an undo that only enqueued its job, which failed later", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5..6 ~credit
            undo  q5.5 7..8 failed job !busy
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause undo:compensation",
        compensations="credit<u1:failed", standing="credit: compensation failed after 1 attempt"),
    Saga("an undo that only enqueued its job, which no worker has taken yet", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5..6 ~credit
            undo  q5.5 job
        """, verdict="compensating", path="loan pay", roles="loan:consequence pay:cause",
        compensations="credit<u1:running", standing="credit: compensation still running"),
    Saga("an undo that only enqueued its job, which no worker ever took", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5..6 ~credit
            undo  q5.5 job
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        compensations="credit<u1:unconfirmed",
        standing="credit: unconfirmed: compensation started, no outcome recorded",
        anomalies="never_ended(undo)", idle=True),
    Saga("an undo that was enqueued and never begun", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      q5 job ~credit
        """, verdict="rollback_missing", path="loan pay", roles="loan:consequence pay:cause",
        compensations="credit<u1:not_started", standing="credit: compensation never started",
        anomalies="never_ended(u1)", idle=True),
    Saga("undos grouped under a span of their own", """
        loan            0..9 failed
          credit        1..2 +release
          pay           3..4 failed
          compensation  5..8
            u1          6..7 ~credit
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        compensations="credit<u1:compensated"),
    Saga("the group fails with its undo", """
        loan            0..9 failed
          credit        1..2 +release
          pay           3..4 failed
          compensation  5..8 failed
            u1          6..7 failed ~credit
        """, verdict="rollback_incomplete", path="loan pay",
        roles="compensation:compensation loan:consequence pay:cause u1:compensation", compensations="credit<u1:failed",
        standing="credit: compensation failed after 1 attempt"),
    Saga("an undo stopped by an operator", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5..6 stopped ~credit
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        compensations="credit<u1:failed",
        standing="credit: compensation failed after 1 attempt; its effect is unknown"),
    Saga("undone, then died: the root never ended, and no failure was recorded", """
        loan      0..
          credit  1..2 +release
          u1      5..6 ~credit
        """, verdict="rolled_back", compensations="credit<u1:compensated", anomalies="never_ended(loan)", idle=True,
        summary="rolled back: 1 step undone"),
    Saga("the stage was undone, and with it the jobs it ran", """
        loan        0..9 failed
          book      1..5 +unbook
            hotel   2..3 job +cancel_hotel
            flight  3..4 job +cancel_flight
          pay       6..7 failed
          u1        8..8.5 ~book
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        compensations="book<u1:compensated", summary="failed at stage:pay · rolled back: all 3 steps undone"),
    Saga("a covered job whose own undo failed stands all the same", """
        loan        0..9 failed
          book      1..5 +unbook
            hotel   2..3 job +cancel_hotel
            flight  3..4 job +cancel_flight
          pay       6..7 failed
          u1        8..8.8 ~book
            u2      8.1..8.2 failed ~hotel !no
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause u2:compensation",
        compensations="book<u1:compensated hotel<u2:failed", standing="hotel: compensation failed after 1 attempt"),
    Saga("the same, and the undo of the job failed with a job of its own, in a stage that dealt with it", """
        loan        0..9 failed
          book      1..5 +unbook
            hotel   2..3 job +cancel_hotel
          pay       6..7 failed
          u1        8..8.8 ~book
            jobs    8.1..8.7
              u2    8.2..8.6 failed ~hotel !no
                tel 8.3..8.5 failed job !no
        """, verdict="rollback_incomplete", path="loan pay",
        roles="loan:consequence pay:cause tel:compensation u2:compensation",
        compensations="book<u1:compensated hotel<u2:failed", standing="hotel: compensation failed after 1 attempt"),
    Saga("the job was undone by another undo after that, within the stage's", """
        loan        0..9 failed
          book      1..5 +unbook
            hotel   2..3 job +cancel_hotel
          pay       6..7 failed
          u1        8..8.8 ~book
            u2      8.1..8.2 failed ~hotel !no
            u3      8.3..8.4 ~hotel
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause u2:recovered",
        compensations="book<u1:compensated hotel<u2:failed hotel<u3:compensated"),
    Saga("the stage's undo failed: stage and jobs stand", """
        loan        0..9 failed
          book      1..5 +unbook
            hotel   2..3 job +cancel_hotel
          pay       6..7 failed
          u1        8..8.5 failed ~book
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause u1:compensation",
        compensations="book<u1:failed hotel<-:not_started",
        standing="hotel: rollback stopped before this step; book: compensation failed after 1 attempt"),
    Saga("each job enqueues the next: the undo of the first does not undo the second", """
        order    0..1 job +refund
          pay    0.99..3 job +release
            ship 4..5 failed job !sold out
              u1 6..7 job ~order
        """, verdict="rollback_incomplete", path="order pay ship", roles="ship:cause",
        compensations="order<u1:compensated pay<-:not_started", standing="pay: rollback stopped before this step"),
    Saga("each job enqueues the next: the undo of the second does not undo the first", """
        order    0..1 job +refund
          pay    0.99..3 job +release
            ship 4..5 failed job !sold out
              u1 6..7 job ~pay
        """, verdict="rollback_incomplete", path="order pay ship", roles="ship:cause",
        compensations="pay<u1:compensated order<-:not_started", standing="order: rollback stopped before this step"),
    Saga("the undo of a job covers the steps that ran inside it", """
        order   0..3 job +refund
          pay   1..2 +release
          ship  2..2.5 job +recall
        mail    4..5 failed job !down
        u1      6..7 job ~order
        """, verdict="rolled_back", path="mail", roles="mail:cause", compensations="order<u1:compensated"),
    Saga("the undo of a stage that failed half-way covers its steps", """
        loan        0..9 failed
          book      1..5 failed +unbook
            hotel   2..3 job +cancel_hotel
            flight  3..4 failed job !full
          u1        8..8.5 ~book
        """, verdict="rolled_back", path="loan book flight", roles="book:consequence flight:cause loan:consequence",
        compensations="book<u1:compensated"),
]  # fmt: skip
