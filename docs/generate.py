"""Writes the reference pages that come from the code: `python docs/generate.py`.

The command line from its help, the settings from `Settings`, the errors from `datapunk.errors`, the metrics from
`datapunk.telemetry.metrics`. The pages are committed, so that they can be read where the code is; a test compares.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from prometheus_client.metrics import MetricWrapperBase

from datapunk import errors
from datapunk.cli.main import commands, load_command
from datapunk.errors import DatapunkError
from datapunk.settings import Settings
from datapunk.telemetry import metrics

FOLDER = Path(__file__).parent / "reference"
NOTE = "<!-- Written by docs/generate.py; change the code, and run it. -->"


def pages() -> dict[Path, str]:
    """The text of each page."""
    return {
        FOLDER / "cli.md": command_line(),
        FOLDER / "settings.md": settings(),
        FOLDER / "errors.md": error_codes(),
        FOLDER / "metrics.md": metric_names(),
    }


def command_line() -> str:
    """All commands by panel, as `datapunk --help` shows them."""
    lines = [
        "# The command line",
        NOTE,
        "`datapunk COMMAND --help` shows the same. `datapunk --install-completion` makes the shell complete commands "
        "and options. Every command exits with 0 if all went well, 1 on an error (which is told on standard error, "
        "with what to do), 2 on wrong usage; some have more, told below.",
    ]
    panels: dict[str, list[str]] = {}
    for name, entry in commands().items():
        panels.setdefault(entry.panel, []).append(name)
    for panel, names in panels.items():
        lines.append(f"## {panel}")
        for name in names:
            lines += _command(load_command(name), f"datapunk {name}", 3)
    return _page(lines)


def settings() -> str:
    """All settings with their variables and defaults."""
    lines = [
        "# Settings",
        NOTE,
        "Each is an environment variable, else a line of `.env` or of `.datapunk/endpoints.env` (which `datapunk up` "
        "writes), else its default.",
    ]
    rows = [
        (f"`DATAPUNK_{name.upper()}`", f"`{field.default}`" if field.default is not None else "", _sentence(field))
        for name, field in Settings.model_fields.items()
    ]
    lines.append(_table(("Variable", "Default", "What it is"), rows))
    return _page(lines)


def error_codes() -> str:
    """All error codes with what they mean."""
    lines = [
        "# Errors",
        NOTE,
        "Every error has a code that doesn't change. It's in replies (`code`), in problem details over HTTP "
        "(`code`), in dead letters (the header `dead-reason`), in logs, and before the message on the command line. "
        "Rejections carry codes of the module that rejects; these are the platform's own.",
    ]
    by_section: dict[str, list[tuple[str, str]]] = {}
    for section, error in _errors():
        by_section.setdefault(section, []).append((f"`{error.code}`", " ".join(inspect.getdoc(error).split())))
    for section, rows in by_section.items():
        lines += [f"## {section}", _table(("Code", "What it means"), rows)]
    return _page(lines)


def metric_names() -> str:
    """All metrics with their labels."""
    lines = [
        "# Metrics",
        NOTE,
        "In Prometheus' text format at `/metrics`: on `DATAPUNK_HTTP_PORT` of a process that serves the HTTP facade, "
        "on `DATAPUNK_PROBE_PORT` of one that doesn't. Of several workers (`datapunk run --workers N`) each has its "
        "own port, and is scraped on its own: the first one's, the next, … A queue's depth and the outbox are told by "
        "the process that owns the shard. Alerts on these are in `ops/prometheus`, dashboards in `ops/grafana`.",
    ]
    rows = [("`resource_usage`", "gauge", "service, resource_type", "What the process takes, by resource type")]
    for each in vars(metrics).values():
        if isinstance(each, MetricWrapperBase):
            (described,) = each.describe()
            name = described.name + ("_total" if described.type == "counter" else "")
            labels = ", ".join(each._labelnames)
            rows.append((f"`{name}`", described.type, labels, described.documentation))
    lines.append(_table(("Metric", "Kind", "Labels", "What it tells"), sorted(rows)))
    return _page(lines)


def _errors() -> Iterator[tuple[str, type[DatapunkError]]]:
    """Each error with the heading of its section in the source."""
    section = "General"
    for line in inspect.getsource(errors).splitlines():
        if heading := re.match(r"# --- (.+?) -+$", line):
            section = heading[1].capitalize()
        elif (name := re.match(r"class (\w+)", line)) and name[1] != "DatapunkError":
            yield section, getattr(errors, name[1])


def _command(command: Any, path: str, level: int) -> list[str]:
    lines = [f"{'#' * level} {path}", inspect.cleandoc(command.help or "")]
    parameters = [each for each in command.params if not getattr(each, "hidden", False) and each.name != "help"]
    children = getattr(command, "commands", {})
    arguments = [each for each in parameters if each.param_type_name == "argument"]
    usage = [path, *(["COMMAND"] if children else []), *(_shown(each) for each in arguments)]
    if options := [each for each in parameters if each.param_type_name == "option"]:
        usage.insert(1, "[OPTIONS]")
    lines.append(f"```console\n$ {' '.join(usage)}\n```")
    rows = [(f"`{_shown(each)}`", "", each.help or "") for each in arguments]
    rows += [(_names(each), _default(each), each.help or "") for each in options]
    if rows:
        lines.append(_table(("Argument or option", "Default", "What it is"), rows))
    for name, child in children.items():
        lines += _command(child, f"{path} {name}", level + 1)
    return lines


def _shown(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    name += "…" if argument.nargs == -1 else ""
    return name if argument.required else f"[{name}]"


def _names(option: Any) -> str:
    return ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts)) + (
        " (needed)" if option.required else ""
    )


def _default(option: Any) -> str:
    if option.required or option.default in (None, False, "", ()) or option.is_flag:
        return ""
    return f"`{option.default}`"


def _sentence(field: Any) -> str:
    text = field.description or ""
    limits = [
        f"{word} {value}"
        for each in field.metadata
        for name, word in (("ge", "at least"), ("gt", "more than"), ("le", "at most"))
        if (value := getattr(each, name, None)) is not None
    ]
    return text[0].upper() + text[1:] + (f" ({', '.join(limits)})" if limits else "")


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in lines
    )


def _page(blocks: list[str]) -> str:
    return "\n\n".join(block for block in blocks if block) + "\n"


def main() -> None:
    """Write the pages."""
    FOLDER.mkdir(exist_ok=True)
    for path, text in pages().items():
        path.write_text(text)
        typer.echo(path)


if __name__ == "__main__":
    main()
