"""The Redis mirror: each event is published once the store has it, so that others can watch it happen.

    SAGATRACE_MIRROR=redis://HOST:6379      rediss:// with TLS, unix:///PATH; user, password and options as redis-py's
    SAGATRACE_MIRROR=redis+sentinel://HOST:26379,HOST:26379/SERVICE         the master that Sentinels name

On two channels, `trace_channel` and `all_channel`, a message is the event's JSON document; only its `id` and
`trace_id` where that has more than `MAX_MESSAGE` bytes, or where the store may have another of that id: it is to be
read there. Channels are named after the store, as Redis has one set of them for all its databases. Whoever publishes
also tells on `pulse_channel`, every `PULSE` seconds, that it is there and how many events it could not publish since
it began.

Best effort: what Redis does not take is counted, logged once per cause and dropped. The store has it. So a
`Subscriber` says when it may have missed something, and its owner reads the store.
"""

from sagatrace.mirror.address import MAX_MESSAGE, PULSE, Mirror, connect_redis, open_mirror
from sagatrace.mirror.publisher import Publisher
from sagatrace.mirror.subscriber import Heard, Subscriber

__all__ = ["MAX_MESSAGE", "PULSE", "Heard", "Mirror", "Publisher", "Subscriber", "connect_redis", "open_mirror"]
