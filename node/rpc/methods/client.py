"""What a wallet asks first: which chain, how far, what does it cost (nothing)."""

from __future__ import annotations

from importlib.metadata import version

from node.chain.encoding import keccak256
from node.rpc.blocks import record_of
from node.rpc.errors import limited
from node.rpc.formats import Json
from node.rpc.method import Kind, Method, Parameter
from node.rpc.parameters import BlockSelector, parse_block_number, parse_count, parse_data, parse_percentiles
from node.rpc.request import Request

_CLIENT = f"Shelian/{version('shelian')}"
_FEE_HISTORY_BLOCKS = 1_024
_BLOB_BASE_FEE = "0x1"


def chain_id(request: Request) -> str:
    return request.service.chain_id


def network_id(request: Request) -> str:
    return str(request.node.genesis.evm_chain_id)


def listening(request: Request) -> bool:
    return True


def peer_count(request: Request) -> str:
    return hex(request.node.status().peers)


def client_version(request: Request) -> str:
    return _CLIENT


def sha3(request: Request, data: bytes) -> str:
    return "0x" + keccak256(data).hex()


def block_number(request: Request) -> str:
    return hex(request.ledger.tip.height)


def syncing(request: Request) -> bool | Json:
    height, target = request.ledger.tip.height, request.node.status().target_height
    if target - height <= 1:
        return False
    return {"startingBlock": "0x0", "currentBlock": hex(height), "highestBlock": hex(target)}


def accounts(request: Request) -> list[str]:
    """None: no node holds a key."""
    return []


def zero(request: Request) -> str:
    return "0x0"


def blob_base_fee(request: Request) -> str:
    return _BLOB_BASE_FEE


def fee_history(request: Request, count: int, newest: BlockSelector, percentiles: tuple[float, ...]) -> Json:
    if count > _FEE_HISTORY_BLOCKS:
        raise limited("rpc.fee_history", "too many blocks", count, _FEE_HISTORY_BLOCKS)
    ledger = request.ledger
    last = request.require_height(newest)
    first = max(last - count + 1, min(ledger.first_record, last))
    count = last - first + 1
    records = [record_of(ledger, height) for height in range(first, last + 1)]
    answer: Json = {
        "oldestBlock": hex(first),
        "baseFeePerGas": ["0x0"] * (count + 1),
        "gasUsedRatio": [record.gas_used / record.gas_limit for record in records],
        "baseFeePerBlobGas": [_BLOB_BASE_FEE] * (count + 1),
        "blobGasUsedRatio": [0.0] * count,
    }
    if percentiles:
        answer["reward"] = [["0x0"] * len(percentiles)] * count
    return answer


METHODS = (
    Method("eth_chainId", chain_id),
    Method("net_version", network_id),
    Method("net_listening", listening),
    Method("net_peerCount", peer_count),
    Method("web3_clientVersion", client_version),
    Method("web3_sha3", sha3, (Parameter("data", parse_data),)),
    Method("eth_blockNumber", block_number),
    Method("eth_syncing", syncing),
    Method("eth_accounts", accounts),
    Method("eth_gasPrice", zero),
    Method("eth_maxPriorityFeePerGas", zero),
    Method("eth_blobBaseFee", blob_base_fee),
    Method(
        "eth_feeHistory",
        fee_history,
        (
            Parameter("blockCount", parse_count),
            Parameter("newestBlock", parse_block_number),
            Parameter("rewardPercentiles", parse_percentiles, ()),
        ),
        Kind.WORK,
        cost=5,
    ),
)
