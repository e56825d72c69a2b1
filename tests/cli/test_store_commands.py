"""`sagatrace init`, `doctor` and `cost`, against real stores."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from cosmos_server import CosmosAccount, running_cosmos
from fault_proxy import FaultProxy, answering
from sagatrace.event import encode_event
from sagatrace.mirror import Mirror, Publisher
from sagatrace.stores import open_store
from sagatrace.stores.cosmos.store import CosmosStore
from sagatrace_tui.commands.billing import DAYS_PER_MONTH, Charges, Load, bill
from sagatrace_tui.commands.cost import cost, sample
from sagatrace_tui.commands.doctor import doctor
from sagatrace_tui.commands.incident import list_traces
from sagatrace_tui.commands.init import init
from sagatrace_tui.commands.prices import Prices

pytestmark = pytest.mark.xdist_group("store-commands")  # one process, as they share a slow set-up


@pytest.fixture(scope="module")
def account() -> Iterator[CosmosAccount]:
    with running_cosmos() as account:
        yield account


@pytest.fixture
def environment(account: CosmosAccount, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the settings of a process that uses a missing container, and its URL."""
    monkeypatch.delenv("SAGATRACE_COSMOS_CONNECTION_STRING", raising=False)
    for name, value in account.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SAGATRACE_MAX_WAIT", "20")
    monkeypatch.delenv("SAGATRACE_REDIS_URL", raising=False)
    url = account.address().label
    monkeypatch.setenv("SAGATRACE_STORE", url)
    return url


def run(command: click.Command, *arguments: str) -> Result:
    result = CliRunner().invoke(command, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def states(result: Result) -> dict[str, str]:
    """Return each subject of doctor with its sign."""
    return {line.split()[1]: line.split()[0] for line in result.stdout.splitlines()}


def test_init_creates_the_store_once_and_doctor_accepts_it(environment: str) -> None:
    before = run(doctor)
    assert before.exit_code == 1
    assert "sagatrace init" in before.stdout
    assert states(before)["store"] == "FAIL"
    first = run(init)
    assert (first.exit_code, first.stdout) == (
        0,
        f"{environment} was created: partition key /trace_id, kept for 90 days\n",
    )
    again = run(init)
    assert (again.exit_code, again.stdout) == (0, f"{environment} exists already and is correct\n")
    well = run(doctor)
    assert well.exit_code == 0, well.stdout
    assert states(well) == {
        "settings": "ok",
        "sign-in": "ok",
        "store": "ok",
        "container": "ok",
        "writing": "ok",
        "outbox": "ok",
        "redis": "-",
        "mirror": "-",
        "clock": "ok",
    }
    assert re.search(r"answers: 1 query · \d+\.\d RU · \d+ ms", well.stdout)


def test_repeated_runs_of_doctor_leave_no_probe(environment: str) -> None:
    run(init)
    for _ in range(3):
        assert run(doctor).exit_code == 0
    store = open_store(environment)
    assert store.fetch_trace("sagatrace-doctor").events == ()
    store.close()


def test_doctor_without_the_right_to_write_leaves_nothing(environment: str) -> None:
    run(init)
    looked = run(doctor, "--no-write")
    assert looked.exit_code == 0
    assert states(looked)["writing"] == "-"
    store = open_store(environment)
    assert store.fetch_trace("sagatrace-doctor").events == ()
    store.close()


def test_init_and_doctor_report_a_container_that_differs_and_do_not_change_it(
    account: CosmosAccount, environment: str
) -> None:
    run(init)
    container = environment.rpartition("/")[2]
    store = open_store(environment)
    assert isinstance(store, CosmosStore)

    def replace(connection: object, _: object) -> bool:
        from azure.cosmos import PartitionKey

        database = connection.database  # type: ignore[attr-defined]
        key, policy = PartitionKey(path="/trace_id"), {"excludedPaths": [{"path": "/timestamp/?"}]}
        database.replace_container(container, partition_key=key, default_ttl=86_400, indexing_policy=policy)
        return True

    assert store.call(replace, deadline=float("1e9"), calls=[]) is True
    store.close()
    for command in (init, doctor):
        report = run(command)
        assert report.exit_code == 1
        assert "/timestamp is not indexed" in report.stdout
    assert "nothing was changed" in run(init).stdout
    assert "events are kept for 1 d" in run(init).stdout


def test_the_sqlite_store_passes_doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SAGATRACE_REDIS_URL", raising=False)
    url = f"sqlite:///{tmp_path}/new/traces.db"
    missing = run(doctor, "--store", url, "--no-write")
    assert missing.exit_code == 1
    assert "create it with `sagatrace init`" in missing.stdout
    made = run(init, "--store", url)
    assert (made.exit_code, made.stdout) == (0, f"{url} is ready\n")
    well = run(doctor, "--store", url)
    assert well.exit_code == 0
    signs = {
        "settings": "ok",
        "store": "ok",
        "writing": "ok",
        "outbox": "ok",
        "redis": "-",
        "mirror": "-",
        "clock": "-",
    }
    assert states(well) == signs
    monkeypatch.setenv("SAGATRACE_REDACT", "json:nope")
    wrong = run(doctor, "--store", url)
    assert (wrong.exit_code, states(wrong)["writing"]) == (2, "ok")
    assert "FAIL  settings   SAGATRACE_REDACT='json:nope' is not package.module:function" in wrong.stdout
    (tmp_path / "broken.py").write_text("raise RuntimeError('4111 1111')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("SAGATRACE_REDACT", "broken:hide")
    broken = run(doctor, "--store", url)
    assert (broken.exit_code, states(broken)["writing"]) == (2, "ok")
    assert "FAIL  settings   SAGATRACE_REDACT='broken:hide' cannot be imported: RuntimeError\n" in broken.stdout
    assert run(list_traces, "--store", url).stderr == f"sagatrace: no traces in {url} yet\n"


def test_the_memory_store_is_refused() -> None:
    refused = run(init, "--store", "memory:")
    assert refused.exit_code == 2
    assert refused.stderr.count("\n") == 1


def test_doctor_reports_the_mirror_and_its_publishers(
    monkeypatch: pytest.MonkeyPatch, redis_server: str, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SAGATRACE_MIRROR", "redis://user:s3cret@127.0.0.1:1/0")
    report = run(doctor, "--store", "memory:")
    assert states(report)["mirror"] == "FAIL"
    assert not caplog.records  # it is printed once
    assert "s3cret" not in report.output
    monkeypatch.setenv("SAGATRACE_MIRROR", redis_server)
    report = run(doctor, "--store", "memory:")
    assert "answers; no shipper publishes now" in report.output
    publisher = Publisher(Mirror(redis_server, "memory:"))
    publisher.start()
    report = run(doctor, "--store", "memory:")
    publisher.close()
    assert states(report)["mirror"] == "ok"
    assert "a shipper publishes the events" in report.output


def test_doctor_gives_the_fix_for_a_fault_of_redis(monkeypatch: pytest.MonkeyPatch, redis_server: str) -> None:
    monkeypatch.setenv("SAGATRACE_REDIS_URL", "redis://user:s3cret@127.0.0.1:1/0")
    report = run(doctor, "--store", "memory:")
    assert report.exit_code == 1
    assert states(report)["redis"] == "FAIL"
    assert "check SAGATRACE_REDIS_URL" in report.stdout
    assert "s3cret" not in report.output
    monkeypatch.setenv("SAGATRACE_REDIS_URL", redis_server)
    assert states(run(doctor, "--store", "memory:"))["redis"] == "ok"


def test_doctor_notices_a_wrong_clock(account: CosmosAccount, environment: str) -> None:
    run(init)
    with FaultProxy(account.host) as proxy:

        def an_hour_ago(exchange: object) -> None:
            answer = exchange.forward()  # type: ignore[attr-defined]
            dated = {**answer.headers, "Date": "Thu, 01 Jan 2026 00:00:00 GMT"}
            exchange.send(type(answer)(answer.status, answer.body, dated).encoded())  # type: ignore[attr-defined]

        proxy.meets = lambda _: True
        proxy.fault = an_hour_ago
        report = run(doctor, "--store", environment.replace(account.host, f"127.0.0.1:{proxy.port}"))
    assert states(report)["clock"] == "FAIL"
    assert "ahead of the service" in report.stdout


@pytest.mark.parametrize("status", [None, 401, 403, 400])
def test_no_command_shows_a_secret(account: CosmosAccount, environment: str, status: int | None) -> None:
    run(init)
    said = ""
    with FaultProxy(account.host) as proxy:
        url = environment.replace(account.host, f"127.0.0.1:{proxy.port}")
        if status is not None:
            proxy.meets = lambda _: True
            proxy.fault = answering(status, message="no")
        for command, arguments in ((init, ()), (doctor, ()), (cost, ("--measure",))):
            result = run(command, "--store", url, *arguments)
            assert (result.exit_code == 0) == (status is None), result.output
            said += result.output
    assert "127.0.0.1" in said
    assert account.key not in said
    assert account.key[:16] not in said


@pytest.mark.parametrize("arguments", [(), ("--screens", "3"), ("--screens", "3", "--tails", "1", "--shippers", "4")])
def test_a_thousand_traces_a_day_cost_less_than_ten_dollars_a_month(arguments: tuple[str, ...]) -> None:
    result = run(cost, "--traces-per-day", "1000", "--events-per-trace", "20", *arguments)
    assert result.exit_code == 0
    total = re.match(r"\$(\d+\.\d\d) a month", result.stdout)
    assert total is not None
    assert 3 < float(total[1]) < 10
    lines = [float(found) for found in re.findall(r"^  [a-z ]+\$ *(\d+\.\d\d)", result.stdout, re.MULTILINE)]
    assert sum(lines) == pytest.approx(float(total[1]), abs=0.05)
    for assumption in (
        "10.00 RU",
        "90 days",
        "1000 bytes",
        "50% index",
        "$0.25 per million RU",
        "$0.25 per GB",
        "as many are deleted",
        "polls an hour",
    ):
        assert assumption in result.stdout


@pytest.mark.parametrize(
    ("throughput", "least", "most"), [("400", 23, 25), ("autoscale 1000", 8, 12), ("serverless", 4, 8)]
)
def test_each_kind_of_account_has_its_bill(throughput: str, least: float, most: float) -> None:
    result = run(cost, "--throughput", throughput)
    total = re.match(r"\$(\d+\.\d\d) a month", result.stdout)
    assert total is not None
    assert least < float(total[1]) < most


@pytest.mark.parametrize("throughput", ["400", "autoscale 1000"])
def test_a_bill_for_too_little_throughput_says_so(throughput: str) -> None:
    """Its dollars would otherwise seem to be the price of that load."""
    enough = run(cost, "--throughput", throughput).stdout
    short = run(cost, "--throughput", throughput, "--traces-per-day", "100000").stdout
    assert "too little" not in enough
    assert re.search(r"^  too little: the busiest hours take [\d,]{5,} RU/s, so requests wait$", short, re.MULTILINE)
    assert "2,000,000 events a day" in short


def test_the_bill_adds_up() -> None:
    load = Load(1000, 20, 0, 0, 90, shippers=0)
    month = bill(load, Charges(write=10, delete=7, event_bytes=1000), Prices(1.0, 2.0))
    units = {item.name: item.units for item in month.items}
    assert units["writing"] == pytest.approx(20_000 * DAYS_PER_MONTH * 10)
    assert units["expiring"] == pytest.approx(20_000 * DAYS_PER_MONTH * 7)
    assert month.storage == pytest.approx(20_000 * 90 * 1000 * 1.5 / 1e9 * 2.0)
    assert month.total == pytest.approx((units["writing"] + units["expiring"]) / 1e6 + month.storage)
    reads = bill(Load(0, 20, 100, 10, shippers=0), Charges(view=3, search=30), Prices(1.0, 0))
    assert reads.total == pytest.approx((300 + 300) * DAYS_PER_MONTH / 1e6)
    watched = bill(Load(0, 20, 0, 0, screens=3, tails=1, hours=12, shippers=0), Charges(poll=3), Prices(1.0, 0))
    assert watched.total == pytest.approx(4 * 12 * 720 * DAYS_PER_MONTH * 3 / 1e6)  # every 5 s, as there are no changes
    mirrored = bill(
        Load(0, 20, 0, 0, screens=3, tails=1, hours=12, mirrored=True, shippers=0), Charges(poll=3), Prices(1.0, 0)
    )
    assert mirrored.total == pytest.approx(watched.total / 3)


def test_cost_measures_the_charges_of_the_store(environment: str) -> None:
    run(init)
    result = run(cost, "--measure", "--events-per-trace", "20")
    assert result.exit_code == 0, result.output
    assert f"charges: measured at {environment}" in result.stdout
    size = sum(len(encode_event(event)) for event in sample("x" * 51, 20)) / 20
    report = re.search(r"× (\d+) bytes an event", result.stdout)
    assert report is not None
    assert float(report[1]) == pytest.approx(size, rel=0.05)


def test_only_cosmos_charges() -> None:
    refused = run(cost, "--measure", "--store", "memory:")
    assert refused.exit_code == 2
    assert "memory: charges nothing" in refused.stderr
