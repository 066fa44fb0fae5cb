"""A state test through py-evm as it comes: its Cancun state over its own account database and trie."""

from __future__ import annotations

import rlp
from eth.constants import BLANK_ROOT_HASH
from eth.db.atomic import AtomicDB
from eth.exceptions import VMError
from eth.vm.forks.cancun.state import CancunState
from eth.vm.forks.cancun.transactions import CancunTransactionBuilder
from eth_utils import ValidationError
from rlp.exceptions import RLPException

from node.chain.encoding import keccak256
from tests.vectors.state_tests.cases import Case, number, unhex
from tests.vectors.state_tests.ours import Outcome, execution_context

NO_LOGS = keccak256(rlp.encode([]))


def run_stock(case: Case) -> Outcome:
    """What stock py-evm makes of the case, by `apply_transaction` and `persist`."""
    database, context = AtomicDB(), execution_context(case)
    state = CancunState(database, context, BLANK_ROOT_HASH)
    for name, fields in case.pre.items():
        address = unhex(name)
        state.set_nonce(address, number(fields["nonce"]))
        state.set_balance(address, number(fields["balance"]))
        if fields["code"] != "0x":
            state.set_code(address, unhex(fields["code"]))
        for slot, value in fields["storage"].items():
            state.set_storage(address, number(slot), number(value))
    state.persist()
    root = state.state_root
    state = CancunState(database, context, root)
    state.lock_changes()
    try:
        tx = CancunTransactionBuilder.decode(case.raw)
        tx.validate()
        if tx.gas > context.gas_limit:
            raise ValidationError("more gas than a block has")  # py-evm's VM checks it, around the state
        frame = state.apply_transaction(tx)
    except (ValidationError, RLPException, VMError) as error:
        return Outcome(root, NO_LOGS, True, repr(error))
    state.persist()
    logs = [
        [address, [topic.to_bytes(32, "big") for topic in topics], data]
        for address, topics, data in frame.get_log_entries()
    ]
    return Outcome(
        state.state_root, keccak256(rlp.encode(logs)), False, frame.error if frame.is_error else None
    )
