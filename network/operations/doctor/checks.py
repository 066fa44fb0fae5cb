"""The doctor's checks: each a pure function of the examination, with the findings it gives.

`run_checks` gives one result for each, in the order in which somebody would look: is there anything at all,
does it belong together, is the machine well, can the others be reached, does the node do its work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from network.operations.doctor.examination import (
    REACHED,
    REFUSED,
    SILENT,
    UNKNOWN_NAME,
    Examination,
    Holder,
)
from network.operations.findings import FAULT, WARNING, Finding, Words, by_weight
from network.operations.judgement import certificate_findings
from network.operations.networking import is_loopback

PYTHONS: Final = ((3, 11), (3, 12))
LEAST_OPEN_FILES: Final = 1_024
LEAST_MEMORY: Final = 2 << 30
LEAST_AVAILABLE: Final = 256 << 20


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at; without findings it is in order."""

    name: str
    title: Words
    findings: tuple[Finding, ...]

    @property
    def level(self) -> str:
        """ok, warning or fault."""
        return self.findings[0].level if self.findings else "ok"

    def as_dict(self) -> dict[str, Any]:
        return {
            "check": self.name,
            "level": self.level,
            "findings": [one.as_dict() for one in self.findings],
        }


def run_checks(seen: Examination) -> tuple[Check, ...]:
    """Every check. What the node found itself stands under the check it belongs to."""
    results = []
    for name, title, check in _CHECKS:
        own = [one for one in seen.found if _CHECK_OF.get(one.code, "blocks") == name]
        results.append(Check(name, title, by_weight([*check(seen), *own])))
    return tuple(results)


# ---- is it there, and does it belong together


def check_data(seen: Examination) -> Iterator[Finding]:
    if seen.is_unfinished:
        yield Finding(
            "doctor.init_unfinished",
            FAULT,
            Words("建立数据目录时被打断", "making this data directory was cut off"),
            Words("再运行一次同样的 init 命令", "run the same init command again"),
            f"shelian init --data {seen.data}",
        )
    elif not seen.has_data:
        yield Finding(
            "doctor.no_data",
            FAULT,
            Words(f"{seen.data} 里没有节点", f"there is no node in {seen.data}"),
            Words("路径对不对？新节点先建目录", "is the path right? A new node's directory is made first"),
            f"shelian init --data {seen.data}  |  shelian consortium init --data {seen.data} …",
        )
    if seen.has_data and not seen.is_running:
        yield Finding(
            "doctor.not_running",
            WARNING,
            Words("节点没有运行", "the node is not running"),
            Words("先修好下面的故障，再启动", "mend the faults below, then start it"),
            f"systemctl start shelian-node  |  shelian node --data {seen.data}",
        )
    if seen.answers is False:
        yield Finding(
            "doctor.no_answer",
            FAULT,
            Words(
                "节点进程在，运维端口不回答",
                "the node's process is there, its operations port does not answer",
            ),
            Words("看日志最后几行；必要时重启", "read the end of the log; restart it if need be"),
            "journalctl -u shelian-node -n 50",
        )


def check_genesis(seen: Examination) -> Iterator[Finding]:
    genesis = seen.genesis
    if genesis.error and seen.has_data:
        yield Finding(
            "doctor.genesis_unreadable",
            FAULT,
            Words(f"genesis.json 不可用：{genesis.error}", f"genesis.json cannot be used: {genesis.error}"),
            Words("从离线保存处取回，或向任一成员要", "take it from where it is kept, or ask any member"),
            f"shelian consortium show {seen.data}/genesis.json",
        )
    for what, zh, hash in (
        ("the ledger", "账本", genesis.ledger),
        ("CometBFT's directory", "CometBFT 目录", genesis.comet),
    ):
        if genesis.file and hash and hash != genesis.file:
            yield Finding(
                "doctor.wrong_genesis",
                FAULT,
                Words(
                    f"{zh}属于另一条链：{hash[:16]}…，genesis.json 是 {genesis.file[:16]}…",
                    f"{what} is of another chain: {hash[:16]}…, genesis.json is {genesis.file[:16]}…",
                ),
                Words(
                    "把配对的文件放回去；不要删任何一个",
                    "put the ones that belong together back; delete neither",
                ),
                f"shelian consortium show {seen.data}/genesis.json",
            )


def check_ledger(seen: Examination) -> Iterator[Finding]:
    ledger = seen.ledger
    if ledger.code == "state.locked":
        yield Finding(
            "doctor.ledger_locked",
            FAULT,
            Words(
                f"账本被另一个进程占用{_who(ledger.holder).zh}",
                f"another process has the ledger open{_who(ledger.holder).en}",
            ),
            Words("一个目录只能有一个进程：停掉它", "one process a directory: stop it"),
            _kill(ledger.holder),
        )
    elif ledger.code is not None:
        yield Finding(
            "doctor.ledger_unusable",
            FAULT,
            Words(f"账本打不开：{ledger.message}", f"the ledger cannot be opened: {ledger.message}"),
            Words(
                "先把整个 node 目录复制到别处，再看能否修复",
                "copy all of node/ elsewhere first, then see what can be repaired",
            ),
            f"shelian node repair --data {seen.data} --dry-run",
        )
    for mark in seen.marks:
        yield from _mark(mark, seen)


def _mark(mark: str, seen: Examination) -> Iterator[Finding]:
    place = f"{seen.data}/node/{mark}"
    if mark in ("ledger.restoring", "ledger.restored", "ledger.replaced"):
        yield Finding(
            "doctor.restore_unfinished",
            WARNING,
            Words(f"快照恢复没有做完：{place}", f"restoring a snapshot was not finished: {place}"),
            Words("再运行一次；启动节点也会接着做", "run it again; a start of the node goes on with it, too"),
            f"shelian node snapshot restore … --data {seen.data}",
        )
    elif mark == "ledger.repaired":
        yield Finding(
            "doctor.repair_unfinished",
            FAULT,
            Words(f"修复没有做完：{place}", f"a repair was not finished: {place}"),
            Words("再运行一次就会归位", "run it again: it puts the repaired ledger in its place"),
            f"shelian node repair --data {seen.data}",
        )
    elif mark.startswith("ledger.damaged"):
        yield Finding(
            "doctor.damaged_kept",
            WARNING,
            Words(f"修复前的损坏目录还在：{place}", f"the damaged ledger is still kept: {place}"),
            Words(
                "查过磁盘、确认账本无误后再删", "look at the disk; delete it when the ledger has passed check"
            ),
            f"shelian check {seen.data}",
        )


# ---- the machine


def check_ports(seen: Examination) -> Iterator[Finding]:
    for port in seen.ports:
        if port.is_free or port.is_own:
            continue
        yield Finding(
            "doctor.port_in_use",
            FAULT,
            Words(
                f"{port.name} 的端口 {port.address} 被占用{_who(port.holder).zh}",
                f"the port of {port.name}, {port.address}, is taken{_who(port.holder).en}",
            ),
            Words("停掉它，或换一个端口", "stop it, or choose another port"),
            _kill(port.holder) or f"ss -ltnp 'sport = :{port.address.rpartition(':')[2]}'",
        )


def check_clock(seen: Examination) -> Iterator[Finding]:
    if seen.is_synchronised is False:
        yield Finding(
            "doctor.clock_unsynchronised",
            WARNING,
            Words("系统没有对时", "the system's clock is not synchronised"),
            Words("打开对时服务", "switch the time service on"),
            "timedatectl set-ntp true",
        )


def check_certificates(seen: Examination) -> Iterator[Finding]:
    return certificate_findings(seen.certificates)


def check_files(seen: Examination) -> Iterator[Finding]:
    for file in seen.key_files:
        if file.mode is None:
            yield Finding(
                "doctor.key_missing",
                FAULT,
                Words(f"缺密钥文件 {file.path}", f"a key file is missing: {file.path}"),
                Words(
                    "从本机构保管处取回；priv_validator_state.json 绝不恢复",
                    "restore it from where the agency keeps it; never priv_validator_state.json",
                ),
            )
        elif file.mode & 0o077:
            yield Finding(
                "doctor.key_exposed",
                FAULT,
                Words(
                    f"别人可读密钥文件 {file.path}（{file.mode:04o}）",
                    f"others may read a key file: {file.path} ({file.mode:04o})",
                ),
                Words(
                    "改权限；若真有人读过，投票更换",
                    "take the right away; if somebody did read it, rotate the key by vote",
                ),
                f"chmod 600 {file.path}",
            )
    if seen.foreign:
        first = seen.foreign[0]
        more = len(seen.foreign) - 1
        yield Finding(
            "doctor.wrong_owner",
            FAULT,
            Words(
                f"{first}{f' 等 {more + 1} 个' if more else ''} 不属于 {seen.owner}：大概用 root 启动过",
                f"{first}{f' and {more} more' if more else ''} are not {seen.owner}'s; did root start it?",
            ),
            Words("停节点，改回所有者", "stop the node and give them back"),
            f"chown -R {seen.owner} {seen.data}",
        )
    for path in seen.not_writable:
        yield Finding(
            "doctor.not_writable",
            FAULT,
            Words(f"不能写 {path}", f"{path} cannot be written"),
            Words("看权限和挂载方式", "look at its mode and how the disk is mounted"),
            f"ls -ld {path}; findmnt -T {path}",
        )


def check_versions(seen: Examination) -> Iterator[Finding]:
    if seen.python not in PYTHONS:
        yield Finding(
            "doctor.python_version",
            FAULT,
            Words(
                f"Python {seen.python[0]}.{seen.python[1]} 不受支持",
                f"Python {seen.python[0]}.{seen.python[1]} is not supported",
            ),
            Words("用 Python 3.11 或 3.12", "use Python 3.11 or 3.12"),
            "make setup PYTHON=python3.11",
        )
    code, message = seen.cometbft
    if code:
        yield Finding(
            "doctor.cometbft_version" if code == "comet.binary_version" else "doctor.cometbft_missing",
            FAULT,
            Words(f"CometBFT 不可用：{message}", f"CometBFT cannot be used: {message}"),
            Words("安装 0.40；或用 SHELIAN_COMETBFT 指明", "install 0.40, or name it in SHELIAN_COMETBFT"),
            "go install github.com/cometbft/cometbft/cmd/cometbft@v0.40.0",
        )


def check_limits(seen: Examination) -> Iterator[Finding]:
    if 0 < seen.open_files_limit < LEAST_OPEN_FILES:
        yield Finding(
            "doctor.few_open_files",
            WARNING,
            Words(
                f"最多只能打开 {seen.open_files_limit} 个文件",
                f"no more than {seen.open_files_limit} files may be open",
            ),
            Words("提高到 65536（LimitNOFILE 或 ulimit -n）", "raise it to 65536 (LimitNOFILE or ulimit -n)"),
            "ulimit -n 65536",
        )
    if 0 < seen.memory_limit < LEAST_MEMORY:
        yield Finding(
            "doctor.memory_limit",
            WARNING,
            Words(
                f"进程内存上限只有 {seen.memory_limit >> 20} MiB",
                f"a process may have only {seen.memory_limit >> 20} MiB",
            ),
            Words("放开 LimitAS / ulimit -v", "lift LimitAS / ulimit -v"),
            "ulimit -v unlimited",
        )
    if 0 < seen.memory_available < LEAST_AVAILABLE:
        yield Finding(
            "doctor.memory_low",
            WARNING,
            Words(
                f"可用内存只剩 {seen.memory_available >> 20} MiB",
                f"only {seen.memory_available >> 20} MiB of memory are available",
            ),
            Words("看谁占用；内存不足时内核会杀进程", "see who has it; the kernel kills when there is none"),
            "ps aux --sort=-rss | head",
        )


def check_service(seen: Examination) -> Iterator[Finding]:
    if seen.unit == "disabled" or (seen.unit == "not-found" and seen.genesis.purpose == "production"):
        yield Finding(
            "doctor.unit_not_enabled",
            WARNING,
            Words("开机后节点不会自己启动", "the node will not start by itself after a reboot"),
            Words(
                "安装并启用 systemd 单元（deploy/systemd）",
                "install and enable the systemd unit (deploy/systemd)",
            ),
            "systemctl enable shelian-node",
        )


# ---- the others


def check_peers(seen: Examination) -> Iterator[Finding]:
    bad = [one for one in seen.peers if one.outcome != REACHED]
    if bad and len(bad) == len(seen.peers):
        yield Finding(
            "doctor.no_peer_reachable",
            FAULT,
            Words(
                f"名单上 {len(bad)} 个节点一个也连不上",
                f"none of the {len(bad)} nodes on the list can be reached",
            ),
            Words("先查本机网络和出站防火墙", "look at this machine's network and outgoing firewall first"),
            "ip route; ping -c 3 " + bad[0].address.rpartition(":")[0],
        )
    for one in bad:
        what, todo = _OUTCOMES.get(one.outcome, _NO_WAY)
        host, _, port = one.address.rpartition(":")
        yield Finding(
            "doctor.peer_unreachable",
            WARNING,
            Words(f"{one.address}：{what.zh}", f"{one.address}: {what.en}"),
            todo,
            f"nc -vz -w 3 {host} {port}",
        )
    if seen.p2p_address and is_loopback(seen.p2p_address.rpartition(":")[0]):
        outside = [one for one in seen.peers if not is_loopback(one.address.rpartition(":")[0])]
        if outside:
            yield Finding(
                "doctor.p2p_loopback",
                FAULT,
                Words(
                    f"节点间端口只在本机 {seen.p2p_address}，别的机构连不进来",
                    f"the port for other nodes listens on {seen.p2p_address}: they cannot connect",
                ),
                Words(
                    "settings.json 的 p2p_address 改为 0.0.0.0:端口，防火墙放行成员",
                    "set p2p_address in settings.json to 0.0.0.0:PORT, let the members in",
                ),
                f"grep p2p_address {seen.data}/node/comet/settings.json",
            )


def check_keys(seen: Examination) -> Iterator[Finding]:
    for home in seen.other_homes:
        yield Finding(
            "doctor.key_twice",
            FAULT,
            Words(
                f"{home} 的 CometBFT 用的是同一把验证者密钥",
                f"the CometBFT of {home} signs with the same validator key",
            ),
            Words(
                "立即停掉其中一个：双签会被除名",
                "stop one of the two at once: signing twice is taken for fraud",
            ),
            "systemctl stop shelian-node",
        )


def _settings(seen: Examination) -> Iterator[Finding]:
    code, message = seen.settings_error
    if code:
        yield Finding(
            "doctor.settings",
            FAULT,
            Words(f"CometBFT 设置不可用：{message}", f"CometBFT's settings cannot be used: {message}"),
            Words(
                "改正 settings.json；每次启动由它生成 config.toml",
                "mend settings.json; config.toml is written from it at each start",
            ),
            f"cat {seen.data}/node/comet/settings.json",
        )


def _nothing_more(seen: Examination) -> Iterator[Finding]:
    """All it has comes from the node itself."""
    return iter(())


def _who(holder: Holder | None) -> Words:
    if holder is None:
        return Words("", "")
    return Words(f"：{holder.program}（pid {holder.pid}）", f": {holder.program} (pid {holder.pid})")


def _kill(holder: Holder | None) -> str:
    return "" if holder is None else f"ps -fp {holder.pid}; kill {holder.pid}"


_NO_WAY: Final = (
    Words("没有路由", "no way there"),
    Words("查路由、专线、网线", "look at routes, leased line, cable"),
)
_OUTCOMES: Final = {
    REFUSED: (
        Words("对方机器在，那个端口没有程序", "the machine is there, nobody listens on that port"),
        Words("对方节点没开，或端口变了：打电话", "their node is down, or its port has changed: telephone"),
    ),
    SILENT: (
        Words("没有回应，多半是防火墙丢弃", "no answer; most often a firewall drops it"),
        Words(
            "两边防火墙都要放行这个 TCP 端口：本机出站、对方入站",
            "both firewalls must let this TCP port through: out here, in there",
        ),
    ),
    UNKNOWN_NAME: (
        Words("域名解析不了", "the name cannot be resolved"),
        Words("查 DNS 或 /etc/hosts", "look at DNS or /etc/hosts"),
    ),
}

_CHECK_OF: Final = {
    "doctor.disk_full": "disk",
    "doctor.disk_low": "disk",
    "doctor.disk_read_only": "disk",
    "doctor.clock_skew": "clock",
    "doctor.certificate_expired": "certificates",
    "doctor.certificate_expiring": "certificates",
    "doctor.rules_unknown": "versions",
    "doctor.open_files": "limits",
    "doctor.no_peers": "peers",
    "doctor.member_missing": "peers",
    "doctor.not_a_member": "membership",
    "doctor.not_a_validator": "membership",
    "doctor.key_twice": "keys",
    "doctor.backup_old": "backup",
    "doctor.stale": "ledger",
}
"""Which check a finding of the node itself belongs to; `blocks` if none is named."""

_CHECKS: Final[tuple[tuple[str, Words, Callable[[Examination], Iterator[Finding]]], ...]] = (
    ("data", Words("数据目录与进程", "data directory and process"), check_data),
    ("genesis", Words("创世文件", "genesis"), check_genesis),
    ("ledger", Words("账本", "ledger"), check_ledger),
    ("disk", Words("磁盘", "disk"), _nothing_more),
    ("files", Words("文件权限", "owners and modes of files"), check_files),
    ("ports", Words("端口", "ports"), check_ports),
    ("clock", Words("时钟", "clock"), check_clock),
    ("certificates", Words("证书", "certificates"), check_certificates),
    ("versions", Words("版本", "versions"), check_versions),
    ("settings", Words("CometBFT 设置", "CometBFT's settings"), _settings),
    ("limits", Words("系统限额", "limits of the system"), check_limits),
    ("service", Words("开机启动", "start after a reboot"), check_service),
    ("peers", Words("别的节点", "other nodes"), check_peers),
    ("membership", Words("成员资格", "membership"), _nothing_more),
    ("keys", Words("密钥只在一处", "keys in one place only"), check_keys),
    ("blocks", Words("出块", "blocks"), _nothing_more),
    ("backup", Words("备份", "backup"), _nothing_more),
)
