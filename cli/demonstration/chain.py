"""The node's public interface: sending what an application would not let through, and proofs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from cli.demo_signer import DemoSigner
from cli.demonstration.run import StepFailed
from contracts.bindings import correction_documents
from evidence.transaction import SignedHeader, TransactionEvidence
from identity.errors import NodeError
from identity.node import NodeClient, Receipt
from node.chain.errors import ShelianError
from node.chain.merkle import MerkleProof
from node.chain.transaction import Call

_GAS = 2_000_000
_VALID_S = 600


class ContractRefusal(ShelianError):
    """A transaction that the contract undid; `code` is `contract.` and the error's name."""


class Chain:
    """One node."""

    def __init__(self, url: str, signer: DemoSigner) -> None:
        self.url = url
        self.node = NodeClient(url)
        self._signer = signer

    def send(self, person: str, calls: Sequence[Call]) -> Receipt:
        """Sign and send calls past every application. Raises ContractRefusal if the contract undoes them."""
        key = self._signer.key(person)
        request = {
            "chain_id": self.node.chain_id(),
            "nonce": self.node.nonce(key.address),
            "valid_until": int(time.time()) + _VALID_S,
            "gas_limit": _GAS,
            "calls": [{"to": "0x" + call.to.hex(), "data": "0x" + call.data.hex()} for call in calls],
        }
        receipt = self.node.submit(bytes.fromhex(self._signer.sign(person, request)[2:]))
        if not receipt.ok:
            raise ContractRefusal(
                f"contract.{self._reason(calls[0], key.address)}",
                "undone by the contract",
                receipt.transaction,
            )
        return receipt

    def _reason(self, call: Call, sender: bytes) -> str:
        """The contract's error, by trying the call again on the present state."""
        try:
            self.node.call(call, sender)
        except ShelianError as error:
            if isinstance(error.got, str) and error.got.startswith("0x"):
                return correction_documents.decode_error(bytes.fromhex(error.got[2:])).name
            return error.code
        return "unknown"

    def sender(self, transaction: str) -> bytes:
        """Whose transaction it is: an address."""
        return _bytes(self.node.request("eth_getTransactionByHash", transaction)["from"])

    def transactions_about(self, contract: bytes, subject: bytes) -> tuple[str, ...]:
        """Transactions with an event of `contract` whose first indexed argument is `subject`, in order."""
        query = {
            "fromBlock": "0x1",
            "toBlock": "latest",
            "address": "0x" + contract.hex(),
            "topics": [None, "0x" + subject.hex()],
        }
        logs = self.node.request("eth_getLogs", query)
        return tuple(dict.fromkeys(str(log["transactionHash"]) for log in logs))

    def evidence(self, transaction: str, patience_s: float = 30) -> TransactionEvidence:
        """The proof of a transaction, once the block after it is there, and the validators' signatures."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            try:
                proof = self.node.request("shelian_getTransactionProof", transaction)
            except NodeError as error:
                if error.code != "ledger.header_missing":
                    raise
                proof = None
            if proof is not None and proof["isComplete"]:
                return _evidence(proof)
            time.sleep(0.05)
        raise StepFailed("demo.step_failed", "the node has no proof of a transaction", transaction)


def _evidence(proof: dict[str, Any]) -> TransactionEvidence:
    return TransactionEvidence(
        raw=_bytes(proof["transaction"]["raw"]),
        transaction_proof=_merkle(proof["transaction"]["proof"]),
        receipt=_bytes(proof["receipt"]["encoded"]),
        result=_bytes(proof["receipt"]["result"]),
        result_proof=_merkle(proof["receipt"]["proof"]),
        signed=_signed(proof["header"]),
        next_signed=_signed(proof["nextHeader"]),
    )


def _merkle(proof: dict[str, Any]) -> MerkleProof:
    return MerkleProof(int(proof["index"], 16), int(proof["total"], 16), tuple(map(_bytes, proof["aunts"])))


def _signed(header: dict[str, Any]) -> SignedHeader:
    return SignedHeader(_bytes(header["encoded"]), _bytes(header["commit"]))


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])
