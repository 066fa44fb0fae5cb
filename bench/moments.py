"""When each block went through a node: what the latency of a transaction is made of.

The clock is the machine's monotonic one, the same in all its processes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from network.comet.application import Application

PREPARED, FINALIZING, FINALIZED, COMMITTED = "prepared", "finalizing", "finalized", "committed"
"""PrepareProposal was asked (of the proposer); FinalizeBlock came; was answered; Commit was done."""


class Moments:
    """Wraps what `Application` does in the consensus thread for the life of the process."""

    def __init__(self) -> None:
        self._seen: dict[int, dict[str, float]] = {}
        self._height = 0
        self._wrap("_prepare_proposal", PREPARED, None)
        self._wrap("_finalize_block", FINALIZING, FINALIZED)
        self._wrap("_commit", None, COMMITTED)

    def take(self) -> dict[str, dict[str, float]]:
        """Seconds of the clock by height and moment, and forget them."""
        seen, self._seen = self._seen, {}
        return {str(height): moments for height, moments in seen.items()}

    def _wrap(self, name: str, before: str | None, after: str | None) -> None:
        function: Callable[..., Any] = getattr(Application, name)

        def wrapped(application: Application, request: Any) -> Any:
            # Commit's request names no height: it is that of the block finalized before it.
            self._height = height = getattr(request, "height", 0) or self._height
            if before is not None:
                self._seen.setdefault(height, {})[before] = time.monotonic()
            answer = function(application, request)
            if after is not None:
                self._seen.setdefault(height, {})[after] = time.monotonic()
            return answer

        setattr(Application, name, wrapped)
