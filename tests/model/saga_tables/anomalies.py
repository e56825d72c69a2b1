"""Sagas with anomalies."""

from __future__ import annotations

from notation import Saga

ANOMALIES = [
    Saga("the rollback skipped one step and continued, with undos recorded by the steps themselves", """
        loan      0..9 failed
          a       1..2 +x unwind=8..8.5
          c       3..3.5 +x
          b       4..5 +x unwind=7..7.5
          pay     5..6 failed
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        compensations="b<b:compensated a<a:compensated c<-:not_started", standing="c: compensation never started"),
    Saga("undone in forward order, with undos recorded by the steps themselves", """
        loan      0..9 failed
          a       1..2 +x unwind=7..7.5
          b       3..4 +x unwind=8..8.5
          pay     5..6 failed
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        compensations="a<a:compensated b<b:compensated", anomalies="out_of_order_undo(a b)"),
    Saga("each undo runs in a job of its own, which began after the undoing had", """
        loan      0..20 failed
          a       1..2 +x
          b       3..4 +x
          pay     5..6 failed
          j2      7..9 job
            u2    7.5..8.5 ~b
          j1      10..12 job
            u1    10.5..11.5 ~a
            note  @11.6
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        compensations="b<u2:compensated a<u1:compensated"),
    Saga("a job that undoes began after the undoing had, and does something else as well", """
        loan      0..20 failed
          a       1..2 +x
          b       3..4 +x
          pay     5..6 failed
          u2      7..8 ~b
          j1      10..12 job
            u1    10.5..11 ~a
            mail  11.2..11.5
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        compensations="b<u2:compensated a<u1:compensated", anomalies="step_after_abort(j1)"),
    Saga("undone in the order done", """
        loan      0..9 failed
          a       1..2 +x
          b       3..4 +x
          pay     5..6 failed
          u1      7..7.5 ~a
          u2      8..8.5 ~b
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        compensations="a<u1:compensated b<u2:compensated", anomalies="out_of_order_undo(u1 u2)"),
    Saga("the last thing undone first, and the other two in the order done", """
        loan      0..11 failed
          a       1..2 +x
          b       3..4 +x
          c       5..6 +x
          pay     6..7 failed
          u3      7..7.5 ~c
          u1      8..8.5 ~a
          u2      9..9.5 ~b
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        compensations="c<u3:compensated a<u1:compensated b<u2:compensated", anomalies="out_of_order_undo(u1 u2)"),
    Saga("concurrent steps have no order", """
        loan      0..9 failed
          a       1..3 +x
          b       2..4 +x
          pay     5..6 failed
          u1      7..7.5 ~a
          u2      8..8.5 ~b
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        compensations="a<u1:compensated b<u2:compensated"),
    Saga("steps that ended at the same time: seq gives the order, and it was not kept", """
        loan      0..9 failed
          a       ..3 +x seq=/1
          b       ..3 +x seq=/2
          pay     5..6 failed
          u1      7..7.5 ~a
          u2      8..8.5 ~b
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        compensations="a<u1:compensated b<u2:compensated", anomalies="out_of_order_undo(u1 u2)"),
    Saga("steps that ended at the same time: seq gives the order, and it was kept", """
        loan      0..9 failed
          a       ..3 +x seq=/2
          b       ..3 +x seq=/1
          pay     5..6 failed
          u1      7..7.5 ~a
          u2      8..8.5 ~b
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        compensations="a<u1:compensated b<u2:compensated"),
    Saga("undos that began at the same time: seq gives the order", """
        loan      0..9 failed
          a       1..2 +x
          b       3..4 +x
          pay     5..6 failed
          u1      7..7.5 ~a seq=1/3
          u2      7..8.5 ~b seq=2/4
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        compensations="a<u1:compensated b<u2:compensated", anomalies="out_of_order_undo(u1 u2)"),
    Saga("undos that began at the same time, without an order", """
        loan      0..9 failed
          a       1..2 +x
          b       3..4 +x
          pay     5..6 failed
          u1      7..7.5 ~a
          u2      7..8.5 ~b
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        compensations="a<u1:compensated b<u2:compensated"),
    Saga("undone twice", """
        loan      0..9 failed
          a       1..2 +x
          pay     3..4 failed
          u1      5..6 ~a
          u2      7..8 ~a
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        compensations="a<u1:compensated a<u2:compensated", anomalies="double_undo(a u1 u2)"),
    Saga("undone again after it had been, and the second time failed", """
        loan      0..9 failed
          a       1..2 +x
          pay     3..4 failed
          u1      5..6 ~a
          u2      7..8 failed ~a !already released
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause u2:compensation",
        compensations="a<u1:compensated a<u2:failed", anomalies="double_undo(a u1 u2)"),
    Saga("undid a failed step", """
        loan      0..9 failed
          pay     3..4 failed +x
          u1      5..6 ~pay
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        compensations="pay<u1:compensated", anomalies="empty_undo(pay u1)"),
    Saga("undid a step that never started", """
        loan      0..9 failed
          pay     3..4 failed
          mail    q1 job
          u1      5..6 ~mail
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        compensations="mail<u1:compensated",
        standing="mail?: undone before it ended (or clocks disagree); its job still waits, and may run later",
        anomalies="never_ended(mail) empty_undo(mail u1)", idle=True),
    Saga("undid a step without events", """
        loan      0..9 failed
          pay     3..4 failed
          u1      5..6 ~ghost
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        compensations="ghost<u1:compensated", anomalies="empty_undo(u1)"),
    Saga("failed to undo a step without events", """
        loan      0..9 failed
          pay     3..4 failed
          u1      5..6 failed ~ghost
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause u1:compensation",
        compensations="ghost<u1:failed", standing="ghost?: compensation failed after 1 attempt",
        anomalies="empty_undo(u1)"),
    Saga("the undo was over before the step was", """
        loan      0..9 failed
          slow    1..7 +x
          pay     3..4 failed
          u1      5..6 ~slow
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        compensations="slow<u1:compensated", standing="slow: undone before it completed (or clocks disagree)",
        anomalies="hanging_undo(slow u1)"),
    Saga("a step that began after the undoing had", """
        loan      0..9 failed
          a       1..2 +x
          pay     3..4 failed
          u1      5..6 ~a
          mail    7..8
            send  7..8 job
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        compensations="a<u1:compensated",
        anomalies="step_after_abort(mail)"),
    Saga("a job that was waiting when the undoing began, and ran all the same", """
        loan      0..9 failed
          a       1..2 +x
          mail    q2 7..8 job +y
          pay     3..4 failed
          u1      5..6 ~a
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        compensations="a<u1:compensated mail<-:not_started", standing="mail: rollback stopped before this step",
        anomalies="step_after_abort(mail)"),
    Saga("green, yet undone", """
        loan      0..9
          a       1..2 +x
          u1      5..6 ~a
        """, verdict="succeeded_but_compensated", compensations="a<u1:compensated",
        anomalies="green_but_compensated(u1)",
        summary="reported success, but compensated: stage:a undone"),
    Saga("green, though an undo failed", """
        loan      0..9
          a       1..2 +x
          u1      5..6 failed ~a
        """, verdict="rollback_incomplete", roles="u1:compensation", compensations="a<u1:failed",
        anomalies="green_but_compensated(u1)", standing="a: compensation failed after 1 attempt",
        summary="reported success, but rollback incomplete: 1 of 1 step still standing (stage:a)"),
    Saga("the parent is missing", """
        a         1..2 failed under=ghost
        """, verdict="failed", path="a", roles="a:cause", anomalies="orphan(a)", idle=True),
    Saga("each other's parents", """
        a         1..2 under=b
        b         1..3 under=a
        """, verdict="succeeded", anomalies="cycle(a b)"),
    Saga("its own parent", """
        a         1..2 failed under=a
        """, verdict="failed", path="a", roles="a:cause", anomalies="cycle(a)"),
    Saga("two roots", """
        a         1..2
        b         3..4 failed
        """, verdict="failed", path="b", roles="b:cause", anomalies="several_roots(a b)"),
    Saga("a child that begins before its parent", """
        loan      1..9
          a       0.5..2
        """, verdict="succeeded", anomalies="clock_skew(a)"),
    Saga("ended twice, and not the same", """
        loan      0..9 failed
          a       1..2 failed
          a       ..3
        """, verdict="failed", path="loan", roles="a:recovered loan:cause", anomalies="conflicting_outcomes(a)"),
    Saga("ended twice, the same", """
        loan      0..9
          a       1..2
          a       ..3
        """, verdict="succeeded", anomalies="duplicate(a)"),
    Saga("given up for lost, then seen to end well", """
        loan      0..9
          a       1..4 abandoned job presumed
          a       ..6 job
        """, verdict="succeeded"),
    Saga("all anomalies in one trace", """
        loan      0..30 failed
          a       1..2 +x
          b       3..4 +x
          c       3..26 +x
          d       5..6 failed +x !TimeoutError:3 s
          pay     5..7 failed !NoFunds:empty
          u1      10..11 ~a
          u2      12..13 ~b
          u3      14..15 failed ~c !too early
          u4      16..17 ~a
          mail    18..19
        """, verdict="rollback_incomplete", path="loan d",
        roles="d:cause loan:consequence pay:independent u3:compensation",
        compensations="a<u1:compensated b<u2:compensated c<u3:failed a<u4:compensated d<-:not_started",
        standing="d?: compensation never started; c: compensation failed after 1 attempt",
        anomalies="out_of_order_undo(u1 u2 u3) double_undo(a u1 u4) step_after_abort(mail)"),
    Saga("a compensation that is enqueued before it is needed begins later", """
        pay        1..2 job +refund
        ship       d0.5 3..4 failed job needs=pay !sold out
        refund     d0.6 5..6 job ~pay needs=ship
        """, verdict="rolled_back", path="ship", roles="ship:cause", compensations="pay<refund:compensated"),
]  # fmt: skip
