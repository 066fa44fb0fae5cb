"""What the agencies decide together: an operator of one proposes, three approve, one carries it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import count

from contracts.bindings import consortium
from contracts.bindings.consortium import Rules
from network.comet.home import node_id
from node.chain.rules import FIRST_RULES
from node.chain.transaction import Call
from tests.network.comet.small_network import public_key, seed
from tests.network.scenarios.people import AGENCIES, OPERATORS, digest
from tests.network.scenarios.scene import Network

_numbers = count(1)


def decide(network: Network, call: Call) -> None:
    """More than two thirds of the agencies want it."""
    proposal = digest(f"proposal {next(_numbers)}")

    def say(agency: int, calls: Sequence[Call]) -> None:
        receipt = network.load.deliver(OPERATORS[agency], calls, agency, gas=2_000_000)
        assert receipt["status"] == "0x1", receipt

    say(1, [consortium.propose(proposal, call.to, call.data)])
    for agency in AGENCIES[:3]:
        say(agency, [consortium.vote(proposal, True)])
    say(1, [consortium.execute(proposal, call.to, call.data)])


def change_power(network: Network, key: bytes, power: int, organisation: int) -> None:
    decide(network, consortium.change_validators((key,), (power,), (organisation,)))


def let_in(network: Network, number: int, organisation: int) -> None:
    """A machine may connect."""
    id = bytes.fromhex(node_id(public_key(seed(f"node {number}"))))
    decide(network, consortium.set_peer(id, organisation, True))


def add_rules(network: Network, byte_gas: int, activation: int) -> None:
    plain = replace(FIRST_RULES, version=2, activation_height=activation, byte_gas=byte_gas)
    decide(
        network, consortium.add_rules(Rules(**{one.name: getattr(plain, one.name) for one in fields(Rules)}))
    )
