"""Where an agency's people sign, and what they may call from there: the rows of relying parties that an
enrolment brings into genesis.

A row's number on the chain follows from what it says, for which agency and for which chain, so nobody has to
choose one and no two agencies meet. A registrar who agrees to a number agrees to the row.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from contracts.genesis import RelyingPartySpec
from contracts.system import SYSTEM_CONTRACTS
from contracts.vocabulary import Domain
from network.consortium import fields
from network.consortium.errors import CeremonyError
from network.consortium.fields import Fields, read_file
from node.chain.encoding import encode_canonical_json, sha256
from node.chain.rules import is_localhost_origin
from node.chain.signing import SigningContext

FORMAT: Final = "shelian-relying-party/1"
MAX_FILE_BYTES: Final = 16_384
SERVICE_RP_ID: Final = "service.invalid"
"""Programs sign without a page: no browser ever signs for a name below `.invalid` (RFC 2606)."""
DOMAINS: Final[Mapping[str, Domain]] = MappingProxyType(
    {"staff": Domain.STAFF, "sharing": Domain.SHARING, "service": Domain.SERVICE}
)
CONTRACTS: Final[Mapping[str, bytes]] = MappingProxyType(
    {contract.name: contract.address for contract in SYSTEM_CONTRACTS}
)
GOVERNING: Final = ("Consortium", "IdentityRegistry")
"""What registrars must be able to call, or nobody could ever enrol anybody or vote."""

_MAX_ORIGINS: Final = 8
_ORIGIN: Final = re.compile(r"https://[a-z0-9.-]{1,253}(:[1-9][0-9]{0,4})?")
_OF_CORRECTION: Final = ("CorrectionCases", "CorrectionDocuments", "Anchors")
_OF_SHARING: Final = ("LoveBank", "SharingOrders")
_OFFICES: Final = ("police", "procuratorate", "court", "justice")


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """One row.

    Attributes:
        name: what people call it.
        domain: ``staff``, ``sharing`` or ``service``.
        rp_id: WebAuthn's relying party id, a host name.
        origins: exact origins of signing pages, https, of that host or below it; sorted.
        contracts: names of system contracts that may be called; sorted; empty with `any_contract`.
        any_contract: may call any contract.
        localhost_any_port: pages on this machine may sign; in a demo only.
    """

    name: str
    domain: str
    rp_id: str
    origins: tuple[str, ...]
    contracts: tuple[str, ...]
    any_contract: bool
    localhost_any_port: bool

    def governs(self) -> bool:
        """Staff can reach from here the contracts that everything else depends on."""
        return self.domain == "staff" and (self.any_contract or set(GOVERNING) <= set(self.contracts))

    def signing_context(self) -> SigningContext:
        """What a passkey's signature is checked against."""
        listed = frozenset(origin.encode() for origin in self.origins)
        return SigningContext(
            sha256(self.rp_id.encode()),
            lambda origin: origin in listed or (self.localhost_any_port and is_localhost_origin(origin)),
            allow_backup_eligible=self.domain != "staff",
        )


def staff_page(origin: str, kind: str, name: str) -> RelyingParty:
    """The usual row of an agency: its staff sign on its page what the agency has to do with."""
    contracts: tuple[str, ...] = GOVERNING
    if kind in (*_OFFICES, "auditor", "data_bureau"):
        contracts += _OF_CORRECTION
    if kind in ("community", "auditor", "data_bureau"):
        contracts += _OF_SHARING
    return _page(name, "staff", origin, contracts)


def resident_page(origin: str, name: str) -> RelyingParty:
    """Residents of the sharing community: the love bank and its orders."""
    return _page(name, "sharing", origin, _OF_SHARING)


def services(name: str) -> RelyingParty:
    """The agency's own programs, which report deliveries and poke deadlines."""
    return RelyingParty(name, "service", SERVICE_RP_ID, (), (), any_contract=True, localhost_any_port=False)


def relying_party_id(row: RelyingParty, chain_name: str, kind: str, organisation: str) -> bytes:
    """The row's 32 bytes on the chain: a hash of what it says and whose it is."""
    content = {"chain_name": chain_name, "kind": kind, "organisation": organisation, "row": as_json(row)}
    return sha256(FORMAT.encode() + b"\n" + encode_canonical_json(content))


def specification(row: RelyingParty, id: bytes, organisation: int) -> RelyingPartySpec:
    """The row as genesis installs it."""
    return RelyingPartySpec(
        id=id,
        rp_id=row.rp_id,
        organisation=organisation,
        domain=int(DOMAINS[row.domain]),
        origins=row.origins,
        contracts=tuple(CONTRACTS[name] for name in row.contracts),
        any_contract=row.any_contract,
        localhost_any_port=row.localhost_any_port,
    )


def as_json(row: RelyingParty) -> dict[str, object]:
    return {
        "name": row.name,
        "domain": row.domain,
        "rp_id": row.rp_id,
        "origins": list(row.origins),
        "contracts": list(row.contracts),
        "any_contract": row.any_contract,
        "localhost_any_port": row.localhost_any_port,
    }


def encode_relying_party(row: RelyingParty) -> bytes:
    """The file that an operator hands to registrars."""
    return encode_canonical_json({"format": FORMAT, **as_json(row)})


def decode_relying_party(data: bytes) -> RelyingParty:
    """A file of `encode_relying_party`, in any JSON layout: it stays inside the agency.

    Raises CeremonyError.
    """
    return _take(read_file(data, "a relying party", FORMAT, MAX_FILE_BYTES, canonical=False), "relying party")


def read_relying_party(value: object, path: str) -> RelyingParty:
    """A row inside an enrolment. Raises CeremonyError."""
    return _take(Fields(value, path), path)


def _page(name: str, domain: str, origin: str, contracts: tuple[str, ...]) -> RelyingParty:
    row = RelyingParty(
        name=name,
        domain=domain,
        rp_id=urlsplit(origin).hostname or "",
        origins=(origin,),
        contracts=tuple(sorted(contracts)),
        any_contract=False,
        localhost_any_port=False,
    )
    return decode_relying_party(encode_relying_party(row))


def _take(entry: Fields, path: str) -> RelyingParty:
    row = RelyingParty(
        name=entry.take("name", fields.name),
        domain=entry.take("domain", fields.one_of(tuple(DOMAINS))),
        rp_id=entry.take("rp_id", fields.matching(fields.DNS_NAME, "a host name in lower case")),
        origins=entry.take("origins", fields.list_of(fields.text, 0, _MAX_ORIGINS)),
        contracts=entry.take("contracts", fields.list_of(fields.one_of(tuple(CONTRACTS)), 0, len(CONTRACTS))),
        any_contract=entry.take("any_contract", fields.boolean),
        localhost_any_port=entry.take("localhost_any_port", fields.boolean),
    )
    entry.finish()
    for key, values in (("origins", row.origins), ("contracts", row.contracts)):
        if list(values) != sorted(set(values)):
            fields.refuse(f"{path}.{key}", "must be sorted, each once", list(values), sorted(set(values)))
    if row.any_contract == bool(row.contracts):
        fields.refuse(f"{path}.contracts", "either any contract, or a list", list(row.contracts))
    _check_pages(row, path)
    return row


def _check_pages(row: RelyingParty, path: str) -> None:
    """Origins belong to the rp id, as browsers want it; people have a page, programs have none."""
    for origin in row.origins:
        host = urlsplit(origin).hostname if _ORIGIN.fullmatch(origin) else None
        if host is None or not fields.DNS_NAME.fullmatch(host) or not _is_port(urlsplit(origin).netloc):
            fields.refuse(
                f"{path}.origins", "not an exact https origin", origin, "https://sign.court.example"
            )
        if host != row.rp_id and not host.endswith("." + row.rp_id):
            fields.refuse(f"{path}.origins", "the page is not at the rp id or below it", origin, row.rp_id)
    if row.domain == "service":
        if row.origins or row.localhost_any_port:
            raise CeremonyError("ceremony.bad_value", f"{path}: programs sign on no page", list(row.origins))
    elif not row.origins and not row.localhost_any_port:
        raise CeremonyError("ceremony.bad_value", f"{path}: people need a page to sign on", [], "an origin")


def _is_port(location: str) -> bool:
    _, separator, port = location.partition(":")
    return not separator or int(port) <= 65_535
