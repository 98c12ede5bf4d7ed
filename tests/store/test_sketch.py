"""The sketch's percentiles against exact ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_replay.store.sketch import BUCKETS, Sketch, bucket, exact_percentiles, middle, pack_sample, rank

VALUES = st.integers(0, 2**63 - 1) | st.integers(0, 10**11) | st.sampled_from([0, 1, 2, 2**64])
LISTS = st.lists(VALUES, min_size=1, max_size=300)


def sketch_of(values: Sequence[int]) -> Sketch:
    sketch = Sketch()
    sketch.add_samples(b"".join(map(pack_sample, values)))
    return sketch


def close(values: Sequence[int]) -> Any:
    """Equal to the exact percentiles within 1 %."""
    return pytest.approx(exact_percentiles(values), rel=0.01, abs=0)


@given(VALUES)
def test_a_bucket_stands_for_all_its_values(value: int) -> None:
    number = bucket(value)
    assert 0 <= number < BUCKETS
    assert abs(middle(number) - value) <= value / 100


@given(LISTS)
def test_percentiles_are_within_one_percent(values: list[int]) -> None:
    assert sketch_of(values).percentiles() == close(values)


@given(LISTS, LISTS)
def test_sketches_are_added(some: list[int], others: list[int]) -> None:
    sketch = sketch_of(some)
    sketch.add_packed(sketch_of(others).pack())
    assert sketch.percentiles() == close(some + others)


@given(LISTS, st.lists(VALUES, max_size=300))
def test_values_are_taken_out_in_any_order(kept: list[int], gone: list[int]) -> None:
    sketch = Sketch()
    sketch.add_samples(b"".join(pack_sample(value, removed=True) for value in gone))
    packed = sketch.pack()
    sketch = sketch_of(kept + gone)
    sketch.add_packed(packed)
    assert sketch.percentiles() == close(kept)
    assert sketch.pack() == sketch_of(kept).pack()


@given(LISTS, st.sampled_from([1, 100, 40_000, 2**31]))
def test_packing_keeps_every_count(values: list[int], times: int) -> None:
    sketch = sketch_of(values)
    sketch._counts *= times
    again = Sketch()
    again.add_packed(sketch.pack())
    assert (again._counts == sketch._counts).all()
    assert again.percentiles() == close(values)


def test_nothing_has_no_percentiles() -> None:
    assert Sketch().percentiles() is None
    assert Sketch().pack() == b""
    assert exact_percentiles([]) is None


def test_nearest_ranks() -> None:
    assert [rank(percent, 10) for percent in (50, 95, 99)] == [5, 10, 10]
    assert exact_percentiles(range(1, 101)) == (50, 95, 99)
    assert exact_percentiles([7]) == (7, 7, 7)
