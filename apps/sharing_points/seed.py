"""Gives a fresh demo something to look at: points issued by two clerks, orders in every state.

Everything goes through the public API as the people themselves would do it; only the signature comes from the
`sign` callback, because in a demo a program holds the keys of invented people. Outside a demo there is no
role switch, so the first call fails.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.site.person_client import PersonClient, Sign

_HOUR_S, _DAY_S = 3_600, 86_400
_CHINA_S = 8 * _HOUR_S


class DemoPerson(PersonClient):
    """One person of the demo at the API of this process."""

    def publish(self, new: Mapping[str, Any]) -> str:
        """Publish an order; its id."""
        return str(self.do("/api/orders", new)["next"]).rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class _Scene:
    """One order: who asks, who helps, what, when it starts (days from today, hour), how far it goes."""

    asks: int
    helps: int
    kind: int
    units: int
    days: int
    hour: int
    title: str
    area: str
    until: str


_SCENES: tuple[_Scene, ...] = (
    _Scene(1, 2, 21, 4, 1, 9, "陪奶奶去社区医院量血压", "东区 3 号院附近", "rated"),
    _Scene(3, 4, 11, 6, 1, 15, "厨房水龙头漏水，请帮忙换垫圈", "西区菜市场旁", "completed"),
    _Scene(5, 6, 41, 8, 2, 14, "初二数学，周末补两个小时", "社区图书角", "finished"),
    _Scene(7, 8, 31, 4, 1, 17, "放学接孩子，托管一小时", "小学北门", "in-service"),
    _Scene(9, 10, 82, 3, 1, 10, "教老人用手机挂号", "南区活动室", "confirmed"),
    _Scene(2, 1, 22, 2, 2, 9, "代买菜，送到楼下", "东区 5 号院", "accepted"),
    _Scene(11, 12, 51, 4, 3, 19, "想学写春联，求一位书法老师", "文化站二楼", "published"),
    _Scene(12, 13, 81, 3, 2, 10, "给行动不便的父亲理发", "北区 1 号楼", "published"),
    _Scene(13, 14, 12, 4, 4, 15, "旧衣柜门合页松了", "西区 8 号院", "published"),
    _Scene(14, 15, 72, 4, 2, 20, "最近睡不好，想找人聊聊", "心理服务站", "published"),
    _Scene(15, 16, 61, 4, 1, 7, "想跟人学八段锦", "中心广场", "cancelled"),
    _Scene(16, 17, 91, 4, 2, 16, "邻里停车的事，想请人调解", "物业会议室", "disputed"),
)


def seed(url: str, sign: Sign, now: int, clerks: Sequence[str], residents: Sequence[str]) -> list[str]:
    """Make the scenes; the ids of the orders. `clerks`: two account names, `residents`: twenty; `now` in
    seconds.

    Raises SiteError when the process refuses something, `site.http` (404) outside a demo.
    """
    first, second = (DemoPerson(url, clerk, sign) for clerk in clerks[:2])
    people = {number: DemoPerson(url, name, sign) for number, name in enumerate(residents, start=1)}
    try:
        _issue(first, second, [person.id for person in people.values()])
        people[18].do("/api/bank/donate", {"amount": 8, "message": "给需要的邻居"})
        orders = [_play(scene, people, now) for scene in _SCENES]
        offer = {**_body(_SCENES[7], now), "offer": True, "title": "周末义务理发，欢迎老人"}
        return [*orders, people[19].publish(offer)]
    finally:
        for person in (first, second, *people.values()):
            person.close()


def _issue(first: DemoPerson, second: DemoPerson, residents: Sequence[str]) -> None:
    """Everybody starts with points for past volunteer work: asked by one clerk, agreed by the other."""
    first.do("/api/issue", {"residents": residents, "amount": 24, "reason": "往年志愿服务补登"})
    waiting = second.call("GET", "/api/requests?limit=100")["requests"]
    second.do("/api/requests/agree", {"actions": [one["action"] for one in waiting if one["may_agree"]]})


def _body(scene: _Scene, now: int) -> dict[str, Any]:
    return {
        "kind": scene.kind,
        "units": scene.units,
        "start_at": _midnight(now) + scene.days * _DAY_S + scene.hour * _HOUR_S,
        "title": scene.title,
        "area": scene.area,
        "place": "到了打铃",
        "details": "",
    }


def _midnight(now: int) -> int:
    """The start of today in China, in seconds."""
    return (now + _CHINA_S) // _DAY_S * _DAY_S - _CHINA_S


def _play(scene: _Scene, people: Mapping[int, DemoPerson], now: int) -> str:
    """One order as far as its scene goes."""
    asks, helps = people[scene.asks], people[scene.helps]
    order = asks.publish(_body(scene, now))
    if scene.until == "cancelled":
        asks.do(f"/api/orders/{order}/cancel")
        return order
    if scene.until == "published":
        return order
    last = "in-service" if scene.until == "disputed" else scene.until
    for state, act in _acts(order, asks, helps):
        act()
        if state == last:
            break
    if scene.until == "disputed":
        asks.do(f"/api/orders/{order}/dispute", {"reason": "说好一小时，二十分钟就走了"})
    return order


def _acts(order: str, asks: DemoPerson, helps: DemoPerson) -> list[tuple[str, Callable[[], object]]]:
    """The way of an order: the state each act leads to, and the act."""
    at = f"/api/orders/{order}"

    def meet() -> None:
        codes = {one.id: one.call("GET", f"{at}/code")["code"] for one in (asks, helps)}
        asks.do(f"{at}/check-in", {"code": codes[helps.id]})
        helps.do(f"{at}/check-in", {"code": codes[asks.id]})

    return [
        ("accepted", lambda: helps.do(f"{at}/accept")),
        ("confirmed", lambda: asks.do(f"{at}/confirm")),
        ("in-service", meet),
        ("finished", lambda: helps.do(f"{at}/finish")),
        ("completed", lambda: asks.do(f"{at}/complete")),
        ("rated", lambda: asks.do(f"{at}/rate", {"stars": 5, "comment": "很耐心，谢谢！"})),
    ]
