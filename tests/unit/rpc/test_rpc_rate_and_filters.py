"""Token buckets and the memory of filters."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.rpc.config import Limits, Rate
from node.rpc.errors import RpcError
from node.rpc.filters import Filter, FilterKind, Filters
from node.rpc.parameters import LogFilter
from node.rpc.rate import Bucket, Buckets
from node.rpc.subscriptions import matches


@given(
    st.floats(0.5, 100),
    st.floats(1, 100),
    st.lists(st.tuples(st.floats(0, 5), st.floats(0.1, 200)), max_size=60),
)
def test_never_more_is_taken_than_burst_and_refill_allow(
    per_second: float, burst: float, calls: list[tuple[float, float]]
) -> None:
    now = taken = 0.0
    bucket = Bucket(Rate(per_second, burst), now)
    for pause, cost in calls:
        now += pause
        if bucket.take(cost, now) == 0.0:
            # One call may be larger than the bucket, when that is full; those after it pay the debt.
            assert taken + min(cost, burst) <= burst + per_second * now + 1e-6
            taken += cost


@given(st.floats(0.5, 100), st.floats(1, 100), st.floats(0.1, 1))
def test_the_wait_that_is_told_is_enough(per_second: float, burst: float, share: float) -> None:
    bucket = Bucket(Rate(per_second, burst), 0.0)
    assert bucket.take(burst, 0.0) == 0.0
    wait = bucket.take(burst * share, 0.0)
    assert wait > 0
    assert bucket.take(burst * share, wait + 1e-6) == 0.0


def test_the_least_recent_caller_is_forgotten() -> None:
    buckets = Buckets(Rate(1, 1), capacity=2)
    first = buckets.of("first", 0)
    buckets.of("second", 0)
    assert buckets.of("first", 0) is first
    buckets.of("third", 0)
    assert buckets.of("first", 0) is first
    assert len(buckets._buckets) == 2


def test_filters_are_bounded_in_all_and_ids_cannot_be_guessed() -> None:
    filters = Filters(replace(Limits(), filters=5, filters_per_client=3))
    ids = [filters.add(Filter(FilterKind.BLOCKS, f"client {number // 3}", 1)) for number in range(5)]
    assert len(set(ids)) == 5
    assert all(len(identity) == 34 for identity in ids)
    with pytest.raises(RpcError) as caught:
        filters.add(Filter(FilterKind.BLOCKS, "client 9", 1))
    assert isinstance(caught.value.data, dict)
    assert caught.value.data["code"] == "rpc.too_many_filters"


def test_polling_keeps_a_filter_and_silence_ends_it() -> None:
    filters = Filters(replace(Limits(), filter_idle_seconds=0.2))
    polled = filters.add(Filter(FilterKind.BLOCKS, "a", 1))
    silent = filters.add(Filter(FilterKind.BLOCKS, "a", 1))
    for _ in range(3):
        time.sleep(0.1)
        filters.poll(polled, "a")
    with pytest.raises(RpcError):
        filters.poll(silent, "a")


def test_a_pending_filter_keeps_a_bounded_number_of_hashes() -> None:
    filters = Filters(Limits())
    identity = filters.add(Filter(FilterKind.PENDING, "a", 1))
    for number in range(5_000):
        filters.transaction_pending(number.to_bytes(32, "big"))
    hashes = filters.poll(identity, "a").hashes
    assert len(hashes) == 4_096
    assert hashes[-1] == (4_999).to_bytes(32, "big")


topics = st.lists(st.sampled_from([b"a" * 32, b"b" * 32, b"c" * 32]), max_size=4)
choices = st.none() | st.frozensets(st.sampled_from([b"a" * 32, b"b" * 32]), min_size=1)


@given(
    st.frozensets(st.sampled_from([b"1" * 20, b"2" * 20])),
    st.lists(choices, max_size=4),
    st.sampled_from([b"1" * 20, b"2" * 20, b"3" * 20]),
    topics,
)
def test_a_log_matches_as_the_words_of_the_specification_say(
    addresses: frozenset[bytes], wanted: list[frozenset[bytes] | None], address: bytes, has: list[bytes]
) -> None:
    expected = not addresses or address in addresses
    for place, choice in enumerate(wanted):
        if choice is not None and (place >= len(has) or has[place] not in choice):
            expected = False
    query = LogFilter(addresses, tuple(wanted), None, None, None)
    assert matches(query, address, tuple(has)) == expected
