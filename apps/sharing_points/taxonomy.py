"""The skills of the sharing community: nine categories of two kinds each.

The numbers of the kinds are what orders on the chain carry; they are never reused for something else.
`weight` is what a kind starts with when a chain is made: hundredths of a point for a quarter of an hour
(100 = 1.0). From then on the chain decides (`KindWeightSet`, by vote); pages ask it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of help."""

    number: int
    category: int
    zh: str
    en: str
    weight: int


@dataclass(frozen=True, slots=True)
class Category:
    """One of the nine categories: its number, names, and the icon pages draw for it."""

    number: int
    zh: str
    en: str
    icon: str
    kinds: tuple[Kind, Kind]


def _category(number: int, zh: str, en: str, icon: str, *kinds: tuple[str, str, int]) -> Category:
    first, second = (
        Kind(number=2 * (number - 1) + place, category=number, zh=name, en=english, weight=weight)
        for place, (name, english, weight) in enumerate(kinds, start=1)
    )
    return Category(number, zh, en, icon, (first, second))


CATEGORIES: tuple[Category, ...] = (
    _category(
        1,
        "家政维修",
        "Home repair",
        "🔧",
        ("水电维修", "Water and electricity", 130),
        ("家电家具维修", "Appliances and furniture", 130),
    ),
    _category(
        2,
        "助老关爱",
        "Care for the elderly",
        "🤝",
        ("陪伴探访", "Company and visits", 100),
        ("代购助餐", "Shopping and meals", 100),
    ),
    _category(
        3,
        "儿童助托",
        "Child care",
        "🧸",
        ("课后托管接送", "After school, fetching", 120),
        ("临时看护", "Short-time minding", 120),
    ),
    _category(
        4,
        "教育辅导",
        "Tutoring",
        "📚",
        ("学业辅导", "School subjects", 120),
        ("语言阅读", "Languages and reading", 120),
    ),
    _category(
        5,
        "文化艺术",
        "Culture and arts",
        "🎨",
        ("书画手工", "Calligraphy, painting, crafts", 110),
        ("音乐舞蹈粤剧", "Music, dance, Cantonese opera", 110),
    ),
    _category(
        6,
        "体育健身",
        "Sports",
        "🏸",
        ("太极瑜伽", "Tai chi and yoga", 100),
        ("球类跑步", "Ball games and running", 100),
    ),
    _category(
        7,
        "健康服务",
        "Health",
        "🩺",
        ("义诊保健", "Free check-ups", 150),
        ("心理疏导", "Someone to talk to", 150),
    ),
    _category(
        8,
        "便民生活",
        "Everyday help",
        "✂️",
        ("理发缝补", "Haircuts and mending", 110),
        ("数码助学", "Phones and computers", 110),
    ),
    _category(
        9,
        "公益治理",
        "Common good",
        "🌳",
        ("法律调解", "Legal advice and mediation", 140),
        ("环保巡逻活动", "Clean-ups, patrols, events", 100),
    ),
)

KINDS: Mapping[int, Kind] = MappingProxyType(
    {kind.number: kind for category in CATEGORIES for kind in category.kinds}
)
