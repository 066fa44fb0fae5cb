"""Signs for the people of a demo, as their own devices would: with the key files in the demo's directory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cli.layout import Layout
from cli.system import url_of
from identity.demo.enrolment import DEMO_RP_ID
from identity.demo.files import open_demo_key
from identity.keys import KeyPair
from identity.signing import sign_imi
from node.chain.transaction import Call, build_imi


class DemoSigner:
    """Answers signing requests (docs/SIGNING.md) with signed transactions; opens each key once."""

    def __init__(self, layout: Layout, port_base: int) -> None:
        self._layout = layout
        self._origin = url_of("identity", port_base)
        self._keys: dict[str, KeyPair] = {}

    def key(self, person: str) -> KeyPair:
        """Raises KeyFileError."""
        if person not in self._keys:
            self._keys[person] = open_demo_key(self._layout.demo, person, chain_purpose="demo")
        return self._keys[person]

    def sign(self, person: str, request: Mapping[str, Any]) -> str:
        """The raw transaction, 0x hex, for a person's account name and a signing request."""
        key = self.key(person)
        unsigned = build_imi(
            chain_id=request["chain_id"],
            nonce=request["nonce"],
            valid_until=request["valid_until"],
            gas_limit=request["gas_limit"],
            calls=[Call(_bytes(call["to"]), _bytes(call["data"])) for call in request["calls"]],
            scheme=key.scheme,
            public_key=key.public_key,
        )
        return "0x" + sign_imi(key, unsigned, origin=self._origin, rp_id=DEMO_RP_ID).raw.hex()


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
