"""What is wrong with a node: pure functions from its facts to findings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from network.operations.compose import STALLED_HEARTBEATS
from network.operations.facts import CertificateFacts, NodeFacts
from network.operations.findings import FAULT, WARNING, Finding, Words, by_weight

SKEW_WARNING_S: Final = 1.0
SKEW_FAULT_S: Final = 10.0
DISK_FAULT_BYTES: Final = 1 << 30
DISK_WARNING_BYTES: Final = 2 << 30
DISK_WARNING_SHARE: Final = 0.05
DISK_WARNING_DAYS: Final = 14
CERTIFICATE_WARNING_DAYS: Final = {"tls": 30, "agency_ca": 365}
BACKUP_WARNING_S: Final = 7 * 86_400
MISSED_SHARE: Final = 0.25
"""Of the last blocks. A vote that comes after the others went on counts as missed, so some are normal."""
BEHIND: Final = 2
"""Blocks that a healthy node may be behind for a moment."""
_OPEN_FILES_SHARE: Final = 0.8
_RESTARTS: Final = 3
_WAITING: Final = 1_000


_DATA: Final = "DATA"
"""In a command: the data directory. The ledger lies in DATA/node/ledger."""


def findings_of(facts: NodeFacts) -> tuple[Finding, ...]:
    """All that is wrong, faults first; commands name this node's own directory."""
    data = str(Path(facts.disk.path).parent.parent)
    found = [finding for check in _CHECKS for finding in check(facts)]
    return by_weight(replace(one, command=one.command.replace(_DATA, data)) for one in found)


# ---- blocks and the engine


def _engine(facts: NodeFacts) -> Iterator[Finding]:
    engine = facts.engine
    if engine.failure is not None:
        todo, command = _REMEDIES.get(engine.failure_code or "", _READ_ON)
        yield Finding(
            "doctor.engine_stopped",
            FAULT,
            Words(
                f"节点已停止出块：{engine.failure}", f"the node makes no blocks any more: {engine.failure}"
            ),
            todo,
            command,
        )
    elif engine.catching_up:
        yield Finding(
            "doctor.catching_up",
            WARNING,
            Words(f"正在追赶：落后 {facts.block.lag} 块", f"catching up: {facts.block.lag} blocks behind"),
            Words(
                "等；落后的块数应当减少。不减少就看 peers 和磁盘",
                "wait: the number must fall; if it does not, look at the peers and the disk",
            ),
        )
    elif not engine.running:
        yield Finding(
            "doctor.engine_down",
            FAULT,
            Words(
                "CometBFT 没有回答：正在启动、重放区块，或已停",
                "CometBFT does not answer: it starts, replays blocks, or is down",
            ),
            Words(
                "等一分钟；仍如此就看日志中 cometbft 的最后几行",
                "wait a minute; then read its last lines in the log",
            ),
            "journalctl -u shelian-node -n 50",
        )
    if engine.alarm is not None:
        yield Finding(
            "doctor.alarm",
            FAULT,
            Words(f"警报：{engine.alarm}", f"alarm: {engine.alarm}"),
            Words(
                "按代码查 docs/ERRORS.md；先备份，不要反复重启",
                "look the code up in docs/ERRORS.md; back up first, do not restart again and again",
            ),
        )
    for one in engine.misbehaviour:
        yield Finding(
            "doctor.misbehaviour",
            WARNING,
            Words(
                f"验证者 {one.validator[:8]} 在高度 {one.height} 作恶已被证明（{one.kind}）",
                f"validator {one.validator[:8]} misbehaved at height {one.height}: {one.kind}, proved",
            ),
            Words("联系该机构；必要时投票除名", "ask its agency; take it out by vote if need be"),
        )


def _blocks(facts: NodeFacts) -> Iterator[Finding]:
    block, quorum = facts.block, facts.quorum
    if block.lag > BEHIND and not facts.engine.catching_up:
        yield Finding(
            "doctor.behind",
            WARNING,
            Words(f"落后 {block.lag} 块", f"{block.lag} blocks behind"),
            Words("看处理器、磁盘和对端连接", "look at processor, disk and peers"),
        )
    if block.age_s > STALLED_HEARTBEATS * block.heartbeat_s and facts.engine.failure is None:
        yield Finding(
            "doctor.no_blocks",
            FAULT,
            Words(
                f"{block.age_s:.0f} 秒没有新块（应不超过 {block.heartbeat_s:.0f} 秒）",
                f"no block for {block.age_s:.0f} s (there should be one every {block.heartbeat_s:.0f} s)",
            ),
            Words(
                "看下面哪些验证者不作声、哪些节点没连上；先打电话，再看网络",
                "see below who is silent and who is missing; telephone them, then look at the network",
            ),
            "shelian doctor --data DATA",
        )
    silent = [one for one in facts.validators if one.silent]
    names = "、".join(one.organisation_name or one.address[:8] for one in silent)
    names_en = ", ".join(one.organisation_name or one.address[:8] for one in silent)
    if quorum.may_fail_now < 0:
        yield Finding(
            "doctor.no_quorum",
            FAULT,
            Words(
                f"不足三分之二的票权在线，出不了块；不作声的：{names}",
                f"less than two thirds of the power is there, so no block can come; silent: {names_en}",
            ),
            Words("请这些机构启动节点", "have these agencies start their nodes"),
        )
    elif silent:
        yield Finding(
            "doctor.validator_silent",
            WARNING,
            Words(
                f"验证者不作声：{names}；还可再停 {quorum.may_fail_now} 个",
                f"validators silent: {names_en}; {quorum.may_fail_now} more may fail",
            ),
            Words("联系该机构；自己的节点就看日志", "ask that agency; if it is your own node, read its log"),
        )
    own = next((one for one in facts.validators if one.is_own), None)
    if own is not None and not own.silent and own.missed > MISSED_SHARE * own.counted:
        yield Finding(
            "doctor.missed_blocks",
            WARNING,
            Words(
                f"本节点最近 {own.counted} 块漏签 {own.missed} 块",
                f"this node missed {own.missed} of the last {own.counted} blocks",
            ),
            Words("看时钟、处理器、磁盘和网络延迟", "look at clock, processor, disk and network delay"),
        )


# ---- the consortium


def _members(facts: NodeFacts) -> Iterator[Finding]:
    if facts.signed_elsewhere is not None:
        yield Finding(
            "doctor.key_twice",
            FAULT,
            Words(
                f"本节点的验证者密钥在别处签了高度 {facts.signed_elsewhere}：两台机器用同一把",
                f"another machine signed height {facts.signed_elsewhere} with this node's validator key",
            ),
            Words(
                "立即停掉其中一台；查明密钥怎样外流，投票更换",
                "stop one of the two at once; find out how the key got there, and rotate it by vote",
            ),
            "systemctl stop shelian-node",
        )
    if facts.is_member is False:
        yield Finding(
            "doctor.not_a_member",
            FAULT,
            Words(
                f"联盟名单上没有本节点 {facts.node_id}",
                f"the consortium does not list this node, {facts.node_id}",
            ),
            Words(
                "请成员投票加入（setPeer），或核对节点密钥",
                "have the members vote it in (setPeer), or look whether this is the right node key",
            ),
        )
    if facts.bootstrap and not facts.peers and facts.engine.running:
        yield Finding(
            "doctor.no_peers",
            FAULT,
            Words("没有连上任何节点", "not connected with any node"),
            Words(
                "运行 doctor：它逐个试连并说明是域名、防火墙还是对方",
                "run doctor: it tries each address and says whether it is name, firewall or the other side",
            ),
            "shelian doctor --data DATA",
        )
    elif facts.missing and facts.engine.running:
        names = sorted({one.organisation_name for one in facts.missing})
        yield Finding(
            "doctor.member_missing",
            WARNING,
            Words(
                "未连上的成员节点：" + "、".join(names), "members' nodes not connected: " + ", ".join(names)
            ),
            Words("联系该机构，或运行 doctor 试连", "ask that agency, or let doctor try the connection"),
            "shelian doctor --data DATA",
        )
    yield from _own_key(facts)


def _own_key(facts: NodeFacts) -> Iterator[Finding]:
    """A node whose key signs nothing may be an observer; one whose organisation has a validator that is no
    node of the list's is not.
    """
    if not facts.validator_address or any(one.is_own for one in facts.validators):
        return
    if facts.engine.name == "embedded" or facts.own_organisation_signs:
        yield Finding(
            "doctor.not_a_validator",
            WARNING,
            Words(
                f"本节点的验证者密钥 {facts.validator_address[:8]} 不在验证者名单上，而本机构有验证者",
                f"its agency has a validator, but this node's key {facts.validator_address[:8]} is none",
            ),
            Words(
                "密钥轮换后没换文件，或本机装错了密钥",
                "the key was rotated and the file was not, or this is the wrong key",
            ),
            "shelian consortium show DATA/genesis.json",
        )


def _certificates(facts: NodeFacts) -> Iterator[Finding]:
    return certificate_findings(facts.certificates)


def certificate_findings(certificates: Iterable[CertificateFacts]) -> Iterator[Finding]:
    """Those that have ended, and those that end soon."""
    for one in certificates:
        if one.days_left is None or one.days_left > CERTIFICATE_WARNING_DAYS[one.kind]:
            continue
        kind = (
            Words("TLS 证书", "TLS certificate") if one.kind == "tls" else Words("机构 CA 证书", "agency CA")
        )
        todo = (
            Words("换新证书，重启节点", "put a new one in its place and restart the node")
            if one.kind == "tls"
            else Words(
                "该机构重新签发 CA，两名登记员轮换", "that agency makes a new one; two registrars rotate it"
            )
        )
        if one.days_left < 0:
            yield Finding(
                "doctor.certificate_expired",
                FAULT,
                Words(
                    f"{kind.zh}已过期 {-one.days_left} 天：{one.name}",
                    f"{kind.en} expired {-one.days_left} days ago: {one.name}",
                ),
                todo,
            )
        else:
            yield Finding(
                "doctor.certificate_expiring",
                WARNING,
                Words(
                    f"{kind.zh}还剩 {one.days_left} 天：{one.name}",
                    f"{kind.en} ends in {one.days_left} days: {one.name}",
                ),
                todo,
            )


# ---- the machine


def _disk(facts: NodeFacts) -> Iterator[Finding]:
    disk = facts.disk
    room = Words("腾空间；绝不删 node/ledger 里的文件", "make room; never delete a file in node/ledger")
    free = f"{disk.free_bytes / (1 << 30):.1f} GiB"
    if disk.read_only:
        yield Finding(
            "doctor.disk_read_only",
            FAULT,
            Words("磁盘是只读的", "the disk is read-only"),
            Words(
                "多半是磁盘出错后内核改成只读：看 dmesg，换盘或修复后重新挂载",
                "the kernel does that after a fault: read dmesg, mend or replace the disk, mount it again",
            ),
            "dmesg | grep -iE 'error|remount' | tail",
        )
    if disk.free_bytes < DISK_FAULT_BYTES:
        yield Finding(
            "doctor.disk_full",
            FAULT,
            Words(f"磁盘将满：剩 {free}", f"the disk is nearly full: {free} left"),
            room,
            f"df -h {disk.path}",
        )
    elif disk.free_bytes < max(DISK_WARNING_BYTES, DISK_WARNING_SHARE * disk.total_bytes) or (
        disk.days_left is not None and disk.days_left < DISK_WARNING_DAYS
    ):
        days = (
            Words("", "")
            if disk.days_left is None
            else Words(f"，约 {disk.days_left} 天", f", about {disk.days_left} days")
        )
        yield Finding(
            "doctor.disk_low",
            WARNING,
            Words(f"磁盘剩 {free}{days.zh}", f"{free} of disk left{days.en}"),
            room,
            f"df -h {disk.path}",
        )


def _clock(facts: NodeFacts) -> Iterator[Finding]:
    ahead = facts.clock.ahead_s
    if ahead is None or facts.clock.block_ahead_s > abs(ahead):
        ahead = -facts.clock.block_ahead_s
    if abs(ahead) < SKEW_WARNING_S:
        return
    yield Finding(
        "doctor.clock_skew",
        FAULT if abs(ahead) >= SKEW_FAULT_S else WARNING,
        Words(
            f"本机时钟{'快' if ahead > 0 else '慢'} {abs(ahead):.1f} 秒",
            f"this machine's clock is {abs(ahead):.1f} s {'ahead' if ahead > 0 else 'behind'}",
        ),
        Words(
            "对时（chrony 或 systemd-timesyncd），不要手调",
            "synchronise it (chrony or systemd-timesyncd), not by hand",
        ),
        "timedatectl set-ntp true && timedatectl",
    )


def _processes(facts: NodeFacts) -> Iterator[Finding]:
    for one in facts.processes:
        if one.open_files_limit and one.open_files > _OPEN_FILES_SHARE * one.open_files_limit:
            yield Finding(
                "doctor.open_files",
                FAULT,
                Words(
                    f"{one.name} 打开 {one.open_files} 个文件，上限 {one.open_files_limit}",
                    f"{one.name} has {one.open_files} files open of {one.open_files_limit} it may have",
                ),
                Words("提高 LimitNOFILE，重启", "raise LimitNOFILE and restart"),
                "systemctl edit shelian-node",
            )
        if one.restarts >= _RESTARTS:
            yield Finding(
                "doctor.restarting",
                WARNING,
                Words(
                    f"{one.name} 已自行退出 {one.restarts} 次",
                    f"{one.name} has ended by itself {one.restarts} times",
                ),
                Words("看日志中它退出前的几行", "read its last lines before each end in the log"),
                "journalctl -u shelian-node | grep cometbft",
            )


def _rest(facts: NodeFacts) -> Iterator[Finding]:
    if facts.versions.rules_unknown:
        version = facts.versions.rules_unknown
        yield Finding(
            "doctor.rules_unknown",
            FAULT,
            Words(
                f"链上规则第 {version} 版，本程序不认识",
                f"this program does not know version {version} of the chain's rules",
            ),
            Words(
                "在它生效前升级程序，否则本节点会与网络分叉",
                "upgrade before it comes into force, or this node will part from the network",
            ),
        )
    if facts.pool.waiting > _WAITING:
        yield Finding(
            "doctor.pool_waiting",
            WARNING,
            Words(
                f"{facts.pool.waiting} 笔交易缺前序 nonce",
                f"{facts.pool.waiting} transactions miss a nonce before them",
            ),
            Words(
                "某个程序漏发了 nonce：看是哪个服务", "some program left out a nonce: find out which service"
            ),
        )
    if facts.backup is not None and facts.backup.age_s > BACKUP_WARNING_S:
        days = int(facts.backup.age_s // 86_400)
        yield Finding(
            "doctor.backup_old",
            WARNING,
            Words(f"最近的备份已 {days} 天", f"the last backup is {days} days old"),
            Words("备份一次，并查定时任务", "make one, and look at its timer"),
            "shelian backup --help",
        )


_READ_ON: Final = (
    Words("按代码查 docs/ERRORS.md", "look the code up in docs/ERRORS.md"),
    "journalctl -u shelian-node -n 50",
)
_REMEDIES: Final = {
    "state.disk_full": (
        Words(
            "腾空间（不删 node/ledger 里的文件），重启节点；已确认的不会丢",
            "make room (never delete a file in node/ledger) and restart; nothing acknowledged is lost",
        ),
        "df -h",
    ),
    "state.write_failed": (
        Words("先查磁盘，再重启节点", "look at the disk first, then restart the node"),
        "dmesg | tail -50",
    ),
    "state.corrupt": (
        Words(
            "停节点，先复制整个 node 目录，再看能否修复",
            "stop the node, copy all of node/ first, then see what can be repaired",
        ),
        "shelian node repair --data DATA --dry-run",
    ),
    "engine.no_quorum": (
        Words("用创世文件里的那把验证者密钥", "use the validator key that the genesis names"),
        "",
    ),
}

_CHECKS: Final[tuple[Callable[[NodeFacts], Iterator[Finding]], ...]] = (
    _engine,
    _blocks,
    _members,
    _clock,
    _disk,
    _certificates,
    _processes,
    _rest,
)
