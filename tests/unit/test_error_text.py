"""Errors of one kind: equal texts without ids, numbers, dates, addresses and quoted parts."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagatrace_tui.incident.error_text import shape_of

TOGETHER = {
    "numbers": ["balance 1200 < 25000", "balance 7 < 3", "balance 1,200.50 < 1_000"],
    "amounts": ["charge of 12.50 EUR refused", "charge of 1,200 EUR refused", "charge of 3 EUR refused"],
    "money signs": ["charge of $12.50 refused", "charge of $1,200.00 refused", "charge of €3 refused"],
    "uuids": [
        "job 7f3a1c9e-0b7d-4c55-9e6a-0123456789ab is gone",
        "job deadbeef-dead-beef-dead-beefdeadbeef is gone",
        "job 42 is gone",
    ],
    "hashes": ["commit deadbeefcafe is unknown", "commit 0a1b2c3d4e is unknown"],
    "ids with letters": ["loan L105 is frozen", "loan L7 is frozen", "loan loan-2025-000017 is frozen"],
    "dates": [
        "no rate for 2025-12-31T09:30:00+01:00 known",
        "no rate for 2024-01-01 10:00:00 known",
        "no rate for 31.12.2025 known",
        "no rate for 2025-12-31 known",
    ],
    "addresses of hosts": [
        "cannot connect to 10.0.0.7:6379",
        "cannot connect to 192.168.1.1:80",
        "cannot connect to [::1]:443",
        "cannot connect to redis-1:6379",
    ],
    "addresses of mail": ["no mailbox anna@example.com", "no mailbox o.k+x@mail.example.org"],
    "addresses of pages": [
        "GET https://api.example.com/v1/orders/17 failed",
        "GET http://localhost:8080/x?y=z failed",
    ],
    "addresses in memory": ["<Order object at 0x7f3a2b> has no items", "<Order object at 0x1> has no items"],
    "quoted": ["customer 'anna' is unknown", "customer 'o-k' is unknown", 'customer "Jürgen K." is unknown'],
    "lists": ["missing items [1, 2, 3] in stock", "missing items [4] in stock", "missing items [4, 5] in stock"],
    "blanks": ["no   luck\n\n", "no luck", " no\tluck "],
    "stack lines": [
        'boom\n  File "/app/a.py", line 3, in f\n    g()',
        'boom\n  File "/srv/other.py", line 77, in h\n    return i(j)\n    ^^^^^^',
        "boom\n    at com.example.Shop.buy(Shop.java:12)\n    at com.example.Main.run(Main.java:7)",
        "boom",
    ],
    "tracebacks": [
        'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\n    x()\nValueError: 7 is odd',
        "ValueError: 9 is odd",
    ],
    "ends": ["took 3s.", "took 12ms.", "took 1.5h."],
}

APART = [
    ("insufficient funds", "account closed", ""),
    ("HTTP 404 from the bureau", "HTTP 503 from the bureau", ""),
    ("status code: 401", "status code: 403", ""),
    ("[Errno 2] no such file", "[Errno 13] no such file", ""),
    ("exit 1", "exit 137", ""),
    ("'loan_id'", "'amount'", "KeyError"),
    ("'NoneType' object has no attribute 'id'", "'NoneType' object has no attribute 'name'", "AttributeError"),
    ("No module named 'rq'", "No module named 'redis'", "builtins.ModuleNotFoundError"),
    ("'loan_id'", "'amount'", ""),
    ("the customer's account is closed", "the customer's card is closed", ""),
    ("connection refused", "connection reset", "ConnectionError"),
]


@pytest.mark.parametrize("texts", TOGETHER.values(), ids=TOGETHER)
def test_errors_that_differ_only_in_values_are_of_one_kind(texts: list[str]) -> None:
    assert len({shape_of(text) for text in texts}) == 1, [shape_of(text) for text in texts]


@pytest.mark.parametrize(("one", "other", "error_type"), APART)
def test_errors_that_differ_in_words_or_codes_are_of_two_kinds(one: str, other: str, error_type: str) -> None:
    assert shape_of(one, error_type) != shape_of(other, error_type)


def test_a_key_of_digits_is_a_value_even_in_an_error_of_python_s_own() -> None:
    assert shape_of("'L105'", "KeyError") == shape_of("'L7'", "KeyError")


@given(st.text(max_size=300))
def test_any_text_has_a_shape_and_the_shape_of_a_shape_is_itself(text: str) -> None:
    shape = shape_of(text)
    assert "\n" not in shape
    assert shape_of(shape) == shape


def test_a_text_of_megabytes_is_read_in_part() -> None:
    for text in ("1" * 10_000_000, "a." * 5_000_000, "'" * 5_000_000, "x@" * 5_000_000, '  File "' * 1_000_000):
        assert len(shape_of(text)) <= 2_000


def test_the_time_for_a_text_of_one_long_word_grows_with_its_length() -> None:
    """The expression once tried every place in a word, which took hours for these texts and 150 ms for a row."""
    program = (
        "from sagatrace_tui.incident import error_text as it\n"
        "for word in ('a.', 'a-', 'http', 'a@', 'ab/', 'eeeeeee-', 'ü', 'a+b-c', '[:a', 'status '):\n"
        "    it._PARTS.sub('', word * (200_000 // len(word)))\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300)  # the limit only ends a hang
