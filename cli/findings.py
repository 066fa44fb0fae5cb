"""How a finding looks in a terminal: sign and word, what, what to do, the command; Chinese first."""

from __future__ import annotations

from cli.output import visible
from network.operations.findings import FAULT, Finding


def finding_lines(finding: Finding, indent: str = "  ") -> list[str]:
    """Lines for standard output."""
    sign = "✖ 故障 fault" if finding.level == FAULT else "! 注意 warning"
    lines = [
        f"{sign}  {visible(finding.what.zh)}  [{finding.code}]",
        f"    {visible(finding.what.en)}",
        f"    怎么办 {visible(finding.todo.zh)}",
        f"    to do  {visible(finding.todo.en)}",
    ]
    if finding.command:
        lines.append(f"    $ {visible(finding.command)}")
    return [indent + line for line in lines]
