"""The portal: who can sign in where, and the run file for other commands."""

from __future__ import annotations

from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from apps.site.portal import (
    PortalConfig,
    PortalGroup,
    PortalNode,
    PortalPerson,
    PortalService,
    create_portal,
)
from apps.site.text import Text

RESIDENTS = PortalGroup(
    Text("居民", "Residents"),
    Text("爱心银行", "Love bank"),
    "http://localhost:8602",
    "users",
    [
        PortalPerson(f"示范居民{n:02d}", Text("居民", "resident"), f"http://localhost:8602/login?person={n}")
        for n in range(1, 21)
    ],
)
DEMO = PortalConfig(
    purpose="demo",
    chain_name="shelian-demo-00000000",
    services=[
        PortalService(
            Text("账本", "Ledger"), Text("程序用", "programs"), "http://localhost:8545", "link", False
        )
    ],
    groups=[RESIDENTS],
    system={"data": "/tmp/demo", "port_base": 8500, "pid": 1, "purpose": "demo"},
)


def test_a_demo_lists_everybody_with_the_link_to_their_service() -> None:
    page = TestClient(create_portal(DEMO)).get("/").text
    for person in RESIDENTS.people:
        assert person.name in page
        assert f'href="{person.url}"' in page
    assert "示范环境" in page


def test_production_names_nobody() -> None:
    with pytest.raises(ValueError, match="demo"):
        create_portal(replace(DEMO, purpose="production"))
    page = TestClient(create_portal(replace(DEMO, purpose="production", groups=[]))).get("/").text
    assert "示范环境" not in page
    assert "http://localhost:8545" in page


def test_the_language_is_kept_and_the_run_file_is_repeated() -> None:
    client = TestClient(create_portal(DEMO))
    assert "Residents" in client.get("/?language=en").text
    assert "Residents" in client.get("/").text
    assert client.get("/api/system").json() == dict(DEMO.system)
    assert client.get("/health").json() == {"ok": True}


def test_the_page_runs_no_script_and_loads_nothing_from_elsewhere() -> None:
    response = TestClient(create_portal(DEMO)).get("/")
    assert "default-src 'self'" in response.headers["content-security-policy"]
    assert "<script" not in response.text
    assert " style=" not in response.text


def test_the_nodes_of_several_agencies_are_listed_with_the_services_that_ask_them() -> None:
    assert "各机构的节点" not in TestClient(create_portal(DEMO)).get("/").text
    court = PortalNode(
        Text("示范区人民法院", "Demo District Court"),
        [Text("社矫链", "Correction"), Text("签名页", "Signing page")],
        "http://localhost:8547",
        "http://localhost:8583",
        "gavel",
    )
    client = TestClient(create_portal(replace(DEMO, nodes=[court])))
    page = client.get("/").text
    for shown in (
        "各机构的节点",
        "示范区人民法院",
        "社矫链、签名页",
        "<code>http://localhost:8547</code>",
        'href="http://localhost:8583"',
    ):
        assert shown in page
    assert "Correction, Signing page" in client.get("/?language=en").text
