"""What a person may send to a dead letter's workflow, from Temporal's web UI for instance: as JSON."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.nexus.commands import DiscardDeadLetter, EditDeadLetter, RedriveDeadLetter


@dataclass(frozen=True, slots=True)
class Act:
    """Redrive, or discard: `{"by": "ada", "why": "the module is mended"}`.

    Attributes:
        by: who.
        why: kept with it.
    """

    by: str
    why: str = ""

    @property
    def as_redrive(self) -> RedriveDeadLetter:
        """Publish it again."""
        return RedriveDeadLetter(by=self.by, why=self.why)

    @property
    def as_discard(self) -> DiscardDeadLetter:
        """Give it up."""
        return DiscardDeadLetter(by=self.by, why=self.why)


@dataclass(frozen=True, slots=True)
class Edit:
    """Edit, and by default redrive: `{"by": "ada", "body": "{\\"name\\": \\"Clouds\\"}"}`.

    Attributes:
        by: who.
        why: kept with it.
        body: the whole new body, in Avro JSON.
        type: of the message, if it's to be another.
        actor: for whom, if it's to be another.
        redrive: whether to publish it again at once.
    """

    by: str
    why: str = ""
    body: str | None = None
    type: str | None = None
    actor: str | None = None
    redrive: bool = True

    @property
    def as_edit(self) -> EditDeadLetter:
        """Change it."""
        return EditDeadLetter(
            body=None if self.body is None else self.body.encode(),
            content_type=None if self.body is None else "application/avro+json",
            type=self.type,
            actor=self.actor,
            by=self.by,
            why=self.why,
        )
