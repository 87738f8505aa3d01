"""Benchmarks as plain data and as a table in CSV; every row carries where it comes from."""

from dataclasses import asdict
from typing import Any

from madnas.csvtext import csv_text
from madnas.measure.benchmark.run import Benchmark, Row
from madnas.measure.provenance import cells

SCHEMA = "madnas/benchmark/1"


def benchmark_document(result: Benchmark) -> dict[str, Any]:
    """A benchmark as JSON-able data: seconds, bytes, images and operations per second.

    Returns:
        ``schema``, ``setting``, ``peak`` (operations and bytes per second of the device), ``results`` (a row each, with
        its ``environment`` and every round's seconds) and ``failed``.
    """
    return {
        "schema": SCHEMA,
        "setting": result.setting,
        "peak": {"flops_per_second": result.peak_flops, "bytes_per_second": result.peak_bytes},
        "results": [row_document(row, result) for row in result.rows],
        "failed": result.failed,
    }


def row_document(row: Row, result: Benchmark) -> dict[str, Any]:
    """One row."""
    one = row.contestant
    flops = one.flops / row.latency.p50
    moved = one.traffic / row.latency.p50
    return {
        "name": row.name,
        "target": one.target,
        "mode": one.mode,
        "batch_size": one.batch,
        "input": list(one.input),
        "params": one.costs.params,
        "macs": one.costs.macs,
        "latency_seconds": {
            "p50": row.latency.p50,
            "p95": row.latency.p95,
            "least": row.latency.least,
            "spread": row.latency.spread,
            "n": row.latency.n,
        },
        "images_per_second": row.throughput,
        "peak_memory_bytes": one.memory,
        "flops_per_second": flops,
        "flops_share_of_peak": None if result.peak_flops is None else flops / result.peak_flops,
        "least_bytes_per_second": moved,
        "bytes_share_of_peak": None if result.peak_bytes is None else moved / result.peak_bytes,
        "ratio_to_first": asdict(row.ratio),
        "rounds_seconds": list(row.seconds),
        "environment": result.about,
    }


COLUMNS = (
    *("name", "target", "mode", "engine", "device", "precision", "layout", "threads", "clock", "compiled"),
    *("batch_size", "input", "params", "macs", "p50_seconds", "p95_seconds", "spread", "n", "images_per_second"),
    *("peak_memory_bytes", "flops_per_second", "flops_share_of_peak", "ratio", "ratio_low", "ratio_high"),
    *("hardware", "driver", "versions", "command", "commit", "load"),
)


def benchmark_table(result: Benchmark) -> str:
    """A benchmark in CSV, a row for each network and mode."""
    return csv_text((_cells(row, result) for row in result.rows), COLUMNS)


def _cells(row: Row, result: Benchmark) -> dict[str, Any]:
    tree = row_document(row, result)
    return (
        result.setting
        | tree
        | {
            "input": "x".join(map(str, tree["input"])),
            "p50_seconds": row.latency.p50,
            "p95_seconds": row.latency.p95,
            "spread": row.latency.spread,
            "n": row.latency.n,
            "ratio": row.ratio.value,
            "ratio_low": row.ratio.low,
            "ratio_high": row.ratio.high,
        }
        | cells(result.about)
    )
