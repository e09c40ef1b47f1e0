"""The subscription: which events go to which URL, and whether they go at present."""

from __future__ import annotations

import re
from urllib.parse import urlsplit
from uuid import UUID

from datapunk import Actor, Rejected, applies, handles
from datapunk.errors import InvalidPattern
from datapunk.messages.pattern import Pattern
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

ID = re.compile(r"[a-z][a-z0-9_-]{0,62}")
MAX_URL = 2_000  # characters
MAX_DESCRIPTION = 2_000  # characters; lists show it
MAX_REASON = 2_000  # characters
MAX_KEEP_PREVIOUS_S = 7 * 24 * 3600


class Subscription(Actor):
    """Events of one pattern, delivered to one URL."""

    secret: UUID | None = None
    is_paused: bool = False
    is_over: bool = False

    @handles(Subscribe)
    def subscribe(self, command: Subscribe) -> Subscribed:
        """A subscription is made once; its id stays taken even after it's over."""
        if self.secret is not None:
            raise Rejected(
                "subscription_exists", f"subscription {self.id} already exists or existed; choose another id"
            )
        if not ID.fullmatch(self.id):
            raise Rejected(
                "subscription_id_invalid",
                f"{self.id!r} can't be a subscription's id: use a lower-case letter, then up to 62 lower-case letters, "
                "digits, '_' or '-'",
            )
        _check_url(command.url)
        _check_pattern(command.pattern)
        _check_after(command.after or 0)
        if len(command.description) > MAX_DESCRIPTION:
            raise Rejected("description_invalid", f"a description has at most {MAX_DESCRIPTION:,} characters")
        return Subscribed(
            url=command.url,
            pattern=command.pattern,
            secret=command.secret,
            after=command.after,
            description=command.description,
        )

    @handles(Unsubscribe)
    def unsubscribe(self, command: Unsubscribe) -> Unsubscribed:
        """From here on nothing is delivered."""
        self.must_exist()
        _check_reason(command.reason)
        return Unsubscribed(reason=command.reason)

    @handles(PauseSubscription)
    def pause(self, command: PauseSubscription) -> SubscriptionPaused | None:
        """Pausing what is paused changes nothing."""
        self.must_exist()
        _check_reason(command.reason)
        return None if self.is_paused else SubscriptionPaused(reason=command.reason)

    @handles(ResumeSubscription)
    def resume(self, command: ResumeSubscription) -> SubscriptionResumed | None:
        """Resuming what isn't paused changes nothing."""
        self.must_exist()
        return SubscriptionResumed() if self.is_paused else None

    @handles(RotateSecret)
    def rotate(self, command: RotateSecret) -> SecretRotated | None:
        """Rotating to the present secret changes nothing."""
        previous = self.must_exist()
        if not 0 <= command.keep_previous_s <= MAX_KEEP_PREVIOUS_S:
            raise Rejected(
                "keep_previous_invalid",
                f"keep_previous_s must be 0 to {MAX_KEEP_PREVIOUS_S:,}, not {command.keep_previous_s}",
            )
        if command.secret == previous:
            return None
        return SecretRotated(secret=command.secret, previous=previous, keep_previous_s=command.keep_previous_s)

    @handles(ReplaySubscription)
    def replay(self, command: ReplaySubscription) -> SubscriptionReplayed:
        """A paused subscription replays once it's resumed."""
        self.must_exist()
        _check_after(command.after)
        return SubscriptionReplayed(after=command.after)

    @applies(Subscribed)
    def subscribed(self, event: Subscribed) -> None:
        """It exists from here on."""
        self.secret = event.secret

    @applies(Unsubscribed)
    def unsubscribed(self, event: Unsubscribed) -> None:
        """It's over."""
        self.is_over = True

    @applies(SubscriptionPaused)
    def paused(self, event: SubscriptionPaused) -> None:
        """It holds back."""
        self.is_paused = True

    @applies(SubscriptionResumed)
    def resumed(self, event: SubscriptionResumed) -> None:
        """It goes on."""
        self.is_paused = False

    @applies(SecretRotated)
    def rotated(self, event: SecretRotated) -> None:
        """Take the new secret."""
        self.secret = event.secret

    def must_exist(self) -> UUID:
        """Its secret's id; reject whatever was asked of a subscription that isn't there (any more)."""
        if self.secret is None:
            raise Rejected(
                "subscription_unknown", f"there is no subscription {self.id}; create it with nexus.Subscribe"
            )
        if self.is_over:
            raise Rejected("subscription_over", f"subscription {self.id} was ended")
        return self.secret


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_fit = (
            len(url) <= MAX_URL
            and url.isascii()
            and url.isprintable()
            and " " not in url
            and parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
            and parts.username is None
            and parts.password is None
            and "#" not in url
            and "\\" not in url
        )
    except ValueError:
        is_fit = False
    if not is_fit:
        raise Rejected(
            "url_invalid",
            f"{url[:200]!r} can't be delivered to: it must be an http or https URL of at most {MAX_URL:,} characters "
            "(ASCII; a host in its punycode form), without user name, password, fragment or blanks",
        )


def _check_pattern(pattern: str) -> None:
    try:
        Pattern(pattern)
    except InvalidPattern as error:
        raise Rejected(error.code, str(error)) from None


def _check_after(after: int) -> None:
    if after < 0:
        raise Rejected("position_invalid", f"a position isn't negative, as {after} is")


def _check_reason(reason: str) -> None:
    if len(reason) > MAX_REASON:
        raise Rejected("reason_invalid", f"a reason has at most {MAX_REASON:,} characters")
