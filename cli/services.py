"""The services, one process each: identity, correction (one per agency), points, portal, a person's signer.

Every command reads the data directory's genesis and builds one application from it. Login to the
applications is the demo's role switch in this version, so they serve demo chains only and say so.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import uvicorn

from cli.layout import Layout
from cli.logs import configure_logs
from cli.node import load_genesis
from cli.system import AGENCIES, DEFAULT_PORT_BASE, OFFSETS, SystemFault, url_of
from identity.demo.cast import DEMO_PASSPHRASE, ORGANISATIONS
from identity.demo.files import open_demo_key
from identity.keystore import load_key
from node.chain.genesis import Genesis

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from identity.web import AppOrigin

Data = Annotated[Path, typer.Option("--data", help="数据目录 data directory")]
PortBase = Annotated[int, typer.Option("--port-base", help="ports of a system are offsets from this")]
NodeUrl = Annotated[
    str | None,
    typer.Option("--node", help="本机构节点的 JSON-RPC the node to ask; default: the one node of shelian up"),
]
LogJson = Annotated[
    bool, typer.Option("--json", "--log-json", help="structured logs, one JSON object a line")
]
_BY_KEY = {organisation.key: organisation for organisation in ORGANISATIONS}
_COMMUNITY = _BY_KEY["community"]


def identity(
    data: Data = Path("data"),
    port_base: PortBase = DEFAULT_PORT_BASE,
    node: NodeUrl = None,
    log_json: LogJson = False,
) -> None:
    """Serve the signing page, the credential directory and the demo's enrolment."""
    from identity.web import IdentityConfig, create_app

    configure_logs(as_json=log_json)
    layout, genesis = _open(data)
    config = IdentityConfig(
        public_url=url_of("identity", port_base),
        rp_id="localhost",
        data_directory=_made(layout.identity),
        node_url=node or url_of("node", port_base),
        chain_id=genesis.evm_chain_id,
        purpose=genesis.purpose,
        apps=_app_origins(port_base),
        organisations={organisation.id: organisation.name for organisation in genesis.organisations},
        signer_page=url_of("signer", port_base) + "/sign",
        demo_directory=layout.demo if genesis.is_demo else None,
    )
    _serve(create_app(config), "identity", port_base)


def signer(
    data: Data = Path("data"),
    keys: Annotated[
        Path | None, typer.Option("--keys", help="directory of key files; default: the demo's")
    ] = None,
    port_base: PortBase = DEFAULT_PORT_BASE,
    log_json: LogJson = False,
) -> None:
    """A person's signing agent: shows in plain words what is signed, then signs with a key file."""
    from identity.signer import SignerConfig, create_app

    configure_logs(as_json=log_json)
    layout, genesis = _open(data)
    config = SignerConfig(
        public_url=url_of("signer", port_base),
        rp_id="localhost",
        keys_directory=keys or layout.demo / "keys",
        state_directory=_made(layout.data / "signer"),
        chain_id=genesis.evm_chain_id,
        purpose=genesis.purpose,
        apps=_app_origins(port_base),
        organisations={organisation.id: organisation.name for organisation in genesis.organisations},
        demo_passphrase=DEMO_PASSPHRASE if genesis.is_demo else "",
    )
    _serve(create_app(config), "signer", port_base)


def correction(
    agency: Annotated[str, typer.Option("--agency", help="court, procuratorate, police or justice")],
    data: Data = Path("data"),
    port_base: PortBase = DEFAULT_PORT_BASE,
    node: NodeUrl = None,
    log_json: LogJson = False,
) -> None:
    """Serve one agency's cases and documents: its own database, vault and keys."""
    from apps.community_correction.app import create_app
    from apps.community_correction.config import CorrectionConfig, Organisation
    from apps.site.demo_directory import DemoDirectory
    from apps.site.people import RESIDENT
    from apps.site.text import Text
    from contracts.vocabulary import OrganisationKind
    from node.chain.genesis import ORGANISATION_KINDS

    configure_logs(as_json=log_json)
    if agency not in AGENCIES:
        raise SystemFault("service.unknown_agency", "no such agency", agency, list(AGENCIES))
    layout, genesis = _open(data)
    _require_demo(genesis)
    own = _BY_KEY[agency]
    english = {organisation.id: organisation.english for organisation in ORGANISATIONS}
    config = CorrectionConfig(
        key=agency,
        organisation=own.id,
        organisations={
            one.id: Organisation(
                one.id,
                OrganisationKind(ORGANISATION_KINDS[one.kind]),
                Text(one.name, english.get(one.id, one.name)),
            )
            for one in genesis.organisations
        },
        public_url=url_of(agency, port_base),
        purpose=genesis.purpose,
        data_dir=_made(layout.correction(agency)),
        node_url=node or url_of("node", port_base),
        node_websocket_url=_websocket(node or url_of("node", port_base)),
        signing_pages=_signing_pages(port_base),
        peers={_BY_KEY[peer].id: url_of(peer, port_base) for peer in AGENCIES if peer != agency},
        service_key=_demo_secret(layout, genesis, f"{agency}-service"),
        encryption_key=_sealing_secret(layout, genesis, agency),
    )
    directory = DemoDirectory(
        url_of("identity", port_base),
        knows=lambda person: not person.holds(RESIDENT),
        signs_in=lambda person: person.organisation == own.id,
    )
    _serve(create_app(config, directory), agency, port_base)


def points(
    data: Data = Path("data"),
    port_base: PortBase = DEFAULT_PORT_BASE,
    node: NodeUrl = None,
    log_json: LogJson = False,
) -> None:
    """Serve the sharing community and the love bank."""
    from apps.sharing_points.app import PointsConfig, create_app
    from apps.site.demo_directory import DemoDirectory
    from apps.site.people import APPROVER, COMMUNITY_CLERK, RESIDENT, Person

    def knows(person: Person) -> bool:
        return person.holds(RESIDENT) or person.organisation == _COMMUNITY.id

    def signs_in(person: Person) -> bool:
        at_the_desk = person.organisation == _COMMUNITY.id and person.holds(COMMUNITY_CLERK | APPROVER)
        return person.holds(RESIDENT) or at_the_desk

    configure_logs(as_json=log_json)
    layout, genesis = _open(data)
    _require_demo(genesis)
    config = PointsConfig(
        public_url=url_of("points", port_base),
        node_url=node or url_of("node", port_base),
        websocket_url=_websocket(node or url_of("node", port_base)),
        purpose=genesis.purpose,
        data_dir=_made(layout.points),
        # The love bank knows residents and the community's own staff, nobody of correction's.
        directory=DemoDirectory(url_of("identity", port_base), knows=knows, signs_in=signs_in),
        signing_pages=_signing_pages(port_base),
        service_key=_demo_secret(layout, genesis, "community-service"),
    )
    _serve(create_app(config), "points", port_base)


def portal(
    data: Data = Path("data"), port_base: PortBase = DEFAULT_PORT_BASE, log_json: LogJson = False
) -> None:
    """Serve the page that lists who can log in where."""
    from apps.site.portal import create_portal
    from cli.portal import portal_config

    configure_logs(as_json=log_json)
    layout, genesis = _open(data)
    _serve(create_portal(portal_config(layout, genesis, port_base)), "portal", port_base)


def _open(data: Path) -> tuple[Layout, Genesis]:
    layout = Layout(data.resolve())
    return layout, load_genesis(layout)


def _require_demo(genesis: Genesis) -> None:
    if not genesis.is_demo:
        raise SystemFault(
            "service.demo_only",
            "the applications have only the demo's role switch as login in this version",
            genesis.purpose,
            "demo",
        )


def _demo_secret(layout: Layout, genesis: Genesis, name: str) -> bytes:
    return open_demo_key(layout.demo, name, chain_purpose=genesis.purpose).secret


def _sealing_secret(layout: Layout, genesis: Genesis, agency: str) -> bytes:
    """The agency's own key where it has a node, else the one that the demo made for it."""
    from cli.demo_members import keys_of

    own = keys_of(layout, agency)
    if not own.path.exists():
        return _demo_secret(layout, genesis, f"{agency}-encryption")
    return load_key(own.sealing_key, DEMO_PASSPHRASE, chain_purpose=genesis.purpose).secret


def _websocket(url: str) -> str:
    """A node serves both on one port."""
    return url.replace("http", "ws", 1)


def _signing_pages(port_base: int) -> dict[str, str]:
    from apps.site.people import PASSKEY, SIGNER

    return {PASSKEY: url_of("identity", port_base) + "/sign", SIGNER: url_of("signer", port_base) + "/sign"}


def _app_origins(port_base: int) -> tuple[AppOrigin, ...]:
    from identity.web import AppOrigin

    names = {agency: _BY_KEY[agency].name for agency in AGENCIES} | {"points": _COMMUNITY.name}
    return tuple(AppOrigin(url_of(key, port_base), name) for key, name in names.items())


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    return directory


def _serve(app: ASGIApp, name: str, port_base: int) -> None:
    """Run until SIGINT or SIGTERM, on loopback only: a demo's keys are known to everybody."""
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=port_base + OFFSETS[name],
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=5,
    )
