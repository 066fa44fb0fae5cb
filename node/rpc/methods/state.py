"""Accounts and storage at any height held, with proofs."""

from __future__ import annotations

from node.chain.transaction import Address
from node.rpc.formats import Json, data
from node.rpc.method import Kind, Method, Parameter
from node.rpc.parameters import LATEST, BlockSelector, parse_address, parse_block, parse_quantity, parse_slots
from node.rpc.request import Request
from node.state.account import EMPTY_ACCOUNT, Account
from node.state.views import StateView


def state_at(request: Request, block: BlockSelector) -> StateView:
    """The state after a block. Raises RpcError `rpc.unknown_block`."""
    height = request.require_height(block)
    return request.ledger.state(None if height == request.ledger.tip.height else height)


def balance(request: Request, address: Address, block: BlockSelector) -> str:
    account = state_at(request, block).account(address)
    return "0x0" if account is None else hex(account.balance)


def code(request: Request, address: Address, block: BlockSelector) -> str:
    state = state_at(request, block)
    account = state.account(address)
    return "0x" if account is None else data(state.code(account.code_hash))


def storage_at(request: Request, address: Address, slot: int, block: BlockSelector) -> str:
    request.caller.check_contracts(frozenset({address}))
    return f"0x{state_at(request, block).storage(address, slot):064x}"


def transaction_count(request: Request, address: Address, block: BlockSelector) -> str:
    if block.tag == "pending":
        nonce = request.node.pending_nonce(address)
        if nonce is not None:
            return hex(nonce)
    account = state_at(request, block).account(address)
    return "0x0" if account is None else hex(account.nonce)


def proof(request: Request, address: Address, slots: tuple[int, ...], block: BlockSelector) -> Json:
    """EIP-1186."""
    request.caller.check_contracts(frozenset({address}))
    height = request.require_height(block)
    state = state_at(request, block)
    account: Account = state.account(address) or EMPTY_ACCOUNT
    account_proof, storage_proofs = request.ledger.account_proof(address, slots, height)
    return {
        "address": data(address),
        "balance": hex(account.balance),
        "nonce": hex(account.nonce),
        "codeHash": data(account.code_hash),
        "storageHash": data(account.storage_root),
        "accountProof": [data(node) for node in account_proof],
        "storageProof": [
            {
                "key": hex(slot),
                "value": hex(state.storage(address, slot)),
                "proof": [data(node) for node in nodes],
            }
            for slot, nodes in zip(slots, storage_proofs, strict=True)
        ],
    }


_ADDRESS = Parameter("address", parse_address)
_BLOCK = Parameter("block", parse_block, LATEST)

METHODS = (
    Method("eth_getBalance", balance, (_ADDRESS, _BLOCK)),
    Method("eth_getCode", code, (_ADDRESS, _BLOCK)),
    Method("eth_getStorageAt", storage_at, (_ADDRESS, Parameter("slot", parse_quantity), _BLOCK)),
    Method("eth_getTransactionCount", transaction_count, (_ADDRESS, _BLOCK)),
    Method(
        "eth_getProof",
        proof,
        (_ADDRESS, Parameter("storageKeys", parse_slots), _BLOCK),
        kind=Kind.WORK,
        cost=10,
    ),
)
