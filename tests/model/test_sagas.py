"""Sagas written out by hand, each with everything an engineer on call is to be told of it.

A column left out is expected empty: every row checks every answer. `undone` reads step<undo:outcome; `?` in
`standing` marks a step whose own outcome is unknown.
"""

from __future__ import annotations

import pytest
from notation import Saga, answers, read

PLAIN = [
    Saga("nothing at all", "", verdict="unknown", says="unknown: no usable events"),
    Saga("all went well", """
        loan      0..9
          credit  1..2 +release
          funding 3..4 +refund
        """, verdict="succeeded", says="succeeded"),
    Saga("still going", """
        loan      0..
          credit  1..2 +release
          funding 3..
        """, verdict="running", says="running: stage:funding"),
    Saga("the root is done and a job it left behind is not", """
        loan      0..2
          mail    q1 job
        """, verdict="running", says="running: mail"),
    Saga("the same, and nobody ever took the job", """
        loan      0..2
          mail    q1 job
        """, verdict="succeeded", odd="never_ended(mail)", idle=True),
    Saga("died without a word", """
        loan      0..
          credit  1..2
          funding 3..
        """, verdict="unknown", odd="never_ended(loan funding)", idle=True,
        says="unknown: no outcome of its root and no failure; 2 spans never ended: stage:funding, workflow:loan"),
    Saga("died between two steps, one of which could have been undone", """
        loan      0..
          credit  1..2 +release
          funding 3.. +refund
        """, verdict="unknown", standing="credit: compensation never started; funding?: compensation never started",
        undone="funding<-:not_started credit<-:not_started",
        odd="never_ended(loan funding)", idle=True),
    Saga("only instants", """
        loan      @1
        """, verdict="unknown", idle=True),
    Saga("stopped by an operator", """
        loan      0..3 stopped job
          credit  1..2
        """, verdict="failed", path="loan", says="stopped at loan · nothing to undo"),
    Saga("canceled from outside, at its innermost step", """
        loan      0..5 canceled
          credit  1..4 canceled
            bank  2..3 canceled
        """, verdict="failed", path="loan credit bank", says="canceled at stage:bank · nothing to undo"),
]  # fmt: skip

ROLES = [
    Saga("a cause and what follows from it", """
        loan      0..9 failed !Refused:no money
          funding 3..4 failed !NoFunds:empty
        """, verdict="failed", path="loan funding", roles="funding:cause loan:consequence",
        says="failed at stage:funding (NoFunds: empty) · nothing to undo"),
    Saga("only the root fails", """
        loan      0..9 failed !boom
          credit  1..2
        """, verdict="failed", path="loan", roles="loan:cause",
        says="failed at workflow:loan (boom) · nothing to undo"),
    Saga("of two that fail the first is the cause", """
        loan    0..9 failed
          a     1..5 failed
          b     2..4 failed
        """, verdict="failed", path="loan b", roles="a:independent b:cause loan:consequence"),
    Saga("two that fail at once: seq tells which was first", """
        loan    0..9 failed
          a     1..4 failed seq=1/4
          b     2..4 failed seq=2/3
        """, verdict="failed", path="loan b", roles="a:independent b:cause loan:consequence"),
    Saga("two that fail at once, and nothing tells them apart but their ids", """
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
        """, verdict="succeeded", roles="pay:recovered", says="succeeded · 1 failure recovered"),
    Saga("the same, and nobody told why the first attempt failed", """
        loan    0..9
          pay   1..2:retry 3..4 job
        """, verdict="succeeded", roles="pay:recovered", says="succeeded · 1 failure recovered"),
    Saga("a job retried by RQ until it gave up", """
        loan    0..9 failed
          pay   1..2:retry 3..4:retry 5..6 failed job !busy
        """, verdict="failed", path="loan pay", roles="loan:consequence pay:cause"),
    Saga("between two attempts", """
        loan    0..
          pay   1..2:retry job !busy
        """, verdict="running", says="running: pay"),
    Saga("a step tried again as a step of its own", """
        loan    0..9
          c1    1..2 failed named=credit
          c2    3..4 named=credit
        """, verdict="succeeded", roles="c1:recovered", says="succeeded · 1 failure recovered"),
    Saga("a retried step is not why a later one failed", """
        loan    0..9 failed
          c1    1..2 failed named=credit !busy
          c2    3..4 named=credit
          fund  5..6 failed !empty
        """, verdict="failed", path="loan fund", roles="c1:recovered fund:cause loan:consequence"),
    Saga("what failed inside a stage that was tried again is not why a later one failed", """
        loan      0..30 failed
          b1      1..8 failed named=book
            fly   2..6 failed !full
              ask 3..4 failed job !full
          b2      9..15 named=book
          fund    20..21 failed !empty
        """, verdict="failed", path="loan fund",
        roles="ask:recovered b1:recovered fly:recovered fund:cause loan:consequence",
        says="failed at stage:fund (empty) · nothing to undo"),
    Saga("what failed inside it after it had given up was not made good", """
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
    Saga("items of a loop are no retries of each other", """
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
    Saga("two at once are no retries of each other", """
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
        """, verdict="succeeded", roles="fast:recovered", says="succeeded · 1 failure recovered"),
    Saga("a stage that was over before its job failed dealt with nothing", """
        loan      0..9
          rates   1..2
            fast  1..12 failed job !late
        """, verdict="failed", path="loan rates fast", roles="fast:cause",
        says="failed at fast (late) · nothing to undo"),
    Saga("a stage that dealt with its job's failure, which the job's worker told a moment later", """
        loan      0..9
          rates   1..3
            fast  2..3.02 failed job !down
        """, verdict="succeeded", roles="fast:recovered"),
    Saga("a job that failed right after its stage was over, which had not waited for it", """
        loan      0..3
          rates   1..3
            fast  2.99..3.05 failed job !down
        """, verdict="failed", path="loan rates fast", roles="fast:cause"),
    Saga("a job tried again as a job of its own, enqueued before the first one's worker had told its end", """
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
    Saga("a job that waited for one that failed, and was then put into its queue by hand", """
        loan    0..9 failed
          pay   1..2 failed job
          mail  d1 q5 job needs=pay
        """, verdict="running", path="loan pay", roles="loan:consequence pay:cause",
        says="failed at pay · running: mail"),
    Saga("a job that may still run", """
        loan    0..9 failed
          pay   1..2 failed job
          mail  q1 job needs=other
          other 1..3 job
        """, verdict="running", path="loan pay", roles="loan:consequence pay:cause",
        says="failed at pay · running: mail"),
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

UNDOING = [
    Saga("all undone, last thing first", """
        loan      0..9 failed
          credit  1..2 +release
          funds   3..4 +refund
          pay     5..6 failed !Closed:account closed
          u2      7..7.5 ~funds
          u1      8..8.5 ~credit
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        undone="funds<u2:compensated credit<u1:compensated",
        says="failed at stage:pay (Closed: account closed) · rolled back: both steps undone"),
    Saga("undone while the root still runs", """
        loan      0..
          credit  1..2 +release
          pay     3..4 failed
          u1      5.. ~credit
        """, verdict="compensating", path="loan pay", roles="pay:cause", undone="credit<u1:running",
        standing="credit: compensation still running", says="failed at stage:pay · compensating: 0 of 1 step undone"),
    Saga("failed, and its undoing has not begun yet", """
        loan      0..
          credit  1..2 +release
          pay     3..4 failed
        """, verdict="running", path="loan pay", roles="pay:cause", undone="credit<-:not_started",
        standing="credit: compensation never started", says="failed at stage:pay · running: workflow:loan"),
    Saga("the contract's own sentence", """
        loan      0..9 failed
          credit  1..2 +release
          limit   2..3 +restore
          funding 3..4 failed !InsufficientFunds:Insufficient funds
          u1      5..6 ~limit
          u2      7..8 failed ~credit !down
        """, verdict="rollback_incomplete", path="loan funding",
        roles="funding:cause loan:consequence u2:compensation", undone="limit<u1:compensated credit<u2:failed",
        standing="credit: compensation failed after 1 attempt",
        says="failed at stage:funding (InsufficientFunds: Insufficient funds) · "
             "rollback incomplete: 1 of 2 steps still standing (stage:credit)"),
    Saga("an undo that failed never hides why the trace did, though it failed last", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed !empty
          u1      5..8 failed ~credit !bureau down
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause u1:compensation",
        undone="credit<u1:failed", standing="credit: compensation failed after 1 attempt"),
    Saga("nobody undid anything", """
        loan      0..9 failed
          credit  1..2 +release
          funds   3..4 +refund
          pay     5..6 failed
        """, verdict="rollback_missing", path="loan pay", roles="loan:consequence pay:cause",
        undone="funds<-:not_started credit<-:not_started",
        standing="credit: compensation never started; funds: compensation never started",
        says="failed at stage:pay · rollback missing: "
             "2 of 2 steps still standing (stage:credit, stage:funds), and no compensation began"),
    Saga("the unwinding stopped on its way", """
        loan      0..9 failed
          credit  1..2 +release
          funds   3..4 +refund
          pay     5..6 failed
          u2      7..8 ~funds
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        undone="funds<u2:compensated credit<-:not_started", standing="credit: rollback stopped before this step"),
    Saga("the unwinding left one out and went on: it did not stop there", """
        loan      0..9 failed
          credit  1..2 +release
          insure  2..3 +cancel
          funds   3..4 +refund
          pay     5..6 failed
          u3      6..7 ~funds
          u1      7..8 ~credit
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        undone="funds<u3:compensated credit<u1:compensated insure<-:not_started",
        standing="insure: compensation never started"),
    Saga("an undo that was asked for and never began is no place where the unwinding came to", """
        loan      0..9 failed
          credit  1..2 +release
          insure  2..3 +cancel
          funds   3..4 +refund
          pay     5..6 failed
          u3      6..7 ~funds
          u1      q7 ~credit job
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        undone="funds<u3:compensated credit<u1:not_started insure<-:not_started",
        standing="credit: compensation never started; insure: rollback stopped before this step", odd="never_ended(u1)", idle=True),
    Saga("a lone word that undoing began, and then silence", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5.. ~credit
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        undone="credit<u1:unconfirmed", standing="credit: unconfirmed: compensation started, no outcome recorded", odd="never_ended(u1)", idle=True),
    Saga("undone, though it never said that it could be", """
        loan      0..9 failed
          credit  1..2
          pay     3..4 failed
          u1      5..6 ~credit
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        undone="credit<u1:compensated"),
    Saga("a step it tried in vain to undo is standing though it declared nothing", """
        loan      0..9 failed
          credit  1..2
          pay     3..4 failed
          u1      5..6 failed ~credit !no
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause u1:compensation",
        undone="credit<u1:failed", standing="credit: compensation failed after 1 attempt"),
    Saga("the first undo failed, the second did it", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5..6 failed ~credit named=release
          u2      7..8 ~credit named=release
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause u1:recovered",
        undone="credit<u1:failed credit<u2:compensated"),
    Saga("the second undo has another name and place", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5..6 failed ~credit
          repair  7..8
            u2    7..8 ~credit
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause u1:recovered",
        undone="credit<u1:failed credit<u2:compensated"),
    Saga("both undos failed", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5..6 failed ~credit
          u2      7..8 failed ~credit
        """, verdict="rollback_incomplete", path="loan pay",
        roles="loan:consequence pay:cause u1:compensation u2:compensation",
        undone="credit<u1:failed credit<u2:failed", standing="credit: compensation failed after 2 attempts"),
    Saga("an undo that is a retried RQ job", """
        loan      0..20 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5..6:retry 7..8:retry 9..10 job ~credit !busy
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause u1:recovered",
        undone="credit<u1:compensated"),
    Saga("an undo that is an RQ job, retried in vain", """
        loan      0..20 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5..6:retry 7..8:retry 9..10 failed job ~credit !busy
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause u1:compensation",
        undone="credit<u1:failed", standing="credit: compensation failed after 3 attempts"),
    Saga("an undo that waits for a retried RQ job", """
        loan      0..20 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5..12 ~credit
            undo  6..7:retry 8..9 job !busy
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause undo:recovered",
        undone="credit<u1:compensated"),
    Saga("an undo that waited for a job which never managed", """
        loan      0..20 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5..12 failed ~credit
            undo  6..7:retry 8..9 failed job !busy
        """, verdict="rollback_incomplete", path="loan pay",
        roles="loan:consequence pay:cause u1:compensation undo:compensation", undone="credit<u1:failed",
        standing="credit: compensation failed after 2 attempts"),
    Saga("an undo that dealt with the failure of its job, which the job's worker told a moment later", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5..6 ~credit
            undo  5.2..6.03 failed job !busy
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause undo:recovered",
        undone="credit<u1:compensated"),
    Saga("an undo that only enqueued its job, which failed later", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5..6 ~credit
            undo  q5.5 7..8 failed job !busy
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause undo:compensation",
        undone="credit<u1:failed", standing="credit: compensation failed after 1 attempt"),
    Saga("an undo that only enqueued its job, which nobody has taken yet", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5..6 ~credit
            undo  q5.5 job
        """, verdict="compensating", path="loan pay", roles="loan:consequence pay:cause",
        undone="credit<u1:running", standing="credit: compensation still running"),
    Saga("and which nobody ever took", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5..6 ~credit
            undo  q5.5 job
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        undone="credit<u1:unconfirmed", standing="credit: unconfirmed: compensation started, no outcome recorded", odd="never_ended(undo)", idle=True),
    Saga("an undo that was enqueued and never begun", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      q5 job ~credit
        """, verdict="rollback_missing", path="loan pay", roles="loan:consequence pay:cause",
        undone="credit<u1:not_started", standing="credit: compensation never started", odd="never_ended(u1)", idle=True),
    Saga("undos grouped under a span of their own", """
        loan            0..9 failed
          credit        1..2 +release
          pay           3..4 failed
          compensation  5..8
            u1          6..7 ~credit
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        undone="credit<u1:compensated"),
    Saga("the group fails with its undo", """
        loan            0..9 failed
          credit        1..2 +release
          pay           3..4 failed
          compensation  5..8 failed
            u1          6..7 failed ~credit
        """, verdict="rollback_incomplete", path="loan pay",
        roles="compensation:compensation loan:consequence pay:cause u1:compensation", undone="credit<u1:failed",
        standing="credit: compensation failed after 1 attempt"),
    Saga("an undo stopped by an operator", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5..6 stopped ~credit
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        undone="credit<u1:failed", standing="credit: compensation failed after 1 attempt"),
    Saga("undone and then died: the root never ended, and nothing failed that anybody saw", """
        loan      0..
          credit  1..2 +release
          u1      5..6 ~credit
        """, verdict="rolled_back", undone="credit<u1:compensated", odd="never_ended(loan)", idle=True,
        says="rolled back: 1 step undone"),
    Saga("the stage was undone, and with it the jobs it ran", """
        loan        0..9 failed
          book      1..5 +unbook
            hotel   2..3 job +cancel_hotel
            flight  3..4 job +cancel_flight
          pay       6..7 failed
          u1        8..8.5 ~book
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        undone="book<u1:compensated", says="failed at stage:pay · rolled back: all 3 steps undone"),
    Saga("a covered job whose own undo failed stands all the same", """
        loan        0..9 failed
          book      1..5 +unbook
            hotel   2..3 job +cancel_hotel
            flight  3..4 job +cancel_flight
          pay       6..7 failed
          u1        8..8.8 ~book
            u2      8.1..8.2 failed ~hotel !no
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause u2:compensation",
        undone="book<u1:compensated hotel<u2:failed", standing="hotel: compensation failed after 1 attempt"),
    Saga("the same, and the undo of the job failed with a job of its own, in a stage that dealt with it", """
        loan        0..9 failed
          book      1..5 +unbook
            hotel   2..3 job +cancel_hotel
          pay       6..7 failed
          u1        8..8.8 ~book
            jobs    8.1..8.7
              u2    8.2..8.6 failed ~hotel !no
                tel 8.3..8.5 failed job !no
        """, verdict="rollback_incomplete", path="loan pay",
        roles="loan:consequence pay:cause tel:compensation u2:compensation",
        undone="book<u1:compensated hotel<u2:failed", standing="hotel: compensation failed after 1 attempt"),
    Saga("the job was undone by another undo after that, within the stage's", """
        loan        0..9 failed
          book      1..5 +unbook
            hotel   2..3 job +cancel_hotel
          pay       6..7 failed
          u1        8..8.8 ~book
            u2      8.1..8.2 failed ~hotel !no
            u3      8.3..8.4 ~hotel
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause u2:recovered",
        undone="book<u1:compensated hotel<u2:failed hotel<u3:compensated"),
    Saga("the stage's undo failed: stage and jobs stand", """
        loan        0..9 failed
          book      1..5 +unbook
            hotel   2..3 job +cancel_hotel
          pay       6..7 failed
          u1        8..8.5 failed ~book
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause u1:compensation",
        undone="book<u1:failed hotel<-:not_started",
        standing="hotel: rollback stopped before this step; book: compensation failed after 1 attempt"),
    Saga("undoing a stage that failed half way covers what it had done", """
        loan        0..9 failed
          book      1..5 failed +unbook
            hotel   2..3 job +cancel_hotel
            flight  3..4 failed job !full
          u1        8..8.5 ~book
        """, verdict="rolled_back", path="loan book flight", roles="book:consequence flight:cause loan:consequence",
        undone="book<u1:compensated"),
    Saga("a step that timed out may have taken effect", """
        loan      0..9 failed
          pay     1..4 failed +refund !JobTimeoutException:exceeded 3 s
        """, verdict="rollback_missing", path="loan pay", roles="loan:consequence pay:cause",
        undone="pay<-:not_started", standing="pay?: compensation never started"),
    Saga("a step whose worker was lost may have taken effect", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 abandoned job +refund presumed
          u1      5..6 ~credit
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        undone="credit<u1:compensated pay<-:not_started", standing="pay?: compensation never started"),
    Saga("a step that never ended may have taken effect", """
        loan      0..9 failed
          a       1..2 failed
          pay     1.. +refund
        """, verdict="rollback_missing", path="loan a", roles="a:cause loan:consequence",
        undone="pay<-:not_started", standing="pay?: compensation never started", odd="never_ended(pay)", idle=True),
    Saga("a timed-out step that was undone to be safe is no empty undo", """
        loan      0..9 failed
          pay     1..4 failed +refund !TimeoutError:3 s
          u1      5..6 ~pay
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause", undone="pay<u1:compensated"),
    Saga("a step that failed outright left nothing to undo", """
        loan      0..9 failed
          pay     1..4 failed +refund !NoFunds:empty
        """, verdict="failed", path="loan pay", roles="loan:consequence pay:cause"),
    Saga("what a compensation itself declares is not expected to be undone", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5..8 ~credit
            undo  6..7 job +redo
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        undone="credit<u1:compensated"),
    Saga("an undo that names no step failed: that another went well says nothing of the first", """
        loan      0..9 failed
          pay     3..4 failed
          c1      5..6 failed ~ named=cleanup
          c2      7..8 ~ named=cleanup
        """, verdict="rollback_incomplete", path="loan pay", roles="c1:compensation loan:consequence pay:cause"),
    Saga("an undo that names no step began, and nobody told how it ended", """
        loan      0..9 failed
          pay     3..4 failed
          cleanup 5.. ~
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        odd="never_ended(cleanup)", idle=True,
        says="failed at stage:pay · rollback incomplete: cleanup recorded no outcome and names no step"),
    Saga("an undo that names no step was canceled", """
        loan      0..9 failed
          pay     3..4 failed
          cleanup 5..6 canceled ~
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        says="failed at stage:pay · rollback incomplete: cleanup was canceled and names no step"),
    Saga("an undo that names no step left a job behind, which failed", """
        loan      0..9 failed
          pay     3..4 failed
          cleanup 5..6 ~
            j     7..8 failed job
        """, verdict="rollback_incomplete", path="loan pay", roles="j:compensation loan:consequence pay:cause",
        says="failed at stage:pay · rollback incomplete: cleanup failed and names no step"),
    Saga("a group of undos failed before any of them", """
        loan      0..9 failed
          pay     3..4 failed
          rollback 5..8 failed !down
        """, verdict="rollback_incomplete", path="loan pay",
        roles="loan:consequence pay:cause rollback:compensation",
        says="failed at stage:pay · rollback incomplete: stage:rollback failed and names no step"),
    Saga("the undo of a step that had failed outright failed", """
        loan      0..9 failed
          pay     3..4 failed !NoFunds:empty
          u1      5..6 failed ~pay !no
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause u1:compensation",
        undone="pay<u1:failed", odd="empty_undo(pay u1)",
        standing="pay?: compensation failed after 1 attempt; it had failed itself, so there may be nothing to undo"),
    Saga("a step that had failed outright is being undone", """
        loan      0..
          pay     3..4 failed !NoFunds:empty
          u1      5.. ~pay
        """, verdict="compensating", path="loan pay", roles="pay:cause", undone="pay<u1:running",
        standing="pay?: compensation still running; it had failed itself, so there may be nothing to undo",
        odd="empty_undo(pay u1)", says="failed at stage:pay (NoFunds: empty) · compensating: 0 of 1 step undone"),
    Saga("a step that was canceled before it began left nothing to undo", """
        loan      0..9 failed
          pay     q1 ..4 canceled job +refund
        """, verdict="failed", path="loan", roles="loan:cause"),
    Saga("a step that was gone from its queue before anybody saw it begin may have", """
        loan      0..9 failed
          pay     q1 ..4 canceled job +refund presumed
        """, verdict="rollback_missing", path="loan", roles="loan:cause", undone="pay<-:not_started",
        standing="pay?: compensation never started"),
    Saga("a saga whose steps declare nothing could not undo itself", """
        loan      0..9 failed unwind=5..8!
          credit  1..2
          pay     3..4 failed
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        undone="loan<loan:failed",
        says="failed at stage:pay · rollback incomplete: workflow:loan failed to undo itself"),
    Saga("a saga whose steps declare nothing began to undo itself, and then silence", """
        loan      0.. unwind=5..
          credit  1..2
          pay     3..4 failed
        """, verdict="rollback_incomplete", path="loan pay", roles="pay:cause",
        undone="loan<loan:unconfirmed", odd="never_ended(loan)", idle=True,
        says="failed at stage:pay · rollback incomplete: workflow:loan recorded no outcome of its compensation"),
    Saga("a step that failed could not undo itself: with what it failed is told, not with what its undoing did", """
        loan      0..9 failed
          a       1..2 failed +x unwind=7..8! !NoFunds:empty
        """, verdict="rollback_incomplete", path="loan a", roles="a:cause loan:consequence", undone="a<a:failed",
        standing="a?: compensation failed after 1 attempt; it had failed itself, so there may be nothing to undo",
        says="failed at stage:a (NoFunds: empty) · rollback incomplete: 1 of 1 step still standing (stage:a)"),
    Saga("a step of which only is known that it could not undo itself", """
        loan      0..9 failed
          a       1.. +x unwind=7..8!
        """, verdict="rollback_incomplete", path="loan a", roles="a:cause loan:consequence", undone="a<a:failed",
        standing="a?: compensation failed after 1 attempt",
        says="failed at stage:a · rollback incomplete: 1 of 1 step still standing (stage:a)"),
    Saga("a step that tells its own undoing, and names itself as what is undone", """
        loan      0..9 failed
          a       1..2 job +x ~a unwind=7..8!
          pay     3..4 failed
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        undone="a<a:failed", standing="a: compensation failed after 1 attempt"),
    Saga("an undo that names no step failed", """
        loan          0..9 failed
          pay         3..4 failed
          cleanup     ..6 failed ~
        """, verdict="rollback_incomplete", path="loan pay", roles="cleanup:compensation loan:consequence pay:cause",
        says="failed at stage:pay · rollback incomplete: cleanup failed and names no step"),
    Saga("stopped by an operator and rolled back", """
        loan      0..9 stopped
          credit  1..2 +release
          u1      5..6 ~credit
        """, verdict="rolled_back", path="loan", undone="credit<u1:compensated",
        says="stopped at workflow:loan · rolled back: 1 step undone"),
    Saga("a saga that tells its own undoing, which covers its steps", """
        loan      0.. unwind=5..8
          credit  1..2 +release
          pay     3..4 failed
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        undone="loan<loan:compensated"),
    Saga("the same, and then it says that it failed", """
        loan      0..9 failed unwind=5..8
          credit  1..2 +release
          pay     3..4 failed
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        undone="loan<loan:compensated"),
    Saga("a saga on its way back", """
        loan      0.. unwind=5..
          credit  1..2 +release
          pay     3..4 failed
        """, verdict="compensating", path="loan pay", roles="pay:cause",
        undone="loan<loan:running credit<-:not_started", standing="credit: compensation never started"),
    Saga("a saga that could not undo itself", """
        loan      0.. unwind=5..8!
          credit  1..2 +release
          pay     3..4 failed
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        undone="loan<loan:failed credit<-:not_started", standing="credit: rollback stopped before this step"),
    Saga("steps that tell their own undoing", """
        loan      0..9 failed
          a       1..2 +x unwind=8..8.5!
          b       3..4 +x unwind=7..7.5
          pay     5..6 failed
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        undone="b<b:compensated a<a:failed", standing="a: compensation failed after 1 attempt"),
    Saga("green, and a step says that it was undone", """
        loan      0..9
          a       1..2 +x unwind=7..7.5
        """, verdict="succeeded_but_compensated", undone="a<a:compensated", odd="green_but_compensated(a)"),
]  # fmt: skip

PAY = "loan:consequence pay:cause"

EFFECTS = [
    Saga("a step gave up, and its job completed after that", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..5 failed +refund !LoanError:no result
            send  3..7 job
          u1      6..6.5 ~credit
        """, verdict="rollback_incomplete", path="loan pay", roles=PAY,
        undone="credit<u1:compensated pay<-:not_started",
        standing="pay: compensation never started; its job send completed at 2025-01-01 00:00:07.000Z, "
                 "after it had failed: it took effect",
        says="failed at stage:pay (LoanError: no result) · "
             "rollback incomplete: 1 of 2 steps still standing (stage:pay)"),
    Saga("the same, deeper down, and the step itself timed out", """
        loan      0..9 failed
          pay     3..5 failed +refund !JobTimeoutException:3 s
            bank  3..7
              send 4..6 job
        """, verdict="rollback_missing", path="loan pay", roles=PAY, undone="pay<-:not_started",
        standing="pay: compensation never started; its job send (and 1 more) completed at 2025-01-01 00:00:06.000Z, "
                 "after it had failed: it took effect"),
    Saga("the worker of a step's job was lost", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..5 failed +refund !LoanError:lost
            send  3..4 abandoned job presumed
          u1      6..6.5 ~credit
        """, verdict="rollback_incomplete", path="loan pay send",
        roles="loan:consequence pay:consequence send:cause", undone="credit<u1:compensated pay<-:not_started",
        standing="pay?: compensation never started; the outcome of its job send is unknown (its worker was lost): "
                 "it may have taken effect"),
    Saga("a step's job timed out", """
        loan      0..9 failed
          pay     3..5 failed +refund !LoanError:no result
            send  3..4 failed job !JobTimeoutException:1 s
        """, verdict="rollback_missing", path="loan pay send",
        roles="loan:consequence pay:consequence send:cause", undone="pay<-:not_started",
        standing="pay?: compensation never started; the outcome of its job send is unknown (JobTimeoutException): "
                 "it may have taken effect"),
    Saga("a step's job is still running", """
        loan      0..9 failed
          pay     3..5 failed +refund !LoanError:no result
            send  3.. job
        """, verdict="running", path="loan pay", roles=PAY, undone="pay<-:not_started",
        standing="pay?: compensation never started; its job send is still running: it may have taken effect"),
    Saga("a step's job never ended", """
        loan      0..9 failed
          pay     3..5 failed +refund !LoanError:no result
            send  3.. job
        """, verdict="rollback_missing", path="loan pay", roles=PAY, undone="pay<-:not_started",
        standing="pay?: compensation never started; its job send never ended: it may have taken effect",
        odd="never_ended(send)", idle=True),
    Saga("a step's job still waits for a worker", """
        loan      0..9 failed
          pay     3..5 failed +refund !LoanError:no result
            send  q3 job
        """, verdict="rollback_missing", path="loan pay", roles=PAY, undone="pay<-:not_started",
        standing="pay?: compensation never started; its job send was never taken: it may still run",
        odd="never_ended(send)", idle=True),
    Saga("one of a step's jobs completed before the other failed: only the step's undo would undo it", """
        loan      0..9 failed
          pay     1..6 failed +refund
            charge 2..3 job
            mail  4..5 failed job
        """, verdict="rollback_missing", path="loan pay mail",
        roles="loan:consequence mail:cause pay:consequence", undone="pay<-:not_started",
        standing="pay?: compensation never started; its job charge completed at 2025-01-01 00:00:03.000Z, "
                 "before it failed: it may have taken effect"),
    Saga("a job with an undo of its own answers for itself", """
        loan      0..9 failed
          pay     1..6 failed +refund
            charge 2..3 job +refund_charge
            mail  4..5 failed job
            u1    5.5..5.8 ~charge
        """, verdict="rolled_back", path="loan pay mail",
        roles="loan:consequence mail:cause pay:consequence", undone="charge<u1:compensated"),
    Saga("and so does one that an undo names, though it declared none", """
        loan      0..9 failed
          pay     1..6 failed +refund
            charge 2..3 job
            mail  4..5 failed job
            u1    5.5..5.8 ~charge
        """, verdict="rolled_back", path="loan pay mail",
        roles="loan:consequence mail:cause pay:consequence", undone="charge<u1:compensated"),
    Saga("a job that failed outright, and one that will never run, left nothing", """
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
        roles="loan:consequence pay:consequence send:cause", undone="pay<-:not_started",
        standing="pay?: compensation never started; the outcome of its job send is unknown (TimeoutError): "
                 "it may have taken effect"),
    Saga("a step undone to be safe, once its job was over, is no empty undo", """
        loan      0..9 failed
          pay     1..3 failed +refund !LoanError:no result
            send  2..4 job
          u1      5..6 ~pay
        """, verdict="rolled_back", path="loan pay", roles=PAY, undone="pay<u1:compensated"),
    Saga("a step undone to be safe, before its job was over", """
        loan      0..9 failed
          pay     1..3 failed +refund !LoanError:no result
            send  2..7 job
          u1      4..5 ~pay
        """, verdict="rollback_incomplete", path="loan pay", roles=PAY, undone="pay<u1:compensated",
        standing="pay: undone before the work below it ended (or clocks disagree); its job send completed at "
                 "2025-01-01 00:00:07.000Z, after it had failed: it took effect"),
    Saga("a step that left a job running and was undone before that was over", """
        loan      0..9 failed
          book    1..2 +unbook
            hotel 1..8 job
          pay     3..4 failed
          u1      5..6 ~book
        """, verdict="rollback_incomplete", path="loan pay", roles=PAY, undone="book<u1:compensated",
        standing="book: undone before the work below it ended (or clocks disagree); its job hotel completed at "
                 "2025-01-01 00:00:08.000Z, after it had ended: it took effect"),
    Saga("a step that left a job running, which never ended, and was undone", """
        loan      0..9 failed
          book    1..2 +unbook
            hotel 1.. job
          pay     3..4 failed
          u1      5..6 ~book
        """, verdict="rollback_incomplete", path="loan pay", roles=PAY, undone="book<u1:compensated",
        standing="book: undone before the work below it ended (or clocks disagree); its job hotel never ended: "
                 "it may have taken effect", odd="never_ended(hotel)", idle=True),
    Saga("a stage's undo does not cover a job that completed after it", """
        loan      0..9 failed
          book    1..2 +unbook
            hotel 1..8 job +cancel_hotel
          pay     3..4 failed
          u1      5..6 ~book
        """, verdict="rollback_incomplete", path="loan pay", roles=PAY,
        undone="book<u1:compensated hotel<-:not_started", standing="hotel: rollback stopped before this step"),
    Saga("a stage's second undo covers it", """
        loan      0..20 failed
          book    1..2 +unbook
            hotel 1..8 job +cancel_hotel
          pay     3..4 failed
          u1      5..6 ~book
          u2      9..10 ~book
        """, verdict="rolled_back", path="loan pay", roles=PAY,
        undone="book<u1:compensated book<u2:compensated", odd="double_undo(book u1 u2)"),
    Saga("an undo was undone: the step stands again", """
        loan      0..9 failed
          a       1..2 +x
          pay     3..4 failed
          u1      5..6 ~a
          r1      7..8 ~u1
        """, verdict="rollback_incomplete", path="loan pay", roles=PAY,
        undone="a<u1:compensated u1<r1:compensated", standing="a: its compensation was undone again",
        says="failed at stage:pay · rollback incomplete: 1 of 1 step still standing (stage:a)"),
    Saga("and that was undone as well", """
        loan      0..12 failed
          a       1..2 +x
          pay     3..4 failed
          u1      5..6 ~a
          r1      7..8 ~u1
          r2      9..10 ~r1
        """, verdict="rolled_back", path="loan pay", roles=PAY,
        undone="a<u1:compensated u1<r1:compensated r1<r2:compensated",
        says="failed at stage:pay · rolled back: 1 step undone"),
    Saga("undos that undo each other end", """
        loan      0..12 failed
          pay     3..4 failed
          u1      5..6 ~u2
          u2      7..8 ~u1
        """, verdict="rolled_back", path="loan pay", roles=PAY,
        undone="u2<u1:compensated u1<u2:compensated", odd="hanging_undo(u2 u1)"),
]  # fmt: skip

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
        undone="hotel<u1:compensated visa<u2:compensated"),
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
        undone="hotel<u1:failed visa<u2:compensated", standing="hotel: compensation failed after 1 attempt"),
    Saga("an inner saga that failed, cleaned up and was replaced leaves a trace that went well", """
        trip          0..20
          b1          1..8 failed named=book
            hotel     2..3 +cancel
            flight    4..5 failed
            u1        6..7 ~hotel
          b2          9..15 named=book
            inn       10..11 +cancel
        """, verdict="succeeded", roles="b1:recovered flight:recovered", undone="hotel<u1:compensated"),
    Saga("the same, but what the replaced one had done was not all undone", """
        trip          0..20
          b1          1..8 failed named=book
            hotel     2..3 +cancel
            car       3..4 +return
            flight    4..5 failed
            u1        6..7 ~car
          b2          9..15 named=book
        """, verdict="rollback_incomplete", path="trip b1 flight", roles="b1:consequence flight:cause",
        undone="car<u1:compensated hotel<-:not_started", standing="hotel: rollback stopped before this step",
        says="reported success, but failed at stage:flight · rollback incomplete: 1 of 2 steps still standing (stage:hotel)"),
    Saga("an inner saga that was replaced could not undo itself, as it tells itself", """
        trip          0..20
          b1          1..8 failed named=book unwind=6..7!
            hotel     2..3
          b2          9..15 named=book
        """, verdict="rollback_incomplete", path="trip b1", roles="b1:cause", undone="b1<b1:failed",
        says="reported success, but failed at stage:book · rollback incomplete: stage:book failed to undo itself"),
    Saga("an inner saga that was replaced undid itself, as it tells itself", """
        trip          0..20
          b1          1..8 failed named=book unwind=6..7
            hotel     2..3
          b2          9..15 named=book
        """, verdict="succeeded", roles="b1:recovered", undone="b1<b1:compensated",
        says="succeeded · 1 failure recovered"),
    Saga("in a first attempt an undo that names no step failed", """
        order         0..6:retry 61..66 job !no
          a1          1..2
          cleanup     4..5 failed ~
          a2          62..63
        """, verdict="rollback_incomplete", path="order", roles="cleanup:compensation order:cause",
        says="reported success, but failed at order (no) · rollback incomplete: cleanup failed and names no step"),
    Saga("two inner sagas at once, one fails: the other's steps stand too", """
        trip          0..20 failed
          east        1..9
            hotel     2..3 +cancel
          west        1..8 failed
            car       2..4 +return
            flight    5..6 failed
            u1        7..7.5 ~car
        """, verdict="rollback_incomplete", path="trip west flight",
        roles="flight:cause trip:consequence west:consequence", undone="car<u1:compensated hotel<-:not_started",
        standing="hotel: rollback stopped before this step"),
]  # fmt: skip

AGAIN = [
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
        undone="a1<u1:compensated a2<u2:compensated"),
    Saga("the same, with the steps directly under the job", """
        order     0..6:retry 61..66 failed job !no
          a1      1..3 +x
          x1      3.1..3.5 failed !no
          u1      4..5 ~a1
          a2      62.1..63 +x
          x2      63.1..63.5 failed !no
          u2      64..65 ~a2
        """, verdict="rolled_back", path="order x1",
        roles="order:consequence x1:cause x2:independent", undone="a1<u1:compensated a2<u2:compensated"),
    Saga("what is wrong within the second attempt is told", """
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
        undone="a1<u1:compensated a2<u2:compensated b2<u3:compensated",
        odd="out_of_order_undo(u2 u3) step_after_abort(late)"),
    Saga("a step that began after the undoing had, in the first attempt", """
        order     0..6:retry 61..66 failed job !no
          a1      1..3 +x
          u1      4..4.5 ~a1
          late    5..5.5
          a2      62..63
        """, verdict="rolled_back", path="order", roles="order:cause", undone="a1<u1:compensated",
        odd="step_after_abort(late)"),
    Saga("a first attempt rolled back, a good second one", """
        order     0..6:retry 61..66 job !no
          a1      1..3 +x
          x1      3.1..3.5 failed named=x !no
          u1      4..5 ~a1
          a2      62.1..63 +x
          x2      63.1..63.5 named=x
        """, verdict="succeeded", roles="order:recovered x1:recovered", undone="a1<u1:compensated",
        says="succeeded · 2 failures recovered"),
    Saga("the same, and only the job itself says that the first attempt failed", """
        order     0..6:retry 61..66 job !no
          a1      1..3 +x
          u1      4..5 ~a1
          a2      62.1..63 +x
        """, verdict="succeeded", roles="order:recovered", undone="a1<u1:compensated"),
    Saga("a first attempt rolled back, and a second one that is on its way", """
        order     0..6:retry 61.. job !no
          a1      1..3 +x
          x1      3.1..3.5 failed !no
          u1      4..5 ~a1
          ask     62..
        """, verdict="running", path="order x1", roles="x1:cause", undone="a1<u1:compensated",
        says="failed at stage:x1 (no) · running: stage:ask"),
    Saga("a first attempt not rolled back, one step of which a host told whose clock is behind", """
        order     1..6:retry 61..66 job !no
          a1      0.9..3 +x
          u1      4..5 failed ~a1 !down
          a2      62..63 +x
        """, verdict="rollback_incomplete", path="order", roles="order:cause u1:compensation", undone="a1<u1:failed",
        standing="a1: compensation failed after 1 attempt", odd="clock_skew(a1)",
        says="reported success, but failed at order (no) · rollback incomplete: 1 of 1 step still standing (stage:a1)"),
    Saga("a first attempt rolled back, and a second one that was never heard of again", """
        order     0..6:retry 61.. job !no
          a1      1..3 +x
          x1      3.1..3.5 failed !no
          u1      4..5 ~a1
        """, verdict="rolled_back", path="order x1", roles="x1:cause", undone="a1<u1:compensated",
        odd="never_ended(order)", idle=True, says="failed at stage:x1 (no) · rolled back: 1 step undone"),
    Saga("a first attempt rolled back, and a second one that is on its way back as well", """
        order     0..6:retry 61.. job !no
          a1      1..3 +x
          x1      3.1..3.5 failed !no
          u1      4..5 ~a1
          a2      62..63 +x
          x2      63.1..63.5 failed !no
          u2      64.. ~a2
        """, verdict="compensating", path="order x1", roles="x1:cause x2:independent",
        undone="a1<u1:compensated a2<u2:running", standing="a2: compensation still running"),
    Saga("a first attempt that told its undoing under the job's own id, a good second one", """
        order     0..6:retry 61..66 job unwind=4..5 !no
          a1      1..3
          a2      62..63
        """, verdict="succeeded", roles="order:recovered", undone="order<order:compensated",
        says="succeeded · 1 failure recovered"),
    Saga("a good second attempt that told its undoing under the job's own id", """
        order     0..6:retry 61..66 job unwind=64..65 !no
          a2      62..63
        """, verdict="succeeded_but_compensated", roles="order:recovered", undone="order<order:compensated",
        odd="green_but_compensated(order)"),
    Saga("a first attempt not wholly rolled back, a good second one", """
        order     0..6:retry 61..66 job !no
          a1      1..2 +x
          b1      2..3 +x
          u1      4..5 ~b1
          a2      62..63 +x
        """, verdict="rollback_incomplete", path="order", roles="order:cause", undone="b1<u1:compensated a1<-:not_started",
        standing="a1: rollback stopped before this step",
        says="reported success, but failed at order (no) · rollback incomplete: 1 of 2 steps still standing (stage:a1)"),
    Saga("a first attempt that nobody undid, a second partly rolled back, a good third one", """
        order     0..6:retry 20..26:retry 61..66 job !no
          a1      1..2 +x
          a2      21..22 +x
          b2      22..23 +x
          u2      24..25 ~b2
          a3      62..63 +x
        """, verdict="rollback_incomplete", path="order", roles="order:cause", undone="b2<u2:compensated a2<-:not_started",
        standing="a2: rollback stopped before this step",
        says="reported success, but failed at order (no) · rollback incomplete: 1 of 2 steps still standing (stage:a2)"),
    Saga("a good second attempt that was undone all the same", """
        order     0..6:retry 61..66 job !no
          a1      1..2 +x
          u1      4..5 ~a1
          a2      62..63 +x
          u2      64..65 ~a2
        """, verdict="succeeded_but_compensated", roles="order:recovered",
        undone="a1<u1:compensated a2<u2:compensated", odd="green_but_compensated(u2)"),
    Saga("a first attempt rolled back, a good second one, and a job that it left behind failed", """
        order     0..6:retry 61..66 job !no
          a1      1..2 +x
          u1      4..5 ~a1
          a2      62..63 +x
          mail    q65 70..71 failed job !down
        """, verdict="rollback_incomplete", path="order mail", roles="mail:cause order:recovered",
        undone="a1<u1:compensated a2<-:not_started", standing="a2: rollback stopped before this step",
        says="failed at mail (down) · rollback incomplete: 1 of 2 steps still standing (stage:a2)"),
    Saga("a stage that goes on after an inner saga cleaned up", """
        trip      0..20 failed
          visa    1..2 +revoke
          book    3..9 failed
            hotel 4..5 +cancel
            full  6..7 failed !full
            u1    8..8.5 ~hotel
          tell    10..11
          u2      14..15 ~visa
        """, verdict="rolled_back", path="trip book full",
        roles="book:consequence full:cause trip:consequence", undone="hotel<u1:compensated visa<u2:compensated"),
]  # fmt: skip

ODD = [
    Saga("the unwinding left one out and went on, as the steps tell themselves", """
        loan      0..9 failed
          a       1..2 +x unwind=8..8.5
          c       3..3.5 +x
          b       4..5 +x unwind=7..7.5
          pay     5..6 failed
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        undone="b<b:compensated a<a:compensated c<-:not_started", standing="c: compensation never started"),
    Saga("undone in the order done, as the steps tell themselves", """
        loan      0..9 failed
          a       1..2 +x unwind=7..7.5
          b       3..4 +x unwind=8..8.5
          pay     5..6 failed
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        undone="a<a:compensated b<b:compensated", odd="out_of_order_undo(a b)"),
    Saga("each undo runs in a job of its own, which began after the undoing had", """
        loan      0..20 failed
          a       1..2 +x
          b       3..4 +x
          pay     5..6 failed
          j2      7..9 job
            u2    7.5..8.5 ~b
          j1      10..12 job
            u1    10.5..11.5 ~a
            note  @11.6
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        undone="b<u2:compensated a<u1:compensated"),
    Saga("a job that undoes began after the undoing had, and does something else as well", """
        loan      0..20 failed
          a       1..2 +x
          b       3..4 +x
          pay     5..6 failed
          u2      7..8 ~b
          j1      10..12 job
            u1    10.5..11 ~a
            mail  11.2..11.5
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        undone="b<u2:compensated a<u1:compensated", odd="step_after_abort(j1)"),
    Saga("undone in the order done", """
        loan      0..9 failed
          a       1..2 +x
          b       3..4 +x
          pay     5..6 failed
          u1      7..7.5 ~a
          u2      8..8.5 ~b
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        undone="a<u1:compensated b<u2:compensated", odd="out_of_order_undo(u1 u2)"),
    Saga("the last thing undone first, and the other two in the order done", """
        loan      0..11 failed
          a       1..2 +x
          b       3..4 +x
          c       5..6 +x
          pay     6..7 failed
          u3      7..7.5 ~c
          u1      8..8.5 ~a
          u2      9..9.5 ~b
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        undone="c<u3:compensated a<u1:compensated b<u2:compensated", odd="out_of_order_undo(u1 u2)"),
    Saga("steps that ran at once have no order", """
        loan      0..9 failed
          a       1..3 +x
          b       2..4 +x
          pay     5..6 failed
          u1      7..7.5 ~a
          u2      8..8.5 ~b
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        undone="a<u1:compensated b<u2:compensated"),
    Saga("steps that ended at once: seq gives the order, and it was not kept", """
        loan      0..9 failed
          a       ..3 +x seq=/1
          b       ..3 +x seq=/2
          pay     5..6 failed
          u1      7..7.5 ~a
          u2      8..8.5 ~b
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        undone="a<u1:compensated b<u2:compensated", odd="out_of_order_undo(u1 u2)"),
    Saga("steps that ended at once: seq gives the order, and it was kept", """
        loan      0..9 failed
          a       ..3 +x seq=/2
          b       ..3 +x seq=/1
          pay     5..6 failed
          u1      7..7.5 ~a
          u2      8..8.5 ~b
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        undone="a<u1:compensated b<u2:compensated"),
    Saga("undos that began at once: seq tells which was first", """
        loan      0..9 failed
          a       1..2 +x
          b       3..4 +x
          pay     5..6 failed
          u1      7..7.5 ~a seq=1/3
          u2      7..8.5 ~b seq=2/4
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        undone="a<u1:compensated b<u2:compensated", odd="out_of_order_undo(u1 u2)"),
    Saga("undos that began at once and do not say which was first", """
        loan      0..9 failed
          a       1..2 +x
          b       3..4 +x
          pay     5..6 failed
          u1      7..7.5 ~a
          u2      7..8.5 ~b
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        undone="a<u1:compensated b<u2:compensated"),
    Saga("undone twice", """
        loan      0..9 failed
          a       1..2 +x
          pay     3..4 failed
          u1      5..6 ~a
          u2      7..8 ~a
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        undone="a<u1:compensated a<u2:compensated", odd="double_undo(a u1 u2)"),
    Saga("undone again after it had been, and the second time failed", """
        loan      0..9 failed
          a       1..2 +x
          pay     3..4 failed
          u1      5..6 ~a
          u2      7..8 failed ~a !already released
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause u2:compensation",
        undone="a<u1:compensated a<u2:failed", odd="double_undo(a u1 u2)"),
    Saga("undid what had failed", """
        loan      0..9 failed
          pay     3..4 failed +x
          u1      5..6 ~pay
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        undone="pay<u1:compensated", odd="empty_undo(pay u1)"),
    Saga("undid what had never started", """
        loan      0..9 failed
          pay     3..4 failed
          mail    q1 job
          u1      5..6 ~mail
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        undone="mail<u1:compensated", odd="never_ended(mail) empty_undo(mail u1)", idle=True),
    Saga("undid what nobody ever saw", """
        loan      0..9 failed
          pay     3..4 failed
          u1      5..6 ~ghost
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause",
        undone="ghost<u1:compensated", odd="empty_undo(u1)"),
    Saga("failed to undo what nobody ever saw", """
        loan      0..9 failed
          pay     3..4 failed
          u1      5..6 failed ~ghost
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause u1:compensation",
        undone="ghost<u1:failed", standing="ghost?: compensation failed after 1 attempt", odd="empty_undo(u1)"),
    Saga("the undo was over before the step was", """
        loan      0..9 failed
          slow    1..7 +x
          pay     3..4 failed
          u1      5..6 ~slow
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        undone="slow<u1:compensated", standing="slow: undone before it completed (or clocks disagree)",
        odd="hanging_undo(slow u1)"),
    Saga("a step that began after the undoing had", """
        loan      0..9 failed
          a       1..2 +x
          pay     3..4 failed
          u1      5..6 ~a
          mail    7..8
            send  7..8 job
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause", undone="a<u1:compensated",
        odd="step_after_abort(mail)"),
    Saga("a job that was waiting when the undoing began, and ran all the same", """
        loan      0..9 failed
          a       1..2 +x
          mail    q2 7..8 job +y
          pay     3..4 failed
          u1      5..6 ~a
        """, verdict="rollback_incomplete", path="loan pay", roles="loan:consequence pay:cause",
        undone="a<u1:compensated mail<-:not_started", standing="mail: rollback stopped before this step",
        odd="step_after_abort(mail)"),
    Saga("green, yet undone", """
        loan      0..9
          a       1..2 +x
          u1      5..6 ~a
        """, verdict="succeeded_but_compensated", undone="a<u1:compensated", odd="green_but_compensated(u1)",
        says="reported success, but compensated: stage:a undone"),
    Saga("green, though an undo failed", """
        loan      0..9
          a       1..2 +x
          u1      5..6 failed ~a
        """, verdict="rollback_incomplete", roles="u1:compensation", undone="a<u1:failed",
        odd="green_but_compensated(u1)", standing="a: compensation failed after 1 attempt",
        says="reported success, but rollback incomplete: 1 of 1 step still standing (stage:a)"),
    Saga("the parent is missing", """
        a         1..2 failed under=ghost
        """, verdict="failed", path="a", roles="a:cause", odd="orphan(a)", idle=True),
    Saga("each other's parents", """
        a         1..2 under=b
        b         1..3 under=a
        """, verdict="succeeded", odd="cycle(a b)"),
    Saga("its own parent", """
        a         1..2 failed under=a
        """, verdict="failed", path="a", roles="a:cause", odd="cycle(a)"),
    Saga("two roots", """
        a         1..2
        b         3..4 failed
        """, verdict="failed", path="b", roles="b:cause", odd="several_roots(a b)"),
    Saga("a child that begins before its parent", """
        loan      1..9
          a       0.5..2
        """, verdict="succeeded", odd="clock_skew(a)"),
    Saga("ended twice, and not the same", """
        loan      0..9 failed
          a       1..2 failed
          a       ..3
        """, verdict="failed", path="loan", roles="a:recovered loan:cause", odd="conflicting_outcomes(a)"),
    Saga("ended twice, the same", """
        loan      0..9
          a       1..2
          a       ..3
        """, verdict="succeeded", odd="duplicate(a)"),
    Saga("given up for lost, then seen to end well", """
        loan      0..9
          a       1..4 abandoned job presumed
          a       ..6 job
        """, verdict="succeeded"),
    Saga("everything at once", """
        loan      0..30 failed
          a       1..2 +x
          b       3..4 +x
          c       3..26 +x
          d       5..6 failed +x !TimeoutError:3 s
          pay     5..7 failed !NoFunds:empty
          u1      10..11 ~a
          u2      12..13 ~b
          u3      14..15 failed ~c !too early
          u4      16..17 ~a
          mail    18..19
        """, verdict="rollback_incomplete", path="loan d",
        roles="d:cause loan:consequence pay:independent u3:compensation",
        undone="a<u1:compensated b<u2:compensated c<u3:failed a<u4:compensated d<-:not_started",
        standing="d?: compensation never started; c: compensation failed after 1 attempt",
        odd="out_of_order_undo(u1 u2 u3) double_undo(a u1 u4) step_after_abort(mail)"),
]  # fmt: skip

MORE = [
    Saga("parent and child fail in the same microsecond", """
        loan      0..4 failed
          pay     3..4 failed
        """, verdict="failed", path="loan pay", roles=PAY),
    Saga("canceled, and nobody undid anything", """
        loan      0..9 canceled
          credit  1..2 +release
        """, verdict="rollback_missing", path="loan", undone="credit<-:not_started",
        standing="credit: compensation never started",
        says="canceled at workflow:loan · rollback missing: "
             "1 of 1 step still standing (stage:credit), and no compensation began"),
    Saga("canceled while a step ran on, which was never heard of again", """
        loan      0..5 canceled
          pay     3.. +refund
        """, verdict="rollback_missing", path="loan", undone="pay<-:not_started",
        standing="pay?: compensation never started", odd="never_ended(pay)", idle=True),
    Saga("the dependency was canceled", """
        loan      0..9 failed
          pay     1..2 canceled job
          mail    d1 job needs=pay
        """, verdict="failed", path="loan", roles="loan:cause", never_ran="mail<pay"),
    Saga("of a job only its retry is known", """
        loan      0..9 failed
          pay     ..3:retry job +refund !busy
        """, verdict="rollback_missing", path="loan", roles="loan:cause", undone="pay<-:not_started",
        standing="pay?: compensation never started", odd="never_ended(pay)", idle=True),
    Saga("a step of which only the end is known", """
        loan      0..9 failed
          a       ..2 +x
          pay     3..4 failed
        """, verdict="rollback_missing", path="loan pay", roles=PAY, undone="a<-:not_started",
        standing="a: compensation never started"),
    Saga("a step that completed after its saga had failed", """
        loan      0..3 failed
          slow    1..5 +x
        """, verdict="rollback_missing", path="loan", roles="loan:cause", undone="slow<-:not_started",
        standing="slow: compensation never started"),
    Saga("an instant that can be undone", """
        loan      0..9 failed
          book    @1 +unbook
          pay     3..4 failed
        """, verdict="rollback_missing", path="loan pay", roles=PAY, undone="book<-:not_started",
        standing="book: compensation never started"),
    Saga("an undo that is an instant says nothing of how it went", """
        loan      0..9 failed
          book    1..2 +unbook
          pay     3..4 failed
          u1      @5 ~book
        """, verdict="rollback_incomplete", path="loan pay", roles=PAY, undone="book<u1:unconfirmed",
        standing="book: unconfirmed: compensation started, no outcome recorded"),
    Saga("an undo whose second job waits for a first that failed while the undo still ran", """
        loan      0..9 failed
          book    1..2 +unbook
          pay     3..4 failed
          u1      5..8 ~book
            a     6..7 failed job !bank down
            b     d6 job needs=a
        """, verdict="rollback_incomplete", path="loan pay", roles=f"a:recovered {PAY}", undone="book<u1:failed",
        standing="book: compensation failed after 1 attempt", never_ran="b<a"),
    Saga("an undo whose job waits for the step that failed, in a saga that still runs", """
        loan      0..
          book    1..2 +unbook
          pay     3..4 failed job
          u1      5..6 ~book
            b     d5 job needs=pay
        """, verdict="compensating", path="loan pay", roles="pay:cause", undone="book<u1:failed",
        standing="book: compensation failed after 1 attempt", never_ran="b<pay"),
    Saga("an undo whose second job waits for a first that may yet run", """
        loan      0..
          book    1..2 +unbook
          pay     3..4 failed
          u1      5..6 ~book
            a     q5 job
            b     d5 job needs=a
        """, verdict="compensating", path="loan pay", roles="pay:cause", undone="book<u1:running",
        standing="book: compensation still running"),
    Saga("an undo that only enqueued its job, which failed, and was run again as a job of its own", """
        loan      0..20 failed
          book    1..2 +unbook
          pay     3..4 failed
          u1      5..6 ~book
            j1    q5.5 7..8 failed job named=cancel !busy
            j2    9..10 job named=cancel
        """, verdict="rolled_back", path="loan pay", roles=f"j1:recovered {PAY}", undone="book<u1:compensated"),
    Saga("an undo that left a stage behind, which dealt with the failure of its job", """
        loan      0..20 failed
          book    1..2 +unbook
          pay     3..4 failed
          u1      5..6 ~book
            try   5.5..9
              j1  7..8 failed job !busy
        """, verdict="rolled_back", path="loan pay", roles=f"j1:recovered {PAY}", undone="book<u1:compensated"),
    Saga("an undo that left a stage behind, which failed with its job and was tried again", """
        loan      0..20 failed
          book    1..2 +unbook
          pay     3..4 failed
          u1      5..6 ~book
            t1    5.5..9 failed named=try
              j1  7..8 failed job !busy
            t2    10..11 named=try
        """, verdict="rolled_back", path="loan pay", roles=f"j1:recovered {PAY} t1:recovered",
        undone="book<u1:compensated"),
    Saga("an undo that only enqueued its job, which was then canceled", """
        loan      0..9 failed
          book    1..2 +unbook
          pay     3..4 failed
          u1      5..6 ~book
            a     5..7 canceled job
        """, verdict="rollback_incomplete", path="loan pay", roles=PAY, undone="book<u1:failed",
        standing="book: compensation failed after 1 attempt"),
    Saga("an undo that went well after a job of its own had been stopped", """
        loan      0..9 failed
          book    1..2 +unbook
          pay     3..4 failed
          u1      5..8 ~book
            a     5..6 stopped job
            b     6..7 job
        """, verdict="rolled_back", path="loan pay", roles=PAY, undone="book<u1:compensated"),
    Saga("a step that undoes itself before it says that it failed", """
        loan      0..9 failed
          credit  1..6 failed +release !NoFunds:empty
            hold  2..3
            u1    4..5 ~credit
        """, verdict="rolled_back", path="loan credit", roles="credit:cause loan:consequence",
        undone="credit<u1:compensated"),
    Saga("a step undone from outside before it failed", """
        loan      0..9 failed
          credit  1..6 failed +release !TimeoutError:5 s
          u1      4..5 ~credit
        """, verdict="rollback_incomplete", path="loan credit", roles="credit:cause loan:consequence",
        undone="credit<u1:compensated", odd="hanging_undo(credit u1)",
        standing="credit?: undone before it ended (or clocks disagree)"),
    Saga("a step undone from outside before it failed outright", """
        loan      0..9 failed
          credit  1..6 failed +release !NoFunds:empty
          u1      4..5 ~credit
        """, verdict="rolled_back", path="loan credit", roles="credit:cause loan:consequence",
        undone="credit<u1:compensated", odd="hanging_undo(credit u1)"),
    Saga("a step undone from outside before it was stopped", """
        loan      0..9 failed
          credit  1..6 stopped job +release
          u1      4..5 ~credit
        """, verdict="rollback_incomplete", path="loan", roles="loan:cause",
        undone="credit<u1:compensated", odd="hanging_undo(credit u1)",
        standing="credit?: undone before it ended (or clocks disagree)"),
    Saga("a step that undoes itself after it timed out, before it says so", """
        loan      0..9 failed
          credit  1..6 failed +release !TimeoutError:3 s
            u1    4..5 ~credit
        """, verdict="rolled_back", path="loan credit", roles="credit:cause loan:consequence",
        undone="credit<u1:compensated"),
    Saga("a step undone before anybody found out that its worker was lost", """
        loan      0..900 failed
          credit  1..800 abandoned job +release presumed
          u1      4..5 ~credit
        """, verdict="rolled_back", path="loan credit", roles="credit:cause loan:consequence",
        undone="credit<u1:compensated"),
    Saga("the inner saga of a step that could be undone cleaned up itself", """
        trip      0..20 failed
          book    1..10 failed +unbook
            hotel 2..3 +cancel
            full  4..5 failed
            u1    6..7 ~hotel
        """, verdict="rolled_back", path="trip book full", roles="book:consequence full:cause trip:consequence",
        undone="hotel<u1:compensated"),
    Saga("a stage tried twice: the first undid itself, the second did not", """
        trip      0..30 failed
          b1      1..8 failed named=book
            hotel 2..3 +cancel
            full  4..5 failed
            u1    6..7 ~hotel
          b2      9..15 failed named=book
            inn   10..11 +cancel
            shut  12..13 failed
        """, verdict="rollback_incomplete", path="trip b1 full",
        roles="b1:consequence b2:consequence full:cause shut:independent trip:consequence",
        undone="hotel<u1:compensated inn<-:not_started", standing="inn: rollback stopped before this step"),
    Saga("a stage in the middle tells its own undoing", """
        trip      0..20 failed
          book    1..9 failed unwind=6..8
            hotel 2..3 +cancel
            full  4..5 failed
        """, verdict="rolled_back", path="trip book full", roles="book:consequence full:cause trip:consequence",
        undone="book<book:compensated"),
    Saga("the worker of the undo was lost, and it was undone by hand", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed
          u1      5..6 abandoned job ~credit presumed
          u2      8..8.5 ~credit
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause u1:recovered",
        undone="credit<u1:failed credit<u2:compensated"),
    Saga("an undo canceled before it began", """
        loan      0..9 failed
          a       1..2 +x
          pay     3..4 failed
          u1      q5 ..6 canceled job ~a
        """, verdict="rollback_incomplete", path="loan pay", roles=PAY, undone="a<u1:failed",
        standing="a: compensation failed after 1 attempt"),
    Saga("undoing began, and of no step", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed
          rollback 5..8
        """, verdict="rollback_incomplete", path="loan pay", roles=PAY, undone="credit<-:not_started",
        standing="credit: rollback stopped before this step"),
    Saga("the group of undos failed, and no undo in it did", """
        loan      0..9 failed
          credit  1..2 +release
          pay     3..4 failed
          rollback 5..8 failed !mail down
            u1    6..7 ~credit
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause rollback:compensation",
        undone="credit<u1:compensated"),
    Saga("undid what nobody ever saw, and not what had been done", """
        loan      0..9 failed
          a       1..2 +x
          pay     3..4 failed
          u1      5..6 ~ghost
        """, verdict="rollback_incomplete", path="loan pay", roles=PAY,
        undone="ghost<u1:compensated a<-:not_started", standing="a: rollback stopped before this step",
        odd="empty_undo(u1)"),
    Saga("to undo the undo failed: the step is undone", """
        loan      0..9 failed
          a       1..2 +x
          pay     3..4 failed
          u1      5..6 ~a
          r1      7..8 failed ~u1
        """, verdict="rolled_back", path="loan pay", roles="loan:consequence pay:cause r1:compensation",
        undone="a<u1:compensated u1<r1:failed"),
    Saga("run again by hand after it was undone", """
        loan      0..20 failed
          a       1..2 job +x
          pay     3..4 failed
          u1      5..6 ~a
          a       q8 9..10 job
        """, verdict="rollback_incomplete", path="loan pay", roles=PAY, undone="a<u1:compensated a#2<-:not_started",
        standing="a#2: rollback stopped before this step", odd="step_after_abort(a#2)"),
    Saga("rolled back, and then silence: the root never ended", """
        loan      0..
          a       1..2 +x
          pay     3..4 failed
          u1      5..6 ~a
        """, verdict="rolled_back", path="loan pay", roles="pay:cause", undone="a<u1:compensated",
        odd="never_ended(loan)", idle=True),
    Saga("of the trace only two steps came, and not their root", """
        credit    1..2 +release under=loan
        pay       3..4 failed under=loan
        """, verdict="rollback_missing", path="pay", roles="pay:cause", undone="credit<-:not_started",
        standing="credit: compensation never started", odd="orphan(credit pay)", idle=True),
]  # fmt: skip

ALL = [*PLAIN, *ROLES, *UNDOING, *EFFECTS, *NESTED, *AGAIN, *ODD, *MORE]
COLUMNS = ("verdict", "path", "roles", "undone", "standing", "odd", "never_ran")


@pytest.mark.parametrize("saga", ALL, ids=lambda saga: saga.title)
def test_what_is_said_of_a_saga(saga: Saga) -> None:
    trace = read(saga)
    assert answers(trace) == {column: getattr(saga, column) for column in COLUMNS}
    if saga.says:
        assert trace.summary == saga.says


def test_the_tables_hold_every_verdict_role_reason_outcome_and_anomaly() -> None:
    said = list(ALL)
    assert len({saga.title for saga in said}) == len(said) > 60
    assert {saga.verdict for saga in said} == {
        "succeeded", "running", "compensating", "failed", "rolled_back", "rollback_incomplete", "rollback_missing",
        "succeeded_but_compensated", "unknown",
    }  # fmt: skip
    for column, words in {
        "roles": "cause consequence independent recovered compensation",
        "undone": "compensated failed running unconfirmed not_started",
        "standing": "compensation failed after,rollback stopped before this step,compensation still running,compensation never started,unconfirmed",
        "odd": "orphan cycle several_roots clock_skew duplicate conflicting_outcomes never_ended out_of_order_undo "
               "double_undo empty_undo hanging_undo step_after_abort green_but_compensated",
    }.items():  # fmt: skip
        text = " ".join(getattr(saga, column) for saga in said)
        for word in words.split(",") if "," in words else words.split():
            assert word in text, f"no saga with {word} in {column}"
