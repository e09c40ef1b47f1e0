"""The dashboard shows metrics that exist, from the data source that is provisioned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from tests.ops.promql import known_metrics, metrics_in

FOLDER = Path("ops/grafana")


def panels() -> list[dict[str, Any]]:
    dashboard = json.loads((FOLDER / "dashboards" / "datapunk.json").read_text())
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def test_every_panel_only_uses_metrics_that_exist() -> None:
    used = {name for panel in panels() for target in panel["targets"] for name in metrics_in(target["expr"])}
    assert len(used) > 10
    assert used <= known_metrics()


def test_every_panel_says_what_it_shows_and_has_its_own_number_and_place() -> None:
    places = [tuple(panel["gridPos"].values()) for panel in panels()]
    assert all(panel["title"] and panel["description"] for panel in panels())
    assert len({panel["id"] for panel in panels()}) == len(panels())
    assert len(set(places)) == len(places)


def test_panels_ask_the_provisioned_data_source() -> None:
    provisioned = yaml.safe_load((FOLDER / "provisioning" / "datasources" / "prometheus.yaml").read_text())
    uids = {source["uid"] for source in provisioned["datasources"]}
    assert {panel["datasource"]["uid"] for panel in panels()} == uids
