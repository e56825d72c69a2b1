"""`sagatrace doctor --metrics`, read with the parser of Prometheus's own client."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from prometheus_client.parser import text_string_to_metric_families

from sagatrace.destination import outbox_directory
from sagatrace.errors import StoreUnavailableError
from sagatrace.event import TraceEvent, new_event
from sagatrace.outbox import Outbox
from sagatrace.segments import REFUSED
from sagatrace.settings import Settings
from sagatrace.shipper.dead_letters import DEAD_LETTERS
from sagatrace.shipper.shipper import Shipper
from sagatrace.stores import open_store
from sagatrace.stores.memory import MemoryStore
from sagatrace.timestamps import utc_timestamp
from sagatrace_tui.commands.doctor import doctor
from sagatrace_tui.commands.doctor_metrics import outbox_metrics


class DownStore(MemoryStore):
    """A store that stores nothing."""

    def append(self, events: Iterable[TraceEvent], replace: bool = False) -> int:
        """Raise StoreUnavailableError."""
        raise StoreUnavailableError("it is down")


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(doctor, ["--metrics", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def metrics(text: str) -> dict[str, float]:
    """Return the metrics by name. Each has one sample, a help text and a type, without other output."""
    families = list(text_string_to_metric_families(text))
    found: dict[str, float] = {}
    for family in families:
        (sample,) = family.samples
        assert (family.type, sample.name, list(sample.labels)) == ("gauge", family.name, ["store"])
        assert family.documentation
        found[family.name.removeprefix("sagatrace_outbox_")] = sample.value
    assert len(found) == len(families)
    assert len(text.splitlines()) == 3 * len(families)
    return found


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path}/traces.db"
    monkeypatch.setenv("SAGATRACE_STORE", url)
    return url


@pytest.fixture
def outbox(url: str) -> Path:
    directory = outbox_directory(Settings.from_env(), in_worker=True)
    assert directory is not None
    return directory


@pytest.fixture
def shipper(url: str, outbox: Path) -> Iterator[Shipper]:
    store = open_store(url)
    shipper = Shipper(outbox, store)
    yield shipper
    shipper.close()
    store.close()


def test_an_outbox_that_was_never_used_is_empty(url: str) -> None:
    result = run()
    assert (result.exit_code, result.stderr) == (0, "")
    assert metrics(result.stdout) == {
        "in_use": 1,
        "bytes": 0,
        "files": 0,
        "oldest_event_age_seconds": 0,
        "dead_letters": 0,
        "refused_events": 0,
        "strange_files": 0,
        "shipper_running": 0,
    }


def test_waiting_lost_and_delivered_events_are_counted(outbox: Path, shipper: Shipper) -> None:
    hour_ago = utc_timestamp(datetime.now(UTC) - timedelta(hours=1))
    Outbox(outbox).append([new_event(trace_id="T", span_id="S", event_type="x", timestamp=hour_ago)])
    (outbox / REFUSED).write_bytes(b"...")
    (outbox / DEAD_LETTERS).write_text('{"why":"no event"}\n' * 2)
    found = metrics(run().stdout)
    assert found["bytes"] > 100
    assert found["oldest_event_age_seconds"] >= 3600
    assert (found["files"], found["dead_letters"], found["refused_events"]) == (1, 2, 3)
    assert "last_delivery_timestamp_seconds" not in found
    before = time.time()
    assert shipper.run_once().delivered == 1
    found = metrics(run().stdout)
    assert (found["bytes"], found["oldest_event_age_seconds"], found["shipper_running"]) == (0, 0, 0)
    assert before <= found["last_delivery_timestamp_seconds"] <= time.time()


def test_the_last_delivery_outlives_its_shipper(url: str, outbox: Path, shipper: Shipper) -> None:
    Outbox(outbox).append([new_event(trace_id="T", span_id="S", event_type="x")])
    shipper.run_once()
    known = metrics(run().stdout)["last_delivery_timestamp_seconds"]
    store = open_store(url)
    later = Shipper(outbox, store)
    assert later.run_once().delivered == 0
    later.close()
    store.close()
    assert metrics(run().stdout)["last_delivery_timestamp_seconds"] == known


def test_a_shipper_that_cannot_deliver_is_shown(outbox: Path, until: Callable[..., Any], url: str) -> None:
    Outbox(outbox).append([new_event(trace_id="T", span_id="S", event_type="x")])
    shipper = Shipper(outbox, DownStore(), max_pause=0.1)
    stop = threading.Event()
    thread = threading.Thread(target=shipper.follow, args=(stop,))
    thread.start()
    try:
        found = until(lambda: (now := metrics(run().stdout)).get("shipper_failing") and now, "a failing shipper")
        assert (found["shipper_running"], found["shipper_delivered_events"], found["files"]) == (1, 0, 1)
    finally:
        stop.set()
        thread.join()
        shipper.close()


def test_a_file_in_the_way_is_counted_and_a_pipe_for_the_lock_is_a_fault(outbox: Path) -> None:
    (outbox / "sealed-1").mkdir(parents=True)
    assert metrics(run().stdout)["strange_files"] == 1
    (outbox / DEAD_LETTERS).mkdir()
    result = run()
    assert (result.exit_code, result.stdout) == (1, "")
    assert "run doctor as the workers' user" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "value"), [("SAGATRACE_OUTBOX", "off"), ("SAGATRACE_STORE", "off"), ("SAGATRACE", "off")]
)
def test_without_an_outbox_there_is_one_metric(
    url: str, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    result = run()
    assert (result.exit_code, metrics(result.stdout)) == (0, {"in_use": 0})


@pytest.mark.parametrize(
    ("arguments", "variable", "said"),
    [
        ((), ("SAGATRACE_MAX_WAIT", "soon"), "SAGATRACE_MAX_WAIT='soon' is not a number"),
        (("--store", "postgres://u:s3cret@h/db"), None, "unknown store URL 'postgres:…'"),
    ],
)
def test_a_wrong_setting_prints_no_metric(
    url: str, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], variable: tuple[str, str] | None, said: str
) -> None:
    if variable is not None:
        monkeypatch.setenv(*variable)
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_no_secret_and_no_control_character_gets_into_a_label(tmp_path: Path) -> None:
    url = "cosmos://me:s3cret@h/db/c?sig=s3cret"
    environ = {"SAGATRACE_STORE": url, "SAGATRACE_OUTBOX": str(tmp_path)}
    assert "s3cret" not in outbox_metrics(environ, None)
    odd = 'sqlite:///a"b\\nc\nd\x1b[31m.db'
    text = outbox_metrics({"SAGATRACE_OUTBOX": str(tmp_path)}, odd)
    metrics(text)
    (family, *_) = text_string_to_metric_families(text)
    assert family.samples[0].labels["store"] == 'sqlite:///a"b\\nc␊d␛[31m.db'


def test_neither_the_store_nor_redis_is_asked(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAGATRACE_REDIS_URL", "redis://127.0.0.1:1")
    assert run().exit_code == 0
    assert not (tmp_path / "traces.db").exists()
