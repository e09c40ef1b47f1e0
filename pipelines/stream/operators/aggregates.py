"""Aggregates: what a window counts, sums and sketches. Nulls don't count, as in SQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from datasketches import hll_sketch, hll_union, tdigest_double

from pipelines.stream.operators.record import Unfit, Value

LG_HLL = 12  # 4,096 registers: a standard error of 1.6 %, and 2 KiB
DIGEST = 200  # centroids: a rank error well under 1 %, least at the ends
DIGEST_BUFFER = 256  # values taken into a digest at once

Read = Callable[[Value], Any]


class Aggregate(Protocol):
    """How one field of a window's result comes about. Accumulators are lists, changed in place."""

    read: Read

    def start(self) -> list[Any]:
        """An accumulator of no values."""
        ...

    def add(self, accumulator: list[Any], value: Any) -> None:
        """Take in a value that isn't null."""
        ...

    def merge(self, accumulator: list[Any], other: list[Any]) -> None:
        """Take in all values of another."""
        ...

    def result(self, accumulator: list[Any]) -> Any:
        """What it comes to."""
        ...

    def save(self, accumulator: list[Any]) -> list[Any]:
        """As it's kept in a state."""
        ...

    def load(self, saved: list[Any]) -> list[Any]:
        """As it was when it was saved."""
        ...


class _Plain:
    """Accumulators that can be kept as they are.

    Args:
        read: the value to aggregate, of a record's fields.
    """

    def __init__(self, read: Read) -> None:
        self.read = read

    def save(self, accumulator: list[Any]) -> list[Any]:
        """As it's kept in a state."""
        return accumulator

    def load(self, saved: list[Any]) -> list[Any]:
        """As it was when it was saved."""
        return saved


class Count(_Plain):
    """How many records; of those with a condition, how many for which it holds."""

    def start(self) -> list[Any]:
        """None yet."""
        return [0]

    def add(self, accumulator: list[Any], value: Any) -> None:
        """One more, or none."""
        if value:
            accumulator[0] += 1

    def merge(self, accumulator: list[Any], other: list[Any]) -> None:
        """Both."""
        accumulator[0] += other[0]

    def result(self, accumulator: list[Any]) -> Any:
        """The number."""
        return accumulator[0]


class Sum(_Plain):
    """The sum; null of no values."""

    def start(self) -> list[Any]:
        """None yet."""
        return [None]

    def add(self, accumulator: list[Any], value: Any) -> None:
        """One more."""
        accumulator[0] = value if accumulator[0] is None else accumulator[0] + value

    def merge(self, accumulator: list[Any], other: list[Any]) -> None:
        """Both."""
        if other[0] is not None:
            self.add(accumulator, other[0])

    def result(self, accumulator: list[Any]) -> Any:
        """The sum.

        Raises:
            Unfit: if it's an integer beyond 64 bits.
        """
        total = accumulator[0]
        if isinstance(total, int) and not -(1 << 63) <= total < 1 << 63:
            raise Unfit("the sum has more than 64 bits; sum double(…) instead")
        return total


class Min(Sum):
    """The least; null of no values."""

    def result(self, accumulator: list[Any]) -> Any:
        """The value."""
        return accumulator[0]

    def add(self, accumulator: list[Any], value: Any) -> None:
        """One more."""
        if accumulator[0] is None or value < accumulator[0]:
            accumulator[0] = value


class Max(Min):
    """The greatest; null of no values."""

    def add(self, accumulator: list[Any], value: Any) -> None:
        """One more."""
        if accumulator[0] is None or value > accumulator[0]:
            accumulator[0] = value


class Avg(_Plain):
    """The mean; null of no values."""

    def start(self) -> list[Any]:
        """None yet."""
        return [0, 0]

    def add(self, accumulator: list[Any], value: Any) -> None:
        """One more."""
        accumulator[0] += value
        accumulator[1] += 1

    def merge(self, accumulator: list[Any], other: list[Any]) -> None:
        """Both."""
        accumulator[0] += other[0]
        accumulator[1] += other[1]

    def result(self, accumulator: list[Any]) -> Any:
        """Sum by number."""
        return accumulator[0] / accumulator[1] if accumulator[1] else None


class Distinct(_Plain):
    """About how many different values, by HyperLogLog; small numbers are exact.

    P. Flajolet et al., "HyperLogLog: the analysis of a near-optimal cardinality estimation algorithm" (2007).
    """

    def start(self) -> list[Any]:
        """None yet."""
        return [hll_sketch(LG_HLL)]

    def add(self, accumulator: list[Any], value: Any) -> None:
        """One more."""
        accumulator[0].update(value if isinstance(value, (int, float, str)) else repr(value))

    def merge(self, accumulator: list[Any], other: list[Any]) -> None:
        """Both."""
        union = hll_union(LG_HLL)
        union.update(accumulator[0])
        union.update(other[0])
        accumulator[0] = union.get_result()

    def result(self, accumulator: list[Any]) -> Any:
        """The number."""
        return round(accumulator[0].get_estimate())

    def save(self, accumulator: list[Any]) -> list[Any]:
        """As it's kept in a state."""
        return [accumulator[0].serialize_compact()]

    def load(self, saved: list[Any]) -> list[Any]:
        """As it was when it was saved."""
        return [hll_sketch.deserialize(saved[0])]


class Quantile(_Plain):
    """About the value below which a share of all lies, by t-digest, which leaves nothing to chance.

    T. Dunning, O. Ertl, "Computing extremely accurate quantiles using t-digests" (2019). Values are taken in by the
    hundreds, whatever the batches are, so that the same records give the same result.

    Args:
        read: the value to aggregate.
        at: which share, 0 to 1.
    """

    def __init__(self, read: Read, at: float) -> None:
        super().__init__(read)
        self._at = at

    def start(self) -> list[Any]:
        """None yet."""
        return [tdigest_double(DIGEST), []]

    def add(self, accumulator: list[Any], value: Any) -> None:
        """One more."""
        accumulator[1].append(float(value))
        if len(accumulator[1]) >= DIGEST_BUFFER:
            self._take_in(accumulator[0], accumulator[1])
            accumulator[1] = []

    def merge(self, accumulator: list[Any], other: list[Any]) -> None:
        """Both."""
        for digest, values in (accumulator, other):
            self._take_in(digest, values)
        accumulator[0].merge(other[0])
        accumulator[0].compress()
        accumulator[1] = []

    def result(self, accumulator: list[Any]) -> Any:
        """The quantile; null of no values."""
        digest = tdigest_double.deserialize(accumulator[0].serialize())
        self._take_in(digest, accumulator[1])
        return None if digest.is_empty() else digest.get_quantile(self._at)

    def save(self, accumulator: list[Any]) -> list[Any]:
        """As it's kept in a state."""
        return [accumulator[0].serialize(), accumulator[1]]

    def load(self, saved: list[Any]) -> list[Any]:
        """As it was when it was saved."""
        return [tdigest_double.deserialize(saved[0]), saved[1]]

    @staticmethod
    def _take_in(digest: Any, values: list[float]) -> None:
        for value in values:
            digest.update(value)
        digest.compress()
