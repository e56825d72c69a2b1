"""The base of the `job` decorator. It keeps the type of the function, and adds `under`."""

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
    """A function decorated with `job`. A call runs the function here. `enqueue` enqueues it as a job."""

    __name__: str

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R_co:
        """Run the function here."""
        ...

    def enqueue(self, *args: Any, **kwargs: Any) -> Job:
        """Enqueue the function with its arguments, and with RQ's `job_id`, `depends_on` and `at_front`."""
        ...

    def delay(self, *args: Any, **kwargs: Any) -> Job:
        """Enqueue the function. This is RQ's older name for `enqueue`."""
        ...

    def under(self, context: TraceRef | str | None) -> JobFunction[_P, _R_co]:
        """Return a copy of the function whose jobs belong under this context. A text is a trace id."""
        ...


class JobDecorator(rq.decorators.job):
    """RQ's decorator, with `under`. A queue given by name is a `traced_queue`, unless another class is given."""

    traced_queue: ClassVar[type[rq.Queue]]

    def __init__(self, queue: rq.Queue | str, *args: Any, **kwargs: Any) -> None:
        if len(args) < 5:  # `queue_class` is the sixth argument of RQ's decorator, counted from the queue
            kwargs.setdefault("queue_class", self.traced_queue)
        super().__init__(queue, *args, **kwargs)

    def __call__(self, function: Callable[_P, _R]) -> JobFunction[_P, _R]:
        """Add RQ's `enqueue` and `delay`, and `under`, to the function. Return the function."""

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
