"""Which metrics an expression of Prometheus' query language names, and which ones there are."""

from __future__ import annotations

import re

from prometheus_client.metrics import MetricWrapperBase

from datapunk.telemetry import metrics

_WORDS = {
    "and",
    "or",
    "unless",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "bool",
    "offset",
}

_SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}


def metrics_in(expression: str) -> set[str]:
    """The names of the metrics in `expression`."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]', " ", expression)
    bare = re.sub(r"\b(by|without|on|ignoring)\s*\([^)]*\)", " ", bare)
    names = re.findall(r"\b([a-zA-Z_][a-zA-Z0-9_]*)\b(?!\s*\()", bare)
    return set(names) - _WORDS


def known_metrics() -> set[str]:
    """Every time series' name of datapunk.telemetry.metrics, and those that Prometheus makes itself."""
    known = {"up", "resource_usage"}
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            for family in metric.describe():
                known |= {family.name + suffix for suffix in _SUFFIXES.get(family.type, ("",))}
    return known
