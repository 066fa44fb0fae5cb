"""Homes of N validators on one machine with one genesis, and ports that are free now."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from nacl.signing import SigningKey

from contracts.genesis import PeerSpec, RegistrarSpec, RelyingPartySpec
from network.comet.binary import find_binary
from network.comet.faults import CometFault
from network.comet.home import CometPlace, CometSettings, make_home, node_id, write_configuration
from network.consortium.genesis import Member, MemberValidator, Origin, Plan, plan_genesis
from node.chain.genesis import Genesis
from node.chain.rules import DOMAIN_SERVICE, DOMAIN_STAFF
from tests.helpers.ledger import SERVICE, STAFF, Person, person

ORGANISATIONS = ("court", "procuratorate", "police", "justice", "community", "auditor", "data_bureau")
ED25519 = 2


def require_cometbft() -> None:
    """Skip where the program is not installed; fail in CI."""
    try:
        find_binary()
    except CometFault as fault:
        if os.environ.get("CI") == "true":
            pytest.fail(str(fault))
        pytest.skip(str(fault))


def free_ports(count: int) -> list[int]:
    """Of loopback; held together, so that none comes twice."""
    with ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]


def seed(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def public_key(seed: bytes) -> bytes:
    return bytes(SigningKey(seed).verify_key)


def registrar(organisation: int, number: int) -> Person:
    """Test people: the registrars of an organisation sign with Ed25519 from the staff origin."""
    return person(f"registrar {organisation} {number}", ED25519, DOMAIN_STAFF, STAFF)


def make_genesis(
    validators: int, chain_name: str = "shelian-test-network", *, listed: bool = False
) -> Genesis:
    """One organisation a validator, with two registrars each; a service origin may call anything.

    `listed`: the contract lists everybody's node.
    """
    members = range(1, validators + 1)
    plan = Plan(
        chain_name=chain_name,
        purpose="demo",
        genesis_time_ns=time.time_ns() - 1_000_000_000,
        members=tuple(
            Member(id, ORGANISATIONS[id - 1], f"示范 {ORGANISATIONS[id - 1]}", bytes([8 + id]) * 32)
            for id in members
        ),
        validators=tuple(
            MemberValidator(public_key(seed(f"validator {id}")), 10, id, f"node{id}") for id in members
        ),
        registrars=tuple(
            RegistrarSpec(one.identity, id, one.scheme, one.public_key, STAFF)
            for id in members
            for one in (registrar(id, 1), registrar(id, 2))
        ),
        origins=(
            Origin("staff", RelyingPartySpec(STAFF, "localhost", 1, DOMAIN_STAFF, any_contract=True)),
            Origin("service", RelyingPartySpec(SERVICE, "localhost", 1, DOMAIN_SERVICE, any_contract=True)),
        ),
        peers=tuple(
            PeerSpec(bytes.fromhex(node_id(public_key(seed(f"node {id}")))), id) for id in members if listed
        ),
    )
    return plan_genesis(plan)


@dataclass(frozen=True)
class Home:
    """One validator's CometBFT, `number` from 1."""

    number: int
    place: CometPlace
    settings: CometSettings
    genesis: Genesis

    @property
    def id(self) -> str:
        return node_id(public_key(seed(f"node {self.number}")))

    def write(self) -> None:
        make_home(self.place, self.settings, seed(f"node {self.number}"), seed(f"validator {self.number}"))
        write_configuration(self.place, self.settings, self.genesis)


def make_homes(directories: list[Path], genesis: Genesis, **settings: object) -> list[Home]:
    """A home in each directory; all know each other. `settings`: of CometSettings, for all."""
    ports = free_ports(3 * len(directories))
    numbers = range(1, len(directories) + 1)
    bootstrap = tuple(
        f"{node_id(public_key(seed(f'node {number}')))}@127.0.0.1:{ports[3 * number - 3]}"
        for number in numbers
    )
    homes = []
    for number, directory in zip(numbers, directories, strict=True):
        p2p, rpc, metrics = (f"127.0.0.1:{port}" for port in ports[3 * number - 3 : 3 * number])
        own = CometSettings(p2p, rpc, metrics, bootstrap, name=f"node{number}", one_machine=True)
        own = replace(own, **settings)  # type: ignore[arg-type]
        homes.append(Home(number, CometPlace(directory), own, genesis))
    for home in homes:
        home.write()
    return homes


@contextmanager
def port_held(address: str) -> Iterator[None]:
    """Another program listens there."""
    host, _, port = address.rpartition(":")
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((host, int(port)))
        held.listen()
        yield
