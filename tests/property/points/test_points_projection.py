"""Random histories of orders and points: the read model follows, conserves, and refolds to the same rows."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine

from apps.node_client import Log
from apps.sharing_points.projection import ESCROW, FUND, Book, fold, placed, position_of, totals
from apps.sharing_points.store import PointsStore
from tests.helpers import points_model
from tests.helpers.points_model import PointsModel, account

CHAIN = 77
RESIDENTS = [bytes([number]) * 16 for number in range(1, 6)]
CLERKS = [b"\xc1" * 16, b"\xc2" * 16]

steps = st.lists(st.tuples(st.integers(0, 13), st.integers(0, 2**16), st.integers(1, 60)), max_size=60)


def play(choices: Sequence[tuple[int, int, int]]) -> PointsModel:
    """A history the contracts could have: every choice does what is legal or nothing."""
    model = PointsModel()
    for choice, pick, amount in choices:
        model.next_block()
        one = RESIDENTS[pick % len(RESIDENTS)]
        ref = model.block.to_bytes(32, "big")
        alive = sorted(model.orders)
        order = alive[pick % len(alive)] if alive else b""
        found = model.orders.get(order)
        holding = model.balances.get(account(one), 0)
        if choice == 0:
            model.move(1, points_model.ZERO, account(one), amount, ref)
        elif choice == 1:
            model.publish(ref, one, 1 + pick % 18, amount, offer=bool(pick & 1))
        elif choice == 2 and holding >= amount:
            model.move(6, account(one), points_model.FUND, amount, ref)
        elif choice == 3 and model.balances.get(points_model.FUND, 0) >= amount:
            model.move(7, points_model.FUND, account(one), amount, ref)
        elif choice == 4 and holding >= amount:
            model.move(2, account(one), points_model.ZERO, amount, ref)
        elif choice == 5:
            model.countersign(ref, CLERKS[0], b"call", second=False)
            if pick & 1:
                model.countersign(ref, CLERKS[1], b"call", second=True)
        elif found is None:
            continue
        elif found.state == 1 and found.publisher != one:
            model.accept(order, one)
        elif found.state == 2 and model.balances.get(account(found.requester), 0) >= found.amount:
            model.confirm(order)
        elif found.state == 3:
            absent = [one for one in (found.requester, found.provider) if one not in found.here]
            if choice == 6:
                model.cancel(order, found.requester, found.amount // 5)
            elif choice == 7 and len(absent) == 1:
                model.no_show(order, next(iter(found.here)), absent[0], found.amount // 2)
            elif choice == 8:
                model.dispute(order, found.provider)
            else:
                model.check_in(order, absent[0])
        elif found.state == 4:
            model.finish(order) if choice != 8 else model.dispute(order, found.requester)
        elif found.state == 5:
            model.complete(order, automatic=choice == 9)
        elif found.state in (6, 7):
            left = [one for one in (found.requester, found.provider) if one not in found.rated]
            if left:
                model.rate(order, left[0], 1 + amount % 5)
        elif found.state == 10:
            model.arbitrate(order, CLERKS[0], pick % 101)
    return model


def new_store() -> PointsStore:
    return PointsStore(create_engine("sqlite://"))


def feed(store: PointsStore, logs: Sequence[Log], last: int, page: int) -> None:
    for first in range(0, last + 1, page):
        until = min(first + page - 1, last)
        store.apply(CHAIN, until, [log for log in logs if first <= log.block <= until])


@settings(max_examples=60, deadline=None)
@given(steps)
def test_points_are_conserved_after_every_event(choices: Sequence[tuple[int, int, int]]) -> None:
    events = placed(play(choices).logs)
    book = Book()
    for event in events:
        book = fold(book, [event])
        issued, burned, held = totals(book.balances)
        assert issued - burned == held
        assert sum(book.balances.values()) == 0
        assert sum(line.amount for line in book.lines) == 0


@settings(max_examples=60, deadline=None)
@given(steps)
def test_the_read_model_agrees_with_the_naive_model(choices: Sequence[tuple[int, int, int]]) -> None:
    model = play(choices)
    store = new_store()
    feed(store, model.logs, model.block, page=1000)
    figures = store.totals()
    assert (figures.issued, figures.burned) == (model.issued, model.burned)
    assert figures.held == model.issued - model.burned
    assert figures.escrow == model.balances.get(points_model.ESCROW, 0)
    assert figures.escrow == sum(
        order.amount for order in model.orders.values() if order.state in (3, 4, 5, 10)
    )
    for one in RESIDENTS:
        assert store.balance(one.hex()) == model.balances.get(account(one), 0)
    for order_id, expected in model.orders.items():
        order = store.order(order_id.hex())
        assert order is not None
        assert (order.state, order.requester, order.provider) == (
            expected.state,
            expected.requester.hex(),
            expected.provider.hex(),
        )
    store.close()


@settings(max_examples=40, deadline=None)
@given(steps, st.integers(1, 7))
def test_any_paging_and_any_repetition_gives_the_same_rows(
    choices: Sequence[tuple[int, int, int]], page: int
) -> None:
    model = play(choices)
    whole, paged = new_store(), new_store()
    feed(whole, model.logs, model.block, page=1000)
    feed(paged, model.logs, model.block, page=page)
    feed(paged, model.logs, model.block, page=page)  # what a crash between commit and answer leads to
    assert paged.dump() == whole.dump()
    paged.drop_projection()
    assert paged.load_cursor() is None
    feed(paged, model.logs, model.block, page=page)
    assert paged.dump() == whole.dump()
    whole.close()
    paged.close()


@settings(max_examples=40, deadline=None)
@given(steps)
def test_a_statement_read_page_by_page_runs_from_zero_to_the_balance(
    choices: Sequence[tuple[int, int, int]],
) -> None:
    model = play(choices)
    store = new_store()
    feed(store, model.logs, model.block, page=10)
    for name in (*(one.hex() for one in RESIDENTS), ESCROW, FUND):
        lines, before = [], None
        while True:
            page = store.statement(name, before=before, limit=3)
            lines += page.rows
            before = page.before
            if before is None:
                break
        assert [line.position for line in lines] == sorted((line.position for line in lines), reverse=True)
        running = 0
        for line in reversed(lines):
            running += line.amount
            assert line.balance == running >= 0
        assert running == store.balance(name)
    store.close()


@given(st.integers(0, 2**40), st.integers(0, 2**20 - 1), st.integers(0, 2**40), st.integers(0, 2**20 - 1))
def test_positions_order_events_as_block_and_index_do(a: int, i: int, b: int, j: int) -> None:
    assert (position_of(a, i) < position_of(b, j)) == ((a, i) < (b, j))
