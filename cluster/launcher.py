"""Start a gateway on this machine and keep it running: PostgreSQL, Redis, Ray's head, and the gateway on them.

No driver of Ray is in this process: it starts, watches and ends others, and outlives each of them.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from cluster import ray_head
from cluster.bootstrapping import DEFAULT_COMMAND, Bootstrap
from cluster.data_dir import DataDir, DataDirError
from cluster.embedded.account import NoAccount, open_way, servers_account
from cluster.embedded.postgres import EmbeddedPostgres
from cluster.embedded.postgres_roles import Role
from cluster.embedded.redis import EmbeddedRedis
from cluster.instance import end_marked, marks
from cluster.ports import NoFreePort, PortBook, is_free
from cluster.private_file import write_private
from cluster.processes import Account, Child, Processes
from cluster.ray_head import RayHead, RayPorts, choose_ingress_ports
from cluster.reports import Failed, Notice, PipeReporter, Ready, Report, Reporter, StepDone, StepStarted
from cluster.settings import Settings, SettingsError, read_environment
