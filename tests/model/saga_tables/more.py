"""Sagas of every kind."""

from __future__ import annotations

from notation import Saga

PAY = "loan:consequence pay:cause"

MORE = [
    Saga("parent and child fail in the same microsecond", """
        loan      0..4 failed
          pay     3..4 failed
        """, verdict="failed", path="loan pay", roles=PAY),
    Saga("canceled, and no step was undone", """
        loan      0..9 canceled
          credit  1..2 +release
        """, verdict="rollback_missing", path="loan", compensations="credit<-:not_started",
        standing="credit: compensation never started",
        summary="canceled at workflow:loan · rollback missing: "
             "1 of 1 step still standing (stage:credit), and no compensation began"),
    Saga("canceled while a step ran on, which was never heard of again", """
        loan      0..5 canceled
          pay     3.. +refund
        """, verdict="rollback_missing", path="loan", compensations="pay<-:not_started",
        standing="pay?: compensation never started", anomalies="never_ended(pay)", idle=True),
    Saga("the dependency was canceled", """
        loan      0..9 failed
          pay     1..2 canceled job
          mail    d1 job needs=pay
        """, verdict="failed", path="loan", roles="loan:cause", never_ran="mail<pay"),
    Saga("of a job only its retry is known", """
        loan      0..9 failed
          pay     ..3:retry job +refund !busy
        """, verdict="rollback_missing", path="loan", roles="loan:cause", compensations="pay<-:not_started",
        standing="pay?: compensation never started", anomalies="never_ended(pay)", idle=True),
    Saga("a step of which only the end is known", """
        loan      0..9 failed
          a       ..2 +x
          pay     3..4 failed
        """, verdict="rollback_missing", path="loan pay", roles=PAY, compensations="a<-:not_started",
        standing="a: compensation never started"),
    Saga("a step that completed after its saga had failed", """
        loan      0..3 failed
          slow    1..5 +x
        """, verdict="rollback_missing", path="loan", roles="loan:cause", compensations="slow<-:not_started",
        standing="slow: compensation never started"),
    Saga("an instant that can be undone", """
        loan      0..9 failed
          book    @1 +unbook
          pay     3..4 failed
        """, verdict="rollback_missing", path="loan pay", roles=PAY, compensations="book<-:not_started",
        standing="book: compensation never started"),
    Saga("an undo that is an instant says nothing of how it went", """
        loan      0..9 failed
          book    1..2 +unbook
          pay     3..4 failed
          u1      @5 ~book
        """, verdict="rollback_incomplete", path="loan pay", roles=PAY, compensations="book<u1:unconfirmed",
        standing="book: unconfirmed: compensation started, no outcome recorded"),
    Saga("an undo whose second job waits for a first that failed while the undo still ran", """
        loan      0..9 failed
          book    1..2 +unbook
          pay     3..4 failed
          u1      5..8 ~book
            a     6..7 failed job !bank down
            b     d6 job needs=a
        """, verdict="rollback_incomplete", path="loan pay", roles=f"a:recovered {PAY}", compensations="book<u1:failed",
        standing="book: compensation failed after 1 attempt", never_ran="b<a"),
    Saga("an undo whose job waits for the step that failed, in a saga that still runs", """
        loan      0..
          book    1..2 +unbook
          pay     3..4 failed job
          u1      5..6 ~book
            b     d5 job needs=pay
        """, verdict="compensating", path="loan pay", roles="pay:cause", compensations="book<u1:failed",
        standing="book: compensation failed after 1 attempt", never_ran="b<pay"),
    Saga("an undo whose second job waits for a first that may yet run", """
        loan      0..
          book    1..2 +unbook
          pay     3..4 failed
          u1      5..6 ~book
            a     q5 job
            b     d5 job needs=a
        """, verdict="compensating", path="loan pay", roles="pay:cause", compensations="book<u1:running",
        standing="book: compensation still running"),
    Saga("an undo that only enqueued its job, which failed, and was run again as a job of its own", """
        loan      0..20 failed
          book    1..2 +unbook
          pay     3..4 failed
          u1      5..6 ~book
            j1    q5.5 7..8 failed job named=cancel !busy
            j2    9..10 job named=cancel
        """, verdict="rolled_back", path="loan pay", roles=f"j1:recovered {PAY}", compensations="book<u1:compensated"),
    Saga("an undo that left a stage behind, which dealt with the failure of its job", """
        loan      0..20 failed
          book    1..2 +unbook
          pay     3..4 failed
          u1      5..6 ~book
            try   5.5..9
              j1  7..8 failed job !busy
        """, verdict="rolled_back", path="loan pay", roles=f"j1:recovered {PAY}", compensations="book<u1:compensated"),
    Saga("an undo that left a stage behind, which failed with its job and was tried again", """
        loan      0..20 failed
          book    1..2 +unbook
          pay     3..4 failed
          u1      5..6 ~book
            t1    5.5..9 failed named=try
              j1  7..8 failed job !busy
            t2    10..11 named=try
        """, verdict="rolled_back", path="loan pay", roles=f"j1:recovered {PAY} t1:recovered",
        compensations="book<u1:compensated"),
    Saga("an undo that only enqueued its job, which was then canceled", """
        loan      0..9 failed
          book    1..2 +unbook
          pay     3..4 failed
          u1      5..6 ~book
            a     5..7 canceled job
        """, verdict="rollback_incomplete", path="loan pay", roles=PAY, compensations="book<u1:failed",
        standing="book: compensation failed after 1 attempt; its effect is unknown"),
    Saga("an undo that went well after a job of its own had been stopped", """
        loan      0..9 failed
          book    1..2 +unbook
          pay     3..4 failed
          u1      5..8 ~book
            a     5..6 stopped job
            b     6..7 job
        """, verdict="rolled_back", path="loan pay", roles=PAY, compensations="book<u1:compensated"),
    Saga("a step that undoes itself before it says that it failed", """
        loan      0..9 failed
          credit  1..6 failed +release !NoFunds:empty
            hold  2..3
            u1    4..5 ~credit
        """, verdict="rolled_back", path="loan credit", roles="credit:cause loan:consequence",
        compensations="credit<u1:compensated"),
    Saga("a step undone from outside before it failed", """
        loan      0..9 failed
          credit  1..6 failed +release !TimeoutError:5 s
          u1      4..5 ~credit
        """, verdict="rollback_incomplete", path="loan credit", roles="credit:cause loan:consequence",
        compensations="credit<u1:compensated", anomalies="hanging_undo(credit u1)",
        standing="credit?: undone before it ended (or clocks disagree)"),
    Saga("a step undone from outside before it failed outright", """
        loan      0..9 failed
          credit  1..6 failed +release !NoFunds:empty
          u1      4..5 ~credit
        """, verdict="rolled_back", path="loan credit", roles="credit:cause loan:consequence",
        compensations="credit<u1:compensated", anomalies="hanging_undo(credit u1)"),
    Saga("a step undone from outside before it was stopped", """
        loan      0..9 failed
          credit  1..6 stopped job +release
          u1      4..5 ~credit
        """, verdict="rollback_incomplete", path="loan", roles="loan:cause",
        compensations="credit<u1:compensated", anomalies="hanging_undo(credit u1)",
        standing="credit?: undone before it ended (or clocks disagree)"),
    Saga("a step that undoes itself after it timed out, before it says so", """
        loan      0..9 failed
          credit  1..6 failed +release !TimeoutError:3 s
            u1    4..5 ~credit
        """, verdict="rolled_back", path="loan credit", roles="credit:cause loan:consequence",
        compensations="credit<u1:compensated"),
    Saga("a step undone before its worker was found lost", """
        loan      0..900 failed
          credit  1..800 abandoned job +release presumed
          u1      4..5 ~credit
        """, verdict="rolled_back", path="loan credit", roles="credit:cause loan:consequence",
        compensations="credit<u1:compensated"),
    Saga("the inner saga of a step that could be undone cleaned up itself", """
        trip      0..20 failed
          book    1..10 failed +unbook
            hotel 2..3 +cancel
            full  4..5 failed
            u1    6..7 ~hotel
        """, verdict="rolled_back", path="trip book full", roles="book:consequence full:cause trip:consequence",
        compensations="hotel<u1:compensated"),
    Saga("a stage tried twice: the first undid itself, the second did not", """
        trip      0..30 failed
          b1      1..8 failed named=book
            hotel 2..3 +cancel
            full  4..5 failed
            u1    6..7 ~hotel
          b2      9..15 failed named=book
            inn   10..11 +cancel
            shut  12..13 failed
        """, verdict="rollback_incomplete", path="trip b1 full",
        roles="b1:consequence b2:consequence full:cause shut:independent trip:consequence",
        compensations="hotel<u1:compensated inn<-:not_started", standing="inn: rollback stopped before this step"),
    Saga("a stage in the middle records its own undo", """
        trip      0..20 failed
          book    1..9 failed unwind=6..8
            hotel 2..3 +cancel
            full  4..5 failed
        """, verdict="rolled_back", path="trip book full", roles="book:consequence full:cause trip:consequence",
        compensations="book<book:compensated"),
    Saga("the worker of the undo was lost", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5..6 abandoned job ~credit presumed
        """, verdict="rollback_incomplete", path="loan pay", roles=f"{PAY} u1:compensation",
        compensations="credit<u1:failed",
        standing="credit: compensation failed after 1 attempt; its effect is unknown"),
    Saga("the worker of the undo's job was lost, below an undo that failed in its own words", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5..8 failed ~credit !no answer
            a     6..7 abandoned job presumed
        """, verdict="rollback_incomplete", path="loan pay", roles=f"a:compensation {PAY} u1:compensation",
        compensations="credit<u1:failed",
        standing="credit: compensation failed after 1 attempt; its effect is unknown"),
    Saga("a step's own undo timed out", """
        loan      0..9 failed
          credit  1..2 +release unwind=5..6!ReadTimeout
          pay     3..4 failed
        """, verdict="rollback_incomplete", path="loan pay", roles=PAY, compensations="credit<credit:failed",
        standing="credit: compensation failed after 1 attempt; its effect is unknown"),
    Saga("a step's own undo failed with an ordinary error", """
        loan      0..9 failed
          credit  1..2 +release unwind=5..6!ValueError
          pay     3..4 failed
        """, verdict="rollback_incomplete", path="loan pay", roles=PAY, compensations="credit<credit:failed",
        standing="credit: compensation failed after 1 attempt"),
    Saga("a job below a failed undo never ended", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5..8 failed ~credit !no answer
            a     6.. job
        """, verdict="rollback_incomplete", path="loan pay", roles=f"{PAY} u1:compensation",
        compensations="credit<u1:failed",
        standing="credit: compensation failed after 1 attempt; its effect is unknown",
        anomalies="never_ended(a)", idle=True),
    Saga("a step timed out, and its undo too", """
        loan      0..9 failed
          credit  1..2 failed +release !TimeoutError:no answer
          u1      5..6 failed ~credit !TimeoutError:no answer
        """, verdict="rollback_incomplete", path="loan credit", roles="credit:cause loan:consequence u1:compensation",
        compensations="credit<u1:failed",
        standing="credit?: compensation failed after 1 attempt; its effect is unknown"),
    Saga("the undo of a step whose job still waits was stopped", """
        loan      0..9 failed
          credit  q1 job +release
          pay     3..4 failed
          u1      5..6 stopped ~credit
        """, verdict="rollback_incomplete", path="loan pay", roles=PAY, compensations="credit<u1:failed",
        standing="credit?: compensation failed after 1 attempt; its job still waits, and may run later",
        anomalies="never_ended(credit) empty_undo(credit u1)", idle=True),
    Saga("the worker of the undo was lost, and it was undone by hand", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5..6 abandoned job ~credit presumed
          u2      8..8.5 ~credit
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause u1:recovered",
        compensations="credit<u1:failed credit<u2:compensated"),
    Saga("an undo canceled before it began", """
        loan      0..9 failed
          a       1..2 +x
          pay     3..4 failed
          u1      q5 ..6 canceled job ~a
        """, verdict="rollback_incomplete", path="loan pay", roles=PAY, compensations="a<u1:failed",
        standing="a: compensation failed after 1 attempt"),
    Saga("undoing began, and of no step", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed
          rollback 5..8
        """, verdict="rollback_incomplete", path="loan pay", roles=PAY, compensations="credit<-:not_started",
        standing="credit: rollback stopped before this step"),
    Saga("the group of undos failed, and no undo in it did", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed
          rollback 5..8 failed !mail down
            u1    6..7 ~credit
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause rollback:compensation",
        compensations="credit<u1:compensated"),
    Saga("undid a step without events, and not the completed one", """
        loan      0..9 failed
          a       1..2 +x
          pay     3..4 failed
          u1      5..6 ~ghost
        """, verdict="rollback_incomplete", path="loan pay", roles=PAY,
        compensations="ghost<u1:compensated a<-:not_started", standing="a: rollback stopped before this step",
        anomalies="empty_undo(u1)"),
    Saga("to undo the undo failed: the step is undone", """
        loan      0..9 failed
          a       1..2 +x
          pay     3..4 failed
          u1      5..6 ~a
          r1      7..8 failed ~u1
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause r1:compensation",
        compensations="a<u1:compensated u1<r1:failed"),
    Saga("run again by hand after it was undone", """
        loan      0..20 failed
          a       1..2 job +x
          pay     3..4 failed
          u1      5..6 ~a
          a       q8 9..10 job
        """, verdict="rollback_incomplete", path="loan pay", roles=PAY,
        compensations="a<u1:compensated a#2<-:not_started",
        standing="a#2: rollback stopped before this step", anomalies="step_after_abort(a#2)"),
    Saga("rolled back, and then silence: the root never ended", """
        loan      0..
          a       1..2 +x
          pay     3..4 failed
          u1      5..6 ~a
        """, verdict="rolled_back", path="loan pay", roles="pay:cause", compensations="a<u1:compensated",
        anomalies="never_ended(loan)", idle=True),
    Saga("of the trace only two steps came, and not their root", """
        credit    1..2 +release under=loan
        pay       3..4 failed under=loan
        """, verdict="rollback_missing", path="pay", roles="pay:cause", compensations="credit<-:not_started",
        standing="credit: compensation never started", anomalies="orphan(credit pay)", idle=True),
]  # fmt: skip
