"""Unlocked keys: opened by a passphrase, forgotten when idle.

A key is unlocked for one session (a browser tab, or the holders of the program token): other users of the
same machine reach the same loopback port, and must not sign with what somebody else unlocked.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from identity.errors import SigningRefused
from identity.keys import KeyPair
from identity.keystore import KeyFile, list_key_files, load_key
from node.chain.signing import SCHEMES


@dataclass(slots=True)
class _Unlocked:
    key: KeyPair
    used_at: float


class Keyring:
    """The signing keys of a directory. `clock` gives seconds and never goes back."""

    def __init__(
        self, directory: Path, *, chain_purpose: str, idle_seconds: float, clock: Callable[[], float]
    ) -> None:
        self._directory = directory
        self._chain_purpose = chain_purpose
        self._idle = idle_seconds
        self._clock = clock
        self._unlocked: dict[tuple[str, int, bytes], _Unlocked] = {}
        self._lock = threading.Lock()

    def files(self) -> tuple[KeyFile, ...]:
        """The key files that can sign transactions of type 0x49."""
        return tuple(file for file in list_key_files(self._directory) if file.algorithm.scheme in SCHEMES)

    def is_unlocked(self, session: str, scheme: int, public_key: bytes) -> bool:
        with self._lock:
            self._forget_idle()
            return (session, scheme, public_key) in self._unlocked

    def key(self, session: str, scheme: int, public_key: bytes, passphrase: str) -> KeyPair:
        """The key, from memory or by the passphrase.

        Raises SigningRefused `sign.key_not_here`, `sign.locked` (no passphrase was given), KeyFileError.
        """
        with self._lock:
            self._forget_idle()
            held = self._unlocked.get((session, scheme, public_key))
            if held is not None:
                held.used_at = self._clock()
                return held.key
        file = next(
            (f for f in self.files() if (f.algorithm.scheme, f.public_key) == (scheme, public_key)), None
        )
        if file is None:
            raise SigningRefused("sign.key_not_here", "this machine does not hold the key", got=public_key)
        if not passphrase:
            raise SigningRefused("sign.locked", "the key is locked: its passphrase is needed", got=public_key)
        key = load_key(file.path, passphrase, chain_purpose=self._chain_purpose)
        with self._lock:
            self._unlocked[(session, scheme, public_key)] = _Unlocked(key, self._clock())
        return key

    def lock(self) -> None:
        """Forget every unlocked key."""
        with self._lock:
            self._unlocked.clear()

    def _forget_idle(self) -> None:
        oldest = self._clock() - self._idle
        for id in [id for id, held in self._unlocked.items() if held.used_at <= oldest]:
            del self._unlocked[id]
