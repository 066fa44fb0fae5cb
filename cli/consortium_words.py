"""The ceremony's files in plain words, for a screen and for the telephone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from cli.output import visible
from network.consortium.ceremony import GenesisSignature, Standing
from network.consortium.certificates import moment
from network.consortium.enrolment import Enrolment
from network.consortium.merge import Remark, faults_tolerated
from network.consortium.registrars import RegistrarStatement
from network.consortium.relying_parties import RelyingParty
from network.consortium.statements import spoken
from node.chain.genesis import Genesis
from node.chain.signing import SCHEMES

KINDS: Final[Mapping[str, str]] = {
    "police": "公安 police",
    "procuratorate": "检察院 procuratorate",
    "court": "法院 court",
    "justice": "司法局 justice bureau",
    "community": "社区 community",
    "auditor": "审计 auditor",
    "data_bureau": "数统局 data bureau",
}
_HERE: Final = ZoneInfo("Asia/Shanghai")


def in_words(time: datetime) -> str:
    """A moment in China time and in UTC."""
    here = time.astimezone(_HERE)
    return f"{here:%Y-%m-%d %H:%M:%S}（北京时间 China time），{time:%Y-%m-%d %H:%M:%S} UTC"


def colons(fingerprint: bytes) -> str:
    """As `openssl x509 -fingerprint` prints it."""
    return fingerprint.hex(":").upper()


def enrolment_text(enrolment: Enrolment, now: datetime) -> str:
    content, certificate = enrolment.content, enrolment.content.certificate
    validator = content.validator
    expired = "，已过期 EXPIRED" if now >= certificate.not_after else ""
    lines = [
        f"登记文件 enrolment for {content.chain_name} ({content.purpose}); 签名全部成立 all signatures hold",
        f"  机构 agency      {content.name}，{KINDS[content.kind]}",
        f"  节点 node        {content.peer}",
        "  验证者 validator "
        + (
            "无 none"
            if validator is None
            else f"0x{validator.public_key.hex()}，投票权 power {validator.power}"
        ),
        f"  加密公钥 sealing 0x{content.encryption_key.hex()}",
        f"  CA 证书 CA       {colons(certificate.fingerprint)}",
        f"                   到 until {certificate.not_after:%Y-%m-%d}{expired}"
        + (f"，只限 only for {'、'.join(certificate.domains)}" if certificate.domains else ""),
    ]
    lines += [
        f"  登记员 registrar {one.identity.hex()}，{SCHEMES[one.scheme].name}，0x{one.public_key.hex()[:40]}…"
        for one in content.registrars
    ]
    lines += [f"  签名页 page      {relying_party_line(row)}" for row in content.relying_parties]
    return "\n".join([*lines, f"电话核对 to read out: {spoken(enrolment.hash)}"])


def relying_party_line(row: RelyingParty) -> str:
    where = "、".join(row.origins) or ("localhost" if row.localhost_any_port else "无网页 no page")
    what = "任何合约 any contract" if row.any_contract else "、".join(row.contracts)
    return f"{row.name} ({row.domain})：{where}；可调用 may call {what}"


def registrar_text(statement: RegistrarStatement) -> str:
    one = statement.registrar
    return "\n".join(
        [
            f"登记员声明 a registrar's statement for {statement.chain_name} ({statement.purpose})",
            f"  机构 agency   {statement.organisation}，{KINDS[statement.kind]}",
            f"  身份 identity {one.identity.hex()}",
            f"  公钥 key      {SCHEMES[one.scheme].name} 0x{one.public_key.hex()[:80]}",
            "签名在 enrol 时核对 The signature is verified by `enrol`, against the signing page.",
        ]
    )


def signature_text(signature: GenesisSignature) -> str:
    return "\n".join(
        [
            f"创世签名 a signature of the genesis of {signature.chain_name}",
            f"  机构 agency      {signature.organisation}，{KINDS[signature.kind]}",
            f"  创世哈希 genesis 0x{signature.genesis_hash.hex()}",
            f"电话核对 genesis, to read out: {spoken(signature.genesis_hash)}",
            "是否成立由 check 核对 Whether it holds, `check` says.",
        ]
    )


def genesis_text(genesis: Genesis, members: Sequence[Enrolment] = ()) -> str:
    """What a chain's genesis says, with each member's figures where their enrolments are at hand."""
    figures = {(one.content.kind, one.content.name): spoken(one.hash) for one in members}
    powers = {one.organisation: one.power for one in genesis.validators}
    lines = [
        f"创世文件 genesis of {genesis.chain_name} ({genesis.purpose})，"
        f"系统 systems {'、'.join(genesis.systems)}",
        f"  时间 time {in_words(moment(genesis.genesis_time_ns))}",
        f"  EVM chain id {genesis.evm_chain_id}",
    ]
    for one in genesis.organisations:
        power = f"投票权 power {powers[one.id]}" if one.id in powers else "无验证者 no validator"
        lines.append(f"  {one.id:>3}  {visible(one.name)}，{KINDS[one.kind]}，{power}")
        if (one.kind, one.name) in figures:
            lines.append(f"       登记 enrolment {figures[one.kind, one.name]}")
    count = faults_tolerated(powers.values())
    lines.append(f"  {len(powers)} 个验证者，可容忍 {count} 个故障 validators, {count} may fail")
    lines.append(f"创世哈希 genesis hash 0x{genesis.hash.hex()}")
    lines.append(f"电话核对 to read out: {spoken(genesis.hash)}")
    return "\n".join(lines)


def standing_text(standing: Standing) -> str:
    lines = [f"  已签 signed   {one.who}" for one in standing.signed]
    lines += [f"  未签 MISSING  {one.who}" for one in standing.missing]
    if standing.other_release:
        lines.append(
            "  合约或规则是另一版程序的，全体成员已签名确认 contracts or rules are another release's; "
            "every member signed them"
        )
    done = "全部签名 everybody has signed" if standing.is_complete else "还不能启动 not ready to start"
    return "\n".join([*lines, done])


def remarks_text(remarks: Iterable[Remark]) -> str:
    return "\n".join(f"注意 note: {one.message} ({one.code})" for one in remarks)


def enrolment_summary(enrolment: Enrolment) -> dict[str, Any]:
    """An enrolment for `--json`."""
    content = enrolment.content
    validator = content.validator
    return {
        "chain_name": content.chain_name,
        "purpose": content.purpose,
        "kind": content.kind,
        "name": content.name,
        "node_id": content.node_id.hex(),
        "address": content.address,
        "validator": None if validator is None else validator.public_key,
        "power": 0 if validator is None else validator.power,
        "encryption_key": content.encryption_key,
        "ca_fingerprint": content.certificate.fingerprint,
        "ca_not_after": content.certificate.not_after.isoformat(),
        "registrars": [one.identity for one in content.registrars],
        "hash": enrolment.hash,
        "spoken": spoken(enrolment.hash),
    }


def genesis_summary(genesis: Genesis) -> dict[str, Any]:
    """A genesis for `--json`."""
    return {
        "chain_name": genesis.chain_name,
        "purpose": genesis.purpose,
        "genesis_time": moment(genesis.genesis_time_ns).isoformat(),
        "systems": list(genesis.systems),
        "organisations": [
            {"id": one.id, "kind": one.kind, "name": one.name} for one in genesis.organisations
        ],
        "genesis_hash": genesis.hash,
        "evm_chain_id": genesis.evm_chain_id,
        "spoken": spoken(genesis.hash),
    }


def standing_summary(standing: Standing) -> dict[str, Any]:
    """A ceremony's standing for `--json`."""
    return {
        "signed": [one.who for one in standing.signed],
        "missing": [one.who for one in standing.missing],
        "other_release": list(standing.other_release),
    }
