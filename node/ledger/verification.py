"""Signatures of many transactions at once, in parallel threads.

A block, or a batch that was submitted, is first looked through here, then goes through admission one by one
with what was found. Nothing is decided here: a transaction that is malformed, or whose sender is not known in
the state given, is left to the one-by-one pass, which names the reason; so is one whose credential an earlier
transaction of its block brings in.

The libraries of secp256k1, Ed25519, P-256 and ML-DSA let other threads run while they verify; that of SM2
does not. docs/ARCHITECTURE.md has what that gains.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Final

from node.chain.errors import DecodeError
from node.chain.transaction import ImiTransaction
from node.ledger.admission import Admission, Known
from node.state.views import StateView

_WORTH_A_THREAD: Final = 4
"""Unverified transactions; to hand over fewer takes longer than to verify them."""


class Verification:
    """Threads for one ledger's signatures, started when first needed. `close` it."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._workers = len(os.sched_getaffinity(0))
        self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="verify")

    def verify_all(self, raws: Sequence[bytes], view: StateView) -> tuple[Known, ...]:
        """Verify what nobody has verified yet, under the credentials in `view`.

        The answer holds what was found: keep it until the transactions went through admission. Bytes that are
        no transaction are left out.
        """
        found, fresh = [], []
        for raw in raws:
            try:
                known = self._admission.decode(raw)
            except DecodeError:
                continue
            found.append(known)
            if _is_fresh(known):
                fresh.append(known)
        if len(fresh) >= _WORTH_A_THREAD:
            shares = [fresh[first :: self._workers] for first in range(self._workers)]
            others = [self._pool.submit(self._verify, share, view) for share in shares[1:]]
            self._verify(shares[0], view)
            wait(others)
            for other in others:
                other.result()
        else:
            self._verify(fresh, view)
        return tuple(found)

    def close(self) -> None:
        """Let the threads end. May be called again."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _verify(self, share: Sequence[Known], view: StateView) -> None:
        for known in share:
            self._admission.is_signed(known, view)


def _is_fresh(known: Known) -> bool:
    return known.sender is None or (known.verdict is None and isinstance(known.transaction, ImiTransaction))
