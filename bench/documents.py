"""Document issue: `CorrectionDocuments.draft` of a D07 judgment by the court's handlers, WebAuthn-signed.

One drafting has every check of a real one: the sender's credential and role, the rule of the code, the kinds
of all three addressees.
"""

from __future__ import annotations

from bench.cast import HANDLERS, JUSTICE, POLICE, PROCURATORATE
from bench.client import Client
from bench.sending import Sender
from contracts.bindings import correction_documents
from node.chain.encoding import sha256
from node.chain.transaction import Call

_D07 = 7
_ENVELOPE_GAS = 60_000
_DRAFT_GAS = 110_000


async def sign_documents(client: Client, tag: str, count: int, each: int = 1) -> list[bytes]:
    """`count` transactions of `each` documents, the handlers in turn; `tag` keeps runs apart."""
    chain_id = int(await client.call("eth_chainId"), 16)
    senders = [Sender(key, chain_id, 0) for key in HANDLERS]
    await client.load_nonces(senders)
    gas = _ENVELOPE_GAS + each * _DRAFT_GAS
    return [
        senders[i % len(senders)].sign_calls([_draft(f"{tag} {i} {j}") for j in range(each)], gas)
        for i in range(count)
    ]


def _draft(name: str) -> Call:
    return correction_documents.draft(
        document=sha256(f"document {name}".encode()),
        case_id=sha256(f"case {name}".encode()),
        code=_D07,
        manifest_hash=sha256(f"manifest {name}".encode()),
        to=(JUSTICE,),
        copies=(PROCURATORATE, POLICE),
        in_reply_to=bytes(32),
        on_behalf_of=bytes(16),
    )
