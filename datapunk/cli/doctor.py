"""`datapunk doctor`: checks this machine, and says what to do."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from datapunk.settings import load_settings
from datapunk.stack.checks import Finding, Verdict, examine

_SIGNS = {Verdict.GOOD: ("✓", "green"), Verdict.DOUBTFUL: ("!", "yellow"), Verdict.WRONG: ("✗", "bold red")}


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Check this machine, and say what to do. Exits with 1 when something that is needed is missing."""
    findings: list[Finding] = []
    console = Console(highlight=False, soft_wrap=True)
    for finding in examine(load_settings()):
        findings.append(finding)
        if not as_json:
            console.print(_line(finding))
    wrong = [finding for finding in findings if finding.verdict is Verdict.WRONG]
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(findings)).decode())
    elif wrong:
        console.print(f"\nTo be put right: {', '.join(finding.name for finding in wrong)}.", style="bold red")
    else:
        console.print("\nAll that is needed is here. Start with: datapunk up", style="green")
    if wrong:
        raise typer.Exit(1)


def _line(finding: Finding) -> Text:
    sign, style = _SIGNS[finding.verdict]
    text = Text.assemble((f"{sign} ", style), (f"{finding.name:<17} ", "bold"), finding.found.replace("\n", "  "))
    for line in finding.remedy.splitlines():
        text.append(f"\n    → {line}", style)
    return text
