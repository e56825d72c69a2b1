"""Steps with an unknown outcome, compensations that name no step, and spans that report their own compensation."""

from __future__ import annotations

from notation import Saga

UNCERTAIN = [
    Saga("a step that timed out may have taken effect", """
        loan      0..9 failed
          pay     1..4 failed +refund !JobTimeoutException:exceeded 3 s
        """, verdict="rollback_missing", path="loan pay", roles="loan:consequence pay:cause",
        compensations="pay<-:not_started", standing="pay?: compensation never started"),
    Saga("a step whose worker was lost may have taken effect", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 abandoned job +refund presumed
          u1      5..6 ~credit
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        compensations="credit<u1:compensated pay<-:not_started", standing="pay?: compensation never started"),
    Saga("a step that never ended may have taken effect", """
        loan      0..9 failed
          a       1..2 failed
          pay     1.. +refund
        """, verdict="rollback_missing", path="loan a", roles="a:cause loan:consequence",
        compensations="pay<-:not_started", standing="pay?: compensation never started",
        anomalies="never_ended(pay)", idle=True),
    Saga("the undo of a timed-out step is not an empty undo", """
        loan      0..9 failed
          pay     1..4 failed +refund !TimeoutError:3 s
          u1      5..6 ~pay
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        compensations="pay<u1:compensated"),
    Saga("a step that failed outright left nothing to undo", """
        loan      0..9 failed
          pay     1..4 failed +refund !NoFunds:empty
        """, verdict="failed", path="loan pay", roles="loan:consequence pay:cause"),
    Saga("a compensation's own compensation is not expected", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5..8 ~credit
            undo  6..7 job +redo
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        compensations="credit<u1:compensated"),
    Saga("an undo that names no step failed: that another went well says nothing of the first", """
        loan      0..9 failed
          pay     3..4 failed
          c1      5..6 failed ~ named=cleanup
          c2      7..8 ~ named=cleanup
        """, verdict="rollback_incomplete", path="loan pay", roles="c1:compensation loan:consequence pay:cause"),
    Saga("an undo that names no step began, and has no recorded outcome", """
        loan      0..9 failed
          pay     3..4 failed
          cleanup 5.. ~
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        anomalies="never_ended(cleanup)", idle=True,
        summary="failed at stage:pay · rollback incomplete: cleanup recorded no outcome and names no step"),
    Saga("an undo that names no step was canceled", """
        loan      0..9 failed
          pay     3..4 failed
          cleanup 5..6 canceled ~
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        summary="failed at stage:pay · rollback incomplete: cleanup was canceled and names no step"),
    Saga("an undo that names no step left a job behind, which failed", """
        loan      0..9 failed
          pay     3..4 failed
          cleanup 5..6 ~
            j     7..8 failed job
        """, verdict="rollback_incomplete", path="loan pay", roles="j:compensation loan:consequence pay:cause",
        summary="failed at stage:pay · rollback incomplete: cleanup failed and names no step"),
    Saga("a group of undos failed before any of them", """
        loan      0..9 failed
          pay     3..4 failed
          rollback 5..8 failed !down
        """, verdict="rollback_incomplete", path="loan pay",
        roles="loan:consequence pay:cause rollback:compensation",
        summary="failed at stage:pay · rollback incomplete: stage:rollback failed and names no step"),
    Saga("the undo of a step that had failed outright failed", """
        loan      0..9 failed
          pay     3..4 failed !NoFunds:empty
          u1      5..6 failed ~pay !no
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause u1:compensation",
        compensations="pay<u1:failed", anomalies="empty_undo(pay u1)",
        standing="pay?: compensation failed after 1 attempt; it had failed itself, so there may be nothing to undo"),
    Saga("a step that had failed outright is being undone", """
        loan      0..
          pay     3..4 failed !NoFunds:empty
          u1      5.. ~pay
        """, verdict="compensating", path="loan pay", roles="pay:cause", compensations="pay<u1:running",
        standing="pay?: compensation still running; it had failed itself, so there may be nothing to undo",
        anomalies="empty_undo(pay u1)",
        summary="failed at stage:pay (NoFunds: empty) · compensating: 0 of 1 step undone"),
    Saga("a step that was canceled before it began left nothing to undo", """
        loan      0..9 failed
          pay     q1 ..4 canceled job +refund
        """, verdict="failed", path="loan", roles="loan:cause"),
    Saga("a step that vanished from its queue before its start was recorded may have run", """
        loan      0..9 failed
          pay     q1 ..4 canceled job +refund presumed
        """, verdict="rollback_missing", path="loan", roles="loan:cause", compensations="pay<-:not_started",
        standing="pay?: compensation never started"),
    Saga("a saga whose steps declare nothing could not undo itself", """
        loan      0..9 failed unwind=5..8!
          credit  1..2
          pay     3..4 failed
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        compensations="loan<loan:failed",
        summary="failed at stage:pay · rollback incomplete: workflow:loan failed to undo itself"),
    Saga("a saga whose steps declare nothing began to undo itself, and then silence", """
        loan      0.. unwind=5..
          credit  1..2
          pay     3..4 failed
        """, verdict="rollback_incomplete", path="loan pay", roles="pay:cause",
        compensations="loan<loan:unconfirmed", anomalies="never_ended(loan)", idle=True,
        summary="failed at stage:pay · rollback incomplete: workflow:loan recorded no outcome of its compensation"),
    Saga("a failed step that could not undo itself: its own error is reported, not that of its undo", """
        loan      0..9 failed
          a       1..2 failed +x unwind=7..8! !NoFunds:empty
        """, verdict="rollback_incomplete", path="loan a", roles="a:cause loan:consequence", compensations="a<a:failed",
        standing="a?: compensation failed after 1 attempt; it had failed itself, so there may be nothing to undo",
        summary="failed at stage:a (NoFunds: empty) · rollback incomplete: 1 of 1 step still standing (stage:a)"),
    Saga("a step of which only is known that it could not undo itself", """
        loan      0..9 failed
          a       1.. +x unwind=7..8!
        """, verdict="rollback_incomplete", path="loan a", roles="a:cause loan:consequence", compensations="a<a:failed",
        standing="a?: compensation failed after 1 attempt",
        summary="failed at stage:a · rollback incomplete: 1 of 1 step still standing (stage:a)"),
    Saga("a step that records its own undo, and names itself as the original", """
        loan      0..9 failed
          a       1..2 job +x ~a unwind=7..8!
          pay     3..4 failed
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        compensations="a<a:failed", standing="a: compensation failed after 1 attempt"),
    Saga("an undo that names no step failed", """
        loan          0..9 failed
          pay         3..4 failed
          cleanup     ..6 failed ~
        """, verdict="rollback_incomplete", path="loan pay", roles="cleanup:compensation loan:consequence pay:cause",
        summary="failed at stage:pay · rollback incomplete: cleanup failed and names no step"),
    Saga("stopped by an operator and rolled back", """
        loan      0..9 stopped
          credit  1..2 +release
          u1      5..6 ~credit
        """, verdict="rolled_back", path="loan", compensations="credit<u1:compensated",
        summary="stopped at workflow:loan · rolled back: 1 step undone"),
    Saga("a saga that records its own undo, which covers its steps", """
        loan      0.. unwind=5..8
          credit  1..2 +release
          pay     3..4 failed
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        compensations="loan<loan:compensated"),
    Saga("the same, and then it says that it failed", """
        loan      0..9 failed unwind=5..8
          credit  1..2 +release
          pay     3..4 failed
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        compensations="loan<loan:compensated"),
    Saga("a saga on its way back", """
        loan      0.. unwind=5..
          credit  1..2 +release
          pay     3..4 failed
        """, verdict="compensating", path="loan pay", roles="pay:cause",
        compensations="loan<loan:running credit<-:not_started", standing="credit: waits to be undone"),
    Saga("a saga that could not undo itself", """
        loan      0.. unwind=5..8!
          credit  1..2 +release
          pay     3..4 failed
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        compensations="loan<loan:failed credit<-:not_started", standing="credit: rollback stopped before this step"),
    Saga("steps that record their own undo", """
        loan      0..9 failed
          a       1..2 +x unwind=8..8.5!
          b       3..4 +x unwind=7..7.5
          pay     5..6 failed
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        compensations="b<b:compensated a<a:failed", standing="a: compensation failed after 1 attempt"),
    Saga("green, and a step says that it was undone", """
        loan      0..9
          a       1..2 +x unwind=7..7.5
        """, verdict="succeeded_but_compensated", compensations="a<a:compensated",
        anomalies="green_but_compensated(a)"),
]  # fmt: skip
