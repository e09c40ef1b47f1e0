"""A body in the hands of a person, by $EDITOR."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from datapunk.errors import ConfigurationError, MessageError
from datapunk.messages.codec import AVRO_BINARY, AVRO_JSON
from datapunk.messages.compression import decompressed
from datapunk.messages.registry import Registry
from schemas.nexus.queries import DeadLetterFound

MOST_UNPACKED = 16 * 1024 * 1024  # bytes that are shown


def edited_body(found: DeadLetterFound, registry: Registry) -> tuple[bytes | None, str | None]:
    """Open the present body in $EDITOR; returns what was made of it (none: nothing), and its content type.

    Raises:
        ConfigurationError: if it's too large, or no text.
    """
    if found.is_cut:
        raise ConfigurationError("the body is too large for an editor; `datapunk dlq edit --body FILE` takes any")
    before = as_text(found, registry, edited=True)
    if before is None:
        raise ConfigurationError("the body is no text; `datapunk dlq edit --body FILE` takes any")
    after = _in_editor(before)
    if after.strip() == before.strip():
        return None, None
    return after.strip().encode(), AVRO_JSON


def _in_editor(text: str) -> str:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory(prefix="datapunk-dlq-") as folder:
        file = Path(folder) / "body.json"
        file.write_text(text)
        try:
            subprocess.run([*shlex.split(editor), str(file)], check=True)  # noqa: S603  # the person's own
        except (OSError, subprocess.CalledProcessError) as error:
            raise ConfigurationError(f"the editor {editor!r} failed: {error}; set EDITOR, or use --body FILE") from None
        return file.read_text()


def _unpacked(found: DeadLetterFound) -> bytes:
    properties = json.loads(found.properties) or {}
    try:
        return decompressed(found.body, properties.get("content_encoding"), MOST_UNPACKED)
    except MessageError:
        return found.body


def as_text(found: DeadLetterFound, registry: Registry, *, edited: bool) -> str | None:
    """A body for people: JSON on several lines if it's that or can be made so; None if it's no text."""
    edit = found.edit if edited else None
    body = _unpacked(found) if edit is None or edit.body is None else edit.body
    type = (edit and edit.type) or found.letter.type
    content_type = (edit and edit.content_type) or found.letter.content_type
    if content_type == AVRO_BINARY:
        try:
            body = registry.encode(registry.decode(type, body, AVRO_BINARY, None), AVRO_JSON)
        except MessageError:
            return None
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"
    except (ValueError, RecursionError):
        return text
