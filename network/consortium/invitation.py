"""The file with which a newcomer's node joins a running chain: what to begin with, whom to connect to, from
where to take the state, for whom and until when.

    {"content": {…, "genesis": {…}, "record": {…}|null}, "format": "shelian-invitation/1", "signature": …}

Canonical JSON, signed by the CA key of an agency that is a member. It is good for one enrolment, that is, for
one agency's keys, until it ends, and once: who has joined by it keeps its hash. Nothing in it is secret.

What a newcomer trusts, and why: the genesis, because its figures are compared by telephone; the members'
certificates, because they stand in it; the invitation, because one of those signed it; the trusted header,
because it stands in the invitation; the state, because the light client gets from that header to its root.

`check_invitation` goes these steps: 1. the genesis is that of the given hash, and the record is of it;
2. the inviting agency's certificate stands in the genesis, or is vouched for by its fingerprint; 3. it signed
these bytes; 4. the invitation is for this chain; 5. for this enrolment; 6. for these keys; 7. it has not
ended; 8. it was not used before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from network.comet.faults import CometFault
from network.comet.settings import StateSync, split_peer
from network.consortium import fields
from network.consortium.ceremony import MAX_RECORD_BYTES, Record, check_record, decode_record, encode_record
from network.consortium.certificates import AgencyCertificate, check_validity, decode_certificate
from network.consortium.enrolment import Enrolment, Sign
from network.consortium.errors import CeremonyError
from network.consortium.fields import Fields, read_file, to_hex
from network.consortium.keys import NodeKeys
from network.consortium.statements import CA_OF_INVITATION, statement
from node.chain.encoding import encode_canonical_json, sha256
from node.chain.errors import GenesisError, ShelianError, SignatureRefused
from node.chain.genesis import MAX_GENESIS_BYTES, PURPOSES, Genesis, decode_genesis, encode_genesis
from node.chain.schemes.ecdsa import verify_p256

FORMAT: Final = "shelian-invitation/1"
MAX_FILE_BYTES: Final = MAX_GENESIS_BYTES + MAX_RECORD_BYTES + (1 << 20)
TRUST_PERIOD_S: Final = 14 * 86_400
"""How old the trusted header may be when the node joins."""
MAX_DAYS: Final = 13
"""An invitation ends before its header is too old."""
_MAX_PEERS: Final = 128
_MAX_SERVERS: Final = 16
_T = TypeVar("_T")


class InvitationError(ShelianError):
    """An invitation that is refused."""


@dataclass(frozen=True, slots=True)
class InvitationContent:
    """What an agency invites to.

    Attributes:
        genesis: of the chain.
        record: of the ceremony in which it was made; None for a chain made otherwise.
        enrolment: hash of the newcomer's enrolment.
        organisation: the newcomer's number on the chain.
        peers: nodes to connect to, id@host:port.
        rpc_servers: members' CometBFT RPC, http://host:port, at least two: they answer for headers.
        trust_height, trust_hash: a header that the inviting agency holds for true.
        inviter: name of the inviting agency; `certificate`: its CA's.
        valid_until: seconds since the epoch.
        nonce: 16 random bytes, so that no two invitations are alike.
    """

    genesis: Genesis
    record: Record | None
    enrolment: bytes
    organisation: int
    peers: tuple[str, ...]
    rpc_servers: tuple[str, ...]
    trust_height: int
    trust_hash: bytes
    inviter: str
    certificate: AgencyCertificate
    valid_until: int
    nonce: bytes

    def encode(self) -> bytes:
        """The bytes that are hashed and signed."""
        return encode_canonical_json(_content_json(self))

    def state_sync(self) -> StateSync:
        """Where the new node takes its state from. Raises CometFault."""
        return StateSync(self.rpc_servers, self.trust_height, self.trust_hash, TRUST_PERIOD_S)


@dataclass(frozen=True, slots=True)
class Invitation:
    """`hash`: sha256 of the content's bytes; what is kept of a used one."""

    content: InvitationContent
    signature: bytes
    hash: bytes


def make_invitation(content: InvitationContent, ca: Sign) -> Invitation:
    """Sign an invitation with the inviting agency's CA key. Raises InvitationError for one that no newcomer
    would take."""
    raw = content.encode()
    made = Invitation(content, ca(statement(CA_OF_INVITATION, raw)), sha256(raw))
    return decode_invitation(encode_invitation(made))


def encode_invitation(invitation: Invitation) -> bytes:
    """The file."""
    return encode_canonical_json(
        {
            "format": FORMAT,
            "content": _content_json(invitation.content),
            "signature": to_hex(invitation.signature),
        }
    )


def decode_invitation(data: bytes) -> Invitation:
    """Read an invitation; `check_invitation` verifies it.

    Raises InvitationError invitation.malformed.
    """
    try:
        top = read_file(data, "an invitation", FORMAT, MAX_FILE_BYTES)
        content = top.take("content", _content)
        signature = top.take("signature", fields.hex_bytes(64))
        top.finish()
        content.state_sync()
        for peer in content.peers:
            split_peer(peer)
    except (CeremonyError, GenesisError, CometFault) as error:
        raise InvitationError(
            "invitation.malformed",
            f"不是完整的邀请文件 this is no whole invitation: {error.message}",
            error.got,
            error.expected,
        ) from None
    return Invitation(content, signature, sha256(content.encode()))


def check_invitation(
    invitation: Invitation,
    own: Enrolment,
    keys: NodeKeys,
    now: datetime,
    *,
    used: Collection[bytes] = (),
    vouched: bytes | None = None,
) -> None:
    """May this agency, with these keys, join by this invitation now?

    `used`: hashes of invitations that were joined by; `vouched`: fingerprint of the inviting agency's CA that
    was compared by telephone, for an agency that is not in the genesis or has a new CA since.

    Raises InvitationError invitation.genesis, .inviter, .signature, .other_chain, .other_enrolment,
    .other_keys, .expired, .used.
    """
    content = invitation.content
    genesis = content.genesis
    # 1. The genesis and its ceremony.
    if content.record is not None:
        try:
            check_record(genesis, content.record)
        except CeremonyError as error:
            raise InvitationError(
                "invitation.genesis",
                f"创世与签名不符 genesis and ceremony differ: {error.message}",
                error.got,
            ) from None
    # 2. Whose certificate it is.
    certificate = content.certificate
    founders = {
        decode_certificate(one.ca_certificate).fingerprint: one.name
        for one in genesis.organisations
        if one.ca_certificate
    }
    if founders.get(certificate.fingerprint) != content.inviter and certificate.fingerprint != vouched:
        raise InvitationError(
            "invitation.inviter",
            "邀请方的证书不在创世里；请对方由创世成员邀请，或电话核对证书指纹后用 --inviter-ca 指明 "
            "the inviting agency's certificate is not in the genesis: let a founding member invite, or "
            "compare its fingerprint by telephone and name it with --inviter-ca",
            certificate.fingerprint,
            sorted(founders),
        )
    if certificate.organisation != content.inviter:
        raise InvitationError(
            "invitation.inviter",
            "证书属于另一机构 the certificate is of another agency",
            certificate.organisation,
            content.inviter,
        )
    try:
        check_validity(certificate, now)
    except CeremonyError as error:
        raise InvitationError("invitation.inviter", error.message, error.got, error.expected) from None
    # 3. The signature.
    try:
        verify_p256(
            certificate.public_key, statement(CA_OF_INVITATION, content.encode()), invitation.signature
        )
    except SignatureRefused as error:
        raise InvitationError(
            "invitation.signature",
            "签名不成立：文件被改过，或不是这家机构签的 the signature does not hold: the file was changed, "
            f"or another signed it ({error.message})",
            invitation.signature,
            content.inviter,
        ) from None
    # 4. The chain.
    mine = own.content
    if (mine.chain_name, mine.purpose) != (genesis.chain_name, genesis.purpose):
        raise InvitationError(
            "invitation.other_chain",
            "邀请的是另一条链 the invitation is to another chain",
            [genesis.chain_name, genesis.purpose],
            [mine.chain_name, mine.purpose],
        )
    # 5. The enrolment.
    if content.enrolment != own.hash:
        raise InvitationError(
            "invitation.other_enrolment",
            "邀请的是另一份登记：另一家机构，或本机构较早的登记 the invitation is for another enrolment: "
            "another agency's, or an older one of ours",
            content.enrolment,
            own.hash,
        )
    # 6. The keys.
    validator = None if mine.validator is None else mine.validator.public_key
    if keys.node_public_key != mine.node_key or validator not in (None, keys.validator_public_key):
        raise InvitationError(
            "invitation.other_keys",
            "密钥目录里的密钥不是登记的那些 the keys beside the enrolment are not those it names",
            keys.node_id,
            mine.peer,
        )
    # 7. The time.
    if now.timestamp() >= content.valid_until:
        raise InvitationError(
            "invitation.expired",
            "邀请已过期，请对方再发一份 the invitation has ended: ask for a new one",
            int(now.timestamp()),
            content.valid_until,
        )
    # 8. Once.
    if invitation.hash in used:
        raise InvitationError(
            "invitation.used",
            "这份邀请已经用过；重装要新的邀请，原节点的验证者密钥绝不能同时在两处运行 this invitation was "
            "used: to install again ask for a new one, and never run the validator key in two places",
            invitation.hash,
        )


def _content_json(content: InvitationContent) -> dict[str, object]:
    return {
        "chain_name": content.genesis.chain_name,
        "purpose": content.genesis.purpose,
        "genesis_hash": to_hex(content.genesis.hash),
        "genesis": json.loads(encode_genesis(content.genesis)),
        "record": None if content.record is None else json.loads(encode_record(content.record)),
        "enrolment": to_hex(content.enrolment),
        "organisation": content.organisation,
        "peers": list(content.peers),
        "rpc_servers": list(content.rpc_servers),
        "trust_height": content.trust_height,
        "trust_hash": to_hex(content.trust_hash),
        "inviter": content.inviter,
        "ca_certificate": content.certificate.pem,
        "valid_until": content.valid_until,
        "nonce": to_hex(content.nonce),
    }


def _content(value: object, path: str) -> InvitationContent:
    entry = Fields(value, path)
    chain_name = entry.take("chain_name", fields.chain_name)
    purpose = entry.take("purpose", fields.one_of(PURPOSES))
    hash = entry.take("genesis_hash", fields.hex_bytes(32))
    content = InvitationContent(
        genesis=entry.take("genesis", _file(decode_genesis)),
        record=entry.take("record", lambda one, at: None if one is None else _file(decode_record)(one, at)),
        enrolment=entry.take("enrolment", fields.hex_bytes(32)),
        organisation=entry.take("organisation", fields.integer(1, 240)),
        peers=entry.take("peers", fields.list_of(fields.text, 1, _MAX_PEERS)),
        rpc_servers=entry.take("rpc_servers", fields.list_of(fields.text, 2, _MAX_SERVERS)),
        trust_height=entry.take("trust_height", fields.integer(1, (1 << 63) - 1)),
        trust_hash=entry.take("trust_hash", fields.hex_bytes(32)),
        inviter=entry.take("inviter", fields.name),
        certificate=decode_certificate(entry.take("ca_certificate", fields.text)),
        valid_until=entry.take("valid_until", fields.integer(1, 1 << 40)),
        nonce=entry.take("nonce", fields.hex_bytes(16)),
    )
    entry.finish()
    genesis = content.genesis
    if (chain_name, purpose, hash) != (genesis.chain_name, genesis.purpose, genesis.hash):
        fields.refuse(f"{path}.genesis", "is of another chain than the invitation says", genesis.hash, hash)
    return content


def _file(decode: Callable[[bytes], _T]) -> Callable[[object, str], _T]:
    """A file inside the file, read by its own decoder."""
    return lambda value, path: decode(encode_canonical_json(value))
