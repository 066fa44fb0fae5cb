"""What is not the snapshot that is trusted is refused, by name, and nothing comes into being."""

from __future__ import annotations

import random
import shutil
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from node.chain.encoding import keccak256, sha256
from node.chain.errors import LedgerError
from node.chain.genesis import Genesis
from node.chain.header import Header
from node.chain.receipt import results_hash
from node.ledger import chunks
from node.ledger.building import build_ledger
from node.ledger.chunks import ACCOUNT, CODE, MAX_CHUNK_BYTES, OWNER, SLOT, Record, open_chunk, seal_chunk
from node.ledger.export import decode_witness
from node.ledger.manifest import (
    FORMAT,
    Manifest,
    SnapshotRefused,
    decode_manifest,
    encode_manifest,
    manifest_hash,
    require_header,
)
from node.ledger.restore import Restore, require_first_header
from node.ledger.shelf import SavedSnapshot, chunk_name, manifest_files
from node.state.account import EMPTY_ACCOUNT, encode_account
from node.state.blocks import StoredValidator
from tests.helpers.ledger import Chain, make_genesis, mint, person
from tests.property.ledger_snapshots.states import add_anything, restore, take


@pytest.fixture(scope="module")
def small_chunks() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK_BYTES", 2_000)
        yield


@pytest.fixture(scope="module")
def source(
    small_chunks: None, tmp_path_factory: pytest.TempPathFactory
) -> tuple[SavedSnapshot, Genesis, Header]:
    """A snapshot of many chunks, the genesis, and the header of the block after it."""
    directory = tmp_path_factory.mktemp("source")
    chain = Chain.create(directory / "ledger")
    add_anything(chain, random.Random(7), storage=4)
    chain.add_block([chain.sign(chain.clerk, [mint(b"\x09" * 20, 3)])])
    saved = take(chain, directory / "snapshots")
    chain.add_block()
    header = chain.stored_header(saved.manifest.height + 1)
    genesis = chain.ledger.genesis
    chain.close()
    assert len(saved.manifest.chunks) > 8
    return saved, genesis, header


Source = tuple[SavedSnapshot, Genesis, Header]


def refused(code: str) -> pytest.RaisesExc[SnapshotRefused]:
    return pytest.raises(SnapshotRefused, match=code.replace(".", r"\."))


# ---- changed bytes


def test_every_changed_byte_of_a_manifest_is_refused(source: Source, tmp_path: Path) -> None:
    saved, *_ = source
    place = tmp_path / "1"
    shutil.copytree(saved.directory, place)
    chance = random.Random(1)
    for name in manifest_files(saved.encoded):
        with (place / name).open("r+b", buffering=0) as file:
            for at, byte in enumerate((place / name).read_bytes()):
                for written in (byte ^ 1 << chance.randrange(8), byte):
                    file.seek(at)
                    file.write(bytes((written,)))
                    if written != byte:
                        with refused("snapshot.hash"):
                            SavedSnapshot.load(place)
    assert SavedSnapshot.load(place).hash == saved.hash


def test_every_changed_byte_of_a_chunk_is_refused(source: Source) -> None:
    saved, *_ = source
    chance = random.Random(2)
    index = 3
    sound, expected = saved.load_stored(index) or b"", saved.manifest.chunks[index]
    assert open_chunk(index, sound, expected)
    for at in range(len(sound)):
        changed = bytearray(sound)
        changed[at] ^= 1 << chance.randrange(8)
        with refused("snapshot.chunk_damaged") as error:
            open_chunk(index, bytes(changed), expected)
        assert error.value.got == index
    for end in (0, 1, 31, 32, 33, len(sound) - 1):
        with refused("snapshot.chunk_damaged|snapshot.chunk_malformed"):
            open_chunk(index, sound[:end], expected)
    with refused("snapshot.chunk_damaged"):
        open_chunk(index, sound + b"\x00", expected)


def test_a_chunk_of_another_place_or_snapshot_is_refused_and_the_restore_goes_on(
    source: Source, tmp_path: Path
) -> None:
    saved, genesis, _ = source
    restoring = Restore.begin(tmp_path / "ledger", genesis, saved.encoded, saved.manifest.app_hash)
    stored = [saved.load_stored(index) or b"" for index in range(len(saved.manifest.chunks))]
    with refused("snapshot.chunk_differs") as error:
        restoring.add_chunk(1, stored[2])
    assert error.value.got == [1, sha256(saved.load_chunk(2))]
    with refused("snapshot.chunk_differs"):
        restoring.add_chunk(0, seal_chunk(b"\x03\x00\x00\x00\x01\x00"))
    for index in (-1, len(stored)):
        with refused("snapshot.no_such_chunk"):
            restoring.add_chunk(index, stored[0])
    with refused("snapshot.chunk_missing") as missing:
        restoring.build()
    assert missing.value.got == 0
    for index in reversed(range(len(stored))):
        restoring.add_chunk(index, stored[index])
        restoring.add_chunk(index, stored[index])
    assert restoring.missing == ()
    restoring.build()


def test_a_decompression_bomb_is_not_unpacked(source: Source) -> None:
    bomb = zlib.compress(bytes(64 << 20), 9)
    with refused("snapshot.chunk_too_large") as error:
        open_chunk(5, sha256(bomb) + bomb, bytes(32))
    assert error.value.got == [5, MAX_CHUNK_BYTES + 1]
    with refused("snapshot.chunk_too_large"):
        open_chunk(5, bytes(MAX_CHUNK_BYTES + 1), bytes(32))


def test_what_is_no_one_zlib_stream_is_refused() -> None:
    raw = b"\x04" + bytes(20)
    whole = zlib.compress(raw)
    for body in (b"", b"no zlib", whole[:-1], whole + b"\x00", whole + whole):
        with refused("snapshot.chunk_malformed"):
            open_chunk(0, sha256(body) + body, sha256(raw))


def test_manifests_that_are_not_canonical_or_make_no_sense_are_refused(source: Source) -> None:
    saved, *_ = source
    text = saved.encoded.decode()
    height = saved.manifest.height
    for changed in (
        "",
        "[]",
        "{}",
        text + " ",
        text.replace(",", ", ", 1),
        text.replace('"accounts"', '"accountz"'),
        text.replace('"accounts":', '"accounts":0'),
        text.replace(f'"height":{height}', '"height":0'),
        text.replace(f'"height":{height}', '"height":-1'),
        text.replace(f'"height":{height}', '"height":true'),
        text.replace(f'"height":{height}', f'"height":{2**63}'),
        text.replace(f'"height":{height}', f'"height":"{height}"'),
        text.replace("0x", "0X", 1),
        text.replace('{"accounts"', '{"a":1,"accounts"'),
        text.replace('"chunks":[', '"chunks":["00",'),
        text[:-1],
    ):
        assert changed != text
        with pytest.raises(SnapshotRefused) as error:
            decode_manifest(changed.encode())
        assert error.value.code in ("snapshot.manifest", "snapshot.format")
    with refused("snapshot.format"):
        decode_manifest(text.replace(FORMAT, "shelian-snapshot/2").encode())


@pytest.mark.parametrize("seed", range(300))
def test_any_changed_manifest_is_refused_or_another_one(source: Source, seed: int) -> None:
    saved, *_ = source
    chance = random.Random(seed)
    changed = bytearray(saved.encoded)
    for _ in range(chance.randint(1, 3)):
        changed[chance.randrange(len(changed))] = chance.choice(b'0123456789abcdef"[]{},:x- \xff')
    try:
        decoded = decode_manifest(bytes(changed))
    except SnapshotRefused:
        return
    assert encode_manifest(decoded) == bytes(changed)
    assert (manifest_hash(changed) == saved.hash) == (bytes(changed) == saved.encoded)


# ---- another chain, another state


def test_another_chain_or_another_state_is_refused_before_a_chunk_is_taken(
    source: Source, tmp_path: Path
) -> None:
    saved, genesis, _ = source
    other = make_genesis([person("somebody else", 2)])
    with refused("snapshot.other_chain"):
        Restore.begin(tmp_path / "ledger", other, saved.encoded, saved.manifest.app_hash)
    with refused("snapshot.app_hash"):
        Restore.begin(tmp_path / "ledger", genesis, saved.encoded, bytes(32))
    assert list(tmp_path.iterdir()) == []


def lie(manifest: Manifest, **changes: object) -> Manifest:
    return replace(manifest, block=replace(manifest.block, **changes))  # type: ignore[arg-type]


LIES: dict[str, Callable[[Manifest], Manifest]] = {
    "block_hash": lambda manifest: lie(manifest, hash=b"\x01" * 32),
    "last_results_hash": lambda manifest: lie(manifest, results_hash=results_hash(()) + b""),
    "validators": lambda manifest: replace(
        manifest,
        validators=(manifest.validators[0], (StoredValidator(b"\x01" * 32, 9),), manifest.validators[2]),
    ),
    "next validators": lambda manifest: replace(
        manifest, validators=(*manifest.validators[:2], (StoredValidator(b"\x01" * 32, 9),))
    ),
    "rules": lambda manifest: replace(manifest, rules=replace(manifest.rules, version=2)),
}


@pytest.mark.parametrize("name", LIES)
def test_the_header_after_the_block_finds_every_lie_that_matters(source: Source, name: str) -> None:
    saved, _, header = source
    require_header(saved.manifest, header)
    with refused("snapshot.header") as error:
        require_header(LIES[name](saved.manifest), header)
    assert isinstance(error.value.got, list)
    assert error.value.got[0] == name
    with refused("snapshot.header"):
        require_header(saved.manifest, replace(header, height=header.height + 1))
    with refused("snapshot.app_hash"):
        require_header(saved.manifest, replace(header, app_hash=bytes(32)))


def resaved(saved: SavedSnapshot, manifest: Manifest, raws: list[bytes], directory: Path) -> SavedSnapshot:
    """A snapshot that is well made and does not tell the truth."""
    directory.mkdir(parents=True)
    for index, raw in enumerate(raws):
        (directory / chunk_name(index)).write_bytes(seal_chunk(raw))
    manifest = replace(manifest, chunks=tuple(map(sha256, raws)), raw_bytes=sum(map(len, raws)))
    for name, data in manifest_files(encode_manifest(manifest)).items():
        (directory / name).write_bytes(data)
    return SavedSnapshot.load(directory)


@pytest.mark.parametrize(
    ("name", "code"), [("next validators", "snapshot.validators"), ("rules", "snapshot.rules")]
)
def test_what_follows_from_the_state_is_compared_with_it(
    source: Source, tmp_path: Path, name: str, code: str
) -> None:
    saved, genesis, _ = source
    liar = resaved(saved, LIES[name](saved.manifest), list(saved.load_chunks()), tmp_path / "liar")
    with refused(code):
        build_ledger(tmp_path / "ledger", genesis, liar)


@pytest.mark.parametrize("name", ["block_hash", "last_results_hash", "validators"])
def test_what_the_state_cannot_tell_the_first_header_tells(source: Source, tmp_path: Path, name: str) -> None:
    saved, genesis, header = source
    liar = resaved(saved, LIES[name](saved.manifest), list(saved.load_chunks()), tmp_path / "liar")
    chain = Chain.open(restore(liar, genesis, tmp_path / "node"))
    different = pytest.raises(LedgerError, match=r"ledger\.base_differs")
    with chain.ledger.snapshot() as snapshot, different as error:
        require_first_header(snapshot, header)
    assert name.replace("_", " ") in str(error.value)
    chain.close()


def test_a_witness_of_another_block_or_not_signed_is_refused(source: Source) -> None:
    saved, *_ = source
    encoded = (saved.directory / "witness.json").read_bytes()
    assert decode_witness(encoded, saved.manifest).header.height == saved.manifest.height
    with refused("snapshot.witness"):
        decode_witness(encoded, lie(saved.manifest, hash=b"\x01" * 32))
    with refused("snapshot.witness"):
        decode_witness(encoded, lie(saved.manifest, time_ns=5))
    chance = random.Random(3)
    for at in range(0, len(encoded), 3):
        changed = bytearray(encoded)
        changed[at] = chance.choice([byte for byte in b'0123456789abcdef"{' if byte != changed[at]])
        with refused("snapshot.witness"):
            decode_witness(bytes(changed), saved.manifest)


# ---- contents: a maker who gets all hashes of the chunks right, and lies within


def records(saved: SavedSnapshot) -> list[Record]:
    """All, without the owner records between chunks."""
    found = [
        record for index, raw in enumerate(saved.load_chunks()) for record in chunks.split_chunk(index, raw)
    ]
    return [record for record in found if record[0] != OWNER]


def place_of(found: list[Record], kind: int, after: int = 0) -> int:
    return next(at for at in range(after, len(found)) if found[at][0] == kind)


def pair_of(found: list[Record], kind: int) -> int:
    """The first of three neighbours of this kind; so two accounts without storage."""
    return next(at for at in range(len(found)) if [one[0] for one in found[at : at + 3]] == [kind] * 3)


def repeat(kind: int) -> Callable[[list[Record]], None]:
    return lambda found: found.insert(pair_of(found, kind), found[pair_of(found, kind)])


def swap(kind: int) -> Callable[[list[Record]], None]:
    def edit(found: list[Record]) -> None:
        at = pair_of(found, kind)
        found[at], found[at + 1] = found[at + 1], found[at]

    return edit


def change(kind: int, value: Callable[[Record], Record]) -> Callable[[list[Record]], None]:
    def edit(found: list[Record]) -> None:
        at = place_of(found, kind)
        found[at] = value(found[at])

    return edit


def slot_of_nobody(found: list[Record]) -> None:
    empty = encode_account(EMPTY_ACCOUNT)
    found.insert(0, (SLOT, bytes(32), b"\x01"))
    found.insert(0, (ACCOUNT, bytes(20), empty))


def another_account(found: list[Record]) -> None:
    found.insert(0, (ACCOUNT, bytes(20), encode_account(EMPTY_ACCOUNT)))


def drop(kind: int) -> Callable[[list[Record]], None]:
    return lambda found: found.pop(place_of(found, kind)) and None


def code_of_nobody(found: list[Record]) -> None:
    codes = [(CODE, b"", b"nobody's")] + [record for record in found if record[0] == CODE]
    found[place_of(found, CODE) :] = sorted(codes, key=lambda record: keccak256(record[2]))


CONTENTS: dict[str, tuple[str, Callable[[list[Record]], None]]] = {
    "accounts out of order": ("snapshot.order", swap(ACCOUNT)),
    "an account twice": ("snapshot.order", repeat(ACCOUNT)),
    "slots out of order": ("snapshot.order", swap(SLOT)),
    "a slot twice": ("snapshot.order", repeat(SLOT)),
    "codes out of order": ("snapshot.order", swap(CODE)),
    "a code twice": ("snapshot.order", repeat(CODE)),
    "an account after the codes": ("snapshot.order", lambda found: found.append(found[0])),
    "no account": ("snapshot.account", change(ACCOUNT, lambda one: (ACCOUNT, one[1], b"\xc0"))),
    "an account not canonical": (
        "snapshot.account",
        change(ACCOUNT, lambda one: (ACCOUNT, one[1], one[2].replace(one[2][2:3], b"\x81" + one[2][2:3], 1))),
    ),
    "a value of zero": ("snapshot.slot", change(SLOT, lambda one: (SLOT, one[1], b""))),
    "a value not minimal": ("snapshot.slot", change(SLOT, lambda one: (SLOT, one[1], b"\x00\x01"))),
    "a value too long": ("snapshot.slot", change(SLOT, lambda one: (SLOT, one[1], b"\x01" * 33))),
    "a slot of an account without storage": ("snapshot.slot", slot_of_nobody),
    "another value": ("snapshot.storage_root", change(SLOT, lambda one: (SLOT, one[1], b"\x63\x64\x65"))),
    "a slot missing": ("snapshot.storage_root", drop(SLOT)),
    "a code missing": ("snapshot.code", drop(CODE)),
    "a code that nobody has": ("snapshot.code", code_of_nobody),
    "another account": ("snapshot.counts|snapshot.state_root", another_account),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_records_that_are_not_the_state_are_refused_with_their_chunk(
    source: Source, small_chunks: None, tmp_path: Path, name: str
) -> None:
    saved, genesis, _ = source
    code, edit = CONTENTS[name]
    found = records(saved)
    edit(found)
    liar = resaved(saved, saved.manifest, list(chunks.cut_chunks(found)), tmp_path / "liar")
    with refused(code) as error:
        build_ledger(tmp_path / "ledger", genesis, liar)
    if error.value.code not in ("snapshot.counts", "snapshot.state_root"):
        got = error.value.got
        assert isinstance(got, list)
        assert 0 <= got[0] < len(liar.manifest.chunks)


def test_a_state_that_is_sound_and_another_one_is_refused(source: Source, tmp_path: Path) -> None:
    saved, genesis, _ = source
    found = records(saved)
    another_account(found)
    manifest = replace(saved.manifest, accounts=saved.manifest.accounts + 1)
    liar = resaved(saved, manifest, list(chunks.cut_chunks(found)), tmp_path / "liar")
    with refused("snapshot.state_root"):
        build_ledger(tmp_path / "ledger", genesis, liar)


def test_a_chunk_that_goes_on_with_another_account_is_refused(source: Source, tmp_path: Path) -> None:
    saved, genesis, _ = source
    raws = list(saved.load_chunks())
    index = next(index for index, raw in enumerate(raws) if raw[0] == OWNER)
    raws[index] = raws[index][:1] + bytes(20) + raws[index][21:]
    liar = resaved(saved, saved.manifest, raws, tmp_path / "liar")
    with refused("snapshot.owner") as error:
        build_ledger(tmp_path / "ledger", genesis, liar)
    assert error.value.got == [index, bytes(20)]


@pytest.mark.parametrize("seed", range(200))
def test_any_bytes_as_a_chunk_are_records_or_refused(source: Source, seed: int) -> None:
    saved, *_ = source
    chance = random.Random(seed)
    raw = bytearray(saved.load_chunk(chance.randrange(len(saved.manifest.chunks))))
    if chance.random() < 0.3:
        raw = bytearray(chance.randbytes(chance.randrange(200)))
    for _ in range(chance.randint(0, 3)):
        if raw:
            raw[chance.randrange(len(raw))] = chance.randrange(256)
    cut = bytes(raw[: chance.randrange(len(raw) + 1)])
    outcome = ""
    try:
        found = list(chunks.split_chunk(0, cut))
    except SnapshotRefused as error:
        outcome = error.code
    if outcome:
        assert outcome == "snapshot.chunk_malformed"
    else:
        assert all(kind in (ACCOUNT, SLOT, CODE, OWNER) for kind, *_ in found)


def test_a_code_larger_than_any_chunk_is_refused_when_the_snapshot_is_made() -> None:
    with refused("snapshot.record_too_large"):
        list(chunks.cut_chunks([(CODE, b"", bytes(MAX_CHUNK_BYTES))]))
    largest = MAX_CHUNK_BYTES - (1 << 16) - 5
    (raw,) = chunks.cut_chunks([(CODE, b"", random.Random(1).randbytes(largest))])
    assert open_chunk(0, seal_chunk(raw), sha256(raw)) == raw
