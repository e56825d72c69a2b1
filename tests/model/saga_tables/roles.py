"""Sagas that fail: the cause, its consequences, and failures that were recovered."""

from __future__ import annotations

from notation import Saga

ROLES = [
    Saga("a cause and its consequence", """
        loan      0..9 failed !Refused:no money
          funding 3..4 failed !NoFunds:empty
        """, verdict="failed", path="loan funding", roles="funding:cause loan:consequence",
        summary="failed at stage:funding (NoFunds: empty) · nothing to undo"),
    Saga("only the root fails", """
        loan      0..9 failed !boom
          credit  1..2
        """, verdict="failed", path="loan", roles="loan:cause",
        summary="failed at workflow:loan (boom) · nothing to undo"),
    Saga("of two that fail the first is the cause", """
        loan    0..9 failed
          a     1..5 failed
          b     2..4 failed
        """, verdict="failed", path="loan b", roles="a:independent b:cause loan:consequence"),
    Saga("the first failure was caught, and the saga failed of a later one", """
        loan    0..9 failed !RuntimeError:sold out
          cache 1..2 failed !KeyError:miss
          pay   3..4 +refund
          ship  5..6 failed !RuntimeError:sold out
          u1    7..8 ~pay
        """, verdict="rolled_back", path="loan ship", roles="cache:independent loan:consequence ship:cause",
        compensations="pay<u1:compensated",
        summary="failed at stage:ship (RuntimeError: sold out) · rolled back: 1 step undone"),
    Saga("the first failure was caught, and the saga failed of a later step that ran as a job", """
        loan    0..9 failed !StepError:ship: ValueError: sold out
          cache 1..2 failed job !KeyError:miss
          ship  5..6 failed job !ValueError:sold out
        """, verdict="failed", path="loan ship", roles="cache:independent loan:consequence ship:cause"),
    Saga("the saga failed of its first job, and another failed while it ended", """
        loan    0..9 failed !StepError:cache: KeyError: miss
          cache 1..2 failed job !KeyError:miss
          ship  5..6 failed job !ValueError:sold out
        """, verdict="failed", path="loan cache", roles="cache:cause loan:consequence ship:independent"),
    Saga("the error of a caught job is only the end of the text that the saga failed of", """
        loan   0..9 failed !StepError:ship: HTTPError: gateway: timed out
          one  1..2 failed job named=ship !TimeoutError:timed out
          two  5..6 failed job named=ship !HTTPError:gateway: timed out
        """, verdict="failed", path="loan two", roles="loan:consequence one:independent two:cause"),
    Saga("a caught job and the job that ended the saga had one text, with other types", """
        loan   0..9 failed !StepError:ship: HTTPError: timed out
          one  1..2 failed job named=ship !TimeoutError:timed out
          two  5..6 failed job named=ship !HTTPError:timed out
        """, verdict="failed", path="loan two", roles="loan:consequence one:independent two:cause"),
    Saga("the error of a job is only the end of a word of the saga's error", """
        loan    0..9 failed !StepError:ship: ValueError: no box
          cache 1..2 failed job !KeyError:miss
          ship  5..6 failed job !ValueError:x
        """, verdict="failed", path="loan cache", roles="cache:cause loan:consequence ship:independent"),
    Saga("a job failed and ran again, but the saga failed of the first failure", """
        loan   0..9 failed !StepError:ship: ValueError: sold out
          one  1..2 failed job named=ship !ValueError:sold out
          two  3..4 job named=ship
          mail 5..6 failed job !SMTPError:down
        """, verdict="failed", path="loan one", roles="loan:consequence mail:independent one:cause"),
    Saga("the first failure and what failed of it were caught", """
        loan     0..9 failed !RuntimeError:sold out
          score  1..5 failed !KeyError:miss
            read 2..3 failed !KeyError:miss
          ship   5..6 failed !RuntimeError:sold out
        """, verdict="failed", path="loan ship",
        roles="loan:consequence read:independent score:consequence ship:cause"),
    Saga("the first failure was caught, and the saga failed below a later step", """
        loan     0..9 failed !RuntimeError:sold out
          cache  1..2 failed !KeyError:miss
          ship   3..6 failed !RuntimeError:sold out
            pack 4..5 failed !RuntimeError:sold out
        """, verdict="failed", path="loan ship pack",
        roles="cache:independent loan:consequence pack:cause ship:consequence"),
    Saga("all failures of a saga were caught but the last, which has the text of the first", """
        loan    0..9 failed !RuntimeError:sold out
          a     1..2 failed !KeyError:sold out
          b     3..4 failed !OSError:down
          c     5..6 failed !RuntimeError:sold out
        """, verdict="failed", path="loan c", roles="a:independent b:independent c:cause loan:consequence"),
    Saga("the second failure has the error of the saga, but began before the first ended", """
        loan    0..9 failed !sold out
          cache 1..4 failed !miss
          ship  3..5 failed !sold out
        """, verdict="failed", path="loan cache", roles="cache:cause loan:consequence ship:independent"),
    Saga("two that fail of the same error", """
        loan    0..9 failed !down
          a     1..2 failed !down
          b     3..4 failed !down
        """, verdict="failed", path="loan a", roles="a:cause b:independent loan:consequence"),
    Saga("the saga failed of an error of its own", """
        loan    0..9 failed !refused
          a     1..2 failed !miss
          b     3..4 failed !down
        """, verdict="failed", path="loan a", roles="a:cause b:independent loan:consequence"),
    Saga("a job whose second try failed of another error", """
        order   0..5:retry 10..15 failed job !sold out
          a     1..2 failed !down
          b     11..12 failed !sold out
        """, verdict="failed", path="order a", roles="a:cause b:independent order:consequence"),
    Saga("two that fail at the same time: seq gives the order", """
        loan    0..9 failed
          a     1..4 failed seq=1/4
          b     2..4 failed seq=2/3
        """, verdict="failed", path="loan b", roles="a:independent b:cause loan:consequence"),
    Saga("two that fail at the same time, and differ only in their ids", """
        loan    0..9 failed
          b     1..4 failed
          a     2..4 failed
        """, verdict="failed", path="loan a", roles="a:cause b:independent loan:consequence"),
    Saga("a stage whose other branch failed as well", """
        loan      0..9 failed
          left    1..5 failed
            pay   2..4 failed
          right   1..8 failed
            mail  2..7 failed
        """, verdict="failed", path="loan left pay",
        roles="left:consequence loan:consequence mail:independent pay:cause right:consequence"),
    Saga("a job retried by RQ until it went well", """
        loan    0..9
          pay   1..2:retry 3..4 job !busy
        """, verdict="succeeded", roles="pay:recovered", summary="succeeded · 1 failure recovered"),
    Saga("the same, and no error of the first attempt is recorded", """
        loan    0..9
          pay   1..2:retry 3..4 job
        """, verdict="succeeded", roles="pay:recovered", summary="succeeded · 1 failure recovered"),
    Saga("a job retried by RQ until it gave up", """
        loan    0..9 failed
          pay   1..2:retry 3..4:retry 5..6 failed job !busy
        """, verdict="failed", path="loan pay", roles="loan:consequence pay:cause"),
    Saga("between two attempts", """
        loan    0..
          pay   1..2:retry job !busy
        """, verdict="running", summary="queued: pay"),
    Saga("a step tried again as a step of its own", """
        loan    0..9
          c1    1..2 failed named=credit
          c2    3..4 named=credit
        """, verdict="succeeded", roles="c1:recovered", summary="succeeded · 1 failure recovered"),
    Saga("a retried step is not why a later one failed", """
        loan    0..9 failed
          c1    1..2 failed named=credit !busy
          c2    3..4 named=credit
          fund  5..6 failed !empty
        """, verdict="failed", path="loan fund", roles="c1:recovered fund:cause loan:consequence"),
    Saga("a failure inside a retried stage is not the cause of a later failure", """
        loan      0..30 failed
          b1      1..8 failed named=book
            fly   2..6 failed !full
              ask 3..4 failed job !full
          b2      9..15 named=book
          fund    20..21 failed !empty
        """, verdict="failed", path="loan fund",
        roles="ask:recovered b1:recovered fly:recovered fund:cause loan:consequence",
        summary="failed at stage:fund (empty) · nothing to undo"),
    Saga("a failure inside a stage after it gave up is not recovered", """
        loan      0..30 failed
          b1      1..5 failed named=book
            fly   2..25 failed job !full
          b2      9..15 named=book
          fund    20..21 failed !empty
        """, verdict="failed", path="loan fund",
        roles="b1:recovered fly:independent fund:cause loan:consequence"),
    Saga("a stage that was tried again, the second time in vain", """
        loan      0..30 failed
          b1      1..8 failed named=book
            fly   2..6 failed !full
          b2      9..15 failed named=book
        """, verdict="failed", path="loan b1 fly",
        roles="b1:consequence b2:independent fly:cause loan:consequence"),
    Saga("tried three times, in vain", """
        loan    0..9 failed
          c1    1..2 failed named=credit
          c2    3..4 failed named=credit
          c3    5..6 failed named=credit
        """, verdict="failed", path="loan c1", roles="c1:cause c2:independent c3:independent loan:consequence"),
    Saga("items of a loop are not retries of each other", """
        loan    0..9 failed
          i1    1..2 named=item
          i2    3..4 failed named=item
          i3    5..6 named=item
        """, verdict="failed", path="loan i2", roles="i2:cause loan:consequence"),
    Saga("nor where the first of them failed", """
        loan    0..9 failed
          i1    1..2 failed named=item
          i2    3..4 named=item
          i3    5..6 named=item
        """, verdict="failed", path="loan i1", roles="i1:cause loan:consequence"),
    Saga("nor where the last of them did", """
        loan    0..9 failed
          i1    1..2 failed named=item
          i2    3..4 named=item
          i3    5..6 failed named=item
        """, verdict="failed", path="loan i1", roles="i1:cause i3:independent loan:consequence"),
    Saga("two concurrent stages are not retries of each other", """
        loan    0..9 failed
          i1    1..4 failed named=item
          i2    2..5 named=item
        """, verdict="failed", path="loan i1", roles="i1:cause loan:consequence"),
    Saga("a namesake went well later, but the stage fell over the very same error", """
        loan    0..9 failed !Boom:first item
          i1    1..2 failed named=item !Boom:first item
          i2    3..4 named=item
        """, verdict="failed", path="loan i1", roles="i1:cause loan:consequence"),
    Saga("a stage that dealt with its job's failure", """
        loan      0..9
          rates   1..5
            fast  2..3 failed
            slow  3..4
        """, verdict="succeeded", roles="fast:recovered", summary="succeeded · 1 failure recovered"),
    Saga("a stage that was over before its job failed dealt with nothing", """
        loan      0..9
          rates   1..2
            fast  1..12 failed job !late
        """, verdict="failed", path="loan rates fast", roles="fast:cause",
        summary="failed at fast (late) · nothing to undo"),
    Saga("a stage that handled its job's failure, which the worker recorded a moment later", """
        loan      0..9
          rates   1..3
            fast  2..3.02 failed job !down
        """, verdict="succeeded", roles="fast:recovered"),
    Saga("a job that failed right after its stage was over, which had not waited for it", """
        loan      0..3
          rates   1..3
            fast  2.99..3.05 failed job !down
        """, verdict="failed", path="loan rates fast", roles="fast:cause"),
    Saga("a job retried as another job, enqueued before the end of the first one was recorded", """
        loan      0..9
          p1      1..2.02 failed job named=pay
          p2      q2.01 3..4 job named=pay
          mail    5..12 failed job
        """, verdict="failed", path="loan mail", roles="mail:cause p1:recovered"),
    Saga("a chain of jobs, each done before the next begins", """
        one       0..1 job
          two     2..3 job
            three 4..5 failed job
        """, verdict="failed", path="one two three", roles="three:cause"),
    Saga("a job that failed because the one it depends on did", """
        loan    0..9 failed
          pay   1..2 failed job
          mail  3..4 failed job needs=pay
        """, verdict="failed", path="loan pay", roles="loan:consequence mail:consequence pay:cause"),
    Saga("a job that will never run", """
        loan    0..9 failed
          pay   1..2 failed job
          mail  d1 job needs=pay
        """, verdict="failed", path="loan pay", roles="loan:consequence pay:cause", never_ran="mail<pay"),
    Saga("and those behind it", """
        loan    0..9 failed
          pay   1..2 failed job
          mail  d1 job needs=pay
          log   d1 job needs=mail
        """, verdict="failed", path="loan pay", roles="loan:consequence pay:cause", never_ran="mail<pay log<mail"),
    Saga("a job that depended on a failed one, and was then enqueued by hand", """
        loan    0..9 failed
          pay   1..2 failed job
          mail  d1 q5 job needs=pay
        """, verdict="running", path="loan pay", roles="loan:consequence pay:cause",
        summary="failed at pay · queued: mail"),
    Saga("a job behind one that failed and was run again well: RQ enqueues it", """
        loan    0..9 failed
          pay   1..2 failed job
          pay   11..12 job
          mail  d1 job needs=pay
        """, verdict="running", path="loan pay", roles="loan:consequence pay:cause"),
    Saga("a job behind one that runs again", """
        loan    0..9 failed
          pay   1..2 failed job
          pay   11.. job
          mail  d1 job needs=pay
        """, verdict="running", path="loan pay", roles="loan:consequence pay:cause"),
    Saga("a job behind one that failed again", """
        loan    0..9 failed
          pay   1..2 failed job
          pay   11..12 failed job
          mail  d1 job needs=pay
        """, verdict="failed", path="loan pay",
        roles="loan:consequence pay:cause pay#2:independent", never_ran="mail<pay#2"),
    Saga("a job that failed by itself, after the one it depends on was run again well", """
        loan    0..20 failed
          pay   1..2 failed job
          pay   11..12 job
          mail  d1 13..14 failed job needs=pay
        """, verdict="failed", path="loan pay", roles="loan:consequence mail:independent pay:cause"),
    Saga("a job that may still run", """
        loan    0..9 failed
          pay   1..2 failed job
          mail  q1 job needs=other
          other 1..3 job
        """, verdict="running", path="loan pay", roles="loan:consequence pay:cause",
        summary="failed at pay · queued: mail"),
    Saga("an instant that failed", """
        loan    0..9 failed
          check 1..2
            odd ..1.5 failed
        """, verdict="failed", path="loan", roles="loan:cause odd:recovered"),
    Saga("the worker was lost", """
        loan    0..9 failed
          pay   1..8 abandoned job presumed
        """, verdict="failed", path="loan pay", roles="loan:consequence pay:cause"),
]  # fmt: skip
