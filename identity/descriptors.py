"""The clear-signing descriptors (ERC-7730) of the system contracts, bundled for the signing page.

`contracts/descriptors` holds the source. `bundle` gathers it into identity/page/descriptors.json, which the
page's scripts are built with and in which programs look titles up; a test holds both together.

    python -m identity.descriptors        writes the bundle anew; then build the page
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from identity.errors import SigningRefused
from identity.page import HERE
from node.chain.encoding import keccak256
from node.chain.transaction import Call

BUNDLE = HERE / "descriptors.json"
FORMAT = "shelian-descriptors/1"
_PERSON = "person"
_VOTE = "vote"
_NAME = re.compile(r"\s+[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Title:
    """What a call does, in a few words."""

    zh: str
    en: str


def title_of(call: Call) -> Title:
    """What a person's call does.

    Raises SigningRefused `sign.no_descriptor` for one that nobody could read on the page, or that is not a
    person's to send.
    """
    title = _titles().get((call.to, call.data[:4]))
    if title is None:
        raise SigningRefused(
            "sign.no_descriptor", "the call has no readable description", got=[call.to, call.data[:4]]
        )
    return title


def bundle(directory: Path) -> str:
    """The text of the bundle: every descriptor of `directory`, by name."""
    descriptors = [json.loads(path.read_text()) for path in sorted(directory.glob("*.json"))]
    return json.dumps({"format": FORMAT, "descriptors": descriptors}, ensure_ascii=False, indent=1) + "\n"


def selector_of(signature: str) -> bytes:
    """The 4-byte selector of a signature that may name its parameters, as the keys of a descriptor do."""
    return keccak256(_NAME.sub("", signature).replace(" ", "").encode())[:4]


def title_of_vote(call: Call) -> Title | None:
    """What a call does that is put to the vote; None where nobody could read it."""
    return _titles(_VOTE).get((call.to, call.data[:4]))


@cache
def _titles(signer: str = _PERSON) -> Mapping[tuple[bytes, bytes], Title]:
    titles = {}
    for descriptor in json.loads(BUNDLE.read_text())["descriptors"]:
        for signature, function in descriptor["display"]["formats"].items():
            if function["signer"] != signer:
                continue
            for deployment in descriptor["context"]["contract"]["deployments"]:
                address = bytes.fromhex(deployment["address"][2:])
                titles[(address, selector_of(signature))] = _title(function["intent"])
    return titles


def _title(intent: Any) -> Title:
    return Title(intent["zh"], intent["en"])


def main() -> None:
    from contracts.system import DESCRIPTORS_DIR

    BUNDLE.write_text(bundle(DESCRIPTORS_DIR))


if __name__ == "__main__":
    main()
