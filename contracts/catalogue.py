"""The document catalogue D01…D56 as data: who may send what to whom, in what time, and what answers it.

Every row goes on the chain at genesis and is changed there by vote; nothing reads this module at run time but genesis,
labels and tests. Rows stand for 《社区矫正法》 and 《社区矫正法实施办法》, both in force since 2020-07-01; `source` names the
article where it is certain. Before a production genesis the member agencies confirm every row.

Parties outside the network (prison, city agency, intermediate court, exit-entry, the person, judicial office, agencies
elsewhere, resettlement) can be recipients; their own papers are brought in by the agency that receives them.
"""

# ruff: noqa: E501  (tables: one row a line)

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from contracts.bindings.correction_documents import Rule
from contracts.vocabulary import Label, LimitFlag, LimitUnit, OrganisationKind, StartEvent

EFFECTIVE_FROM: Final = int(datetime(2020, 6, 30, 16, tzinfo=UTC).timestamp())
"""2020-07-01 00:00 in China."""

RESTRICTED_CODE: Final = 0
GENERAL: Final = 1
RESTRICTED: Final = 2

_KINDS: Final = {
    "公": OrganisationKind.POLICE,
    "检": OrganisationKind.PROCURATORATE,
    "法": OrganisationKind.COURT,
    "矫": OrganisationKind.JUSTICE,
    "狱": OrganisationKind.PRISON,
    "市": OrganisationKind.CITY_JUSTICE,
    "中": OrganisationKind.INTERMEDIATE_COURT,
    "境": OrganisationKind.EXIT_ENTRY,
    "人": OrganisationKind.SUBJECT,
    "所": OrganisationKind.JUDICIAL_OFFICE,
    "外": OrganisationKind.OTHER_JUSTICE,
    "安": OrganisationKind.RESETTLEMENT,
}
_UNITS: Final = {"h": LimitUnit.HOUR, "d": LimitUnit.DAY, "wd": LimitUnit.WORKDAY, "m": LimitUnit.MONTH}
_STARTS: Final = {"生效": StartEvent.EFFECT, "收到": StartEvent.RECEIPT, "届满": StartEvent.EXPIRY}
_LAW: Final = "社区矫正法、社区矫正法实施办法"


@dataclass(frozen=True, slots=True)
class Limit:
    """An amount of time; `rolls`: a last day that is no workday moves to the next workday (刑诉法 105)."""

    amount: int
    unit: LimitUnit

    @property
    def rolls(self) -> bool:
        return self.unit in (LimitUnit.DAY, LimitUnit.MONTH)


@dataclass(frozen=True, slots=True)
class DocumentType:
    """One row: masks have bit k for organisation kind k; `replies` lists the codes that may answer, the expected first."""

    code: int
    label: Label
    senders: int
    recipients: int
    copies: int
    restricted: bool
    limit: Limit | None
    start: StartEvent
    replies: tuple[int, ...]
    reply_limit: Limit | None
    source: str

    @property
    def name(self) -> str:
        """`D07`; `D36b` for 536."""
        return "D36b" if self.code == 536 else f"D{self.code:02d}"

    def rule(self) -> Rule:
        """The row as CorrectionDocuments keeps it."""
        limit, reply = self.limit, self.reply_limit
        replies = (*self.replies, 0, 0, 0, 0)[:4]
        return Rule(
            senders=self.senders,
            recipients=self.recipients,
            copies=self.copies,
            class_=RESTRICTED if self.restricted else GENERAL,
            amount=limit.amount if limit else 0,
            unit=limit.unit if limit else 0,
            start=self.start,
            flags=LimitFlag.ROLLS if limit and limit.rolls else 0,
            replies=replies,
            reply_amount=reply.amount if reply else 0,
            reply_unit=reply.unit if reply else 0,
            effective_from=EFFECTIVE_FROM,
        )


def kinds_mask(kinds: str) -> int:
    """`"法检"` -> the bit mask of court and procuratorate."""
    return sum(1 << _KINDS[kind] for kind in kinds)


def kinds_of(mask: int) -> tuple[OrganisationKind, ...]:
    """The kinds in a mask, lowest first."""
    return tuple(kind for kind in OrganisationKind if mask >> kind & 1)


def _limit(text: str) -> Limit | None:
    if not text:
        return None
    digits = text.rstrip("hdwm")
    return Limit(int(digits), _UNITS[text[len(digits) :]])


def _row(
    code: int,
    zh: str,
    en: str,
    way: str,
    copies: str = "",
    limit: str = "",
    replies: tuple[int, ...] = (),
    within: str = "",
    source: str = _LAW,
    restricted: bool = False,
) -> DocumentType:
    """`way` is "senders>recipients", `limit` "10d生效": amount, unit (h d wd m), start event; `within` the reply's limit."""
    senders, _, recipients = way.partition(">")
    start = StartEvent.NONE
    for word, event in _STARTS.items():
        if limit.endswith(word):
            limit, start = limit.removesuffix(word), event
    return DocumentType(
        code,
        Label(zh, en),
        kinds_mask(senders),
        kinds_mask(recipients),
        kinds_mask(copies),
        restricted,
        _limit(limit),
        start,
        replies,
        _limit(within),
        source,
    )


def _restricted(
    code: int,
    zh: str,
    en: str,
    way: str,
    copies: str = "",
    limit: str = "",
    replies: tuple[int, ...] = (),
    within: str = "",
    source: str = _LAW,
) -> DocumentType:
    return _row(code, zh, en, way, copies, limit, replies, within, source, restricted=True)


_ROWS: Final = (
    _row(1, "调查评估委托函", "request for assessment", "法检公狱>矫", "检", replies=(2, 3), within="10wd", source="实施办法第十三条"),
    _row(2, "调查评估意见书", "assessment opinion", "矫>法检公狱", "检", limit="10wd收到", source="实施办法第十四条；速裁 5 个工作日"),
    _row(3, "无法评估说明函", "assessment not possible", "矫>法检公狱", "检"),
    _row(4, "告知书（责令报到）", "notice to report", "法公狱>人"),
    _row(5, "接受社区矫正保证书", "pledge to accept correction", "法公狱>矫"),
    _row(6, "决定通知", "notice of decision", "法公狱>矫", limit="5d生效", replies=(8,), within="5d", source="社区矫正法第二十条"),
    _row(7, "判决书/裁定书/决定书及执行通知书", "judgment with notice of execution", "法公狱>矫", "检公", limit="10d生效",
         replies=(8, 9, 12), within="5d", source="社区矫正法第二十条"),
    _row(8, "送达回执", "receipt of service", "矫>法检公狱", limit="5d收到", source="实施办法第十六条"),
    _row(9, "补齐文书通知", "notice to complete documents", "矫>法公狱", replies=(7, 6), within="5d"),
    _row(10, "文书转送函", "forwarding letter", "矫>检公"),
    _row(11, "移交单（暂予监外执行）", "hand-over sheet", "公狱>矫", limit="10d生效", replies=(8,), within="5d"),
    _row(12, "报到情况通知单", "notice of reporting", "矫>法公狱", "检公"),
    _row(13, "基本信息表", "basic data sheet", "矫>公所"),
    _row(14, "法定不准出境报备/撤销", "exit ban filing", "矫>公境"),
    _row(15, "矫正小组责任书", "correction group pledge", "矫>所人"),
    _row(16, "入矫宣告书", "declaration of correction", "矫>人", "所"),
    _row(17, "矫正方案", "correction plan", "矫>所"),
    _row(18, "分类管理审批表", "management class approval", "矫>所"),
    _row(19, "司法所委托书", "delegation to judicial office", "矫>所"),
    _row(20, "外出审批表/外出证明", "leave approval", "矫>人所市", "检"),
    _row(21, "外出地协助函/销假", "request for help at destination", "矫>矫外"),
    _row(22, "经常性跨市县活动审批表", "regular travel approval", "矫>人", "所"),
    _row(23, "会客/接触特定人审批表", "contact approval", "矫>人", "所"),
    _row(24, "进入特定区域（场所）审批表", "area approval", "矫>法人", "检"),
    _row(25, "执行地变更审批表", "change of place approval", "矫>人所"),
    _row(26, "变更执行地征求意见函", "request for opinion on moving", "矫>矫外", limit="5d收到", replies=(27,), within="5d"),
    _row(27, "变更执行地复函", "answer on moving", "矫>矫外", limit="5d收到"),
    _row(28, "执行地变更决定书及档案移交", "decision on moving with file", "矫>矫外", "法公检狱", limit="5d收到", replies=(29,), within="5d"),
    _row(29, "接收回执", "receipt of moving", "矫>矫外", "检公", limit="5d收到"),
    _row(30, "病情复查情况", "medical re-check", "矫>检"),
    _row(31, "电子定位审批表/告知书/延长/解除", "electronic location approval", "矫>人"),
    _row(32, "月考核表/公示", "monthly appraisal", "矫>所人"),
    _row(33, "表扬决定书", "commendation", "矫>人", "检"),
    _row(34, "训诫决定书", "admonition", "矫>人", "检"),
    _row(35, "警告决定书", "warning", "矫>人", "检"),
    _restricted(36, "治安管理处罚建议书", "proposal of public-order penalty", "矫>公", "检", replies=(536,)),
    _restricted(536, "治安管理处罚结果", "result of public-order penalty", "公>矫", "检"),
    _restricted(37, "拘留/强制戒毒/强制措施通知", "notice of custody", "公检法>矫检", limit="3d生效"),
    _restricted(38, "协助查找函", "request to help search", "矫>公", "检"),
    _restricted(39, "撤销缓刑建议书", "proposal to revoke suspension", "矫>法", "检", replies=(42,), within="30d", source="社区矫正法第四十八条"),
    _restricted(40, "撤销假释建议书", "proposal to revoke parole", "矫>法", "检", replies=(42,), within="30d", source="社区矫正法第四十八条"),
    _restricted(41, "提请逮捕书", "request for arrest", "矫>法", "检", replies=(42,), within="48h", source="社区矫正法第四十七条"),
    _restricted(42, "裁定书", "ruling", "法>矫公", "检", limit="30d收到", source="社区矫正法第四十八条"),
    _restricted(43, "收监执行建议书", "proposal of imprisonment", "矫>法公狱", "检", replies=(44,), within="30d"),
    _restricted(44, "收监决定书", "decision of imprisonment", "法公狱>矫公", "检", limit="30d收到"),
    _restricted(45, "减刑建议书", "proposal to reduce the sentence", "矫>市中", "检公狱", within="30d"),
    _row(46, "个人总结及书面鉴定", "summary and appraisal", "矫>所"),
    _row(47, "解除社区矫正证明书", "certificate of release", "矫>人"),
    _row(48, "解除社区矫正通知书", "notice of release", "矫>法公狱", "检公"),
    _row(49, "解矫宣告/安置帮教交接", "declaration of release, hand-over", "矫>安", "所"),
    _row(50, "终止社区矫正通知书", "notice of termination", "矫>法检公狱"),
    _restricted(51, "突发事件报告", "incident report", "矫>市检"),
    _row(52, "纠正违法通知书", "notice to correct a violation", "检>法公矫狱市", replies=(55,), within="15d"),
    _row(53, "检察建议书", "procuratorial proposal", "检>法公矫狱市", replies=(55,), within="2m"),
    _row(54, "口头纠正记录", "record of oral correction", "检>法公矫狱市", replies=(55,)),
    _row(55, "回复函", "answer to the procuratorate", "法公矫>检", replies=(56,)),
    _row(56, "复查决定", "decision on review", "检>法公矫狱市", limit="7d收到"),
)  # fmt: skip

CATALOGUE: Final = {row.code: row for row in _ROWS}
"""Code to row; the codes 36…45, 51 and 536 are restricted and go out under code 0."""

RESTRICTED_DOCUMENT: Final = _restricted(
    RESTRICTED_CODE,
    "限制类文书",
    "document of the restricted class",
    "公检法矫>公检法矫狱市中",
    "公检法矫狱市中",
)
"""What the chain sees of a restricted document: class, sender and recipients only."""
