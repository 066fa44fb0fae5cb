"""Who may do what: every endpoint refuses the wrong role, the wrong agency and the unsigned machine."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from coincurve import PrivateKey

from apps.community_correction.tables import LocalDocument
from apps.community_correction.transport import AgencyClient, TransportError
from apps.site.errors import SiteError
from identity.demo.files import open_demo_key
from tests.helpers.correction_system import CorrectionSystem
from tests.pages.correction import flow

pytestmark = pytest.mark.slow

ID = "ab" * 32
CASE = {"number": "1", "person": "x", "category": "probation", "deciding": 1, "executing": 4, "legal_date": 1}
HANDLER_ONLY = [
    ("POST", "/api/cases", CASE),
    ("POST", "/api/documents/draft", {"documents": [ID]}),
    ("POST", "/api/documents/submit", {"documents": [ID]}),
    ("POST", "/api/documents/sign-for", {"documents": [ID]}),
    ("POST", f"/api/documents/{ID}/return", {"reason": "x"}),
    ("POST", f"/api/documents/{ID}/receipt", None),
    ("POST", f"/api/documents/{ID}/supersede", {"successor": ID}),
    ("POST", f"/api/documents/{ID}/deliver-again", None),
    ("DELETE", f"/api/documents/{ID}", None),
]
NEEDS = [
    *(
        (method, path, body, ("court-approver", "court-sealer", "court-operator"))
        for method, path, body in HANDLER_ONLY
    ),
    (
        "POST",
        "/api/documents/approve",
        {"documents": [ID]},
        ("court-handler", "court-sealer", "court-operator"),
    ),
    (
        "POST",
        "/api/documents/seal",
        {"documents": [ID]},
        ("court-handler", "court-approver", "court-operator"),
    ),
    ("POST", f"/api/cases/{ID}/advance", {"state": 3, "legal_date": 1}, ("court-sealer", "court-operator")),
]
READS = [
    "/api/work",
    "/api/documents?box=in",
    f"/api/documents/{ID}",
    "/api/cases",
    "/api/outbox",
    "/api/catalogue",
]


@pytest.mark.parametrize(("method", "path", "body", "people"), NEEDS, ids=lambda value: str(value)[:40])
def test_the_wrong_role_is_refused(
    system: CorrectionSystem, method: str, path: str, body: dict[str, object] | None, people: tuple[str, ...]
) -> None:
    for person in people:
        with pytest.raises(SiteError) as refused:
            system.person(person).call(method, path, body)
        assert (refused.value.code, refused.value.status) == ("site.not_allowed", 403)


@pytest.mark.parametrize("path", [*READS, *sorted({path for _, path, *_ in NEEDS})])
def test_nobody_reads_or_writes_without_signing_in(system: CorrectionSystem, path: str) -> None:
    method = "GET" if path in READS else "POST"
    answer = httpx.request(method, system.urls["court"] + path, json={}, trust_env=False)
    assert answer.status_code in (401, 405), answer.text
    if answer.status_code == 401:
        assert answer.json()["code"] == "site.sign_in_first"


@pytest.mark.parametrize("person", ["justice-handler", "resident-01", "court-service", "nobody"])
def test_people_of_elsewhere_cannot_become_anybody_here(system: CorrectionSystem, person: str) -> None:
    answer = httpx.post(system.urls["court"] + "/demo/login", json={"person": person}, trust_env=False)
    assert answer.status_code == 404
    assert not answer.cookies


def test_an_agency_that_is_no_party_sees_neither_document_nor_files(system: CorrectionSystem) -> None:
    document = flow.prepare(system.person("court-handler"), None, copies=[2])
    flow.send(system, [document])
    flow.delivered(system, document, {"justice": 4})
    with pytest.raises(SiteError) as refused:
        system.person("police-handler").call("GET", f"/api/documents/{document}")
    assert refused.value.code == "site.not_found"
    asking = AgencyClient(open_demo_key(system.layout.demo, "police-service", chain_purpose="demo").secret)
    for path in ("", "/files/0"):
        with pytest.raises(TransportError) as turned_away:
            asking.request("GET", f"{system.urls['court']}/agency/documents/{document}{path}")
        assert turned_away.value.code == "transport.not_a_party"
    asking.close()


def test_a_machine_without_an_agencys_key_is_turned_away(system: CorrectionSystem) -> None:
    url = f"{system.urls['justice']}/agency/documents/{ID}"
    assert httpx.get(url, trust_env=False).json()["code"] == "transport.unsigned"
    stranger = AgencyClient(PrivateKey().secret)
    with pytest.raises(TransportError) as refused:
        stranger.request("GET", url)
    assert refused.value.code == "transport.not_a_service"
    stranger.close()


def test_a_signature_for_another_body_path_or_time_does_not_count(
    system: CorrectionSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: dict[str, httpx.Request] = {}
    service = AgencyClient(open_demo_key(system.layout.demo, "court-service", chain_purpose="demo").secret)
    url = f"{system.urls['justice']}/agency/documents/{ID}"
    monkeypatch.setattr(
        httpx.Client,
        "request",
        lambda self, method, url, **more: sent.update(one=httpx.Request(method, url, **more)),
    )
    with pytest.raises(AttributeError):
        service.request("PUT", url, b"{}")
    monkeypatch.undo()
    headers = dict(sent["one"].headers)
    with httpx.Client(trust_env=False) as client:
        replayed = client.put(url, content=b"{}", headers=headers)
        assert replayed.json()["code"] == "seal.envelope_form", "the signature itself is good"
        assert client.put(url, content=b"[]", headers=headers).json()["code"] == "transport.digest_mismatch"
        elsewhere = url.replace("ab", "cd")
        assert client.put(elsewhere, content=b"{}", headers=headers).json()["code"] == "transport.unsigned"
        assert client.put(f"{url}?x=1", content=b"{}", headers=headers).json()["code"] == "transport.unsigned"
        assert (
            client.post(f"{url}/complete", content=b"{}", headers=headers).json()["code"]
            == "transport.unsigned"
        )
        old = int((datetime.now(UTC) - timedelta(seconds=400)).timestamp())
        created = headers["signature-input"].split("created=")[1].split(";")[0]
        stale = headers | {"signature-input": headers["signature-input"].replace(created, str(old))}
        assert client.put(url, content=b"{}", headers=stale).json()["code"] == "transport.unsigned"
    service.close()


def test_an_announced_document_must_be_the_chains(system: CorrectionSystem) -> None:
    document = flow.prepare(system.person("court-handler"), None)
    service = AgencyClient(open_demo_key(system.layout.demo, "court-service", chain_purpose="demo").secret)
    with system.agencies["court"].store.reading() as session:
        envelope = session.get_one(LocalDocument, document).envelope
    url = f"{system.urls['justice']}/agency/documents"
    with pytest.raises(TransportError) as early:
        service.request("PUT", f"{url}/{document}", envelope)
    assert early.value.code == "transport.not_submitted"
    other = flow.prepare(system.person("court-handler"), None)
    flow.send(system, [other])
    with pytest.raises(TransportError) as swapped:
        service.request("PUT", f"{url}/{other}", envelope)
    assert swapped.value.code == "transport.manifest_mismatch"
    service.close()


def test_a_request_waits_until_this_agency_has_read_the_chain_as_far_as_the_caller(
    system: CorrectionSystem,
) -> None:
    justice, key = system.agencies["justice"], "court-service"
    secret = open_demo_key(system.layout.demo, key, chain_purpose="demo").secret
    url = f"{system.urls['justice']}/agency/documents/{ID}"

    def ask(height: int) -> int:
        """How far the chain was read here when the answer came."""
        service = AgencyClient(secret, height=lambda: height)
        with pytest.raises(TransportError) as refused:
            service.request("GET", url)
        assert refused.value.code == "transport.not_submitted"
        service.close()
        return justice.follower.height

    document = flow.prepare(system.person("court-handler"), None)
    with ThreadPoolExecutor(1) as elsewhere:
        next_block = justice.follower.height + 1
        waiting = elsewhere.submit(ask, next_block)
        assert not waiting.done()
        flow.send(system, [document])
        assert waiting.result(timeout=30) >= next_block
    # A node that is far behind says what it knows.
    far = justice.follower.height + 1_000
    assert ask(far) < far
