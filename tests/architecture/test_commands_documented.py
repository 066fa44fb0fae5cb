"""Every command and option of `shelian` stands in docs/COMMANDS.md."""

from __future__ import annotations

from cli.reference import PAGE, reference


def test_the_page_of_commands_is_fresh() -> None:
    assert PAGE.read_text() == reference(), "run python -m cli.reference"
