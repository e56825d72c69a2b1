"""Find the sagas of a trace: the spans at the top of each, and the span that decides whether it failed.

A root that is a workflow or saga is one saga. An RQ job that opened exactly one span, a saga, is one saga as well. The
opened span then decides, because a job may catch its saga's error and return. Jobs at the top of one trace form one
saga together.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from sagatrace_tui.model.span import Span
from sagatrace_tui.model.tree import SpanIndex

__all__ = ["Sagas", "joined"]


class Sagas:
    """The roots by saga. `all` holds the roots of each saga, each with its deciding span.

    `undo_jobs` are jobs whose work is undoing, and all spans below them. `silent_jobs` are jobs that succeeded although
    their saga failed or was halted. Their success recovers no failure.
    """

    def __init__(self, index: SpanIndex) -> None:
        self._index, self._tree, self._spans = index, index.tree, index.spans
        self.undo_jobs: set[str] = set()
        for job in self._undo_jobs() if index.begun else ():
            self.undo_jobs.update((job, *self._tree.below(job)))
        self.silent_jobs: set[str] = set()
        over = index.failed | index.halted
        for above in {self._tree.parent_of(one) for one in over}:
            if above in self._spans and self._spans[above].status == "success" and self.saga_span_of(above) in over:
                self.silent_jobs.add(above)
        self.all = self._grouped()
        self._places = {root: place for place, saga in enumerate(self.all) for root in saga} if self.all[1:] else {}

    def by_place(self, span_ids: Iterable[str]) -> dict[int, list[str]]:
        """Return the span ids by the place of their saga in `all`; at -1 those outside of all sagas.

        A compensation belongs to the saga of its step. A step without events belongs to the saga of its first
        compensation.
        """
        found: dict[int, list[str]] = {}
        for one in span_ids:
            found.setdefault(self._home_of(one), []).append(one)
        return found

    def place_of(self, span_id: str) -> int:
        """Return the place in `all` of a span's saga; -1 if it belongs to none, or if the trace has only one saga."""
        return self._places.get(self._tree.top_of(span_id), -1)

    def _home_of(self, span_id: str) -> int:
        span = self._spans.get(span_id)
        if span is None:
            undos = self._index.undos_of.get(span_id, ())
            return self.place_of(min(undos, key=self._tree.began)) if undos else -1
        step = span.original_span_id
        return self.place_of(step if step is not None and step in self._spans else span_id)

    def is_undoing(self, span_id: str) -> bool:
        """Return whether a span is a compensation, or work of a compensation or of a job that undoes."""
        return span_id in self._index.owner or span_id in self.undo_jobs

    def saga_span_of(self, job_id: str) -> str | None:
        """Return the only span that a job opened in its last attempt, if that span is a saga.

        Other spans that began before the end of the only workflow or saga do not count: its steps may have opened them.
        With a span that began later return None: the job may have continued without the saga.
        """
        job = self._spans[job_id]
        if job.state.kind != "job":
            return None
        since = job.attempts[-1].since if job.was_retried else None
        children = (self._spans[one] for one in self._tree.children.get(job_id, ()) if one not in self._index.owner)
        spans = [span for span in children if span.state.kind not in ("point", "job")]
        own = [span for span in spans if since is None or span.first_at >= since]
        if len(own) > 1:
            sagas = [span for span in own if span.state.kind in ("workflow", "saga")]
            if len(sagas) == 1 and all(span.first_at <= sagas[0].over_at for span in own):
                own = sagas
        return own[0].span_id if len(own) == 1 and self._is_saga(own[0].span_id) else None

    def _is_saga(self, span_id: str) -> bool:
        if self._spans[span_id].state.kind in ("workflow", "saga"):
            return True
        index = self._index
        return any(one in index.declared or one in index.undos_of for one in self._tree.below(span_id))

    def _undo_jobs(self) -> list[str]:
        """Find jobs that hold a compensation of a step elsewhere, and started after something outside had failed.

        A job that holds a step, or a failure outside of the compensation, does not count. It may be the reason why
        undoing began.
        """
        index = self._index
        found: dict[str, bool] = {}
        for undo_id in sorted(index.begun):
            step = self._spans[undo_id].original_span_id
            for above in self._tree.ancestors_of(undo_id):
                is_job = self._spans[above].state.kind == "job" and above not in index.owner
                if is_job and above not in found:
                    found[above] = step != above and self._only_undoes(above, step)
        if not any(found.values()):
            return []
        jobs = [job for job, undoes in found.items() if undoes]
        ended = [(self._spans[one].over_at, one) for one in index.failed | index.halted if one not in index.owner]
        return [job for job in jobs if self._follows(self._spans[job], ended, jobs)]

    def _only_undoes(self, job: str, step: str | None) -> bool:
        index = self._index
        return not any(
            one == step or one in index.failed or one in index.declared or one in index.undos_of
            for one in self._tree.below(job)
            if one == step or one not in index.owner
        )

    def _follows(self, job: Span, ended: list[tuple[int, str]], jobs: list[str]) -> bool:
        """Return whether a span outside of these jobs failed or was halted before the job started."""
        return any(
            over_at <= job.began_at and one not in jobs and job.span_id not in (one, *self._tree.ancestors_of(one))
            for over_at, one in ended
        )

    def _grouped(self) -> list[dict[str, str]]:
        spans = self._spans
        deciding: dict[str, str] = {}
        for root in self._tree.roots:
            if spans[root].state.kind != "point" and not self.is_undoing(root):
                deciding[root] = self.saga_span_of(root) or root
        if len(deciding) == 1:
            return [deciding]
        groups = [{root: one} for root, one in deciding.items() if spans[one].state.kind in ("workflow", "saga")]
        others = {root: one for root, one in deciding.items() if spans[one].state.kind not in ("workflow", "saga")}
        if len({spans[root].events[0].span_id for root in others}) == 1:
            groups += [{root: one} for root, one in others.items()]  # runs of one job
        elif others:
            groups.append(others)
        return joined(groups, {one: spans[one].dependencies for one in deciding}) if len(groups) > 1 else groups


def joined(groups: list[dict[str, str]], ties: Mapping[str, Collection[str]]) -> list[dict[str, str]]:
    """Join the groups of roots that are tied to each other. `ties` gives the roots tied to each root."""
    group_of = {root: group for group in groups for root in group}
    for root, others in ties.items():
        for other in others:
            mine = group_of[root]
            theirs = group_of.get(other, mine)
            if theirs is not mine:
                mine.update(theirs)
                group_of.update(dict.fromkeys(theirs, mine))
                theirs.clear()
    return [group for group in groups if group]
