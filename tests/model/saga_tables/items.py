"""One function called for several items, several roots, and branches that ran in parallel."""

from __future__ import annotations

from notation import Saga

ITEMS = [
    Saga("a job called for two items, and the saga fails in its own words", """
        trip      0..20 failed !1 of 2 bookings failed
          b1      1..2 job failed named=book !sold out
          b2      3..4 job named=book +cancel
        """, verdict="rollback_missing", path="trip b1", roles="b1:cause trip:consequence",
        compensations="b2<-:not_started", standing="b2: compensation never started"),
    Saga("the same within a stage", """
        trip      0..20 failed !no trip
          all     0.5..10 failed !1 of 2 bookings failed
            b1    1..2 job failed named=book !sold out
            b2    3..4 job named=book +cancel
        """, verdict="rollback_missing", path="trip all b1",
        roles="all:consequence b1:cause trip:consequence",
        compensations="b2<-:not_started", standing="b2: compensation never started"),
    Saga("the first item was tried twice by RQ", """
        trip      0..20 failed !1 of 2 bookings failed
          b1      1..2:retry 3..4 failed job named=book !sold out
          b2      5..6 job named=book +cancel
          u2      7..8 ~b2
        """, verdict="rolled_back", path="trip b1", roles="b1:cause trip:consequence",
        compensations="b2<u2:compensated"),
    Saga("one function called for two items below a job that swallows it", """
        order     0..30 job
          trip    1..20 workflow failed !1 of 2 bookings failed
            b1    2..3 failed named=book !sold out
            b2    4..5 named=book +cancel
        """, verdict="rollback_missing", path="order trip b1", roles="b1:cause trip:consequence",
        compensations="b2<-:not_started", standing="b2: compensation never started"),
    Saga("two root sagas of jobs, one rolled back", """
        hotel     0..9
          h       1..2 job +cancel
        car       0..9 failed !full
          k       1..2 job +cancel
          p       3..4 job failed !full
          u       5..6 ~k
        """, verdict="rolled_back", path="car p", roles="car:consequence p:cause",
        compensations="k<u:compensated", anomalies="several_roots(car hotel)"),
    Saga("two root sagas, both green", """
        hotel     0..9
          h       1..2 +cancel
        car       0..9
          k       1..2 +cancel
        """, verdict="succeeded", anomalies="several_roots(car hotel)"),
    Saga("two root jobs, each with its saga; one swallows its failure", """
        j1        0..9 job
          hotel   1..8 workflow
            h     2..3 +cancel
        j2        10..20 job
          car     11..18 workflow failed !full
            k     12..13 +cancel
            p     14..15 failed !full
        """, verdict="rollback_missing", path="j2 car p", roles="car:consequence p:cause",
        compensations="k<-:not_started", standing="k: compensation never started"),
    Saga("two root sagas, one failed and one still running", """
        hotel     0..
          h       1..2 +cancel
        car       0..9 failed !full
          k       1..2 +cancel
          p       3..4 failed !full
          u       5..6 ~k
        """, verdict="running", path="car p", roles="car:consequence p:cause",
        compensations="k<u:compensated", anomalies="several_roots(car hotel)"),
    Saga("jobs enqueued in one trace without a root are not several roots", """
        a         q0 1..2 job
        b         q0 1..3 job
        c         q0 4..5 job
        """, verdict="succeeded"),
    Saga("a flat trace of jobs, one of which failed", """
        a         q0 1..2 job +x
        b         q0 1..3 job failed !no
        """, verdict="rollback_missing", path="b", roles="b:cause", compensations="a<-:not_started",
        standing="a: compensation never started"),
    Saga("a flat trace whose second job waits for the first", """
        a         q0 1..2 job
        b         d0 3..4 job needs=a
        """, verdict="succeeded"),
    Saga("a child that begins 20 microseconds before its parent is not an anomaly", """
        loan      1.00002..9
          a       1..2
        """, verdict="succeeded"),
    Saga("branches of jobs that ran in parallel have no order", """
        trip      0..30 failed
          left    1..10 job
            a     2..3 +x
          right   1..12 job
            b     4..5 +y
          pay     13..14 failed
          u1      15..16 ~a
          u2      17..18 ~b
        """, verdict="rolled_back", path="trip pay", roles="pay:cause trip:consequence",
        compensations="a<u1:compensated b<u2:compensated"),
    Saga("within a branch that ran in parallel the order counts", """
        trip      0..30 failed
          left    1..10
            a     2..3 +x
            c     4..5 +x
          right   1..12
            b     4..5 +y
          pay     13..14 failed
          u1      15..16 ~a
          u2      17..18 ~b
          u3      19..20 ~c
        """, verdict="rolled_back", path="trip pay", roles="pay:cause trip:consequence",
        compensations="a<u1:compensated b<u2:compensated c<u3:compensated",
        anomalies="out_of_order_undo(u1 u3)"),
    Saga("branches that ran one after the other have an order, deep below", """
        trip      0..30 failed
          left    1..5
            in    1..5
              a   2..3 +x
          right   6..12
            b     7..8 +y
          pay     13..14 failed
          u1      15..16 ~a
          u2      17..18 ~b
        """, verdict="rolled_back", path="trip pay", roles="pay:cause trip:consequence",
        compensations="a<u1:compensated b<u2:compensated", anomalies="out_of_order_undo(u1 u2)"),
]  # fmt: skip
