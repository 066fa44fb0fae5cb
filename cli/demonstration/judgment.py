"""A judgment as a court would print it: several pages of Chi"
"nese, page numbers, invented people only.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Final

from fpdf import FPDF
from fpdf.enums import WrapMode

_FONT: Final = Path(__file__).parent / "fonts" / "NotoSansSC-GB2312.ttf"
_FACE: Final = "NotoSansSC"
_BODY: Final = (
    "公诉机关示范区人民检察院。",
    "被告人{name}（示范人员，并非真人），现住示范区示范街道。因涉嫌犯危险驾驶罪被取保候审。",
    "示范区人民检察院以示检刑诉〔{year}〕{serial:03d}号起诉书指控被告人{name}"
    "犯危险驾驶罪，向本院提起公诉。本院依法适用速裁程序，实行独任审判，公开开庭审理了本案。示范区"
    "人民检察院指派检察员出庭支持公诉，被告人{name}到庭参加诉讼。现已审理终结。",
    "公诉机关指控，被告人{name}酒后驾驶小型轿车行驶至示范大道路段时，被执勤民警查获。经鉴定"
    "，其血液中乙醇含量超过醉酒标准。公诉机关认为，被告人{name}的行为已构成危险驾驶罪，其归"
    "案后如实供述自己的罪行，自愿认罪认罚，建议判处拘役并适用缓刑，并处罚金。",
    "被告人{name}对指控事实、罪名及量刑建议没有异议，同意适用速裁程序，且签字具结，在开庭审"
    "理过程中亦无异议。",
    "本院认为，被告人{name}违反道路交通安全法规，在道路上醉酒驾驶机动车，其行为已构成危险驾"
    "驶罪，依法应予惩处。公诉机关指控的罪名成立，量刑建议适当，应予采纳。被告人归案后如实供述自己"
    "的罪行，依法可以从轻处罚；自愿认罪认罚，依法可以从宽处理。司法行政机关经调查评估，认为其具备"
    "社区矫正条件。根据其犯罪情节和悔罪表现，宣告缓刑对其所居住社区没有重大不良影响，依法可以宣告"
    "缓刑。",
    "依照《中华人民共和国刑法》第一百三十三条之一第一款第（二）项、第六十七条第三款、第七十二条第"
    "一款、第七十三条第一款和第三款、第七十六条，《中华人民共和国刑事诉讼法》第十五条、第二百零一"
    "条之规定，判决如下：",
    "被告人{name}犯危险驾驶罪，判处拘役二个月，缓刑四个月，并处罚金人民币三千元。",
    "（缓刑考验期限，从判决确定之日起计算。罚金限本判决生效之日起十日内缴纳。）",
    "被告人{name}应当自本判决生效之日起十日内到示范区司法局报到，接受社区矫正。在缓刑考验期"
    "限内，应当遵守法律、行政法规，服从监督；按照规定报告自己的活动情况；遵守关于会客的规定；离开"
    "所居住的市、县或者迁居，应当报经社区矫正机构批准。",
    "如不服本判决，可在接到判决书的第二日起十日内，通过本院或者直接向上级人民法院提出上诉。书面上"
    "诉的，应当提交上诉状正本一份，副本二份。",
)
_ANNEX: Final = (
    "附：相关法律条文",
    "《中华人民共和国社区矫正法》第二十一条：人民法院判处管制、宣告缓刑、裁定假释的社区矫正对象，"
    "应当自判决、裁定生效之日起十日内到执行地社区矫正机构报到。",
    "《中华人民共和国社区矫正法》第二十条：社区矫正决定机关应当自判决、裁定或者决定生效之日起五日"
    "内通知执行地社区矫正机构，并在十日内送达有关法律文书，同时抄送人民检察院和执行地公安机关。社"
    "区矫正决定地与执行地不在同一地方的，由执行地社区矫正机构将法律文书转送所在地的人民检察院、公"
    "安机关。",
    "《中华人民共和国刑法》第七十六条：对宣告缓刑的犯罪分子，在缓刑考验期限内，依法实行社区矫正，"
    "如果没有本法第七十七条规定的情形，缓刑考验期满，原判的刑罚就不再执行，并公开予以宣告。",
)


class _Paper(FPDF):
    def footer(self) -> None:
        self.set_y(-18)
        self.set_font(_FACE, size=10)
        self.cell(0, 8, f"— {self.page_no()} / {{nb}} —  示范文书，没有法律效力", align="C")


def make_judgment(name: str, number: str, day: date, serial: int) -> bytes:
    """The PDF of a judgment (D07).

    `name` is an invented person's; `number` the court's case number, such as （2026）示0101刑初1号.
    """
    paper = _Paper(format="A4")
    paper.set_title("刑事判决书（示范）")
    paper.set_lang("zh-CN")
    paper.set_margins(28, 30, 26)
    paper.set_auto_page_break(True, 28)
    paper.add_font(_FACE, fname=_FONT)
    paper.add_page()
    paper.set_font(_FACE, size=20)
    paper.cell(0, 14, "示范区人民法院", align="C", new_x="LMARGIN", new_y="NEXT")
    paper.set_font(_FACE, size=24)
    paper.cell(0, 16, "刑 事 判 决 书", align="C", new_x="LMARGIN", new_y="NEXT")
    paper.set_font(_FACE, size=14)
    paper.cell(0, 12, number, align="R", new_x="LMARGIN", new_y="NEXT")
    for text in _BODY:
        _paragraph(paper, text.format(name=name, year=day.year, serial=serial))
    paper.ln(12)
    for line in ("审判员  示范法官", f"{day.year}年{day.month}月{day.day}日", "书记员  示范书记员"):
        paper.cell(0, 10, line, align="R", new_x="LMARGIN", new_y="NEXT")
    paper.add_page()
    for text in _ANNEX:
        _paragraph(paper, text)
    return bytes(paper.output())


def _paragraph(paper: FPDF, text: str) -> None:
    paper.multi_cell(0, 10, "    " + text, align="L", new_x="LMARGIN", new_y="NEXT", wrapmode=WrapMode.CHAR)
