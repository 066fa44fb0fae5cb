"""What a decided block does to the state, whatever is in it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from node.chain.encoding import keccak256
from node.chain.errors import LedgerError
from node.chain.receipt import decode_receipt, results_hash
from node.chain.rules import COINBASE, FIRST_RULES, STATUS_REVOKED
from node.chain.signing import ED25519, ES256
from node.chain.transaction import ImiTransaction, decode
from node.ledger import DecidedBlock
from tests.helpers.ledger import (
    TOKEN,
    Chain,
    balance_of,
    mint,
    person,
    resign,
    set_credential,
    statuses,
    transfer,
)

TO = b"\x77" * 20

# Returns number, timestamp, coinbase, prevrandao, gas limit, chain id, base fee, gas price, blob base fee and
# blockhash(number - 1), each as a word.
CONTEXT_CODE = bytes.fromhex(
    "".join(f"{opcode}61{32 * place:04x}52" for place, opcode in enumerate(
        ("43", "42", "41", "44", "45", "46", "48", "3a", "4a", "6001430340")
    )) + "6101405ff3"
)  # fmt: skip


def returning(code: bytes) -> bytes:
    """Initcode that leaves `code` as the contract."""
    return b"\x61" + len(code).to_bytes(2, "big") + bytes.fromhex("80600a5f395ff3") + code


def test_calls_of_a_batch_happen_in_order(chain: Chain) -> None:
    judge = chain.judge.address
    finalized = chain.add_block(
        [chain.sign(chain.judge, [mint(judge, 7), transfer(TO, 7), mint(TO, 1), balance_of(TO)])]
    )
    assert statuses(finalized) == [1]
    assert int.from_bytes(finalized.receipts[0].output, "big") == 8
    assert [log.topics[2][12:] for log in finalized.logs[0]] == [judge, TO, TO]


def test_one_bad_call_undoes_the_whole_batch_and_consumes_the_nonce(chain: Chain) -> None:
    finalized = chain.add_block(
        [chain.sign(chain.clerk, [transfer(TO, 5), transfer(TO, 2_000_000), mint(TO, 1)])]
    )
    assert statuses(finalized) == [0]
    assert finalized.logs == ((),)
    assert finalized.receipts[0].output[:4] == keccak256(b"Insufficient(uint256,uint256)")[:4]
    assert int.from_bytes(finalized.receipts[0].output[4:36], "big") == 999_995
    assert chain.balance(TO) == 0
    assert chain.balance(chain.clerk.address) == 1_000_000
    assert chain.nonce(chain.clerk) == 1


def test_twenty_documents_under_one_signature_are_one_receipt(chain: Chain) -> None:
    finalized = chain.add_block(
        [chain.sign(chain.officer, [mint(TO, n) for n in range(20)], gas_limit=2_000_000)]
    )
    assert len(finalized.receipts) == 1
    assert len(finalized.logs[0]) == 20


def test_a_credential_revoked_in_the_block_counts_no_more_in_it(chain: Chain) -> None:
    revoke = set_credential(chain.judge.address, chain.judge.credential(status=STATUS_REVOKED))
    before = chain.sign(chain.judge, [mint(TO, 1)], nonce=0)
    after = chain.sign(chain.judge, [mint(TO, 1)], nonce=1)
    block = [before, chain.sign(chain.clerk, [revoke]), after]
    chain.ledger.process(block, 1, chain.next_time_ns)
    finalized = chain.add_block(block)
    assert statuses(finalized) == [1, 1, 0]
    assert finalized.receipts[2].result.gas_used == FIRST_RULES.imi_intrinsic_gas(ES256, len(after))
    assert chain.balance(TO) == 1
    assert chain.nonce(chain.judge) == 2


def test_what_is_no_transaction_has_code_1_and_no_receipt(chain: Chain) -> None:
    good = chain.sign(chain.clerk, [mint(TO, 1)])
    finalized = chain.add_block([b"", b"\x49junk", good])
    assert statuses(finalized) == [None, None, 1]
    assert [result.code for result in finalized.results] == [1, 1, 0]
    assert finalized.results[0].data == b""


def test_a_transaction_twice_in_a_block_happens_once(chain: Chain) -> None:
    raw = chain.sign(chain.clerk, [mint(TO, 1)])
    finalized = chain.add_block([raw, raw])
    assert statuses(finalized) == [1, 0]
    assert finalized.receipts[1].result.gas_used == 0
    assert chain.nonce(chain.clerk) == 1
    assert chain.balance(TO) == 1


def test_a_nonce_gap_in_a_decided_block_costs_nothing(chain: Chain) -> None:
    finalized = chain.add_block([chain.sign(chain.clerk, [mint(TO, 1)], nonce=3)])
    assert statuses(finalized) == [0]
    assert finalized.gas_used == 0
    assert chain.nonce(chain.clerk) == 0


@pytest.mark.parametrize("fault", ["forged", "another chain", "stranger"])
def test_what_the_sender_did_not_sign_for_this_chain_costs_the_sender_nothing(
    chain: Chain, fault: str
) -> None:
    raw = chain.sign(chain.clerk, [mint(TO, 1)])
    tx = decode(raw)
    assert isinstance(tx, ImiTransaction)
    if fault == "forged":
        raw = resign(tx, replace(chain.clerk, sign=person("stranger", ED25519).sign))
    elif fault == "another chain":
        raw = resign(tx, chain.clerk, chain_id=1)
    else:
        raw = chain.sign(person("stranger", ED25519), [mint(TO, 1)])
    finalized = chain.add_block([raw])
    assert statuses(finalized) == [0]
    assert finalized.gas_used == 0
    assert chain.nonce(chain.clerk) == 0


def test_an_expired_transaction_in_a_decided_block_costs_its_nonce(chain: Chain) -> None:
    raw = chain.sign(chain.clerk, [mint(TO, 1)], valid_for=0)
    finalized = chain.add_block([raw])
    assert statuses(finalized) == [0]
    assert finalized.gas_used == FIRST_RULES.imi_intrinsic_gas(ED25519, len(raw))
    assert chain.nonce(chain.clerk) == 1


def test_running_out_of_gas_takes_all_of_it(chain: Chain) -> None:
    burn = replace(mint(TO, 1), data=keccak256(b"burnGas()")[:4])
    finalized = chain.add_block([chain.sign(chain.clerk, [mint(TO, 1), burn], gas_limit=300_000)])
    assert statuses(finalized) == [0]
    assert finalized.gas_used == 300_000
    assert chain.balance(TO) == 0


def test_receipts_results_and_bloom_agree(chain: Chain) -> None:
    finalized = chain.add_block(
        [chain.sign(chain.clerk, [mint(TO, 1)]), chain.sign(chain.service, [mint(TO, 2)])]
    )
    receipts = [decode_receipt(receipt.encoded) for receipt in finalized.receipts]
    assert [receipt.type for receipt in receipts] == [0x49, 2]
    assert receipts[1].cumulative_gas_used == finalized.gas_used
    for receipt, result, logs in zip(finalized.receipts, finalized.results, finalized.logs, strict=True):
        assert result.data == keccak256(receipt.encoded)
        assert result.gas_wanted == 1_000_000
        assert decode_receipt(receipt.encoded).logs == logs
    bloom = int.from_bytes(receipts[0].bloom, "big") | int.from_bytes(receipts[1].bloom, "big")
    assert int.from_bytes(finalized.logs_bloom, "big") == bloom
    assert finalized.results_hash == results_hash(finalized.results) == chain.ledger.tip.last_results_hash


def test_contracts_see_the_context_of_the_specification(chain: Chain) -> None:
    created = chain.add_block([chain.deploy(chain.service, returning(CONTEXT_CODE))])
    address = created.receipts[0].contract_address
    assert statuses(created) == [1]
    assert address is not None
    call = replace(mint(TO, 1), to=address)
    finalized = chain.add_block([chain.sign(chain.service, [call])])
    words = [int.from_bytes(finalized.receipts[0].output[i : i + 32], "big") for i in range(0, 320, 32)]
    rules, genesis = chain.ledger.rules, chain.ledger.genesis
    assert words == [
        2, finalized.block.timestamp, int.from_bytes(COINBASE, "big"), 0, rules.block_gas,
        genesis.evm_chain_id, 0, 0, 1, 0,
    ]  # fmt: skip


def test_an_empty_block_leaves_the_state_root(chain: Chain) -> None:
    before = chain.ledger.tip.app_hash
    assert chain.add_block().app_hash == before


def test_finalize_writes_nothing_and_can_be_thrown_away(chain: Chain) -> None:
    mine, _, _, _ = chain.decide([chain.sign(chain.clerk, [mint(TO, 1)])])
    other, _, _, _ = chain.decide([chain.sign(chain.clerk, [mint(TO, 2)])])
    first = chain.ledger.finalize(mine)
    second = chain.ledger.finalize(other)
    assert chain.balance(TO) == 0
    assert first.app_hash != second.app_hash
    assert chain.ledger.finalize(mine).app_hash == first.app_hash
    chain.ledger.commit(second)
    assert chain.balance(TO) == 2


def test_a_block_that_does_not_follow_the_tip_is_not_finalized_or_committed(chain: Chain) -> None:
    stale = chain.ledger.finalize(chain.decide([])[0])
    chain.add_block([chain.sign(chain.clerk, [mint(TO, 1)])])
    with pytest.raises(LedgerError) as caught:
        chain.ledger.finalize(DecidedBlock(3, chain.next_time_ns, bytes(32), bytes(20), ()))
    assert (caught.value.code, caught.value.got, caught.value.expected) == ("ledger.not_next", 3, 2)
    with pytest.raises(LedgerError) as caught:
        chain.ledger.commit(stale)
    assert caught.value.code == "ledger.not_next"


def test_two_ledgers_given_the_same_blocks_agree(tmp_path_factory: pytest.TempPathFactory) -> None:
    chains = [Chain.create(tmp_path_factory.mktemp(name) / "ledger") for name in ("a", "b")]
    blocks = [
        [
            chains[0].sign(who, [mint(TO, 3), transfer(TOKEN, 1)], nonce=n)
            for who in (chains[0].clerk, chains[0].judge)
        ]
        for n in range(3)
    ]
    for block in blocks:
        left, right = (chain.add_block(block) for chain in chains)
        assert (left.app_hash, left.results_hash, left.receipts) == (
            right.app_hash, right.results_hash, right.receipts,
        )  # fmt: skip
        assert left.change == right.change
    for chain in chains:
        chain.close()
