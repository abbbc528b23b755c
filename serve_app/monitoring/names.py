"""The names of what the gateway's processes measure, as they are exposed."""

from __future__ import annotations

HTTP_REQUESTS = "easypay_http_requests_total"
HTTP_DURATION = "easypay_http_request_duration_seconds"
HTTP_REQUEST_SIZE = "easypay_http_request_size_bytes"
HTTP_RESPONSE_SIZE = "easypay_http_response_size_bytes"

PAYMENTS = "easypay_payments_total"
PAYMENTS_AMOUNT = "easypay_payments_amount_minor_total"
STAGE_DURATION = "easypay_stage_duration_seconds"
STATEMENT_DURATION = "easypay_statement_duration_seconds"

PROCESSOR_CALLS = "easypay_processor_calls_total"
CACHE_LOOKUPS = "easypay_cache_lookups_total"
CACHE_PUSHED_OUT = "easypay_cache_pushed_out_total"

PROCESS_CPU = "easypay_process_cpu_seconds_total"
PROCESS_MEMORY = "easypay_process_resident_memory_bytes"
PROCESS_FILES = "easypay_process_open_fds"
MACHINE_CPU = "easypay_machine_cpu_ratio"
MACHINE_MEMORY = "easypay_machine_memory_ratio"
MACHINE_DISK = "easypay_machine_disk_ratio"
LOOP_LAG = "easypay_loop_lag_seconds"
UTILISATION = "easypay_utilisation_ratio"

ACTOR_UP = "easypay_actor_up"
BREAKER_OPEN = "easypay_breaker_is_open"
REDIS_UP = "easypay_redis_up"
SERVER_UP = "easypay_database_server_answers"
PROCESS_ENDING = "easypay_process_ending"
STATEMENT_OLDEST = "easypay_statement_oldest_seconds"
