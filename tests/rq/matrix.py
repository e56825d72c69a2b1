"""All ways in which a job can end, on real workers: run by `test_matrix`, with the RQ that PYTHONPATH names.

    python matrix.py REDIS_URL STORE_URL LOGS REPORT

Writes for each row what happened by RQ's data. The test compares the events with it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import fates
import rq
from redis import Redis
from rq import Callback, Repeat, Retry
from rq.command import send_kill_horse_command, send_stop_job_command
from rq.job import Job
from rq.registry import StartedJobRegistry

from sagatrace import TraceContext
from sagatrace.rq.queue import TracedQueue
from servers import end_worker

HERE: Final = Path(__file__).parent
LIMIT: Final = 300  # seconds that only end a hang
RQ3: Final = int(rq.__version__.split(".")[0]) >= 3


class Row:
    """One row: its own queue, its workers, and its jobs with their expected ends."""

    def __init__(self, name: str, redis_url: str, logs: Path) -> None:
        self.name = name
        self.redis_url = redis_url
        self.redis = Redis.from_url(redis_url)
        self.queue_name = name.replace("/", "-")
        self.queue = TracedQueue(self.queue_name, connection=self.redis)
        self.context = TraceContext.new(f"trace-{self.queue_name}")
        self.here = self.queue.under(self.context)
        self.jobs: dict[str, dict[str, Any]] = {}
        self.workers: list[subprocess.Popen[bytes]] = []
        self.redis_is_gone = False
        self.log = logs / f"{self.queue_name}.log"
        self._released = logs / f"{self.queue_name}.released"

    def expect(self, job: Job | str, *ends: str, runs: int | None = None, waits: Sequence[str] = ("enqueued",)) -> Any:
        """Note the expected events of the job: its ends (`?` presumed), and those while it waits."""
        job_id = job if isinstance(job, str) else job.id
        starts = sum(not end.startswith("=") for end in ends)
        self.jobs[job_id] = {
            "ends": [end.removeprefix("=") for end in ends],
            "starts": starts,
            "runs": starts if runs is None else runs,
            "waits": list(waits),
        }
        return job

    def worker(self, *options: str, kind: str = "sagatrace.rq.Worker", burst: bool = True) -> subprocess.Popen[bytes]:
        """Start a worker on the row's queue."""
        command = [sys.executable, "-P", "-m", "rq.cli", "worker", "-u", self.redis_url, "-w", kind]
        command += ["--path", str(HERE), *(["--burst"] if burst else []), *options, self.queue_name]
        with self.log.open("ab") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0)
        self.workers.append(process)
        return process

    def work_off(self, *options: str, kind: str = "sagatrace.rq.Worker") -> None:
        """Run a worker until the queue is empty."""
        status = self.worker(*options, kind=kind).wait(LIMIT)
        assert status == 0, f"{self.name}: the worker ended with status {status}"

    def until(self, probe: Callable[[], Any], what: str, timeout: float = LIMIT) -> Any:
        """Wait until the probe returns a true value."""
        deadline, pause = time.monotonic() + timeout, threading.Event()
        while not (found := probe()):
            assert time.monotonic() < deadline, f"{self.name}: not within {timeout:g} s: {what}"
            pause.wait(0.02)
        return found

    def held(self, **options: Any) -> Job:
        """Enqueue a job that runs until `release`."""
        self._released.unlink(missing_ok=True)
        return self.here.enqueue(fates.last_until, str(self._released), **options)

    def release(self) -> None:
        """Let the held job end."""
        self._released.touch()

    def running(self, job: Job) -> int:
        """Wait until the job's function has begun, and return its process."""
        return int(self.until(lambda: self.redis.lindex(f"ran:{job.id}", -1), f"job {job.id} runs"))

    def expire(self) -> None:
        """Let the job's last heartbeat be long ago, so that RQ's clean-up considers it abandoned."""
        key = StartedJobRegistry(self.queue_name, connection=self.redis).key
        rows = [bytes(row) for row in self.redis.zrange(key, 0, -1) if isinstance(row, bytes)]
        assert rows, f"{self.name}: nothing to expire"
        self.redis.zadd(key, {row: time.time() - 100 for row in rows})

    def reconcile(self) -> None:
        """Look for lost jobs, without a grace period."""
        outbox_empty(self)
        command = [sys.executable, "-P", "-m", "sagatrace.rq.reconciler", "--redis-url", self.redis_url, "--grace", "0"]
        with self.log.open("ab") as log:
            subprocess.run(command, check=True, timeout=LIMIT, stdout=log, stderr=log)

    def report(self) -> dict[str, Any]:
        """Return what happened, by the data of Redis and the job functions."""
        for process in self.workers:
            if process.poll() is None:
                process.kill()
                process.wait()
        for job_id, known in self.jobs.items() if not self.redis_is_gone else ():
            status = self.redis.hget(Job.key_for(job_id), "status")
            known["status"] = status.decode() if isinstance(status, bytes) else status
            known["ran"] = self.redis.llen(f"ran:{job_id}")
            calls = self.redis.lrange(f"called:{job_id}", 0, -1)
            known["called"] = [call.decode() if isinstance(call, bytes) else call for call in calls]
        return {"trace": self.context.trace_id, "jobs": self.jobs}


def outbox_empty(row: Row) -> None:
    """Wait until all events so far are in the store."""
    outbox = Path(os.environ["SAGATRACE_STORE"].removeprefix("sqlite:///") + "-outbox")
    subprocess.run(
        [sys.executable, "-P", "-m", "sagatrace.shipper"], check=True, timeout=LIMIT, stderr=subprocess.DEVNULL
    )
    row.until(lambda: not list(outbox.glob("*.jsonl")), "an empty outbox")


def everyday(row: Row, kind: str, *, forks: bool, all_of_them: bool = True) -> None:
    """Jobs of every kind in one queue, run by one worker."""
    queue, expect = row.here, row.expect
    expect(queue.enqueue(fates.succeed, 3), "completed")
    expect(queue.enqueue(fates.fail), "failed")
    retrying = "retrying" if RQ3 or "spawn" not in row.name else "retrying?"
    expect(queue.enqueue(fates.fail_once, retry=Retry(max=2)), retrying, "completed")
    expect(queue.enqueue(fates.step_once, retry=Retry(max=1)), retrying, "completed")
    expect(queue.enqueue(fates.last, 100, job_timeout=3), "failed")
    if forks:
        expect(queue.enqueue(fates.die), "failed")
        expect(queue.enqueue(fates.leave, 0), "abandoned?")
    if all_of_them:
        _more_of_everyday(row, forks=forks)
    row.work_off(kind=kind)
    child = row.redis.exists(Job.key_for("parent-child"))
    assert not child


def _more_of_everyday(row: Row, *, forks: bool) -> None:
    queue, expect = row.here, row.expect
    blind = "spawn" in row.name and not RQ3  # RQ 2 spawns a work-horse of its own class, which records nothing
    retrying = "retrying?" if blind else "retrying"
    if forks:
        expect(queue.enqueue(fates.die_once, retry=Retry(max=1)), "retrying", "completed")
        expect(queue.enqueue(fates.leave, 3), "failed")
    expect(queue.enqueue(fates.exit_politely), "failed")
    expect(queue.enqueue(fates.fail, retry=Retry(max=1)), retrying, "failed")
    if not blind:
        expect(queue.enqueue(fates.clobber_once, retry=Retry(max=1)), "retrying", "completed")
    expect(queue.enqueue(fates.ask_once), "retrying", "completed")
    expect(queue.enqueue(fates.ask_always), "retrying", "failed")
    waits = ["enqueued"] if blind else ["enqueued", "enqueued"]
    expect(queue.enqueue(fates.succeed, repeat=Repeat(times=1)), "completed", "completed", waits=waits)
    expect(queue.enqueue(fates.succeed, result_ttl=0), "completed?" if blind else "completed")
    expect(queue.enqueue(fates.give_unpicklable), "completed")
    expect(queue.enqueue("no_such_module.function"), "failed", runs=0)
    expect(queue.enqueue("fates.no_such_function"), "failed", runs=0)
    torn = expect(queue.enqueue(fates.succeed), "failed", runs=0)
    row.redis.hset(torn.key, "data", b"no pickle")
    expect(queue.enqueue(fates.delete_itself), "completed")
    expect(queue.enqueue(fates.cancel_itself), "completed")
    first = expect(queue.enqueue(fates.succeed), "completed")
    expect(queue.enqueue(fates.succeed, depends_on=first), "completed", waits=["deferred"])
    broken = expect(queue.enqueue(fates.fail), "failed")
    expect(queue.enqueue(fates.succeed, depends_on=broken), waits=["deferred"])
    lenient = rq.job.Dependency(jobs=[broken], allow_failure=True)
    expect(queue.enqueue(fates.succeed, depends_on=lenient), "completed", waits=["deferred"])
    calls = {"on_success": Callback(fates.mark_success), "on_failure": Callback(fates.mark_failure)}
    expect(queue.enqueue(fates.succeed, **calls), "completed")
    expect(queue.enqueue(fates.fail, **calls), "failed")
    expect(queue.enqueue(fates.succeed, on_success=Callback(fates.raise_in_callback)), "failed")
    expect(queue.enqueue(fates.fail, on_failure=Callback(fates.raise_in_callback)), "failed")
    parent = expect(queue.enqueue(fates.have_a_child, row.queue_name), "completed")
    expect(f"{parent.id}-child", "completed")
    several = [TracedQueue.prepare_data(fates.succeed, (1,)), TracedQueue.prepare_data(fates.fail)]
    well, badly = queue.enqueue_many(several)
    expect(well, "completed")
    expect(badly, "failed")
    now = TracedQueue(row.queue_name, is_async=False, connection=row.redis).under(row.context)
    expect(now.enqueue(fates.succeed), "completed", waits=[])
    expect(now.enqueue(fates.fail), "failed", waits=[])


def commanded(row: Row, kind: str) -> None:
    """Stopped by command, and killed by command."""
    worker = row.worker("--name", row.queue_name, kind=kind, burst=False)
    stopped = row.expect(row.here.enqueue(fates.last, 150, on_stopped=Callback(fates.mark_stopped)), "stopped")
    row.running(stopped)
    send_stop_job_command(row.redis, stopped.id)
    row.until(lambda: stopped.get_status() == "stopped", "the job is stopped")
    killed = row.expect(row.here.enqueue(fates.last, 150), "failed")
    row.running(killed)
    send_kill_horse_command(row.redis, row.queue_name)
    row.until(lambda: killed.get_status() == "failed", "the job failed")
    assert end_worker(worker, row.log) == 0


def stop_unheard(row: Row) -> None:
    """A worker that runs jobs in its own process does not heed a command to stop."""
    worker = row.worker(kind="sagatrace.rq.SimpleWorker", burst=False)
    job = row.expect(row.held(), "completed")
    row.running(job)
    send_stop_job_command(row.redis, job.id)
    row.release()
    row.until(lambda: job.get_status() == "finished", "the job ends")
    end_worker(worker, row.log)


def warm_shutdown(row: Row) -> None:
    """After one signal the worker lets the job end first."""
    worker = row.worker(burst=False)
    job = row.expect(row.held(), "completed")
    row.running(job)
    worker.terminate()
    row.release()
    assert worker.wait(LIMIT) == 0


def cold_shutdown(row: Row, kind: str, end: str) -> None:
    """After two signals the worker ends the job as well."""
    worker = row.worker(kind=kind, burst=False)
    job = row.expect(row.here.enqueue(fates.last, 150), end)
    row.running(job)
    worker.terminate()
    row.until(lambda: worker.send_signal(signal.SIGTERM) or worker.poll() is not None, "the worker's end")
    assert worker.returncode in (0, -signal.SIGTERM), worker.returncode


def worker_lost(row: Row, kind: str) -> None:
    """Worker and work-horse are killed. Another worker finds the lost job."""
    row.worker(kind=kind, burst=False)
    job = row.expect(row.here.enqueue(fates.last, 150), "abandoned?")
    again = Retry(max=1)
    _kill_all(row, row.running(job))
    row.worker(kind=kind, burst=False)
    simple = kind.endswith("SimpleWorker")
    retried = row.expect(
        row.here.enqueue(fates.die_once, retry=again) if simple else row.held(retry=again), "retrying?", "completed"
    )
    _kill_all(row, row.running(retried))
    row.release()
    row.expire()
    row.work_off(kind=kind.replace("sagatrace.rq.", "fates.Eager"))
    assert retried.get_status() == "finished"


def _kill_all(row: Row, horse: int) -> None:
    row.workers[-1].kill()
    try:
        os.kill(horse, signal.SIGKILL)
    except ProcessLookupError:
        assert horse == row.workers[-1].pid
    row.workers[-1].wait()


def cleaned_by_others(row: Row, clean: Callable[[Row], object]) -> None:
    """RQ's own reading of its registries fails the job, without a hook of a worker."""
    row.worker(burst=False)
    job = row.expect(row.here.enqueue(fates.last, 150), "abandoned?")
    _kill_all(row, row.running(job))
    row.expire()
    clean(row)
    assert job.get_status() == "failed"
    row.jobs[job.id]["ends"] = ["failed?"]
    row.reconcile()


def _clean_by_length(row: Row) -> None:
    assert len(StartedJobRegistry(row.queue_name, connection=row.redis)) == 0


def _clean_by_rq_info(row: Row) -> None:
    command = [sys.executable, "-P", "-m", "rq.cli", "info", "-u", row.redis_url, row.queue_name]
    subprocess.run(command, check=True, timeout=LIMIT, stdout=subprocess.DEVNULL)


def horse_survives(row: Row) -> None:
    """The worker is killed and its work-horse ends the job, after another worker gave up the job."""
    row.worker(burst=False)
    job = row.expect(row.held(), "completed")
    row.running(job)
    row.workers[-1].kill()
    row.release()
    row.until(lambda: job.get_status() == "finished", "the orphan ends its job")
    row.worker(burst=False)
    given_up = row.expect(row.held(), "completed")
    row.running(given_up)
    row.workers[-1].kill()
    row.expire()
    row.work_off(kind="fates.EagerWorker")
    assert given_up.get_status() == "failed"
    row.release()
    row.until(lambda: given_up.get_status() == "finished", "the orphan ends its job")
    outbox_empty(row)


def dies_after_commit(row: Row) -> None:
    """The work-horse is killed after RQ has the outcome, and before the end is recorded."""
    row.expect(row.here.enqueue(fates.succeed), "completed")
    row.expect(row.here.enqueue(fates.fail), "failed")
    row.expect(row.here.enqueue(fates.succeed, result_ttl=0), "abandoned?")  # RQ kept nothing of it
    row.work_off(kind="fates.DiesAfterCommit")


def simple_dies(row: Row) -> None:
    """A worker without a work-horse dies with its job. Another worker finds the lost job."""
    for function, arguments in ((fates.die, ()), (fates.leave, (3,))):
        job = row.expect(row.here.enqueue(function, *arguments), "abandoned?")
        row.worker(kind="sagatrace.rq.SimpleWorker").wait(LIMIT)
        assert job.get_status() == "started"
    row.expire()
    row.work_off(kind="fates.EagerSimpleWorker")


def deaf_to_the_alarm(row: Row) -> None:
    """RQ ends a work-horse 60 s after its timeout. A negative timeout shortens this."""
    row.expect(row.here.enqueue(fates.last_deaf, job_timeout=-55), "failed")
    row.work_off("--job-monitoring-interval", "1")


def handlers(row: Row) -> None:
    """A user's exception handlers: one that ends the chain, one that raises, and none."""
    row.expect(row.here.enqueue(fates.fail), "failed")
    row.work_off("--exception-handler", "fates.stop_handlers")
    row.expect(row.here.enqueue(fates.fail), "failed")
    row.work_off("--exception-handler", "fates.raise_in_handler")
    row.expect(row.here.enqueue(fates.fail), "failed")
    row.work_off("--disable-default-exception-handler")
    row.expect(row.here.enqueue(fates.fail), "abandoned?")
    row.worker("--exception-handler", "fates.raise_in_handler", kind="sagatrace.rq.SimpleWorker").wait(LIMIT)


def stuck(row: Row) -> None:
    """A job that was taken and never began: a worker finds it in RQ's intermediate queue, and fails it."""
    job = row.expect(row.here.enqueue(fates.succeed), "=failed")
    row.redis.lmove(row.queue.key, row.queue.intermediate_queue_key, "RIGHT", "LEFT")
    seen = row.queue.intermediate_queue.get_first_seen_key(job.id)
    row.redis.set(seen, time.time() - 1000)
    row.work_off(kind="fates.EagerWorker")


def never_taken(row: Row) -> None:
    """Jobs that no worker takes, so no hook is called: cancelled, expired, behind a failed dependency, damaged."""
    cancelled = row.expect(row.here.enqueue(fates.succeed), "=canceled?")
    cancelled.cancel()
    expired = row.expect(row.here.enqueue(fates.succeed, ttl=1), "=canceled?")
    later = datetime.now(UTC) + timedelta(hours=1)
    row.expect(row.here.enqueue_at(later, fates.succeed), waits=["scheduled"])
    deleted = row.expect(row.here.enqueue_in(timedelta(hours=1), fates.succeed), "=canceled?", waits=["scheduled"])
    deleted.delete()
    untraced = row.expect(row.here.enqueue(fates.fail), "=failed?", runs=1)
    row.until(lambda: not row.redis.exists(expired.key), "the job expires")
    row.work_off(kind="rq.Worker")
    assert untraced.get_status() == "failed"
    torn = row.expect(row.here.enqueue(fates.succeed))
    row.redis.hset(torn.key, "status", "nonsense")
    row.worker(kind="sagatrace.rq.Worker").wait(LIMIT)
    row.redis.hset(torn.key, "status", "queued")
    row.reconcile()


def scheduled(row: Row) -> None:
    """RQ's scheduler enqueues them: a delayed retry, and a scheduled job."""
    worker = row.worker("--with-scheduler", burst=False)
    retried = row.here.enqueue(fates.fail_once, retry=Retry(max=1, interval=1))
    row.expect(retried, "retrying", "completed")
    later = row.here.enqueue_in(timedelta(seconds=1), fates.succeed)
    row.expect(later, "completed", waits=["scheduled"])
    row.until(lambda: {retried.get_status(), later.get_status()} == {"finished"}, "both ran")
    end_worker(worker, row.log)


def requeued(row: Row) -> None:
    """A job that failed, and was requeued by hand."""
    job = row.expect(row.here.enqueue(fates.fail_once), "failed", "completed")
    row.work_off()
    job.requeue()
    row.work_off()


def pool(row: Row) -> None:
    """Workers of a pool."""
    row.expect(row.here.enqueue(fates.succeed), "completed")
    row.expect(row.here.enqueue(fates.fail), "failed")
    row.expect(row.here.enqueue(fates.die), "failed")
    command = [sys.executable, "-P", "-m", "rq.cli", "worker-pool", "-u", row.redis_url, "-w", "sagatrace.rq.Worker"]
    command += ["--path", str(HERE), "--burst", "--num-workers", "2", row.queue_name]
    subprocess.run(command, check=True, timeout=LIMIT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def redis_gone(row: Row, redis_pid: int) -> None:
    """Redis stops during the job."""
    job = row.expect(row.held(), "abandoned?")
    worker = row.worker(burst=False)
    row.running(job)
    os.kill(redis_pid, signal.SIGKILL)
    row.release()
    row.until(lambda: worker.poll() is not None, "the worker gives up")
    row.jobs[job.id] |= {"status": None, "ran": 1, "called": []}
    row.redis_is_gone = True


ROWS: Final[dict[str, Callable[[Row], None]]] = {
    "spawn/everyday": lambda row: everyday(row, "sagatrace.rq.SpawnWorker", forks=True),
    "fork/everyday": lambda row: everyday(row, "sagatrace.rq.Worker", forks=True),
    "simple/everyday": lambda row: everyday(row, "sagatrace.rq.SimpleWorker", forks=False),
    "fork/deaf-to-the-alarm": deaf_to_the_alarm,
    "fork/commanded": lambda row: commanded(row, "sagatrace.rq.Worker"),
    "spawn/commanded": lambda row: commanded(row, "sagatrace.rq.SpawnWorker"),
    "fork/worker-lost": lambda row: worker_lost(row, "sagatrace.rq.Worker"),
    "simple/worker-lost": lambda row: worker_lost(row, "sagatrace.rq.SimpleWorker"),
    "fork/horse-survives": horse_survives,
    "fork/cold-shutdown": lambda row: cold_shutdown(row, "sagatrace.rq.Worker", "abandoned?"),
    "simple/cold-shutdown": lambda row: cold_shutdown(row, "sagatrace.rq.SimpleWorker", "failed"),
    "fork/warm-shutdown": warm_shutdown,
    "simple/stop-unheard": stop_unheard,
    "fork/cleaned-by-length": lambda row: cleaned_by_others(row, _clean_by_length),
    "fork/cleaned-by-rq-info": lambda row: cleaned_by_others(row, _clean_by_rq_info),
    "simple/dies": simple_dies,
    "fork/dies-after-commit": dies_after_commit,
    "fork/handlers": handlers,
    "fork/stuck": stuck,
    "none/never-taken": never_taken,
    "fork/scheduled": scheduled,
    "fork/requeued": requeued,
    "pool/pool": pool,
    "heroku/everyday": lambda row: everyday(row, "sagatrace.rq.HerokuWorker", forks=True, all_of_them=False),
    "round-robin/everyday": lambda row: everyday(row, "sagatrace.rq.RoundRobinWorker", forks=True, all_of_them=False),
    "random/everyday": lambda row: everyday(row, "sagatrace.rq.RandomWorker", forks=True, all_of_them=False),
    "own/everyday": lambda row: everyday(row, "fates.OwnWorker", forks=True, all_of_them=False),
}


# Rows that look for lost jobs without a grace period: in databases of their own, away from other rows' jobs.
ALONE: Final = {"fork/cleaned-by-length": 1, "fork/cleaned-by-rq-info": 2, "none/never-taken": 3}


def run(name: str, act: Callable[[Row], None], redis_url: str, logs: Path) -> dict[str, Any]:
    """Run one row. Report a fault in it, and do not raise it."""
    row = Row(name, redis_url.removesuffix("0") + str(ALONE.get(name, 0)), logs)
    fault, began = None, time.monotonic()
    try:
        act(row)
    except Exception as error:  # noqa: BLE001 - it is in the report, which the test fails on
        fault = f"{type(error).__name__}: {error}"
    return {"row": name, "fault": fault, "seconds": round(time.monotonic() - began, 1), **row.report()}


def main(redis_url: str, doomed_url: str, doomed_pid: str, logs: str, report: str) -> None:
    """Run all rows, several of them concurrently."""
    rows = dict(ROWS)
    wanted = sys.argv[6:]
    with ThreadPoolExecutor(3) as threads:
        running = [
            threads.submit(run, name, act, redis_url, Path(logs))
            for name, act in rows.items()
            if not wanted or name in wanted
        ]
        if not wanted or "fork/redis-gone" in wanted:
            act = partial(redis_gone, redis_pid=int(doomed_pid))
            running.append(threads.submit(run, "fork/redis-gone", act, doomed_url, Path(logs)))
        done = [row.result() for row in running]
    outbox_empty(Row("end", redis_url, Path(logs)))
    Path(report).write_text(json.dumps({"rq": rq.__version__, "rows": done}))


if __name__ == "__main__":
    main(*sys.argv[1:6])
