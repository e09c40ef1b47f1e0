"""examples/orders, which docs/how-to/write-a-module.md shows: built, installed and used as its reader would."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from datapunk.settings import Settings
from tests.working import eventually

PROJECT = Path(__file__).parents[2] / "examples" / "orders"
ORDER_ID = "0191d0a0-0000-7000-8000-000000000001"  # of a command: sent again until a worker answers, it happens once


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project, away from our repository."""
    return shutil.copytree(PROJECT, tmp_path / "orders", ignore=shutil.ignore_patterns("__pycache__", ".*"))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages with the project's wheel in it. (Installing a pure wheel is unpacking it.)"""
    dist, packages = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("packages")
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(dist)], PROJECT)
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as wheel:
        wheel.extractall(packages)
    return packages


def test_its_classes_are_what_its_schemas_say(project: Path) -> None:
    assert "6 schemas" in run([*DATAPUNK, "schemas", "check", "--root", "."], project)


def test_its_own_tests_pass(project: Path, installed: Path) -> None:
    shutil.rmtree(project / "orders")  # what was installed is what is tested
    report = run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], project, PYTHONPATH=str(installed))
    assert "6 passed" in report


async def test_it_runs_and_answers(installed: Path, tmp_path: Path, settings: Settings) -> None:
    environment = {"PYTHONPATH": str(installed), **variables(settings)}

    async def datapunk(*arguments: str) -> Any:
        """What the command prints as JSON; None if it fails, as all do before a worker is there."""
        process = await asyncio.create_subprocess_exec(
            *DATAPUNK,
            *arguments,
            "--json",
            cwd=tmp_path,
            env={**os.environ, **environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        output, _ = await process.communicate()
        return json.loads(output) if output else None

    with running([*DATAPUNK, "run", "orders"], tmp_path, environment):
        place = ("send", "orders.PlaceOrder", "--actor", "1001", "--wait", "--id", ORDER_ID)
        data = ("--data", '{"customer": "Ada", "product": "tea", "quantity": 2}')
        placed = await eventually(lambda: datapunk(*place, *data), "the order is placed")
        assert placed["status"] == "accepted"

        after = ("--after", str(placed["position"]))
        open_orders = await datapunk("query", "orders.ListOpenOrders", *after)
        assert [(each["order"], each["product"]) for each in open_orders["orders"]] == [("1001", "tea")]

        ship = ("send", "orders.ShipOrder", "--actor", "1001", "--wait")
        shipped = await datapunk(*ship, "--data", '{"carrier": "DHL"}')
        after = ("--after", str(shipped["position"]))
        assert await datapunk("query", "orders.ListOpenOrders", *after) == {"orders": []}

        refused = await datapunk(*ship, "--data", '{"carrier": "UPS"}')
        assert (refused["status"], refused["code"]) == ("rejected", "order_shipped")


DATAPUNK = (sys.executable, "-m", "datapunk.cli.main")


def run(command: list[str], folder: Path, **more: str) -> str:
    """What a command prints; it must succeed."""
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **more}, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def running(command: list[str], folder: Path, more: dict[str, str]) -> Iterator[None]:
    """A command in the background, told to stop at the end, which it must do cleanly."""
    log = folder / "run.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **more}, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield
        process.terminate()
        assert process.wait(timeout=30) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()


def variables(settings: Settings) -> dict[str, str]:
    """The environment that makes these settings."""
    return {f"DATAPUNK_{name.upper()}": str(value) for name, value in settings.model_dump(exclude_none=True).items()}
