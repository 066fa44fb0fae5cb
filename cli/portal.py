"""What the portal page shows of a system: its services, its nodes where there are several and, in a demo, who
can be played where.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal, cast

from apps.site.people import ROLE_NAMES
from apps.site.portal import PortalConfig, PortalGroup, PortalNode, PortalPerson, PortalService
from apps.site.text import Text
from cli.layout import Layout
from cli.status import SERVED
from cli.system import AGENCIES, NodePorts, RunFile, node_of, url_of
from identity.demo.cast import APPROVER, COMMUNITY_CLERK, ORGANISATIONS, RESIDENT, DemoIdentity
from identity.demo.files import load_cast
from node.chain.genesis import Genesis

_CORRECTION = Text("社矫链", "Community correction")
_SHARED = {"identity": Text("签名页", "Signing page"), "points": Text("爱心银行", "Love bank")}
_ICONS = {
    "court": "gavel",
    "procuratorate": "scale",
    "police": "shield",
    "justice": "building",
    "community": "heart",
}


def portal_config(layout: Layout, genesis: Genesis, port_base: int) -> PortalConfig:
    """The portal of the system in this data directory."""
    run = RunFile.load(layout.data)
    return PortalConfig(
        purpose=cast(Literal["demo", "production"], genesis.purpose),
        chain_name=genesis.chain_name,
        services=_services(genesis, run),
        groups=_groups(layout, port_base) if genesis.is_demo else (),
        nodes=_nodes(run) if len(run.nodes) > 1 else (),
        system=asdict(run),
    )


def _services(genesis: Genesis, run: RunFile) -> list[PortalService]:
    signing = PortalService(
        Text("签名页", "Signing page"),
        Text("登记通行密钥，用于签名", "create the passkey that signs"),
        url_of("identity", run.port_base) + ("/demo" if genesis.is_demo else ""),
        "fingerprint",
        open_in_browser=genesis.is_demo,
    )
    one_node = [
        PortalService(
            Text("账本节点 JSON-RPC", "Ledger node JSON-RPC"),
            Text("供程序使用", "for programs"),
            url,
            "link",
            open_in_browser=False,
        )
        for url in run.nodes.values()
    ]
    return [signing, *(one_node if len(one_node) == 1 else ())]


def _nodes(run: RunFile) -> list[PortalNode]:
    by_key = {one.key: one for one in ORGANISATIONS}
    nodes = []
    for number, (agency, url) in enumerate(run.nodes.items(), 1):
        served = [service for service in SERVED if node_of(service, run.nodes) == agency]
        nodes.append(
            PortalNode(
                Text(by_key[agency].name, by_key[agency].english),
                [_service(service, agency) for service in served],
                url,
                NodePorts.of(number, run.port_base).status_page,
                _ICONS[agency],
            )
        )
    return nodes


def _service(service: str, agency: str) -> Text:
    """A service's name, beside the agency whose node it asks."""
    if service in _SHARED:
        return _SHARED[service]
    if service == agency:
        return _CORRECTION
    other = next(one for one in ORGANISATIONS if one.key == service)
    return Text(f"{_CORRECTION.zh}（{other.short}）", f"{_CORRECTION.en} ({other.english})")


def _groups(layout: Layout, port_base: int) -> list[PortalGroup]:
    people = load_cast(layout.demo).people
    groups = []
    for organisation in ORGANISATIONS:
        if organisation.key in AGENCIES:
            url = url_of(organisation.key, port_base)
            staff = [p for p in people if p.organisation == organisation.id and p.roles & 15]
            groups.append(
                PortalGroup(
                    Text(organisation.name, organisation.english),
                    _CORRECTION,
                    url,
                    _ICONS[organisation.key],
                    [_person(one, url) for one in staff],
                )
            )
    url = url_of("points", port_base)
    community = next(one for one in ORGANISATIONS if one.key == "community")
    at_the_desk = COMMUNITY_CLERK | APPROVER
    clerks = [p for p in people if p.organisation == community.id and p.roles & at_the_desk]
    residents = [p for p in people if p.roles & RESIDENT]
    for name, members, icon in (
        (Text("居民", "Residents"), residents, "users"),
        (Text(community.name, community.english), clerks, "heart"),
    ):
        groups.append(PortalGroup(name, _SHARED["points"], url, icon, [_person(one, url) for one in members]))
    return groups


def _person(one: DemoIdentity, url: str) -> PortalPerson:
    held = [text for bit, text in ROLE_NAMES.items() if one.roles & bit]
    role = Text("、".join(text.zh for text in held), ", ".join(text.en for text in held))
    return PortalPerson(one.name, role, f"{url}/login?person={one.id}")
