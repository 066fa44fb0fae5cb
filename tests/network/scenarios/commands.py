"""The commands of scenario files, one small function each. What they mean: docs/SCENARIOS.md."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from network.comet.settings import StateSync
from node.chain.validators import validator_address
from tests.network.scenarios import votes
from tests.network.scenarios.clocks import shifted_cometbft
from tests.network.scenarios.language import EVERYBODY, Machines, command
from tests.network.scenarios.member import RPC, Alteration, Member
from tests.network.scenarios.people import POWER, owner_of, validator_key
from tests.network.scenarios.scene import PATIENCE_S, Network, Recovery, make_network, with_lines
from tests.network.scenarios.switch import Line, State
from tests.network.scenarios.worlds import address_of

SNAPSHOT_EVERY = 25


@dataclass
class Run:
    """A scenario under way: `path` is its directory; `made` is there after the first command."""

    path: Path
    made: Network | None = None

    @property
    def network(self) -> Network:
        assert self.made is not None, "the first command makes the network"
        return self.made

    def acted(self, what: str) -> None:
        """From now on the time to recover counts."""
        self.network.last_act = (what, time.monotonic())


# ---- beginning


@command("network <validators:count> validators")
def network(run: Run, validators: int) -> None:
    run.made = make_network(run.path, validators)
    _begin(run)


@command("network <validators:count> validators, disk of <machine:machine> is <megabytes:count> MB")
def network_with_small_disk(run: Run, validators: int, machine: int, megabytes: int) -> None:
    run.made = make_network(run.path, validators, (machine, megabytes))
    _begin(run)


def _begin(run: Run) -> None:
    for member in run.network.of(EVERYBODY):
        # Snapshots, and RPC for members, as whoever lets others join has them.
        member.options = ("--snapshot-every", str(SNAPSHOT_EVERY))
        member.settings = replace(
            member.settings, rpc_address=f"{address_of(member.number)}:{RPC}", rpc_for_members=True
        )
        member.write_home()
        member.start()
    for member in run.network.of(EVERYBODY):
        run.network.wait(lambda member=member: _height(member) >= 1, f"the first block of {member.number}")  # type: ignore[misc]


def _height(member: Member) -> int:
    assert member.is_running, f"node {member.number} ended:\n{member.log[-4_000:]}"
    return member.height


@command("load <rate:number> per second")
def load(run: Run, rate: float) -> None:
    run.network.load.start(rate)
    run.network.per_second = rate


# ---- machines stop and start


@command("kill <machines:machines>")
def kill(run: Run, machines: Machines) -> None:
    for member in run.network.of(machines):
        member.kill()
    run.acted(f"kill {_names(machines)}")


@command("kill consensus of <machines:machines>")
def kill_consensus(run: Run, machines: Machines) -> None:
    for member in run.network.of(machines):
        member.kill_cometbft()
    run.acted(f"kill consensus of {_names(machines)}")


@command("stop <machines:machines>")
def stop(run: Run, machines: Machines) -> None:
    for member in run.network.of(machines):
        member.stop()
    run.acted(f"stop {_names(machines)}")


@command("start <machines:machines>")
def start(run: Run, machines: Machines) -> None:
    for member in run.network.of(machines):
        member.start()
    run.acted(f"start {_names(machines)}")


@command("restart each in turn")
def restart_each(run: Run) -> None:
    """As an upgrade goes: the next one when this one is in step again."""
    for member in run.network.of(EVERYBODY):
        began = time.monotonic()
        member.stop()
        member.start()
        times = run.network.probe([member], PATIENCE_S)
        run.network.recoveries.append(Recovery(f"restart {member.number} in turn", max(times) - began))
    run.acted("all restarted")


# ---- lines


@command("partition <groups:groups>")
def partition(run: Run, groups: tuple[Machines, ...]) -> None:
    islands = tuple(frozenset(group) for group in groups)
    run.network.set_lines(replace(run.network.lines, islands=islands))
    run.acted("partition " + " | ".join(_names(group) for group in groups))


@command("heal")
def heal(run: Run) -> None:
    run.network.set_lines(replace(run.network.lines, islands=()))
    run.acted("heal")


@command(
    "link <one:machine>-<other:machine> delay <delay:count>ms jitter <jitter:count>ms loss <loss:number>%"
)
def link(run: Run, one: int, other: int, delay: int, jitter: int, loss: float) -> None:
    line = Line(delay / 1000, jitter / 1000, loss / 100)
    run.network.set_lines(with_lines(run.network.lines, [(one, other)], line))
    run.acted(f"link {one}-{other} delay {delay}ms loss {loss:g}%")


@command("links of <machines:machines> delay <delay:count>ms jitter <jitter:count>ms loss <loss:number>%")
def links(run: Run, machines: Machines, delay: int, jitter: int, loss: float) -> None:
    line = Line(delay / 1000, jitter / 1000, loss / 100)
    numbers = [member.number for member in run.network.of(machines)]
    ends = [(one, other) for one in numbers for other in run.network.places if one != other]
    run.network.set_lines(with_lines(run.network.lines, ends, line))
    run.acted(f"links of {_names(machines)} delay {delay}ms jitter {jitter}ms loss {loss:g}%")


@command("links plain")
def links_plain(run: Run) -> None:
    run.network.set_lines(State(islands=run.network.lines.islands))
    run.acted("links plain")


# ---- faults in machines


@command("clock <machine:machine> <seconds:signed>s")
def clock(run: Run, machine: int, seconds: int) -> None:
    """The machine is started again with that clock."""
    (member,) = run.network.of((machine,))
    member.stop()
    member.alteration = replace(member.alteration, clock_s=seconds, cometbft=shifted_cometbft())
    member.start()
    run.acted(f"clock {machine} {seconds:+d}s")


@command("fill disk of <machine:machine>")
def fill_disk(run: Run, machine: int) -> None:
    (member,) = run.network.of((machine,))
    ballast = member.layout.data / "ballast"
    run.network.ballast[machine] = ballast
    # Unbuffered: closing must not try once more to write what the disk did not take.
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 16))
        except OSError:
            pass
    run.acted(f"fill disk of {machine}")


@command("free disk of <machine:machine>")
def free_disk(run: Run, machine: int) -> None:
    run.network.ballast.pop(machine).unlink()
    run.acted(f"free disk of {machine}")


@command("bad proposer <machine:machine> with <kind:word>")
def bad_proposer(run: Run, machine: int, kind: str) -> None:
    """The machine is started again with a program that proposes inadmissible blocks."""
    _alter(run, machine, Alteration(proposes=kind), f"{machine} proposes {kind}")


@command("wrong state on <machine:machine> in <blocks:count> blocks")
def wrong_state(run: Run, machine: int, blocks: int) -> None:
    """The machine is started again with a program that computes another state root from then on."""
    alteration = Alteration(executes_wrongly_from=run.network.highest() + blocks)
    _alter(run, machine, alteration, f"wrong state on {machine}")


@command("honest program on <machine:machine>")
def honest_program(run: Run, machine: int) -> None:
    _alter(run, machine, Alteration(), f"honest program on {machine}")
    run.network.members[machine].is_suspect = False


def _alter(run: Run, machine: int, alteration: Alteration, what: str) -> None:
    (member,) = run.network.of((machine,))
    member.stop()
    member.alteration = alteration
    member.is_suspect = not alteration.is_honest
    run.network.rejections = {one.number: _rejections(one, machine) for one in run.network.serving}
    member.start()
    run.acted(what)


@command("twin of <machine:machine> on <twin:machine>")
def twin(run: Run, machine: int, twin: int) -> None:
    """A second machine signs with the same validator key; it is a member's node like others."""
    (original,) = run.network.of((machine,))
    peers = sorted(run.network.members)
    votes.let_in(run.network, twin, owner_of(machine))
    member = run.network.add(twin, signs_as=machine, peers=peers)
    member.is_suspect = original.is_suspect = True
    member.start()
    run.acted(f"twin of {machine}")


# ---- votes


@command("vote out <machine:machine>")
def vote_out(run: Run, machine: int) -> None:
    votes.change_power(run.network, validator_key(machine), 0, owner_of(machine))
    run.acted(f"vote out {machine}")


@command("vote in <machine:machine>")
def vote_in(run: Run, machine: int) -> None:
    votes.change_power(run.network, validator_key(machine), POWER, owner_of(machine))
    run.acted(f"vote in {machine}")


@command("vote rules with byte gas <gas:count> in <blocks:count> blocks")
def vote_rules(run: Run, gas: int, blocks: int) -> None:
    votes.add_rules(run.network, gas, run.network.highest() + blocks)


# ---- joining


@command("join <machine:machine> by state sync")
def join_by_state_sync(run: Run, machine: int) -> None:
    """Voted in as a peer; begins with a snapshot of the others."""
    network = run.network
    givers = network.serving
    trusted = givers[0].call("shelian_getHeader", hex(max(1, network.highest() - SNAPSHOT_EVERY)))
    sync = StateSync(
        tuple(f"http://{address_of(one.number)}:{RPC}" for one in givers[:2]),
        int(trusted["height"], 16),
        bytes.fromhex(trusted["hash"][2:]),
    )
    peers = sorted(network.members)
    votes.let_in(network, machine, owner_of(machine))
    joiner = network.add(machine, signs_as=machine, peers=peers, state_sync=sync)
    joiner.start()
    run.acted(f"join {machine} by state sync")


@command("join <machine:machine> by every block")
def join_by_blocks(run: Run, machine: int) -> None:
    network = run.network
    peers = sorted(network.members)
    votes.let_in(network, machine, owner_of(machine))
    network.add(machine, signs_as=machine, peers=peers).start()
    run.acted(f"join {machine} by every block")


@command("remove <machine:machine>")
def remove(run: Run, machine: int) -> None:
    """It is stopped for good; its directory is checked in the end with the others'."""
    (member,) = run.network.of((machine,))
    member.stop()


# ---- waiting and expecting


@command("wait <seconds:number> s")
def wait(run: Run, seconds: float) -> None:
    time.sleep(seconds)


@command("wait until height +<blocks:count>")
def wait_height(run: Run, blocks: int) -> None:
    target = run.network.highest() + blocks
    run.network.wait(lambda: run.network.highest() >= target, f"height {target}")


@command("expect no blocks for <seconds:number> s")
def expect_no_blocks(run: Run, seconds: float) -> None:
    """What was decided just before may still be on its way."""
    for _ in range(10):
        before = run.network.highest()
        time.sleep(2.0)
        if run.network.highest() == before:
            break
    time.sleep(seconds)
    after = run.network.highest()
    assert after == before, f"from height {before} to {after}"


@command("expect blocks within <seconds:number> s")
def expect_blocks(run: Run, seconds: float) -> None:
    """Two more than there are."""
    since = run.network.highest()
    run.network.wait(lambda: run.network.highest() >= since + 2, f"two blocks after {since}", seconds)
    what, done = run.network.last_act
    run.network.notes.append(f"{what}: blocks again after {time.monotonic() - done:.1f} s")


@command("expect recovered within <seconds:number> s")
def expect_recovered(run: Run, seconds: float) -> None:
    """Every node that should run acknowledges a transaction sent to it alone, and thus is in step."""
    what, since = run.network.last_act
    times = run.network.probe(run.network.serving, seconds)
    run.network.recoveries.append(Recovery(what, max(times) - since))


@command("expect misbehaviour of <machine:machine> within <seconds:number> s")
def expect_misbehaviour(run: Run, machine: int, seconds: float) -> None:
    """Every honest node shows the evidence that a block brought."""
    address = "0x" + validator_address(validator_key(machine)).hex()

    def proved(member: Member) -> bool:
        return any(
            one["validator"] == address and one["kind"] == "duplicate_vote"
            for one in member.status.get("misbehaviour", ())
        )

    what, since = run.network.last_act
    took = run.network.wait(
        lambda: all(proved(member) for member in run.network.serving), f"evidence of {machine}", seconds
    )
    run.network.notes.append(
        f"{what}: evidence in a block after {time.monotonic() - since:.1f} s (waited {took:.1f})"
    )


@command("expect failure <code:word> of <machine:machine> within <seconds:number> s")
def expect_failure(run: Run, code: str, machine: int, seconds: float) -> None:
    """It has stopped by itself and says why; it still answers."""
    _expect_word(run, ("failure",), code, machine, seconds)


@command("expect alarm <code:word> of <machine:machine> within <seconds:number> s")
def expect_alarm(run: Run, code: str, machine: int, seconds: float) -> None:
    """It says what is wrong, and goes on by itself when that is over."""
    _expect_word(run, ("alarm",), code, machine, seconds)


@command("expect trouble <code:word> of <machine:machine> within <seconds:number> s")
def expect_trouble(run: Run, code: str, machine: int, seconds: float) -> None:
    """One or the other: which of its two programs meets the trouble first is chance."""
    _expect_word(run, ("alarm", "failure"), code, machine, seconds)


@command("mend <machine:machine>")
def mend(run: Run, machine: int) -> None:
    """What an operator does when the cause is gone: a node that has failed is started again, no other."""
    (member,) = run.network.of((machine,))
    if member.status["failure"] is not None:
        member.stop()
        member.start()
        run.network.notes.append(f"{machine} had to be started again")


def _expect_word(run: Run, kinds: Sequence[str], code: str, machine: int, seconds: float) -> None:
    (member,) = run.network.of((machine,))

    def said() -> str:
        status = member.status
        return " ".join(str(status.get(kind)) for kind in kinds)

    run.network.wait(lambda: code in said(), f"{code} of {machine}", seconds)
    what, since = run.network.last_act
    run.network.notes.append(f"{what}: {machine} says {code} after {time.monotonic() - since:.1f} s")


@command("expect rejected proposals of <machine:machine> within <seconds:number> s")
def expect_rejected(run: Run, machine: int, seconds: float) -> None:
    """Every honest node has refused a block of that machine since its program was changed."""
    run.network.wait(
        lambda: all(
            _rejections(member, machine) > run.network.rejections.get(member.number, 0)
            for member in run.network.serving
        ),
        f"a rejected proposal of {machine}",
        seconds,
    )


def _rejections(member: Member, proposer: int) -> int:
    address = validator_address(validator_key(proposer)).hex()
    return sum(
        "a proposed block was rejected" in line and address in line for line in member.log.splitlines()
    )


@command("expect validators <machines:machines>")
def expect_validators(run: Run, machines: Machines) -> None:
    """By every node's word."""
    expected = {"0x" + validator_key(number).hex() for number in machines}

    def held(member: Member) -> bool:
        return {one["publicKey"] for one in member.call("shelian_getValidators", "latest")} == expected

    run.network.wait(lambda: all(held(one) for one in run.network.serving), f"validators {_names(machines)}")


@command("expect <machine:machine> began at a snapshot")
def expect_began_at_snapshot(run: Run, machine: int) -> None:
    """It did not execute every block."""
    (member,) = run.network.of((machine,))
    first = int(member.status["firstBlock"], 16)
    assert first > 1, "it executed every block"
    run.network.notes.append(f"{machine} begins at block {first}")


@command("expect rules version <version:count>")
def expect_rules(run: Run, version: int) -> None:
    """In the newest header of every node."""

    def stands(member: Member) -> bool:
        header = member.ask("shelian_getHeader", "latest").get("result") or {}
        return bool(header) and int(header["header"]["version"]["app"], 16) == version

    run.network.wait(lambda: all(stands(one) for one in run.network.serving), f"rules version {version}")


@command("forget <machine:machine>")
def forget(run: Run, machine: int) -> None:
    """It is stopped, and what is on its disk counts no more: it is known to be wrong."""
    (member,) = run.network.of((machine,))
    member.stop()
    del run.network.members[machine]
    shutil.move(member.layout.data, member.layout.data.with_suffix(".forgotten"))


def _names(machines: Machines) -> str:
    return " ".join(map(str, machines)) or "everybody"
