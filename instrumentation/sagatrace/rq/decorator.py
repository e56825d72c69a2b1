"""The `job` decorator without its queue class: it keeps the type of the function, and adds `under`."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any, ClassVar, ParamSpec, Protocol, TypeVar, cast

import rq
import rq.decorators
from rq.job import Job

from sagatrace.context import TraceRef

__all__ = ["JobDecorator", "JobFunction"]

_P = ParamSpec("_P")
_R = TypeVar("_R")
_R_co = TypeVar("_R_co", covariant=True)


class JobFunction(Protocol[_P, _R_co]):
    """A function that `job` has decorated. A call runs it here, as before. `enqueue` makes a job of it."""

    __name__: str

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R_co:
        """Run the function here."""
        ...

    def enqueue(self, *args: Any, **kwargs: Any) -> Job:
        """Enqueue the function with its arguments, and with RQ's `job_id`, `depends_on` and `at_front`."""
        ...

    def delay(self, *args: Any, **kwargs: Any) -> Job:
        """Do as `enqueue`, by RQ's older name."""
        ...

    def under(self, context: TraceRef | str | None) -> JobFunction[_P, _R_co]:
        """Return the function whose jobs belong under this context."""
        ...


class JobDecorator(rq.decorators.job):
    """RQ's decorator, with `under`. A queue given by name is a `traced_queue`, unless another class is given."""

    traced_queue: ClassVar[type[rq.Queue]]

    def __init__(self, queue: rq.Queue | str, *args: Any, **kwargs: Any) -> None:
        if len(args) < 5:  # the sixth of RQ's own, counted from the queue
            kwargs.setdefault("queue_class", self.traced_queue)
        super().__init__(queue, *args, **kwargs)

    def __call__(self, function: Callable[_P, _R]) -> JobFunction[_P, _R]:
        """Return the function itself, with RQ's `enqueue` and `delay` and with `under`."""

        def under(context: TraceRef | str | None) -> Any:
            bound = copy.copy(self)
            queue: Any = self.queue
            if isinstance(queue, str):
                queue = self.queue_class(queue, connection=self.connection)
            bound.queue = queue.under(context)

            # RQ's decorator sets attributes on the function. They must not stay on the user's function.
            @functools.wraps(function)
            def twin(*args: _P.args, **kwargs: _P.kwargs) -> _R:
                return function(*args, **kwargs)

            return decorate(bound, twin)

        decorate: Callable[[rq.decorators.job, Callable[..., Any]], Any] = rq.decorators.job.__call__
        decorated = decorate(self, function)
        decorated.under = under
        return cast("JobFunction[_P, _R]", decorated)
