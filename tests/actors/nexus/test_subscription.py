"""What a subscription accepts and rejects."""

from __future__ import annotations

from uuid import UUID

import pytest

from actors.nexus.subscription import Subscription
from datapunk.testing import given
from schemas.nexus.commands import (
    PauseSubscription,
    ReplaySubscription,
    ResumeSubscription,
    RotateSecret,
    Subscribe,
    Unsubscribe,
)
from schemas.nexus.events import (
    SecretRotated,
    Subscribed,
    SubscriptionPaused,
    SubscriptionReplayed,
    SubscriptionResumed,
    Unsubscribed,
)

FIRST, SECOND = UUID(int=1), UUID(int=2)
URL = "https://hooks.example.com/datapunk?team=7"
SUBSCRIBED = Subscribed(url=URL, pattern="lake.#", secret=FIRST)


def subscribe(**changed: object) -> Subscribe:
    return Subscribe(**{"url": URL, "pattern": "lake.#", "secret": FIRST, **changed})  # type: ignore[arg-type]


def test_one_who_subscribes_names_url_pattern_and_secret() -> None:
    given(Subscription).when(subscribe(after=7)).then(Subscribed(url=URL, pattern="lake.#", secret=FIRST, after=7))


def test_an_id_is_taken_for_ever() -> None:
    given(Subscription, SUBSCRIBED).when(subscribe()).rejects("subscription_exists")
    given(Subscription, SUBSCRIBED, Unsubscribed()).when(subscribe()).rejects("subscription_exists")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/",
        "example.com/hook",
        "https:///hook",
        "https://user:password@example.com/",
        "https://token@example.com/",
        "https://example.com/#fragment",
        "https://example.com/a b",
        "https://example.com/\n",
        "https://bücher.example/",
        "https://example.com:99999/",
        "https://example.com:0/",
        "https://[::1/",
        "https://example.com\\@evil.example/",
        "https://example.com/" + "a" * 2_000,
        "",
    ],
)
def test_a_url_that_cannot_be_delivered_to_is_rejected(url: str) -> None:
    given(Subscription).when(subscribe(url=url)).rejects("url_invalid")


@pytest.mark.parametrize("pattern", ["", "lake..x", "lake.*x", "lake dataset", ".".join("a" * 17)])
def test_a_pattern_that_is_none_is_rejected(pattern: str) -> None:
    given(Subscription).when(subscribe(pattern=pattern)).rejects("pattern_invalid")


def test_a_negative_position_is_rejected() -> None:
    given(Subscription).when(subscribe(after=-1)).rejects("position_invalid")
    given(Subscription, SUBSCRIBED).when(ReplaySubscription(after=-1)).rejects("position_invalid")


def test_pausing_and_resuming_change_something_once() -> None:
    given(Subscription, SUBSCRIBED).when(PauseSubscription(reason="move")).then(SubscriptionPaused(reason="move"))
    given(Subscription, SUBSCRIBED, SubscriptionPaused()).when(PauseSubscription()).then()
    given(Subscription, SUBSCRIBED, SubscriptionPaused()).when(ResumeSubscription()).then(SubscriptionResumed())
    given(Subscription, SUBSCRIBED).when(ResumeSubscription()).then()


def test_the_secret_before_the_new_one_is_told() -> None:
    given(Subscription, SUBSCRIBED).when(RotateSecret(secret=SECOND, keep_previous_s=60)).then(
        SecretRotated(secret=SECOND, previous=FIRST, keep_previous_s=60)
    )


def test_a_secret_rotates_to_another_one_only() -> None:
    rotated = SecretRotated(secret=SECOND, previous=FIRST, keep_previous_s=60)
    given(Subscription, SUBSCRIBED, rotated).when(RotateSecret(secret=SECOND)).then()


@pytest.mark.parametrize("seconds", [-1, 604_801])
def test_the_previous_secret_lasts_a_week_at_most(seconds: int) -> None:
    given(Subscription, SUBSCRIBED).when(RotateSecret(secret=SECOND, keep_previous_s=seconds)).rejects(
        "keep_previous_invalid"
    )


def test_a_replay_starts_after_a_position() -> None:
    given(Subscription, SUBSCRIBED).when(ReplaySubscription(after=41)).then(SubscriptionReplayed(after=41))


@pytest.mark.parametrize(
    "command",
    [Unsubscribe(), PauseSubscription(), ResumeSubscription(), RotateSecret(secret=SECOND), ReplaySubscription()],
)
def test_only_what_exists_takes_commands(command: object) -> None:
    given(Subscription).when(command).rejects("subscription_unknown")  # type: ignore[arg-type]
    given(Subscription, SUBSCRIBED, Unsubscribed()).when(command).rejects("subscription_over")  # type: ignore[arg-type]
