"""ops/install.sh where nothing is missing, and with wrong arguments. (What it installs, CI's bare machine shows.)"""

from __future__ import annotations

import subprocess


def test_it_refuses_what_it_does_not_know() -> None:
    answer = subprocess.run(["ops/install.sh", "--everything"], capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert "usage:" in answer.stderr


def test_it_is_valid_bash() -> None:
    answer = subprocess.run(["bash", "-n", "ops/install.sh"], capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stderr) == (0, "")
