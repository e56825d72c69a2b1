"""The Redis mirror publishes each event after the store has it, for viewers that watch live.

    SAGATRACE_MIRROR=redis://HOST:6379      rediss:// with TLS, unix:///PATH; user, password and options as in redis-py
    SAGATRACE_MIRROR=redis+sentinel://HOST:26379,HOST:26379/SERVICE         the master named by Sentinels

Each event is a message on two channels, `trace_channel` and `all_channel`. The message is the event's JSON document. An
event larger than `MAX_MESSAGE` bytes is sent as its `id` and `trace_id` only. So is an event if the store may hold
another event with its id. Subscribers read such events from the store. The channels are named after the store, because
Redis has one set of channels for all databases.

Each publisher sends a pulse on `pulse_channel` every `PULSE` seconds. The pulse holds the number of events that it
could not publish since its start.

The mirror is best effort. Events that Redis does not accept are dropped and counted. Each cause is logged once. The
store has them. A `Subscriber` reports when it may have missed events, and its owner then reads the store.
"""

from sagatrace.mirror.address import MAX_MESSAGE, PULSE, Mirror, connect_redis, open_mirror
from sagatrace.mirror.publisher import Publisher
from sagatrace.mirror.subscriber import Heard, Subscriber

__all__ = ["MAX_MESSAGE", "PULSE", "Heard", "Mirror", "Publisher", "Subscriber", "connect_redis", "open_mirror"]
