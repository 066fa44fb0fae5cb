"""Real contract calls do the same on the node's EVM and on stock py-evm: gas, output, logs, state root.

From one genesis of the system contracts and the benchmark's ERC-20 token, made by both through the same
calls, random stories are played: documents, cases, orders, points, enrolments, votes, transfers. They are
interleaved, and now and then a step is left out, repeated, sent by somebody else, comes late or has a byte
changed; so most refusals of the contracts are met too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest
from eth_abi.abi import encode

from contracts.bindings import (
    anchors,
    consortium,
    correction_cases,
    correction_documents,
    identity_registry,
    love_bank,
    sharing_orders,
)
from contracts.district import (
    CLERKS,
    COURT,
    FUND_APPROVERS,
    JUSTICE,
    NOW,
    PEOPLE,
    POLICE,
    PROCURATORATE,
    RESIDENTS,
    STAFF_PARTY,
    SUPERVISOR,
    WEBAUTHN,
    approver,
    district_spec,
    handler,
    registrar,
    sealer,
    service,
    staff,
)
from contracts.genesis import genesis_calls, genesis_codes
from contracts.system import SYSTEM
from contracts.vocabulary import Domain, Role
from node.chain.encoding import keccak256, rlp_encode_bytes, rlp_encode_integer, rlp_encode_list, sha256
from node.chain.rules import COINBASE
from node.chain.transaction import Call
from node.execution.interpreter import FastState
from tests.property.differential.seeds import chance, fresh, name, quick
from tests.property.differential.worlds import INTERPRETERS, Contents, OurWorld, Sending, StockWorld, compare

KIND = "contracts"
QUICK, LONG = 3, 120
GAS = 3_000_000
DAY = 86_400
TOKEN_ARTIFACT = Path(__file__).parents[3] / "bench" / "contracts" / "Token.json"
HOLDER = b"\xde" * 20
TOKEN = keccak256(rlp_encode_list((rlp_encode_bytes(HOLDER), rlp_encode_integer(0))))[12:]
STRANGERS = (b"\x77" * 20, HOLDER)
NO_ONE, NO_DOCUMENT = bytes(16), bytes(32)

Step = tuple[bytes, Call]
Story = list[Step]


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[OurWorld, StockWorld]]:
    """After the genesis calls, which have done the same in both."""
    codes = dict(genesis_codes())
    contents = {address: Contents(nonce=1, code=code) for address, code in codes.items()}
    contents[COINBASE] = Contents(nonce=1)
    ours, stock = OurWorld(tmp_path_factory.mktemp("contracts") / "state", FastState), StockWorld()
    ours.fill(contents)
    stock.fill(contents)
    token = bytes.fromhex(json.loads(TOKEN_ARTIFACT.read_text())["bytecode"].removeprefix("0x"))
    sendings = [Sending(SYSTEM, call.to, call.data, 10_000_000) for call in genesis_calls(district_spec())]
    sendings.append(Sending(HOLDER, None, token, 10_000_000))
    assert compare([ours], stock, [sendings], "genesis", now=NOW - 100) == len(sendings)
    yield ours, stock
    ours.close()


@pytest.mark.slow
def test_contract_calls_do_the_same(worlds: tuple[OurWorld, StockWorld]) -> None:
    calls, successes = run(worlds, quick(KIND, QUICK))
    assert 0.3 * calls < successes < 0.95 * calls  # good and bad ones


@pytest.mark.long
def test_many_contract_calls_do_the_same(worlds: tuple[OurWorld, StockWorld]) -> None:
    run(worlds, list(fresh(KIND, LONG)))


def run(worlds: tuple[OurWorld, StockWorld], seeds: list[str]) -> tuple[int, int]:
    """How many calls there were, and how many succeeded. Nothing of it stays in `worlds`."""
    calls = successes = 0
    for seed in seeds:
        blocks = scenario(chance(KIND, seed))
        with ExitStack() as opened:
            ours = [opened.enter_context(worlds[0].fork(kind)) for kind in INTERPRETERS]
            successes += compare(ours, worlds[1].fork(), blocks, name(KIND, seed), now=NOW)
        calls += sum(map(len, blocks))
    return calls, successes


def scenario(rng: Random) -> list[list[Sending]]:
    """Stories told at once, in blocks."""
    told = rng.sample([documents, cases, orders, points, enrolment, votes, transfers], 4)
    stories = [story(rng, bytes([number])) for number, story in enumerate([*told, documents, orders])]
    steps: list[Step] = []
    while any(stories):
        steps.append(rng.choice([story for story in stories if story]).pop(0))
    sendings: list[Sending] = []
    for sender, call in steps:
        pick = rng.random()
        if pick < 0.06:
            continue
        if pick < 0.12:
            sender = rng.choice((*(person.account for person in PEOPLE), *STRANGERS))
        data = bytearray(call.data)
        if pick > 0.95 and data:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        gas = GAS if rng.random() < 0.97 else 21_000 + 16 * len(data) + rng.randrange(60_000)
        sendings += [Sending(sender, call.to, bytes(data), gas)] * (2 if rng.random() < 0.06 else 1)
    size = rng.randrange(1, 9)
    return [sendings[start : start + size] for start in range(0, len(sendings), size)]


def documents(rng: Random, mark: bytes) -> Story:
    d, document, answer = correction_documents, sha256(b"document" + mark), sha256(b"answer" + mark)
    manifest, late = sha256(b"manifest" + mark), rng.choice((0, 20 * DAY))
    code, sender, to = rng.choice(((7, COURT, JUSTICE), (0, JUSTICE, COURT), (12, JUSTICE, COURT)))
    story = [
        (
            handler(sender).account,
            d.draft(document, mark * 32, code, manifest, (to,), (), NO_DOCUMENT, NO_ONE),
        ),
        (approver(sender).account, d.approve(document, manifest, NO_ONE)),
        (sealer(sender).account, d.seal(document, manifest, NO_ONE)),
        (handler(sender).account, d.submit(document, NOW - late if code else 0, NO_ONE)),
        (service(to).account, d.deliver(document, manifest)),
        (handler(to).account, d.sign_for(document, NO_ONE)),
        (handler(to).account, d.draft(answer, mark * 32, 8, manifest, (sender,), (), document, NO_ONE)),
        (approver(to).account, d.approve(answer, manifest, NO_ONE)),
        (sealer(to).account, d.seal(answer, manifest, NO_ONE)),
        (handler(to).account, d.submit(answer, NOW, NO_ONE)),
        (SUPERVISOR.account, d.poke_deadline(document, to)),
        (handler(sender).account, d.supersede(document, answer, NO_ONE)),
    ]
    if rng.random() < 0.3:
        story.insert(4, (handler(sender).account, d.return_for_correction(document, manifest, NO_ONE)))
    return story


def cases(rng: Random, mark: bytes) -> Story:
    case, commitment = sha256(b"case" + mark), sha256(b"commitment" + mark)
    opened = correction_cases.open(case, COURT, JUSTICE, rng.randrange(1, 4), NOW, commitment, NO_ONE)
    return [
        (handler(COURT).account, opened),
        *(
            (
                handler(rng.choice((COURT, JUSTICE))).account,
                correction_cases.advance(case, rng.randrange(1, 8), NOW + step, commitment, NO_ONE),
            )
            for step in range(4)
        ),
        (service(JUSTICE).account, anchors.anchor(1, rng.randrange(3), commitment)),
    ]


def orders(rng: Random, mark: bytes) -> Story:
    o, b, order, ref = sharing_orders, love_bank, sha256(b"order" + mark)[:32], sha256(b"ref" + mark)
    needs, serves = rng.sample(RESIDENTS, 2)
    story = [(clerk.account, b.issue(needs.identity, 200, ref)) for clerk in CLERKS]
    story += [
        (needs.account, o.publish(order, rng.random() < 0.3, rng.choice((1, 21)), 8, NOW + 60, ref)),
        (serves.account, o.accept(order)),
        (needs.account, o.confirm(order)),
        (needs.account, o.check_in(order, ref)),
        (serves.account, o.check_in(order, ref)),
        (serves.account, o.finish(order)),
    ]
    ends = {
        "complete": [(needs.account, o.complete(order)), (needs.account, o.rate(order, 5, ref))],
        "cancel": [(needs.account, o.cancel(order))],
        "no show": [(serves.account, o.no_show(order))],
        "dispute": [
            (serves.account, o.dispute(order, ref)),
            (CLERKS[0].account, o.arbitrate(order, 40, ref)),
        ],
        "poke": [(service(5).account, o.poke(order))],
    }
    return story[: rng.randrange(5, len(story) + 1)] + rng.choice(list(ends.values()))


def points(rng: Random, mark: bytes) -> Story:
    b, ref, who = love_bank, sha256(b"points" + mark), rng.choice(RESIDENTS)
    amount = rng.choice((0, 1, 50, 499, 100_000))
    pairs = [
        [b.issue_to_fund(500, ref)] * 2,
        [b.issue(who.identity, amount, ref)] * 2,
        [b.burn_from_fund(10, ref)] * 2,
        [b.freeze(who.identity, ref), b.unfreeze(who.identity, ref), b.unfreeze(who.identity, ref)],
    ]
    story = [(CLERKS[place % 2].account, call) for calls in pairs for place, call in enumerate(calls)]
    story += [(person.account, b.grant(who.identity, 20, ref)) for person in FUND_APPROVERS]
    story += [(who.account, b.donate(3, ref)), (who.account, b.redeem(amount, ref))]
    rng.shuffle(story)
    return story


def enrolment(rng: Random, mark: bytes) -> Story:
    r, pair = identity_registry, (registrar(COURT, 1).account, registrar(COURT, 2).account)
    person, device = (staff(f"{what} {mark.hex()}", COURT, Role.HANDLER) for what in ("newcomer", "device"))
    until = NOW + 365 * DAY
    calls = [
        r.enrol(
            person.identity, Domain.STAFF, 4, person.roles, WEBAUTHN, person.public_key, STAFF_PARTY, until
        ),
        r.set_roles(person.identity, Role.HANDLER | Role.APPROVER),
        r.add_credential(person.identity, WEBAUTHN, device.public_key, STAFF_PARTY, until),
        r.set_deputy(person.identity, handler(COURT).identity, Role.APPROVER, until),
        r.set_level(person.identity, rng.randrange(6)),
        r.suspend(person.identity),
        r.resume(person.identity),
        r.revoke_credential(device.account),
        r.revoke(person.identity),
        consortium.rotate_encryption_key(sha256(mark)),
    ]
    return [(account, call) for call in calls for account in pair[: rng.choice((1, 2, 2))]]


def votes(rng: Random, mark: bytes) -> Story:
    c, proposal = consortium, sha256(b"proposal" + mark)
    call = rng.choice(
        (
            c.set_deployer(mark * 20, True),
            c.suspend_organisation(POLICE),
            c.set_callable(STAFF_PARTY, TOKEN, True),
        )
    )
    voters = rng.sample((COURT, PROCURATORATE, POLICE, JUSTICE), 4)
    return [
        (approver(COURT).account, c.propose(proposal, call.to, call.data)),
        *((approver(voter).account, c.vote(proposal, rng.random() < 0.8)) for voter in voters),
        (approver(COURT).account, c.execute(proposal, call.to, call.data)),
    ]


def transfers(rng: Random, mark: bytes) -> Story:
    people = (HOLDER, *STRANGERS, *(person.account for person in RESIDENTS), bytes(20))

    def call(signature: str, *values: object) -> Call:
        types = signature[signature.index("(") + 1 : -1].split(",")
        return Call(TOKEN, keccak256(signature.encode())[:4] + encode(types, values))

    def one() -> Step:
        amount = rng.choice((0, 1, 10**18, 10**30, 1 << 255))
        first, second = rng.choice(people), rng.choice(people)
        return rng.choice(people[:4]), rng.choice(
            (
                call("transfer(address,uint256)", first, amount),
                call("transfer(address,uint256)", first, 5),
                call("approve(address,uint256)", first, amount),
                call("transferFrom(address,address,uint256)", first, second, 1),
                call("balanceOf(address)", first),
            )
        )

    return [one() for _ in range(15)]
