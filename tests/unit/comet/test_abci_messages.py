"""The messages of ABCI 2.0: bytes worked out from the specification by hand, bytes that a CometBFT sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from network.comet import abci_pb2 as pb
from network.comet.framing import FrameDecoder, encode_frame
from network.comet.generate import MADE, ROOT, generated

RECORDED = Path(__file__).with_name("recorded_requests.json")

REQUESTS = {
    "echo": 1,
    "flush": 2,
    "info": 3,
    "init_chain": 5,
    "query": 6,
    "check_tx": 8,
    "commit": 11,
    "list_snapshots": 12,
    "offer_snapshot": 13,
    "load_snapshot_chunk": 14,
    "apply_snapshot_chunk": 15,
    "prepare_proposal": 16,
    "process_proposal": 17,
    "extend_vote": 18,
    "verify_vote_extension": 19,
    "finalize_block": 20,
    "insert_tx": 21,
    "reap_txs": 22,
}
RESPONSES = {
    "exception": 1,
    "echo": 2,
    "flush": 3,
    "info": 4,
    "init_chain": 6,
    "query": 7,
    "check_tx": 9,
    "commit": 12,
    "list_snapshots": 13,
    "offer_snapshot": 14,
    "load_snapshot_chunk": 15,
    "apply_snapshot_chunk": 16,
    "prepare_proposal": 17,
    "process_proposal": 18,
    "extend_vote": 19,
    "verify_vote_extension": 20,
    "finalize_block": 21,
    "insert_tx": 22,
    "reap_txs": 23,
}
"""Field numbers, read off the specification by hand a second time."""


def test_the_generated_files_are_what_the_source_makes() -> None:
    for path, text in generated().items():
        assert (ROOT / path).read_text() == text, "run python -m network.comet.generate"
    assert set(generated()) == set(MADE)


def test_every_method_has_its_number() -> None:
    def numbers(message: type[pb.Request | pb.Response]) -> dict[str, int]:
        return {field.name: field.number for field in message.DESCRIPTOR.oneofs_by_name["value"].fields}

    assert numbers(pb.Request) == REQUESTS
    assert numbers(pb.Response) == RESPONSES


@pytest.mark.parametrize(
    ("message", "encoded"),
    [
        # tag 2<<3|2, no bytes
        (pb.Request(flush=pb.RequestFlush()), "1200"),
        (pb.Response(flush=pb.ResponseFlush()), "1a00"),
        # 1: string of two bytes
        (pb.Request(echo=pb.RequestEcho(message="hi")), "0a04 0a026869"),
        (pb.Response(echo=pb.ResponseEcho(message="hi")), "1204 0a026869"),
        (pb.Response(exception=pb.ResponseException(error="no")), "0a04 0a026e6f"),
        # 1: bytes; 2: enum RECHECK
        (pb.Request(check_tx=pb.RequestCheckTx(tx=b"\xbe\xef", type=pb.RECHECK)), "4206 0a02beef 1001"),
        # a zero value is left out
        (pb.Request(check_tx=pb.RequestCheckTx(tx=b"\xbe\xef", type=pb.NEW)), "4204 0a02beef"),
        # 21000 = 0b1_0100100_0001000
        (pb.Response(check_tx=pb.ResponseCheckTx(code=5, gas_wanted=21000)), "4a06 0805 2888a401"),
        # 4: last_block_height, 5: app hash
        (
            pb.Response(
                info=pb.ResponseInfo(app_version=1, last_block_height=300, last_block_app_hash=b"\xaa")
            ),
            "2208 1801 20ac02 2a01aa",
        ),
        # tags above 15 take two bytes: 20<<3|2 = 162 = a201
        (
            pb.Request(
                finalize_block=pb.RequestFinalizeBlock(
                    txs=[b"\x7f", b""], height=7, time=Timestamp(seconds=1, nanos=2)
                )
            ),
            "a2010d 0a017f 0a00 2807 3204 0801 1002",
        ),
        # 2: results, 3: validator with a key of kind ed25519 and power 0, 4: version.app = 3, 5: hash
        (
            pb.Response(
                finalize_block=pb.ResponseFinalizeBlock(
                    tx_results=[pb.ExecTxResult(data=b"\x01", gas_wanted=2, gas_used=1), pb.ExecTxResult()],
                    validator_updates=[pb.ValidatorUpdate(pub_key=pb.PublicKey(ed25519=b"\x09"))],
                    consensus_param_updates=pb.ConsensusParams(version=pb.VersionParams(app=3)),
                    app_hash=b"\xaa\xbb",
                )
            ),
            "aa011c 1207 120101 2802 3001 1200 1a05 0a03 0a0109 2204 2202 0803 2a02aabb",
        ),
        # −1 is 64 bits in two's complement: ten bytes
        (
            pb.ConsensusParams(block=pb.BlockParams(max_bytes=1, max_gas=-1)),
            "0a0d 0801 10ffffffffffffffffff01",
        ),
        (
            pb.ConsensusParams(
                evidence=pb.EvidenceParams(max_age_duration=Duration(seconds=3)),
                validator=pb.ValidatorParams(pub_key_types=["ed25519"]),
                abci=pb.ABCIParams(vote_extensions_enable_height=4),
            ),
            "1204 1202 0803 1a09 0a07 65643235353139 2a02 0804",
        ),
        # numbers in a row are packed into one field
        (
            pb.Response(
                apply_snapshot_chunk=pb.ResponseApplySnapshotChunk(
                    result=pb.ResponseApplySnapshotChunk.RETRY, refetch_chunks=[1, 2, 300]
                )
            ),
            "820108 0803 1204 0102ac02",
        ),
        # CometBFT's time of nothing, year 1: seconds below 0
        (
            pb.Request(process_proposal=pb.RequestProcessProposal(time=Timestamp(seconds=-62135596800))),
            "8a010d 320b 08 8092b8c398feffffff01",
        ),
        (pb.Response(commit=pb.ResponseCommit(retain_height=9)), "6202 1809"),
        (pb.Request(insert_tx=pb.RequestInsertTx(tx=b"\x01")), "aa0103 0a0101"),
        (pb.Request(reap_txs=pb.RequestReapTxs(max_bytes=1)), "b20102 0801"),
    ],
    ids=lambda value: value.split()[0] if isinstance(value, str) else type(value).__name__,
)
def test_bytes_worked_out_by_hand(
    message: pb.Request | pb.Response | pb.ConsensusParams, encoded: str
) -> None:
    assert message.SerializeToString(deterministic=True).hex() == encoded.replace(" ", "")
    assert type(message).FromString(bytes.fromhex(encoded)) == message


def recorded() -> list[Any]:
    return [
        pytest.param(bytes.fromhex(text), id=f"{number}-{kind}")
        for number, (kind, text) in enumerate(json.loads(RECORDED.read_text())["requests"])
    ]


@pytest.mark.parametrize("frame", recorded())
def test_every_byte_of_what_cometbft_sends_is_understood(frame: bytes) -> None:
    """Written again without what our messages do not know, a request is the same to the last byte."""
    (message,) = FrameDecoder().feed(frame)
    request = pb.Request.FromString(message)
    assert request.WhichOneof("value") in REQUESTS
    request.DiscardUnknownFields()
    assert encode_frame(request.SerializeToString(deterministic=True)) == frame
