"""The answers of a trace for an incident channel, as Markdown or for Slack. The text is also readable as plain text."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from sagatrace_tui.incident.error_text import shape_of
from sagatrace_tui.incident.report import error_of, error_type_of
from sagatrace_tui.incident.standing_facts import StandingFacts, standing_facts
from sagatrace_tui.model import Compensation, NeverRan, Outcome, Place, Span, Standing, Trace
from sagatrace_tui.model.standing import reason_of
from sagatrace_tui.model.text import clipped, clock, counted, length, one_line
from sagatrace_tui.views.undeclared import undeclared_steps
from sagatrace_tui.views.waiting import Wait, waiting_on

__all__ = ["MARKDOWN", "SLACK", "Markup", "incident_summary"]

_MAX_NAME: Final = 200
_MAX_ERROR: Final = 500  # characters of an error; the JSON has the whole error
_OUTCOMES: Final[Mapping[Outcome, str]] = {"failed": "compensation failed", "running": "compensation running"}
# Signs that Markdown or a chat would act on. An underscore counts only at the start or end of a word.
_MARKUP: Final = re.compile(
    r"[*`\[\]<>~|\\@&$]|(?<![a-z0-9])_|_(?![a-z0-9])|://|www\.|(?<![a-z0-9]):[a-z][a-z0-9_+-]*:", re.IGNORECASE
)
# Slack also makes links of bare host names and of channels, and pictures of :) and of :word: inside a word.
_SLACK_MARKUP: Final = re.compile(
    rf"{_MARKUP.pattern}|[*_~#]|:[\w+'-]+:|\w\.[a-z]{{2,}}|mailto:|tel:|[:;=8]['-]?[()dpo*/|]|\(:", re.IGNORECASE
)
_MAX_DETAIL: Final = 1_000  # characters of a sentence about an anomaly, which may hold names
_MAX_LINES: Final = 20  # entries of one list; the JSON has all entries
_PATH_ENDS: Final = 5  # spans shown of each end of a long failure path


class Markup(NamedTuple):
    """How a chat writes a heading and a list entry, and the signs in a text that it would act on.

    `entities` are signs that the chat reads even in code, with their replacements.
    """

    heading: str
    entry: str
    acts_on: re.Pattern[str]
    entities: tuple[tuple[str, str], ...] = ()

    def code(self, text: str) -> str:
        """Return the text as code, which a chat shows as it is."""
        for sign, entity in self.entities:
            text = text.replace(sign, entity)
        return f"`{text.replace('`', 'ˋ')}`"


MARKDOWN: Final = Markup("**{}**", "- {}", _MARKUP)
SLACK: Final = Markup("*{}*", "• {}", _SLACK_MARKUP, (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")))


def incident_summary(trace: Trace, inert: Callable[[str], str], markup: Markup = MARKDOWN) -> str:
    """Return the incident summary. It counts failures of one kind instead of listing them.

    Args:
        trace: the trace.
        inert: makes a value from a job safe to show. Every value from a job passes through it.
        markup: the markup of the chat.
    """
    return "\n".join(_Text(trace, inert, markup).lines()) + "\n"


class _Text:
    """Writes the text. No value that a job wrote can start a line or end a code span."""

    def __init__(self, trace: Trace, inert: Callable[[str], str], markup: Markup) -> None:
        self._trace, self._inert, self._markup = trace, inert, markup
        self._reason: str | None = None
        names = {one: trace.spans[one].name for one in trace.failures}
        names |= {one.span_id: one.name for one in trace.never_ran}
        # The compensations include every standing step.
        names |= {row.original_span_id: row.original_name for row in trace.compensations}
        self._namesakes = {name for name, count in Counter(names.values()).items() if count > 1}

    def lines(self) -> Iterator[str]:
        """Yield the text, line by line."""
        trace = self._trace
        name = self._plain(one_line(trace.name, _MAX_NAME))
        verdict = self._markup.heading.format(trace.verdict.replace("_", " "))
        yield f"{verdict} — {self._quoted(self._inert(trace.trace_id))} {name}".rstrip()
        yield self._plain(trace.summary)
        yield from self._times()
        waiting = waiting_on(trace, trace.now)
        if waiting is not None:
            yield from self._section("Waiting on", [self._waits(one) for one in waiting.waits], waiting.count)
        for title, goes_on in (("Still standing", False), ("Still to be undone", True)):
            steps = zip(trace.still_standing, standing_facts(trace), strict=True)
            listed = [self._stands(step, facts) for step, facts in steps if step.undo_goes_on == goes_on]
            yield from self._section(title, listed)
        if trace.cause is not None:
            yield from self._section("Why", list(self._why(trace.cause)))
        yield from self._section("Other failures", list(self._other_failures()))
        yield from self._section("Never ran", [self._never_ran(one) for one in trace.never_ran])
        yield from self._section("Compensation", [self._row(row) for row in trace.compensations])
        undeclared = undeclared_steps(trace)
        for title, with_success in (("Completed", True), ("Outcome unknown", False)):
            names = [self._code(span.name) for span in undeclared if (span.status == "success") == with_success]
            yield from self._section(f"{title}, no undo declared", names, len(names))
        anomalies = [f"{one.kind}: {clipped(one.detail, _MAX_DETAIL)}" for one in trace.anomalies]
        yield from self._section("Anomalies", list(map(self._plain, anomalies)))
        yield ""
        yield f"Open the trace: {self._quoted(self._command())}"

    def _times(self) -> Iterator[str]:
        trace = self._trace
        if trace.started_at is None:
            return
        silent = any(one.kind == "never_ended" for one in trace.anomalies)
        word = "last event" if trace.ended_at is None else "silent since" if silent else "ended"
        end = f"{word} {clock(trace.now - trace.silence(trace.now) if silent else trace.last_at)}"
        counts = f"{counted(len(trace.spans), 'span')}, {counted(trace.event_count, 'event')}"
        yield f"Started {clock(trace.started_at)}, {end}, {length(trace.duration or 0)}; {counts}."

    def _why(self, cause: Span) -> Iterator[str]:
        yield "path: " + " → ".join(self._path())
        at = self._clock(cause.over_at)
        rows = ((row, self._trace.ancestors_of(row.span_id)) for row in self._trace.compensations if row.span_id)
        ends = [row.ended_at for row, ancestors in rows if cause.span_id in ancestors]
        if ends and all(end is not None and end <= cause.over_at for end in ends):  # so it failed earlier
            yield f"cause: {self._code(cause.name)} {cause.status}, and ended at {at} after its compensation"
        else:
            yield f"cause: {self._code(cause.name)} {cause.status} at {at}"
        if error := self._error(cause):
            yield f"error: {error}"
        if where := self._where_ran(cause):
            yield f"where: {where}"
        yield f"span: {self._code(cause.span_id)}"

    def _path(self) -> Iterator[str]:
        ids, spans = self._trace.failure_path, self._trace.spans
        parent = spans[ids[0]].parent_id
        if parent is not None and parent in self._trace.missing_parents:
            yield f"(missing parent {self._code(parent)})"
        left_out = len(ids) - 2 * _PATH_ENDS
        for place, one in enumerate(ids):
            if left_out <= 1 or not _PATH_ENDS <= place < len(ids) - _PATH_ENDS:
                run = self._run(one) if spans[one].run else ""
                yield f"{self._code(spans[one].name)}{run}"
            elif place == _PATH_ENDS:
                yield f"… {left_out} more …"

    def _where_ran(self, cause: Span) -> str:
        """Return the place where a span ran; for a stage, the place of the job around it."""
        path = [self._trace.spans[one] for one in reversed(self._trace.failure_path)]
        around = next((span for span in path if span.place.worker is not None), cause)
        where = self._where(around.place)
        return where if around is cause else f"in {self._code(around.name)}, {where}"

    def _clock(self, micros: int) -> str:
        """Return a moment as text, without its date if the trace began on that day."""
        return clock(micros).removeprefix(clock(self._trace.started_at)[:11])

    def _where(self, place: Place) -> str:
        named = (("worker", place.worker), ("host", place.host), ("queue", place.queue))
        parts = [f"{word} {self._code(value)}" for word, value in named if value]
        if place.attempt is not None:
            allowed = f" of {place.attempts_allowed}" if place.attempts_allowed is not None else ""
            parts.append(f"attempt {place.attempt}{allowed}")
        return ", ".join(parts)

    def _waits(self, one: Wait) -> str:
        undoing = f" (undoes {self._code(one.undoing)})" if one.undoing else ""
        return f"{self._code(one.name)}{undoing}: {self._plain(one.words)}"

    def _command(self) -> str:
        """Return the command that opens the trace in the app, at the cause."""
        ids = [self._trace.trace_id, *([] if self._trace.cause is None else [self._trace.cause.span_id])]
        end_of_options = ["--"] if any(one.startswith("-") for one in ids) else []
        return " ".join(["sagatrace-tui", *end_of_options, *(_shell_word(one, self._inert) for one in ids)])

    def _other_failures(self) -> Iterator[str]:
        roles, alike = self._trace.roles, dict[tuple[str | None, ...], list[Span]]()
        for span_id in sorted(self._trace.failures, key=lambda one: roles[one] == "recovered"):  # recovered ones last
            role, span = roles[span_id], self._trace.spans[span_id]
            if role != "cause":
                error_type = error_type_of(span)
                shape = shape_of(error_of(span) or "", error_type)
                alike.setdefault((span.name, role, error_type, shape), []).append(span)
        for span, *others in alike.values():
            which = f"{1 + len(others)} × {self._code(span.name)}" if others else self._which(span.span_id, span.name)
            error = self._error(span)
            example = "such as " if others and len({error_of(one) for one in (span, *others)}) > 1 else ""
            yield f"{which}: {roles[span.span_id]}{f' — {example}{error}' if error else ''}"

    def _error(self, span: Span) -> str:
        parts = one_line(error_type_of(span) or "", 100), one_line(error_of(span) or "", _MAX_ERROR)
        return self._plain(": ".join(filter(None, parts)))

    def _never_ran(self, one: NeverRan) -> str:
        return f"{self._which(one.span_id, one.name)}: waits for {self._code(one.dependency_name)}, which {one.fate}"

    def _stands(self, one: Standing, facts: StandingFacts) -> str:
        undo = f", undo {self._code(facts.compensation)}" if facts.compensation else ""
        parts = [clipped(reason_of(one, ended=self._trace.ended), _MAX_DETAIL)]
        if not one.explained:
            parts.append("the step's outcome is unknown, it may have taken effect")
        if error := ": ".join(filter(None, (facts.error_type, facts.error))):
            parts.append(f"error: {one_line(error, _MAX_ERROR)}")
        parts += [f"{one_line(key, _MAX_NAME)}={one_line(str(value), _MAX_NAME)}" for key, value in facts.data.items()]
        run = self._run(one.span_id)
        return f"{self._which(one.span_id, one.name)}{run}{undo}: {'; '.join(map(self._plain, parts))}"

    def _run(self, span_id: str) -> str:
        """Return the run in which a span is, like ` (run 2 of 4)`; empty outside of a job that ran several times."""
        trace = self._trace
        for one in (span_id, *trace.ancestors_of(span_id)):
            if one in trace.spans and (run := trace.spans[one].run):
                return f" (run {run} of {len(trace.runs_of(one))})"
        return ""

    def _row(self, row: Compensation) -> str:
        outcome = _OUTCOMES.get(row.outcome, row.outcome.replace("_", " "))
        parts = [f"{self._which(row.original_span_id, row.original_name)}: {outcome}"]
        if row.completed_at is not None:
            parts.append(f"step completed {self._clock(row.completed_at)}")
        if row.started_at is not None:
            end = f" to {self._clock(row.ended_at)}" if row.ended_at is not None else ""
            parts.append(f"by {self._code(row.name or '')} {self._clock(row.started_at)}{end}")
        if row.attempts > 1:
            parts.append(f"{row.attempts} attempts")
        if row.place is not None and (where := self._where(row.place)):
            parts.append(where)
        if error := ": ".join(filter(None, (row.error_type, row.error))):
            word = "error" if row.outcome == "failed" else "last error"
            parts.append(f"{word}: {self._plain(one_line(error, _MAX_ERROR))}")
        elif row.reason and row.reason != self._reason:  # once for all steps undone for the same reason
            self._reason = row.reason
            parts.append(f"because {self._plain(one_line(row.reason, _MAX_ERROR))}")
        return ", ".join(parts)

    def _section(self, title: str, entries: list[str], count: int = 0) -> Iterator[str]:
        """Yield a list under its title. `count` is the total number of entries, if `entries` lacks some."""
        if not entries:
            return
        yield ""
        yield self._markup.heading.format(title)
        if (more := max(count, len(entries)) - _MAX_LINES) > 0:
            entries = [*entries[:_MAX_LINES], f"and {more} more{'' if count else ' (`--json` has them all)'}"]
        yield from map(self._markup.entry.format, entries)

    def _plain(self, text: str) -> str:
        """Return the text unchanged, or as code if a chat would render or link any part of it."""
        shown = self._inert(text)
        return self._quoted(shown) if self._markup.acts_on.search(shown) else shown

    def _quoted(self, shown: str) -> str:
        return self._markup.code(shown)

    def _code(self, text: str) -> str:
        return self._quoted(self._inert(one_line(text, _MAX_NAME)))

    def _which(self, span_id: str, name: str) -> str:
        """Return the span's name. Add its id if other spans in the text have the same name."""
        return f"{self._code(name)} ({self._code(span_id)})" if name in self._namesakes else self._code(name)


def _shell_word(text: str, inert: Callable[[str], str]) -> str:
    """Return the text as one shell word without signs that a terminal or chat acts on."""
    if inert(text) == text and "`" not in text:
        return shlex.quote(text)
    signs = (
        chr(byte) if 32 <= byte < 127 and chr(byte) not in "`'\\" else f"\\{byte:03o}"
        for byte in text.encode("utf-8", "backslashreplace")
    )
    return f"$'{''.join(signs)}'"
