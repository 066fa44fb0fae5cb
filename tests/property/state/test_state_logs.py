"""Indexed log queries give what a scan over all logs gives, in bounded work."""

from __future__ import annotations

import itertools
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.chain.errors import LedgerError
from node.chain.receipt import Log
from node.state.database import Batch, Database, DatabaseSnapshot
from node.state.logs import LogPage, LogQuery, StoredLog, add_logs, query_logs

ADDRESSES = [bytes([n]) * 20 for n in (0, 1, 0xFE, 0xFF)]
TOPICS = [bytes([n]) * 32 for n in (0, 1, 0x7F, 0xFF)]

topic_place = st.none() | st.frozensets(st.sampled_from(TOPICS), max_size=3)
queries = st.builds(
    LogQuery,
    from_height=st.integers(0, 45),
    to_height=st.integers(0, 45),
    addresses=st.frozensets(st.sampled_from(ADDRESSES), max_size=3),
    topics=st.lists(topic_place, max_size=4).map(tuple),
)


def matches(log: StoredLog, query: LogQuery) -> bool:
    """eth_getLogs as its specification words it, one log at a time."""
    if not query.from_height <= log.height <= query.to_height:
        return False
    if query.addresses and log.address not in query.addresses:
        return False
    # A place that accepts anything also accepts that there is no topic.
    if len(log.topics) < len(query.topics):
        return False
    return all(not place or topic in place for place, topic in zip(query.topics, log.topics, strict=False))


@pytest.fixture(scope="module")
def chain() -> Iterator[tuple[DatabaseSnapshot, list[StoredLog]]]:
    """40 blocks, some without logs, and all their logs in order."""
    chance = random.Random(5)
    everything: list[StoredLog] = []
    with tempfile.TemporaryDirectory() as directory, Database.create(Path(directory) / "ledger") as database:
        for height in range(1, 41):
            batch = Batch()
            log_index = 0
            for index in range(chance.choice([0, 0, 1, 4])):
                logs = [
                    Log(
                        chance.choice(ADDRESSES),
                        tuple(chance.choice(TOPICS) for _ in range(chance.randint(0, 4))),
                        chance.randbytes(chance.choice([0, 1, 70])),
                    )
                    for _ in range(chance.randint(0, 5))
                ]
                transaction_hash = chance.randbytes(32)
                add_logs(batch, (height, index, log_index), transaction_hash, logs)
                for log in logs:
                    everything.append(
                        StoredLog(
                            height, index, log_index, log.address, log.topics, log.data, transaction_hash
                        )
                    )
                    log_index += 1
            database.write(batch, sync=False)
        with database.snapshot() as snapshot:
            yield snapshot, everything


@given(query=queries)
@settings(max_examples=300, deadline=None)
def test_a_query_is_a_scan(chain: tuple[DatabaseSnapshot, list[StoredLog]], query: LogQuery) -> None:
    snapshot, everything = chain
    expected = tuple(log for log in everything if matches(log, query))
    assert query_logs(snapshot, query) == LogPage(expected, None)


@given(query=queries, limit=st.integers(1, 7))
@settings(max_examples=100, deadline=None)
def test_pages_together_are_the_whole(
    chain: tuple[DatabaseSnapshot, list[StoredLog]], query: LogQuery, limit: int
) -> None:
    snapshot, _ = chain
    whole = query_logs(snapshot, query).logs
    pages: list[StoredLog] = []
    after = None
    for _ in itertools.count():
        page = query_logs(snapshot, query, after=after, limit=limit)
        assert len(page.logs) <= limit
        pages += page.logs
        after = page.next
        if after is None:
            break
    assert tuple(pages) == whole


@pytest.fixture(scope="module")
def long_chain() -> Iterator[DatabaseSnapshot]:
    """20,000 logs of a busy contract, one of a quiet one in the middle, one rare topic on a busy log."""
    busy, quiet = ADDRESSES[0], ADDRESSES[1]
    with tempfile.TemporaryDirectory() as directory, Database.create(Path(directory) / "ledger") as database:
        for height in range(1, 201):
            batch = Batch()
            logs = [Log(busy, (TOPICS[0], TOPICS[1]), b"")] * 100
            if height == 100:
                logs = [*logs, Log(quiet, (TOPICS[0],), b"quiet"), Log(busy, (TOPICS[0], TOPICS[3]), b"rare")]
            add_logs(batch, (height, 0, 0), bytes(32), logs)
            database.write(batch, sync=False)
        with database.snapshot() as snapshot:
            yield snapshot


@pytest.mark.parametrize(
    ("query", "data"),
    [
        (LogQuery(0, 10**9, addresses=frozenset({ADDRESSES[1]})), b"quiet"),
        (LogQuery(0, 10**9, frozenset({ADDRESSES[1]}), (frozenset({TOPICS[0]}),)), b"quiet"),
        (LogQuery(0, 10**9, topics=(None, frozenset({TOPICS[3]}))), b"rare"),
        (
            LogQuery(0, 10**9, frozenset({ADDRESSES[0]}), (frozenset({TOPICS[0]}), frozenset({TOPICS[3]}))),
            b"rare",
        ),
    ],
)
def test_a_rare_match_costs_a_handful_of_rows_among_many(
    long_chain: DatabaseSnapshot, query: LogQuery, data: bytes
) -> None:
    page = query_logs(long_chain, query, max_rows=10)
    assert [log.data for log in page.logs] == [data]


def test_a_log_with_fewer_topics_than_the_query_has_places_does_not_match(
    long_chain: DatabaseSnapshot,
) -> None:
    query = LogQuery(0, 10**9, frozenset({ADDRESSES[1]}), (frozenset({TOPICS[0]}), None))
    assert query_logs(long_chain, query, max_rows=10).logs == ()


def test_blocks_without_a_match_are_not_touched(long_chain: DatabaseSnapshot) -> None:
    nothing = LogQuery(0, 10**9, addresses=frozenset({ADDRESSES[3]}))
    assert query_logs(long_chain, nothing, max_rows=0) == LogPage((), None)
    last_block = LogQuery(200, 200, addresses=frozenset({ADDRESSES[0]}))
    assert len(query_logs(long_chain, last_block, max_rows=101).logs) == 100


def test_work_is_bounded_and_the_refusal_says_how_far_it_came(long_chain: DatabaseSnapshot) -> None:
    with pytest.raises(LedgerError) as caught:
        query_logs(long_chain, LogQuery(1, 200, addresses=frozenset({ADDRESSES[0]})), max_rows=5_000)
    assert caught.value.code == "logs.range_too_large"
    assert caught.value.expected == 5_000
    assert caught.value.got == {"rows": 5_001, "height": 51}


@pytest.mark.parametrize(
    ("query", "limit"),
    [
        (LogQuery(0, 1, frozenset({b"short"})), 1),
        (LogQuery(0, 1, topics=(frozenset({bytes(31)}),)), 1),
        (LogQuery(0, 1, topics=(None,) * 5), 1),
        (LogQuery(0, 1, frozenset(n.to_bytes(20, "big") for n in range(257))), 1),
        (LogQuery(0, 1), 0),
    ],
)
def test_a_malformed_query_is_refused(long_chain: DatabaseSnapshot, query: LogQuery, limit: int) -> None:
    with pytest.raises(LedgerError, match=r"logs\.query_malformed"):
        query_logs(long_chain, query, limit=limit)


def test_a_reversed_or_negative_range_is_empty(long_chain: DatabaseSnapshot) -> None:
    assert query_logs(long_chain, LogQuery(9, 3)) == LogPage((), None)
    assert query_logs(long_chain, LogQuery(-5, -1)) == LogPage((), None)
