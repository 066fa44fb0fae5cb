"""What the parts of a site share: its configuration, who is signed in, and how a page is drawn."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment

from apps.site.errors import SiteError, no_credential, not_allowed, sign_in_first
from apps.site.people import ROLE_NAMES, Directory, Person
from apps.site.signing import SigningDesk, SigningRequest
from apps.site.store import SignedIn, SiteStore
from apps.site.text import LANGUAGES, Language, Text, as_language
from node.chain.transaction import Call


@dataclass(frozen=True, slots=True)
class NavigationItem:
    """An entry of the top bar: where, what it says, its icon, and how many things wait behind it (0 shows
    nothing)."""

    url: str
    text: Text
    icon: str
    count: int = 0


@dataclass(frozen=True)
class SiteConfig:
    """Of one process. `name` names the session cookie, so that several roles can be open side by side in
    one browser; `public_url` is `scheme://host[:port]`, the only origin that is answered; `signing_pages`
    maps kinds of credential (PASSKEY, SIGNER) to signing pages."""

    name: str
    title: Text
    public_url: str
    purpose: str
    data_dir: Path
    signing_pages: Mapping[str, str]
    idle_s: int = 1_800
    max_body_bytes: int = 64 * 1024 * 1024


@dataclass
class Site:
    """What an app works with. `app` is the FastAPI application to add routes to."""

    config: SiteConfig
    app: FastAPI
    store: SiteStore
    directory: Directory
    desk: SigningDesk
    environment: Environment
    navigation: Callable[[Person | None], Sequence[NavigationItem]]
    now: Callable[[], int]
    closers: list[Callable[[], None]] = field(default_factory=list)

    def person(self, request: Request) -> Person | None:
        """Who is signed in, if anybody."""
        session: SignedIn | None = request.state.signed_in
        return self.directory.person(session.person_id) if session is not None else None

    def signed_in(self, request: Request) -> Person:
        """Dependency: the person who is signed in; SiteError site.sign_in_first otherwise."""
        person = self.person(request)
        if person is None:
            raise sign_in_first()
        return person

    def begin_signing(
        self,
        request: Request,
        person: Person,
        calls: Sequence[Call],
        purpose: Text,
        next_url: str,
        *,
        gas_limit: int | None = None,
        preflight: bool = True,
    ) -> SigningRequest:
        """`SigningDesk.begin` with the credential that the request asks for, if it does: header
        `Shelian-Credential`, a kind (`passkey`, `signer`) or a 0x address. SiteError sign.no_credential if
        the person has no such credential."""
        wanted = request.headers.get("shelian-credential", "")
        chosen = None
        if wanted:
            chosen = next(
                (one for one in person.credentials if wanted in (one.kind, "0x" + one.address.hex())), None
            )
            if chosen is None:
                raise no_credential()
        return self.desk.begin(
            person, calls, purpose, next_url, credential=chosen, gas_limit=gas_limit, preflight=preflight
        )

    def language(self, request: Request) -> Language:
        return as_language(request.query_params.get("lang") or request.cookies.get("shelian_lang"))

    def page(self, request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        """Draw a template. It sees `t(zh, en)`, `language`, `person`, `csrf`, `navigation`, `site`, `now`
        and `values`."""
        language = self.language(request)
        session: SignedIn | None = getattr(request.state, "signed_in", None)
        person = self.directory.person(session.person_id) if session is not None else None

        def t(zh: str | Text, en: str | None = None) -> str:
            return (
                zh.in_language(language) if isinstance(zh, Text) else Text(zh, en or zh).in_language(language)
            )

        html = self.environment.get_template(template).render(
            t=t,
            language=language,
            other_language=next(other for other in LANGUAGES if other != language),
            person=person,
            csrf=session.csrf if session else "",
            navigation=list(self.navigation(person)),
            site=self.config,
            now=self.now(),
            request=request,
            **values,
        )
        return HTMLResponse(html, status_code=status)

    def close(self) -> None:
        """Stop what the app started and let go of the database."""
        for close in reversed(self.closers):
            close()
        self.store.close()


def site_of(request: Request) -> Site:
    """The site a request came to."""
    site: Site = request.app.state.site
    return site


def signed_in(request: Request) -> Person:
    """Dependency: the person who is signed in; SiteError site.sign_in_first otherwise."""
    return site_of(request).signed_in(request)


def holding(role: int) -> Callable[[Request], Person]:
    """Dependency: the signed-in person, who must hold one of the roles in the mask; SiteError
    site.not_allowed otherwise."""

    def dependency(request: Request) -> Person:
        person = signed_in(request)
        if not person.holds(role):
            names = [text for bit, text in ROLE_NAMES.items() if role & bit]
            raise not_allowed(Text("或".join(t.zh for t in names), " or ".join(t.en for t in names)))
        return person

    return dependency


CurrentPerson = Annotated[Person, Depends(signed_in)]
"""A handler's parameter of this type is who is signed in."""


def sign_in(site: Site, response: Response, person: Person) -> SignedIn:
    """Open a session and put its cookie on the response."""
    session = site.store.sign_in(person.id, site.now())
    response.set_cookie(
        cookie_name(site.config),
        session.token,
        httponly=True,
        samesite="lax",
        secure=site.config.public_url.startswith("https:"),
        path="/",
    )
    return session


def cookie_name(config: SiteConfig) -> str:
    return f"shelian_{config.name.replace('-', '_')}"


def check_form_token(request: Request, token: str) -> None:
    """Compare a form's hidden `csrf` field with the session's. SiteError site.form_expired."""
    session: SignedIn | None = request.state.signed_in
    if session is None or not hmac.compare_digest(token.encode(), session.csrf.encode()):
        raise SiteError(
            "site.form_expired",
            Text("页面已过期。", "This page has expired."),
            Text("请刷新页面后再提交。", "Reload the page and submit again."),
            status=403,
        )


def wants_json(request: Request) -> bool:
    """Programs get JSON: everything under /api and /agency, and whoever asks for it."""
    return (
        request.url.path.startswith(("/api/", "/agency/"))
        or request.headers.get("content-type", "").startswith("application/json")
        or request.headers.get("accept", "").startswith("application/json")
    )
