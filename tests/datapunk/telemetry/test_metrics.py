from prometheus_client.parser import text_string_to_metric_families

from datapunk.telemetry import metrics


def exposed():
    return {family.name: family for family in text_string_to_metric_families(metrics.exposition().decode())}


def test_the_names_that_dashboards_use_are_all_there():
    assert {
        "request_duration_seconds",
        "error_rate",
        "cache_hit_ratio",
        "queue_depth",
        "commands_handled",
        "shard_batch_size",
        "shard_batch_seconds",
        "outbox_unconfirmed",
        "projection_lag_events",
        "projection_lag_seconds",
    } <= set(exposed())


def test_counters_end_in_total():
    metrics.ERRORS.labels("test", "undecodable").inc()
    assert exposed()["error_rate"].samples[0].name == "error_rate_total"


def test_resources_are_measured_when_asked_and_named_after_the_last_service():
    metrics.configure("first")
    metrics.configure("second")
    samples = {
        (sample.labels["service"], sample.labels["resource_type"]): sample.value
        for sample in exposed()["resource_usage"].samples
    }
    assert {service for service, _ in samples} == {"second"}
    assert samples["second", "memory_bytes"] > 1_000_000
    assert samples["second", "threads"] >= 1
