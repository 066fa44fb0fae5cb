"""Early checks of the write path, without a chain: what is refused before anybody is asked to sign."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import create_engine

from apps.sharing_points import commands
from apps.sharing_points.check_in_codes import CheckInCodes, load_secret
from apps.sharing_points.commands import NewOrder, PointsContext
from apps.sharing_points.private_text import PrivateText, write
from apps.sharing_points.rules import Step, Tariff
from apps.sharing_points.store import TRIES, TRY_WINDOW_S, PointsStore
from apps.site.errors import SiteError
from apps.site.people import APPROVER, COMMUNITY_CLERK, RESIDENT, Person
from contracts.bindings import sharing_orders
from contracts.bindings.sharing_orders import PublishArgs
from tests.helpers import points_model
from tests.helpers.points_model import PointsModel, account

NOW = 1_800_000_000
TARIFF = Tariff({21: 120, 22: 0}, 72 * 3_600, 1_800, 40, 20, 50, 1_000, 500)
ASKS = Person("asks", "求助", 7, "", b"\xa1" * 16, RESIDENT, ())
HELPS = Person("helps", "帮忙", 7, "", b"\xb2" * 16, RESIDENT, ())
STRANGER = Person("stranger", "旁人", 7, "", b"\xc3" * 16, RESIDENT, ())
CLERK = Person("clerk", "管理员", 5, "", b"\xd4" * 16, COMMUNITY_CLERK, ())
FUND_APPROVER = Person("approver", "审批人", 5, "", b"\xe5" * 16, APPROVER, ())
NEEDED = NewOrder(False, 21, 4, NOW + 3_600, "陪伴", "东区", "3 栋", "")
ORDER = b"\x0f" * 32


class World:
    """A read model fed by the naive model of the contracts."""

    def __init__(self) -> None:
        self.model = PointsModel()
        self.store = PointsStore(create_engine("sqlite://"))
        self.clock = NOW
        self.context = PointsContext(self.store, lambda: TARIFF, CheckInCodes(b"s" * 32), lambda: self.clock)
        self.model.move(1, points_model.ZERO, account(ASKS.identity), 30, bytes(32))
        self.sync()

    def sync(self) -> None:
        self.store.apply(
            1, self.model.block, [log for log in self.model.logs if log.block == self.model.block]
        )
        self.model.next_block()

    def confirmed(self) -> None:
        self.model.publish(ORDER, ASKS.identity, 21, 5, offer=False)
        self.model.accept(ORDER, HELPS.identity)
        self.model.confirm(ORDER)
        self.sync()


@pytest.fixture
def world() -> World:
    return World()


def refused(code: str) -> pytest.RaisesExc[SiteError]:
    return pytest.RaisesExc(SiteError, check=lambda error: error.code == code and bool(error.text.zh))


@pytest.mark.parametrize(
    "change",
    [
        {"kind": 99},
        {"kind": 22},  # closed by vote: weight 0
        {"units": 0},
        {"units": 33},
        {"start_at": NOW},
        {"start_at": NOW + 91 * 86_400},
        {"title": "  "},
        {"title": "字" * 41},
        {"area": ""},
        {"details": "字" * 501},
        {"units": 32, "kind": 21, "offer": True, "title": "", "area": ""},
    ],
)
def test_a_form_filled_in_wrongly_is_refused_in_words(world: World, change: dict[str, object]) -> None:
    fields = {name: getattr(NEEDED, name) for name in NewOrder.__slots__} | change
    with refused("points.form_invalid"):
        commands.publish(world.context, ASKS, NewOrder(**fields))  # type: ignore[arg-type]


def test_what_is_published_on_the_chain_is_numbers_and_a_commitment_that_opens_to_the_text(
    world: World,
) -> None:
    asked = commands.publish(world.context, ASKS, NEEDED)
    function, arguments = sharing_orders.decode_call(asked.calls[0].data)
    assert (function, type(arguments)) == ("publish", PublishArgs)
    assert isinstance(arguments, PublishArgs)
    kept = world.store.texts([arguments.commitment.hex()])[arguments.commitment.hex()]
    assert kept.values["title"] == "陪伴"
    assert kept.commitment == arguments.commitment
    assert PrivateText(kept.reference, kept.author, kept.document, bytes(32)).commitment != kept.commitment
    for text in ("陪伴", "东区", "3 栋"):
        assert text.encode() not in asked.calls[0].data


def test_the_same_words_never_give_the_same_commitment() -> None:
    assert write("", "", {"a": "b"}).commitment != write("", "", {"a": "b"}).commitment


def test_asking_for_more_than_one_has_is_refused_with_both_numbers(world: World) -> None:
    with pytest.raises(SiteError) as caught:
        commands.publish(world.context, HELPS, NEEDED)
    assert (caught.value.code, caught.value.got, caught.value.expected) == ("points.too_few", 0, 5)


def test_a_stranger_is_told_the_order_is_not_theirs(world: World) -> None:
    world.confirmed()
    for step in (Step.CONFIRM, Step.FINISH, Step.COMPLETE, Step.CANCEL, Step.NO_SHOW, Step.POKE):
        with refused("points.not_your_order"):
            commands.take_step(world.context, STRANGER, ORDER.hex(), step)
    with refused("points.step_not_now"):  # taken a moment ago
        commands.take_step(world.context, STRANGER, ORDER.hex(), Step.ACCEPT)
    with refused("points.not_your_order"):
        commands.dispute(world.context, STRANGER, ORDER.hex(), "为什么")
    with refused("points.order_not_found"):
        commands.take_step(world.context, STRANGER, "00" * 32, Step.ACCEPT)


def test_a_double_click_is_told_that_the_step_is_done(world: World) -> None:
    world.confirmed()
    with refused("points.step_not_now"):
        commands.take_step(world.context, ASKS, ORDER.hex(), Step.CONFIRM)


def test_check_in_needs_the_code_of_the_other_side_and_guessing_is_stopped(world: World) -> None:
    world.confirmed()
    codes = world.context.codes
    mine, theirs = (codes.code(ORDER.hex(), one.identity.hex()) for one in (ASKS, HELPS))
    assert mine != theirs
    assert commands.check_in(world.context, ASKS, ORDER.hex(), f"{theirs[:3]} {theirs[3:]}").calls
    for _ in range(TRIES):
        with refused("points.code_wrong"):
            commands.check_in(world.context, ASKS, ORDER.hex(), mine)
    with refused("points.code_too_often"):
        commands.check_in(world.context, ASKS, ORDER.hex(), theirs)
    assert commands.check_in(world.context, HELPS, ORDER.hex(), mine).calls
    world.clock += TRY_WINDOW_S + 1
    assert commands.check_in(world.context, ASKS, ORDER.hex(), theirs).calls


def test_the_secret_of_the_codes_is_made_once_and_readable_by_this_user_only(tmp_path: Path) -> None:
    path = tmp_path / "check_in.secret"
    secret = load_secret(path)
    assert load_secret(path) == secret
    assert len(secret) == 32
    assert path.stat().st_mode & 0o777 == 0o600


def test_each_command_asks_for_its_role(world: World) -> None:
    context = world.context
    world.confirmed()
    with refused("site.not_allowed"):
        commands.publish(context, CLERK, NEEDED)
    with refused("site.not_allowed"):
        commands.take_step(context, CLERK, ORDER.hex(), Step.CANCEL)
    with refused("site.not_allowed"):
        commands.donate(context, CLERK, 1, "")
    for person in (ASKS, FUND_APPROVER):
        with refused("site.not_allowed"):
            commands.issue(context, person, [HELPS], 1, "理由")
        with refused("site.not_allowed"):
            commands.arbitrate(context, person, ORDER.hex(), 50, "理由")
    for person in (ASKS, CLERK):
        with refused("site.not_allowed"):
            commands.grant(context, person, HELPS, 1, "理由")


def test_points_go_to_residents_only_and_within_the_limits(world: World) -> None:
    context = world.context
    for amount in (0, -1, 1_001):
        with refused("points.form_invalid"):
            commands.issue(context, CLERK, [HELPS], amount, "理由")
    with refused("points.form_invalid"):
        commands.issue(context, CLERK, [CLERK], 1, "理由")
    with refused("points.form_invalid"):
        commands.issue(context, CLERK, [HELPS], 1, " ")
    with refused("points.form_invalid"):  # the fund is empty
        commands.grant(context, FUND_APPROVER, HELPS, 1, "理由")
    with refused("points.too_few"):
        commands.donate(context, ASKS, 31, "")


def test_the_second_person_is_another_person_in_time_with_the_right_role(world: World) -> None:
    call = commands.issue(world.context, CLERK, [HELPS], 7, "理由").calls[0]
    action = b"\x0a" * 32
    world.model.countersign(action, CLERK.identity, call.data, second=False)
    world.sync()
    second = Person("clerk-2", "管理员乙", 5, "", b"\xd5" * 16, COMMUNITY_CLERK, ())
    with refused("points.second_person_required"):
        commands.countersign(world.context, CLERK, [action.hex()])
    with refused("site.not_allowed"):
        commands.countersign(world.context, FUND_APPROVER, [action.hex()])
    with refused("points.request_not_open"):
        commands.withdraw(world.context, second, action.hex())
    assert commands.countersign(world.context, second, [action.hex(), action.hex()]).calls == (call,)
    world.clock = world.model.now + commands.REQUEST_LIFE_S + 1
    with refused("points.request_not_open"):
        commands.countersign(world.context, second, [action.hex()])


def test_only_a_dispute_can_be_decided_and_only_in_percent(world: World) -> None:
    world.confirmed()
    with refused("points.step_not_now"):
        commands.arbitrate(world.context, CLERK, ORDER.hex(), 50, "理由")
    world.model.dispute(ORDER, ASKS.identity)
    world.sync()
    with refused("points.form_invalid"):
        commands.arbitrate(world.context, CLERK, ORDER.hex(), 101, "理由")
    assert commands.arbitrate(world.context, CLERK, ORDER.hex(), 100, "理由").calls
