"""`shelian consortium graduate` from the old machine to the members' data directories, with real files; every
step refuses what is not as it should be.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.consortium import app
from cli.layout import Layout
from contracts.bindings import consortium, identity_registry
from identity.keys import ED25519, X25519, generate_key
from network.comet.home import CometPlace, load_settings
from network.consortium.ended import require_not_ended
from network.consortium.errors import CeremonyError
from network.consortium.keys import node_signer
from node.chain.genesis import decode_genesis
from node.ledger import Ledger
from node.ledger.check import check_ledger
from tests.helpers.graduating import NEW_CHAIN, OLD_CHAIN, PASSPHRASE, Member, OldMachine, make_old_machine

pytestmark = pytest.mark.slow

KINDS = ("police", "court")
runner = CliRunner()


@pytest.fixture(autouse=True)
def passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "passphrase"
    file.write_text(PASSPHRASE + "\n")
    monkeypatch.setenv("SHELIAN_PASSPHRASE_FILE", str(file))


def run(*words: object) -> dict[str, Any]:
    outcome = runner.invoke(app, ["graduate", *map(str, words), "--json"])
    if outcome.exception is not None and not isinstance(outcome.exception, SystemExit):
        raise outcome.exception
    answer: dict[str, Any] = json.loads(outcome.stdout)
    return answer | {"exit": outcome.exit_code}


def refused(code: str, *words: object) -> None:
    with pytest.raises(Exception) as error:  # noqa: PT011 (the code is looked at)
        run(*words)
    assert getattr(error.value, "code", None) == code, error.value


@dataclass
class Scene:
    """An old machine with some blocks, and where the agencies work."""

    path: Path
    old: OldMachine

    @property
    def handover(self) -> Path:
        return self.path / "handover"

    @property
    def police(self) -> Member:
        return self.old.members[0]

    @property
    def court(self) -> Member:
        return self.old.members[1]

    def prepare(self, *more: object) -> dict[str, Any]:
        return run("prepare", "--data", self.old.layout.data, "--out", self.handover, *more)

    def enrolments(self) -> list[object]:
        files = [
            one.enrolment_file(self.path, NEW_CHAIN, f"127.0.0.1:{20_000 + one.id}")
            for one in self.old.members
        ]
        return [word for file in files for word in ("--enrolment", file)]

    def merge_words(self, enrolments: list[object], **changes: str) -> list[object]:
        time = (datetime.now(UTC) + timedelta(seconds=3)).replace(microsecond=0).isoformat()
        options = {"chain-name": NEW_CHAIN, "time": time} | changes
        words: list[object] = ["merge", self.handover, *enrolments]
        for name, value in options.items():
            words += [f"--{name}", value]
        return words

    def sign_words(self, member: Member | None) -> list[object]:
        if member is None:
            return [
                "sign",
                self.handover,
                "--data",
                self.old.layout.data,
                "--out",
                self.path / "old.sig",
                "--yes",
            ]
        out = self.path / f"{member.kind}.sig"
        return ["sign", self.handover, "--keys", member.keys.path, "--out", out, "--yes"]

    def all_signatures(self) -> list[object]:
        for who in (*self.old.members, None):
            run(*self.sign_words(who))
        names = [one.kind for one in self.old.members] + ["old"]
        return [word for name in names for word in ("--signature", self.path / f"{name}.sig")]

    def init_words(self, member: Member, *more: object) -> list[object]:
        data = self.path / member.kind / "data"
        return ["init", self.handover, "--keys", member.keys.path, "--data", data, *more]


def enrol_a_clerk(old: OldMachine) -> None:
    """Two registrars of the court bring a clerk in: a change of state, with receipts."""
    court, clerk = old.members[1], generate_key(ED25519)
    call = identity_registry.enrol(
        b"\x77" * 16, 1, 4, 1, clerk.scheme, clerk.public_key, court.party(OLD_CHAIN), 0
    )
    chain_id = old.genesis.evm_chain_id
    old.add_blocks((), [court.call(0, [call], chain_id, 0)], [court.call(0, [call], chain_id, 1)])


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> OldMachine:
    old = make_old_machine(tmp_path_factory.mktemp("template"), KINDS)
    enrol_a_clerk(old)
    return old


@pytest.fixture
def scene(template: OldMachine, tmp_path: Path) -> Scene:
    root = template.layout.data.parent
    place = tmp_path / "place"
    shutil.copytree(root, place)
    members = tuple(
        Member(type(one.keys)(place / one.kind / "keys"), one.agency, one.id, one.registrars)
        for one in template.members
    )
    return Scene(place, OldMachine(Layout(place / "old"), template.genesis, template.key, members))


def test_a_ledger_graduates_with_its_state_and_history(scene: Scene) -> None:
    before = scene.old.height()
    prepared = scene.prepare()
    # One block was made, empty; it is the end, and the old machine is marked.
    assert (prepared["height"], prepared["blocks_made"]) == (before + 1, 1)
    with pytest.raises(CeremonyError, match=r"^graduate[.]ended:"):
        require_not_ended(scene.old.layout.data, scene.old.layout.validator_key)
    # Again: nothing more happens.
    assert scene.prepare()["blocks_made"] == 0

    merged = run(*scene.merge_words(scene.enrolments()))
    assert merged["chain_name"] == NEW_CHAIN
    assert [one["id"] for one in merged["organisations"]] == [1, 2]
    genesis = decode_genesis((scene.handover / "genesis.json").read_bytes())
    assert genesis.initial_height == before + 2
    assert genesis.evm_chain_id != scene.old.genesis.evm_chain_id

    assert run("check", scene.handover)["exit"] == 1
    signatures = scene.all_signatures()
    checked = run("check", scene.handover, *signatures, "--save")
    assert (checked["exit"], checked["missing"]) == (0, [])

    # The court holds the whole ledger, the police begin at the snapshot.
    whole = run(*scene.init_words(scene.court, "--ledger", scene.old.layout.data))
    part = run(*scene.init_words(scene.police))
    assert (whole["whole_history"], part["whole_history"]) == (True, False)
    for member in scene.old.members:
        layout = Layout(scene.path / member.kind / "data")
        assert load_settings(CometPlace(layout.comet)).bootstrap
        with Ledger.open(layout.ledger, genesis) as ledger:
            assert ledger.tip.height == before + 1
            assert len(ledger.tip.validators) == 2
            with ledger.snapshot() as snapshot:
                clerk = snapshot.state().account(member.registrars[0].address)
                assert (clerk.nonce if clerk else 0) == (1 if member is scene.court else 0)
        report = check_ledger(layout.ledger, genesis)
        assert report.findings == []
    with pytest.raises(CeremonyError, match=r"^graduate[.]went_on:"):
        require_not_ended(scene.old.layout.data, scene.old.layout.validator_key)
    refused("graduate.went_on", "reopen", "--data", scene.old.layout.data)


def test_a_dry_run_says_what_would_happen_and_changes_nothing(scene: Scene) -> None:
    before = scene.old.height()
    plan = scene.prepare("--dry-run")
    assert (plan["dry_run"], plan["idle"], plan["ended"]) == (True, False, False)
    assert scene.old.height() == before
    assert not scene.handover.exists()
    require_not_ended(scene.old.layout.data, scene.old.layout.validator_key)


def test_an_idle_chain_gets_no_further_block(scene: Scene) -> None:
    scene.old.add_blocks(())
    before = scene.old.height()
    assert scene.prepare()["height"] == before


def test_what_was_ended_by_mistake_goes_on_again_until_it_is_signed(scene: Scene) -> None:
    scene.prepare()
    run("reopen", "--data", scene.old.layout.data)
    require_not_ended(scene.old.layout.data, scene.old.layout.validator_key)
    refused("graduate.not_ended", "reopen", "--data", scene.old.layout.data)
    scene.old.add_blocks(())
    run(*scene.merge_words(scene.enrolments()))
    # The blocks made meanwhile are not thrown away behind anybody's back.
    refused("graduate.not_the_end", *scene.sign_words(None))


def test_the_old_machine_signs_no_second_handover(scene: Scene) -> None:
    scene.prepare()
    enrolments = scene.enrolments()
    run(*scene.merge_words(enrolments))
    run(*scene.sign_words(None))
    (scene.path / "old.sig").unlink()
    run(*scene.sign_words(None))  # the same one again
    for file in ("genesis.json", "genesis.ceremony.json"):
        (scene.handover / file).unlink()
    (scene.path / "old.sig").unlink()
    later = (datetime.now(UTC) + timedelta(minutes=5)).replace(microsecond=0).isoformat()
    run(*scene.merge_words(enrolments, time=later))
    refused("graduate.second_handover", *scene.sign_words(None))
    assert not (scene.path / "old.sig").exists()


def test_a_demo_is_refused(tmp_path: Path) -> None:
    old = make_old_machine(tmp_path, KINDS, purpose="demo")
    refused("graduate.demo", "prepare", "--data", old.layout.data, "--out", tmp_path / "handover")
    require_not_ended(old.layout.data, old.layout.validator_key)


def test_merge_refuses_members_that_are_not_those_of_the_contract(scene: Scene) -> None:
    scene.prepare()
    good = scene.enrolments()
    refused("graduate.member_missing", *scene.merge_words(good[:2]))
    refused(
        "graduate.same_name", *scene.merge_words(_enrolments(scene, OLD_CHAIN), **{"chain-name": OLD_CHAIN})
    )
    refused("ceremony.other_chain", *scene.merge_words(good, **{"chain-name": "district-three"}))
    refused("graduate.time", *scene.merge_words(good, time="2062-01-01T00:00:00+08:00"))
    refused("graduate.time", *scene.merge_words(good, time="2020-01-01T00:00:00+08:00"))
    strangers = tuple(generate_key(ED25519) for _ in range(2))
    refused("graduate.registrar", *scene.merge_words(_enrolments(scene, NEW_CHAIN, registrars=strangers)))
    sealing = generate_key(X25519).public_key
    refused(
        "graduate.member_differs", *scene.merge_words(_enrolments(scene, NEW_CHAIN, encryption_key=sealing))
    )


def _enrolments(scene: Scene, chain: str, **changes: Any) -> list[object]:
    """The police's is another one, the court's is as it should be."""
    place = Path(tempfile.mkdtemp(dir=scene.path))
    files = [
        scene.police.enrolment_file(place, chain, "127.0.0.1:20001", **changes),
        scene.court.enrolment_file(place, chain, "127.0.0.1:20002"),
    ]
    return [word for file in files for word in ("--enrolment", file)]


def test_an_agency_that_is_no_member_of_the_contract_is_refused(scene: Scene, tmp_path: Path) -> None:
    scene.prepare()
    stranger = make_old_machine(tmp_path / "elsewhere", ("justice",)).members[0]
    file = stranger.enrolment_file(scene.path, NEW_CHAIN, "127.0.0.1:20009")
    refused("graduate.stranger", *scene.merge_words([*scene.enrolments(), "--enrolment", file]))


def test_the_old_validators_key_gets_no_power_on_the_new_chain(scene: Scene) -> None:
    from network.consortium.enrolment import MemberKey

    scene.prepare()
    words = _enrolments(
        scene,
        NEW_CHAIN,
        validator=MemberKey(scene.old.key.public_key, 10),
        validator_signer=node_signer(scene.old.key.secret),
    )
    refused("graduate.old_key", *scene.merge_words(words))


def test_nobody_starts_while_a_signature_is_missing(scene: Scene) -> None:
    scene.prepare()
    run(*scene.merge_words(scene.enrolments()))
    signatures = scene.all_signatures()
    for left_out in (0, 2, 4):
        some = signatures[:left_out] + signatures[left_out + 2 :]
        checked = run("check", scene.handover, *some)
        assert checked["exit"] == 1
        refused("graduate.not_signed", *scene.init_words(scene.court, *some))
    assert not (scene.path / "court" / "data").exists()


def test_a_changed_handover_is_refused_by_every_command(scene: Scene) -> None:
    scene.prepare()
    run(*scene.merge_words(scene.enrolments()))
    signatures = scene.all_signatures()
    genesis_file = scene.handover / "genesis.json"
    true = genesis_file.read_bytes()

    # Another call slipped into the genesis: the record is of another one, and merging again tells the place.
    document = json.loads(true)
    call = consortium.set_deployer(b"\x66" * 20, True)
    document["calls"].append({"to": "0x" + call.to.hex(), "data": "0x" + call.data.hex()})
    del document["evm_chain_id"]
    genesis_file.write_text(json.dumps(document))
    refused("ceremony.other_genesis", "check", scene.handover, *signatures)
    record = scene.handover / "genesis.ceremony.json"
    kept = record.read_bytes()
    changed = json.loads(kept)
    changed["genesis_hash"] = "0x" + decode_genesis(genesis_file.read_bytes()).hash.hex()
    record.write_text(json.dumps(changed, sort_keys=True, separators=(",", ":"), ensure_ascii=False))
    refused("ceremony.genesis_differs", "check", scene.handover, *signatures)
    refused(
        "ceremony.genesis_differs", *scene.sign_words(scene.court)[:-3], "--out", scene.path / "x", "--yes"
    )
    genesis_file.write_bytes(true)
    record.write_bytes(kept)

    # A chunk of the snapshot.
    chunk = scene.handover / "snapshot" / "000000.chunk"
    sound = chunk.read_bytes()
    chunk.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    with pytest.raises(Exception, match=r"^snapshot[.]chunk"):
        run("check", scene.handover, *signatures)
    chunk.write_bytes(sound)

    # Header and commit of another block.
    (scene.handover / "snapshot" / "witness.json").unlink()
    refused("graduate.no_witness", "check", scene.handover, *signatures)


def test_a_snapshot_of_a_block_that_is_not_empty_is_no_end(scene: Scene) -> None:
    """An operator who takes a snapshot by hand, one block too early."""
    from node.ledger.shelf import Shelf

    with Ledger.open(scene.old.layout.ledger) as ledger, ledger.snapshot() as snapshot:
        saved = Shelf(scene.path / "shelf").create(snapshot, ledger.genesis)
    scene.handover.mkdir()
    shutil.copytree(saved.directory, scene.handover / "snapshot")
    shutil.copy(scene.old.layout.genesis, scene.handover / "old-genesis.json")
    refused("graduate.not_idle", *scene.merge_words(scene.enrolments()))


def test_the_handover_of_another_chain_is_refused(scene: Scene, tmp_path: Path) -> None:
    """Another old genesis beside the snapshot; signatures of another handover."""
    scene.prepare()
    run(*scene.merge_words(scene.enrolments()))
    other = make_old_machine(tmp_path / "elsewhere", KINDS)
    true = (scene.handover / "old-genesis.json").read_bytes()
    shutil.copy(other.layout.genesis, scene.handover / "old-genesis.json")
    refused("snapshot.other_chain", "check", scene.handover)
    (scene.handover / "old-genesis.json").write_bytes(true)
    signatures = scene.all_signatures()
    for file in ("genesis.json", "genesis.ceremony.json"):
        (scene.handover / file).unlink()
    later = (datetime.now(UTC) + timedelta(minutes=5)).replace(microsecond=0).isoformat()
    run(*scene.merge_words(scene.enrolments(), time=later))
    refused("graduate.other_handover", "check", scene.handover, *signatures)


def test_init_takes_no_ledger_that_ends_elsewhere_and_begins_again_where_it_was_cut_off(
    scene: Scene,
) -> None:
    early = scene.path / "early"
    shutil.copytree(scene.old.layout.data, early)
    scene.prepare()
    run(*scene.merge_words(scene.enrolments()))
    signatures = scene.all_signatures()
    # The copy that was made before the last block: refused, and nothing is left that could be started.
    refused("graduate.other_ledger", *scene.init_words(scene.court, "--ledger", early, *signatures))
    layout = Layout(scene.path / "court" / "data")
    assert not layout.genesis.exists()
    assert layout.marker.exists()
    # The next try makes all of it anew.
    assert run(*scene.init_words(scene.court, *signatures))["ok"]
    assert not layout.marker.exists()
    refused("init.exists", *scene.init_words(scene.court, *signatures))


class Killed(BaseException):
    """What kill -9 leaves: nothing is tidied up."""


def test_init_that_was_killed_at_any_step_is_simply_done_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cli import consortium_graduate_data as steps

    scene.prepare()
    run(*scene.merge_words(scene.enrolments()))
    signatures = scene.all_signatures()
    layout = Layout(scene.path / "court" / "data")
    words = scene.init_words(scene.court, "--ledger", scene.old.layout.data, *signatures)

    def killed_after(step: Any) -> Any:
        def run_and_die(*arguments: Any, **options: Any) -> None:
            step(*arguments, **options)
            raise Killed

        return run_and_die

    for name in ("_copy", "publish", "continue_ledger", "make_home", "replace"):
        with monkeypatch.context() as patched:
            patched.setattr(steps, name, killed_after(getattr(steps, name)))
            with pytest.raises(Killed):
                run(*words)
        assert not layout.genesis.exists(), f"after {name} the directory looks finished"
    assert run(*words)["ok"]
    genesis = decode_genesis(layout.genesis.read_bytes())
    assert check_ledger(layout.ledger, genesis).findings == []
    # The old directory was only read.
    assert check_ledger(scene.old.layout.ledger, scene.old.genesis).findings == []
