"""How Lake plugs in."""

from __future__ import annotations

from actors.lake.dataset import Dataset
from actors.lake.ingestion import Ingestion
from actors.lake.partition import Partition
from datapunk import Module
from projections.lake.datasets import Datasets
from projections.lake.find_datasets import get_dataset, list_datasets
from projections.lake.find_ingestions import get_ingestion
from projections.lake.find_records import find_records
from projections.lake.ingestions import Ingestions
from projections.lake.records import Records

lake = Module(
    name="lake",
    schemas="schemas.lake",
    actors=[Dataset, Partition, Ingestion],
    projections=[Datasets, Records, Ingestions],
    queries=[get_dataset, list_datasets, find_records, get_ingestion],
    workflows="workflows.lake",
    description="Datasets: create them, append records or whole files, find records.",
)
