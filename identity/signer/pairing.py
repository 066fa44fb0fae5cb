"""Who may use the signer: programs with the token, and app origins that the person admitted once."""

import json
import os
import re
import secrets
import threading
from hmac import compare_digest
from pathlib import Path

from identity.errors import SigningRefused
from identity.web.config import AppOrigin

_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(?::[0-9]{1,5})?|http://\[::1\](?::[0-9]{1,5})?")
MAX_ORIGINS = 64


class Pairing:
    """The token and the admitted origins, in `directory`. A new token is made at every start."""

    def __init__(self, directory: Path, known: tuple[AppOrigin, ...]) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = directory / "origins.json"
        self._known = {app.origin: app.name for app in known}
        self._admitted: list[str] = json.loads(self._path.read_bytes()) if self._path.exists() else []
        self._lock = threading.Lock()
        self.page_token = secrets.token_urlsafe(32)
        """Handed to the signer's own page with its configuration, so that no other page can post to it."""
        self._token = secrets.token_urlsafe(32)
        _write_private(directory / "token", self._token.encode())

    def apps(self) -> tuple[AppOrigin, ...]:
        """The origins a signed transaction may be handed back to."""
        with self._lock:
            admitted = [AppOrigin(origin, origin) for origin in self._admitted if origin not in self._known]
        return (*(AppOrigin(origin, name) for origin, name in self._known.items()), *admitted)

    def admit(self, origin: str) -> None:
        """Admit an app's origin. Raises SigningRefused `signer.origin`, `signer.too_many_origins`."""
        if not _ORIGIN.fullmatch(origin):
            raise SigningRefused("signer.origin", "not an origin", got=origin)
        with self._lock:
            if origin in self._admitted or origin in self._known:
                return
            if len(self._admitted) >= MAX_ORIGINS:
                raise SigningRefused(
                    "signer.too_many_origins", "too many sites are admitted", expected=MAX_ORIGINS
                )
            self._admitted.append(origin)
            _write_private(self._path, json.dumps(self._admitted).encode())

    def require_origin(self, origin: str) -> None:
        """Raises SigningRefused `signer.origin_not_paired`."""
        if origin not in {app.origin for app in self.apps()}:
            raise SigningRefused("signer.origin_not_paired", "this site was not admitted", got=origin)

    def require_token(self, authorization: str) -> None:
        """Raises SigningRefused `signer.token`."""
        if not compare_digest(authorization.encode(), f"Bearer {self._token}".encode()):
            raise SigningRefused("signer.token", "the pairing token is missing or wrong")

    def require_page_token(self, token: str) -> None:
        """Raises SigningRefused `signer.page_token`."""
        if not compare_digest(token.encode(), self.page_token.encode()):
            raise SigningRefused("signer.page_token", "not asked by the signer's own page")


def _write_private(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(data)
    temporary.replace(path)
