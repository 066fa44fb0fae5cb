"""The words and colours of states, one table each; the legend on the pages is drawn from them."""

from __future__ import annotations

from typing import NamedTuple

from apps.site.text import Text


class State(NamedTuple):
    """What a state is called, and its colour (a Tabler colour name)."""

    text: Text
    colour: str


DOCUMENT_STATES: dict[int, State] = {
    0: State(Text("草稿", "draft"), "secondary"),
    1: State(Text("待审批", "to be approved"), "yellow"),
    2: State(Text("待用印", "to be sealed"), "azure"),
    3: State(Text("待发送", "to be sent"), "blue"),
    4: State(Text("已发送", "sent"), "green"),
    5: State(Text("已替换", "superseded"), "secondary"),
}
DELIVERY_STATES: dict[int, State] = {
    0: State(Text("未送达", "not delivered"), "secondary"),
    1: State(Text("已送达·待签收", "delivered, to be signed for"), "yellow"),
    2: State(Text("已签收", "signed for"), "green"),
    3: State(Text("退回补正", "returned"), "red"),
    4: State(Text("已回执", "replied"), "teal"),
}
CASE_STATES: dict[int, State] = {
    1: State(Text("调查评估", "assessment"), "azure"),
    2: State(Text("已决定", "decided"), "blue"),
    3: State(Text("待报到", "to report"), "yellow"),
    4: State(Text("已接收", "received"), "cyan"),
    5: State(Text("已宣告", "declared"), "teal"),
    6: State(Text("在矫", "under correction"), "green"),
    7: State(Text("期满待解除", "expiring"), "orange"),
    8: State(Text("已解除", "released"), "secondary"),
    9: State(Text("已终止", "terminated"), "secondary"),
    10: State(Text("已迁出", "moved away"), "secondary"),
}
CASE_NEXT: dict[int, tuple[int, ...]] = {
    1: (2,),
    2: (3,),
    3: (4,),
    4: (5,),
    5: (6,),
    6: (7, 9, 10),
    7: (8, 9),
}
CATEGORIES: dict[str, Text] = {
    "control": Text("管制", "public surveillance"),
    "probation": Text("缓刑", "probation"),
    "parole": Text("假释", "parole"),
    "outside": Text("暂予监外执行", "temporary service outside prison"),
}
STEPS: dict[str, State] = {
    "drafted": State(Text("承办人拟稿签名", "drafted and signed"), "secondary"),
    "approved": State(Text("审批", "approved"), "azure"),
    "sealed": State(Text("用印", "sealed"), "blue"),
    "submitted": State(Text("发送", "sent"), "green"),
    "delivered": State(Text("送达", "delivered"), "yellow"),
    "handed_over": State(Text("线下送达", "handed over"), "yellow"),
    "signed_for": State(Text("签收", "signed for"), "green"),
    "returned": State(Text("退回补正", "returned"), "red"),
    "replied": State(Text("回执", "replied"), "teal"),
    "superseded": State(Text("替换", "superseded"), "secondary"),
    "late": State(Text("此步逾期", "late step"), "orange"),
    "breach": State(Text("超期记录", "deadline breach"), "red"),
}
OUTBOX_STATES: dict[str, State] = {
    "waiting": State(Text("等待投递", "waiting"), "secondary"),
    "sending": State(Text("投递中", "sending"), "azure"),
    "failed": State(Text("投递失败，自动重试", "failed, tried again"), "orange"),
    "stored": State(Text("对方已存", "stored by recipient"), "green"),
}
LATE = State(Text("超期", "overdue"), "red")
SOON = State(Text("临期", "due soon"), "orange")
