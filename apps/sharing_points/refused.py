"""What a person is told when the sharing community cannot do what they asked, before anything is signed."""

from __future__ import annotations

from apps.site.errors import SiteError
from apps.site.text import Text

_REFRESH = Text("请回到订单页，看现在的情况。", "Go back to the order and see where it stands now.")


def order_unknown() -> SiteError:
    return SiteError(
        "points.order_not_found",
        Text("找不到这张单。", "This order was not found."),
        Text("刚发布的单要等一两秒才出现；请刷新再看。", "A new order takes a second or two; reload."),
        status=404,
    )


def not_now(reason: Text) -> SiteError:
    """A step that this person cannot take in the order's present state: also a double click or an old tab."""
    return SiteError("points.step_not_now", reason, _REFRESH, status=409)


def not_your_order() -> SiteError:
    return SiteError(
        "points.not_your_order",
        Text("这不是您的单，不能办理。", "This is not your order."),
        Text("请打开“我的订单”。", "Open “My orders”."),
        status=403,
    )


def filled_in_wrongly(text: Text) -> SiteError:
    return SiteError(
        "points.form_invalid",
        text,
        Text("请返回，改好后再提交。", "Go back, correct it and submit again."),
        status=422,
    )


def no_such_resident() -> SiteError:
    return filled_in_wrongly(Text("请选择一位居民。", "Choose a resident."))


def too_few_points(balance: int, needed: int) -> SiteError:
    return SiteError(
        "points.too_few",
        Text(
            f"积分不够：需要 {needed} 分，您有 {balance} 分。",
            f"Not enough points: {needed} are needed, you have {balance}.",
        ),
        Text(
            "可以先接几张单赚积分，或发布时间短一些的需求。",
            "Help someone to earn points, or ask for less time.",
        ),
        status=409,
        got=balance,
        expected=needed,
    )


def wrong_code() -> SiteError:
    return SiteError(
        "points.code_wrong",
        Text("签到码不对。", "The check-in code is not right."),
        Text(
            "请看对方手机上这张单的六位数字，再输一次。",
            "Look at the six digits of this order on the other side's phone and enter them again.",
        ),
        status=422,
    )


def too_many_codes() -> SiteError:
    return SiteError(
        "points.code_too_often",
        Text("签到码输错次数太多。", "Too many wrong check-in codes."),
        Text("请十分钟后再试，或请社区帮忙。", "Try again in ten minutes, or ask the community."),
        status=429,
    )


def request_gone() -> SiteError:
    return SiteError(
        "points.request_not_open",
        Text("这件事已经办完、撤回或者过期了。", "This has been carried out, taken back, or has expired."),
        Text("请回到工作台刷新。", "Go back to the desk and reload."),
        status=409,
    )


def second_person() -> SiteError:
    return SiteError(
        "points.second_person_required",
        Text("这件事是您提出的，要由另一位同事同意。", "You asked for this; a colleague has to agree."),
        Text("请另一位同事登录后办理。", "Ask a colleague to sign in and do it."),
        status=403,
    )
