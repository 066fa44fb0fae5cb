"""JSON forms of blocks, transactions, receipts and logs, as Ethereum's execution API has them.

What has no meaning here is served as the value that unmodified clients accept: no uncles, no difficulty, no
fees. A 0x49 transaction has type 0x49, `to` and `input` of its first call, dummy signature values (clients
refuse a transaction without) and no `signature` field; what it really holds is under `imi`. A block's own
data stands under Ethereum's names; `stateRoot` is the state after the block, so that eth_getProof verifies
against it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from node.chain.receipt import Log, decode_receipt
from node.chain.rules import COINBASE
from node.chain.transaction import AccessList, ImiTransaction, Transaction
from node.state.blocks import BlockRecord, StoredReceipt
from node.state.logs import StoredLog

Json = dict[str, object]

Gather = Callable[[Iterable[object]], object]
"""What makes a JSON list of items: `list`, or for long ones `Request.encode_each`."""

ZERO_HASH: Final = "0x" + "00" * 32
EMPTY_UNCLES_HASH: Final = "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"
_MINER: Final = "0x" + COINBASE.hex()


def data(value: bytes) -> str:
    return "0x" + value.hex()


def log_json(
    log: Log | StoredLog,
    *,
    place: tuple[str, str, str],
    transaction_hash: str,
    log_index: int,
    timestamp: str,
) -> Json:
    """`place` is (block hash, block number, transaction index), in JSON form."""
    return {
        "address": data(log.address),
        "topics": [data(topic) for topic in log.topics],
        "data": data(log.data),
        "blockHash": place[0],
        "blockNumber": place[1],
        "blockTimestamp": timestamp,
        "transactionHash": transaction_hash,
        "transactionIndex": place[2],
        "logIndex": hex(log_index),
        "removed": False,
    }


def stored_log_json(log: StoredLog, block_hash: bytes, time_ns: int) -> Json:
    return log_json(
        log,
        place=(data(block_hash), hex(log.height), hex(log.transaction_index)),
        transaction_hash=data(log.transaction_hash),
        log_index=log.log_index,
        timestamp=hex(time_ns // 1_000_000_000),
    )


def receipt_json(
    stored: StoredReceipt, transaction: Transaction, block: BlockRecord, index: int, gather: Gather = list
) -> Json:
    receipt = decode_receipt(stored.encoded)
    place = (data(block.hash), hex(block.height), hex(index))
    transaction_hash = data(transaction.hash)
    timestamp = hex(block.time_ns // 1_000_000_000)
    to = first_to(transaction)
    created = stored.contract_address
    answer: Json = {
        "transactionHash": transaction_hash,
        "transactionIndex": place[2],
        "blockHash": place[0],
        "blockNumber": place[1],
        "from": data(stored.sender),
        "to": None if to is None else data(to),
        "cumulativeGasUsed": hex(receipt.cumulative_gas_used),
        "gasUsed": hex(stored.result.gas_used),
        "effectiveGasPrice": "0x0",
        "contractAddress": None if created is None else data(created),
        "logs": gather(
            log_json(
                log,
                place=place,
                transaction_hash=transaction_hash,
                log_index=stored.first_log_index + offset,
                timestamp=timestamp,
            )
            for offset, log in enumerate(receipt.logs)
        ),
        "logsBloom": data(receipt.bloom),
        "status": hex(receipt.status),
        "type": hex(receipt.type),
    }
    if not receipt.status:
        # Not known where the block was filled in behind a state sync: no hash covers it.
        answer["revertData"] = None if stored.output is None else data(stored.output)
    return answer


def first_to(transaction: Transaction) -> bytes | None:
    return transaction.calls[0].to if isinstance(transaction, ImiTransaction) else transaction.to


def transaction_json(
    transaction: Transaction, sender: bytes, block: BlockRecord | None = None, index: int | None = None
) -> Json:
    """A transaction in a block, or one that waits (`block` None)."""
    answer: Json = {
        "hash": data(transaction.hash),
        "blockHash": None if block is None else data(block.hash),
        "blockNumber": None if block is None else hex(block.height),
        "transactionIndex": None if index is None else hex(index),
        "from": data(sender),
        "nonce": hex(transaction.nonce),
        "gas": hex(transaction.gas_limit),
        "chainId": hex(transaction.chain_id),
        "type": hex(transaction.type),
    }
    if isinstance(transaction, ImiTransaction):
        return answer | _imi_fields(transaction)
    answer |= {
        "to": None if transaction.to is None else data(transaction.to),
        "value": hex(transaction.value),
        "input": data(transaction.data),
        "gasPrice": "0x0" if transaction.type == 2 else hex(transaction.max_fee),
        "r": hex(transaction.r),
        "s": hex(transaction.s),
    }
    if transaction.type == 0:
        answer["v"] = hex(transaction.chain_id * 2 + 35 + transaction.y_parity)
        return answer
    answer |= {
        "accessList": _access_list_json(transaction.access_list),
        "yParity": hex(transaction.y_parity),
        "v": hex(transaction.y_parity),
    }
    if transaction.type == 2:
        answer |= {
            "maxFeePerGas": hex(transaction.max_fee),
            "maxPriorityFeePerGas": hex(transaction.max_priority_fee),
        }
    return answer


def _imi_fields(transaction: ImiTransaction) -> Json:
    return {
        "to": data(transaction.calls[0].to),
        "value": "0x0",
        "input": data(transaction.calls[0].data),
        "gasPrice": "0x0",
        # ethers refuses a transaction without a signature; these three are not one.
        "r": "0x1",
        "s": "0x1",
        "v": "0x1",
        "yParity": "0x1",
        "imi": {
            "validUntil": hex(transaction.valid_until),
            "scheme": hex(transaction.scheme),
            "publicKey": data(transaction.public_key),
            "signatureBytes": data(transaction.signature),
            "calls": [{"to": data(call.to), "data": data(call.data)} for call in transaction.calls],
        },
    }


def _access_list_json(access_list: AccessList) -> list[Json]:
    return [
        {"address": data(address), "storageKeys": [f"0x{slot:064x}" for slot in slots]}
        for address, slots in access_list
    ]


def header_json(block: BlockRecord, parent_hash: bytes, roots: tuple[bytes, bytes]) -> Json:
    """The fields of a header, as eth_subscribe(newHeads) sends them. `roots` of transactions and receipts."""
    return {
        "number": hex(block.height),
        "hash": data(block.hash),
        "parentHash": data(parent_hash),
        "timestamp": hex(block.time_ns // 1_000_000_000),
        "stateRoot": data(block.state_root),
        "transactionsRoot": data(roots[0]),
        "receiptsRoot": data(roots[1]),
        "logsBloom": data(block.logs_bloom),
        "gasLimit": hex(block.gas_limit),
        "gasUsed": hex(block.gas_used),
        "miner": _MINER,
        "extraData": "0x",
        "sha3Uncles": EMPTY_UNCLES_HASH,
        "difficulty": "0x0",
        "nonce": "0x0000000000000000",
        "mixHash": ZERO_HASH,
        "baseFeePerGas": "0x0",
        "shelian": {
            "timeNs": hex(block.time_ns),
            "proposer": data(block.proposer_address),
            "rulesVersion": hex(block.rules_version),
        },
    }


def block_json(header: Json, transactions: object, size: int) -> Json:
    return header | {
        "size": hex(size),
        "totalDifficulty": "0x0",
        "uncles": [],
        "transactions": transactions,
    }
