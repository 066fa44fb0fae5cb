"""Every route of the points process has a rule, and whoever does not fulfil it is refused."""

from __future__ import annotations

import re

import httpx
import pytest
from fastapi.routing import APIRoute

from apps.sharing_points import api, desk, pages
from tests.helpers.points_system import PointsSystem

pytestmark = pytest.mark.slow

RESIDENT, CLERK, APPROVER, OPERATOR = (
    "resident-20",
    "community-clerk-1",
    "community-approver-1",
    "community-operator",
)
PUBLIC = {"GET /totals", "GET /api/totals", "GET /large-type/{choice}"}
ANY_SIGNED_IN = {"GET /"}

RESIDENTS_ONLY = {
    "GET /hall",
    "GET /publish",
    "POST /publish",
    "GET /orders",
    "POST /orders/{order_id}/check-in",
    "POST /orders/{order_id}/rate",
    "POST /orders/{order_id}/dispute",
    "POST /orders/{order_id}/{step}",
    "GET /bank",
    "POST /bank/donate",
    "GET /api/orders",
    "GET /api/orders/mine",
    "POST /api/orders",
    "GET /api/orders/{order_id}/code",
    "POST /api/orders/{order_id}/check-in",
    "POST /api/orders/{order_id}/rate",
    "POST /api/orders/{order_id}/dispute",
    "POST /api/orders/{order_id}/{step}",
    "GET /api/bank",
    "GET /api/bank/statement",
    "POST /api/bank/donate",
}
RESIDENTS_OR_CLERKS = {
    "GET /orders/{order_id}",
    "GET /orders/{order_id}/changed",
    "GET /orders/{order_id}/proof",
    "GET /api/orders/{order_id}",
    "GET /api/kinds",
}
CLERKS_ONLY = {
    "POST /desk/issue",
    "POST /desk/orders/{order_id}/arbitrate",
    "POST /api/issue",
    "POST /api/orders/{order_id}/arbitrate",
}
APPROVERS_ONLY = {"POST /desk/grant", "POST /api/grant"}
STAFF_ONLY = {
    "GET /desk",
    "POST /desk/agree",
    "POST /desk/requests/{action}/withdraw",
    "GET /api/requests",
    "POST /api/requests/agree",
    "POST /api/requests/{action}/withdraw",
    "GET /api/residents",
}

REFUSED: dict[str, tuple[str, ...]] = (
    dict.fromkeys(RESIDENTS_ONLY, (CLERK, APPROVER, OPERATOR))
    | dict.fromkeys(RESIDENTS_OR_CLERKS, (APPROVER, OPERATOR))
    | dict.fromkeys(CLERKS_ONLY, (RESIDENT, APPROVER, OPERATOR))
    | dict.fromkeys(APPROVERS_ONLY, (RESIDENT, CLERK, OPERATOR))
    | dict.fromkeys(STAFF_ONLY, (RESIDENT, OPERATOR))
)
FORM = {
    "csrf": "x", "kind": "21", "units": "4", "start": "2030-01-01T09:00", "title": "t", "area": "a",
    "amount": "1", "code": "000000", "stars": "5", "percent": "50", "reason": "r", "resident": "resident-01",
}  # fmt: skip
JSON = {
    "kind": 21, "units": 4, "start_at": 1, "title": "t", "area": "a", "amount": 1, "code": "000000",
    "stars": 5, "percent": 50, "reason": "r", "resident": "resident-01", "residents": ["resident-01"],
    "actions": ["00" * 32],
}  # fmt: skip


def all_routes() -> set[str]:
    return {
        f"{method} {route.path}"
        for router in (pages.router, desk.router, api.router)
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods
    }


def test_every_route_has_a_rule_here() -> None:
    assert all_routes() == set(REFUSED) | PUBLIC | ANY_SIGNED_IN


def call(http: httpx.Client, route: str) -> httpx.Response:
    method, path = route.split()
    path = path.replace("{step}", "accept")
    path = re.sub(r"{\w+}", "00" * 32, path)
    headers = {"Accept": "application/json"}
    if method == "GET":
        return http.get(path, headers=headers)
    if path.startswith("/api/"):
        return http.post(path, json=JSON, headers=headers)
    return http.post(path, data=FORM, headers=headers)


def test_nobody_gets_anything_but_the_public_figures_without_signing_in(system: PointsSystem) -> None:
    with httpx.Client(base_url=system.url, trust_env=False) as http:
        for route in sorted(set(REFUSED) | ANY_SIGNED_IN):
            response = call(http, route)
            assert (route, response.status_code) == (route, 401)
            assert response.json()["code"] == "site.sign_in_first"
        assert http.get("/totals").status_code == 200
        assert set(http.get("/api/totals").json()) == {
            "issued", "burned", "held", "residents", "escrow", "fund", "accounts",
        }  # fmt: skip


@pytest.mark.parametrize("person", [RESIDENT, CLERK, APPROVER, OPERATOR])
def test_the_wrong_role_is_refused_on_every_route(system: PointsSystem, person: str) -> None:
    with httpx.Client(base_url=system.url, trust_env=False) as http:
        assert http.post("/demo/login", json={"person": person}).status_code == 200
        for route in sorted(route for route, persons in REFUSED.items() if person in persons):
            response = call(http, route)
            assert (route, response.status_code) == (route, 403)
            assert response.json()["code"] == "site.not_allowed"


def test_a_form_without_this_session_s_token_is_refused(system: PointsSystem) -> None:
    for person, routes in ((RESIDENT, RESIDENTS_ONLY), (CLERK, CLERKS_ONLY), (APPROVER, APPROVERS_ONLY)):
        with httpx.Client(base_url=system.url, trust_env=False) as http:
            http.post("/demo/login", json={"person": person})
            for route in sorted(
                route for route in routes if route.startswith("POST /") and "/api/" not in route
            ):
                response = call(http, route)
                assert (route, response.json()["code"]) == (route, "site.form_expired")


def test_the_api_describes_itself_and_every_write_is_in_the_description(system: PointsSystem) -> None:
    described = httpx.get(f"{system.url}/api/openapi.json", trust_env=False).json()["paths"]
    ours = {f"{method.upper()} {path}" for path, item in described.items() for method in item}
    assert {route for route in all_routes() if "/api/" in route} <= ours
    assert not any(path.startswith(("/orders", "/desk", "/bank")) for path in described)
