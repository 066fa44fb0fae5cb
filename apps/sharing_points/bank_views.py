"""What pages and programs see of the love bank: statements, the chart of a half year, acts of two persons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from apps.sharing_points.commands import REQUEST_LIFE_S
from apps.sharing_points.projection import BURNED, ESCROW, FUND, ISSUED, Line, Request, block_of
from apps.sharing_points.views import NEIGHBOUR, Readers
from apps.site.formats import CHINA
from apps.site.people import APPROVER, COMMUNITY_CLERK, Person
from apps.site.text import Language, Text
from contracts.bindings import love_bank
from contracts.vocabulary import EntryKind

_IN_COLOUR, _OUT_COLOUR = "#2f7d4f", "#d9822b"
"""As the chart's legend in points.css."""
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

ENTRY_WORDS: Mapping[EntryKind, Text] = {
    EntryKind.ISSUE: Text("发放", "issued"),
    EntryKind.BURN: Text("销毁", "burned"),
    EntryKind.HOLD: Text("下单托管", "held for an order"),
    EntryKind.PAY: Text("服务所得", "paid for help"),
    EntryKind.REFUND: Text("托管退回", "returned from escrow"),
    EntryKind.DONATION: Text("捐给社区基金", "donated to the fund"),
    EntryKind.GRANT: Text("困难帮扶", "hardship grant"),
    EntryKind.REVERSAL: Text("更正", "correction"),
}

_SYSTEM_NAMES: Mapping[str, Text] = {
    ISSUED: Text("发行", "issue"),
    BURNED: Text("销毁", "burned"),
    ESCROW: Text("托管", "escrow"),
    FUND: Text("社区基金", "community fund"),
}

REQUEST_WORDS: Mapping[str, Text] = {
    "issue": Text("发放积分", "issue points"),
    "grant": Text("困难帮扶", "hardship grant"),
    "issueToFund": Text("发放给社区基金", "issue to the fund"),
    "burnFromFund": Text("销毁基金积分", "burn points of the fund"),
    "unfreeze": Text("解除冻结", "lift a freeze"),
    "reverseEntry": Text("更正一笔账", "reverse an entry"),
}


@dataclass(frozen=True, slots=True)
class LineView:
    """A line of a statement. `note` is the order's title or the message that came with it."""

    line: Line
    word: Text
    other: Text
    note: str
    order_id: str
    block: int


@dataclass(frozen=True, slots=True)
class RequestView:
    """An act that needs two persons, as a member of staff sees it."""

    request: Request
    word: Text
    resident: Text
    amount: int
    reason: str
    asked_by: Text
    agreed_by: Text | None
    status: Text
    colour: str
    may_agree: bool
    may_withdraw: bool


def statement_views(readers: Readers, found: Sequence[Line]) -> list[LineView]:
    """Lines of one account with their words. A line's reference is an order, or the commitment to what was
    written with it."""
    store = readers.context.store
    named = store.orders({line.reference for line in found if _about_order(line)})
    commitments = {order.commitment for order in named.values()}
    texts = store.texts(commitments | {line.reference for line in found if not _about_order(line)})
    views = []
    for line in found:
        order = named.get(line.reference)
        text = texts.get(order.commitment if order is not None else line.reference)
        values = text.values if text is not None else {}
        views.append(
            LineView(
                line,
                ENTRY_WORDS[line.kind],
                _SYSTEM_NAMES.get(line.other, NEIGHBOUR),
                values.get("title") or values.get("reason") or values.get("message") or "",
                order.id if order is not None else "",
                block_of(line.position),
            )
        )
    return views


def _about_order(line: Line) -> bool:
    return line.kind in (EntryKind.HOLD, EntryKind.PAY, EntryKind.REFUND)


def flows_chart(flows: Sequence[tuple[int, int]], now: int, language: Language) -> dict[str, object]:
    """An ECharts option: points in and out of an account in each of the last six months."""
    months = _last_months(now, 6)
    received, spent = dict.fromkeys(months, 0), dict.fromkeys(months, 0)
    for time, amount in flows:
        month = _month(time)
        if month in received:
            received[month] += max(amount, 0)
            spent[month] += max(-amount, 0)
    return {
        "animation": False,
        "grid": {"left": 4, "right": 4, "top": 12, "bottom": 4, "containLabel": True},
        "xAxis": {
            "type": "category",
            "data": [_month_name(month, language) for month in months],
            "axisTick": {"show": False},
        },
        "yAxis": {"type": "value", "minInterval": 1},
        "series": [_bars(received.values(), _IN_COLOUR), _bars(spent.values(), _OUT_COLOUR)],
    }


def _bars(values: Iterable[int], colour: str) -> dict[str, object]:
    return {
        "type": "bar",
        "data": list(values),
        "itemStyle": {"color": colour, "borderRadius": [4, 4, 0, 0]},
        "barMaxWidth": 28,
    }


def _month_name(month: str, language: Language) -> str:
    number = int(month[5:])
    return f"{number}月" if language == "zh" else _MONTHS[number - 1]


def chart_since(now: int) -> int:
    """Seconds of the first moment of the first month the chart shows."""
    year, month = (int(part) for part in _last_months(now, 6)[0].split("-"))
    return int(datetime(year, month, 1, tzinfo=CHINA).timestamp())


def _month(time: int) -> str:
    return datetime.fromtimestamp(time, UTC).astimezone(CHINA).strftime("%Y-%m")


def _last_months(now: int, count: int) -> list[str]:
    at = datetime.fromtimestamp(now, UTC).astimezone(CHINA)
    last = at.year * 12 + at.month - 1
    return [f"{month // 12}-{month % 12 + 1:02d}" for month in range(last - count + 1, last + 1)]


def request_views(readers: Readers, person: Person, found: Sequence[Request]) -> list[RequestView]:
    """Acts that need two persons, with what this member of staff may do about them."""
    decoded = [love_bank.decode_call(bytes.fromhex(request.call)) for request in found]
    references = {_reference(arguments) for _, arguments in decoded}
    texts = readers.context.store.texts(references)
    views = []
    for request, (function, arguments) in zip(found, decoded, strict=True):
        identity = getattr(arguments, "identity", b"")
        text = texts.get(_reference(arguments))
        expired = readers.context.now() - request.time > REQUEST_LIFE_S
        status, colour = _request_status(request, expired)
        role = APPROVER if function == "grant" else COMMUNITY_CLERK
        waits = request.open and not expired
        own = request.by == person.identity.hex()
        views.append(
            RequestView(
                request,
                REQUEST_WORDS.get(function, Text(function, function)),
                readers.name(identity.hex()) if identity else _SYSTEM_NAMES[FUND],
                int(getattr(arguments, "amount", 0)),
                text.values.get("reason", "") if text is not None else "",
                readers.name(request.by),
                readers.name(request.countersigned_by) if request.countersigned_by else None,
                status,
                colour,
                waits and not own and person.holds(role),
                waits and own,
            )
        )
    return views


def _reference(arguments: object) -> str:
    """The commitment a call carries to why it is made; empty when it carries none."""
    reference = getattr(arguments, "ref", b"")
    return reference.hex() if isinstance(reference, bytes) else ""


def _request_status(request: Request, expired: bool) -> tuple[Text, str]:
    if request.countersigned_by:
        return Text("已办", "carried out"), "green"
    if request.withdrawn:
        return Text("已撤回", "taken back"), "secondary"
    if expired:
        return Text("已过期", "expired"), "secondary"
    return Text("等第二人", "needs a second person"), "orange"
