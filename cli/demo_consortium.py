"""The demo consortium of one machine: everybody's keys, the genesis, the data directory.

`shelian up` runs it with one node (`create_demo`), `shelian consortium up` with one node an agency
(`cli.demo_members`); both have the same people, registrars and relying parties.

A demo's keys are made here because a demo has nobody else to make them; they open on demo chains only, their
passphrase is public, and every page says so. `shelian init` for production never makes a person's key.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from cli.layout import Layout
from contracts.genesis import PeerSpec, RegistrarSpec, RelyingPartySpec
from contracts.system import SYSTEM_CONTRACTS
from identity.demo.cast import DEMO_PASSPHRASE, ORGANISATIONS, RELYING_PARTIES, DemoCast
from identity.demo.files import create_cast
from identity.keys import ED25519, generate_key
from identity.keystore import DEMO, save_key
from network.consortium.genesis import Member, MemberValidator, Origin, Plan, plan_genesis
from node.chain.errors import LedgerError
from node.chain.genesis import Genesis, encode_genesis
from node.ledger import Ledger

VALIDATOR_POWER = 10
_DEMO_RP_ID = "localhost"


def begin_making(layout: Layout, *parts: Path) -> None:
    """Before the first byte of a new data directory is written.

    The marker is the first file and says that what lies there is an unfinished try of ours; `parts`, what
    such a try may have left, are removed. `finish_making` ends it. Raises LedgerError `init.exists` where
    something else stands.
    """
    if layout.genesis.exists():
        raise LedgerError(
            "init.exists", "there is a chain in this directory already", layout.data, "an empty directory"
        )
    if layout.marker.exists():
        for part in parts:
            shutil.rmtree(part, ignore_errors=True)
    elif layout.data.exists() and any(layout.data.iterdir()):
        raise LedgerError(
            "init.exists", "the directory holds something else", layout.data, "an empty directory"
        )
    layout.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    layout.marker.touch()


def finish_making(layout: Layout, genesis: Genesis) -> None:
    """The genesis file comes last: without it nothing was made, and the next try begins again."""
    temporary = layout.genesis.with_suffix(".new")
    temporary.write_bytes(encode_genesis(genesis))
    temporary.replace(layout.genesis)
    layout.marker.unlink()


def create_demo(layout: Layout, now_ns: int, progress: Callable[[str], None]) -> Genesis:
    """Make a demo's keys, genesis and ledger, for one node. Can be killed at any moment and done again.

    Raises LedgerError `init.exists` where a data directory stands already.
    """
    begin_making(layout, layout.node, layout.demo)
    layout.node.mkdir(mode=0o700)
    progress("生成示范密钥 making demo keys")
    cast = create_cast(layout.demo)
    validator = generate_key(ED25519)
    save_key(layout.validator_key, validator, DEMO_PASSPHRASE, purpose="demo", label="validator", cost=DEMO)
    progress("写创世文件 writing genesis")
    bureau = next(one for one in ORGANISATIONS if one.kind == "data_bureau")
    validators = (MemberValidator(validator.public_key, VALIDATOR_POWER, bureau.id, "embedded"),)
    genesis = plan_genesis(demo_plan(cast, demo_members(cast), validators, (), now_ns))
    Ledger.create(layout.ledger, genesis).close()
    finish_making(layout, genesis)
    return genesis


def demo_members(cast: DemoCast) -> tuple[Member, ...]:
    """The organisations with the keys that documents to them are sealed to."""
    return tuple(Member(one.id, one.kind, one.name, cast.encryption_keys[one.id]) for one in ORGANISATIONS)


def demo_plan(
    cast: DemoCast,
    members: Sequence[Member],
    validators: Sequence[MemberValidator],
    peers: Sequence[PeerSpec],
    now_ns: int,
) -> Plan:
    """What a demo's genesis says: its people, services and origins, and who makes the blocks."""
    addresses = {contract.name: contract.address for contract in SYSTEM_CONTRACTS}
    tools = cast.find("data-bureau-service")
    return Plan(
        chain_name=f"shelian-demo-{secrets.token_hex(4)}",
        purpose="demo",
        genesis_time_ns=now_ns,
        members=tuple(members),
        validators=tuple(validators),
        peers=tuple(peers),
        registrars=tuple(
            RegistrarSpec(
                one.identity,
                one.organisation,
                one.scheme,
                one.public_key,
                RELYING_PARTIES[one.relying_party].id,
            )
            for one in cast.registrars
        ),
        origins=tuple(
            Origin(
                party.name,
                RelyingPartySpec(
                    id=party.id,
                    rp_id=_DEMO_RP_ID,
                    organisation=party.organisation,
                    domain=party.domain,
                    contracts=tuple(addresses[name] for name in party.contracts),
                    any_contract=not party.contracts,
                    localhost_any_port=True,
                ),
            )
            for party in RELYING_PARTIES.values()
        ),
        deployers=() if tools is None else (tools.address,),
    )
