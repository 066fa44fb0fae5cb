"""From what a node or a contract says to what a person is told.

A node's refusal carries a code (`tx.nonce_too_low`), a contract's revert carries an error selector and
values. Both are looked up in tables of sentences: `refusals.json` here for the node's codes, and one table
an app brings for its contracts, keyed by the error's name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.abi import collapse_if_tuple
from eth_utils.crypto import keccak

from apps.node_client import NodeError
from apps.site.errors import SiteError
from apps.site.text import Text

_ASK_OPERATOR = Text("请把此代码告诉运维人员。", "Tell the operator this code.")
_ERROR_STRING = bytes.fromhex("08c379a0")
_PANIC = bytes.fromhex("4e487b71")


@dataclass(frozen=True, slots=True)
class Sentence:
    """What happened and what to do next. `{name}` places are filled from the error's values."""

    text: Text
    next_step: Text


def load_sentences(document: Mapping[str, Any]) -> dict[str, Sentence]:
    """From `{"Name": {"zh": …, "en": …, "next_zh": …, "next_en": …}}`."""
    return {
        name: Sentence(Text(row["zh"], row["en"]), Text(row["next_zh"], row["next_en"]))
        for name, row in document.items()
    }


NODE_SENTENCES: dict[str, Sentence] = load_sentences(
    json.loads(resources.files("apps.site").joinpath("refusals.json").read_text("utf-8"))
)


@dataclass(frozen=True, slots=True)
class DecodedRevert:
    """The error a contract raised: its name and its values by name."""

    name: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _ErrorForm:
    name: str
    names: tuple[str, ...]
    types: tuple[str, ...]


@dataclass
class ContractErrors:
    """The errors some contracts can raise and the sentences for them.

    `abis` are the contracts' ABI lists as solc gives them. An error without a sentence is shown with its
    name and values, which a test of each app keeps from happening for the errors of its own contracts.
    """

    abis: Sequence[Sequence[Mapping[str, Any]]]
    sentences: Mapping[str, Sentence]
    _forms: dict[bytes, _ErrorForm] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for abi in self.abis:
            for entry in abi:
                if entry["type"] == "error":
                    types = tuple(collapse_if_tuple(dict(item)) for item in entry["inputs"])
                    selector = keccak(text=f"{entry['name']}({','.join(types)})")[:4]
                    names = tuple(item["name"] or str(place) for place, item in enumerate(entry["inputs"]))
                    self._forms[selector] = _ErrorForm(entry["name"], names, types)

    def names(self) -> set[str]:
        """The names of all errors the contracts declare."""
        return {form.name for form in self._forms.values()}

    def decode(self, data: bytes) -> DecodedRevert | None:
        """The error in revert bytes, or None when no contract here declares it."""
        selector, body = data[:4], data[4:]
        try:
            if selector == _ERROR_STRING:
                return DecodedRevert("Error", {"reason": decode(["string"], body)[0]})
            if selector == _PANIC:
                return DecodedRevert("Panic", {"code": decode(["uint256"], body)[0]})
            form = self._forms.get(selector)
            if form is None:
                return None
            return DecodedRevert(form.name, dict(zip(form.names, decode(form.types, body), strict=True)))
        except DecodingError:
            return None

    def explain(self, data: bytes) -> SiteError:
        """The revert as an error a person understands; code `contract.<Name>`."""
        revert = self.decode(data)
        if revert is None:
            return SiteError(
                "contract.unknown",
                Text(
                    "合约拒绝了此操作，原因无法识别。",
                    "The contract refused this for a reason not known here.",
                ),
                _ASK_OPERATOR,
                status=409,
                got=data,
            )
        values = {name: _readable(value) for name, value in revert.values.items()}
        sentence = self.sentences.get(revert.name)
        if sentence is None:
            listed = ", ".join(f"{name}={value}" for name, value in values.items())
            text = Text(
                f"合约拒绝了此操作：{revert.name}（{listed}）",
                f"The contract refused this: {revert.name} ({listed})",
            )
            return SiteError(f"contract.{revert.name}", text, _ASK_OPERATOR, status=409, got=values)
        return SiteError(
            f"contract.{revert.name}",
            sentence.text.format(**values),
            sentence.next_step.format(**values),
            status=409,
            got=values,
        )

    def explain_node_error(self, error: NodeError) -> SiteError:
        """Any error of the node client as an error a person understands."""
        if error.code == "node.reverted" and error.data:
            return self.explain(error.data)
        sentence = NODE_SENTENCES.get(error.code)
        if sentence is None:
            text = Text(f"节点没有接受：{error.message}", f"The node did not accept this: {error.message}")
            return SiteError(
                error.code, text, _ASK_OPERATOR, status=502, got=error.got, expected=error.expected
            )
        return SiteError(
            error.code, sentence.text, sentence.next_step, status=409, got=error.got, expected=error.expected
        )


def _readable(value: Any) -> object:
    return "0x" + value.hex() if isinstance(value, bytes) else value
