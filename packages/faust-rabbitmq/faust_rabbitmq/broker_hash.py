"""Where RabbitMQ's consistent-hash exchange puts a key, computed here.

So a message that Faust writes straight into a stream lands where the exchange puts those that come through it from
anywhere else, and topics of equal size are co-partitioned whoever writes to them. The exchange takes Erlang's
`phash2` of the routing key (or of the header it hashes on), seeds Erlang's `exs1024` generator with it, and goes by
jump consistent hashing (Lamping and Veach, 2014). All three are the same in every release since RabbitMQ 3.8;
`phash2` is documented to be the same on all machines for ever. The tests compare with a real broker and with Erlang.
"""

from __future__ import annotations

from functools import lru_cache

__all__ = ["broker_partition"]

_CACHED_KEYS = 65_536  # of those hashed last: a hash takes 30 us
_MASK_32 = 0xFFFFFFFF
_MASK_64 = 0xFFFFFFFFFFFFFFFF
_GOLDEN = 0x9E3779B9  # Erlang's HCONST; its multiples tell types apart
_ATOM, _TUPLE, _BINARY = 3, 9, 13
_PHASH2_RANGE = 1 << 27
_LONGSTR = 56_945_346  # the hash of the atom `longstr`, the type of a header that is text


@lru_cache(_CACHED_KEYS)
def broker_partition(key: bytes, partitions: int, by_header: bool = False) -> int:
    """Which of the exchange's queues, counted in the order of their bindings, gets this key.

    Args:
        key: the routing key, or the header's text.
        partitions: how many queues are bound, each with weight 1.
        by_header: whether the exchange hashes on a header.
    """
    if partitions == 1:
        return 0
    hashed = _phash2_of_header(key) if by_header else _phash2(key)
    return _jump(hashed % _PHASH2_RANGE, partitions)


def _jump(key: int, partitions: int) -> int:
    first, *others = _exs1024_words(key)
    taken = 0
    bucket, after = -1, 0
    while after < partitions:
        bucket = after
        # One step of exs1024. Fewer than 16 are ever needed here: each at least doubles, on average, what is left.
        state = others[taken % 15]
        state ^= (state & 0x1FFFFFFFF) << 31
        state = (state ^ (state >> 11)) ^ (first ^ (first >> 30))
        others[taken % 15], first = state, state
        taken += 1
        random = (state * 1_181_783_497_276_652_981 & _MASK_64) / 2**64
        after = int((bucket + 1) / random) if random else partitions
    return bucket


def _exs1024_words(key: int) -> list[int]:
    """The generator's state when seeded with {key, key, key}."""
    low = (key & 0x1FFFFF) + 1
    parts = [low * factor & 0x1FFFFF for factor in (2_097_131, 2_097_133, 2_097_143)]
    word = parts[0] << 43 | parts[1] << 22 | parts[2] << 1 | 1
    words: list[int] = []
    for _ in range(16):
        word ^= word >> 12
        word ^= (word & 0x7FFFFFFFFF) << 25
        word ^= word >> 27
        words.append(word * 2_685_821_657_736_338_717 & _MASK_64)
    words.reverse()
    return words


def _phash2(key: bytes, start: int = 0) -> int:
    constant = (_BINARY * _GOLDEN + start) & _MASK_32
    return _block_hash(key, constant) if key else constant


def _phash2_of_header(text: bytes) -> int:
    """Of `{longstr, Text}`, as the exchange finds it among the headers."""
    hashed = _mixed_in(2, _TUPLE, 0)
    return _phash2(text, _mixed_in(_LONGSTR, _ATOM, hashed))


def _mixed_in(value: int, kind: int, hashed: int) -> int:
    constant = kind * _GOLDEN & _MASK_32
    return _mix((constant + value) & _MASK_32, constant, hashed)[2]


def _block_hash(key: bytes, start: int) -> int:
    a = b = _GOLDEN
    c = start
    whole = len(key) - len(key) % 12
    for at in range(0, whole, 12):
        a, b, c = _mix(
            (a + int.from_bytes(key[at : at + 4], "little")) & _MASK_32,
            (b + int.from_bytes(key[at + 4 : at + 8], "little")) & _MASK_32,
            (c + int.from_bytes(key[at + 8 : at + 12], "little")) & _MASK_32,
        )
    rest = key[whole:]
    return _mix(
        (a + int.from_bytes(rest[:4], "little")) & _MASK_32,
        (b + int.from_bytes(rest[4:8], "little")) & _MASK_32,
        (c + len(key) + (int.from_bytes(rest[8:], "little") << 8)) & _MASK_32,
    )[2]


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    """Bob Jenkins' mix of 1996, as Erlang has it."""
    a = (a - b - c & _MASK_32) ^ c >> 13
    b = (b - c - a & _MASK_32) ^ (a << 8 & _MASK_32)
    c = (c - a - b & _MASK_32) ^ b >> 13
    a = (a - b - c & _MASK_32) ^ c >> 12
    b = (b - c - a & _MASK_32) ^ (a << 16 & _MASK_32)
    c = (c - a - b & _MASK_32) ^ b >> 5
    a = (a - b - c & _MASK_32) ^ c >> 3
    b = (b - c - a & _MASK_32) ^ (a << 10 & _MASK_32)
    c = (c - a - b & _MASK_32) ^ b >> 15
    return a, b, c
