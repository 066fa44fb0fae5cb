"""The people of a demo, as the identity service lists them. Exists for `purpose: demo` only, where
everybody is invented."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import httpx

from apps.site.errors import SiteError
from apps.site.people import Credential, Person
from apps.site.text import Text

_KEEP_S = 3.0


class DemoPeople:
    """A `Directory` over `GET {identity}/demo/people`, kept for a few seconds.

    `organisations` are those whose people may sign in here (all of them may be named); `roles` is a mask, 0
    for any; `pages` maps a credential's kind (`passkey`, `signer`) to the page that signs with it.
    """

    def __init__(
        self, identity_url: str, *, organisations: Collection[int], pages: Mapping[str, str], roles: int = 0
    ) -> None:
        self._http = httpx.Client(timeout=10.0, trust_env=False)
        self._url = f"{identity_url}/demo/people"
        self._organisations = frozenset(organisations)
        self._pages = dict(pages)
        self._roles = roles
        self._lock = threading.Lock()
        self._everybody: tuple[Person, ...] = ()
        self._read_at = float("-inf")

    def close(self) -> None:
        self._http.close()

    def people(self) -> Sequence[Person]:
        return [person for person in self._load() if self._may_sign_in(person)]

    def person(self, person_id: str) -> Person | None:
        return next((person for person in self.people() if person.id == person_id), None)

    def name_of(self, identity: bytes) -> str | None:
        return next((person.name for person in self._load() if person.identity == identity), None)

    def _may_sign_in(self, person: Person) -> bool:
        return person.organisation in self._organisations and (not self._roles or person.holds(self._roles))

    def _load(self) -> tuple[Person, ...]:
        with self._lock:
            if time.monotonic() - self._read_at > _KEEP_S:
                try:
                    rows: Any = self._http.get(self._url).raise_for_status().json()
                except (httpx.HTTPError, ValueError) as error:
                    if not self._everybody:
                        raise _unreachable() from error
                else:
                    self._everybody = tuple(self._person(row) for row in rows)
                    self._read_at = time.monotonic()
            return self._everybody

    def _person(self, row: Mapping[str, Any]) -> Person:
        return Person(
            id=row["id"],
            name=row["name"],
            organisation=row["organisation"],
            organisation_name=row["organisation_name"],
            identity=_bytes(row["identity"]),
            roles=row["roles"],
            credentials=tuple(
                Credential(
                    scheme=one["scheme"],
                    public_key=_bytes(one["public_key"]),
                    address=_bytes(one["address"]),
                    credential_id=one["credential_id"],
                    page=self._pages[one["kind"]],
                    kind=one["kind"],
                )
                for one in row["credentials"]
                if one["kind"] in self._pages
            ),
        )


def _bytes(value: str) -> bytes:
    return bytes.fromhex(value.removeprefix("0x"))


def _unreachable() -> SiteError:
    return SiteError(
        "site.identity_unreachable",
        Text("身份服务没有应答。", "The identity service does not answer."),
        Text("请稍后再试；若持续出现，请联系运维。", "Try again shortly; if it goes on, tell the operator."),
        status=503,
    )
