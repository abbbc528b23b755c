"""Processors, memory, files and loops; what is bounded, and how near the bound is."""

from __future__ import annotations

from cluster.dashboards.board import Board
from cluster.dashboards.expressions import rate, seldom
from cluster.dashboards.panel import BYTES, COUNT, PER_SECOND, RATIO, SECONDS, Kind, Panel, Query, Row

_MACHINE = Row(
    "Machines",
    (
        Panel("Processors", Kind.GRAPH, RATIO, (Query("easypay_machine_cpu_ratio", "{{node}}"),), alarm_at=0.8),
        Panel("Memory", Kind.GRAPH, RATIO, (Query("easypay_machine_memory_ratio", "{{node}}"),), alarm_at=0.8),
        Panel("Disk", Kind.GRAPH, RATIO, (Query("easypay_machine_disk_ratio", "{{node}}"),), alarm_at=0.8),
    ),
)  # fmt: skip
_PROCESSES = Row(
    "Processes",
    (
        Panel(
            "Processor time", Kind.STACK, COUNT,
            (Query(rate("easypay_process_cpu_seconds_total", "process"), "{{process}}"),), "Cores.",
        ),
        Panel("Memory", Kind.STACK, BYTES, (Query("easypay_process_resident_memory_bytes", "{{process}}"),)),
        Panel("Open files", Kind.GRAPH, COUNT, (Query("easypay_process_open_fds", "{{process}}"),)),
        Panel(
            "Lateness of loops", Kind.GRAPH, SECONDS, (Query("easypay_loop_lag_seconds", "{{process}}"),),
            "How late a process runs what is due: it has too much to do, or does something that blocks.", 12,
        ),
        Panel(
            "Who reports", Kind.GRAPH, COUNT,
            (
                Query("easypay_monitor_processes", "processes"),
                Query(rate("easypay_monitor_reports_total"), "reports each second"),
            ),
            "To the monitor; a process that is missing here is measured by nobody.", 12,
        ),
    ),
)  # fmt: skip
_BOUNDS = Row(
    "Bounds",
    (
        Panel(
            "What is used of what is bounded", Kind.GRAPH, RATIO,
            (Query("max by (resource) (easypay_utilisation_ratio)", "{{resource}}"),), columns=12, alarm_at=0.8,
        ),
        Panel(
            "Sizes of bodies", Kind.GRAPH, BYTES,
            (
                Query(
                    f"{rate('easypay_http_request_size_bytes_sum')} / {rate('easypay_http_request_size_bytes_count')}",
                    "requests",
                ),
                Query(
                    f"{rate('easypay_http_response_size_bytes_sum')}"
                    f" / {rate('easypay_http_response_size_bytes_count')}",
                    "answers",
                ),
            ),
            "Means.", 6,
        ),
        Panel(
            "Compression", Kind.GRAPH, PER_SECOND,
            (
                Query(seldom("sum by (codec) (easypay_compression_bodies_total)"), "{{codec}} bodies"),
                Query(seldom("sum by (reason) (easypay_compression_refusals_total)"), "left: {{reason}}"),
            ),
            "Bodies since the shards' start.", 6,
        ),
    ),
)  # fmt: skip

BOARD = Board("resources", "Resources", "What is used, and of how much.", (_MACHINE, _PROCESSES, _BOUNDS))
