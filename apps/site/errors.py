"""What goes wrong on a page, said with what to do next.

A `SiteError` is a `ShelianError` with an HTTP status, a sentence for the person in both languages, and the
next step. Refusals of the node and reverts of contracts become the same shape (`refusals.py`), so a page
has one way of showing trouble.
"""

from __future__ import annotations

from apps.site.text import Text
from node.chain.errors import ShelianError


class SiteError(ShelianError):
    """Shown to a person. `text` says what happened, `next_step` what to do now; `status` is the HTTP
    status."""

    def __init__(
        self,
        code: str,
        text: Text,
        next_step: Text,
        *,
        status: int = 400,
        got: object = None,
        expected: object = None,
    ) -> None:
        super().__init__(code, text.en, got, expected)
        self.text = text
        self.next_step = next_step
        self.status = status

    def as_dict(self) -> dict[str, object]:
        return {**super().as_dict(), "text": self.text._asdict(), "next_step": self.next_step._asdict()}


def sign_in_first() -> SiteError:
    return SiteError(
        "site.sign_in_first",
        Text("请先登录。", "Please sign in first."),
        Text("回到登录页，选择身份后重新打开此页。", "Go to the sign-in page, then open this page again."),
        status=401,
    )


def not_allowed(needed: Text) -> SiteError:
    return SiteError(
        "site.not_allowed",
        Text(
            f"您的岗位不能办理这一步，需要：{needed.zh}。",
            f"Your role does not allow this step; it needs: {needed.en}.",
        ),
        Text("请由有此权限的同事办理，或切换身份。", "Ask a colleague who holds the role, or switch person."),
        status=403,
    )


def not_found(what: Text) -> SiteError:
    return SiteError(
        "site.not_found",
        Text(f"找不到{what.zh}。", f"{what.en} not found."),
        Text(
            "请检查编号；刚提交的事项可能要等一两秒才出现。",
            "Check the number; what was just submitted may take a second or two to appear.",
        ),
        status=404,
    )


def no_credential() -> SiteError:
    return SiteError(
        "sign.no_credential",
        Text("您还没有可用的签名凭证。", "You have no credential to sign with yet."),
        Text("请到身份服务登记通行密钥或签名器。", "Enrol a passkey or a signer at the identity service."),
        status=403,
    )
