"""Sagas that succeed, run, fall silent or are stopped."""

from __future__ import annotations

from notation import Saga

PLAIN = [
    Saga("nothing at all", "", verdict="unknown", summary="unknown: no usable events"),
    Saga("all went well", """
        loan      0..9
          credit  1..2 +release
          funding 3..4 +refund
        """, verdict="succeeded", summary="succeeded"),
    Saga("still going", """
        loan      0..
          credit  1..2 +release
          funding 3..
        """, verdict="running", summary="running: stage:funding"),
    Saga("the root is done and a job it left behind is not", """
        loan      0..2
          mail    q1 job
        """, verdict="running", summary="queued: mail"),
    Saga("the same, and no worker ever took the job", """
        loan      0..2
          mail    q1 job
        """, verdict="succeeded", anomalies="never_ended(mail)", idle=True),
    Saga("died without a word", """
        loan      0..
          credit  1..2
          funding 3..
        """, verdict="unknown", anomalies="never_ended(loan funding)", idle=True,
        summary="unknown: no outcome of its root and no failure; 2 spans never ended: stage:funding, workflow:loan"),
    Saga("died between two steps, one of which could have been undone", """
        loan      0..
          credit  1..2 +release
          funding 3.. +refund
        """, verdict="unknown", standing="credit: compensation never started; funding?: compensation never started",
        compensations="funding<-:not_started credit<-:not_started",
        anomalies="never_ended(loan funding)", idle=True),
    Saga("only instants", """
        loan      @1
        """, verdict="unknown", idle=True),
    Saga("stopped by an operator", """
        loan      0..3 stopped job
          credit  1..2
        """, verdict="failed", path="loan", summary="stopped at loan · nothing to undo"),
    Saga("canceled from outside, at its innermost step", """
        loan      0..5 canceled
          credit  1..4 canceled
            bank  2..3 canceled
        """, verdict="failed", path="loan credit bank", summary="canceled at stage:bank · nothing to undo"),
    Saga("jobs by choreography, the last of which was stopped and undone by its callback", """
        charge    0..1 job +refund
          ship    2..3 stopped job
            u1    4..5 job ~charge
        """, verdict="rolled_back", path="charge ship", compensations="charge<u1:compensated",
        summary="stopped at ship · rolled back: 1 step undone"),
    Saga("jobs by choreography, the last of which was stopped, and nothing was undone", """
        charge    0..1 job +refund
          ship    2..3 stopped job
        """, verdict="rollback_missing", path="charge ship", compensations="charge<-:not_started",
        standing="charge: compensation never started"),
    Saga("a job that was stopped while its saga continued and succeeded", """
        loan      0..9 +refund
          mail    2..3 stopped job
        """, verdict="succeeded"),
    Saga("a job that was canceled after its saga had ended well", """
        loan      0..1 +refund
          remind  q1 ..3 canceled job
        """, verdict="succeeded"),
]  # fmt: skip
