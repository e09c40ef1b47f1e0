"""What may be done with a dead letter, and when."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

import pytest

from actors.nexus.dead_letter import DeadLetter
from datapunk.testing import given
from datapunk.testing.scenario import Given
from schemas.nexus.commands import (
    DiscardDeadLetter,
    EditDeadLetter,
    FailDeadLetterAgain,
    ParkDeadLetter,
    RedriveDeadLetter,
    ResolveDeadLetter,
)
from schemas.nexus.events import (
    DeadLetterDiscarded,
    DeadLetterEdited,
    DeadLetterFailedAgain,
    DeadLetterParked,
    DeadLetterRedriven,
    DeadLetterResolved,
)
from schemas.nexus.types import DeadLetter as Facts
from schemas.nexus.types import DeadLetterKind, DeadLetterResult, DeadLetterState, Retry

ID = "01a20c7d-ef80-7c21-9a51-6f0f36a8a0c4"
NOW = datetime(2026, 11, 24, tzinfo=UTC)
FACTS = Facts(
    module="lake",
    type="lake.RenameDataset",
    reason="undecodable",
    kind=DeadLetterKind.Poison,
    died_at=NOW,
    content_type="application/avro+json",
    size=2,
)
PARKED = DeadLetterParked(letter=FACTS, retry=Retry(attempts=0))
RETRYING = DeadLetterParked(letter=FACTS, retry=Retry(attempts=2))
REDRIVEN = DeadLetterRedriven(attempt=1)
FAILED = DeadLetterFailedAgain(attempt=1, reason="undecodable", failed_at=NOW)
RESOLVED = DeadLetterResolved(attempt=1, result=DeadLetterResult.Accepted)
DISCARDED = DeadLetterDiscarded()
AGAIN = FailDeadLetterAgain(attempt=1, reason="undecodable", failed_at=NOW)
GOOD = b'{"name":"Clouds"}'


def letter(*history: Any) -> Given:
    return given(DeadLetter, *history, id=ID)


def test_one_that_may_heal_is_tried_again_by_itself() -> None:
    letter().when(ParkDeadLetter(letter=FACTS, retry=Retry(attempts=2))).then(RETRYING).state(
        state=DeadLetterState.Retrying, attempts_left=2
    )


def test_one_that_may_not_waits_for_a_person() -> None:
    letter().when(ParkDeadLetter(letter=FACTS, retry=Retry(attempts=0))).then(PARKED).state(
        state=DeadLetterState.Parked
    )


def test_it_is_parked_once() -> None:
    letter(PARKED).when(ParkDeadLetter(letter=FACTS, retry=Retry(attempts=3))).then()


def test_its_id_is_a_uuid() -> None:
    given(DeadLetter, id="x").when(ParkDeadLetter(letter=FACTS, retry=Retry())).rejects("dead_letter_id_invalid")


def test_a_person_redrives_it() -> None:
    letter(PARKED).when(RedriveDeadLetter(by="ada", why="mended")).then(
        DeadLetterRedriven(attempt=1, by="ada", why="mended")
    ).state(state=DeadLetterState.Redriven)


def test_a_person_may_redrive_it_while_it_is_under_way_since_it_may_have_got_lost() -> None:
    letter(PARKED, REDRIVEN).when(RedriveDeadLetter(by="ada")).then(DeadLetterRedriven(attempt=2, by="ada"))


def test_after_a_person_it_is_not_tried_by_itself_any_more() -> None:
    letter(RETRYING, REDRIVEN).when(AGAIN).then(FAILED).state(state=DeadLetterState.Parked)


def test_what_fails_again_and_has_attempts_left_is_tried_again_by_itself() -> None:
    automatic = DeadLetterRedriven(attempt=1, is_automatic=True)
    letter(RETRYING).when(RedriveDeadLetter(is_automatic=True)).then(automatic).state(attempts_left=1)
    failed = DeadLetterFailedAgain(attempt=1, reason="undecodable", failed_at=NOW, is_final=False)
    letter(RETRYING, automatic).when(AGAIN).then(failed).state(state=DeadLetterState.Retrying)


def test_what_fails_for_another_reason_waits_for_a_person() -> None:
    automatic = DeadLetterRedriven(attempt=1, is_automatic=True)
    other = FailDeadLetterAgain(attempt=1, reason="oversized", failed_at=NOW)
    letter(RETRYING, automatic).when(other).state(state=DeadLetterState.Parked)


def test_after_its_last_attempt_it_waits_for_a_person() -> None:
    automatic = [DeadLetterRedriven(attempt=n, is_automatic=True) for n in (1, 2)]
    retried = DeadLetterFailedAgain(attempt=1, reason="undecodable", failed_at=NOW, is_final=False)
    last = FailDeadLetterAgain(attempt=2, reason="undecodable", failed_at=NOW)
    letter(RETRYING, automatic[0], retried, automatic[1]).when(last).state(state=DeadLetterState.Parked)
    final = DeadLetterFailedAgain(attempt=2, reason="undecodable", failed_at=NOW)
    letter(RETRYING, automatic[0], retried, automatic[1], final).when(RedriveDeadLetter(is_automatic=True)).rejects(
        "not_retrying"
    )


def test_what_came_of_an_earlier_attempt_is_no_news_if_it_failed() -> None:
    letter(PARKED, REDRIVEN, DeadLetterRedriven(attempt=2)).when(AGAIN).then()


def test_what_came_of_an_earlier_attempt_counts_if_it_was_handled() -> None:
    letter(PARKED, REDRIVEN, DeadLetterRedriven(attempt=2)).when(
        ResolveDeadLetter(attempt=1, result=DeadLetterResult.Accepted)
    ).then(RESOLVED).state(state=DeadLetterState.Resolved)


@pytest.mark.parametrize("history", [[], [PARKED], [PARKED, REDRIVEN, RESOLVED]])
def test_nothing_comes_of_what_was_never_published_again_or_is_known(history: list[Any]) -> None:
    letter(*history).when(ResolveDeadLetter(attempt=1, result=DeadLetterResult.Accepted)).then()


def test_an_edit_makes_another_message_of_it() -> None:
    edit = EditDeadLetter(body=GOOD, by="ada", why="the name was a number")
    edited = DeadLetterEdited(message_id=uuid5(UUID(ID), "edit/2"), body=GOOD, by="ada", why="the name was a number")
    letter(PARKED).when(edit).then(edited).state(edit_version=2)
    letter(PARKED, edited).when(RedriveDeadLetter()).then(DeadLetterRedriven(attempt=1, edit_version=2))


def test_an_edit_ends_the_attempts_by_itself() -> None:
    letter(RETRYING).when(EditDeadLetter(body=GOOD)).state(state=DeadLetterState.Parked, attempts_left=0)


def test_an_edited_body_must_fit_its_schema() -> None:
    rejection = letter(PARKED).when(EditDeadLetter(body=b'{"name":1}')).rejects("body_invalid").rejection
    assert rejection is not None
    assert "Expected `str`, got `int` - at `$.name`" in rejection.message
    assert rejection.details == {"code": "undecodable"}


def test_an_edited_body_must_fit_the_type_that_the_edit_gives_it() -> None:
    as_another = EditDeadLetter(body=GOOD, type="lake.DeleteDataset")
    letter(PARKED).when(as_another).rejects("body_invalid")


def test_a_body_of_a_module_that_is_not_installed_is_taken_as_it_is() -> None:
    letter(PARKED).when(EditDeadLetter(body=b"?", type="elsewhere.Do")).state(state=DeadLetterState.Parked)


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (EditDeadLetter(), "edit_empty"),
        (EditDeadLetter(content_type="text/plain"), "content_type_invalid"),
        (EditDeadLetter(actor="a", why="x" * 2001), "too_long"),
        (EditDeadLetter(actor="a", by="x" * 201), "too_long"),
    ],
)
def test_an_edit_that_makes_no_sense_is_rejected(edit: EditDeadLetter, code: str) -> None:
    letter(PARKED).when(edit).rejects(code)


def test_it_is_discarded_once() -> None:
    letter(PARKED).when(DiscardDeadLetter(by="ada", why="a test")).then(DeadLetterDiscarded(by="ada", why="a test"))
    letter(PARKED, DISCARDED).when(DiscardDeadLetter()).then()


@pytest.mark.parametrize("command", [EditDeadLetter(actor="a"), DiscardDeadLetter()])
def test_while_it_is_under_way_it_is_neither_edited_nor_discarded(command: Any) -> None:
    letter(PARKED, REDRIVEN).when(command).rejects("dead_letter_under_way")


@pytest.mark.parametrize(
    ("history", "code"),
    [
        ([], "dead_letter_unknown"),
        ([PARKED, REDRIVEN, RESOLVED], "dead_letter_resolved"),
        ([PARKED, DISCARDED], "dead_letter_discarded"),
    ],
)
@pytest.mark.parametrize("command", [RedriveDeadLetter, lambda: EditDeadLetter(actor="a")])
def test_what_is_not_there_or_has_ended_is_left_alone(
    history: list[Any], code: str, command: Callable[[], Any]
) -> None:
    letter(*history).when(command()).rejects(code)
