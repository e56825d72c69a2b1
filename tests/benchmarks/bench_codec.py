"""Compare libraries for decoding events: each reads the same 50 000 JSON lines into checked objects.

    pip install orjson pydantic && python tests/benchmarks/bench_codec.py

Prints each as a ratio to msgspec's in the same run. Libraries that are not installed are named.
"""

from __future__ import annotations

import gc
import importlib
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

from sagatrace.event import encode_event, new_event
from sagatrace.stores.codec import decode_event

COUNT, ROUNDS = 50_000, 5


def documents() -> list[bytes]:
    data = {"job_name": "credit-check", "queue": "steps", "loan_id": "L123", "worker": "w" * 32, "note": "x" * 90}
    fields: dict[str, Any] = {"trace_id": "T1", "event_type": "job:started", "parent_span_id": "P" * 32, "data": data}
    return [encode_event(new_event(span_id=f"S{n}", tags=["demo"], **fields)) for n in range(COUNT)]


def candidates() -> dict[str, Callable[[bytes], object]]:
    found: dict[str, Callable[[bytes], object]] = {
        "msgspec, data left undecoded": decode_event,
        "msgspec, data decoded too": lambda line: decode_event(line).data,
        "json, unchecked": json.loads,
    }
    for name in ("orjson", "pydantic"):
        try:
            library = importlib.import_module(name)
        except ModuleNotFoundError:
            print(f"{name}: not installed, not measured")
            continue
        if name == "orjson":
            found["orjson, unchecked"] = library.loads
        else:
            fields: dict[str, Any] = dict.fromkeys(("id", "trace_id", "span_id", "event_type", "timestamp"), (str, ...))
            fields |= {"parent_span_id": (str | None, None), "status": (str | None, None)}
            fields |= {"data": (dict[str, Any] | None, None), "tags": (list[str] | None, None)}
            found["pydantic, checked"] = library.create_model("Event", **fields).model_validate_json
    return found


def main() -> None:
    lines = documents()
    results: dict[str, list[float]] = {}
    readers = candidates()
    for _ in range(ROUNDS):  # rounds in the outer loop, so that noise affects all equally
        for name, read in readers.items():
            gc.collect()
            began = time.perf_counter()
            kept = [read(line) for line in lines]
            results.setdefault(name, []).append(time.perf_counter() - began)
            assert len(kept) == COUNT
    base = statistics.median(results["msgspec, data left undecoded"])
    print(f"{COUNT:,} documents of {len(lines[0])} bytes, median of {ROUNDS}")
    for name, times in sorted(results.items(), key=lambda item: statistics.median(item[1])):
        middle = statistics.median(times)
        print(f"{name:32} {middle / COUNT * 1e6:6.2f} µs/event   {middle / base:5.2f} ×")


if __name__ == "__main__":
    main()
