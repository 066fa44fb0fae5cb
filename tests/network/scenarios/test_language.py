"""Scenario files say what they mean, or are refused with file and line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.network.scenarios import commands
from tests.network.scenarios.__main__ import read, scenario_files
from tests.network.scenarios.language import COMMANDS, EVERYBODY, ScenarioFault, parse

GUIDE = Path(__file__).parents[3] / "docs" / "SCENARIOS.md"


def test_comments_and_spaces_do_not_matter() -> None:
    scenario = parse(
        "x.scenario",
        ["# 题目 a title", "suite quick", "", "network  4 validators  # 四家", "kill 3 4", "start everybody"],
    )
    assert (scenario.name, scenario.title, scenario.suite) == ("x", "题目 a title", "quick")
    assert [step.line for step in scenario.steps] == [4, 5, 6]
    assert [step.arguments for step in scenario.steps] == [
        {"validators": 4},
        {"machines": (3, 4)},
        {"machines": EVERYBODY},
    ]
    assert scenario.steps[1].command.run is commands.kill


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("partition 1 2 | 3 4", {"groups": ((1, 2), (3, 4))}),
        ("partition 1 2 3 | 4", {"groups": ((1, 2, 3), (4,))}),
        (
            "link 1-2 delay 200ms jitter 50ms loss 2.5%",
            {"one": 1, "other": 2, "delay": 200, "jitter": 50, "loss": 2.5},
        ),
        ("clock 2 -90s", {"machine": 2, "seconds": -90}),
        ("wait until height +20", {"blocks": 20}),
        (
            "expect alarm comet.clock_behind of 2 within 9 s",
            {"code": "comet.clock_behind", "machine": 2, "seconds": 9},
        ),
    ],
)
def test_what_a_line_gives(line: str, arguments: dict[str, object]) -> None:
    step = parse("x", ["suite long", "network 4 validators", line]).steps[1]
    assert step.arguments == arguments


@pytest.mark.parametrize(
    "line",
    [
        "kil 3",
        "kill three",
        "wait 10",
        "kill 3 and 4",
        "partition 1 2",
        "Kill 3",
        "wait until height 20",
        "suite slow",
    ],
)
def test_an_unknown_line_is_refused_with_its_place(line: str) -> None:
    with pytest.raises(ScenarioFault, match=r"^x\.scenario:3: unknown command: "):
        parse("x.scenario", ["suite quick", "network 4 validators", line])


@pytest.mark.parametrize("lines", [["network 4 validators"], ["suite quick", "kill 3"], ["suite quick"], []])
def test_a_file_begins_with_its_suite_and_its_network(lines: list[str]) -> None:
    with pytest.raises(ScenarioFault, match=r"^x:1: "):
        parse("x", lines)


def test_no_line_fits_two_commands() -> None:
    for file in scenario_files():
        for step in read(file).steps:
            assert sum(bool(one.pattern.fullmatch(step.text)) for one in COMMANDS) == 1, step.text


def test_every_scenario_has_a_title_and_every_command_a_use() -> None:
    scenarios = [read(file) for file in scenario_files()]
    assert all(one.title for one in scenarios)
    used = {step.command.text for one in scenarios for step in one.steps}
    assert {one.text for one in COMMANDS} == used


def test_the_guide_lists_every_command_and_every_scenario() -> None:
    guide = GUIDE.read_text()
    listed = set(re.findall(r"^\| `([^`]+)` \|", guide, re.M))
    shown = {re.sub(r"<(\w+):\w+>", r"<\1>", one.text).replace("|", r"\|") for one in COMMANDS}
    assert shown - listed == set(), "not in docs/SCENARIOS.md"
    assert {file.stem for file in scenario_files()} <= listed
