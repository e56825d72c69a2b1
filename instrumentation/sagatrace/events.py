"""The old address of `sagatrace.event` and `sagatrace.stores.codec`."""

from sagatrace.event import *  # noqa: F403
from sagatrace.stores.codec import *  # noqa: F403
