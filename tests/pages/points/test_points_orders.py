"""Orders and points over the API, on a real chain: what people do, what is refused, what adds up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine

from apps.follow import Follower
from apps.node_client import NodeClient
from apps.sharing_points.auto_complete import AutoComplete
from apps.sharing_points.seed import DemoPerson
from apps.sharing_points.store import PointsStore
from apps.site.errors import SiteError
from contracts.bindings import love_bank, sharing_orders
from tests.helpers.points_system import PointsSystem
from tests.pages.points.conftest import CLERKS, Seeded

pytestmark = pytest.mark.slow

NEED = {"kind": 21, "units": 4, "title": "陪老人散步", "area": "东区", "place": "3 栋 201"}
POINTS = 5
"""A quarter of an hour of company weighs 1.2: an hour is 4.8, rounded half up."""


@pytest.fixture(scope="module", autouse=True)
def plenty(seeded: Seeded) -> None:
    """Enough points for every order of this module."""
    first, second = (seeded.system.person(clerk) for clerk in CLERKS)
    residents = ["resident-18", "resident-20"]
    first.do("/api/issue", {"residents": residents, "amount": 100, "reason": "测试"})
    waiting = second.call("GET", "/api/requests")["requests"]
    second.do("/api/requests/agree", {"actions": [one["action"] for one in waiting if one["may_agree"]]})
    first.close()
    second.close()


@pytest.fixture
def asks(system: PointsSystem) -> Iterator[DemoPerson]:
    person = system.person("resident-18")
    yield person
    person.close()


@pytest.fixture
def helps(system: PointsSystem) -> Iterator[DemoPerson]:
    person = system.person("resident-20")
    yield person
    person.close()


def publish(system: PointsSystem, asks: DemoPerson, in_s: int = 3_600) -> str:
    return asks.publish({**NEED, "start_at": system.clock.now() + in_s})


def confirmed(system: PointsSystem, asks: DemoPerson, helps: DemoPerson, in_s: int = 3_600) -> str:
    order = publish(system, asks, in_s)
    helps.do(f"/api/orders/{order}/accept")
    asks.do(f"/api/orders/{order}/confirm")
    return order


def check_in(one: DemoPerson, other: DemoPerson, order: str) -> None:
    code = other.call("GET", f"/api/orders/{order}/code")["code"]
    one.do(f"/api/orders/{order}/check-in", {"code": code})


def finished(system: PointsSystem, asks: DemoPerson, helps: DemoPerson) -> str:
    order = confirmed(system, asks, helps)
    check_in(asks, helps, order)
    check_in(helps, asks, order)
    helps.do(f"/api/orders/{order}/finish")
    return order


def balance(person: DemoPerson) -> int:
    return int(person.call("GET", "/api/bank")["balance"])


def state(person: DemoPerson, order: str) -> str:
    return str(person.call("GET", f"/api/orders/{order}")["state"])


def refusal(person: DemoPerson, path: str, body: dict[str, object] | None = None) -> SiteError:
    with pytest.raises(SiteError) as caught:
        person.do(path, body)
    assert caught.value.text.zh
    return caught.value


def assert_the_books_balance(system: PointsSystem, person: DemoPerson) -> None:
    """The public figures balance and are those of the contract."""
    totals = person.call("GET", "/api/totals")
    assert totals["issued"] - totals["burned"] == totals["held"]
    client = NodeClient(system.node_url)
    assert love_bank.decode_issued(client.call(love_bank.issued())) == totals["issued"]
    assert love_bank.decode_total_supply(client.call(love_bank.total_supply())) == totals["held"]
    for name, address in (("escrow", sharing_orders.ADDRESS), ("fund", love_bank.ADDRESS)):
        held = love_bank.decode_balance_of(client.call(love_bank.balance_of(address)))
        assert held == totals[name]
    client.close()


def test_an_order_is_served_and_points_move_through_escrow(
    system: PointsSystem, asks: DemoPerson, helps: DemoPerson
) -> None:
    before = balance(asks), balance(helps)
    escrow = asks.call("GET", "/api/totals")["escrow"]
    order = publish(system, asks)
    assert balance(asks) == before[0]
    helps.do(f"/api/orders/{order}/accept")
    asks.do(f"/api/orders/{order}/confirm")
    assert balance(asks) == before[0] - POINTS
    assert asks.call("GET", "/api/totals")["escrow"] == escrow + POINTS
    check_in(asks, helps, order)
    assert state(asks, order) == "confirmed"
    check_in(helps, asks, order)
    assert state(asks, order) == "in_service"
    helps.do(f"/api/orders/{order}/finish")
    asks.do(f"/api/orders/{order}/complete")
    assert (balance(asks), balance(helps)) == (before[0] - POINTS, before[1] + POINTS)
    assert asks.call("GET", "/api/totals")["escrow"] == escrow
    asks.do(f"/api/orders/{order}/rate", {"stars": 5, "comment": "谢谢"})
    helps.do(f"/api/orders/{order}/rate", {"stars": 4})
    assert state(asks, order) == "rated"
    line = helps.call("GET", "/api/bank/statement?limit=1")["lines"][0]
    assert (line["entry"], line["amount"], line["balance"]) == ("pay", POINTS, balance(helps))
    assert_the_books_balance(system, asks)


def test_another_resident_can_neither_act_on_an_order_nor_see_inside_it(
    system: PointsSystem, asks: DemoPerson, helps: DemoPerson
) -> None:
    order = confirmed(system, asks, helps)
    stranger = system.person("resident-19")
    for step in ("confirm", "finish", "complete", "poke", "no-show", "cancel"):
        assert refusal(stranger, f"/api/orders/{order}/{step}").code == "points.not_your_order"
    assert refusal(stranger, f"/api/orders/{order}/dispute", {"reason": "?"}).code == "points.not_your_order"
    assert refusal(stranger, f"/api/orders/{order}/rate", {"stars": 1}).code == "points.not_your_order"
    assert refusal(stranger, f"/api/orders/{order}/check-in", {"code": "0"}).code == "points.not_your_order"
    for path in (f"/api/orders/{order}", f"/api/orders/{order}/code"):
        with pytest.raises(SiteError) as caught:
            stranger.call("GET", path)
        assert (caught.value.code, caught.value.status) == ("points.not_your_order", 403)
    stranger.close()
    asks.do(f"/api/orders/{order}/cancel")


def test_the_exact_place_and_names_are_for_the_two_sides_only(
    system: PointsSystem, asks: DemoPerson, helps: DemoPerson
) -> None:
    order = publish(system, asks)
    seen = helps.call("GET", f"/api/orders/{order}")
    assert (seen["title"], seen["area"], seen["place"]) == (NEED["title"], NEED["area"], "")
    helps.do(f"/api/orders/{order}/accept")
    assert helps.call("GET", f"/api/orders/{order}")["place"] == NEED["place"]
    asks.do(f"/api/orders/{order}/cancel")


def test_a_double_click_is_refused_in_words_and_changes_nothing(
    system: PointsSystem, asks: DemoPerson, helps: DemoPerson
) -> None:
    order = confirmed(system, asks, helps)
    held = balance(asks)
    again = refusal(asks, f"/api/orders/{order}/confirm")
    assert again.code == "points.step_not_now"
    assert "已确认" in again.text.zh
    assert balance(asks) == held
    asks.do(f"/api/orders/{order}/cancel")


def test_of_two_tabs_that_ask_for_the_same_signature_only_one_takes_effect(
    system: PointsSystem, asks: DemoPerson, helps: DemoPerson
) -> None:
    order = publish(system, asks)
    helps.do(f"/api/orders/{order}/accept")
    tabs = [asks.call("POST", f"/api/orders/{order}/confirm", {}) for _ in range(2)]
    before = balance(asks)
    first, second = ({"state": tab["state"], "raw": system.sign(asks.id, tab)} for tab in tabs)
    asks.call("POST", "/api/sign/finish", first)
    with pytest.raises(SiteError) as caught:
        asks.call("POST", "/api/sign/finish", second)
    assert caught.value.status == 409
    assert balance(asks) == before - POINTS
    repeated = asks.call("POST", "/api/sign/finish", first)
    assert repeated["next"] == f"/orders/{order}"
    assert balance(asks) == before - POINTS
    asks.do(f"/api/orders/{order}/cancel")


def test_two_neighbours_take_the_same_order_and_the_later_one_is_told(
    system: PointsSystem, asks: DemoPerson, helps: DemoPerson
) -> None:
    order = publish(system, asks)
    rival = system.person("resident-19")
    late = rival.call("POST", f"/api/orders/{order}/accept", {})
    helps.do(f"/api/orders/{order}/accept")
    with pytest.raises(SiteError) as caught:
        rival.call("POST", "/api/sign/finish", {"state": late["state"], "raw": system.sign(rival.id, late)})
    assert caught.value.code == "contract.OrderState"
    assert "刚刚变了" in caught.value.text.zh
    assert refusal(rival, f"/api/orders/{order}/accept").code == "points.step_not_now"
    rival.close()
    asks.do(f"/api/orders/{order}/cancel")


def test_cancelling_at_the_door_pays_the_helper_a_share_and_before_that_costs_nothing(
    system: PointsSystem, asks: DemoPerson, helps: DemoPerson
) -> None:
    before = balance(asks), balance(helps)
    asks.do(f"/api/orders/{confirmed(system, asks, helps)}/cancel")
    assert (balance(asks), balance(helps)) == before
    order = confirmed(system, asks, helps)
    check_in(helps, asks, order)
    asks.do(f"/api/orders/{order}/cancel")
    share = POINTS * 20 // 100
    assert (balance(asks), balance(helps)) == (before[0] - share, before[1] + share)
    assert_the_books_balance(system, asks)


def test_a_no_show_needs_a_check_in_and_half_an_hour_of_waiting(
    system: PointsSystem, asks: DemoPerson, helps: DemoPerson
) -> None:
    before = balance(asks), balance(helps)
    order = confirmed(system, asks, helps, in_s=60)
    assert refusal(helps, f"/api/orders/{order}/no-show").code == "points.step_not_now"
    check_in(helps, asks, order)
    assert "时间" in refusal(helps, f"/api/orders/{order}/no-show").text.zh
    system.advance(1_900)
    asks, helps = system.person(asks.id), system.person(helps.id)
    helps.do(f"/api/orders/{order}/no-show")
    assert state(asks, order) == "no_show"
    share = POINTS * 50 // 100
    assert (balance(asks), balance(helps)) == (before[0] - share, before[1] + share)


def test_a_dispute_is_decided_by_a_clerk_and_split_as_decided(
    system: PointsSystem, asks: DemoPerson, helps: DemoPerson
) -> None:
    before = balance(asks), balance(helps)
    order = finished(system, asks, helps)
    asks.do(f"/api/orders/{order}/dispute", {"reason": "没有做完"})
    assert refusal(asks, f"/api/orders/{order}/complete").code == "points.step_not_now"
    clerk = system.person("community-clerk-1")
    assert clerk.call("GET", f"/api/orders/{order}")["place"] == NEED["place"]
    decision = {"percent": 60, "reason": "做了一大半"}
    assert refusal(asks, f"/api/orders/{order}/arbitrate", decision).code == "site.not_allowed"
    clerk.do(f"/api/orders/{order}/arbitrate", decision)
    clerk.close()
    paid = POINTS * 60 // 100
    assert (balance(asks), balance(helps)) == (before[0] - paid, before[1] + paid)
    assert_the_books_balance(system, asks)


def test_an_order_nobody_answered_completes_after_three_days_by_the_service(
    system: PointsSystem, asks: DemoPerson, helps: DemoPerson
) -> None:
    before = balance(helps)
    order = finished(system, asks, helps)
    assert refusal(helps, f"/api/orders/{order}/poke").code == "points.step_not_now"
    completer: AutoComplete = system.app.state.auto_complete
    completer.run_once()
    assert state(asks, order) == "finished"
    system.advance(72 * 3_600 + 60)
    assert completer.run_once() >= 1
    client = NodeClient(system.node_url)
    assert system.app.state.follower.wait_for(client.block_number())
    client.close()
    helps = system.person(helps.id)
    assert state(helps, order) == "completed"
    assert balance(helps) == before + POINTS
    assert_the_books_balance(system, helps)


def test_points_are_issued_by_two_clerks_and_granted_by_two_approvers(system: PointsSystem) -> None:
    first, second = system.person("community-clerk-1"), system.person("community-clerk-2")
    resident = system.person("resident-10")
    before = balance(resident)
    first.do("/api/issue", {"residents": ["resident-10", "resident-11"], "amount": 7, "reason": "敬老活动"})
    assert balance(resident) == before
    waiting = second.call("GET", "/api/requests")["requests"]
    actions = [one["action"] for one in waiting if one["may_agree"]]
    assert len(actions) == 2
    own = refusal(first, "/api/requests/agree", {"actions": actions})
    assert own.code == "points.second_person_required"
    second.do("/api/requests/agree", {"actions": actions})
    assert balance(resident) == before + 7
    gone = refusal(second, "/api/requests/agree", {"actions": actions})
    assert gone.code == "points.request_not_open"

    resident.do("/api/bank/donate", {"amount": 3, "message": "一点心意"})
    approvers = [system.person(f"community-approver-{number}") for number in (1, 2)]
    approvers[0].do("/api/grant", {"resident": "resident-10", "amount": 2, "reason": "生病住院"})
    action = approvers[1].call("GET", "/api/requests")["requests"][0]["action"]
    assert refusal(second, "/api/requests/agree", {"actions": [action]}).code == "site.not_allowed"
    approvers[1].do("/api/requests/agree", {"actions": [action]})
    assert balance(resident) == before + 7 - 3 + 2

    first.do("/api/issue", {"residents": ["resident-10"], "amount": 9, "reason": "弄错了"})
    action = first.call("GET", "/api/requests")["requests"][0]["action"]
    first.do(f"/api/requests/{action}/withdraw")
    assert refusal(second, "/api/requests/agree", {"actions": [action]}).code == "points.request_not_open"
    assert_the_books_balance(system, resident)


def test_the_read_model_folded_again_from_the_chain_is_the_same_row_for_row(system: PointsSystem) -> None:
    client = NodeClient(system.node_url)
    running: PointsStore = system.app.state.points.context.store
    again = PointsStore(create_engine("sqlite://"))
    follower = Follower(
        client,
        addresses=[sharing_orders.ADDRESS, love_bank.ADDRESS],
        load_cursor=again.load_cursor,
        apply=again.apply,
        page_blocks=7,
    )
    assert system.app.state.follower.wait_for(follower.catch_up())
    before, after = running.dump(), again.dump()
    del before["cursor"], after["cursor"]
    assert after == before
    assert before["line"]
    again.close()
    client.close()


def test_nothing_people_wrote_and_no_name_is_on_the_chain(system: PointsSystem) -> None:
    client = NodeClient(system.node_url)
    blocks = [
        client.request("eth_getBlockByNumber", hex(number), True)
        for number in range(1, client.block_number() + 1)
    ]
    client.close()
    on_chain = bytes.fromhex(
        "".join(
            call["data"][2:]
            for block in blocks
            for transaction in block["transactions"]
            for call in transaction.get("imi", {}).get("calls", [])
        )
    )
    assert on_chain
    for person in system.config.directory.people():
        assert person.name.encode() not in on_chain
    for words in ("陪老人散步", "东区", "3 栋 201", "没有做完", "敬老活动", "一点心意", "谢谢"):
        assert words.encode() not in on_chain
