"""Prometheus' configuration and alerts, checked by its own tool."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.ops.promql import known_metrics, metrics_in

FOLDER = Path("ops/prometheus")


@pytest.mark.parametrize(
    "command",
    [
        ["check", "config", FOLDER / "prometheus.yml"],
        ["check", "rules", FOLDER / "alerts.yml"],
        ["test", "rules", FOLDER / "alerts_test.yml"],
    ],
    ids=lambda command: " ".join(map(str, command[:2])),
)
def test_promtool_accepts(command: list[str]) -> None:
    answer = subprocess.run(["promtool", *command], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_alerts_only_use_metrics_that_exist() -> None:
    text = (FOLDER / "alerts.yml").read_text()
    expressions = re.findall(r"expr: (?:\|\n((?: {10}.*\n)+)|(.*)\n)", text)
    assert len(expressions) == text.count("alert:")
    used = set[str]().union(*(metrics_in(block or line) for block, line in expressions))
    assert used <= known_metrics()
