"""The signing round trip: this process asks, a person's own device signs, this process checks and submits.

1. `begin` keeps the request here under a random `state` and gives the address to send the browser to.
2. The signing page (or the signer on the person's machine) shows the calls in plain Chinese and signs;
   it returns to `/sign/return`.
3. `finish` decodes what came back, compares every signed field with what was asked, submits it, and
   waits for the receipt.

A server never holds a person's key, and a signature over anything else than what was asked is not
submitted.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.node_client import NodeClient, NodeError, Receipt
from apps.site.errors import SiteError, no_credential
from apps.site.people import Credential, Person
from apps.site.refusals import ContractErrors
from apps.site.store import SiteStore, StoredRequest
from apps.site.text import Text
from node.chain.errors import ShelianError
from node.chain.signing import SCHEMES, imi_sender
from node.chain.transaction import Call, ImiTransaction, decode

MAX_CALLS = 100
REQUEST_LIFE_S = 1_800
"""How long a person has to sign. The chain allows a day; half an hour keeps a forgotten page from acting
later."""
_INTRINSIC_GAS = 100_000
"""Head room for the base price and the dearest scheme (SM2)."""
_BYTE_GAS = 8


@dataclass(frozen=True, slots=True)
class SigningRequest:
    """A request that was kept. `url` is where the browser goes; `document` is the JSON of ARCHITECTURE.md
    for programs."""

    state: str
    url: str
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a signature: the transaction, its block, and the page to show next."""

    transaction: str
    block: int
    next_url: str


class SigningDesk:
    """Makes signing requests for the people of one process and finishes them.

    `signing_pages` maps a kind of credential to the page that signs with it: the passkey page, and the
    signer on the person's machine. `now` gives seconds since the epoch. `after_receipt` is called with the
    block height before the person is shown the next page, so that an app can let its read model catch up.
    """

    def __init__(
        self,
        *,
        client: NodeClient,
        store: SiteStore,
        errors: ContractErrors,
        signing_pages: Mapping[str, str],
        return_to: str,
        now: Callable[[], int],
        after_receipt: Callable[[int], None] | None = None,
    ) -> None:
        self._client = client
        self._store = store
        self._errors = errors
        self._signing_pages = dict(signing_pages)
        self._return_to = return_to
        self._now = now
        self._after_receipt = after_receipt

    def begin(
        self,
        person: Person,
        calls: Sequence[Call],
        purpose: Text,
        next_url: str,
        *,
        credential: Credential | None = None,
        gas_limit: int | None = None,
        preflight: bool = True,
    ) -> SigningRequest:
        """Ask `person` to sign `calls` (1 to 100) in one touch; afterwards show `next_url` (a path of this
        site).

        With `preflight` each call is tried at the tip first, so that what the contract would refuse is said
        before anybody signs; turn it off when a call depends on one before it, and give `gas_limit` then.
        Raises SiteError: sign.no_calls, sign.too_many_calls, sign.no_credential, and whatever the contract
        refuses with.
        """
        if not 1 <= len(calls) <= MAX_CALLS:
            raise SiteError(
                "sign.too_many_calls" if calls else "sign.no_calls",
                Text(
                    f"一次可签 1 至 {MAX_CALLS} 件。",
                    f"Between 1 and {MAX_CALLS} items can be signed at once.",
                ),
                Text("请分批选择。", "Choose them in groups."),
                got=len(calls),
                expected=MAX_CALLS,
            )
        credential = credential or self._credential(person)
        try:
            if preflight:
                for refused in self._client.preflight(calls, credential.address):
                    if refused is not None:
                        raise self._errors.explain_node_error(refused)
            document = {
                "v": 1,
                "chain_id": self._client.chain_id(),
                "nonce": self._client.nonce(credential.address),
                "valid_until": self._now() + REQUEST_LIFE_S,
                "gas_limit": gas_limit or self._gas(calls, credential),
                "calls": [{"to": "0x" + call.to.hex(), "data": "0x" + call.data.hex()} for call in calls],
                "scheme": credential.scheme,
                "public_key": "0x" + credential.public_key.hex(),
                "credential_id": credential.credential_id,
                "signer": person.name,
                "return_to": self._return_to,
                "state": secrets.token_urlsafe(24),
            }
        except NodeError as error:
            raise self._errors.explain_node_error(error) from error
        state = str(document["state"])
        self._store.save_request(
            StoredRequest(state, person.id, (purpose.zh, purpose.en), document, next_url, None, None),
            self._now(),
        )
        page = self._signing_pages[credential.kind]
        return SigningRequest(state, f"{page}#{encode_fragment(document)}", document)

    def finish(self, person: Person, state: str, raw: str) -> Outcome:
        """Check and submit what the signing page gave back, and wait until it is in a block. Doing it twice
        gives the same outcome.

        Raises SiteError: sign.state_unknown, sign.raw_malformed, sign.not_what_was_asked, and refusals of
        node and contracts.
        """
        stored = self._store.request(state)
        if stored is None or stored.person_id != person.id:
            raise SiteError(
                "sign.state_unknown",
                Text("这份签名请求不存在，或者不是您的。", "This signing request is unknown, or not yours."),
                Text("请回到原来的页面重新办理。", "Go back to the page you came from and start again."),
                status=404,
            )
        if stored.transaction is not None and stored.block is not None:
            return Outcome(stored.transaction, stored.block, stored.next_url)
        transaction = _decode(raw)
        _compare(transaction, stored.request)
        receipt = self._submit(transaction)
        identifier = "0x" + receipt.transaction.hex()
        self._store.set_included(state, identifier, receipt.block)
        if self._after_receipt is not None:
            self._after_receipt(receipt.block)
        return Outcome(identifier, receipt.block, stored.next_url)

    def next_url(self, person: Person, state: str) -> str:
        """Where a request would have led, for going back after a refusal; the front page when unknown."""
        stored = self._store.request(state)
        return stored.next_url if stored is not None and stored.person_id == person.id else "/"

    def _credential(self, person: Person) -> Credential:
        for credential in person.credentials:
            if credential.kind in self._signing_pages:
                return credential
        raise no_credential()

    def _gas(self, calls: Sequence[Call], credential: Credential) -> int:
        """A bound that is safe for the block and never short: for each kind of call, the estimate of the
        longest one times their number, with a third on top, plus the bytes."""
        longest: dict[tuple[bytes, bytes], Call] = {}
        count: Counter[tuple[bytes, bytes]] = Counter()
        for call in calls:
            kind = (call.to, call.data[:4])
            count[kind] += 1
            if kind not in longest or len(call.data) > len(longest[kind].data):
                longest[kind] = call
        estimates = {
            kind: self._client.estimate_gas(call, credential.address) for kind, call in longest.items()
        }
        signature = SCHEMES[credential.scheme].longest_signature
        size = sum(len(call.data) + 32 for call in calls) + len(credential.public_key) + signature + 100
        return (
            sum(estimates[kind] * number * 4 // 3 for kind, number in count.items())
            + size * _BYTE_GAS
            + _INTRINSIC_GAS
        )

    def _submit(self, transaction: ImiTransaction) -> Receipt:
        try:
            try:
                self._client.send_raw(transaction.raw)
            except NodeError as error:
                # A retry after a lost answer: what counts is whether the transaction is there.
                if error.code != "tx.already_known" and self._client.receipt(transaction.hash) is None:
                    raise
            receipt = self._client.wait(transaction.hash)
        except NodeError as error:
            raise self._errors.explain_node_error(error) from error
        if not receipt.ok:
            raise self._why_failed(transaction, receipt)
        return receipt

    def _why_failed(self, transaction: ImiTransaction, receipt: Receipt) -> SiteError:
        """Run the calls again on the state before the block to find which error the contract raised."""
        sender = imi_sender(transaction.scheme, transaction.public_key)
        for block in (receipt.block - 1, receipt.block):
            for call in transaction.calls:
                try:
                    self._client.call(call, sender, block)
                except NodeError as error:
                    return self._errors.explain_node_error(error)
        return self._errors.explain_node_error(
            NodeError("node.reverted", "the transaction failed in its block")
        )


def encode_fragment(document: Mapping[str, Any]) -> str:
    """base64url (no padding) of compact JSON, as the signing page reads it after `#`."""
    compact = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(compact).rstrip(b"=").decode()


def _decode(raw: str) -> ImiTransaction:
    try:
        transaction = decode(bytes.fromhex(raw.removeprefix("0x")))
    except (ValueError, ShelianError) as error:
        raise _malformed(str(error)) from error
    if not isinstance(transaction, ImiTransaction):
        raise _malformed("not a transaction of type 0x49")
    return transaction


def _malformed(reason: str) -> SiteError:
    return SiteError(
        "sign.raw_malformed",
        Text("签名页返回的内容无法识别。", "What the signing page returned cannot be read."),
        Text("请重新签名；若再次出现，请联系运维。", "Sign again; if it happens again, tell the operator."),
        got=reason,
    )


def _compare(transaction: ImiTransaction, request: Mapping[str, Any]) -> None:
    signed = {
        "chain_id": transaction.chain_id,
        "nonce": transaction.nonce,
        "valid_until": transaction.valid_until,
        "gas_limit": transaction.gas_limit,
        "calls": [{"to": "0x" + call.to.hex(), "data": "0x" + call.data.hex()} for call in transaction.calls],
        "scheme": transaction.scheme,
        "public_key": "0x" + transaction.public_key.hex(),
    }
    different = [name for name, value in signed.items() if value != request[name]]
    if different:
        raise SiteError(
            "sign.not_what_was_asked",
            Text(
                "签名的内容与本页请求的不一致，没有提交。",
                "What was signed is not what this page asked for; nothing was submitted.",
            ),
            Text(
                "请从本系统的页面重新办理，并报告运维。",
                "Start again from this system's page and report it to the operator.",
            ),
            status=409,
            got=different,
        )
