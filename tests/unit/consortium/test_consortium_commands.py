"""Four agencies make a chain with `shelian consortium` alone: real files, passphrases and ledger."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ceremony_agencies import CHAIN, NAMES
from typer.testing import CliRunner, Result

from cli.consortium import app
from cli.consortium_genesis import parse_time
from cli.output import fail
from identity.keys import ED25519, SM2, generate_key
from identity.keystore import Cost, save_key
from network.comet.home import CometPlace, load_settings
from node.chain.errors import ShelianError
from node.chain.genesis import decode_genesis
from node.ledger import Ledger
from node.ledger.check import check_ledger

pytestmark = pytest.mark.slow

OFFICES = ("court", "procuratorate", "police", "justice")
PASSPHRASE = "correct horse battery"
CHEAP = Cost(2, 64 << 20)
TIME = "2026-12-01T09:00:00+08:00"
runner = CliRunner()


def run(*arguments: object) -> Result:
    return runner.invoke(app, [str(argument) for argument in arguments])


def done(*arguments: object) -> dict[str, Any]:
    """The command's JSON; it must have succeeded."""
    outcome = run(*arguments, "--json")
    assert outcome.exit_code == 0, (outcome.output, outcome.exception)
    found: dict[str, Any] = json.loads(outcome.stdout)
    return found


def code(*arguments: object) -> str:
    """The code with which a command was refused."""
    outcome = run(*arguments)
    assert outcome.exit_code != 0
    assert isinstance(outcome.exception, ShelianError), outcome.output
    return outcome.exception.code


@dataclass(frozen=True)
class Place:
    """One agency's machine; files that travel are copied by the test, as people would mail them."""

    root: Path
    kind: str

    @property
    def here(self) -> Path:
        return self.root / self.kind

    @property
    def keys(self) -> Path:
        return self.here / "keys"

    @property
    def page(self) -> Path:
        return self.here / "staff.page.json"

    @property
    def passphrase(self) -> Path:
        return self.root / "passphrase"

    @property
    def enrolment(self) -> Path:
        return self.here / f"{self.kind}.enrolment.json"

    @property
    def signature(self) -> Path:
        return self.here / f"{self.kind}.signature.json"

    @property
    def secret(self) -> tuple[str, Path]:
        return "--passphrase-file", self.passphrase

    def make(self) -> None:
        """keygen, relying-party, two registrars, enrol."""
        self.here.mkdir()
        who = ("--kind", self.kind, "--name", NAMES[self.kind])
        done("keygen", *who, "--out", self.keys, *self.secret)
        done(
            "relying-party",
            "--kind",
            self.kind,
            "--page",
            f"https://sign.{self.kind}.example",
            "--out",
            self.page,
        )
        for number, algorithm in ((1, SM2), (2, ED25519)):
            key = self.here / f"person-{number}.key.json"
            save_key(
                key, generate_key(algorithm), PASSPHRASE, purpose="production", label="registrar", cost=CHEAP
            )
            done(
                "registrar", "--key", key, "--chain-name", CHAIN, *who, "--relying-party", self.page,
                "--out", self.here / f"{number}.registrar.json", *self.secret,
            )  # fmt: skip
        done(*self.enrol(self.enrolment), *self.secret)

    def enrol(self, out: Path, address: str = "", chain_name: str = CHAIN) -> tuple[object, ...]:
        first, second = (self.here / f"{number}.registrar.json" for number in (1, 2))
        return (
            "enrol", "--keys", self.keys, "--chain-name", chain_name,
            "--registrar", first, "--registrar", second,
            "--relying-party", self.page, "--address", address or f"{self.kind}.example:26656", "--out", out,
        )  # fmt: skip

    def sign(self, genesis: Path, out: Path | None = None) -> tuple[object, ...]:
        return ("sign", genesis, "--keys", self.keys, "--yes", "--out", out or self.signature, *self.secret)


@dataclass(frozen=True)
class Ceremony:
    root: Path
    places: dict[str, Place]
    genesis: Path

    @property
    def signatures(self) -> list[object]:
        return [part for one in self.places.values() for part in ("--signature", one.signature)]


@pytest.fixture(scope="module")
def ceremony(tmp_path_factory: pytest.TempPathFactory) -> Ceremony:
    """Everything up to everybody's signature."""
    root = tmp_path_factory.mktemp("ceremony")
    (root / "passphrase").write_text(PASSPHRASE + "\n")
    places = {kind: Place(root, kind) for kind in OFFICES}
    for place in places.values():
        place.make()
    genesis = root / "genesis.json"
    done(
        "merge",
        *(one.enrolment for one in places.values()),
        "--chain-name",
        CHAIN,
        "--time",
        TIME,
        "--out",
        genesis,
    )
    for place in places.values():
        done(*place.sign(genesis))
    return Ceremony(root, places, genesis)


def test_a_whole_ceremony_ends_in_the_same_ledger_everywhere(ceremony: Ceremony, tmp_path: Path) -> None:
    outcome = run("check", ceremony.genesis)
    assert outcome.exit_code == 1
    assert outcome.stdout.count("MISSING") == 4
    checked = done("check", ceremony.genesis, *ceremony.signatures)
    assert checked["missing"] == []
    genesis = decode_genesis(ceremony.genesis.read_bytes())
    roots = set()
    for kind, place in ceremony.places.items():
        data = tmp_path / kind
        made = done(
            "init", "--keys", place.keys, "--genesis", ceremony.genesis, "--data", data, *ceremony.signatures
        )
        assert made["genesis_hash"] == "0x" + genesis.hash.hex()
        assert check_ledger(data / "node" / "ledger", genesis).ok
        with_ledger = Ledger.open(data / "node" / "ledger", genesis)
        roots.add(with_ledger.tip.app_hash)
        with_ledger.close()
        settings = load_settings(CometPlace(data / "node" / "comet"))
        assert settings.p2p_address == "0.0.0.0:26656"
        assert {peer.split("@")[1] for peer in settings.bootstrap} == {
            f"{other}.example:26656" for other in OFFICES if other != kind
        }
        # What lies in DATA is enough for an auditor, years later.
        assert done("check", data / "genesis.json")["missing"] == []
        assert (
            code(
                "init",
                "--keys",
                place.keys,
                "--genesis",
                ceremony.genesis,
                "--data",
                data,
                *ceremony.signatures,
            )
            == "init.exists"
        )
    assert len(roots) == 1


def test_whoever_merges_gets_the_same_bytes(ceremony: Ceremony, tmp_path: Path) -> None:
    files = [one.enrolment for one in reversed(ceremony.places.values())]
    done(
        "merge",
        *files,
        "--chain-name",
        CHAIN,
        "--time",
        "2026-12-01T01:00:00Z",
        "--out",
        tmp_path / "genesis.json",
    )
    assert (tmp_path / "genesis.json").read_bytes() == ceremony.genesis.read_bytes()
    assert (
        code(
            "merge",
            *files,
            "--chain-name",
            CHAIN,
            "--time",
            "2026-12-02T01:00:00Z",
            "--out",
            tmp_path / "genesis.json",
        )
        == "ceremony.output_exists"
    )


def test_every_file_can_be_shown_and_read_out(ceremony: Ceremony) -> None:
    court = ceremony.places["court"]
    for file, words in (
        (court.enrolment, NAMES["court"]),
        (court.here / "1.registrar.json", "登记员"),
        (court.page, "https://sign.court.example"),
        (court.signature, "创世签名"),
        (ceremony.genesis, "可容忍 1 个故障"),
        (ceremony.root / "genesis.ceremony.json", NAMES["justice"]),
    ):
        outcome = run("show", file)
        assert outcome.exit_code == 0, outcome.output
        assert words in outcome.stdout
        assert done("show", file)["ok"]
    spoken = {done("show", file)["spoken"] for file in (court.signature, ceremony.genesis)}
    assert len(spoken) == 1
    assert code("show", court.keys / "node_key.json") == "ceremony.other_format"


def test_the_record_gathers_signatures(ceremony: Ceremony, tmp_path: Path) -> None:
    genesis = tmp_path / "genesis.json"
    for file in (ceremony.genesis, ceremony.root / "genesis.ceremony.json"):
        shutil.copy(file, tmp_path)
    for number, place in enumerate(ceremony.places.values(), 1):
        outcome = run("check", genesis, "--signature", place.signature, "--save")
        assert outcome.stdout.count("已签 signed") == number
    assert done("check", genesis)["missing"] == []


def test_a_genesis_that_not_everybody_signed_starts_only_with_a_reason(
    ceremony: Ceremony, tmp_path: Path
) -> None:
    court = ceremony.places["court"]
    three = [
        part
        for kind, one in ceremony.places.items()
        if kind != "police"
        for part in ("--signature", one.signature)
    ]
    base = ("init", "--keys", court.keys, "--genesis", ceremony.genesis, "--data", tmp_path / "data")
    assert code(*base) == "ceremony.own_signature"
    assert code(*base, *three) == "ceremony.not_signed"
    assert code(*base, *three, "--without", "police") == "ceremony.reason"
    assert code(*base, *three, "--without", "police=later") == "ceremony.reason"
    assert code(*base, *three, "--without", "justice=they are away until Monday") == "ceremony.reason"
    reason = "签名原件在路上，已电话核对创世数字"
    assert (
        code(*base, *three[:4], "--without", f"police={reason}", "--without", f"justice={reason}")
        == "ceremony.few_signed"
    )
    assert not (tmp_path / "data").exists()
    assert done(*base, *three, "--without", f"police={reason}")["without"] == {"police": reason}
    assert reason in (tmp_path / "data" / "unsigned.json").read_text()
    assert run("check", tmp_path / "data" / "genesis.json").exit_code == 1


def test_a_tampered_enrolment_is_named_by_its_file(ceremony: Ceremony, tmp_path: Path) -> None:
    raw = ceremony.places["court"].enrolment.read_bytes()
    bad = tmp_path / "court.enrolment.json"
    bad.write_bytes(raw.replace(b"court.example:26656", b"thief.example:26656"))
    others = [one.enrolment for kind, one in ceremony.places.items() if kind != "court"]
    outcome = run(
        "merge", bad, *others, "--chain-name", CHAIN, "--time", TIME, "--out", tmp_path / "genesis.json"
    )
    assert isinstance(outcome.exception, ShelianError)
    assert outcome.exception.code == "ceremony.signature"
    assert outcome.exception.message.startswith("court.enrolment.json:")
    assert not (tmp_path / "genesis.json").exists()


def test_an_agency_that_enrolled_anew_does_not_sign_the_older_one(ceremony: Ceremony, tmp_path: Path) -> None:
    """The whole agency is copied: the others of this module go on with the first enrolment."""
    shutil.copytree(ceremony.places["court"].here, tmp_path / "court")
    shutil.copy(ceremony.root / "passphrase", tmp_path)
    court = Place(tmp_path, "court")
    anew = court.enrol(tmp_path / "anew.json", "moved.court.example:26656")
    assert code(*anew, *court.secret) == "keys.enrolled"
    assert not (tmp_path / "anew.json").exists()
    done(*anew, "--replace", *court.secret)
    assert code(*court.sign(ceremony.genesis, tmp_path / "signature.json")) == "ceremony.own_enrolment"
    assert (
        code(
            "init",
            "--keys",
            court.keys,
            "--genesis",
            ceremony.genesis,
            "--data",
            tmp_path / "data",
            *ceremony.signatures,
        )
        == "ceremony.own_enrolment"
    )


def test_a_registrar_who_agreed_to_another_chain_is_not_enrolled(ceremony: Ceremony, tmp_path: Path) -> None:
    court = ceremony.places["court"]
    elsewhere = court.enrol(tmp_path / "elsewhere.json", chain_name="another-chain")
    assert code(*elsewhere, "--replace", *court.secret) == "ceremony.registrar_elsewhere"


def test_without_the_record_nothing_is_signed_or_checked(ceremony: Ceremony, tmp_path: Path) -> None:
    alone = tmp_path / "genesis.json"
    shutil.copy(ceremony.genesis, alone)
    court = ceremony.places["court"]
    assert code("check", alone) == "ceremony.no_record"
    assert code(*court.sign(alone, tmp_path / "signature.json")) == "ceremony.no_record"
    files = [part for one in ceremony.places.values() for part in ("--enrolment", one.enrolment)]
    assert done(*court.sign(alone, tmp_path / "signature.json"), *files)["ok"]


def test_a_wrong_passphrase_signs_nothing(ceremony: Ceremony, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("another passphrase\n")
    court = ceremony.places["court"]
    arguments = ("sign", ceremony.genesis, "--keys", court.keys, "--yes", "--out", tmp_path / "s.json")
    assert code(*arguments, "--passphrase-file", tmp_path / "wrong") == "key.wrong_passphrase"
    assert not (tmp_path / "s.json").exists()


def test_who_does_not_say_yes_signs_nothing(ceremony: Ceremony, tmp_path: Path) -> None:
    court = ceremony.places["court"]
    arguments = ["sign", str(ceremony.genesis), "--keys", str(court.keys), "--out", str(tmp_path / "s.json")]
    assert runner.invoke(app, arguments, input="n\n").exit_code == 1
    assert not (tmp_path / "s.json").exists()


def test_a_strangers_file_cannot_paint_on_the_screen(ceremony: Ceremony, tmp_path: Path) -> None:
    document = json.loads(ceremony.genesis.read_bytes())
    document["organisations"][0]["name"] = "\x1b[2J示例[/b]"
    del document["evm_chain_id"]
    (tmp_path / "genesis.json").write_text(json.dumps(document))
    outcome = run("show", tmp_path / "genesis.json")
    assert outcome.exit_code == 0, outcome.output
    assert "\\x1b[2J示例[/b]" in outcome.stdout
    assert "\x1b" not in outcome.stdout


def test_a_refusal_shows_what_it_quotes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        fail(ShelianError("ceremony.bad_value", "name [/b]", "\x1b[2J[red]"), as_json=False)
    said = capsys.readouterr().err
    assert "name [/b]" in said
    assert "\\x1b[2J[red]" in said


@pytest.mark.parametrize(
    "time", ["", "tomorrow", "2026-12-01", "2026-12-01T09:00:00", "2026-12-01T09:00:00.5Z"]
)
def test_a_time_without_its_zone_is_refused(time: str) -> None:
    with pytest.raises(ShelianError) as caught:
        parse_time(time)
    assert caught.value.code == "ceremony.time"
