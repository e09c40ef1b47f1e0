"""What joins modules to Temporal: events start and signal workflows, workflows send commands and ask queries.

A workflow's author needs what is named here, and `temporalio` itself.
"""

from datapunk.temporal.platform import Platform
from datapunk.temporal.reactions import signalled_by, started_by
from datapunk.temporal.schedules import Schedule
from datapunk.temporal.sending import CommandFailed, CommandRejected, ask, command_id, send

__all__ = [
    "CommandFailed",
    "CommandRejected",
    "Platform",
    "Schedule",
    "ask",
    "command_id",
    "send",
    "signalled_by",
    "started_by",
]
