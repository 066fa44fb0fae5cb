"""The people of a demo, as the identity service lists them.

A person may enrol another passkey at any moment, so the list is asked for again when it is older than a few
seconds or somebody is not in it. Passkeys come before key files, the newest first: what a person enrolled
last is what they sign with.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import httpx

from apps.site.errors import SiteError
from apps.site.people import PASSKEY, Credential, Person
from apps.site.text import Text

_FRESH_S: Final = 3.0


class DemoDirectory:
    """Implements `apps.site.people.Directory`.

    `signs_in` says who may sign in at this process, `knows` whose name it may show: a correction process
    never learns a resident's name, and the love bank nobody's of correction.
    """

    def __init__(
        self,
        identity_url: str,
        *,
        knows: Callable[[Person], bool],
        signs_in: Callable[[Person], bool],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = identity_url.rstrip("/") + "/demo/people"
        self._knows = knows
        self._signs_in = signs_in
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._known: tuple[Person, ...] = ()
        self._asked_at = float("-inf")

    def people(self) -> Sequence[Person]:
        return [person for person in self._everybody() if self._signs_in(person)]

    def person(self, person_id: str) -> Person | None:
        return next((person for person in self.people() if person.id == person_id), None)

    def name_of(self, identity: bytes) -> str | None:
        return next((person.name for person in self._everybody() if person.identity == identity), None)

    def _everybody(self) -> tuple[Person, ...]:
        with self._lock:
            if self._monotonic() - self._asked_at > _FRESH_S:
                self._known = self._ask()
                self._asked_at = self._monotonic()
            return self._known

    def _ask(self) -> tuple[Person, ...]:
        try:
            answer = httpx.get(self._url, timeout=5, trust_env=False)
            answer.raise_for_status()
            rows: list[dict[str, Any]] = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            if self._known:
                return self._known
            raise SiteError(
                "directory.unreachable",
                Text("身份服务暂时连不上。", "The identity service cannot be reached."),
                Text(
                    "请稍后再试；若持续如此，请告诉运维。",
                    "Try again in a moment; if it stays so, tell the operator.",
                ),
                status=503,
                got=type(error).__name__,
            ) from None
        return tuple(filter(self._knows, map(_person, rows)))


def _person(row: dict[str, Any]) -> Person:
    credentials = [
        Credential(
            one["scheme"],
            bytes.fromhex(one["public_key"][2:]),
            bytes.fromhex(one["address"][2:]),
            one["credential_id"],
            one["kind"],
        )
        for one in row["credentials"]
    ]
    return Person(
        id=row["id"],
        name=row["name"],
        organisation=row["organisation"],
        organisation_name=row["organisation_name"],
        identity=bytes.fromhex(row["identity"][2:]),
        roles=row["roles"],
        credentials=tuple(sorted(credentials, key=lambda one: one.kind != PASSKEY)),
    )
