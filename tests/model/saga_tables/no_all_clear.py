"""Sagas that a hasty reading would call well: ends that were not seen, and undos that settle nothing."""

from __future__ import annotations

from notation import Saga

NO_ALL_CLEAR = [
    Saga("a step one of whose jobs was undone, and another never ended", """
        loan      0..30 failed
          book    1..5 +unbook
            hotel 2..3 job
            car   4.. job
          pay     6..7 failed
          u1      8..9 ~hotel
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        compensations="hotel<u1:compensated book<-:not_started",
        standing="book: rollback stopped before this step", anomalies="never_ended(car)", idle=True),
    Saga("a step that failed outright, one of its jobs was undone, and another never ended", """
        loan      0..30 failed
          book    1..5 failed +unbook
            hotel 2..3 job
            car   2.5.. job
          u1      8..9 ~hotel
        """, verdict="rollback_incomplete", path="loan book", roles="book:cause loan:consequence",
        compensations="hotel<u1:compensated book<-:not_started",
        standing="book?: rollback stopped before this step; its job car never ended: it may have taken effect",
        anomalies="never_ended(car)", idle=True),
    Saga("a step one of whose jobs was undone, and another still waits for a worker", """
        loan      0..30 failed
          book    1..5 +unbook
            hotel 2..3 job
            car   q4 job
          pay     6..7 failed
          u1      8..9 ~hotel
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        compensations="hotel<u1:compensated book<-:not_started",
        standing="book: rollback stopped before this step", anomalies="never_ended(car)", idle=True),
    Saga("a job of an undone step still waits for a job that went well", """
        loan       0..9 failed
          prep     0.5..0.7 job
          pay      1..2 +refund
            charge d1 job needs=prep
          bad      3..4 failed
          u1       5..6 ~pay
        """, verdict="rollback_incomplete", path="loan bad", roles="bad:cause loan:consequence",
        compensations="pay<u1:compensated",
        standing="pay: undone before the work below it ended (or clocks disagree); its job charge was never taken: "
                 "it may still run",
        anomalies="never_ended(charge)", idle=True),
    Saga("a job of an undone step still waits for a job that failed and was run again well", """
        loan       0..9 failed
          prep     0.5..0.7 failed job
          prep     0.8..0.9 job
          pay      1..2 +refund
            charge d1 job needs=prep
          bad      3..4 failed
          u1       5..6 ~pay
        """, verdict="rollback_incomplete", path="loan prep",
        roles="bad:independent loan:consequence prep:cause", compensations="pay<u1:compensated",
        standing="pay: undone before the work below it ended (or clocks disagree); its job charge was never taken: "
                 "it may still run",
        anomalies="never_ended(charge)", idle=True),
    Saga("a job of an undone step will never run", """
        loan       0..9 failed
          prep     0.5..0.7 failed job
          pay      1..2 +refund
            charge d1 job needs=prep
          bad      3..4 failed
          u1       5..6 ~pay
        """, verdict="rolled_back", path="loan prep",
        roles="bad:independent loan:consequence prep:cause", compensations="pay<u1:compensated",
        never_ran="charge<prep"),
    Saga("green, and a step that never ended could not be undone", """
        loan      0..30
          credit  2.. +release
          u1      6..7 failed ~credit
        """, verdict="rollback_incomplete", roles="u1:compensation", compensations="credit<u1:failed",
        standing="credit?: compensation failed after 1 attempt",
        anomalies="never_ended(credit) green_but_compensated(u1)", idle=True),
    Saga("green, and a step in a failed branch never ended", """
        loan      0..30
          trip    1..12 saga failed
            book  2.. +unbook
            pay   4..5 failed
          mail    13..14
        """, verdict="rollback_missing", path="loan trip pay", roles="pay:cause trip:consequence",
        compensations="book<-:not_started", standing="book?: compensation never started",
        anomalies="never_ended(book)", idle=True),
    Saga("green, a step in a failed branch never ended, and its undo failed", """
        loan      0..30
          trip    1..12 saga failed
            book  2.. +unbook
            pay   4..5 failed
            u1    6..7 failed ~book
          mail    13..14
        """, verdict="rollback_incomplete", path="loan trip pay",
        roles="pay:cause trip:consequence u1:compensation", compensations="book<u1:failed",
        standing="book?: compensation failed after 1 attempt", anomalies="never_ended(book)", idle=True),
    Saga("green after a second attempt, and a job of the first one never ended", """
        order     0..10:retry 20..30 job exec=x1,x2
          w1      1..9 workflow failed named=buy exec=x1
            hotel 2.. job +cancel
            pay   4..5 failed exec=x1
          w2      21..29 workflow named=buy exec=x2
            mail  22..23 exec=x2
        """, verdict="rollback_missing", path="order w1 pay", roles="order:recovered pay:cause w1:consequence",
        compensations="hotel<-:not_started", standing="hotel?: compensation never started",
        anomalies="never_ended(hotel)", idle=True),
    Saga("a step that never ended, and an undo that was over before", """
        loan      0..9 failed
          credit  1.. job +release
          pay     3..4 failed
          u1      5..6 ~credit
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        compensations="credit<u1:compensated", standing="credit?: undone before it ended (or clocks disagree)",
        anomalies="never_ended(credit)", idle=True),
    Saga("a step that waited for its retry when it was undone, and was never heard of again", """
        loan      0..9 failed
          credit  1..2:retry job +release
          pay     3..4 failed
          u1      5..6 ~credit
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        compensations="credit<u1:compensated", standing="credit?: undone before it ended (or clocks disagree)",
        anomalies="never_ended(credit)", idle=True),
    Saga("beside a good root and one that failed, a step whose place is unknown", """
        hotel     0..9
        car       0..9 failed
          k       1..2 +cancel
          p       3..4 failed
          u       5..6 ~k
        a         1..2 +x under=gone
        """, verdict="rollback_incomplete", path="car p", roles="car:consequence p:cause",
        compensations="k<u:compensated a<-:not_started", standing="a: rollback stopped before this step",
        anomalies="orphan(a) several_roots(car hotel)"),
    Saga("two roots, nothing undone, and a step whose place is unknown", """
        hotel     0..9
        car       0..9 failed
        a         1..2 +x under=gone
        """, verdict="rollback_missing", path="car", roles="car:cause", compensations="a<-:not_started",
        standing="a: compensation never started", anomalies="orphan(a) several_roots(car hotel)"),
    Saga("to undo the undo was interrupted: the step may stand again", """
        loan      0..20 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5..6 ~credit
          again   6.5..8 job abandoned exec=x
            u2    7.. ~u1 exec=x
        """, verdict="rollback_incomplete", path="loan pay",
        roles="again:compensation loan:consequence pay:cause u2:compensation",
        compensations="credit<u1:compensated u1<u2:unconfirmed",
        standing="credit?: its compensation was undone again; whether that took effect is unknown"),
    Saga("to undo the undo timed out: the step may stand again", """
        loan      0..20 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5..6 ~credit
          u2      7..8 failed ~u1 !JobTimeoutException:3 s
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause u2:compensation",
        compensations="credit<u1:compensated u1<u2:failed",
        standing="credit?: its compensation was undone again; whether that took effect is unknown"),
    Saga("to undo the undo never ended: the step may stand again", """
        loan      0..20 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5..6 ~credit
          u2      7.. ~u1
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        compensations="credit<u1:compensated u1<u2:unconfirmed",
        standing="credit?: its compensation was undone again; whether that took effect is unknown",
        anomalies="never_ended(u2)", idle=True),
    Saga("an undo that names no step failed, after one below it had named its own", """
        loan      0..20 failed
          credit  1..2 +release
          rate    2..3
          pay     3..4 failed
          clean   5..9 failed ~ !down
            u1    6..7 ~credit
        """, verdict="rollback_incomplete", path="loan pay",
        roles="clean:compensation loan:consequence pay:cause", compensations="credit<u1:compensated"),
    Saga("an undo that names no step was killed, after one below it had named its own", """
        job       0..20 job failed exec=x
          loan    1.. workflow exec=x
            credit 1..2 +release exec=x
            rate  2..3 exec=x
            pay   3..4 failed exec=x
            clean 5.. ~ exec=x
              u1  6..7 ~credit exec=x
        """, verdict="rollback_incomplete", path="job loan pay",
        roles="clean:compensation job:consequence loan:consequence pay:cause",
        compensations="credit<u1:compensated"),
    Saga("a step's own undo is under way, and its saga has failed", """
        loan      0..9 failed
          credit  1..2 +release unwind=3..
          pay     2..2.5 failed
        """, verdict="compensating", path="loan pay", roles="loan:consequence pay:cause",
        compensations="credit<credit:running", standing="credit: compensation still running"),
    Saga("a saga that failed reports that it began to undo itself", """
        loan      0..9 failed unwind=5..
          credit  1..2 +release
        """, verdict="compensating", path="loan", roles="loan:cause",
        compensations="loan<loan:running credit<-:not_started", standing="credit: waits to be undone"),
    Saga("of a first attempt no end is known, and the second failed outright", """
        loan      0..9 failed
          pay     1.. 3..4 failed job +refund !SoldOut:no
        """, verdict="rollback_missing", path="loan pay", roles="loan:consequence pay:cause",
        compensations="pay<-:not_started", standing="pay?: compensation never started"),
    Saga("green, and an undo that was enqueued never ran", """
        loan      0..9
          credit  1..2 +release
          u1      q5 job ~credit
        """, verdict="rollback_missing", compensations="credit<u1:not_started",
        standing="credit: compensation never started", anomalies="never_ended(u1)", idle=True),
    Saga("green, and an undo waits for a job that failed", """
        loan      0..9
          credit  1..2 +release
          mail    3..4 job failed
          u1      d5 job ~credit needs=mail
        """, verdict="rollback_missing", roles="mail:recovered", compensations="credit<u1:not_started",
        standing="credit: compensation never started", never_ran="u1<mail", idle=True),
    Saga("a job within a job of a step, and the outer one was undone", """
        loan      0..30 failed
          book    1..5 +unbook
            hotel 2..4 job
              room 3..3.5 job
          pay     6..7 failed
          u1      8..9 ~hotel
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        compensations="hotel<u1:compensated"),
    Saga("green, and a saga inside it never ended after a failure", """
        loan      0..30
          trip    1.. saga
            book  2..3 +unbook
            pay   4..5 failed
          mail    13..14
        """, verdict="rollback_missing", path="loan trip pay", roles="pay:cause",
        compensations="book<-:not_started", standing="book: compensation never started",
        anomalies="never_ended(trip)", idle=True),
    Saga("green, and a saga inside it never ended after a failure that a second try made up for", """
        loan      0..30
          trip    1.. saga
            book  2..3 +unbook
            p1    4..5 failed named=pay
            p2    6..7 named=pay
        """, verdict="succeeded", roles="p1:recovered", anomalies="never_ended(trip)", idle=True),
    Saga("green, and in a failed saga the undo of an undo never ended", """
        loan      0..30
          trip    1..20 saga failed
            book  2..3 +unbook
            pay   4..5 failed
            u1    6..7 ~book
            u2    8.. ~u1
          mail    21..22
        """, verdict="rollback_incomplete", path="loan trip pay", roles="pay:cause trip:consequence",
        compensations="book<u1:compensated u1<u2:unconfirmed",
        standing="book?: its compensation was undone again; whether that took effect is unknown",
        anomalies="never_ended(u2)", idle=True),
    Saga("a good group of undos left a job behind, which failed", """
        loan      0..30 failed
          credit  1..2 +release
          pay     3..4 failed
          rollback 5..7
            u1    6..6.5 ~credit
            purge 6.6..8 failed job
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause purge:compensation",
        compensations="credit<u1:compensated"),
]  # fmt: skip
