"""The demo consortium of several agencies on one machine: each with its own keys, ledger and CometBFT.

    DATA/members/<agency>/keys    as `shelian consortium keygen` makes them, under the demo's passphrase
    DATA/members/<agency>/data    as `shelian consortium init` makes it: an ordinary node's directory
    DATA/genesis.json, demo, …    as `shelian up` has them: the same people, services and pages

Each agency's certificate and sealing key stand in the genesis, and every node is a peer there. That all keys
lie on one machine is what makes it a demo.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from cli.demo_consortium import VALIDATOR_POWER, begin_making, demo_members, demo_plan, finish_making
from cli.layout import Layout
from cli.system import NodePorts, SystemFault
from contracts.genesis import PeerSpec
from identity.demo.cast import DEMO_PASSPHRASE, ORGANISATIONS, DemoOrganisation
from identity.demo.files import create_cast
from identity.keystore import DEMO
from network.comet.home import CometPlace, CometSettings, load_settings, make_home, save_settings
from network.consortium.genesis import Member, MemberValidator, plan_genesis
from network.consortium.keys import KeyDirectory, create_keys, load_agency, load_node_keys
from node.chain.genesis import Genesis, encode_genesis
from node.ledger import Ledger

ORDER: Final = ("police", "procuratorate", "court", "justice", "community", "data-bureau", "auditor")
"""Whose node is the first, the second, …; the four who exchange documents come first."""
_BY_KEY: Final[Mapping[str, DemoOrganisation]] = {one.key: one for one in ORGANISATIONS}


def keys_of(layout: Layout, agency: str) -> KeyDirectory:
    """Where an agency's own keys lie."""
    return KeyDirectory(layout.members / agency / "keys")


def node_layout(layout: Layout, agency: str) -> Layout:
    """The data directory of an agency's node."""
    return Layout(layout.members / agency / "data")


def first_agencies(validators: int) -> tuple[str, ...]:
    """Who has a node. Raises SystemFault `consortium.validators`."""
    if not 1 <= validators <= len(ORDER):
        raise SystemFault(
            "consortium.validators",
            "no such number of nodes: each agency of the demo has at most one",
            validators,
            f"1 to {len(ORDER)}",
        )
    return ORDER[:validators]


def agencies_of(genesis: Genesis) -> tuple[str, ...]:
    """Who has a node on the chain of this genesis, in their order."""
    owners = {one.organisation for one in genesis.validators}
    return tuple(agency for agency in ORDER if _BY_KEY[agency].id in owners)


def create_members(
    layout: Layout, agencies: Sequence[str], port_base: int, now_ns: int, progress: Callable[[str], None]
) -> Genesis:
    """Make the keys of everybody, the genesis, and each agency's data directory. Can be killed at any moment
    and done again.

    Raises LedgerError `init.exists` where something else stands.
    """
    begin_making(layout, layout.members, layout.demo)
    layout.members.mkdir(mode=0o700)
    progress("生成示范密钥 making demo keys")
    for agency in agencies:
        _make_keys(layout, agency)
    cast = create_cast(layout.demo)
    node_keys = {agency: load_node_keys(keys_of(layout, agency)) for agency in agencies}
    progress("写创世文件 writing genesis")
    genesis = plan_genesis(
        demo_plan(
            cast,
            [_with_own_keys(layout, member, agencies) for member in demo_members(cast)],
            [
                MemberValidator(keys.validator_public_key, VALIDATOR_POWER, _BY_KEY[agency].id, agency)
                for agency, keys in node_keys.items()
            ],
            [PeerSpec(bytes.fromhex(keys.node_id), _BY_KEY[agency].id) for agency, keys in node_keys.items()],
            now_ns,
        )
    )
    progress(f"建立 {len(agencies)} 家机构的账本 making {len(agencies)} agencies' ledgers")
    first = node_layout(layout, agencies[0])
    for agency in agencies:
        own = node_layout(layout, agency)
        own.node.mkdir(parents=True, mode=0o700)
        if own == first:
            Ledger.create(own.ledger, genesis).close()
        else:
            # Genesis takes its time to run, and gives the same bytes to everybody.
            shutil.copytree(first.ledger, own.ledger)
        settings = _settings(layout, agencies, agency, port_base)
        make_home(
            CometPlace(own.comet), settings, node_keys[agency].node_key, node_keys[agency].validator_key
        )
        own.genesis.write_bytes(encode_genesis(genesis))
    finish_making(layout, genesis)
    return genesis


def move_to_ports(layout: Layout, agencies: Sequence[str], port_base: int) -> None:
    """Tell each node's CometBFT the ports of this start, its own and the others'; the rest of its settings
    stays as it is.
    """
    for agency in agencies:
        place = CometPlace(node_layout(layout, agency).comet)
        wanted = _settings(layout, agencies, agency, port_base)
        save_settings(
            place,
            replace(
                load_settings(place),
                p2p_address=wanted.p2p_address,
                rpc_address=wanted.rpc_address,
                metrics_address=wanted.metrics_address,
                bootstrap=wanted.bootstrap,
            ),
        )


def ports_of(agencies: Sequence[str], agency: str, port_base: int) -> NodePorts:
    return NodePorts.of(agencies.index(agency) + 1, port_base)


def _make_keys(layout: Layout, agency: str) -> None:
    organisation = _BY_KEY[agency]
    create_keys(
        keys_of(layout, agency),
        kind=organisation.kind,
        name=organisation.name,
        passphrase=DEMO_PASSPHRASE,
        now=datetime.now(UTC),
        purpose="demo",
        cost=DEMO,
    )


def _with_own_keys(layout: Layout, member: Member, agencies: Sequence[str]) -> Member:
    """An agency with a node brings its own certificate and sealing key."""
    own = next((one for one in agencies if _BY_KEY[one].id == member.id), None)
    if own is None:
        return member
    agency = load_agency(keys_of(layout, own))
    return replace(member, encryption_key=agency.encryption_key, ca_certificate=agency.certificate.pem)


def _settings(layout: Layout, agencies: Sequence[str], agency: str, port_base: int) -> CometSettings:
    ports = ports_of(agencies, agency, port_base)
    others = [one for one in agencies if one != agency]
    return CometSettings(
        p2p_address=f"127.0.0.1:{ports.p2p}",
        rpc_address=f"127.0.0.1:{ports.comet_rpc}",
        metrics_address=f"127.0.0.1:{ports.metrics}",
        bootstrap=tuple(
            f"{load_node_keys(keys_of(layout, other)).node_id}"
            f"@127.0.0.1:{ports_of(agencies, other, port_base).p2p}"
            for other in others
        ),
        name=agency,
        one_machine=True,
    )
