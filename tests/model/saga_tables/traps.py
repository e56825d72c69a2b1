"""Sagas made to provoke a false all-clear or an accusation of the wrong step."""

from __future__ import annotations

from notation import Saga

TRAPS = [
    Saga("the job swallows a saga that has no end itself", """
        order     0..20 job exec=x1
          buy     1.. workflow exec=x1
            pay   2..3 +refund exec=x1
        """, verdict="rollback_missing", path="order buy", roles="buy:cause",
        compensations="pay<-:not_started", standing="pay: compensation never started"),
    Saga("a stage named as a compensation group hides the failure of a step", """
        loan      0..9 failed
          rollback 1..5 failed !no
            a     2..3 failed !no
        """, verdict="rollback_incomplete", path="loan", roles="a:compensation loan:cause rollback:compensation"),
    Saga("the step is undone by a job that began before it failed", """
        loan      0..20 failed
          a       1..2 +x
          undo    2.5..8 job failed !late
            u     6..7 ~a
          pay     3..4 failed !first
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause undo:independent",
        compensations="a<u:compensated"),
    Saga("a compensation that was stopped, and a later one of another step", """
        loan      0..20 failed
          a       1..2 +x
          b       3..4 +x
          pay     5..6 failed
          ub      7..8 stopped job ~b named=cancel
          ua      9..10 job ~a named=cancel
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        compensations="b<ub:failed a<ua:compensated",
        standing="b: compensation failed after 1 attempt; its effect is unknown"),
    Saga("a good compensation before the step ran a second time", """
        loan      0..30 failed
          a       1..2 job +x exec=x1
          u       3..4 ~a
          a       10..11 job exec=x2
          pay     12..13 failed
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        compensations="a<u:compensated a#2<-:not_started", standing="a#2: rollback stopped before this step",
        anomalies="step_after_abort(a#2 pay)"),
    Saga("one job of a step was undone, the other was not", """
        loan      0..30 failed
          book    1..6 +unbook
            j1    2..3 job
            j2    4..5 job
          pay     7..8 failed
          u1      9..10 ~j1
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        compensations="j1<u1:compensated book<-:not_started", standing="book: rollback stopped before this step"),
    Saga("the step was undone, and the job's event of success comes from a clock far ahead", """
        loan      0..9 failed
          book    1..5 +unbook
            j1    2..50 job
          pay     6..7 failed
          u1      8..8.5 ~book
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        compensations="book<u1:compensated",
        standing="book: undone before the work below it ended (or clocks disagree); its job j1 completed at "
                 "2025-01-01 00:00:50.000Z, after it had ended: it took effect"),
    Saga("a failure after the ancestor had failed is not its cause", """
        loan      0..5 failed !timeout
          a       1..2 +x
          late    6..7 failed job !no
        """, verdict="rollback_missing", path="loan", roles="late:independent loan:cause",
        compensations="a<-:not_started", standing="a: compensation never started"),
    Saga("a later run of the job that undoes went well, of another step", """
        loan      0..20 failed
          a       1..2 +x
          b       3..4 +x
          pay     5..6 failed
          undo    7..9 job failed exec=x1 !down
            ub    7.5..8.5 failed ~b exec=x1 !down
          undo    10..12 job exec=x2
            ua    10.5..11.5 ~a exec=x2
        """, verdict="rollback_incomplete", path="loan pay",
        roles="loan:consequence pay:cause ub:compensation undo:compensation",
        compensations="b<ub:failed a<ua:compensated", standing="b: compensation failed after 1 attempt"),
    Saga("an inner saga swallowed by a stage, and not undone", """
        trip      0..20
          try     1..15
            book  2..14 saga failed !full
              bed 3..4 +cancel
              fly 5..6 failed !full
          bus     16..17
        """, verdict="rollback_missing", path="trip try book fly", roles="book:consequence fly:cause",
        compensations="bed<-:not_started", standing="bed: compensation never started"),
    Saga("two failures, of which a later sibling of the same name replaced only the first", """
        loan      0..20 failed !no
          p1      1..2 failed named=pay !down
          p2      3..4 named=pay
          m1      5..6 failed named=mail !no
        """, verdict="failed", path="loan m1", roles="loan:consequence m1:cause p1:recovered"),
    Saga("the horse was killed while the saga undid, and the job's retry undid again", """
        order     0..6:retry 61..70 failed job exec=x1,x2 !killed
          w1      1.. workflow named=buy exec=x1
            a1    2..3 +x exec=x1
            b1    3..4 failed exec=x1 !full
            u1    5.. ~a1 exec=x1
          w2      62..69 workflow failed named=buy exec=x2 !full
            b2    63..64 failed exec=x2 !full
            u2    65..66 ~a1 exec=x2
        """, verdict="rolled_back", path="order w1 b1",
        roles="b1:cause b2:independent order:consequence u1:recovered w1:consequence w2:consequence",
        compensations="a1<u1:unconfirmed a1<u2:compensated"),
    Saga("a compensation that is its own parent", """
        u1        5..6 failed ~a under=u1
        """, verdict="rollback_incomplete", roles="u1:compensation", compensations="a<u1:failed",
        standing="a?: compensation failed after 1 attempt", anomalies="cycle(u1) empty_undo(u1)", idle=True),
    Saga("compensations that are each other's parents", """
        u1        5..6 failed ~a under=u2
        u2        5..7 ~b under=u1
        """, verdict="rollback_incomplete", roles="u1:compensation", compensations="a<u1:failed b<u2:compensated",
        standing="a?: compensation failed after 1 attempt", anomalies="cycle(u1 u2) empty_undo(u1) empty_undo(u2)",
        idle=True),
]  # fmt: skip
