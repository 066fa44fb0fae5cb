"""The nodes of a running system: the one of `shelian up`, or one of each of several agencies.

Everybody acts at their own agency's page, which asks its own node. What goes past the pages, and every
proof, goes through another agency's node, so that nothing rests on one of them. With one node both are it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from cli.demo_signer import DemoSigner
from cli.demonstration.chain import Chain
from cli.nodes import height_of, wait_for_height
from cli.system import node_of
from evidence.transaction import TransactionEvidence
from identity.demo.cast import ORGANISATIONS, RESIDENT, DemoCast, DemoIdentity
from identity.node import Receipt
from node.chain.transaction import Call

_AGENCIES: Final = {one.id: one.key for one in ORGANISATIONS}


class Network:
    """Raises what `Chain` raises, and SystemFault `system.node_behind`."""

    def __init__(self, nodes: Mapping[str, str], cast: DemoCast, signer: DemoSigner) -> None:
        """`nodes`: each agency's JSON-RPC, in an order that stays."""
        self.chains = {agency: Chain(url, signer) for agency, url in nodes.items()}
        self._urls = dict(nodes)
        self._services = {one.address: _service_of(one) for one in (*cast.people, *cast.services)}
        self._ids = {one.id: _service_of(one) for one in cast.people}

    def close(self) -> None:
        for chain in self.chains.values():
            chain.node.close()

    def own(self, service: str) -> str:
        """The agency whose node a service asks."""
        return node_of(service, self.chains)

    def other(self, service: str) -> Chain:
        """A node that the service does not ask: the next agency's."""
        agencies = list(self.chains)
        place = agencies.index(self.own(service))
        return self.chains[agencies[(place + 1) % len(agencies)]]

    def send(self, person: str, calls: Sequence[Call]) -> Receipt:
        """Past every application, through another agency's node than the person's own page uses.

        Both nodes must know what the person did last: a nonce is of the node that tells it. Raises
        ContractRefusal if the contract undoes the calls.
        """
        own, other = self._urls[self.own(self._ids[person])], self.other(self._ids[person])
        wait_for_height([other.url], height_of(own))
        try:
            return other.send(person, calls)
        finally:
            wait_for_height([own], height_of(other.url))

    def transactions_about(self, contract: bytes, subject: bytes) -> tuple[str, ...]:
        """As the node after the court's knows them."""
        return self.other("court").transactions_about(contract, subject)

    def evidence(self, transaction: str) -> TransactionEvidence:
        """The proof, from another agency's node than the one that took the transaction in."""
        sender = self.other("court").sender(transaction)
        return self.other(self._services[sender]).evidence(transaction)

    def settle(self) -> int:
        """Until every node holds the newest block that any of them has now; its height."""
        height = max(height_of(url) for url in self._urls.values())
        wait_for_height(self._urls.values(), height)
        return height


def _service_of(one: DemoIdentity) -> str:
    """At which service somebody acts."""
    agency = _AGENCIES[one.organisation]
    return "points" if one.roles & RESIDENT or agency == "community" else agency
