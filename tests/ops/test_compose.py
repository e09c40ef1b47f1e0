"""compose.yaml: valid by the specification, pinned, healthy, on loopback, and as the native stack is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from datapunk.settings import Settings
from datapunk.stack.asking import SERVERS
from datapunk.stack.compose import endpoints_of, published_ports
from datapunk.stack.rabbitmq import PLUGINS

PARSER = Path(".tools/bin/compose-parser")  # the specification's own, put there by ops/install.sh --with-checks


@cache
def compose() -> dict[str, Any]:
    """The file as a parser of the specification understands it."""
    line = [PARSER, "-format", "json", "compose.yaml"]
    if not PARSER.exists() and shutil.which("docker"):
        line = ["docker", "compose", "--file", "compose.yaml", "config", "--format", "json"]
    answer = subprocess.run(line, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, f"{answer.stderr} (run ops/install.sh --with-checks?)"
    return json.loads(answer.stdout)


def services() -> dict[str, dict[str, Any]]:
    return compose()["services"]


def test_every_part_of_the_native_stack_is_there_and_what_watches_them() -> None:
    assert set(services()) > {*SERVERS, "prometheus", "grafana"}


def test_every_image_is_pinned_to_an_exact_version() -> None:
    for name, service in services().items():
        if "build" not in service:
            assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+\.\d+(-[a-z0-9]+)?", service["image"]), name


def test_the_platforms_image_is_built_from_pinned_ones() -> None:
    dockerfile = Path("ops/docker/Dockerfile").read_text()
    bases = re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)
    assert bases
    assert all(re.fullmatch(r"python:\d+\.\d+\.\d+-slim-bookworm", base) for base in bases)


def test_every_service_has_a_health_check() -> None:
    assert {name for name, service in services().items() if not service.get("healthcheck", {}).get("test")} == set()


def test_the_platforms_services_serve_what_their_health_check_asks_for() -> None:
    for name, service in services().items():
        if service.get("image") == "datapunk:local":
            port = service["environment"]["DATAPUNK_HTTP_PORT"]
            assert "--http" in service["command"], name
            assert f":{port}/health/ready" in str(service["healthcheck"]["test"]), name


def test_tasks_run_and_their_key_is_kept_where_the_platforms_user_may_write() -> None:
    platform = services()["lake"]
    assert "tasks" in platform["command"]
    directory = platform["environment"]["DATAPUNK_DIRECTORY"]
    assert [volume["target"] for volume in platform["volumes"] if volume["type"] == "volume"] == [directory]
    dockerfile = Path("ops/docker/Dockerfile").read_text()
    owned = re.findall(r"install --directory --owner=(\w+) .*--mode=700 (\S+)", dockerfile)
    assert owned == [("datapunk", directory)]


def test_each_process_of_the_platform_is_scraped() -> None:
    environment = services()["lake"]["environment"]
    config = yaml.safe_load(Path("ops/prometheus/prometheus.yml").read_text())
    (platform,) = [job for job in config["scrape_configs"] if job["job_name"] == "datapunk"]
    scraped = [(found["names"], found["port"]) for found in platform["dns_sd_configs"]]
    ports = int(environment["DATAPUNK_HTTP_PORT"]), int(environment["DATAPUNK_PROBE_PORT"]) + 1
    assert scraped == [(["lake"], port) for port in ports]


def test_every_port_is_published_on_loopback_only() -> None:
    ports = [port for service in services().values() for port in service.get("ports", [])]
    assert len(ports) > 10
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}
    assert len({port["published"] for port in ports}) == len(ports)


def test_ports_are_those_of_the_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    defaults = published_ports(_default_settings(monkeypatch))
    published = {str(port["published"]) for name in SERVERS for port in services()[name]["ports"]}
    assert set(defaults.values()) <= published
    for name, value in defaults.items():
        assert f"${{{name}:-{value}}}" in Path("compose.yaml").read_text()


def test_endpoints_have_a_published_port_each(monkeypatch: pytest.MonkeyPatch) -> None:
    published = {str(port["published"]) for service in services().values() for port in service.get("ports", [])}
    for address in endpoints_of(_default_settings(monkeypatch)).values():
        (port,) = re.findall(r":(\d+)(?:/|$)", address)
        assert port in published, address


def test_rabbitmq_has_the_plugins_that_it_has_natively() -> None:
    text = Path("ops/rabbitmq/enabled_plugins").read_text()
    assert text == f"[{','.join(PLUGINS)}].\n"


def test_mounted_files_exist() -> None:
    mounts = [volume for service in services().values() for volume in service.get("volumes", [])]
    sources = [Path(volume["source"]) for volume in mounts if volume["type"] == "bind"]
    assert len(sources) >= 4
    assert all(source.exists() for source in sources)


def _default_settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    for server in SERVERS.values():
        for variable in server.variables:
            monkeypatch.delenv(variable, raising=False)
    return Settings(_env_file=None)
