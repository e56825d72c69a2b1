"""Steps that did not succeed but may have had an effect."""

from __future__ import annotations

from notation import Saga

PAY = "loan:consequence pay:cause"

EFFECTS = [
    Saga("a step gave up, and its job completed after that", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..5 failed +refund !LoanError:no result
            send  3..7 job
          u1      6..6.5 ~credit
        """, verdict="rollback_incomplete", path="loan pay", roles=PAY,
        compensations="credit<u1:compensated pay<-:not_started",
        standing="pay: compensation never started; its job send completed at 2025-01-01 00:00:07.000Z, "
                 "after it had failed: it took effect",
        summary="failed at stage:pay (LoanError: no result) · "
             "rollback incomplete: 1 of 2 steps still standing (stage:pay)"),
    Saga("the same, deeper down, and the step itself timed out", """
        loan      0..9 failed
          pay     3..5 failed +refund !JobTimeoutException:3 s
            bank  3..7
              send 4..6 job
        """, verdict="rollback_missing", path="loan pay", roles=PAY, compensations="pay<-:not_started",
        standing="pay: compensation never started; its job send (and 1 more) completed at 2025-01-01 00:00:06.000Z, "
                 "after it had failed: it took effect"),
    Saga("the worker of a step's job was lost", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..5 failed +refund !LoanError:lost
            send  3..4 abandoned job presumed
          u1      6..6.5 ~credit
        """, verdict="rollback_incomplete", path="loan pay send",
        roles="loan:consequence pay:consequence send:cause", compensations="credit<u1:compensated pay<-:not_started",
        standing="pay?: compensation never started; the outcome of its job send is unknown (its worker was lost): "
                 "it may have taken effect"),
    Saga("a step's job timed out", """
        loan      0..9 failed
          pay     3..5 failed +refund !LoanError:no result
            send  3..4 failed job !JobTimeoutException:1 s
        """, verdict="rollback_missing", path="loan pay send",
        roles="loan:consequence pay:consequence send:cause", compensations="pay<-:not_started",
        standing="pay?: compensation never started; the outcome of its job send is unknown (JobTimeoutException): "
                 "it may have taken effect"),
    Saga("a step's job is still running", """
        loan      0..9 failed
          pay     3..5 failed +refund !LoanError:no result
            send  3.. job
        """, verdict="running", path="loan pay", roles=PAY, compensations="pay<-:not_started",
        standing="pay?: compensation not started so far; its job send is still running: it may have taken effect"),
    Saga("a step's job never ended", """
        loan      0..9 failed
          pay     3..5 failed +refund !LoanError:no result
            send  3.. job
        """, verdict="rollback_missing", path="loan pay", roles=PAY, compensations="pay<-:not_started",
        standing="pay?: compensation never started; its job send never ended: it may have taken effect",
        anomalies="never_ended(send)", idle=True),
    Saga("a step's job still waits for a worker", """
        loan      0..9 failed
          pay     3..5 failed +refund !LoanError:no result
            send  q3 job
        """, verdict="rollback_missing", path="loan pay", roles=PAY, compensations="pay<-:not_started",
        standing="pay?: compensation never started; its job send was never taken: it may still run",
        anomalies="never_ended(send)", idle=True),
    Saga("one of a step's jobs completed before the other failed: only the step's undo would undo it", """
        loan      0..9 failed
          pay     1..6 failed +refund
            charge 2..3 job
            mail  4..5 failed job
        """, verdict="rollback_missing", path="loan pay mail",
        roles="loan:consequence mail:cause pay:consequence", compensations="pay<-:not_started",
        standing="pay?: compensation never started; its job charge completed at 2025-01-01 00:00:03.000Z, "
                 "before it failed: it may have taken effect"),
    Saga("a job with an undo of its own answers for itself", """
        loan      0..9 failed
          pay     1..6 failed +refund
            charge 2..3 job +refund_charge
            mail  4..5 failed job
            u1    5.5..5.8 ~charge
        """, verdict="rolled_back", path="loan pay mail",
        roles="loan:consequence mail:cause pay:consequence", compensations="charge<u1:compensated"),
    Saga("so does a step that an undo names, although it declared no compensation", """
        loan      0..9 failed
          pay     1..6 failed +refund
            charge 2..3 job
            mail  4..5 failed job
            u1    5.5..5.8 ~charge
        """, verdict="rolled_back", path="loan pay mail",
        roles="loan:consequence mail:cause pay:consequence", compensations="charge<u1:compensated"),
    Saga("a failed job and a job that will never run left no effects", """
        loan      0..9 failed
          pay     1..6 failed +refund
            send  2..3 failed job !NoFunds:empty
            mail  d2 job needs=send
        """, verdict="failed", path="loan pay send",
        roles="loan:consequence pay:consequence send:cause", never_ran="mail<send"),
    Saga("an attempt that timed out may have taken effect, though the last one failed outright", """
        loan      0..9 failed
          pay     1..6 failed +refund
            send  2..2.5:retry job !TimeoutError:1 s
            send  3..4 job failed !Refused:no
        """, verdict="rollback_missing", path="loan pay send",
        roles="loan:consequence pay:consequence send:cause", compensations="pay<-:not_started",
        standing="pay?: compensation never started; the outcome of its job send is unknown (TimeoutError): "
                 "it may have taken effect"),
    Saga("a step undone to be safe, once its job was over, is not an empty undo", """
        loan      0..9 failed
          pay     1..3 failed +refund !LoanError:no result
            send  2..4 job
          u1      5..6 ~pay
        """, verdict="rolled_back", path="loan pay", roles=PAY, compensations="pay<u1:compensated"),
    Saga("a step undone to be safe, before its job was over", """
        loan      0..9 failed
          pay     1..3 failed +refund !LoanError:no result
            send  2..7 job
          u1      4..5 ~pay
        """, verdict="rollback_incomplete", path="loan pay", roles=PAY, compensations="pay<u1:compensated",
        standing="pay: undone before the work below it ended (or clocks disagree); its job send completed at "
                 "2025-01-01 00:00:07.000Z, after it had failed: it took effect"),
    Saga("a step that left a job running and was undone before that was over", """
        loan      0..9 failed
          book    1..2 +unbook
            hotel 1..8 job
          pay     3..4 failed
          u1      5..6 ~book
        """, verdict="rollback_incomplete", path="loan pay", roles=PAY, compensations="book<u1:compensated",
        standing="book: undone before the work below it ended (or clocks disagree); its job hotel completed at "
                 "2025-01-01 00:00:08.000Z, after it had ended: it took effect"),
    Saga("a step that left a job running, which never ended, and was undone", """
        loan      0..9 failed
          book    1..2 +unbook
            hotel 1.. job
          pay     3..4 failed
          u1      5..6 ~book
        """, verdict="rollback_incomplete", path="loan pay", roles=PAY, compensations="book<u1:compensated",
        standing="book: undone before the work below it ended (or clocks disagree); its job hotel never ended: "
                 "it may have taken effect", anomalies="never_ended(hotel)", idle=True),
    Saga("a stage's undo does not cover a job that completed after it", """
        loan      0..9 failed
          book    1..2 +unbook
            hotel 1..8 job +cancel_hotel
          pay     3..4 failed
          u1      5..6 ~book
        """, verdict="rollback_incomplete", path="loan pay", roles=PAY,
        compensations="book<u1:compensated hotel<-:not_started", standing="hotel: rollback stopped before this step"),
    Saga("a stage's second undo covers it", """
        loan      0..20 failed
          book    1..2 +unbook
            hotel 1..8 job +cancel_hotel
          pay     3..4 failed
          u1      5..6 ~book
          u2      9..10 ~book
        """, verdict="rolled_back", path="loan pay", roles=PAY,
        compensations="book<u1:compensated book<u2:compensated", anomalies="double_undo(book u1 u2)"),
    Saga("an undo was undone: the step stands again", """
        loan      0..9 failed
          a       1..2 +x
          pay     3..4 failed
          u1      5..6 ~a
          r1      7..8 ~u1
        """, verdict="rollback_incomplete", path="loan pay", roles=PAY,
        compensations="a<u1:compensated u1<r1:compensated", standing="a: its compensation was undone again",
        summary="failed at stage:pay · rollback incomplete: 1 of 1 step still standing (stage:a)"),
    Saga("and that was undone as well", """
        loan      0..12 failed
          a       1..2 +x
          pay     3..4 failed
          u1      5..6 ~a
          r1      7..8 ~u1
          r2      9..10 ~r1
        """, verdict="rolled_back", path="loan pay", roles=PAY,
        compensations="a<u1:compensated u1<r1:compensated r1<r2:compensated",
        summary="failed at stage:pay · rolled back: 1 step undone"),
    Saga("an undo was undone, beside undos that undo each other", """
        loan      0..20 failed
          a       1..2 +x
          pay     3..4 failed
          u1      5..6 ~a
          r1      7..8 ~u1
          p       9..10 ~q
          q       11..12 ~p
        """, verdict="rollback_incomplete", path="loan pay", roles=PAY,
        compensations="a<u1:compensated u1<r1:compensated q<p:compensated p<q:compensated",
        standing="a: its compensation was undone again", anomalies="hanging_undo(q p)"),
    Saga("undos that undo each other end", """
        loan      0..12 failed
          pay     3..4 failed
          u1      5..6 ~u2
          u2      7..8 ~u1
        """, verdict="rolled_back", path="loan pay", roles=PAY,
        compensations="u2<u1:compensated u1<u2:compensated", anomalies="hanging_undo(u2 u1)"),
    Saga("a step that undid itself, and left a job waiting", """
        loan      0..9 failed
          book    1..2 +unbook unwind=5..6
            hotel q1.5 job
          pay     3..4 failed
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        compensations="book<book:compensated",
        standing="book: undone before the work below it ended (or clocks disagree); "
                 "its job hotel was never taken: it may still run", anomalies="never_ended(hotel)", idle=True),
    Saga("a step that undid itself before its job was over", """
        loan      0..9 failed
          book    1..2 +unbook unwind=5..6
            hotel 1..8 job
          pay     3..4 failed
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        compensations="book<book:compensated",
        standing="book: undone before the work below it ended (or clocks disagree); "
                 "its job hotel completed at 2025-01-01 00:00:08.000Z, after it had ended: it took effect"),
    Saga("a saga that undid itself, and left a job waiting that declares nothing", """
        loan      0..9 failed unwind=5..6
          credit  1..2 +release
          mail    q2 job
          pay     3..4 failed
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        compensations="loan<loan:compensated", anomalies="never_ended(mail)", idle=True),
    Saga("a saga that undid itself, and worked on", """
        loan      0..9 failed unwind=5..6
          credit  1..2 +release
          pay     3..4 failed
          mail    7..8
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        compensations="loan<loan:compensated"),
    Saga("a job that undid itself answers for itself", """
        loan      0..9 failed
          book    1..6 failed +unbook
            hotel 2..3 job unwind=5..5.5
            car   4..4.5 failed job
        """, verdict="rolled_back", path="loan book car", roles="book:consequence car:cause loan:consequence",
        compensations="hotel<hotel:compensated"),
    Saga("a job of an undone step timed out after the undo", """
        loan      0..9 failed
          book    1..2 +unbook
            hotel 1..8 failed job !JobTimeoutException:6 s
          pay     3..4 failed
          u1      5..6 ~book
        """, verdict="rollback_incomplete", path="loan pay", roles="hotel:independent loan:consequence pay:cause",
        compensations="book<u1:compensated",
        standing="book: undone before the work below it ended (or clocks disagree); the outcome of its job hotel "
                 "is unknown (JobTimeoutException): it may have taken effect"),
    Saga("a job of an undone step failed outright after the undo", """
        loan      0..9 failed
          book    1..2 +unbook
            hotel 1..8 failed job !SoldOut:no
          pay     3..4 failed
          u1      5..6 ~book
        """, verdict="rolled_back", path="loan pay", roles="hotel:independent loan:consequence pay:cause",
        compensations="book<u1:compensated"),
    Saga("an undone stage left a job waiting, which is not of the step in it", """
        loan      0..9 failed
          trip    1..3 +cancel
            hotel 1.5..2 +unbook
            mail  q2 job
          pay     3..4 failed
          u1      5..6 ~trip
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        compensations="trip<u1:compensated",
        standing="trip: undone before the work below it ended (or clocks disagree); "
                 "its job mail was never taken: it may still run", anomalies="never_ended(mail)", idle=True),
]  # fmt: skip
