"""The pinned page: nothing inline, nothing from elsewhere, built from the sources that stand beside it."""

import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from contracts.bindings import correction_documents
from contracts.system import DESCRIPTORS_DIR
from identity.descriptors import BUNDLE, bundle, selector_of, title_of
from identity.errors import SigningRefused
from identity.page import HERE, load_page
from node.chain.transaction import Call

PAGES = ("sign.html", "register.html", "demo.html")


def test_the_bundled_descriptors_are_those_of_the_contracts() -> None:
    assert BUNDLE.read_text() == bundle(DESCRIPTORS_DIR)


def test_a_call_has_a_title_only_if_it_is_a_persons_to_send() -> None:
    assert title_of(correction_documents.sign_for(bytes(32), bytes(16))).zh == "签收文书"
    deliver = correction_documents.deliver(bytes(32), bytes(32))
    for call in (deliver, Call(b"\x99" * 20, deliver.data), Call(deliver.to, b"\xff" * 4)):
        with pytest.raises(SigningRefused, match=r"sign\.no_descriptor"):
            title_of(call)


def test_selectors_do_not_depend_on_the_names_of_parameters() -> None:
    assert selector_of("transfer(address to,uint256 value)") == bytes.fromhex("a9059cbb")
    assert selector_of("f((uint8 a,bytes32[4] b) rule)") == selector_of("f((uint8,bytes32[4]))")


class Links(HTMLParser):
    """Collects what a page loads and what stands inline."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.inline: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        for name, value in attrs:
            if name in ("src", "href") and not (value or "").startswith("#"):
                self.loaded.append(value or "")
            if name.startswith("on") or name == "style":
                self.inline.append(name)

    def handle_data(self, data: str) -> None:
        if self._inside in ("script", "style") and data.strip():
            self.inline.append(data)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_loads_its_own_files_and_holds_no_code(name: str) -> None:
    files = load_page()
    links = Links()
    links.feed(files[name].decode())
    assert links.inline == []
    assert links.loaded
    assert {path.removeprefix("/static/") for path in links.loaded} <= set(files)


def test_the_scripts_name_no_other_host_and_never_make_code_or_markup() -> None:
    for name, data in load_page().items():
        if name.endswith(".js"):
            text = data.decode()
            for forbidden in (
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "new Function",
            ):
                assert forbidden not in text, (name, forbidden)
            assert not re.search(r"fetch\(\s*[\"'`]https?:", text)


def test_the_licences_of_what_is_bundled_stand_beside_it() -> None:
    notices = load_page()["THIRD-PARTY.txt"].decode()
    for package in ("viem", "@noble/hashes"):
        assert package in notices


def test_the_lock_file_names_no_host() -> None:
    assert "resolved" not in (HERE / "package-lock.json").read_text()


@pytest.mark.slow
@pytest.mark.clients
def test_the_scripts_are_built_from_the_sources_beside_them(tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        reason = "npm is not installed: the signing page was not rebuilt"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    source = tmp_path / "page"
    ignored = shutil.ignore_patterns("node_modules", "*.py", "__pycache__")
    shutil.copytree(HERE, source, ignore=ignored)
    for script in (source / "static").glob("*.js"):
        script.unlink()
    subprocess.run(["npm", "ci", "--ignore-scripts"], cwd=source, check=True, capture_output=True)
    subprocess.run(["node", "build.mjs"], cwd=source, check=True, capture_output=True)
    assert (source / "PINNED.json").read_bytes() == (HERE / "PINNED.json").read_bytes()
    built = {path.name: path.read_bytes() for path in (source / "static").iterdir()}
    assert built == dict(load_page())
