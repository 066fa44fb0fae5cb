"""A person at their own device: a browser with an authenticator, doing what a person does on the pages."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, Locator, Page, expect

from cli.system import AGENCIES
from tests.e2e.running_system import RunningSystem
from tests.helpers.navigation import go_to

PATIENCE_MS = 20_000
expect.set_options(timeout=PATIENCE_MS)
_HEIGHT = {1280: 900, 390: 844}


class Visitor:
    """One of the demo's people, with a browser context and an authenticator of their own.

    `problems` collects scripts that failed and what the content security policy stopped.
    """

    def __init__(self, browser: Browser, system: RunningSystem, person: str, width: int) -> None:
        known = system.person(person)
        self.system, self.id = system, person
        self.name: str = known["name"]
        self.group: str = known["organisation_name"] if _is_staff(person) else "居民"
        self.app = system.url(person.split("-")[0] if person.split("-")[0] in AGENCIES else "points")
        self.problems: list[str] = []
        self._context = browser.new_context(
            locale="zh-CN",
            viewport={"width": width, "height": _HEIGHT[width]},
            has_touch=width < 600,
            timezone_id="Asia/Shanghai",
        )
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on(
            "console",
            lambda message: (
                self.problems.append(message.text) if "Content Security Policy" in message.text else None
            ),
        )
        self._devtools = self._context.new_cdp_session(self.page)
        self._devtools.send("WebAuthn.enable")
        self._authenticator = self._devtools.send(
            "WebAuthn.addVirtualAuthenticator",
            {
                "options": {
                    "protocol": "ctap2",
                    "transport": "internal",
                    "hasResidentKey": True,
                    "hasUserVerification": True,
                    "isUserVerified": True,
                    "automaticPresenceSimulation": True,
                }
            },
        )["authenticatorId"]

    def close(self) -> None:
        self._context.close()

    def verifies_the_user(self, verified: bool) -> None:
        """Whether the device recognises the finger on it from now on."""
        self._devtools.send(
            "WebAuthn.setUserVerified",
            {"authenticatorId": self._authenticator, "isUserVerified": verified},
        )

    def enrol_passkey(self) -> None:
        """From the portal to the signing page's demo enrolment, and make a passkey of this device.

        A person has one device, however many tests they appear in: the second time it is only unpacked.
        """
        kept = self.system.passkeys.get(self.id)
        if kept is not None:
            self._devtools.send(
                "WebAuthn.addCredential", {"authenticatorId": self._authenticator, "credential": kept}
            )
            return
        self._enrol()
        held = self._devtools.send("WebAuthn.getCredentials", {"authenticatorId": self._authenticator})
        self.system.passkeys[self.id] = held["credentials"][0]

    def _enrol(self) -> None:
        page = self.page
        page.goto(self.system.url("portal"))
        page.get_by_role("listitem").filter(has_text="签名页").get_by_role("link", name="打开").click()
        page.get_by_text(self.group, exact=True).click()
        page.get_by_role("listitem").filter(has_text=self.name).get_by_role("button", name="登记").click()
        expect(page.get_by_role("heading", name="登记通行密钥")).to_be_visible()
        expect(page.locator("#main")).to_contain_text(self.name)
        page.get_by_role("button", name="登记通行密钥").click()
        expect(page.get_by_role("heading", name="登记完成")).to_be_visible()

    def come_in(self) -> None:
        """From the portal by the role switch: the link of this person, then the one focused button."""
        page = self.page
        page.goto(self.system.url("portal"))
        link = page.get_by_role("link", name=self.name)
        if not link.is_visible():
            page.get_by_text("其余").click()
        link.click()
        button = page.get_by_role("button", name=self.name)
        expect(button).to_be_focused()
        button.press("Enter")
        page.wait_for_url(lambda url: "/login" not in url)

    def go(self, path: str) -> None:
        go_to(self.page, self.app + path)

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name).click()

    def sees(self, *texts: str) -> None:
        for text in texts:
            expect(self.page.locator("main")).to_contain_text(text)

    def reads_what_is_signed(self, *texts: str) -> None:
        """The signing page names the person and says in Chinese what is signed."""
        expect(self.page.get_by_role("heading", name="签名确认")).to_be_visible()
        for text in (self.name, *texts):
            expect(self.page.locator("#main")).to_contain_text(text)

    def signs(self, *texts: str) -> None:
        """Read, press once, and be back in the app."""
        self.reads_what_is_signed(*texts)
        self.press("确认签名")
        self.page.wait_for_url(re.compile(re.escape(self.app) + r"/(?!sign/)"))

    def tabs_to(self, target: Locator) -> None:
        """Only the Tab key. What has the focus must show it."""
        for _ in range(120):
            if target.evaluate("element => element === document.activeElement"):
                outline = target.evaluate("element => getComputedStyle(element).outlineStyle")
                shadow = target.evaluate("element => getComputedStyle(element).boxShadow")
                assert outline != "none" or shadow != "none", "the focus cannot be seen"
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"Tab does not reach {target}")


def _is_staff(person: str) -> bool:
    return not person.startswith("resident-")
