"""Runs of one job id, spans that ended with their process, and jobs that can never run."""

from __future__ import annotations

from notation import Saga

PROCESSES = [
    Saga("a repeated job: four runs, and the second failed", """
        night     0..1 job exec=x1
        night     10..11 failed job exec=x2 !down
        night     20..21 job exec=x3
        night     30..31 job exec=x4
        """, verdict="failed", path="night#2", roles="night#2:cause",
        summary="failed at night in run 2 of 4 (down) · nothing to undo"),
    Saga("a job id used three times, each run with a saga of its own", """
        night     0..9 job exec=x1
          w1      1..8 workflow exec=x1
            a1    2..3 +x exec=x1
        night     10..19 failed job exec=x2 !down
          w2      11..18 workflow failed exec=x2 !down
            a2    12..13 +x exec=x2
            b2    14..15 failed exec=x2 !down
            u2    16..17 ~a2 exec=x2
        night     20..29 job exec=x3
          w3      21..28 workflow exec=x3
            a3    22..23 +x exec=x3
        """, verdict="rolled_back", path="night#2 w2 b2", roles="b2:cause night#2:consequence w2:consequence",
        compensations="a2<u2:compensated",
        summary="failed at stage:b2 in run 2 of 3 (down) · rolled back: 1 step undone"),
    Saga("a saga that timed out while a step ran, which ended before its undo", """
        loan      0..9 failed !Timeout:3 seconds
          credit  1..2 job +x
          pay     2..6 job +x
            bank  3..5
          u1      d4 7..8 job ~pay
          u2      8..9 job ~credit
        """, verdict="rolled_back", path="loan", roles="loan:cause",
        compensations="pay<u1:compensated credit<u2:compensated",
        summary="failed at workflow:loan while stage:bank ran (Timeout: 3 seconds) · rolled back: both steps undone"),
    Saga("a saga that timed out between two steps", """
        loan      0..9 failed !Timeout:3 seconds
          credit  1..2 job +x
          u2      8..9 job ~credit
        """, verdict="rolled_back", path="loan", roles="loan:cause", compensations="credit<u2:compensated",
        summary="failed at workflow:loan (Timeout: 3 seconds) · rolled back: 1 step undone"),
    Saga("requeued from the failed registry within a saga", """
        loan      0..30 failed
          pay     q1 2..3 failed job exec=x1 !down
          pay     q10 11..12 job exec=x2
        """, verdict="failed", path="loan pay", roles="loan:consequence pay:cause"),
    Saga("a run that RQ retried, then a good run", """
        night     0..1:retry 2..3 failed job exec=x1,x2 !down
        night     10..11 job exec=x3
        """, verdict="failed", path="night", roles="night:cause"),
    Saga("a run that RQ retried well, then a good run", """
        night     0..1:retry 2..3 job exec=x1,x2 !down
        night     10..11 job exec=x3
        """, verdict="succeeded", roles="night:recovered"),
    Saga("a run whose worker was killed, then a good run", """
        night     0..4 abandoned job presumed exec=x1
          w1      1.. workflow exec=x1
            a1    2..3 +x exec=x1
        night     10..19 job exec=x2
          w2      11..18 workflow exec=x2
        """, verdict="rollback_missing", path="night w1",
        roles="night:consequence w1:cause", compensations="a1<-:not_started",
        standing="a1: compensation never started"),
    Saga("a saga killed with its horse", """
        order     0..6 failed job exec=x1 !Work-horse terminated unexpectedly
          buy     1.. workflow exec=x1
            pay   2..3 +refund exec=x1
            ship  4.. +recall exec=x1
        """, verdict="rollback_missing", path="order buy ship",
        roles="buy:consequence order:consequence ship:cause",
        compensations="ship<-:not_started pay<-:not_started",
        standing="pay: compensation never started; ship?: compensation never started"),
    Saga("a saga stopped by command", """
        order     0..6 stopped job exec=x1
          buy     1.. workflow exec=x1
            pay   2..3 +refund exec=x1
            ship  4.. exec=x1
        """, verdict="rollback_missing", path="order buy ship", roles="buy:consequence ship:cause",
        compensations="pay<-:not_started", standing="pay: compensation never started"),
    Saga("a saga that timed out while it undid", """
        order     0..20 failed job exec=x1 !JobTimeoutException:exceeded 20 s
          buy     1.. workflow exec=x1
            pay   2..3 +refund exec=x1
            hold  3..4 +free exec=x1
            ship  5..6 failed exec=x1 !sold out
            u2    7..8 ~hold exec=x1
            u1    9.. ~pay exec=x1
        """, verdict="rollback_incomplete", path="order buy ship",
        roles="buy:consequence order:consequence ship:cause u1:compensation",
        compensations="hold<u2:compensated pay<u1:unconfirmed",
        standing="pay: unconfirmed: compensation started, no outcome recorded"),
    Saga("killed and retried well, and nothing had been done", """
        order     0..6:retry 61..70 job exec=x1,x2 !killed
          w1      1.. workflow named=buy exec=x1
            a1    2.. named=ask exec=x1
          w2      62..69 workflow named=buy exec=x2
            a2    63..64 named=ask exec=x2
        """, verdict="succeeded", roles="a1:recovered order:recovered w1:recovered"),
    Saga("killed, retried, and the second try runs", """
        order     0..6:retry 61.. job exec=x1,x2 !killed
          w1      1.. workflow named=buy exec=x1
          w2      62.. workflow named=buy exec=x2
        """, verdict="running", path="order w1", roles="w1:cause"),
    Saga("a span begun to outlive its job runs on", """
        order     0..6 job exec=x1
          watch   1..
        """, verdict="running"),
    Saga("failed for good, and its dependents will never run", """
        a         0..9 failed job !no
        b         d0 job needs=a
        c         d0 job needs=b
        """, verdict="failed", path="a", roles="a:cause", never_ran="b<a c<b"),
    Saga("failed for good, with a saga within and a dependent", """
        a         0..9 failed job exec=x1 !no
          buy     1..8 workflow failed exec=x1 !no
            pay   2..3 +refund exec=x1
            ship  4..5 failed exec=x1 !no
            u1    6..7 ~pay exec=x1
        b         d0 job needs=a
        """, verdict="rolled_back", path="a buy ship", roles="a:consequence buy:consequence ship:cause",
        compensations="pay<u1:compensated", never_ran="b<a"),
    Saga("failed after its retries, and its dependents will never run", """
        a         0..1:retry 2..3:retry 4..5 failed job !no
        b         d0 job +x needs=a
        """, verdict="failed", path="a", roles="a:cause", never_ran="b<a"),
    Saga("between two tries, and its dependents may yet run", """
        a         0..1:retry job !no
        b         d0 job needs=a
        """, verdict="running"),
    Saga("killed within a step that could be undone, and the whole was retried well", """
        order     0..6:retry 61..70 job exec=x1,x2 !killed
          w1      1.. workflow named=buy exec=x1
            a1    2..3 named=pay +refund exec=x1
            b1    4.. named=ship +recall exec=x1
          w2      62..69 workflow named=buy exec=x2
            a2    63..64 named=pay +refund exec=x2
            b2    65..66 named=ship +recall exec=x2
        """, verdict="succeeded", roles="b1:recovered order:recovered w1:recovered",
        summary="succeeded · 3 failures recovered"),
    Saga("killed within a step that the second try never came to", """
        order     0..6:retry 61..70 job exec=x1,x2 !killed
          w1      1.. workflow named=buy exec=x1
            a1    2..3 named=pay +refund exec=x1
            b1    4.. named=ship +recall exec=x1
          w2      62..69 workflow named=buy exec=x2
            a2    63..64 named=pay +refund exec=x2
        """, verdict="rollback_missing", path="order w1 b1", roles="b1:cause order:recovered w1:consequence",
        compensations="b1<-:not_started", standing="b1?: compensation never started"),
    Saga("killed while it undid, and the whole was retried well", """
        order     0..9:retry 61..70 job exec=x1,x2 !killed
          w1      1.. workflow named=buy exec=x1
            a1    2..3 named=pay +refund exec=x1
            b1    4..5 failed named=ship exec=x1
            u1    6.. ~a1 exec=x1
          w2      62..69 workflow named=buy exec=x2
            a2    63..64 named=pay +refund exec=x2
            b2    65..66 named=ship exec=x2
        """, verdict="rollback_incomplete", path="order w1 b1",
        roles="b1:cause order:recovered u1:compensation w1:consequence",
        compensations="a1<u1:unconfirmed", standing="a1: unconfirmed: compensation started, no outcome recorded"),
    Saga("timed out within a step that could be undone, and the whole was retried well", """
        order     0..6:retry 61..70 job exec=x1,x2 !slow
          w1      1..5 workflow failed named=buy exec=x1 !TimeoutError:slow
            a1    2..3 named=pay +refund exec=x1
            b1    4..5 failed named=ship +recall exec=x1 !TimeoutError:slow
          w2      62..69 workflow named=buy exec=x2
            a2    63..64 named=pay +refund exec=x2
            b2    65..66 named=ship +recall exec=x2
        """, verdict="succeeded", roles="b1:recovered order:recovered w1:recovered"),
]  # fmt: skip
