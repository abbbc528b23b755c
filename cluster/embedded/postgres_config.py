"""The configuration of the embedded PostgreSQL: a payment workload on a small machine that it shares with Ray."""

from __future__ import annotations

from pathlib import Path

# Connections beside the gateway's own budget: for the operator, for jobs, for a benchmark's peer.
CONNECTIONS_FREE = 20
# For migrations, the pool manager's enforcement, the optimizer and the launcher's own questions.
CONNECTIONS_RESERVED = 10

LOCAL_FILE = "postgresql.local.conf"

_TEMPLATE = """\
# Written by EasyPay at each start. Settings of your own go into {local_file} beside this file; they win.

# Loopback, and a socket in a folder that only we can enter.
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0700
password_encryption = 'scram-sha-256'
# The gateway's budget of {budget}, {free} for others, and {reserved} in reserve.
max_connections = {connections}
superuser_reserved_connections = 3

# An acknowledged payment is on disk. Group commit shares one flush among many payments, so this is cheap.
fsync = on
synchronous_commit = on
full_page_writes = on
# pglz is the only method in this build, and the processor is scarcer here than the disk.
wal_compression = off
# A checkpoint writes every changed page anew and makes the log twice as large after it: far apart, and spread out.
checkpoint_timeout = 15min
checkpoint_completion_target = 0.9
max_wal_size = 2GB
min_wal_size = 256MB

# The hot part of a payment workload (indexes' right edges, the last hours) fits; Ray needs the rest of the machine.
shared_buffers = 256MB
effective_cache_size = 1GB
# Lists sort a page of rows; set-based statements hash a batch of 128. More would only be multiplied by connections.
work_mem = 8MB
maintenance_work_mem = 128MB
# Compiling pays for seconds-long queries, and there are none.
jit = off
# Solid-state disks: a random page costs hardly more than the next one.
random_page_cost = 1.1
# A read by a worker process would be slower than the page cache that most reads come from.
io_method = 'sync'
max_parallel_workers_per_gather = 0

# Payments are updated twice soon after their insert: short sleeps keep dead rows few.
autovacuum_naptime = 15s
autovacuum_vacuum_scale_factor = 0.05
autovacuum_analyze_scale_factor = 0.02
autovacuum_vacuum_insert_scale_factor = 0.1

# A process that dies in a transaction must not hold its locks; ours last milliseconds.
idle_in_transaction_session_timeout = 60s

# A replica that is away may hold back this much of the log; after that it is made anew.
max_slot_wal_keep_size = 1GB
# A read of a replica may hold up its replay for so long; then it is cancelled, and the primary is asked.
max_standby_streaming_delay = 2s
cluster_name = '{name}'
{following}
shared_preload_libraries = 'pg_stat_statements'
pg_stat_statements.max = 2000
compute_query_id = on
track_io_timing = on

timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %a '
log_min_duration_statement = 500ms
log_lock_waits = on
log_checkpoints = on
# The statement would show its values, and they are about payments. So would the parameters of a slow one, and the
# detail of an error, which is the row that it is about.
log_min_error_statement = panic
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
log_error_verbosity = terse
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0

include_if_exists = '{local_file}'
"""


_FOLLOWING = """\
# Read by a standby alone: where it gets the log of whichever server is the primary.
primary_conninfo = '{source}'
primary_slot_name = '{slot}'
"""


def render(*, port: int, sockets: Path, budget: int, name: str = "postgres", source: str = "", slot: str = "") -> str:
    """Return the text of postgresql.conf for a gateway that may hold `budget` connections.

    `source` and `slot` are where a replica gets its log.
    """
    return _TEMPLATE.format(
        port=port,
        sockets=_literal(str(sockets)),
        budget=budget,
        free=CONNECTIONS_FREE,
        reserved=CONNECTIONS_RESERVED,
        connections=budget + CONNECTIONS_FREE + CONNECTIONS_RESERVED,
        local_file=LOCAL_FILE,
        name=name,
        following=_FOLLOWING.format(source=_literal(source), slot=slot) if source else "",
    )


def _literal(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "''")
