"""The JSON Schema of `sagatrace why --json`: every saga validates, and its enums are those of the model."""

from __future__ import annotations

import json
from typing import Any, get_args

import jsonschema
import pytest
from click.testing import CliRunner
from notation import Saga, read
from saga_tables import ALL

from sagatrace_tui.commands.why import why
from sagatrace_tui.incident.report import json_schema, report
from sagatrace_tui.model import Code, Outcome, Role, Verdict

SCHEMA: dict[str, Any] = json.loads(json_schema())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker())
ROWS = SCHEMA["properties"]


def test_the_schema_is_one_and_the_command_prints_it() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    printed = CliRunner().invoke(why, ["--schema"])
    assert (printed.exit_code, json.loads(printed.output)) == (0, SCHEMA)


@pytest.mark.parametrize("saga", ALL, ids=lambda saga: saga.title)
def test_the_report_of_a_saga_validates(saga: Saga) -> None:
    VALIDATOR.validate(json.loads(json.dumps(report(read(saga)))))


def test_the_enums_are_those_of_the_model() -> None:
    assert ROWS["verdict"]["enum"] == list(get_args(Verdict))
    assert ROWS["errors"]["items"]["properties"]["role"]["enum"] == list(get_args(Role))
    assert ROWS["compensations"]["items"]["properties"]["outcome"]["enum"] == list(get_args(Outcome))
    assert ROWS["still_standing"]["items"]["properties"]["code"]["enum"] == [code.value for code in Code]


def test_the_anomaly_kinds_are_those_of_the_tables() -> None:
    kinds = {one["kind"] for saga in ALL for one in report(read(saga))["anomalies"]}
    assert kinds <= set(ROWS["anomalies"]["items"]["properties"]["kind"].get("enum", kinds))


@pytest.mark.parametrize("change", [
    {"verdict": "half undone"}, {"extra": 1}, {"cause": {"span_id": "a"}}, {"still_standing": [{"span_id": "a"}]},
    {"duration_ms": -1},
])  # fmt: skip
def test_a_wrong_report_does_not_validate(change: dict[str, Any]) -> None:
    right = report(read(ALL[1]))
    VALIDATOR.validate(right)
    assert not VALIDATOR.is_valid(right | change)
    for key in right:
        assert not VALIDATOR.is_valid({one: value for one, value in right.items() if one != key})
