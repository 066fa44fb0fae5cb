"""The executor: gas to the last unit, calls that change nothing, and what differs from Ethereum."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from node.chain.encoding import keccak256
from node.chain.errors import LedgerError, ShelianError
from node.chain.rules import FIRST_RULES
from node.chain.transaction import Call
from node.execution import BlockContext, CallLimit, CallRequest, Execution, PyEvmExecutor
from node.execution.gas import ethereum_intrinsic_gas
from node.execution.interpreter import FastComputation
from node.state.account import EMPTY_ACCOUNT, EMPTY_CODE_HASH, Account
from node.state.nodes import EMPTY_ROOT
from node.state.overlay import Overlay
from tests.helpers.ledger import TOKEN, TOKEN_CODE, balance_of, mint, transfer

SENDER, OTHER, CONTRACT = b"\xaa" * 20, b"\xbb" * 20, b"\xcc" * 20
CONTEXT = BlockContext(7, 1_800_000_000, FIRST_RULES.block_gas, 4711)
EXECUTOR = PyEvmExecutor()


class Empty:
    """A view of nothing."""

    state_root = EMPTY_ROOT

    def account(self, address: bytes) -> Account | None:
        return None

    def storage(self, address: bytes, slot: int) -> int:
        return 0

    def code(self, code_hash: bytes) -> bytes:
        return {EMPTY_CODE_HASH: b""}[code_hash]


def world(**codes: str) -> Overlay[Empty]:
    """An overlay with the token, and contracts by name: `c1` is at the address 0xc1 repeated."""
    overlay = Overlay(Empty())
    contracts = {TOKEN: TOKEN_CODE} | {
        bytes.fromhex(name) * 20: bytes.fromhex(code) for name, code in codes.items()
    }
    for address, code in contracts.items():
        overlay.set_account(address, EMPTY_ACCOUNT._replace(nonce=1, code_hash=overlay.add_code(code)))
    return overlay


def apply(overlay: Overlay[Empty], *calls: Call, gas: int = 1_000_000, **fields: object) -> Execution:
    return EXECUTOR.apply(overlay, CONTEXT, CallRequest(SENDER, calls, gas, **fields))  # type: ignore[arg-type]


def at(name: str, data: bytes = b"") -> Call:
    return Call(bytes.fromhex(name) * 20, data)


def test_a_slot_that_is_new_costs_what_eip_2929_says() -> None:
    overlay = world()
    apply(overlay, mint(SENDER, 100))
    to_a_new_owner, to_an_owner = (apply(overlay, transfer(OTHER, 1)).gas_used for _ in range(2))
    assert to_a_new_owner - to_an_owner == 20_000 - 2_900


def test_each_transaction_starts_cold_and_a_batch_stays_warm() -> None:
    overlay = world()
    apply(overlay, mint(SENDER, 100), mint(OTHER, 1))
    alone = apply(overlay, transfer(OTHER, 1)).gas_used
    assert apply(overlay, transfer(OTHER, 1)).gas_used == alone
    # The second call finds two slots warm (100, not 2,100) and already changed (100, not 2,900).
    both = apply(overlay, transfer(OTHER, 1), transfer(OTHER, 1)).gas_used
    assert both == 2 * alone - 2 * 2_000 - 2 * 2_800


def test_refunds_of_a_batch_are_pooled_and_capped_at_a_fifth() -> None:
    overlay = world(c1="5f5f55", c2="5f5f55")
    for name in ("c1", "c2"):
        overlay.set_storage(bytes.fromhex(name) * 20, 0, 1)
    execution = apply(overlay, at("c1"), at("c2"))
    assert execution.refund == (2 * 5_004) // 5
    # A slot cleared in one call and set back in the next gives the refund back.
    overlay = world(c1="3615600a5760015f55005b5f5f5500")
    overlay.set_storage(b"\xc1" * 20, 0, 1)
    execution = apply(overlay, at("c1"), at("c1", b"\x01"), intrinsic_gas=21_000)
    assert overlay.storage(b"\xc1" * 20, 0) == 1
    assert execution.refund == 2_800


def test_a_failed_call_undoes_the_others_and_the_nonce_is_used() -> None:
    overlay = world(c1="5f5ffd")
    execution = apply(overlay, mint(SENDER, 100), at("c1"), mint(SENDER, 1))
    assert (execution.success, execution.failed_call, execution.error) == (False, 1, "execution reverted")
    assert execution.logs == ()
    assert EXECUTOR.call(
        overlay, CONTEXT, CallRequest(OTHER, (balance_of(SENDER),), 100_000)
    ).output == bytes(32)
    assert overlay.account(SENDER) == EMPTY_ACCOUNT._replace(nonce=1)


def test_a_contract_made_and_destroyed_in_one_batch_is_gone() -> None:
    # c1 creates, with CREATE, a contract whose code is "SELFDESTRUCT(0)", and stores its address in slot 0.
    # c2 calls the address in its calldata.
    child = "5fff"
    init = f"61{child}5f526002601ef3"
    creator = f"69{init}5f52600a60165ff05f5500"
    caller = "5f5f5f5f5f5f355af100"
    overlay = world(c1=creator, c2=caller)
    address = keccak256(b"\xd6\x94" + b"\xc1" * 20 + b"\x01")[12:]
    execution = apply(overlay, at("c1"), at("c2", bytes(12) + address))
    assert execution.success
    assert overlay.storage(b"\xc1" * 20, 0) == int.from_bytes(address, "big")
    assert overlay.account(address) is None
    apply(overlay, at("c1"))
    survivor = keccak256(b"\xd6\x94" + b"\xc1" * 20 + b"\x02")[12:]
    apply(overlay, at("c2", bytes(12) + survivor))
    # EIP-6780: made in an earlier transaction, it stays.
    assert overlay.account(survivor) is not None


def test_transient_storage_lasts_for_the_whole_batch_and_not_longer() -> None:
    # Returns TLOAD(0), then TSTORE(0, 1).
    overlay = world(c1="5f5c5f5260015f5d60205ff3")
    assert apply(overlay, at("c1")).output == bytes(32)
    assert apply(overlay, at("c1"), at("c1")).output == (1).to_bytes(32, "big")
    assert apply(overlay, at("c1")).output == bytes(32)


def test_access_lists_make_slots_warm() -> None:
    overlay = world(c1="5f5400")
    cold = apply(overlay, at("c1"))
    warm = apply(overlay, at("c1"), access_list=((b"\xc1" * 20, (0,)),))
    assert cold.gas_used - warm.gas_used == 2_000


def test_a_creation_gives_its_address_and_a_collision_takes_all_gas() -> None:
    overlay = world()
    request = CallRequest(SENDER, (), 200_000, bytes.fromhex("60015f55600160015ff3"))
    created = EXECUTOR.apply(overlay, CONTEXT, replace(request, initcode=bytes.fromhex("60015ff3")))
    assert created.success
    assert created.created == keccak256(b"\xd6\x94" + SENDER + b"\x80")[12:]
    taken = keccak256(b"\xd6\x94" + SENDER + b"\x01")[12:]
    overlay.set_account(taken, EMPTY_ACCOUNT._replace(nonce=1))
    collided = EXECUTOR.apply(overlay, CONTEXT, request)
    assert (collided.success, collided.gas_used, collided.created) == (False, 200_000, None)


@pytest.mark.parametrize("number", [6, 7, 8, 10])
def test_the_precompiles_that_are_off_are_empty_accounts(number: int) -> None:
    execution = apply(world(), Call(number.to_bytes(20, "big"), bytes(192)), intrinsic_gas=21_000)
    assert (execution.success, execution.gas_used, execution.output) == (True, 21_000, b"")


def test_modexp_of_an_empty_base() -> None:
    lengths = b"".join(n.to_bytes(32, "big") for n in (0, 0, 1))
    assert apply(world(), Call((5).to_bytes(20, "big"), lengths + b"\x05")).output == b"\x01"


@pytest.mark.parametrize(("gas", "depth"), [(100_000_000, 520), (1 << 50, 1025)])
def test_recursion_ends_in_an_ordinary_result_in_any_thread(gas: int, depth: int) -> None:
    # Counts itself in transient storage, calls itself with all gas left, returns the count.
    overlay = world(c1="5f5c6001015f5d" + "5f5f5f5f5f305af150" + "5f5c5f5260205ff3")
    request = CallRequest(SENDER, (at("c1"),), gas)
    results: list[Execution] = []
    thread = threading.Thread(target=lambda: results.append(EXECUTOR.apply(overlay, CONTEXT, request)))
    thread.start()
    thread.join()
    assert results[0].success
    assert int.from_bytes(results[0].output, "big") == depth


def test_jumps_into_push_data_are_refused_however_long_the_code() -> None:
    pushes = "7f" + "5b" * 32
    overlay = world(c1="6100405600" + pushes * 700, c2="61000456" + "5b00")
    assert apply(overlay, at("c2")).success
    assert not apply(overlay, at("c1")).success


def test_a_call_changes_nothing_and_gives_the_revert_data() -> None:
    overlay = world()
    apply(overlay, mint(SENDER, 5))
    before = overlay.account(SENDER)
    failed = EXECUTOR.call(overlay, CONTEXT, CallRequest(SENDER, (transfer(OTHER, 9),), 100_000))
    assert failed.output == keccak256(b"Insufficient(uint256,uint256)")[:4] + b"".join(
        n.to_bytes(32, "big") for n in (5, 9)
    )
    assert EXECUTOR.call(overlay, CONTEXT, CallRequest(SENDER, (transfer(OTHER, 4),), 100_000)).success
    assert overlay.account(SENDER) == before
    assert EXECUTOR.call(overlay, CONTEXT, CallRequest(OTHER, (balance_of(SENDER),), 100_000)).output[-1] == 5


def test_an_estimate_is_exact() -> None:
    overlay = world(
        c1="60fa5a1015600957fe5b00", c2="6127105a10601157005b5f5f5f5f5f73" + "c1" * 20 + "61ffff1600"
    )
    apply(overlay, mint(SENDER, 5))
    for call in (transfer(OTHER, 1), mint(OTHER, 1), at("c1")):
        intrinsic = ethereum_intrinsic_gas(call.data, False)
        request = CallRequest(SENDER, (call,), 30_000_000, intrinsic_gas=intrinsic)
        estimate = EXECUTOR.estimate(overlay, CONTEXT, request)
        assert estimate.gas is not None
        assert EXECUTOR.call(overlay, CONTEXT, replace(request, gas=estimate.gas)).success
        assert not EXECUTOR.call(overlay, CONTEXT, replace(request, gas=estimate.gas - 1)).success


def test_an_estimate_of_a_call_that_needs_more_than_it_uses() -> None:
    # c1 gives 63/64 of its gas to the token's mint and fails if that fails.
    data = mint(OTHER, 1).data
    store = "".join(f"7f{data.ljust(96, bytes(1))[i : i + 32].hex()}60{i:02x}52" for i in (0, 32, 64))
    code = store + "5f5f60445f5f73" + TOKEN.hex() + "5af1" + "80151560"
    code += f"{len(code) // 2 + 3:02x}57fe5b00"
    overlay = world(c1=code)
    request = CallRequest(SENDER, (at("c1"),), 30_000_000, intrinsic_gas=21_000)
    estimate = EXECUTOR.estimate(overlay, CONTEXT, request)
    assert estimate.gas is not None
    assert estimate.gas > estimate.execution.gas_used
    assert not EXECUTOR.call(overlay, CONTEXT, replace(request, gas=estimate.gas - 1)).success


def test_an_estimate_of_a_call_that_fails_gives_the_failure() -> None:
    estimate = EXECUTOR.estimate(world(), CONTEXT, CallRequest(SENDER, (transfer(OTHER, 1),), 100_000))
    assert estimate.gas is None
    assert estimate.execution.output[:4] == keccak256(b"Insufficient(uint256,uint256)")[:4]


@pytest.mark.parametrize("code", ["5b5f56", "5b5f5f5f5f5f30615000f1505f56"])
def test_a_call_that_takes_too_long_is_stopped(code: str) -> None:
    asked = 0

    def should_stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > 20

    request = CallRequest(SENDER, (at("c1"),), 30_000_000)
    with pytest.raises(ShelianError) as caught:
        EXECUTOR.call(world(c1=code), CONTEXT, request, CallLimit(should_stop))
    assert caught.value.code == "call.stopped"
    assert asked == 21


def test_a_limit_that_is_not_reached_changes_nothing() -> None:
    request = CallRequest(SENDER, (mint(OTHER, 1), transfer(OTHER, 0)), 300_000)
    free = EXECUTOR.call(world(), CONTEXT, request)
    assert EXECUTOR.call(world(), CONTEXT, request, CallLimit(lambda: False)) == free


def test_intrinsic_gas_is_ethereums() -> None:
    assert ethereum_intrinsic_gas(b"", False) == 21_000
    assert ethereum_intrinsic_gas(b"\0\1\2", False) == 21_000 + 4 + 2 * 16
    assert ethereum_intrinsic_gas(b"\1" * 33, True) == 53_000 + 33 * 16 + 2 * 2
    assert (
        ethereum_intrinsic_gas(b"", False, ((OTHER, (1, 2)), (SENDER, ()))) == 21_000 + 2 * 2_400 + 2 * 1_900
    )


def test_an_error_of_the_evm_itself_ends_the_transaction_and_not_the_node(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def breaks(error: Exception) -> None:
        def operation(computation: object) -> None:
            raise error

        monkeypatch.setitem(FastComputation.operations, 0x54, operation)

    overlay = world(c1="60015f555f5400")
    breaks(ValueError("a bug"))
    execution = apply(overlay, at("c1"), gas=50_000)
    assert (execution.success, execution.gas_used, execution.error) == (False, 50_000, "ValueError: a bug")
    assert overlay.storage(b"\xc1" * 20, 0) == 0
    assert overlay.account(SENDER) == EMPTY_ACCOUNT._replace(nonce=1)
    # What is not the transaction's doing is nobody's receipt.
    for error in (LedgerError("state.corrupt", "damaged"), RecursionError(), MemoryError()):
        breaks(error)
        with pytest.raises(type(error)):
            apply(overlay, at("c1"))
