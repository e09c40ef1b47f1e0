"""Schemas of what definitions refer to: from installed modules, from files, and from the platform."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datapunk.cli.messaging import Session
from datapunk.client import Client
from datapunk.errors import InvalidPattern, QueryFailed, SchemaError
from datapunk.messages.catalogue import Kind
from datapunk.messages.message import Query
from datapunk.messages.pattern import Pattern
from datapunk.messages.schema import parse_text
from pipelines.stream.definition.model import Definition
from pipelines.stream.field_types import Fields, fields_of, in_common, record_schema
from pipelines.stream.inputs import Known, Reference, references
from schemas.lake.queries import Dataset, DatasetList, GetDataset, ListDatasets
from schemas.stream.queries import GetPipeline, ListPipelines, Pipeline, PipelineList
from schemas.stream.types import InputKind, InputSchema

MOST_NAMES = 1000


@dataclass
class Resolver:
    """Finds schemas, each once.

    Args:
        session: knows the installed modules.
        tenant: whose datasets and pipelines.
        files: Avro schemas of datasets, by id: these aren't asked for.
    """

    session: Session
    tenant: str | None
    files: Mapping[str, Path]
    _found: dict[Reference, str | None] = field(default_factory=dict[Reference, "str | None"])

    async def resolve(self, definition: Definition) -> tuple[Known, list[InputSchema]]:
        """What is known of all that a definition refers to: to check it, and to send it along.

        Raises:
            SchemaError: if a file holds no schema of a record.
            ConnectionLost, ReplyTimeout: if the platform must be asked, and isn't there.
        """
        wanted = list(dict.fromkeys(references(definition)))
        for reference in wanted:
            if reference not in self._found:
                self._found[reference] = await self._schema(reference)
        texts = {reference: text for reference in wanted if (text := self._found[reference]) is not None}
        missing = {kind for kind, _ in wanted if (kind, _) not in texts}
        names = {kind: await self._names(kind) for kind in missing}
        inputs = [
            InputSchema(kind=InputKind(kind.title()), name=name, schema=text) for (kind, name), text in texts.items()
        ]
        return Known({each: fields_of(parse_text(text).definition) for each, text in texts.items()}, names), inputs

    async def _schema(self, reference: Reference) -> str | None:
        kind, name = reference
        if kind == "dataset":
            return self._read(self.files[name]) if name in self.files else await self._of_dataset(name)
        if kind == "pipeline":
            return await self._of_pipeline(name)
        if kind == "events":
            return self._of_events(name)
        return self._of_query(name, kind)

    def _read(self, path: Path) -> str:
        try:
            return parse_text(path.read_text(encoding="utf-8")).text
        except (OSError, UnicodeDecodeError) as error:
            raise SchemaError(f"{path}: {error}") from None

    async def _of_dataset(self, name: str) -> str | None:
        answer = await self._ask(GetDataset(dataset=name), "dataset_unknown")
        assert answer is None or isinstance(answer, Dataset)
        return None if answer is None else answer.schema

    async def _of_pipeline(self, name: str) -> str | None:
        answer = await self._ask(GetPipeline(pipeline=name), "pipeline_unknown")
        assert answer is None or isinstance(answer, Pipeline)
        return None if answer is None else answer.versions[0].output

    def _of_events(self, pattern: str) -> str | None:
        try:
            meant = Pattern(pattern)
        except InvalidPattern:
            return None
        events = self.session.catalogue.of_kind(Kind.EVENT)
        found: list[Fields] = [fields_of(each.avro) for each in events if meant.may_mean(each.name)]
        return json.dumps(record_schema("Events", in_common(found))) if found else None

    def _of_query(self, name: str, kind: str) -> str | None:
        found = self.session.catalogue.types.get(name)
        if found is None or found.kind is not Kind.QUERY:
            return None
        if kind == "answer":
            found = self.session.catalogue.types[str(found.avro["answer"])]
        return json.dumps(found.avro)

    async def _names(self, kind: str) -> Sequence[str]:
        if kind == "dataset":
            datasets = await self._ask(ListDatasets(limit=MOST_NAMES))
            assert isinstance(datasets, DatasetList)
            return [each.dataset for each in datasets.datasets]
        if kind == "pipeline":
            pipelines = await self._ask(ListPipelines(limit=MOST_NAMES))
            assert isinstance(pipelines, PipelineList)
            return [each.pipeline for each in pipelines.pipelines]
        if kind == "events":
            events = self.session.catalogue.of_kind(Kind.EVENT)
            return [".*.".join(each.name.rsplit(".", 1)) for each in events]
        return [each.name for each in self.session.catalogue.of_kind(Kind.QUERY)]

    async def _ask(self, query: Query, unknown: str = "") -> Any:
        async with Client(self.session.settings, self.session.registry) as client:
            try:
                return await client.ask(query, tenant=self.tenant)
            except QueryFailed as error:
                if error.error_code == unknown:
                    return None
                raise
