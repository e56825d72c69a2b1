"""The report of `sagatrace doctor` on an outbox: its waiting events, and its shipper."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from sagatrace.destination import outbox_directory
from sagatrace.event import new_event
from sagatrace.outbox import Outbox
from sagatrace.segments import ACTIVE, REFUSED
from sagatrace.settings import Settings
from sagatrace.shipper import lock as locks
from sagatrace.shipper.dead_letters import DEAD_LETTERS
from sagatrace.shipper.lock import SHIPPER_LOCK
from sagatrace.shipper.shipper import Shipper
from sagatrace.stores import open_store
from sagatrace.timestamps import utc_timestamp
from sagatrace_tui.commands.doctor import Check, Patient, examined


def _patient(directory: Path) -> tuple[Patient, Path]:
    environ = {"SAGATRACE_STORE": f"sqlite:///{directory}/traces.db"}
    outbox = outbox_directory(Settings.from_env(environ), in_worker=True)
    assert outbox is not None
    return Patient(environ), outbox


def _said(patient: Patient) -> list[Check]:
    try:
        return [check for check in examined(patient) if check.subject == "outbox"]
    finally:
        if patient.store is not None:
            patient.store.close()
            patient.store = None


def test_events_without_a_shipper_are_a_fault_until_they_are_delivered(tmp_path: Path) -> None:
    patient, outbox = _patient(tmp_path)
    (check,) = _said(patient)
    assert (check.state, check.said.split(" ")[0]) == ("ok", "0")
    old = utc_timestamp().replace("20", "19", 1)
    Outbox(outbox).append([new_event(trace_id="T", span_id="S", event_type="x", timestamp=old)])
    (check,) = _said(patient)
    assert check.state == "fault"
    assert "no shipper runs: start a worker, or `sagatrace ship`" in check.said
    store = open_store(patient.environ["SAGATRACE_STORE"])
    shipper = Shipper(outbox, store)
    shipper.run_once()
    shipper.close()
    store.close()
    (check,) = _said(patient)
    assert check.state == "ok"


def test_a_fresh_event_is_not_a_fault_and_lost_events_are(tmp_path: Path) -> None:
    patient, outbox = _patient(tmp_path)
    Outbox(outbox).append([new_event(trace_id="T", span_id="S", event_type="x")])
    assert [check.state for check in _said(patient)] == ["ok"]
    (outbox / REFUSED).write_bytes(b"...")
    (outbox / DEAD_LETTERS).write_text('{"why":"no event"}\n')
    assert [(check.state, check.said.replace("; ", ": ").split(":")[0]) for check in _said(patient)][1:] == [
        ("fault", "1 event could not be stored"),
        ("fault", "3 events lost because the outbox was full"),
    ]
    assert "`sagatrace ship --resend`" in _said(patient)[1].said
    assert "`sagatrace ship --acknowledge`" in _said(patient)[2].said


def test_a_file_that_is_not_regular_is_named(tmp_path: Path) -> None:
    patient, outbox = _patient(tmp_path)
    (outbox / "sealed-1").mkdir(parents=True)
    os.mkfifo(outbox / ACTIVE)
    assert [(check.state, check.said) for check in _said(patient)[1:]] == [
        ("fault", f"{path} is not a regular file and is skipped: remove it")
        for path in (outbox / ACTIVE, outbox / "sealed-1")
    ]
    os.mkfifo(outbox / DEAD_LETTERS)
    assert "not a regular file" in _said(patient)[0].said


def test_a_file_that_locks_the_workers_out_is_named_with_its_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is one that `sudo` would leave. Under root the workers are another user, else the file's owner is."""
    patient, outbox = _patient(tmp_path)
    Outbox(outbox).append([new_event(trace_id="T", span_id="S", event_type="x")])
    lock = outbox / SHIPPER_LOCK
    lock.touch(mode=0o600)
    if os.geteuid() == 0:
        for path in (outbox, outbox / ACTIVE):
            os.chown(path, 65534, 65534)
        owner, user = pwd.getpwuid(0).pw_name, pwd.getpwuid(65534).pw_name
    else:
        monkeypatch.setattr(locks, "_owners", lambda _: iter([(lock, 0)]))
        owner, user = pwd.getpwuid(0).pw_name, pwd.getpwuid(os.geteuid()).pw_name
    assert _said(patient)[0] == Check(
        "outbox", "fault", f"{lock} belongs to {owner} and locks {user} out: change its owner, or remove a lock file"
    )
    with pytest.raises(PermissionError, match=f"belongs to {user if os.geteuid() == 0 else owner} and this process"):
        locks.require_owner(outbox)


def test_without_an_outbox_there_is_no_line_about_it(tmp_path: Path) -> None:
    patient, _ = _patient(tmp_path)
    patient = Patient({**patient.environ, "SAGATRACE_OUTBOX": "off"})
    assert [check.state for check in _said(patient)] == ["off"]
