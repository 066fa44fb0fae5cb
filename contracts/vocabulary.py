"""Names of the numbers in the contracts: enums for programs, Chinese and English labels for people.

The numbers are the contracts' own (src/access/Constants.sol and the interfaces); a test holds both together.
"""

# ruff: noqa: E501  (tables: one row a line)

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final

from node.chain.errors import ShelianError


class Role(IntFlag):
    """Roles of an identity, a bit mask of 32 bits."""

    HANDLER = 1
    APPROVER = 2
    SEALER = 4
    SUPERVISOR = 8
    GRID_WORKER = 16
    AUDITOR = 32
    OPERATOR = 64
    COMMUNITY_CLERK = 128
    REGISTRAR = 256
    SERVICE = 512
    RESIDENT = 1024


class Domain(IntEnum):
    """An identity lives in one of these, for ever."""

    STAFF = 1
    SHARING = 2
    SERVICE = 3


class OrganisationKind(IntEnum):
    """Kinds 1 to 7 are members of the network, 8 to 15 parties outside it."""

    POLICE = 1
    PROCURATORATE = 2
    COURT = 3
    JUSTICE = 4
    COMMUNITY = 5
    AUDITOR = 6
    DATA_BUREAU = 7
    PRISON = 8
    CITY_JUSTICE = 9
    INTERMEDIATE_COURT = 10
    EXIT_ENTRY = 11
    SUBJECT = 12
    JUDICIAL_OFFICE = 13
    OTHER_JUSTICE = 14
    RESETTLEMENT = 15


class Topic(IntEnum):
    """What a vote is about; decided by the function it calls."""

    MEMBERSHIP = 1
    VALIDATORS = 2
    RULES = 3
    RELYING_PARTIES = 4
    DEPLOYERS = 5
    CORRECTION_RULES = 6
    POINTS = 7


class CaseState(IntEnum):
    ASSESSMENT = 1
    DECIDED = 2
    NOTIFIED = 3
    RECEIVED = 4
    DECLARED = 5
    SERVING = 6
    EXPIRING = 7
    RELEASED = 8
    TERMINATED = 9
    MOVED = 10


class DocumentState(IntEnum):
    DRAFTED = 1
    APPROVED = 2
    SEALED = 3
    SUBMITTED = 4
    SUPERSEDED = 5


class DeliveryState(IntEnum):
    """A submitted document at one recipient."""

    WAITING = 0
    DELIVERED = 1
    SIGNED_FOR = 2
    RETURNED = 3
    REPLIED = 4


class Step(IntEnum):
    """Steps that can be late."""

    SUBMIT = 1
    DELIVER = 2
    SIGN_FOR = 3
    REPLY = 4


class LimitUnit(IntEnum):
    NONE = 0
    HOUR = 1
    DAY = 2
    WORKDAY = 3
    MONTH = 4


class StartEvent(IntEnum):
    """The declared legal date a limit runs from."""

    NONE = 0
    EFFECT = 1
    RECEIPT = 2
    EXPIRY = 3


class LimitFlag(IntFlag):
    ROLLS = 1
    BACKWARDS = 2


class OrderState(IntEnum):
    PUBLISHED = 1
    ACCEPTED = 2
    CONFIRMED = 3
    IN_SERVICE = 4
    FINISHED = 5
    COMPLETED = 6
    RATED = 7
    CANCELLED = 8
    NO_SHOW = 9
    DISPUTED = 10
    ARBITRATED = 11


class EntryKind(IntEnum):
    ISSUE = 1
    BURN = 2
    HOLD = 3
    PAY = 4
    REFUND = 5
    DONATION = 6
    GRANT = 7
    REVERSAL = 8


class AnchorKind(IntEnum):
    ACCESS_LOG = 1
    LOCATION_FIXES = 2
    BULK_EVIDENCE = 3
    ERASURE = 4


@dataclass(frozen=True, slots=True)
class Label:
    """A word people see, Chinese first."""

    zh: str
    en: str


ROLES: Final = {
    Role.HANDLER: Label("承办人", "handler"),
    Role.APPROVER: Label("审批人", "approver"),
    Role.SEALER: Label("用印人", "sealer"),
    Role.SUPERVISOR: Label("法律监督", "legal supervisor"),
    Role.GRID_WORKER: Label("司法网格员", "grid worker"),
    Role.AUDITOR: Label("审计", "auditor"),
    Role.OPERATOR: Label("运维", "operator"),
    Role.COMMUNITY_CLERK: Label("社区管理员", "community clerk"),
    Role.REGISTRAR: Label("登记员", "registrar"),
    Role.SERVICE: Label("系统服务", "service"),
    Role.RESIDENT: Label("居民", "resident"),
}

DOMAINS: Final = {
    Domain.STAFF: Label("工作人员", "staff"),
    Domain.SHARING: Label("共享社区", "sharing community"),
    Domain.SERVICE: Label("系统服务", "services"),
}

ORGANISATION_KINDS: Final = {
    OrganisationKind.POLICE: Label("公安机关", "police"),
    OrganisationKind.PROCURATORATE: Label("人民检察院", "procuratorate"),
    OrganisationKind.COURT: Label("人民法院", "court"),
    OrganisationKind.JUSTICE: Label("司法局（社区矫正机构）", "justice bureau"),
    OrganisationKind.COMMUNITY: Label("社区", "community"),
    OrganisationKind.AUDITOR: Label("审计", "auditor"),
    OrganisationKind.DATA_BUREAU: Label("数统局", "data bureau"),
    OrganisationKind.PRISON: Label("监狱/看守所", "prison or detention house"),
    OrganisationKind.CITY_JUSTICE: Label("市社区矫正机构", "city correction agency"),
    OrganisationKind.INTERMEDIATE_COURT: Label("中级人民法院", "intermediate court"),
    OrganisationKind.EXIT_ENTRY: Label("公安出入境管理", "exit-entry administration"),
    OrganisationKind.SUBJECT: Label("社区矫正对象", "person under correction"),
    OrganisationKind.JUDICIAL_OFFICE: Label("司法所", "judicial office"),
    OrganisationKind.OTHER_JUSTICE: Label("外地社区矫正机构", "correction agency elsewhere"),
    OrganisationKind.RESETTLEMENT: Label("安置帮教机构", "resettlement office"),
}

TOPICS: Final = {
    Topic.MEMBERSHIP: Label("成员", "membership"),
    Topic.VALIDATORS: Label("共识节点", "validators"),
    Topic.RULES: Label("链规则", "ledger rules"),
    Topic.RELYING_PARTIES: Label("签名来源", "signing origins"),
    Topic.DEPLOYERS: Label("合约部署者", "deployers"),
    Topic.CORRECTION_RULES: Label("矫正文书规则", "correction rules"),
    Topic.POINTS: Label("积分参数", "points"),
}

CASE_STATES: Final = {
    CaseState.ASSESSMENT: Label("调查评估", "assessment"),
    CaseState.DECIDED: Label("已决定", "decided"),
    CaseState.NOTIFIED: Label("已通知/待报到", "notified, report awaited"),
    CaseState.RECEIVED: Label("已接收", "received"),
    CaseState.DECLARED: Label("已宣告", "declared"),
    CaseState.SERVING: Label("在矫", "under correction"),
    CaseState.EXPIRING: Label("期满待解除", "expired, release awaited"),
    CaseState.RELEASED: Label("解除", "released"),
    CaseState.TERMINATED: Label("终止", "terminated"),
    CaseState.MOVED: Label("迁出", "moved away"),
}

DOCUMENT_STATES: Final = {
    DocumentState.DRAFTED: Label("已起草", "drafted"),
    DocumentState.APPROVED: Label("已审批", "approved"),
    DocumentState.SEALED: Label("已用印", "sealed"),
    DocumentState.SUBMITTED: Label("已发送", "submitted"),
    DocumentState.SUPERSEDED: Label("已被替代", "superseded"),
}

DELIVERY_STATES: Final = {
    DeliveryState.WAITING: Label("待送达", "waiting"),
    DeliveryState.DELIVERED: Label("已送达", "delivered"),
    DeliveryState.SIGNED_FOR: Label("已签收", "signed for"),
    DeliveryState.RETURNED: Label("退回补正", "returned for correction"),
    DeliveryState.REPLIED: Label("已回执", "replied"),
}

STEPS: Final = {
    Step.SUBMIT: Label("发送", "submit"),
    Step.DELIVER: Label("送达", "deliver"),
    Step.SIGN_FOR: Label("签收", "sign for"),
    Step.REPLY: Label("回执", "reply"),
}

LIMIT_UNITS: Final = {
    LimitUnit.NONE: Label("无期限", "no limit"),
    LimitUnit.HOUR: Label("小时", "hours"),
    LimitUnit.DAY: Label("日", "days"),
    LimitUnit.WORKDAY: Label("个工作日", "workdays"),
    LimitUnit.MONTH: Label("个月", "months"),
}

START_EVENTS: Final = {
    StartEvent.NONE: Label("无", "none"),
    StartEvent.EFFECT: Label("生效", "taking effect"),
    StartEvent.RECEIPT: Label("收到", "receipt"),
    StartEvent.EXPIRY: Label("届满", "expiry"),
}

ORDER_STATES: Final = {
    OrderState.PUBLISHED: Label("已发布", "published"),
    OrderState.ACCEPTED: Label("已接单", "accepted"),
    OrderState.CONFIRMED: Label("已确认（积分托管）", "confirmed, points in escrow"),
    OrderState.IN_SERVICE: Label("服务中", "in service"),
    OrderState.FINISHED: Label("待确认", "finished, answer awaited"),
    OrderState.COMPLETED: Label("已完成", "completed"),
    OrderState.RATED: Label("已评价", "rated"),
    OrderState.CANCELLED: Label("已取消", "cancelled"),
    OrderState.NO_SHOW: Label("爽约", "no-show"),
    OrderState.DISPUTED: Label("争议中", "disputed"),
    OrderState.ARBITRATED: Label("已仲裁", "arbitrated"),
}

ENTRY_KINDS: Final = {
    EntryKind.ISSUE: Label("发行", "issue"),
    EntryKind.BURN: Label("销毁", "burn"),
    EntryKind.HOLD: Label("托管", "held in escrow"),
    EntryKind.PAY: Label("付出积分", "payment"),
    EntryKind.REFUND: Label("退回", "refund"),
    EntryKind.DONATION: Label("捐赠", "donation"),
    EntryKind.GRANT: Label("困难帮扶", "grant"),
    EntryKind.REVERSAL: Label("冲正", "reversal"),
}

ANCHOR_KINDS: Final = {
    AnchorKind.ACCESS_LOG: Label("访问日志", "access log"),
    AnchorKind.LOCATION_FIXES: Label("定位点", "location fixes"),
    AnchorKind.BULK_EVIDENCE: Label("批量证据", "bulk evidence"),
    AnchorKind.ERASURE: Label("销毁声明", "erasure attestations"),
}


@dataclass(frozen=True, slots=True)
class OrderKind:
    """A kind of service (two digits: category, number) or of item (101 on); `weight` in hundredths of a point a unit."""

    number: int
    label: Label
    category: Label
    weight: int


def _order_kinds() -> dict[int, OrderKind]:
    services = (
        ("家政维修", "home repairs", ("水电维修", "plumbing and electricity", 130), ("家电家具维修", "appliances and furniture", 130)),
        ("助老关爱", "care for the old", ("陪伴探访", "company and visits", 120), ("代购助餐", "shopping and meals", 120)),
        ("儿童助托", "child care", ("课后托管接送", "after-school care", 120), ("临时看护", "short-time care", 120)),
        ("教育辅导", "tutoring", ("学业辅导", "school subjects", 120), ("语言阅读", "languages and reading", 110)),
        ("文化艺术", "culture and arts", ("书画手工", "painting and crafts", 100), ("音乐舞蹈粤剧", "music, dance, opera", 100)),
        ("体育健身", "sports", ("太极瑜伽", "tai chi and yoga", 100), ("球类跑步", "ball games and running", 100)),
        ("健康服务", "health", ("义诊保健", "volunteer clinics", 150), ("心理疏导", "counselling", 150)),
        ("便民生活", "daily life", ("理发缝补", "haircuts and mending", 110), ("数码助学", "digital help", 110)),
        ("公益治理", "public good", ("法律调解", "legal mediation", 150), ("环保巡逻活动", "patrols and clean-ups", 100)),
    )  # fmt: skip
    items = (
        ("图书", "books", 100), ("玩具", "toys", 100), ("文具纸张", "stationery", 100), ("衣物", "clothes", 100),
        ("厨电", "kitchen appliances", 300), ("工具", "tools", 200), ("母婴", "baby things", 200), ("运动", "sports gear", 200),
    )  # fmt: skip
    kinds: dict[int, OrderKind] = {}
    for row, (zh, en, *pair) in enumerate(services, 1):
        for column, (kind_zh, kind_en, weight) in enumerate(pair, 1):
            number = row * 10 + column
            kinds[number] = OrderKind(number, Label(kind_zh, kind_en), Label(zh, en), weight)
    for number, (zh, en, weight) in enumerate(items, 101):
        kinds[number] = OrderKind(number, Label(zh, en), Label("物品共享", "items to lend"), weight)
    return kinds


ORDER_KINDS: Final = _order_kinds()
"""9 categories of 2 kinds of service, 8 kinds of items. Weights are the genesis default; votes change them."""

OUTSIDE: Final = 0xFF00
MAXIMUM_ADDRESSEES: Final = 8


class AddresseeError(ShelianError):
    """More recipients or copies than a document has room for, or a number out of range."""


def outside_party(kind: OrganisationKind) -> int:
    """The recipient number that names a party of this kind outside the network."""
    return OUTSIDE | kind


def is_outside(recipient: int) -> bool:
    return recipient >= OUTSIDE


def pack_recipients(to: Sequence[int], copies: Sequence[int] = ()) -> int:
    """The word of DocumentDrafted: 16 lanes of 16 bits, recipients in lanes 0-7, copies in lanes 8-15."""
    word = 0
    for group, start in ((to, 0), (copies, MAXIMUM_ADDRESSEES)):
        if len(group) > MAXIMUM_ADDRESSEES:
            raise AddresseeError(
                "document.too_many_addressees", "too many addressees", len(group), MAXIMUM_ADDRESSEES
            )
        for lane, party in enumerate(group, start):
            if not 0 < party < 1 << 16:
                raise AddresseeError("document.addressee", "not the number of an addressee", party)
            word |= party << 16 * lane
    return word


def unpack_recipients(word: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Recipients and copies of a packed word, in their order."""
    lanes = [word >> 16 * lane & 0xFFFF for lane in range(2 * MAXIMUM_ADDRESSEES)]
    to, copies = lanes[:MAXIMUM_ADDRESSEES], lanes[MAXIMUM_ADDRESSEES:]
    return tuple(party for party in to if party), tuple(party for party in copies if party)
