"""Ways to keep history: their text, and which heights they keep."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.chain.errors import LedgerError
from node.ledger.retention import ARCHIVE, Retention


@pytest.mark.parametrize(
    ("text", "retention"),
    [
        ("archive", ARCHIVE),
        ("recent:16", Retention(16)),
        ("recent:100000", Retention(100_000)),
        ("snapshot:1000", Retention(128, 1000, 2)),
        ("snapshot:1000:64", Retention(128, 1000, 64)),
        ("snapshot:1:1", Retention(128, 1, 1)),
    ],
)
def test_texts(text: str, retention: Retention) -> None:
    assert Retention.parse(text) == retention
    assert Retention.parse(str(retention)) == retention


@pytest.mark.parametrize(
    "text",
    [
        "", "Archive", "archive:1", "recent", "recent:", "recent:0", "recent:15", "recent:-20", "recent:016",
        "recent:20:2", "recent: 20", "recent:20\n", "recent:٣٣", "recent:1e3", "snapshot", "snapshot:0",
        "snapshot:10:0", "snapshot:10:65", "snapshot:10:2:3", "recent:" + "9" * 400,
    ],
)  # fmt: skip
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(LedgerError) as refused:
        Retention.parse(text)
    assert (refused.value.code, refused.value.got) == ("ledger.retention", text)


def test_recent_keeps_the_last_so_many_states() -> None:
    assert [height for height in range(101) if Retention(16).keeps(height, 100)] == list(range(85, 101))
    assert all(Retention(16).keeps(height, 15) for height in range(16))


def test_snapshot_keeps_the_last_multiples_beside_recent_states() -> None:
    retention = Retention(3, every=10, keep=2)
    assert [height for height in range(36) if retention.keeps(height, 35)] == [20, 30, 33, 34, 35]
    assert [height for height in range(31) if retention.keeps(height, 30)] == [20, 28, 29, 30]
    assert [height for height in range(6) if retention.keeps(height, 5)] == [0, 3, 4, 5]


retentions = st.one_of(
    st.just(ARCHIVE),
    st.builds(Retention, st.integers(1, 40)),
    st.builds(Retention, st.integers(1, 40), st.integers(1, 30), st.integers(1, 5)),
)


@given(retentions, st.integers(0, 200))
def test_what_is_kept_later_was_kept_before(retention: Retention, tip: int) -> None:
    now, then = ({h for h in range(tip + 1) if retention.keeps(h, at)} for at in (tip, tip + 1))
    assert then <= now
    assert tip in now
    assert retention.oldest(tip) <= retention.oldest(tip + 1)


@given(retentions, st.integers(0, 200), st.integers(0, 220), st.integers(0, 220))
def test_the_snapshots_of_a_range_are_the_single_ones(
    retention: Retention, tip: int, low: int, high: int
) -> None:
    single = {h for h in range(tip + 1) if retention.snapshots(h, h + 1, tip)}
    assert retention.snapshots(low, high, tip) == tuple(h for h in sorted(single) if low <= h < high)
