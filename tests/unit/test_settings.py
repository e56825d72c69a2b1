"""Settings: from the environment, one clear error per fault, no secret shown."""

from __future__ import annotations

import pytest

from sagatrace.errors import SettingsError, StoreError
from sagatrace.settings import Settings
from sagatrace.shown import masked
from sagatrace.store_url import default_store_url
from sagatrace.stores import open_store


def test_settings_come_from_the_environment_and_empty_values_mean_the_default() -> None:
    assert Settings.from_env({"SAGATRACE_STORE": " sqlite:///x.db ", "SAGATRACE_MAX_WAIT": "0.5"}) == Settings(
        store="sqlite:///x.db", max_wait=0.5
    )
    assert Settings.from_env({"SAGATRACE_STORE": ""}) == Settings(store=default_store_url(), max_wait=5.0)
    assert default_store_url().startswith("sqlite:////")


def test_either_variable_switches_recording_off() -> None:
    assert Settings.from_env({"SAGATRACE": "off", "SAGATRACE_STORE": "sqlite:///x.db"}).store == "off"
    assert Settings.from_env({"SAGATRACE_STORE": "off"}).store == "off"


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf", "1e9"])
def test_a_wrong_number_is_named_with_its_variable(text: str) -> None:
    with pytest.raises(SettingsError, match=f"SAGATRACE_MAX_WAIT='{text}'"):
        Settings.from_env({"SAGATRACE_MAX_WAIT": text})


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:s3cret@host:6379/0", "redis://***@host:6379/0"),
        ("rediss://:s3cret@host", "rediss://***@host"),
        ("redis://:s3:cret@host", "redis://***@host"),
        ("redis://user:s3@cret:s3@host:6379/0?db=1", "redis://***@host:6379/0?db=1"),
        ("redis+sentinel://u:s3cret@a:1,b:2/name", "redis+sentinel://***@a:1,b:2/name"),
        ("redis://a:1 or redis://b:2 as me@c", "redis://a:1 or redis://b:2 as me@c"),
        ("AccountEndpoint=https://x/;AccountKey=s3cret==;", "AccountEndpoint=https://x/;AccountKey=***;"),
        ("cosmos://host/db?token=s3cret&x=1", "cosmos://host/db?token=***&x=1"),
        ("sqlite:////tmp/x.db", "sqlite:////tmp/x.db"),
        ("sqlite:////home/me@work/x.db", "sqlite:////home/me@work/x.db"),
        ("unix:///run/redis@1.sock?db=1", "unix:///run/redis@1.sock?db=1"),
        ("unix://:s3cret@/run/redis.sock", "unix://***@/run/redis.sock"),
        ("redis://:s3/cret@host:6379", "redis://***@host:6379"),
        ("redis://:s3#cret?s3@host", "redis://***@host"),
        ("redis://s3cret@host", "redis://***@host"),
        ("redis:/:s3cret@host", "redis:/***@host"),
        ("cannot reach redis://u:s3/cret@h: ask me@c", "cannot reach redis://***@h: ask me@c"),
        ("https://host/db?key=s3cret", "https://host/db?key=***"),
        ("redis://h/0?db=1&sentinel_password=s3cret", "redis://h/0?db=1&sentinel_password=***"),
        ("https://h/#access_token=s3cret", "https://h/#access_token=***"),
    ],
)
def test_secrets_are_masked(url: str, shown: str) -> None:
    assert masked(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "postgres://u:s3cret@h/d",
        "postgres://u:a s3cret@h/d",
        "https://h/?key=s3cret",
        "sqlite:",
        "sqlite://u:s3cret@x.db",
        "sqlite:///",
        "memory:x",
    ],
)
def test_the_error_for_an_unknown_store_url_gives_examples(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        open_store(url)
    assert "sqlite:///" in str(caught.value)
    assert "s3cret" not in str(caught.value)
