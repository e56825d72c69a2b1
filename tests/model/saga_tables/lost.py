"""Sagas of which an event was lost, or whose clocks disagree, and jobs that run after the undoing."""

from __future__ import annotations

from notation import Saga

LOST = [
    Saga("of a job only the second attempt is recorded, and it failed outright", """
        loan      0..9 failed
          pay     .. 3..4 failed job +refund !SoldOut:no
        """, verdict="rollback_missing", path="loan pay", roles="loan:consequence pay:cause",
        compensations="pay<-:not_started", standing="pay?: compensation never started"),
    Saga("of a job only the first start and the second end are recorded", """
        loan      0..9 failed
          pay     1.. ..4 failed job +refund !SoldOut:no
        """, verdict="rollback_missing", path="loan pay", roles="loan:consequence pay:cause",
        compensations="pay<-:not_started", standing="pay?: compensation never started"),
    Saga("the start of a good second attempt is lost, and the first was not wholly rolled back", """
        order     0..6:retry ..66 job !no
          a1      1..2 +x
          b1      2..3 +x
          u1      4..5 ~b1
          a2      62..63 +x
        """, verdict="rollback_incomplete", path="order", roles="order:cause",
        compensations="b1<u1:compensated a1<-:not_started", standing="a1: rollback stopped before this step"),
    Saga("the start of a second attempt is lost, and its job swallows the failure of its saga", """
        order     0..6:retry ..70 job !down
          w1      1..5 workflow failed named=buy !down
            a1    2..3 failed named=pay !down
          w2      62..69 workflow failed named=buy !sold out
            a2    63..64 named=pay +refund
            b2    65..66 failed named=ship !sold out
        """, verdict="rollback_missing", path="order w1 a1",
        roles="a1:cause b2:independent order:recovered w1:consequence w2:consequence",
        compensations="a2<-:not_started", standing="a2: compensation never started"),
    Saga("the undo of an undo ended before that undo by another host's clock", """
        loan      0..20 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5..8 ~credit
          u2      6..7 ~u1
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        compensations="credit<u1:compensated u1<u2:compensated",
        standing="credit?: its compensation was undone again; whether that took effect is unknown",
        anomalies="hanging_undo(u1 u2)"),
    Saga("green, and of an inner saga that was partly undone no failure is recorded", """
        trip      0..20
          b1      1.. saga named=book
            hotel 2..3 +cancel
            car   3..4 +return
            u1    6..7 ~car
          b2      9..15 saga named=book
        """, verdict="rollback_incomplete", compensations="car<u1:compensated hotel<-:not_started",
        standing="hotel: rollback stopped before this step",
        anomalies="never_ended(b1) step_after_abort(b2) green_but_compensated(u1)", idle=True),
    Saga("a job that only its undo names ran again after the undo", """
        loan      0..30 failed
          a       1..2 job
          u       3..4 ~a
          a       10..11 job
          pay     12..13 failed
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        compensations="a<u:compensated a#2<-:not_started", standing="a#2: rollback stopped before this step",
        anomalies="step_after_abort(a#2 pay)"),
    Saga("green, and a job of a replaced saga still waits", """
        trip      0..20
          b1      1..8 saga failed named=book
            hotel 2..3 +cancel
            car   q3.5 job +return
            fly   4..5 failed
            u1    6..7 ~hotel
          b2      9..15 saga named=book
            bed   10..11 +cancel named=hotel
        """, verdict="rollback_incomplete", path="trip b1 fly", roles="b1:consequence fly:cause",
        compensations="hotel<u1:compensated car<-:not_started",
        standing="car?: compensation never started; its job still waits, and may run later",
        anomalies="never_ended(car)", idle=True),
    Saga("of a job's first run the end is lost, and its second run went well", """
        night     0.. job exec=x1
          w1      1..8 workflow failed exec=x1 !down
            a1    2..3 +x exec=x1 named=pay
        night     20..29 job exec=x2
          w2      21..28 workflow exec=x2
            a2    22..23 +x exec=x2 named=pay
        """, verdict="rollback_missing", path="night w1", roles="w1:cause", compensations="a1<-:not_started",
        standing="a1: compensation never started", anomalies="never_ended(night)", idle=True),
    Saga("green, and of an inner saga that could be undone the failure is lost", """
        loan      0..30
          trip    1.. saga +cancel
            book  2..3
            pay   4..5 failed
          mail    13..14
        """, verdict="rollback_missing", path="loan trip pay", roles="pay:cause", compensations="trip<-:not_started",
        standing="trip?: compensation never started", anomalies="never_ended(trip)", idle=True),
]  # fmt: skip
