"""Jobs that catch the failure of their saga and return, and jobs that undo."""

from __future__ import annotations

from notation import Saga

SWALLOWED = [
    Saga("a job swallows the failure of a saga whose steps were jobs", """
        order      0..20 job
          buy      1..15 workflow failed !sold out
            pay    2..3 job +refund
            ship   4..5 job failed !sold out
        """, verdict="rollback_missing", path="order buy ship", roles="buy:consequence ship:cause",
        compensations="pay<-:not_started", standing="pay: compensation never started",
        summary="failed at ship (sold out) · rollback missing: "
                "1 of 1 step still standing (pay), and no compensation began"),
    Saga("a job swallows the failure of a saga within a saga", """
        order      0..20 job
          trip     1..18 workflow failed !no flight
            visa   2..3 +revoke
            book   4..12 saga failed !no flight
              bed  5..6 +cancel
              fly  7..8 failed !no flight
              u1   9..10 ~bed
            u2     13..14 ~visa
        """, verdict="rolled_back", path="order trip book fly",
        roles="book:consequence fly:cause trip:consequence",
        compensations="bed<u1:compensated visa<u2:compensated"),
    Saga("a job is tried again and swallows the failure of the second try", """
        order      0..6:retry 61..70 job !down
          w1       1..5 workflow failed named=buy !down
            a1     2..3 failed named=pay !down
          w2       62..69 workflow failed named=buy !sold out
            a2     63..64 named=pay +refund
            b2     65..66 failed named=ship !sold out
            u2     67..68 ~a2
        """, verdict="rolled_back", path="order w1 a1",
        roles="a1:cause b2:independent order:recovered w1:consequence w2:consequence",
        compensations="a2<u2:compensated"),
    Saga("a job fails, is tried again, and the second try of the saga goes well", """
        order      0..6:retry 61..70 job !down
          w1       1..5 workflow failed named=buy !down
            a1     2..3 failed named=pay !down
          w2       62..69 workflow named=buy
            a2     63..64 named=pay +refund
        """, verdict="succeeded", roles="a1:recovered order:recovered w1:recovered"),
    Saga("a job swallows the failure of a saga that the root waits for", """
        night      0..30
          order    1..20 job
            buy    2..15 workflow failed !sold out
              pay  3..4 +refund
              ship 5..6 failed !sold out
        """, verdict="rollback_missing", path="night order buy ship", roles="buy:consequence ship:cause",
        compensations="pay<-:not_started", standing="pay: compensation never started"),
    Saga("a job enqueues another one within its saga and swallows the failure", """
        order      0..20 job
          mail     q18 21..22 job
          buy      1..15 workflow failed !sold out
            pay    2..3 +refund
            ship   4..5 failed !sold out
            u1     6..7 ~pay
        """, verdict="rolled_back", path="order buy ship", roles="buy:consequence ship:cause",
        compensations="pay<u1:compensated"),
    Saga("a job swallows the failure of a saga that was stopped", """
        order      0..20 job
          buy      1..15 workflow stopped
            pay    2..3 +refund
        """, verdict="rollback_missing", path="order buy", compensations="pay<-:not_started",
        standing="pay: compensation never started"),
    Saga("a job swallows the failure of a saga whose steps open spans below the job", """
        order      0..20 job
          bank     2.1..2.9
          buy      1..15 workflow failed !sold out
            pay    2..3 +refund
            ship   4..5 failed !sold out
            u1     6..7 ~pay
        """, verdict="rolled_back", path="order buy ship", roles="buy:consequence ship:cause",
        compensations="pay<u1:compensated"),
    Saga("a job goes on in another way after its saga failed", """
        order      0..20 job
          buy      1..8 workflow failed !sold out
            pay    2..3 +refund
            ship   4..5 failed !sold out
            u1     6..7 ~pay
          backlog  9..10
        """, verdict="succeeded", roles="buy:recovered ship:recovered", compensations="pay<u1:compensated"),
    Saga("a job runs two sagas, and one of them failed", """
        order      0..20 job
          one      1..5 workflow
            a      2..3 +x
          two      6..15 workflow failed !no
            b      7..8 +y
            c      9..10 failed !no
            u      11..12 ~b
        """, verdict="succeeded", roles="c:recovered two:recovered", compensations="b<u:compensated"),
    Saga("a job that undoes fails with its compensation, which RQ tried three times", """
        buy        0..10 failed !sold out
          pay      1..2 job +refund
          ship     3..4 job failed !sold out
        undo_pay   11..12:retry 21..22:retry 31..32 failed job needs=x under=buy !TimeoutError:bank down
          refund   31.1..31.9 failed ~pay !TimeoutError:bank down
        """, verdict="rollback_incomplete", path="buy ship",
        roles="buy:consequence refund:compensation ship:cause undo_pay:compensation",
        compensations="pay<refund:failed",
        standing="pay: compensation failed after 1 attempt; its effect is unknown"),
    Saga("a job that undoes fails in the second of two compensations", """
        order      0..10 job failed !sold out
          a        1..2 +ua
          b        3..4 +ub
          c        5..6 failed !sold out
          undo     11..20 job failed !bank down
            u2     12..13 ~b
            u1     14..15 failed ~a !bank down
        """, verdict="rollback_incomplete", path="order c",
        roles="c:cause order:consequence u1:compensation undo:compensation",
        compensations="b<u2:compensated a<u1:failed", standing="a: compensation failed after 1 attempt"),
    Saga("a job that undoes fails, and a second such job does it", """
        order      0..10 job failed !sold out
          a        1..2 +ua
          c        5..6 failed !sold out
          undo1    11..14 job failed named=undo !bank down
            u1     12..13 failed ~a !bank down
          undo2    21..24 job named=undo
            u2     22..23 ~a
        """, verdict="rolled_back", path="order c",
        roles="c:cause order:consequence u1:recovered undo1:recovered",
        compensations="a<u1:failed a<u2:compensated"),
    Saga("a job that undoes was lost with its worker, in a saga within a job", """
        order      0..10 job failed !sold out
          buy      1..9 workflow failed !sold out
            a      2..3 +ua
            c      5..6 failed !sold out
          undo     11..800 job abandoned presumed exec=x2
            u1     12.. ~a exec=x2
        """, verdict="rollback_incomplete", path="order buy c",
        roles="buy:consequence c:cause order:consequence u1:compensation undo:compensation",
        compensations="a<u1:unconfirmed", standing="a: unconfirmed: compensation started, no outcome recorded"),
]  # fmt: skip
