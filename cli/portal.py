"""What the portal page shows of a system: its services and, in a demo, who can be played where."""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal, cast

from apps.site.people import ROLE_NAMES
from apps.site.portal import PortalConfig, PortalGroup, PortalPerson, PortalService
from apps.site.text import Text
from cli.demo_consortium import Layout
from cli.system import AGENCIES, RunFile, url_of
from identity.demo.cast import APPROVER, COMMUNITY_CLERK, ORGANISATIONS, RESIDENT, DemoIdentity
from identity.demo.files import load_cast
from node.chain.genesis import Genesis

_ICONS = {"court": "gavel", "procuratorate": "scale", "police": "shield", "justice": "building"}


def portal_config(layout: Layout, genesis: Genesis, port_base: int) -> PortalConfig:
    """The portal of the system in this data directory."""
    return PortalConfig(
        purpose=cast(Literal["demo", "production"], genesis.purpose),
        chain_name=genesis.chain_name,
        services=_services(genesis, port_base),
        groups=_groups(layout, port_base) if genesis.is_demo else (),
        system=asdict(RunFile.load(layout.data)),
    )


def _services(genesis: Genesis, port_base: int) -> list[PortalService]:
    return [
        PortalService(
            Text("签名页", "Signing page"),
            Text("登记通行密钥，用于签名", "create the passkey that signs"),
            url_of("identity", port_base) + ("/demo" if genesis.is_demo else ""),
            "fingerprint",
            open_in_browser=genesis.is_demo,
        ),
        PortalService(
            Text("账本节点 JSON-RPC", "Ledger node JSON-RPC"),
            Text("供程序使用", "for programs"),
            url_of("node", port_base),
            "link",
            open_in_browser=False,
        ),
    ]


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
                    Text("社矫链", "Community correction"),
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
        groups.append(
            PortalGroup(
                name, Text("爱心银行", "Love bank"), url, icon, [_person(one, url) for one in members]
            )
        )
    return groups


def _person(one: DemoIdentity, url: str) -> PortalPerson:
    held = [text for bit, text in ROLE_NAMES.items() if one.roles & bit]
    role = Text("、".join(text.zh for text in held), ", ".join(text.en for text in held))
    return PortalPerson(one.name, role, f"{url}/login?person={one.id}")
