"""web3.py 8, over HTTP and WebSocket."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from web3 import AsyncWeb3, Web3, WebSocketProvider
from web3.exceptions import ContractCustomError, ContractLogicError
from web3.middleware import SignAndSendRawMiddlewareBuilder
from web3.utils.subscriptions import LogsSubscription, NewHeadsSubscription

from node.chain.encoding import keccak256
from tests.clients.conftest import Chain
from tests.helpers.rpc_node import DEPLOYER, OTHER, PERSON, SAMPLE


@pytest.fixture
def web3(chain: Chain) -> Web3:
    client = Web3(Web3.HTTPProvider(chain.node.url))
    client.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build(DEPLOYER), layer=0)
    client.eth.default_account = DEPLOYER.address
    return client


def deploy(web3: Web3) -> Any:
    factory = web3.eth.contract(abi=SAMPLE["abi"], bytecode=SAMPLE["bytecode"])
    receipt = web3.eth.wait_for_transaction_receipt(factory.constructor().transact(), poll_latency=0.02)
    assert receipt["status"] == 1
    return web3.eth.contract(receipt["contractAddress"], abi=SAMPLE["abi"])


def test_it_deploys_sends_and_reads_events(web3: Web3) -> None:
    contract = deploy(web3)
    events = contract.events.Transfer.create_filter(from_block="latest")
    blocks = web3.eth.filter("latest")
    sent = contract.functions.transfer(OTHER.address, 5).transact()
    receipt = web3.eth.wait_for_transaction_receipt(sent, poll_latency=0.02)
    assert receipt["effectiveGasPrice"] == 0
    (event,) = contract.events.Transfer().process_receipt(receipt)
    assert event["args"] == {"from": DEPLOYER.address, "to": OTHER.address, "value": 5}
    assert [entry["transactionHash"] for entry in events.get_new_entries()] == [sent]
    assert receipt["blockHash"] in blocks.get_new_entries()
    assert len(contract.events.Transfer().get_logs(from_block=0)) == 2
    assert contract.functions.balanceOf(OTHER.address).call() == 5
    earlier = receipt["blockNumber"] - 1
    assert contract.functions.balanceOf(OTHER.address).call(block_identifier=earlier) == 0
    assert web3.eth.get_transaction(sent)["type"] == 2


def test_it_raises_reverts_with_their_reason(web3: Web3) -> None:
    contract = deploy(web3)
    with pytest.raises(ContractLogicError, match="no such address"):
        contract.functions.transfer("0x" + "00" * 20, 1).call()
    with pytest.raises(ContractCustomError) as caught:
        contract.functions.transfer(OTHER.address, 1 << 200).transact()
    assert str(caught.value.data).startswith("0x" + keccak256(b"NotEnough(uint256,uint256)")[:4].hex())


def test_it_reads_state_fees_and_proofs(web3: Web3, chain: Chain) -> None:
    assert web3.is_connected()
    assert web3.eth.chain_id == chain.node.chain_id
    assert web3.eth.gas_price == web3.eth.max_priority_fee == 0
    assert web3.eth.syncing is False
    assert web3.eth.fee_history(2, "latest", [50])["baseFeePerGas"] == [0, 0, 0]
    proof = web3.eth.get_proof(Web3.to_checksum_address(chain.sample), [0], "latest")
    assert proof["accountProof"]
    block = web3.eth.get_block("latest")
    assert block["baseFeePerGas"] == 0
    assert web3.eth.get_block(block["hash"])["number"] == block["number"]


def test_it_reads_blocks_of_imi_transactions(web3: Web3, chain: Chain) -> None:
    (found,) = web3.eth.get_block(chain.imi_block, full_transactions=True)["transactions"]
    assert found["hash"].to_0x_hex() == chain.imi_hash
    assert found["type"] == 0x49
    assert found["from"] == Web3.to_checksum_address(PERSON.address)
    assert len(found["imi"]["calls"]) == 2
    assert web3.eth.get_transaction_receipt(found["hash"])["status"] == 1


def test_it_subscribes_over_websocket(web3: Web3, chain: Chain) -> None:
    contract = deploy(web3)
    heads: list[int] = []
    logs: list[Any] = []

    async def follow() -> None:
        async def on_head(context: Any) -> None:
            heads.append(context.result["number"])

        async def on_log(context: Any) -> None:
            logs.append(context.result)
            await context.subscription.unsubscribe()

        async with AsyncWeb3(WebSocketProvider(chain.websocket_url)) as live:
            await live.subscription_manager.subscribe(
                [
                    NewHeadsSubscription(handler=on_head),
                    LogsSubscription(address=contract.address, handler=on_log),
                ]
            )
            sent = await asyncio.to_thread(contract.functions.mint(3).transact)
            handler = asyncio.create_task(live.subscription_manager.handle_subscriptions())
            for _ in range(200):
                if logs and heads:
                    break
                await asyncio.sleep(0.02)
            handler.cancel()
            assert logs[0]["transactionHash"] == sent

    asyncio.run(follow())
    assert heads == sorted(heads)
    assert heads
