"""Sagas that report success although compensation began, and compensations that share a name or name no step."""

from __future__ import annotations

from notation import Saga

GREEN = [
    Saga("green, and a job that undoes failed", """
        loan      0..20
          a       1..2 +x
          b       3..4 failed !full
          undo    5..9 job failed !down
            u1    6..7 failed ~a !down
        """, verdict="rollback_incomplete", path="loan b",
        roles="b:cause u1:compensation undo:compensation", compensations="a<u1:failed",
        standing="a: compensation failed after 1 attempt", anomalies="green_but_compensated(u1)",
        summary="reported success, but failed at stage:b (full) · "
                "rollback incomplete: 1 of 1 step still standing (stage:a)"),
    Saga("green, and the outcome of a compensation is unknown", """
        loan      0..20
          a       1..2 +x
          b       3..4 failed !full
          u1      5.. ~a
        """, verdict="rollback_incomplete", path="loan b", roles="b:cause", compensations="a<u1:unconfirmed",
        standing="a: unconfirmed: compensation started, no outcome recorded",
        anomalies="never_ended(u1) green_but_compensated(u1)", idle=True),
    Saga("green, and an inner saga could not be undone", """
        trip       0..20
          book     1..15 saga failed !full
            bed    2..3 +cancel
            fly    4..5 failed !full
            u1     6..7 failed ~bed !down
        """, verdict="rollback_incomplete", path="trip book fly",
        roles="book:consequence fly:cause u1:compensation", compensations="bed<u1:failed",
        standing="bed: compensation failed after 1 attempt"),
    Saga("green after a compensation that RQ tried again in vain", """
        loan      0..40
          a       1..2 job +x
          b       3..4 job failed !full
          u1      5..6:retry 7..8:retry 9..10 failed job ~a !down
        """, verdict="rollback_incomplete", path="loan b", roles="b:cause u1:compensation",
        compensations="a<u1:failed", standing="a: compensation failed after 3 attempts",
        anomalies="green_but_compensated(u1)"),
    Saga("green and all undone: the cause is why undoing began", """
        loan      0..20
          a       1..2 +x
          b       3..4 failed !full
          u1      5..6 ~a
        """, verdict="succeeded_but_compensated", path="loan b", roles="b:cause",
        compensations="a<u1:compensated", anomalies="green_but_compensated(u1)",
        summary="reported success, but failed at stage:b (full) · compensated: stage:a undone"),
    Saga("compensations of one name as jobs: the second of another step recovers nothing", """
        loan      0..20 failed
          a       1..2 job +x
          b       3..4 job +x
          pay     5..6 failed
          ub      7..8 failed job ~b named=cancel !500
          ua      9..10 job ~a named=cancel
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause ub:compensation",
        compensations="b<ub:failed a<ua:compensated", standing="b: compensation failed after 1 attempt"),
    Saga("compensations of one name in a saga within a saga", """
        trip       0..30 failed
          book     1..20 saga failed
            a      2..3 +x
            b      4..5 +x
            fly    6..7 failed
            ub     8..9 failed ~b named=cancel !500
            ua     10..11 ~a named=cancel
        """, verdict="rollback_incomplete", path="trip book fly",
        roles="book:consequence fly:cause trip:consequence ub:compensation",
        compensations="b<ub:failed a<ua:compensated", standing="b: compensation failed after 1 attempt"),
    Saga("compensations of one name: the failed one is retried and succeeds", """
        loan      0..30 failed
          a       1..2 +x
          b       3..4 +x
          pay     5..6 failed
          ub      7..8 failed ~b named=cancel !500
          ua      9..10 ~a named=cancel
          ub2     11..12 ~b named=cancel
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause ub:recovered",
        compensations="b<ub:failed a<ua:compensated b<ub2:compensated"),
    Saga("jobs without a step below compensations of one name", """
        loan      0..20 failed
          a       1..2 +x
          b       3..4 +x
          pay     5..6 failed
          ub      7..8 failed ~b named=cancel !500
            jb    7.1..7.9 failed job named=call !500
          ua      9..10 ~a named=cancel
            ja    9.1..9.9 job named=call
        """, verdict="rollback_incomplete", path="loan pay",
        roles="jb:compensation loan:consequence pay:cause ub:compensation",
        compensations="b<ub:failed a<ua:compensated", standing="b: compensation failed after 1 attempt"),
    Saga("undos that name no step, as jobs in a group", """
        loan       0..20 failed
          pay      5..6 failed
          rollback 7..15
            c1     8..9 failed ~ named=cleanup !500
            c2     10..11 ~ named=cleanup
        """, verdict="rollback_incomplete", path="loan pay", roles="c1:compensation loan:consequence pay:cause"),
]  # fmt: skip
