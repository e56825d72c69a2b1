"""The compose file parses, and its names are real: settings, commands, options, queues, services, volumes, images.

Containers and Microsoft's emulator are not started, and images are not pulled.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from redis import Redis
from rq import Queue
from rq.cli.cli import main as rq_main

from sagatrace import settings
from sagatrace.settings import Settings
from sagatrace.stores import open_store
from sagatrace_tui import cli
from sagatrace_tui.demo.loan_saga import SAGAS, STEPS

FILE = Path(__file__).parents[2] / ".github" / "docs" / "compose.yaml"
TEXT = FILE.read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
COMMANDS = {"sagatrace": cli.main, "sagatrace-tui": cli.tui_main, "rq": rq_main}


def words(name: str) -> list[str]:
    """Return the command of a service, split as compose splits it."""
    return shlex.split(SERVICES[name]["command"])


def test_every_service_has_an_image_with_a_tag_or_a_build_from_the_checkout() -> None:
    for name, service in SERVICES.items():
        dockerfile = service.get("build", {}).get("dockerfile_inline", "")
        image = service["image"] if "image" in service else re.findall(r"^FROM (\S+)$", dockerfile, re.MULTILINE)[0]
        assert re.fullmatch(r"[a-z0-9./-]+:[\w.-]+", image), name
        assert not image.endswith(":latest"), name
        assert "$" not in str(service), "compose replaces names after a dollar sign"
    for name, service in OURS.items():
        assert (FILE.parent / service["build"]["context"]).resolve() == FILE.parents[2], name
        (extras,) = re.findall(r"pip install .*'\.\[(.*)\]'$", service["build"]["dockerfile_inline"], re.MULTILINE)
        project = (FILE.parents[2] / "pyproject.toml").read_text()
        assert [extra for extra in extras.split(",") if not re.search(rf"^{extra} = \[", project, re.MULTILINE)] == []


def test_services_depend_on_services_and_mount_declared_volumes() -> None:
    for name, service in SERVICES.items():
        waits = service.get("depends_on", {})
        assert set(waits) <= SERVICES.keys() - {name}
        for other, how in waits.items() if isinstance(waits, dict) else ():
            assert how["condition"] in ("service_started", "service_completed_successfully"), other
        mounts = dict(mount.split(":") for mount in service.get("volumes", ()))
        assert mounts.keys() <= COMPOSE["volumes"].keys()
        if name in OURS:
            assert list(mounts.values()) == [service["environment"]["SAGATRACE_OUTBOX"]]
        hosts = re.findall(r"(?:redis|cosmos)://([a-z]+):(\d+)", str(service))
        assert hosts if name in OURS else not hosts
        assert set(hosts) <= {("redis", "6379"), ("cosmos", "8081")}
        assert {host for host, _ in hosts} <= SERVICES.keys()


@pytest.mark.parametrize("name", OURS)
def test_every_setting_of_a_service_is_known_and_accepted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = OURS[name]["environment"]
    assert environment.keys() <= set(re.findall(r"^(SAGATRACE_\w+)", settings.__doc__ or "", re.MULTILINE))
    for setting, value in environment.items():
        assert isinstance(value, str), f"{setting}: compose takes the unquoted {value!r} as a switch"
        monkeypatch.setenv(setting, value)
    open_store(Settings.from_env().store, read_only=True).close()  # connects at the first call only


@pytest.mark.parametrize("name", OURS)
def test_every_command_of_a_service_exists_with_its_options(name: str) -> None:
    program, *rest = words(name)
    if program == "python":
        assert rest[0] == "-c"
        compile(rest[1], name, "exec")
        return
    command: click.Command = COMMANDS[program]
    if isinstance(command, click.Group):
        found = command.get_command(click.Context(command), rest.pop(0))
        assert found is not None
        command = found
    context = command.make_context(name, rest)  # reads the arguments, and runs nothing
    if program == "rq":
        module, _, worker = context.params["worker_class"].rpartition(".")
        assert hasattr(import_module(module), worker)


def test_the_workers_serve_the_queues_of_the_loans() -> None:
    assert {words(name)[-1] for name in OURS if words(name)[:2] == ["rq", "worker"]} == {SAGAS, STEPS}


def test_the_program_of_the_loans_submits_them(
    redis_server: str, redis: Redis, until: Callable[..., Any], tmp_path: Path
) -> None:
    program = words("loans")[-1].replace("redis://redis:6379", redis_server)
    environment = {"SAGATRACE_STORE": f"sqlite:///{tmp_path}/traces.db"}
    with subprocess.Popen([sys.executable, "-c", program], env=environment) as loans:
        try:
            until(lambda: Queue(SAGAS, connection=redis).count or loans.poll() is not None, "a first loan")
        finally:
            loans.terminate()
    (job,) = Queue(SAGAS, connection=redis).jobs[:1]
    assert job.func_name == "sagatrace_tui.demo.loan_saga.approve_loan"
