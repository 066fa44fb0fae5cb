"""The demo consortium of `shelian up`: everybody's keys, the genesis, the node's directory.

A demo's keys are made here because a demo has nobody else to make them; they open on demo chains only,
their passphrase is public, and every page says so. `shelian init` for production never makes a person's
key.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from contracts.genesis import RegistrarSpec, RelyingPartySpec
from contracts.system import SYSTEM_CONTRACTS
from identity.demo.cast import DEMO_PASSPHRASE, ORGANISATIONS, RELYING_PARTIES, DemoCast
from identity.demo.files import create_cast
from identity.keys import ED25519, generate_key
from identity.keystore import DEMO, save_key
from network.consortium.genesis import Member, MemberValidator, Origin, Plan, plan_genesis
from node.chain.errors import LedgerError
from node.chain.genesis import Genesis, encode_genesis
from node.ledger import Ledger

VALIDATOR_KEY = "validator.key.json"
_VALIDATOR_POWER = 10
_DEMO_RP_ID = "localhost"


@dataclass(frozen=True, slots=True)
class Layout:
    """What lies where below a data directory."""

    data: Path

    @property
    def genesis(self) -> Path:
        return self.data / "genesis.json"

    @property
    def marker(self) -> Path:
        return self.data / ".unfinished"

    @property
    def node(self) -> Path:
        return self.data / "node"

    @property
    def ledger(self) -> Path:
        return self.node / "ledger"

    @property
    def comet(self) -> Path:
        return self.node / "comet"

    @property
    def validator_key(self) -> Path:
        return self.node / VALIDATOR_KEY

    @property
    def demo(self) -> Path:
        return self.data / "demo"

    @property
    def identity(self) -> Path:
        return self.data / "identity"

    @property
    def points(self) -> Path:
        return self.data / "points"

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    def correction(self, agency: str) -> Path:
        return self.data / "correction" / agency


def create_demo(layout: Layout, now_ns: int, progress: Callable[[str], None]) -> Genesis:
    """Make a demo's keys, genesis and ledger.

    The genesis file is written last: without it nothing was made, and the next try begins again. The marker
    says that what lies there is an unfinished try of ours and may be removed.

    Raises LedgerError `init.exists` where a data directory stands already.
    """
    if layout.genesis.exists():
        raise LedgerError(
            "init.exists", "there is a chain in this directory already", layout.data, "an empty directory"
        )
    if layout.marker.exists():
        for half_made in (layout.node, layout.demo):
            shutil.rmtree(half_made, ignore_errors=True)
    elif layout.data.exists() and any(layout.data.iterdir()):
        raise LedgerError(
            "init.exists", "the directory holds something else", layout.data, "an empty directory"
        )
    layout.node.mkdir(parents=True, exist_ok=True, mode=0o700)
    layout.marker.touch()
    progress("生成示范密钥 making demo keys")
    cast = create_cast(layout.demo)
    validator = generate_key(ED25519)
    save_key(layout.validator_key, validator, DEMO_PASSPHRASE, purpose="demo", label="validator", cost=DEMO)
    progress("写创世文件 writing genesis")
    genesis = plan_genesis(_plan(cast, validator.public_key, now_ns))
    Ledger.create(layout.ledger, genesis).close()
    temporary = layout.genesis.with_suffix(".new")
    temporary.write_bytes(encode_genesis(genesis))
    temporary.replace(layout.genesis)
    layout.marker.unlink()
    return genesis


def _plan(cast: DemoCast, validator: bytes, now_ns: int) -> Plan:
    addresses = {contract.name: contract.address for contract in SYSTEM_CONTRACTS}
    bureau = next(one for one in ORGANISATIONS if one.kind == "data_bureau")
    tools = cast.find(f"{bureau.key}-service")
    return Plan(
        chain_name=f"shelian-demo-{secrets.token_hex(4)}",
        purpose="demo",
        genesis_time_ns=now_ns,
        members=tuple(
            Member(one.id, one.kind, one.name, cast.encryption_keys[one.id]) for one in ORGANISATIONS
        ),
        validators=(MemberValidator(validator, _VALIDATOR_POWER, bureau.id, "embedded"),),
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
