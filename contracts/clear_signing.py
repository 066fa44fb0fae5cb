"""Clear-signing descriptors (ERC-7730): what each call means, in Chinese and English, generated from the ABIs and the tables here.

The signing page shows a person exactly these words and values before the device asks; a call without a descriptor cannot be
signed there. Every argument of a function has a field, so nothing is hidden.

Shape: ERC-7730's `context`, `metadata`, `display.formats`, keyed by the function with its parameter names (structs inline).
Additions of ours: texts are `{zh, en}`; deployments have chain id 0 (the addresses are the same on every chain); `signer` says
who sends the call: `person`, `service`, or `vote` (only shown inside a proposal); formats beginning with `shelian.` below.

    shelian.id            random id or hash; short, in full on demand
    shelian.identity      16-byte identity, by its name where the page knows it
    shelian.organisation  member organisation, by its name
    shelian.addressees    list of organisations; 0xff00 + kind names a party outside the network
    shelian.flags         bit mask; `$ref` names the bits (key = bit value)
    shelian.kinds         bit mask of organisation kinds (bit k = kind k); `$ref` names the kinds
    shelian.call          calldata of another contract, shown by that one's descriptor; `target` is the field with its address

`zero` in `params` is what a zero value means.
"""

# ruff: noqa: E501  (tables: one row a line)

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from contracts.catalogue import CATALOGUE, RESTRICTED_DOCUMENT
from contracts.generate import Item
from contracts.system import DESCRIPTORS_DIR, SYSTEM_CONTRACTS
from contracts.vocabulary import (
    ANCHOR_KINDS,
    CASE_STATES,
    DOMAINS,
    ENTRY_KINDS,
    LIMIT_UNITS,
    ORDER_KINDS,
    ORGANISATION_KINDS,
    ROLES,
    START_EVENTS,
    Label,
)

SCHEMA: Final = "https://eips.ethereum.org/assets/eip-7730/erc7730-v1.schema.json"
OWNER: Final = "Shelian 社链"
ANY_CHAIN: Final = 0

PERSON: Final = "person"
SERVICE: Final = "service"
VOTE: Final = "vote"

_UNSIGNED: Final = {
    "IdentityRegistry": {"installIdentity", "setOrganisation"},
    "CorrectionDocuments": {"setOrganisationKind"},
    "LoveBank": {"hold", "settle", "transfer", "approve", "transferFrom"},
}
"""Functions only the genesis or another contract can call, and those that always refuse."""

Intents = Mapping[str, tuple[str, str, str]]
_INTENTS: Final[Mapping[str, Intents]] = {
    "Consortium": {
        "addOrganisation": ("新增成员单位", "Add a member organisation", VOTE),
        "suspendOrganisation": ("暂停成员单位", "Suspend a member organisation", VOTE),
        "resumeOrganisation": ("恢复成员单位", "Resume a member organisation", VOTE),
        "setRelyingParty": ("设置签名来源", "Set a signing origin", VOTE),
        "setOrigin": ("设置签名网址", "Set the address of a signing origin", VOTE),
        "setCallable": ("设置签名来源可用的合约", "Set which contract a signing origin may call", VOTE),
        "setDeployer": ("设置合约部署者", "Set a deployer of contracts", VOTE),
        "addRules": ("新增链规则版本", "Add a version of the ledger rules", VOTE),
        "setPeer": ("允许或停止一台节点接入网络", "Let a node connect to the network, or stop it", VOTE),
        "changeValidators": ("变更共识节点及其表决权", "Change validators and their power", VOTE),
        "rotateValidatorKey": ("更换一台共识节点的公钥（单位和表决权不变）", "Replace the key of a validator (organisation and power stay)", VOTE),
        "rotateEncryptionKey": ("更换本单位加密公钥（需两名登记员）", "Rotate our encryption key (two registrars)", PERSON),
        "rotateCertificate": ("更换本单位证书机构的证书（需两名登记员）", "Replace our authority's certificate (two registrars)", PERSON),
        "propose": ("提出表决事项", "Put a proposal to the vote", PERSON),
        "vote": ("代表本单位投票", "Cast our organisation's vote", PERSON),
        "execute": ("执行已通过的表决", "Carry out an accepted proposal", PERSON),
        "withdrawRequest": ("撤回待复核的申请", "Withdraw a request not yet countersigned", PERSON),
    },
    "IdentityRegistry": {
        "installRegistrar": ("指定成员单位的登记员", "Install a registrar of an organisation", VOTE),
        "removeRegistrar": ("永久撤销一名登记员的身份", "Revoke a registrar for ever", VOTE),
        "enrol": ("登记身份（工作人员须两名登记员）", "Enrol an identity (two registrars for staff)", PERSON),
        "setRoles": ("设置角色（需两名登记员）", "Set roles (two registrars)", PERSON),
        "setLevel": ("设置实名等级", "Set the level of an identity", PERSON),
        "addCredential": ("为身份增加签名设备", "Add a signing device to an identity", PERSON),
        "revokeCredential": ("吊销签名设备", "Revoke a signing device", PERSON),
        "suspend": ("暂停身份", "Suspend an identity", PERSON),
        "resume": ("恢复身份（需两名登记员）", "Resume an identity (two registrars)", PERSON),
        "revoke": ("永久注销身份（需两名登记员）", "Revoke an identity for ever (two registrars)", PERSON),
        "setDeputy": ("设置代行人（需两名登记员）", "Set a deputy (two registrars)", PERSON),
        "withdrawRequest": ("撤回待复核的申请", "Withdraw a request not yet countersigned", PERSON),
    },
    "CorrectionCases": {
        "open": ("立案", "Open a case", PERSON),
        "advance": ("变更案件状态", "Move a case to its next state", PERSON),
    },
    "CorrectionDocuments": {
        "draft": ("起草文书并签名", "Draft and sign a document", PERSON),
        "approve": ("审批文书", "Approve a document", PERSON),
        "seal": ("加盖单位印章", "Put the organisation's seal on a document", PERSON),
        "submit": ("发送文书", "Send a document", PERSON),
        "deliver": ("报告文书已送达", "Report a document as delivered", SERVICE),
        "recordHandover": ("登记向网外单位或个人的交付", "Record a handing over outside the network", PERSON),
        "signFor": ("签收文书", "Sign for a document", PERSON),
        "returnForCorrection": ("退回文书要求补正", "Return a document for correction", PERSON),
        "supersede": ("以新文书替代", "Replace a document by a later one", PERSON),
        "pokeDeadline": ("登记超期", "Record a missed deadline", PERSON),
        "setRule": ("修改文书规则", "Change the rule of a document type", VOTE),
        "setHolidays": ("设置节假日", "Set holidays", VOTE),
    },
    "LoveBank": {
        "issue": ("向居民发放积分（需两名管理员）", "Issue points to a resident (two clerks)", PERSON),
        "issueToFund": ("向社区基金发放积分（需两名管理员）", "Issue points to the fund (two clerks)", PERSON),
        "donate": ("向社区基金捐赠积分", "Donate points to the community fund", PERSON),
        "grant": ("从社区基金帮扶居民（需两名审批人）", "Grant points from the fund (two approvers)", PERSON),
        "redeem": ("兑换积分", "Redeem points", PERSON),
        "burnFromFund": ("销毁社区基金积分（需两名管理员）", "Burn points of the fund (two clerks)", PERSON),
        "freeze": ("冻结积分账户", "Freeze an account", PERSON),
        "unfreeze": ("解冻积分账户（需两名管理员）", "Unfreeze an account (two clerks)", PERSON),
        "reverseEntry": ("冲正一笔积分（需两名管理员）", "Reverse an entry (two clerks)", PERSON),
        "setParameters": ("设置积分参数", "Set the parameters of points", VOTE),
        "withdrawRequest": ("撤回待复核的申请", "Withdraw a request not yet countersigned", PERSON),
    },
    "SharingOrders": {
        "publish": ("发布互助", "Publish a need or an offer", PERSON),
        "accept": ("接单", "Take an order", PERSON),
        "confirm": ("确认并托管积分", "Confirm; the points go into escrow", PERSON),
        "checkIn": ("签到", "Check in", PERSON),
        "finish": ("服务完成", "The service is done", PERSON),
        "complete": ("确认完成并支付积分", "Agree and pay the points", PERSON),
        "rate": ("评价", "Rate", PERSON),
        "cancel": ("取消订单", "Cancel the order", PERSON),
        "noShow": ("登记对方爽约", "Record that the other side did not come", PERSON),
        "dispute": ("提出争议", "Dispute the order", PERSON),
        "arbitrate": ("仲裁争议", "Decide a dispute", PERSON),
        "poke": ("按时自动确认", "Complete by time", PERSON),
        "setKindWeight": ("设置服务种类的积分权重", "Set the weight of a kind", VOTE),
        "setParameters": ("设置订单参数", "Set the parameters of orders", VOTE),
    },
    "Anchors": {"anchor": ("存证默克尔根", "Anchor a Merkle root", SERVICE)},
}  # fmt: skip

_NONE: Final = Label("无", "none")
_THEMSELF: Final = Label("本人", "themself")
_NO_END: Final = Label("长期有效", "no end")


def _enum(name: str) -> dict[str, Any]:
    return {"$ref": f"$.metadata.enums.{name}"}


def _unit(zh: str, en: str) -> dict[str, Any]:
    return {"base": {"zh": zh, "en": en}, "decimals": 0}


def _zero(label: Label) -> dict[str, Any]:
    return {"zero": {"zh": label.zh, "en": label.en}}


_DATE: Final = {"encoding": "timestamp"}
_POINTS: Final = _unit("积分", "points")
_GAS: Final = _unit("燃料", "gas")
_PERCENT: Final = _unit("%", "%")

Field = tuple[str, str, str, dict[str, Any]]
_FIELDS: Final[Mapping[str, Field]] = {
    "account": ("设备账户", "Account", "addressName", {}),
    "action": ("待复核的申请", "Request", "shelian.id", {}),
    "activationHeight": ("生效高度", "Active from height", "raw", {}),
    "allowed": ("允许", "Allowed", "enum", _enum("yesNo")),
    "amount": ("积分", "Points", "unit", _POINTS),
    "approve": ("投票", "Vote", "enum", _enum("vote")),
    "baseGas": ("基础燃料", "Base gas", "unit", _GAS),
    "blockGas": ("区块燃料上限", "Gas of a block", "unit", _GAS),
    "byteGas": ("每字节燃料", "Gas of a byte", "unit", _GAS),
    "caseId": ("案件编号", "Case", "shelian.id", _zero(_NONE)),
    "certificate": (
        "证书机构证书的 SHA-256 指纹",
        "SHA-256 fingerprint of the authority's certificate",
        "shelian.id",
        _zero(_NONE),
    ),
    "code": ("文书种类", "Document type", "enum", _enum("documentCode")),
    "commitment": ("内容摘要", "Digest of the contents", "shelian.id", {}),
    "copies": ("抄送", "Copies to", "shelian.addressees", _enum("organisationKind")),
    "correctionGas": ("矫正业务预留燃料", "Gas kept for correction", "unit", _GAS),
    "data": ("内容", "What it does", "shelian.call", {"target": "target"}),
    "deciding": (
        "决定机关",
        "Deciding organ",
        "shelian.organisation",
        _zero(Label("网外机关", "outside the network")),
    ),
    "deputy": ("代行人", "Deputy", "shelian.identity", {}),
    "document": ("文书编号", "Document", "shelian.id", {}),
    "domain": ("身份域", "Domain", "enum", _enum("domain")),
    "encryptionKey": ("加密公钥", "Encryption key", "shelian.id", {}),
    "evidence": ("交付证明摘要", "Digest of the proof", "shelian.id", {}),
    "exceptions": ("调整日（256 日一组）", "Exceptional days (256 to a group)", "raw", {}),
    "executing": ("执行机构", "Executing bureau", "shelian.organisation", {}),
    "flags": ("选项", "Options", "shelian.flags", _enum("relyingPartyFlags")),
    "fork": ("虚拟机版本", "EVM version", "raw", {}),
    "from": ("付出账户", "From", "addressName", _zero(Label("发行", "issue"))),
    "fromHeight": ("起始高度", "From height", "raw", {}),
    "identity": ("身份", "Identity", "shelian.identity", {}),
    "identityGas": ("每人每块燃料", "Gas of one identity a block", "unit", _GAS),
    "inReplyTo": ("答复的文书", "In reply to", "shelian.id", _zero(_NONE)),
    "interval": ("时段序号", "Interval", "raw", {}),
    "keys": ("共识公钥", "Validator keys", "shelian.id", {}),
    "kind": ("种类", "Kind", "enum", _enum("orderKind")),
    "lateCancelPercent": ("临时取消时归服务方", "Provider's share, late cancelling", "unit", _PERCENT),
    "legalDate": ("法定日期", "Legal date", "date", {**_DATE, **_zero(Label("不适用", "not applicable"))}),
    "level": ("实名等级", "Level", "raw", {}),
    "manifestHash": ("文书清单摘要", "Digest of the manifest", "shelian.id", {}),
    "maxAmount": ("每单积分上限", "Most points of an order", "unit", _POINTS),
    "maxCalls": ("每笔操作数上限", "Most calls", "raw", {}),
    "maxGrant": ("单笔帮扶上限", "Most points of a grant", "unit", _POINTS),
    "maxIssue": ("单笔发放上限", "Most points of an issue", "unit", _POINTS),
    "maxTransactionBytes": ("交易字节上限", "Most bytes", "raw", {}),
    "maxValidity": ("签名最长有效", "Longest validity", "duration", {}),
    "newKey": ("新共识公钥", "New validator key", "shelian.id", {}),
    "nodeId": ("节点编号", "Node id", "shelian.id", {}),
    "noShowAfter": ("爽约认定时间", "No-show after", "duration", {}),
    "noShowPercent": ("爽约时归服务方", "Provider's share, no-show", "unit", _PERCENT),
    "autoCompleteAfter": ("自动确认时间", "Completed by time after", "duration", {}),
    "offer": ("类型", "Side", "enum", _enum("side")),
    "oldKey": ("原共识公钥", "Old validator key", "shelian.id", {}),
    "onBehalfOf": ("代行", "On behalf of", "shelian.identity", _zero(_THEMSELF)),
    "order": ("订单编号", "Order", "shelian.id", {}),
    "organisation": ("单位", "Organisation", "shelian.organisation", {}),
    "organisations": ("所属单位", "Whose machines", "shelian.organisation", {}),
    "origin": ("网址", "Address", "text", {}),
    "percent": ("归服务方", "To the provider", "unit", _PERCENT),
    "place": ("地点摘要", "Digest of the place", "shelian.id", {}),
    "powers": ("表决权（0 为移除）", "Voting power (0 removes)", "raw", {}),
    "principal": ("被代行人", "Principal", "shelian.identity", {}),
    "proposal": ("表决编号", "Proposal", "shelian.id", {}),
    "publicKey": ("公钥", "Public key", "shelian.id", {}),
    "reason": ("理由摘要", "Digest of the reasons", "shelian.id", {}),
    "recipient": ("交付对象", "Handed to", "shelian.addressees", _enum("organisationKind")),
    "ref": ("凭证编号", "Reference", "shelian.id", {}),
    "relyingParty": ("签名来源", "Signing origin", "shelian.id", {}),
    "roles": ("角色", "Roles", "shelian.flags", _enum("role")),
    "root": ("默克尔根", "Merkle root", "shelian.id", {}),
    "rpIdHash": ("域名摘要", "Digest of the domain", "shelian.id", {}),
    "scheme": ("签名算法", "Signature scheme", "enum", _enum("scheme")),
    "schemeGas": ("各签名算法燃料", "Gas of the schemes", "raw", {}),
    "scope": ("代行角色", "Roles lent", "shelian.flags", _enum("role")),
    "stars": ("星级", "Stars", "raw", {}),
    "startAt": ("开始时间", "Start", "date", _DATE),
    "state": ("案件状态", "State of the case", "enum", _enum("caseState")),
    "successor": ("新文书编号", "Later document", "shelian.id", {}),
    "target": ("合约", "Contract", "addressName", {}),
    "to": ("主送", "To", "shelian.addressees", _enum("organisationKind")),
    "transactionGas": ("交易燃料上限", "Gas of a transaction", "unit", _GAS),
    "units": ("数量（一刻钟或件）", "Quarter hours or items", "raw", {}),
    "until": ("截止", "Until", "date", {**_DATE, **_zero(Label("立即结束", "ends now"))}),
    "untilHeight": ("截止高度", "Until height", "raw", _zero(_NO_END)),
    "validUntil": ("设备有效期至", "Device valid until", "date", {**_DATE, **_zero(_NO_END)}),
    "weight": (
        "权重（百分之一分）",
        "Weight in hundredths of a point",
        "raw",
        _zero(Label("停用", "closed")),
    ),
    "word": ("组号", "Group number", "raw", {}),
}

_SPECIAL: Final[Mapping[str, Field]] = {
    "Consortium.setPeer.allowed": ("可以接入", "May connect", "enum", _enum("yesNo")),
    "Consortium.setPeer.organisation": ("节点所属单位", "Whose node", "shelian.organisation", {}),
    "IdentityRegistry.removeRegistrar.identity": ("登记员", "Registrar", "shelian.identity", {}),
    "Consortium.addOrganisation.kind": ("单位类型", "Kind", "enum", _enum("organisationKind")),
    "Anchors.anchor.kind": ("存证种类", "Kind", "enum", _enum("anchorKind")),
    "LoveBank.reverseEntry.kind": ("分录种类", "Entry", "enum", _enum("entryKind")),
    "LoveBank.reverseEntry.to": ("收入账户", "To", "addressName", {}),
    "CorrectionDocuments.pokeDeadline.organisation": (
        "未按期回复的单位", "Whose reply is missing", "shelian.organisation", _zero(Label("文书本身超期", "the document itself"))
    ),
    "CorrectionDocuments.setRule.senders": ("可发送的单位类型", "Senders", "shelian.kinds", _enum("organisationKind")),
    "CorrectionDocuments.setRule.recipients": ("可主送的单位类型", "Recipients", "shelian.kinds", _enum("organisationKind")),
    "CorrectionDocuments.setRule.copies": ("可抄送的单位类型", "Copies", "shelian.kinds", _enum("organisationKind")),
    "CorrectionDocuments.setRule.class": ("类别", "Class", "enum", _enum("documentClass")),
    "CorrectionDocuments.setRule.amount": ("期限", "Limit", "raw", _zero(_NONE)),
    "CorrectionDocuments.setRule.unit": ("期限单位", "Unit", "enum", _enum("limitUnit")),
    "CorrectionDocuments.setRule.start": ("起算", "Counted from", "enum", _enum("startEvent")),
    "CorrectionDocuments.setRule.flags": ("期限选项", "Options of the limit", "shelian.flags", _enum("limitFlags")),
    "CorrectionDocuments.setRule.replies": ("可答复的文书", "Answered by", "enum", _enum("documentCode")),
    "CorrectionDocuments.setRule.replyAmount": ("答复期限", "Limit of the reply", "raw", _zero(_NONE)),
    "CorrectionDocuments.setRule.replyUnit": ("答复期限单位", "Unit of the reply's limit", "enum", _enum("limitUnit")),
    "CorrectionDocuments.setRule.effectiveFrom": ("施行日期", "Effective from", "date", _DATE),
}  # fmt: skip


def _labels(table: Mapping[Any, Label]) -> dict[str, dict[str, str]]:
    return {str(int(key)): {"zh": label.zh, "en": label.en} for key, label in table.items()}


def _pairs(*rows: tuple[int, str, str]) -> dict[str, dict[str, str]]:
    return {str(key): {"zh": zh, "en": en} for key, zh, en in rows}


_CODES: Final = {
    str(row.code): {"zh": f"{row.name} {row.label.zh}", "en": f"{row.name} {row.label.en}"}
    for row in CATALOGUE.values()
} | {"0": {"zh": RESTRICTED_DOCUMENT.label.zh, "en": RESTRICTED_DOCUMENT.label.en}}

_ENUMS: Final[Mapping[str, dict[str, dict[str, str]]]] = {
    "anchorKind": _labels(ANCHOR_KINDS),
    "caseState": _labels(CASE_STATES),
    "documentClass": _pairs((1, "一般", "general"), (2, "限制", "restricted")),
    "documentCode": _CODES,
    "domain": _labels(DOMAINS),
    "entryKind": _labels(ENTRY_KINDS),
    "limitFlags": _pairs((1, "末日遇节假日顺延", "rolls over holidays"), (2, "向前倒算", "counted back")),
    "limitUnit": _labels(LIMIT_UNITS),
    "orderKind": _labels({number: kind.label for number, kind in ORDER_KINDS.items()}),
    "organisationKind": _labels(ORGANISATION_KINDS),
    "relyingPartyFlags": _pairs(
        (1, "可用所有合约", "any contract"), (2, "本机任意端口", "any port of this machine")
    ),
    "role": _labels(ROLES),
    "scheme": _pairs(
        (0, "secp256k1", "secp256k1"),
        (1, "通行密钥", "passkey (WebAuthn ES256)"),
        (2, "Ed25519", "Ed25519"),
        (3, "ES256", "ES256"),
        (4, "国密 SM2", "SM2"),
        (5, "抗量子 ML-DSA-65", "post-quantum ML-DSA-65"),
    ),
    "side": _pairs(
        (0, "需求（发布人付积分）", "a need: the publisher pays"),
        (1, "服务（发布人得积分）", "an offer: the publisher earns"),
    ),
    "startEvent": _labels(START_EVENTS),
    "vote": _pairs((0, "反对", "against"), (1, "赞成", "for")),
    "yesNo": _pairs((0, "否", "no"), (1, "是", "yes")),
}


def words_of(contract: str, function: str) -> tuple[Label, str]:
    """The intent of a function and who sends it: PERSON, SERVICE or VOTE."""
    zh, en, signer = _INTENTS[contract][function]
    return Label(zh, en), signer


def signed_functions(contract: str, abi: list[Item]) -> list[Item]:
    """The functions of a contract that somebody signs or votes on, by name."""
    left_out = _UNSIGNED.get(contract, set())
    changing = [
        item for item in abi if item["type"] == "function" and item["stateMutability"] == "nonpayable"
    ]
    return sorted(
        (item for item in changing if item["name"] not in left_out), key=lambda item: str(item["name"])
    )


def generated_descriptors(artifacts: Mapping[str, Item]) -> dict[Path, str]:
    """File and text of each contract's descriptor; KeyError for a function or parameter without words."""
    files: dict[Path, str] = {}
    for contract in SYSTEM_CONTRACTS:
        descriptor = _descriptor(contract.name, contract.address, artifacts[contract.name]["abi"])
        files[DESCRIPTORS_DIR / f"{contract.name}.json"] = (
            json.dumps(descriptor, indent=1, ensure_ascii=False) + "\n"
        )
    return files


def _descriptor(contract: str, address: bytes, abi: list[Item]) -> dict[str, Any]:
    formats = {readable_signature(item): _format(contract, item) for item in signed_functions(contract, abi)}
    used = sorted({name for name in _ENUMS if f'"$.metadata.enums.{name}"' in json.dumps(formats)})
    return {
        "$schema": SCHEMA,
        "context": {
            "$id": contract,
            "contract": {"deployments": [{"chainId": ANY_CHAIN, "address": "0x" + address.hex()}]},
        },
        "metadata": {
            "owner": OWNER,
            "contractName": contract,
            "enums": {name: _ENUMS[name] for name in used},
        },
        "display": {"formats": formats},
    }


def readable_signature(item: Item) -> str:
    """`submit(bytes32 document,uint48 legalDate,bytes16 onBehalfOf)`, structs as named tuples."""
    return f"{item['name']}({','.join(_parameter(part) for part in item['inputs'])})"


def _parameter(item: Item) -> str:
    kind = str(item["type"])
    if kind.startswith("tuple"):
        kind = "(" + ",".join(_parameter(part) for part in item["components"]) + ")" + kind[5:]
    return f"{kind} {item['name']}"


def _format(contract: str, item: Item) -> dict[str, Any]:
    intent, signer = words_of(contract, item["name"])
    fields = [field for part in item["inputs"] for field in _fields(f"{contract}.{item['name']}", part, "")]
    return {
        "intent": {"zh": intent.zh, "en": intent.en},
        "signer": signer,
        "fields": fields,
        "required": [field["path"] for field in fields],
    }


def _fields(function: str, item: Item, prefix: str) -> list[dict[str, Any]]:
    path = prefix + item["name"]
    if item["type"] == "tuple":
        return [field for part in item["components"] for field in _fields(function, part, f"{path}.")]
    name = item["name"].rstrip("_")
    zh, en, form, params = _SPECIAL.get(f"{function}.{name}") or _FIELDS[name]
    # ERC-7730 writes the elements of a list as path.[]
    list_of_plain = str(item["type"]).endswith("]") and form != "shelian.addressees"
    return [
        {
            "path": path + (".[]" if list_of_plain else ""),
            "label": {"zh": zh, "en": en},
            "format": form,
            "params": params,
        }
    ]
