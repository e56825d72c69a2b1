"""Bytes of any kind, as a terminal, a torn line or a hand may send them."""

from __future__ import annotations

import random

__all__ = ["mutated", "strange"]

_SEEDS = [
    b"\x1b[<0;12;5M",
    b"\x1b[M !!",
    b"\x1b[32;12;5M",
    b"\x1b[97:65;2:1;97u",
    b"\x1b[200~text\x1b[201~",
    b"\x1b]11;rgb:1111/2222/3333\x07",
    b"\x1b[?2048;2$y\x1b[48;40;120;800;1200t",
    b"\x1b[1;5A",
    b"\x1bOP",
    b"\x1b[[A",
    b"\x1b[24;80R",
    "é漢🎉".encode(),
]


def mutated(random_: random.Random) -> bytes:
    """Return a sequence of a terminal's, with bytes changed, lost, doubled; or random bytes."""
    if random_.random() < 0.2:
        return random_.randbytes(random_.randrange(40))
    data = bytearray(b"".join(random_.choices(_SEEDS, k=random_.randrange(1, 4))))
    for _ in range(random_.randrange(4)):
        at = random_.randrange(len(data))
        data[at : at + random_.randrange(3)] = random_.randbytes(random_.randrange(3)) or data[at : at + 1] * 2
    return bytes(data[: random_.randrange(1, len(data) + 1)] if random_.random() < 0.3 else data)


def strange(random_: random.Random) -> bytes:
    """Return well-formed and torn sequences with random values; half of the time `mutated` ones."""
    if random_.random() < 0.5:
        return mutated(random_)
    pieces = [
        lambda: random_.randbytes(random_.randrange(1, 12)),
        lambda: (
            b"\x1b[<%d;%d;%d%c" % (random_.randrange(140), *random_.choices(range(200), k=2), random_.choice(b"Mm"))
        ),
        lambda: b"\x1b[M" + random_.randbytes(3),
        lambda: b"\x1b[%d;%d;%dM" % tuple(random_.choices(range(250), k=3)),
        lambda: b"\x1b[%d:%d;%d:%du" % tuple(random_.choices([97, 65, 3, 1 << 40, 55296, 106], k=4)),
        lambda: b"\x1b[200~" + random_.randbytes(20) + random_.choice([b"\x1b[201~", b""]),
        lambda: random_.choice([b"\x1b]11;", b"\x1bP", b"\x1b[?2048;2$y", b"\x1b[1;5A", b"\x1b[24;80R"]),
    ]
    return b"".join(random_.choice(pieces)() for _ in range(random_.randrange(1, 8)))
