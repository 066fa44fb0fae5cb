"""A resident's need is served and points move through escrow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from apps.site.person_client import PersonClient
from cli.demo_signer import DemoSigner
from cli.demonstration.run import Done, Run, StepFailed
from cli.system import url_of

PART: Final = "积分 points"
UNITS: Final = 4
"""An hour, in quarters."""
_KIND: Final = 22
"""陪伴探访 / 代购助餐: any kind of the taxonomy would do."""
_HOUR_S: Final = 3_600


@dataclass(frozen=True, slots=True)
class Served:
    """What the verification needs: the order's id, its price, and the steps' transactions in order."""

    order: str
    amount: int
    transactions: tuple[str, ...]


def serve_order(run: Run, port_base: int, signer: DemoSigner, now: float) -> Served:
    """Publish, accept, confirm, both check in, finish, complete, rate. Raises StepFailed."""
    url = url_of("points", port_base)
    asks, helps, stranger = (PersonClient(url, f"resident-{n:02d}", signer.sign) for n in (19, 20, 18))
    try:
        return _serve(run, asks, helps, stranger, now)
    finally:
        for person in (asks, helps, stranger):
            person.close()


def _serve(run: Run, asks: PersonClient, helps: PersonClient, stranger: PersonClient, now: float) -> Served:
    before = {person.id: _balance(person) for person in (asks, helps)}
    kind = next(one for one in asks.call("GET", "/api/kinds") if one["weight"])
    request = asks.call(
        "POST",
        "/api/orders",
        {
            "kind": kind["kind"],
            "units": UNITS,
            "start_at": int(now) + _HOUR_S,
            "title": "示范：请人帮忙一小时",
            "area": "示范社区",
            "place": "示范社区 1 号楼",
        },
    )
    steps = [run.step(PART, "发布需求 publish", asks.name, lambda: asks.finish(request))]
    order = str(asks.call("GET", "/api/orders/mine?limit=1")["orders"][0]["id"])
    at = f"/api/orders/{order}"
    amount = int(asks.call("GET", at)["amount"])
    run.refused(
        PART,
        "接自己的单 accept one's own",
        asks.name,
        "points.step_not_now",
        lambda: asks.call("POST", f"{at}/accept"),
    )
    steps.append(_act(run, helps, "接单 accept", f"{at}/accept"))
    run.refused(
        PART,
        "旁人确认 a stranger confirms",
        stranger.name,
        "points.not_your_order",
        lambda: stranger.call("POST", f"{at}/confirm"),
    )
    steps.append(_act(run, asks, "确认，积分进托管 confirm, escrow", f"{at}/confirm"))
    _expect("托管 escrow", _balance(asks), before[asks.id] - amount)
    for person, other in ((asks, helps), (helps, asks)):
        code = other.call("GET", f"{at}/code")["code"]
        steps.append(
            run.step(
                PART,
                "签到 check in",
                person.name,
                lambda person=person, code=code: person.do(f"{at}/check-in", {"code": code}),  # type: ignore[misc]
            )
        )
    steps.append(_act(run, helps, "服务完毕 finish", f"{at}/finish"))
    steps.append(_act(run, asks, "确认完成，转分 complete", f"{at}/complete"))
    _expect("付出 paid", _balance(asks), before[asks.id] - amount)
    _expect("所得 earned", _balance(helps), before[helps.id] + amount)
    steps.append(
        run.step(PART, "评价 rate", asks.name, lambda: asks.do(f"{at}/rate", {"stars": 5, "comment": "谢谢"}))
    )
    totals = asks.call("GET", "/api/totals")
    _expect("守恒 conservation", totals["issued"] - totals["burned"], totals["held"])
    return Served(order, amount, tuple(step.transaction for step in steps))


def _act(run: Run, person: PersonClient, what: str, path: str) -> Done:
    return run.step(PART, what, person.name, lambda: person.do(path))


def _balance(person: PersonClient) -> int:
    return int(person.call("GET", "/api/bank")["balance"])


def _expect(what: str, got: int, expected: int) -> None:
    if got != expected:
        raise StepFailed("demo.step_failed", f"{PART}: {what}", got, expected)
