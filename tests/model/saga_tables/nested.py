"""Sagas within sagas."""

from __future__ import annotations

from notation import Saga

NESTED = [
    Saga("an inner saga undoes itself, then the outer one its own", """
        trip          0..20 failed
          visa        1..2 +revoke
          book        3..12 failed
            hotel     4..5 +cancel
            flight    6..7 failed !full
            u1        8..9 ~hotel
          u2          14..15 ~visa
        """, verdict="rolled_back", path="trip book flight", roles="book:consequence flight:cause trip:consequence",
        compensations="hotel<u1:compensated visa<u2:compensated"),
    Saga("the inner saga's undo failed, the outer one's did not", """
        trip          0..20 failed
          visa        1..2 +revoke
          book        3..12 failed
            hotel     4..5 +cancel
            flight    6..7 failed !full
            u1        8..9 failed ~hotel
          u2          14..15 ~visa
        """, verdict="rollback_incomplete", path="trip book flight",
        roles="book:consequence flight:cause trip:consequence u1:compensation",
        compensations="hotel<u1:failed visa<u2:compensated", standing="hotel: compensation failed after 1 attempt"),
    Saga("an inner saga that failed, cleaned up and was replaced leaves a trace that went well", """
        trip          0..20
          b1          1..8 failed named=book
            hotel     2..3 +cancel
            flight    4..5 failed
            u1        6..7 ~hotel
          b2          9..15 named=book
            inn       10..11 +cancel
        """, verdict="succeeded", roles="b1:recovered flight:recovered", compensations="hotel<u1:compensated"),
    Saga("the same, but the replaced one was only partly undone", """
        trip          0..20
          b1          1..8 failed named=book
            hotel     2..3 +cancel
            car       3..4 +return
            flight    4..5 failed
            u1        6..7 ~car
          b2          9..15 named=book
        """, verdict="rollback_incomplete", path="trip b1 flight", roles="b1:consequence flight:cause",
        compensations="car<u1:compensated hotel<-:not_started", standing="hotel: rollback stopped before this step",
        summary="reported success, but failed at stage:flight · rollback incomplete: 1 of 2 steps still standing "
                "(stage:hotel)"),
    Saga("a replaced inner saga recorded that it could not undo itself", """
        trip          0..20
          b1          1..8 failed named=book unwind=6..7!
            hotel     2..3
          b2          9..15 named=book
        """, verdict="rollback_incomplete", path="trip b1", roles="b1:cause", compensations="b1<b1:failed",
        summary="reported success, but failed at stage:book · rollback incomplete: stage:book failed to undo itself"),
    Saga("a replaced inner saga recorded that it undid itself", """
        trip          0..20
          b1          1..8 failed named=book unwind=6..7
            hotel     2..3
          b2          9..15 named=book
        """, verdict="succeeded", roles="b1:recovered", compensations="b1<b1:compensated",
        summary="succeeded · 1 failure recovered"),
    Saga("in a first attempt an undo that names no step failed", """
        order         0..6:retry 61..66 job !no
          a1          1..2
          cleanup     4..5 failed ~
          a2          62..63
        """, verdict="rollback_incomplete", path="order", roles="cleanup:compensation order:cause",
        summary="reported success, but failed at order (no) · rollback incomplete: cleanup failed and names no step"),
    Saga("two concurrent inner sagas, one fails: the other's steps stand as well", """
        trip          0..20 failed
          east        1..9
            hotel     2..3 +cancel
          west        1..8 failed
            car       2..4 +return
            flight    5..6 failed
            u1        7..7.5 ~car
        """, verdict="rollback_incomplete", path="trip west flight",
        roles="flight:cause trip:consequence west:consequence", compensations="car<u1:compensated hotel<-:not_started",
        standing="hotel: rollback stopped before this step"),
]  # fmt: skip
