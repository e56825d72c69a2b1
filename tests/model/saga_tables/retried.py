"""Sagas whose job RQ retried."""

from __future__ import annotations

from notation import Saga

RETRIED = [
    Saga("a saga tried twice by RQ, both attempts fail and unwind", """
        order     0..6:retry 61..66 failed job !no
          w1      0.5..5.5 failed named=loan !no
            a1    1..3 +x
            x1    3.1..3.5 failed !no
            u1    4..5 ~a1
          w2      62..65.5 failed named=loan !no
            a2    62.1..63 +x
            x2    63.1..63.5 failed !no
            u2    64..65 ~a2
        """, verdict="rolled_back", path="order w1 x1",
        roles="order:consequence w1:consequence w2:consequence x1:cause x2:independent",
        compensations="a1<u1:compensated a2<u2:compensated"),
    Saga("the same, with the steps directly under the job", """
        order     0..6:retry 61..66 failed job !no
          a1      1..3 +x
          x1      3.1..3.5 failed !no
          u1      4..5 ~a1
          a2      62.1..63 +x
          x2      63.1..63.5 failed !no
          u2      64..65 ~a2
        """, verdict="rolled_back", path="order x1",
        roles="order:consequence x1:cause x2:independent", compensations="a1<u1:compensated a2<u2:compensated"),
    Saga("anomalies within the second attempt are reported", """
        order     0..6:retry 61..90 failed job !no
          a1      1..3 +x
          u1      4..5 ~a1
          a2      62..63 +x
          b2      64..65 +x
          x2      66..67 failed !no
          u2      70..71 ~a2
          u3      72..73 ~b2
          late    75..76
        """, verdict="rolled_back", path="order x2", roles="order:consequence x2:cause",
        compensations="a1<u1:compensated a2<u2:compensated b2<u3:compensated",
        anomalies="out_of_order_undo(u2 u3) step_after_abort(late)"),
    Saga("a step that began after the undoing had, in the first attempt", """
        order     0..6:retry 61..66 failed job !no
          a1      1..3 +x
          u1      4..4.5 ~a1
          late    5..5.5
          a2      62..63
        """, verdict="rolled_back", path="order", roles="order:cause", compensations="a1<u1:compensated",
        anomalies="step_after_abort(late)"),
    Saga("a first attempt rolled back, a good second one", """
        order     0..6:retry 61..66 job !no
          a1      1..3 +x
          x1      3.1..3.5 failed named=x !no
          u1      4..5 ~a1
          a2      62.1..63 +x
          x2      63.1..63.5 named=x
        """, verdict="succeeded", roles="order:recovered x1:recovered", compensations="a1<u1:compensated",
        summary="succeeded · 2 failures recovered"),
    Saga("the same, and only the job itself says that the first attempt failed", """
        order     0..6:retry 61..66 job !no
          a1      1..3 +x
          u1      4..5 ~a1
          a2      62.1..63 +x
        """, verdict="succeeded", roles="order:recovered", compensations="a1<u1:compensated"),
    Saga("a first attempt rolled back, and a second one that runs", """
        order     0..6:retry 61.. job !no
          a1      1..3 +x
          x1      3.1..3.5 failed !no
          u1      4..5 ~a1
          ask     62..
        """, verdict="running", path="order x1", roles="x1:cause", compensations="a1<u1:compensated",
        summary="failed at stage:x1 (no) · running: stage:ask"),
    Saga("a first attempt not rolled back, with one step from a host whose clock is behind", """
        order     1..6:retry 61..66 job !no
          a1      0.9..3 +x
          u1      4..5 failed ~a1 !down
          a2      62..63 +x
        """, verdict="rollback_incomplete", path="order", roles="order:cause u1:compensation",
        compensations="a1<u1:failed",
        standing="a1: compensation failed after 1 attempt", anomalies="clock_skew(a1)",
        summary="reported success, but failed at order (no) · rollback incomplete: 1 of 1 step still standing "
                "(stage:a1)"),
    Saga("a first attempt rolled back, and a second one without an end", """
        order     0..6:retry 61.. job !no
          a1      1..3 +x
          x1      3.1..3.5 failed !no
          u1      4..5 ~a1
        """, verdict="rolled_back", path="order x1", roles="x1:cause", compensations="a1<u1:compensated",
        anomalies="never_ended(order)", idle=True, summary="failed at stage:x1 (no) · rolled back: 1 step undone"),
    Saga("a first attempt rolled back, and a second one that is being rolled back", """
        order     0..6:retry 61.. job !no
          a1      1..3 +x
          x1      3.1..3.5 failed !no
          u1      4..5 ~a1
          a2      62..63 +x
          x2      63.1..63.5 failed !no
          u2      64.. ~a2
        """, verdict="compensating", path="order x1", roles="x1:cause x2:independent",
        compensations="a1<u1:compensated a2<u2:running", standing="a2: compensation still running"),
    Saga("a first attempt that recorded its undo under the job's id, a successful second one", """
        order     0..6:retry 61..66 job unwind=4..5 !no
          a1      1..3
          a2      62..63
        """, verdict="succeeded", roles="order:recovered", compensations="order<order:compensated",
        summary="succeeded · 1 failure recovered"),
    Saga("a successful second attempt that recorded its undo under the job's id", """
        order     0..6:retry 61..66 job unwind=64..65 !no
          a2      62..63
        """, verdict="succeeded_but_compensated", roles="order:recovered", compensations="order<order:compensated",
        anomalies="green_but_compensated(order)"),
    Saga("a first attempt not wholly rolled back, a good second one", """
        order     0..6:retry 61..66 job !no
          a1      1..2 +x
          b1      2..3 +x
          u1      4..5 ~b1
          a2      62..63 +x
        """, verdict="rollback_incomplete", path="order", roles="order:cause",
        compensations="b1<u1:compensated a1<-:not_started",
        standing="a1: rollback stopped before this step",
        summary="reported success, but failed at order (no) · rollback incomplete: 1 of 2 steps still standing "
                "(stage:a1)"),
    Saga("a first attempt not undone, a second partly rolled back, a successful third one", """
        order     0..6:retry 20..26:retry 61..66 job !no
          a1      1..2 +x
          a2      21..22 +x
          b2      22..23 +x
          u2      24..25 ~b2
          a3      62..63 +x
        """, verdict="rollback_incomplete", path="order", roles="order:cause",
        compensations="b2<u2:compensated a2<-:not_started",
        standing="a2: rollback stopped before this step",
        summary="reported success, but failed at order (no) · rollback incomplete: 1 of 2 steps still standing "
                "(stage:a2)"),
    Saga("a good second attempt that was undone all the same", """
        order     0..6:retry 61..66 job !no
          a1      1..2 +x
          u1      4..5 ~a1
          a2      62..63 +x
          u2      64..65 ~a2
        """, verdict="succeeded_but_compensated", roles="order:recovered",
        compensations="a1<u1:compensated a2<u2:compensated", anomalies="green_but_compensated(u2)"),
    Saga("a first attempt rolled back, a good second one, and a job that it left behind failed", """
        order     0..6:retry 61..66 job !no
          a1      1..2 +x
          u1      4..5 ~a1
          a2      62..63 +x
          mail    q65 70..71 failed job !down
        """, verdict="rollback_incomplete", path="order mail", roles="mail:cause order:recovered",
        compensations="a1<u1:compensated a2<-:not_started", standing="a2: rollback stopped before this step",
        summary="failed at mail (down) · rollback incomplete: 1 of 2 steps still standing (stage:a2)"),
    Saga("a stage that continues after an inner saga was rolled back", """
        trip      0..20 failed
          visa    1..2 +revoke
          book    3..9 failed
            hotel 4..5 +cancel
            full  6..7 failed !full
            u1    8..8.5 ~hotel
          inform  10..11
          u2      14..15 ~visa
        """, verdict="rolled_back", path="trip book full",
        roles="book:consequence full:cause trip:consequence", compensations="hotel<u1:compensated visa<u2:compensated"),
]  # fmt: skip
