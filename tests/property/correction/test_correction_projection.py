"""The read model is a fold: whatever the pages, drops and crashes, the same logs give the same rows."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from eth_abi.abi import encode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from apps.community_correction import tables
from apps.community_correction.projection import lanes
from apps.community_correction.store import Store, StoreError
from apps.node_client import Log
from contracts.bindings import correction_cases as cases
from contracts.bindings import correction_documents as documents

CHAIN = 77
ONE, TWO = bytes(15) + b"\1", bytes(15) + b"\2"
ZERO16, ZERO32 = bytes(16), bytes(32)


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


class History:
    """Builds the logs of a history, two to a block."""

    def __init__(self) -> None:
        self.logs: list[Log] = []

    def add(
        self, address: bytes, topics: Sequence[bytes], types: Sequence[str], values: Sequence[object]
    ) -> None:
        place = len(self.logs)
        self.logs.append(
            Log(
                1 + place // 2,
                place % 2,
                address,
                tuple(topics),
                encode(types, values),
                word(place),
                1_000 + place,
            )
        )

    def document(
        self, topic: bytes, id: bytes, organisation: int, types: Sequence[str], values: Sequence[object]
    ) -> None:
        self.add(documents.ADDRESS, (topic, id, word(organisation)), types, values)


def life(
    history: History, id: bytes, steps: int, to: Sequence[int], copies: Sequence[int], ending: str
) -> None:
    """The first `steps` steps of a document's life."""
    packed = sum(organisation << (16 * lane) for lane, organisation in enumerate(to))
    packed |= sum(organisation << (16 * (8 + lane)) for lane, organisation in enumerate(copies))
    who = (("bytes16", "bytes16"), (ONE, ZERO16))

    def draft() -> None:
        history.add(
            documents.ADDRESS,
            (documents.DocumentDrafted.TOPIC, id, ZERO32, word(1)),
            ("uint16", "bytes32", "uint256", "bytes32", "bytes16", "bytes16"),
            (7, b"\7" * 32, packed, ZERO32, ONE, ZERO16),
        )

    def signed(topic: bytes) -> None:
        history.document(topic, id, 1, ("bytes32", *who[0]), (b"\7" * 32, *who[1]))

    def submit() -> None:
        history.document(
            documents.DocumentSubmitted.TOPIC, id, 1, ("uint48", "uint48", *who[0]), (900, 2_000, *who[1])
        )

    def deliver(organisation: int) -> None:
        history.document(
            documents.DocumentDelivered.TOPIC, id, organisation, ("uint48", "bytes16"), (5_000, TWO)
        )

    def end(organisation: int) -> None:
        if ending == "sign":
            history.document(documents.DocumentSignedFor.TOPIC, id, organisation, who[0], who[1])
        elif ending == "return":
            history.document(
                documents.DocumentReturned.TOPIC,
                id,
                organisation,
                ("bytes32", *who[0]),
                (b"\5" * 32, *who[1]),
            )
        else:
            history.document(
                documents.DeadlineBreach.TOPIC,
                id,
                organisation,
                ("uint48", "uint48", "bytes16"),
                (5_000, 60, TWO),
            )

    actions = [
        draft,
        lambda: signed(documents.DocumentApproved.TOPIC),
        lambda: signed(documents.DocumentSealed.TOPIC),
    ]
    actions += [submit, *(lambda one=one: deliver(one) for one in (*to, *copies))]  # type: ignore[misc]
    actions += [lambda one=one: end(one) for one in to]  # type: ignore[misc]
    for action in actions[:steps]:
        action()


def case_life(history: History, id: bytes, states: Sequence[int]) -> None:
    history.add(
        cases.ADDRESS,
        (cases.CaseOpened.TOPIC, id, word(1), word(4)),
        ("uint8", "uint48", "bytes32", "bytes16", "bytes16"),
        (2, 900, b"\3" * 32, ONE, ZERO16),
    )
    for previous, state in itertools.pairwise((2, *states)):
        history.add(
            cases.ADDRESS,
            (cases.CaseAdvanced.TOPIC, id, word(state), word(4)),
            ("uint8", "uint48", "bytes32", "bytes16", "bytes16"),
            (previous, 950, b"\3" * 32, ONE, ZERO16),
        )


ORGANISATIONS = st.lists(st.integers(2, 9), min_size=1, max_size=4, unique=True)


@st.composite
def histories(draw: st.DrawFn) -> list[Log]:
    history = History()
    for number in range(draw(st.integers(1, 4))):
        parties = draw(ORGANISATIONS)
        to = parties[: draw(st.integers(1, len(parties)))]
        ending = draw(st.sampled_from(("sign", "return", "breach")))
        life(history, word(100 + number), draw(st.integers(1, 12)), to, parties[len(to) :], ending)
    if draw(st.booleans()):
        case_life(history, word(9), (3, 4, 5, 6)[: draw(st.integers(0, 4))])
    return history.logs


def rows(store: Store) -> dict[str, list[tuple[object, ...]]]:
    found = {}
    with store.reading() as session:
        for table in tables.CHAIN_TABLES:
            columns = table.__table__.columns
            found[table.__tablename__] = sorted(map(tuple, session.execute(select(*columns))), key=repr)
    return found


def fold(store: Store, logs: Sequence[Log], cuts: Sequence[int]) -> None:
    """Apply in pages that end at the blocks in `cuts`, going on from the cursor as the follower does."""
    last = max((log.block for log in logs), default=0)
    for until in [*sorted(cut for cut in set(cuts) if cut < last), last]:
        cursor = store.load_cursor()
        done = cursor[1] if cursor else 0
        if until > done:
            store.apply(CHAIN, until, [log for log in logs if done < log.block <= until])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories(), st.lists(st.integers(1, 20), max_size=4), st.lists(st.integers(1, 20), max_size=4))
def test_dropping_and_folding_again_gives_the_same_rows(
    logs: list[Log], cuts: list[int], other: list[int]
) -> None:
    with TemporaryDirectory() as folder:
        store = Store.open(Path(folder) / "a.sqlite")
        fold(store, logs, cuts)
        once = rows(store)
        store.drop_projection()
        assert all(not found for found in rows(store).values())
        fold(store, logs, other)
        assert rows(store) == once
        store.close()


@settings(max_examples=25, deadline=None)
@given(histories(), st.integers(1, 20), st.data())
def test_a_crash_inside_a_page_leaves_neither_rows_nor_cursor(
    logs: list[Log], cut: int, data: st.DataObject
) -> None:
    with TemporaryDirectory() as folder:
        store = Store.open(Path(folder) / "a.sqlite")
        fold(store, [log for log in logs if log.block <= cut], [])
        before = rows(store)
        broken = Log(
            99, 0, documents.ADDRESS, (documents.DocumentApproved.TOPIC, word(5), word(1)), b"", word(1), 1
        )
        later = [log for log in logs if log.block > cut]
        place = data.draw(st.integers(0, len(later)))
        with pytest.raises(Exception, match="abi"):
            store.apply(CHAIN, 99, [*later[:place], broken, *later[place:]])
        assert rows(store) == before
        fold(store, logs, [])
        whole = rows(store)
        store.drop_projection()
        fold(store, logs, [])
        assert rows(store) == whole
        store.close()


def test_an_event_about_an_unknown_document_is_an_error_not_a_silent_gap(tmp_path: Path) -> None:
    history = History()
    history.document(
        documents.DocumentApproved.TOPIC, word(1), 1, ("bytes32", "bytes16", "bytes16"), (ZERO32, ONE, ZERO16)
    )
    store = Store.open(tmp_path / "a.sqlite")
    with pytest.raises(StoreError, match="row_missing"):
        store.apply(CHAIN, 1, history.logs)
    assert store.load_cursor() is None
    store.close()


@given(ORGANISATIONS, st.lists(st.integers(10, 0xFFFF), max_size=8, unique=True))
def test_recipients_come_out_of_their_lanes_in_order(to: list[int], copies: list[int]) -> None:
    packed = sum(one << (16 * lane) for lane, one in enumerate(to))
    packed |= sum(one << (16 * (8 + lane)) for lane, one in enumerate(copies))
    assert lanes(packed) == (tuple(to), tuple(copies))


@pytest.mark.parametrize(("ending", "state"), [("sign", 4), ("return", 3)])
def test_an_answer_makes_a_signed_document_answered_and_leaves_a_returned_one_returned(
    tmp_path: Path, ending: str, state: int
) -> None:
    history = History()
    life(history, word(1), 12, [4], [], ending)
    history.add(documents.ADDRESS, (documents.DocumentReplied.TOPIC, word(1), word(8), word(4)), (), ())
    store = Store.open(tmp_path / "a.sqlite")
    fold(store, history.logs, [])
    with store.reading() as session:
        delivery = session.get_one(tables.Delivery, (word(1).hex(), 4))
        assert (delivery.state, delivery.reply) == (state, word(8).hex())
    store.close()
