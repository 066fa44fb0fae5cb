"""The routes every site has: signing in (by role switch in a demo), language, and the signing round trip."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Form, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, Field

from apps.site.context import CurrentPerson, Site, check_form_token, cookie_name, sign_in, wants_json
from apps.site.errors import not_found
from apps.site.people import Person
from apps.site.text import Text, as_language


class DemoLogin(BaseModel):
    person: str = Field(max_length=64)


class SignFinish(BaseModel):
    state: str = Field(max_length=64)
    raw: str = Field(max_length=300_000)


def add_site_routes(site: Site) -> None:
    app = site.app

    @app.get("/healthz", include_in_schema=False)
    def health() -> dict[str, str]:
        return {"process": site.config.name, "status": "ok"}

    @app.get("/login", response_class=HTMLResponse, include_in_schema=False)
    def login_page(request: Request, person: Annotated[str, Query(max_length=64)] = "") -> Response:
        # A link may name somebody: that one comes first, ready to be chosen with one press.
        people = sorted(site.directory.people(), key=lambda one: one.id != person)
        named = people[0].id if people and people[0].id == person else None
        return site.page(request, "site/login.html", people=people, named=named)

    @app.post("/logout", include_in_schema=False)
    def logout(request: Request, csrf: Annotated[str, Form()]) -> Response:
        check_form_token(request, csrf)
        site.store.sign_out(request.state.signed_in.token)
        response = RedirectResponse("/login", status_code=303)
        response.delete_cookie(cookie_name(site.config))
        return response

    @app.get("/language/{language}", include_in_schema=False)
    def switch_language(language: str, request: Request) -> Response:
        back = request.headers.get("referer", "")
        target = (
            back.removeprefix(site.config.public_url)
            if back.startswith(site.config.public_url + "/")
            else "/"
        )
        response = RedirectResponse(target, status_code=303)
        response.set_cookie("shelian_lang", as_language(language), max_age=31_536_000, samesite="lax")
        return response

    @app.get("/api/me", tags=["session"])
    def me(person: CurrentPerson) -> dict[str, Any]:
        """Who is signed in."""
        return _person_document(person)

    if site.config.purpose == "demo":
        _add_demo_login(site)

    @app.get("/sign/return", response_class=HTMLResponse, include_in_schema=False)
    def sign_return(request: Request) -> Response:
        """Where the signing page comes back to; what it brings is in the URL's fragment, read by a script
        of this page."""
        return site.page(request, "site/sign_return.html")

    def finish(request: Request, body: SignFinish, person: CurrentPerson) -> JSONResponse:
        """Submit what the signing page returned, and wait until it is in a block."""
        outcome = site.desk.finish(person, body.state, body.raw)
        return JSONResponse(
            {"transaction": outcome.transaction, "block": outcome.block, "next": outcome.next_url}
        )

    app.post("/sign/finish", include_in_schema=False)(finish)
    app.post("/api/sign/finish", tags=["signing"])(finish)


def _add_demo_login(site: Site) -> None:
    app = site.app

    @app.get("/api/people", tags=["session"])
    def people() -> list[dict[str, Any]]:
        """Who can be switched to. Only in a demo, where everybody is invented."""
        return [_person_document(person) for person in site.directory.people()]

    @app.post("/demo/login", tags=["session"])
    async def demo_login(request: Request) -> Response:
        """Become a person of the demo: JSON `{"person": id}` or a form. Exists only where genesis says
        purpose demo."""
        if wants_json(request):
            name = DemoLogin.model_validate(await request.json()).person
        else:
            name = str((await request.form()).get("person", ""))[:64]
        person = site.directory.person(name)
        if person is None:
            raise not_found(Text("此人", "This person"))
        response: Response = (
            JSONResponse(_person_document(person))
            if wants_json(request)
            else RedirectResponse("/", status_code=303)
        )
        sign_in(site, response, person)
        return response


def _person_document(person: Person) -> dict[str, Any]:
    return {
        "id": person.id,
        "name": person.name,
        "organisation": person.organisation,
        "roles": person.roles,
        "role_names": person.role_text._asdict(),
        "credentials": [
            {"scheme": credential.scheme, "address": "0x" + credential.address.hex()}
            for credential in person.credentials
        ],
    }
