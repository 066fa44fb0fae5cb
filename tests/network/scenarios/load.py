"""Somebody works while things break: transfers, documents, calls that fail, and some that must be refused.

Each sender has one transaction under way. What a sender is told, is kept: a transaction is *acknowledged*
when a node showed its receipt. One that no node acknowledged is sent again, the same bytes, to the next node,
as a program of an agency does; so it is in one block at most.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from contracts.bindings import correction_documents
from node.chain.encoding import keccak256
from node.chain.transaction import Call
from tests.helpers.ledger import Person, mint, transfer
from tests.network.scenarios.member import Answer, Member, NoAnswer
from tests.network.scenarios.people import (
    DEPLOYER,
    HANDLERS,
    JUSTICE,
    POLICE,
    PROCURATORATE,
    SERVICES,
    TOKEN_DEPLOYMENT,
    digest,
    sign,
)

_WAIT_MS = 5_000
"""For a receipt, before another node is asked."""
_AGAIN_S = 0.2
_TOKENS = 10**9
_D07 = 7

Serving = Callable[[], Sequence[Member]]
"""The nodes that an honest user would ask now."""


@dataclass(frozen=True)
class Acknowledged:
    """A receipt that a node showed: `transaction` and `block` are hashes in hex, `status` the receipt's."""

    transaction: str
    height: int
    block: str
    status: str
    by: int


class Ended(Exception):
    """The load was told to end."""


@dataclass
class Load:
    """`per_second` transactions at most, from as many threads as there are senders."""

    chain_id: int
    serving: Serving
    acknowledged: list[Acknowledged] = field(default_factory=list)
    refused: int = 0
    slowest_s: float = 0.0
    _token: bytes = b""
    _nonces: dict[bytes, int] = field(default_factory=dict)
    _unfinished: dict[bytes, bytes] = field(default_factory=dict)
    _threads: list[threading.Thread] = field(default_factory=list)
    _end: threading.Event = field(default_factory=threading.Event)
    _faults: list[BaseException] = field(default_factory=list)

    def start(self, per_second: float) -> None:
        if not self._token:
            self._prepare()
        self._end = threading.Event()
        senders = (*SERVICES, *HANDLERS)
        for number, sender in enumerate(senders):
            arguments = (sender, number, len(senders) / per_second)
            self._threads.append(threading.Thread(target=self._work, args=arguments, daemon=True))
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Returns when no sender is at work any more. What was not acknowledged by then may be in a block or
        not; its sender begins with it the next time.
        """
        self._end.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a sender does not end"
        self._threads.clear()
        if self._faults:
            raise self._faults[0]

    def deliver(self, sender: Person, calls: Sequence[Call], first: int = 0, gas: int = 500_000) -> Answer:
        """The sender's next transaction, until a node acknowledges it: its receipt."""

        def next_node() -> Member | None:
            nonlocal first
            members, first = self.serving(), first + 1
            return members[(first - 1) % len(members)] if members else None

        return self._deliver(sender, calls, gas, next_node)

    def deliver_to(self, member: Member, sender: Person, calls: Sequence[Call]) -> Answer:
        """The same, but this node alone is asked."""
        return self._deliver(sender, calls, 500_000, lambda: member)

    def _prepare(self) -> None:
        """A token, and some of it for each who sends."""
        receipt = self.deliver(DEPLOYER, [Call(b"", TOKEN_DEPLOYMENT)], gas=3_000_000)
        self._token = bytes.fromhex(receipt["contractAddress"][2:])
        for sender in SERVICES:
            self.deliver(DEPLOYER, [mint(sender.address, _TOKENS, self._token)])

    def _work(self, sender: Person, number: int, period_s: float) -> None:
        # Spread over the period, so that load comes evenly.
        due = time.monotonic() + period_s * number / len((*SERVICES, *HANDLERS))
        turn = number
        try:
            while True:
                self._pause(due - time.monotonic())
                due = max(due + period_s, time.monotonic())
                began = time.monotonic()
                if turn % 10 == 9:
                    self._send_what_must_be_refused(sender, turn)
                else:
                    call, status = self._call(sender, turn)
                    receipt = self.deliver(sender, [call], turn)
                    assert receipt["status"] == status, receipt
                    self.slowest_s = max(self.slowest_s, time.monotonic() - began)
                turn += 1
        except Ended:
            return
        except BaseException as fault:
            self._faults.append(fault)

    def _call(self, sender: Person, turn: int) -> tuple[Call, str]:
        """The call, and the status that its receipt must have."""
        if sender in HANDLERS:
            return _draft(f"{sender.address.hex()} {self._nonces.get(sender.address, 0)}"), "0x1"
        receiver = SERVICES[turn % len(SERVICES)].address
        if turn % 8 == 7:  # more than there is
            return transfer(receiver, 2 * _TOKENS * len(SERVICES), self._token), "0x0"
        return transfer(receiver, 1, self._token), "0x1"

    def _send_what_must_be_refused(self, sender: Person, turn: int) -> None:
        """A nonce that was used already: not a node may take it."""
        nonce = self._nonces.get(sender.address, 0)
        if nonce == 0:
            return
        raw = sign(sender, self.chain_id, nonce - 1, [Call(bytes(19) + b"\x99", turn.to_bytes(8, "big"))])
        members = self.serving()
        if not members:
            return
        member = members[turn % len(members)]
        try:
            answer = member.ask("eth_sendRawTransaction", "0x" + raw.hex())
        except NoAnswer:
            return
        # A node that lags may still take it; it can never be in a block, since the other one is.
        self.refused += "error" in answer

    def _deliver(
        self, sender: Person, calls: Sequence[Call], gas: int, choose: Callable[[], Member | None]
    ) -> Answer:
        unfinished = self._unfinished.get(sender.address)
        if unfinished is not None:
            self._insist(sender, unfinished, choose)
        nonce = self._nonces.get(sender.address, 0)
        self._nonces[sender.address] = nonce + 1
        return self._insist(sender, sign(sender, self.chain_id, nonce, calls, gas), choose)

    def _insist(self, sender: Person, raw: bytes, choose: Callable[[], Member | None]) -> Answer:
        self._unfinished[sender.address] = raw
        while True:
            member = choose()
            receipt = None if member is None else self._try(member, raw)
            if receipt is not None:
                del self._unfinished[sender.address]
                return receipt
            self._pause(_AGAIN_S)

    def _try(self, member: Member, raw: bytes) -> Answer | None:
        """One node is asked: the receipt, or None if it showed none."""
        transaction = "0x" + keccak256(raw).hex()
        try:
            answer = member.ask("shelian_sendRawTransactionSync", "0x" + raw.hex(), hex(_WAIT_MS))
            if "error" in answer:  # perhaps because it is in a block
                answer = member.ask("eth_getTransactionReceipt", transaction)
        except NoAnswer:
            return None
        receipt: Answer | None = answer.get("result")
        if receipt is not None:
            self.acknowledged.append(
                Acknowledged(
                    transaction,
                    int(receipt["blockNumber"], 16),
                    receipt["blockHash"],
                    receipt["status"],
                    member.number,
                )
            )
        return receipt

    def _pause(self, seconds: float) -> None:
        if self._end.wait(max(0.0, seconds)):
            raise Ended


def _draft(name: str) -> Call:
    return correction_documents.draft(
        document=digest(f"document {name}"),
        case_id=digest(f"case {name}"),
        code=_D07,
        manifest_hash=digest(f"manifest {name}"),
        to=(JUSTICE,),
        copies=(PROCURATORATE, POLICE),
        in_reply_to=bytes(32),
        on_behalf_of=bytes(16),
    )
