"""What unmodified wallets ask, answered by a real node with real blocks."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import rlp
from eth_abi import encode
from hexbytes import HexBytes
from trie import HexaryTrie

from node.chain.encoding import keccak256
from node.chain.rules import DOMAIN_SERVICE, STATUS_REVOKED
from node.chain.signing import SECP256K1
from tests.helpers.ledger import SERVICE, person, set_credential
from tests.helpers.rpc_node import (
    DEPLOYER,
    OTHER,
    PERSON,
    SAMPLE_CODE,
    SENDER,
    STRANGER,
    RunningNode,
    address_of,
    running_node,
)

TRANSFER = "0x" + keccak256(b"Transfer(address,address,uint256)").hex()


def calldata(signature: str, *values: object) -> bytes:
    types = signature[signature.index("(") + 1 : -1]
    return keccak256(signature.encode())[:4] + encode(types.split(",") if types else [], values)


def mint(value: int = 5) -> bytes:
    return calldata("mint(uint256)", value)


def hexadecimal(data: bytes) -> str:
    return "0x" + data.hex()


def topic(address: bytes) -> str:
    return "0x" + "00" * 12 + address.hex()


def wait_for_height(node: RunningNode, height: int) -> None:
    for _ in range(500):
        if int(node.call("eth_blockNumber"), 16) >= height:
            return
        time.sleep(0.01)
    raise AssertionError(f"no block {height}")


def test_a_wallet_learns_what_chain_this_is(node: RunningNode) -> None:
    assert int(node.call("eth_chainId"), 16) == node.chain_id
    assert node.call("net_version") == str(node.chain_id)
    assert node.call("net_listening") is True
    assert node.call("net_peerCount") == "0x0"
    assert node.call("web3_clientVersion").startswith("Shelian/")
    assert node.call("web3_sha3", "0x") == hexadecimal(keccak256(b""))
    assert node.call("eth_syncing") is False
    assert node.call("eth_accounts") == []


def test_gas_costs_nothing(node: RunningNode, sample: str) -> None:
    assert node.call("eth_gasPrice") == "0x0"
    assert node.call("eth_maxPriorityFeePerGas") == "0x0"
    history = node.call("eth_feeHistory", "0x2", "latest", [10, 90])
    assert history["baseFeePerGas"] == ["0x0"] * 3
    assert history["reward"] == [["0x0", "0x0"]] * 2
    assert all(0 <= ratio <= 1 for ratio in history["gasUsedRatio"])
    assert node.call("eth_feeHistory", 1, "0x1")["oldestBlock"] == "0x1"
    assert node.call("eth_getBlockByNumber", "latest", False)["baseFeePerGas"] == "0x0"


def test_a_contract_is_deployed_called_and_its_receipt_found(node: RunningNode, sample: str) -> None:
    assert len(node.call("eth_getCode", sample, "latest")) > 100
    receipt = node.send(node.sign(SENDER, sample, mint(7)))
    assert receipt["status"] == "0x1"
    assert receipt["type"] == "0x2"
    assert receipt["from"] == hexadecimal(address_of(SENDER))
    assert receipt["to"] == sample
    assert receipt["contractAddress"] is None
    assert receipt["effectiveGasPrice"] == "0x0"
    assert receipt["logs"][0]["topics"] == [TRANSFER, topic(bytes(20)), topic(address_of(SENDER))]
    assert node.call("eth_getTransactionReceipt", receipt["transactionHash"]) == receipt
    assert node.call("eth_getBlockReceipts", receipt["blockNumber"]) == [receipt]
    balance = node.call(
        "eth_call", {"to": sample, "data": hexadecimal(calldata("balanceOf(address)", SENDER.address))}
    )
    assert int(balance, 16) >= 7


def test_a_transaction_is_found_by_hash_and_by_place(node: RunningNode, sample: str) -> None:
    raw = node.sign(SENDER, sample, mint())
    receipt = node.send(raw)
    found = node.call("eth_getTransactionByHash", receipt["transactionHash"])
    assert found["hash"] == hexadecimal(keccak256(raw))
    assert found["input"] == hexadecimal(mint())
    assert found["blockHash"] == receipt["blockHash"]
    place = receipt["transactionIndex"]
    assert node.call("eth_getTransactionByBlockNumberAndIndex", receipt["blockNumber"], place) == found
    assert node.call("eth_getTransactionByBlockHashAndIndex", receipt["blockHash"], place) == found
    assert node.call("eth_getTransactionByBlockNumberAndIndex", receipt["blockNumber"], "0x9") is None
    assert node.call("eth_getTransactionByHash", "0x" + "00" * 32) is None
    assert node.call("eth_getTransactionReceipt", "0x" + "00" * 32) is None
    block = node.call("eth_getBlockByHash", receipt["blockHash"], True)
    assert block["transactions"] == [found]
    assert block == node.call("eth_getBlockByNumber", receipt["blockNumber"], True)
    assert node.call("eth_getBlockByHash", receipt["blockHash"], False)["transactions"] == [found["hash"]]


def test_signatures_of_all_ethereum_types_are_served_as_signed(node: RunningNode, sample: str) -> None:
    common = {
        "to": bytes.fromhex(sample[2:]),
        "value": 0,
        "gas": 100_000,
        "data": mint(),
        "chainId": node.chain_id,
    }
    access = [{"address": sample, "storageKeys": ["0x" + "00" * 31 + "01"]}]
    for fields in (
        {"gasPrice": 0},
        {"gasPrice": 0, "type": 1, "accessList": access},
        {"maxFeePerGas": 0, "maxPriorityFeePerGas": 0, "type": 2},
    ):
        signed = OTHER.sign_transaction(common | fields | {"nonce": node.next_nonce(address_of(OTHER))})
        node.send(bytes(signed.raw_transaction))
        found = node.call("eth_getTransactionByHash", hexadecimal(signed.hash))
        assert (int(found["r"], 16), int(found["s"], 16), int(found["v"], 16)) == (
            signed.r,
            signed.s,
            signed.v,
        )
        assert int(found["type"], 16) == fields.get("type", 0)
        assert ("yParity" in found) == ("type" in fields)
    assert node.call("eth_getTransactionByHash", hexadecimal(signed.hash))["accessList"] == []


def test_an_imi_transaction_looks_like_one_that_clients_accept(node: RunningNode, sample: str) -> None:
    receipt = node.send(node.sign_imi([(sample, mint(1)), (sample, mint(2))]))
    assert receipt["type"] == "0x49"
    assert receipt["status"] == "0x1"
    assert [log["logIndex"] for log in receipt["logs"]] == ["0x0", "0x1"]
    found = node.call("eth_getTransactionByHash", receipt["transactionHash"])
    assert found["type"] == "0x49"
    assert found["to"] == sample
    assert found["input"] == hexadecimal(mint(1))
    assert found["from"] == hexadecimal(PERSON.address)
    assert "signature" not in found
    assert all(int(found[name], 16) for name in ("r", "s", "v", "yParity"))
    assert found["imi"]["calls"] == [{"to": sample, "data": hexadecimal(mint(value))} for value in (1, 2)]
    assert found["imi"]["scheme"] == "0x2"


def test_a_failed_imi_batch_leaves_nothing_and_says_why(node: RunningNode, sample: str) -> None:
    poor = calldata("transfer(address,uint256)", SENDER.address, 1 << 200)
    receipt = node.send(node.sign_imi([(sample, mint(1)), (sample, poor)]))
    assert receipt["status"] == "0x0"
    assert receipt["logs"] == []
    assert receipt["revertData"].startswith(hexadecimal(keccak256(b"NotEnough(uint256,uint256)")[:4]))


def test_reverts_come_as_code_3_with_their_data(node: RunningNode, sample: str) -> None:
    def failing(data: bytes) -> dict[str, Any]:
        return node.error("eth_call", {"to": sample, "data": hexadecimal(data), "from": SENDER.address})

    text = failing(calldata("transfer(address,uint256)", "0x" + "00" * 20, 1))
    assert text["code"] == 3
    assert text["message"] == "execution reverted: no such address"
    assert text["data"].startswith("0x08c379a0")
    custom = failing(calldata("transfer(address,uint256)", OTHER.address, 1 << 200))
    assert custom["code"] == 3
    assert custom["data"].startswith(hexadecimal(keccak256(b"NotEnough(uint256,uint256)")[:4]))
    panic = failing(calldata("fail()"))
    assert panic["message"] == "execution reverted: panic 0x01"
    estimate = node.error("eth_estimateGas", {"to": sample, "data": hexadecimal(calldata("fail()"))})
    assert estimate["code"] == 3
    assert estimate["data"] == panic["data"]


def test_an_estimate_is_the_least_gas_that_does(node: RunningNode, sample: str) -> None:
    call = {"from": OTHER.address, "to": sample, "data": hexadecimal(mint(3))}
    gas = int(node.call("eth_estimateGas", call), 16)
    assert node.send(node.sign(OTHER, sample, mint(3), gas=gas))["status"] == "0x1"
    gas = int(node.call("eth_estimateGas", call), 16)
    assert node.send(node.sign(OTHER, sample, mint(3), gas=gas - 1))["status"] == "0x0"
    creation = {"from": DEPLOYER.address, "data": hexadecimal(SAMPLE_CODE)}
    gas = int(node.call("eth_estimateGas", creation), 16)
    assert node.send(node.sign(DEPLOYER, None, SAMPLE_CODE, gas=gas))["status"] == "0x1"


def test_an_imi_estimate_is_the_least_gas_that_does(node: RunningNode, sample: str) -> None:
    calls = [(sample, mint(1)), (sample, mint(2))]
    size = len(node.sign_imi(calls, gas=60_000))  # as many bytes of gas limit as the real one
    node._nonces.pop(PERSON.address)
    wanted = {
        "from": hexadecimal(PERSON.address),
        "calls": [{"to": to, "data": hexadecimal(data)} for to, data in calls],
        "scheme": "0x2",
        "size": hex(size),
    }
    gas = int(node.call("shelian_estimateImiGas", wanted), 16)
    assert node.send(node.sign_imi(calls, gas=gas))["status"] == "0x1"
    gas = int(node.call("shelian_estimateImiGas", wanted), 16)
    assert node.send(node.sign_imi(calls, gas=gas - 1))["status"] == "0x0"
    refused = node.error("shelian_estimateImiGas", wanted | {"scheme": "0x6"})
    assert refused["data"]["code"] == "rpc.invalid_parameter"


def test_calls_see_the_block_they_ask_for(node: RunningNode, sample: str) -> None:
    before = int(node.call("eth_blockNumber"), 16)
    receipt = node.send(node.sign(OTHER, sample, mint(11)))
    balance = {"to": sample, "data": hexadecimal(calldata("balanceOf(address)", OTHER.address))}
    now = int(node.call("eth_call", balance, receipt["blockNumber"]), 16)
    assert int(node.call("eth_call", balance, hex(before)), 16) == now - 11
    by_hash = {"blockHash": receipt["blockHash"], "requireCanonical": True}
    assert int(node.call("eth_call", balance, by_hash), 16) == now
    clock = {"to": sample, "data": hexadecimal(calldata("now_()"))}
    for height in (before, int(receipt["blockNumber"], 16)):
        block = node.call("eth_getBlockByNumber", hex(height), False)
        seen = bytes.fromhex(node.call("eth_call", clock, hex(height))[2:])
        assert seen == encode(["uint256", "uint256"], [height, int(block["timestamp"], 16)])
    pending = bytes.fromhex(node.call("eth_call", clock, "pending")[2:])
    assert int.from_bytes(pending[:32], "big") > int(receipt["blockNumber"], 16)


def test_state_is_read_at_heights_tags_and_hashes(node: RunningNode, sample: str) -> None:
    receipt = node.send(node.sign(SENDER, sample, mint()))
    count = int(node.call("eth_getTransactionCount", SENDER.address, receipt["blockNumber"]), 16)
    earlier = hex(int(receipt["blockNumber"], 16) - 1)
    assert int(node.call("eth_getTransactionCount", SENDER.address, earlier), 16) == count - 1
    for tag in ("latest", "safe", "finalized", "pending"):
        assert int(node.call("eth_getTransactionCount", SENDER.address, tag), 16) == count
    assert node.call("eth_getTransactionCount", SENDER.address, "earliest") == "0x0"
    assert node.call("eth_getTransactionCount", STRANGER.address) == "0x0"
    assert node.call("eth_getCode", sample, "earliest") == "0x"
    assert node.call("eth_getBalance", SENDER.address, "latest") == "0x0"
    unknown = node.error("eth_getBalance", SENDER.address, "0xffffff")
    assert unknown["data"]["code"] == "rpc.unknown_block"
    assert node.error("eth_getBalance", SENDER.address, {"blockHash": "0x" + "ab" * 32})["code"] == -32000


def test_blocks_chain_from_genesis_to_the_tip(node: RunningNode, sample: str) -> None:
    genesis = node.call("eth_getBlockByNumber", "earliest", False)
    assert genesis["number"] == "0x0"
    assert genesis["hash"] == hexadecimal(node.genesis.hash)
    assert genesis == node.call("eth_getBlockByHash", genesis["hash"], False)
    tip = int(node.call("eth_blockNumber"), 16)
    parent, state_root = genesis["hash"], genesis["stateRoot"]
    for height in range(1, tip + 1):
        block = node.call("eth_getBlockByNumber", hex(height), False)
        assert block["parentHash"] == parent
        signed = node.call("shelian_getHeader", hex(height))
        assert signed["hash"] == block["hash"]
        assert signed["header"]["appHash"] == state_root
        parent, state_root = block["hash"], block["stateRoot"]
    assert node.call("eth_getBlockByNumber", hex(tip + 1_000), False) is None
    assert node.call("eth_getBlockByHash", "0x" + "ab" * 32, False) is None


def test_there_are_no_uncles_and_counts_are_right(node: RunningNode, sample: str) -> None:
    receipt = node.send(node.sign(SENDER, sample, mint()))
    number, block_hash = receipt["blockNumber"], receipt["blockHash"]
    assert node.call("eth_getBlockTransactionCountByNumber", number) == "0x1"
    assert node.call("eth_getBlockTransactionCountByHash", block_hash) == "0x1"
    assert node.call("eth_getUncleCountByBlockNumber", number) == "0x0"
    assert node.call("eth_getUncleCountByBlockHash", block_hash) == "0x0"
    assert node.call("eth_getUncleByBlockNumberAndIndex", number, "0x0") is None
    assert node.call("eth_getUncleByBlockHashAndIndex", block_hash, "0x0") is None


def test_the_roots_of_a_block_are_ethereum_s(node: RunningNode, sample: str) -> None:
    raws = [node.sign(SENDER, sample, mint(value)) for value in range(1, 4)]
    for raw in raws[:-1]:
        node.call("eth_sendRawTransaction", hexadecimal(raw))
    receipt = node.send(raws[-1])
    block = node.call("eth_getBlockByNumber", receipt["blockNumber"], False)
    proofs = [node.call("shelian_getTransactionProof", one) for one in block["transactions"]]
    for root, part in (("transactionsRoot", "transaction"), ("receiptsRoot", "receipt")):
        expected = HexaryTrie({})
        for index, proof in enumerate(proofs):
            expected[rlp.encode(index)] = bytes.fromhex(
                proof[part]["raw" if part == "transaction" else "encoded"][2:]
            )
        assert block[root] == hexadecimal(expected.root_hash)


def test_account_proofs_verify_against_the_block_s_state_root(node: RunningNode, sample: str) -> None:
    receipt = node.send(node.sign(SENDER, sample, mint()))
    slot = keccak256(bytes(12) + address_of(SENDER) + bytes(32))
    proof = node.call("eth_getProof", sample, [hexadecimal(slot), "0x5"], receipt["blockNumber"])
    root = bytes.fromhex(node.call("eth_getBlockByNumber", receipt["blockNumber"], False)["stateRoot"][2:])

    def prove(root: bytes, key: bytes, nodes: list[str]) -> bytes:
        return HexaryTrie.get_from_proof(root, keccak256(key), [rlp.decode(HexBytes(node)) for node in nodes])

    nonce, balance, storage_root, code_hash = rlp.decode(
        prove(root, bytes.fromhex(sample[2:]), proof["accountProof"])
    )
    assert (hexadecimal(storage_root), hexadecimal(code_hash)) == (proof["storageHash"], proof["codeHash"])
    assert (int.from_bytes(nonce, "big"), balance) == (int(proof["nonce"], 16), b"")
    held, empty = proof["storageProof"]
    value = rlp.decode(prove(storage_root, slot, held["proof"]))
    assert int(held["value"], 16) == int.from_bytes(value, "big") > 0
    assert int(node.call("eth_getStorageAt", sample, hexadecimal(slot), receipt["blockNumber"]), 16) == int(
        held["value"], 16
    )
    assert prove(storage_root, (5).to_bytes(32, "big"), empty["proof"]) == b""
    assert empty["value"] == "0x0"


def test_logs_are_found_by_address_topic_range_and_block(node: RunningNode, sample: str) -> None:
    other = node.deploy()
    receipts = [
        node.send(node.sign(key, address, mint()))
        for key, address in ((SENDER, sample), (OTHER, sample), (OTHER, other))
    ]
    span = {"fromBlock": receipts[0]["blockNumber"], "toBlock": receipts[-1]["blockNumber"]}

    def found(**query: object) -> list[str]:
        return [log["transactionHash"] for log in node.call("eth_getLogs", span | query)]

    first, second, third = [receipt["transactionHash"] for receipt in receipts]
    assert found() == [first, second, third]
    assert found(address=sample) == [first, second]
    assert found(address=[sample, other]) == [first, second, third]
    assert found(topics=[TRANSFER, None, topic(address_of(OTHER))]) == [second, third]
    assert found(topics=[None, None, [topic(address_of(OTHER)), topic(address_of(SENDER))]]) == [
        first,
        second,
        third,
    ]
    assert found(address=other, topics=[[TRANSFER]]) == [third]
    assert found(topics=["0x" + "00" * 32]) == []
    by_hash = node.call("eth_getLogs", {"blockHash": receipts[1]["blockHash"]})
    assert by_hash == receipts[1]["logs"]
    assert node.error("eth_getLogs", {"fromBlock": "0x2", "toBlock": "0x1"})["code"] == -32602


def test_filters_report_what_is_new_once(node: RunningNode, sample: str) -> None:
    logs = node.call("eth_newFilter", {"address": sample})
    blocks = node.call("eth_newBlockFilter")
    pending = node.call("eth_newPendingTransactionFilter")
    assert node.call("eth_getFilterChanges", logs) == []
    receipt = node.send(node.sign(SENDER, sample, mint()))
    assert node.call("eth_getFilterChanges", logs) == receipt["logs"]
    assert node.call("eth_getFilterChanges", logs) == []
    assert receipt["blockHash"] in node.call("eth_getFilterChanges", blocks)
    assert node.call("eth_getFilterChanges", pending) == [receipt["transactionHash"]]
    everything = node.call("eth_newFilter", {"address": sample, "fromBlock": "earliest"})
    assert node.call("eth_getFilterLogs", everything)[-1] == receipt["logs"][0]
    assert node.call("eth_getFilterChanges", everything) == []
    assert node.call("eth_uninstallFilter", logs) is True
    assert node.call("eth_uninstallFilter", logs) is False
    assert node.error("eth_getFilterChanges", logs)["data"]["code"] == "rpc.unknown_filter"


def test_a_pool_shows_what_waits(tmp_path: Path) -> None:
    with running_node(tmp_path, makes_blocks=False) as node:
        first, gap = (
            node.sign(SENDER, SENDER.address.lower(), b""),
            node.sign(SENDER, SENDER.address.lower(), b"", nonce=5),
        )
        transaction_hash = node.call("eth_sendRawTransaction", hexadecimal(first))
        node.call("eth_sendRawTransaction", hexadecimal(gap))
        assert node.call("eth_sendRawTransaction", hexadecimal(first)) == transaction_hash
        found = node.call("eth_getTransactionByHash", transaction_hash)
        assert (found["blockHash"], found["blockNumber"], found["transactionIndex"]) == (None, None, None)
        assert node.call("eth_getTransactionReceipt", transaction_hash) is None
        assert node.call("eth_getTransactionCount", SENDER.address, "pending") == "0x1"
        assert node.call("eth_getTransactionCount", SENDER.address, "latest") == "0x0"
        assert node.call("shelian_getTransactionStatus", transaction_hash) == {"status": "pending"}
        assert node.call("shelian_getTransactionStatus", "0x" + "00" * 32) == {"status": "unknown"}
        held = node.call("shelian_getPool")
        assert (held["ready"], held["waiting"]) == ("0x1", "0x1")
        late = node.error("eth_sendRawTransactionSync", hexadecimal(first), 50)
        assert (late["code"], late["data"]) == (4, transaction_hash)


def test_health_and_status_tell_an_operator_how_the_node_is(node: RunningNode, sample: str) -> None:
    health, status = node.call("shelian_health"), node.call("shelian_status")
    assert health["ok"] is True
    assert health["failure"] is None
    assert status["engine"] == "embedded"
    assert (status["catchingUp"], status["alarm"], status["misbehaviour"]) == (False, None, [])
    assert status["purpose"] == "demo"
    assert status["genesisHash"] == hexadecimal(node.genesis.hash)
    assert int(status["chainId"], 16) == node.chain_id
    assert status["rules"]["blockGas"] == 40_000_000
    (validator,) = node.call("shelian_getValidators")
    assert validator["power"] == "0xa"
    assert node.call("shelian_getValidators", "pending") == [validator]
    block = node.call("eth_getBlockByNumber", "latest", False)
    assert block["shelian"]["proposer"] == validator["address"]


def test_a_chain_that_is_its_own_beginning_has_no_handover(node: RunningNode) -> None:
    assert node.call("shelian_getHandover") is None


def test_who_waits_for_a_receipt_learns_why_there_will_be_none(tmp_path: Path) -> None:
    with running_node(tmp_path) as node:
        stranded = node.sign(OTHER, SENDER.address.lower(), b"", nonce=1)
        answers: list[dict[str, Any]] = []
        waiting = threading.Thread(
            target=lambda: answers.append(node.error("eth_sendRawTransactionSync", hexadecimal(stranded)))
        )
        waiting.start()
        transaction_hash = hexadecimal(keccak256(stranded))
        while node.call("shelian_getTransactionStatus", transaction_hash)["status"] != "pending":
            time.sleep(0.01)
        other = person("other", SECP256K1, DOMAIN_SERVICE, SERVICE)
        revoke = set_credential(other.address, other.credential(status=STATUS_REVOKED))
        node.send(node.sign(SENDER, hexadecimal(revoke.to), revoke.data))
        waiting.join(10)
        assert answers[0]["data"]["code"] == "sender.revoked"
        status = node.call("shelian_getTransactionStatus", transaction_hash)
        assert (status["status"], status["reason"]["code"]) == ("dropped", "sender.revoked")
