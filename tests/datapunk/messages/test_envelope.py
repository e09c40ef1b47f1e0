"""What is read from properties and headers: most of it is in test_bad_input, on a real broker."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from datapunk.broker.properties import Properties
from datapunk.messages.envelope import read_envelope


@pytest.mark.parametrize(("ahead", "is_kept"), [(-400, True), (0, True), (1, False), (400, False)])
def test_a_time_of_sending_that_cannot_be_is_left_out(ahead: int, is_kept: bool) -> None:
    sent_at = datetime.now(UTC) + timedelta(days=ahead)
    properties = Properties(
        type="accounts.Deposit", message_id=str(uuid4()), headers={"actor-id": "a"}, timestamp=sent_at
    )
    assert read_envelope(properties).timestamp == (sent_at if is_kept else None)
