"""Values that must turn up nowhere, and the places where that is looked at."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

from cluster.data_dir import DataDir
from cluster.instance import marked_processes
from tests.e2e.gateway import RunningGateway
from tests.support.otlp_receiver import OtlpReceiver

_STATE = ("actors", "tasks", "workers", "nodes", "jobs", "objects", "placement_groups", "runtime_envs")
_LEAST_LENGTH = 8


def card_number() -> str:
    """Return a new number that passes the Luhn check."""
    digits = "4" + "".join(secrets.choice("0123456789") for _ in range(14))
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[::2])
    total = doubled + sum(int(digit) for digit in digits[1::2])
    return digits + str(-total % 10)


class Canaries:
    """Marked values by what they stand for."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def word(self, name: str) -> str:
        """Return a new word for something that is nobody else's business."""
        return self.keep(name, f"canary{secrets.token_hex(8)}")

    def card(self, name: str) -> str:
        """Return a new card number."""
        return self.keep(f"card number in {name}", card_number())

    def keep(self, name: str, value: str) -> str:
        """Look for a value that was made elsewhere, such as a key."""
        assert len(value) >= _LEAST_LENGTH, f"{name} is too short to be looked for"
        self.values[name] = value
        return value

    def found_in(self, places: Mapping[str, bytes]) -> list[str]:
        """Return each value that is in a place, as it is or in base64, by name and place; not the value."""
        return [
            f"{name}: {place}"
            for place, content in places.items()
            for name, value in self.values.items()
            if any(form in content for form in _forms(value))
        ]


def _forms(value: str) -> tuple[bytes, ...]:
    plain = value.encode()
    return plain, base64.b64encode(plain).rstrip(b"=")[:-1]


def written(gateway: RunningGateway, collector: OtlpReceiver) -> dict[str, bytes]:
    """Return everything that a running gateway has written or shows, by where: logs of all its processes, Ray's
    session and state, what is scraped, the processes as they are listed, and the traces."""
    return {
        **dict(_files(gateway.data_dir)),
        **dict(_ray_state(gateway)),
        "/metrics": _metrics(gateway),
        "processes": _processes(gateway.data_dir),
        **{f"trace {number}": body for number, body in enumerate(collector.bodies)},
    }


def gateway_secrets(data_dir: Path) -> dict[str, str]:
    """Return the secrets of a gateway by name: of its settings, of its database, and Ray's token."""
    data = DataDir(data_dir)
    settings: dict[str, Any] = json.loads(data.settings_file.read_text(encoding="utf-8"))
    names = ("api_key_pepper", "sealing_key", "otel_exporter_otlp_headers", "processor_callback_secret")
    found = {name: settings[name] for name in names if settings.get(name)}
    found["ray token"] = data.ray_token_file.read_text(encoding="utf-8").strip()
    for name in ("database_url", "database_owner_url", "redis_url"):
        password = httpx.URL(settings[name]).password if settings.get(name) else ""
        if password:
            found[f"password of {name}"] = password
    return found


def database_url(data_dir: Path) -> str:
    """Return the URL of the role that a gateway's own processes have."""
    settings: dict[str, Any] = json.loads(DataDir(data_dir).settings_file.read_text(encoding="utf-8"))
    return str(settings["database_url"])


def _files(data_dir: Path) -> Iterator[tuple[str, bytes]]:
    data = DataDir(data_dir)
    # HAProxy writes beside its socket, which can lie elsewhere: what processes have as their outputs tells where.
    found = {path for path in _outputs(data_dir) if path.is_file()}
    for folder in (data.logs, data.short_folder("ray", below=70)):
        found |= {path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()}
    for path in sorted(found):
        # Ray removes logs of processes that have ended.
        with suppress(FileNotFoundError):
            yield str(path), path.read_bytes()


def _outputs(data_dir: Path) -> Iterator[Path]:
    for process in marked_processes(DataDir(data_dir).instance):
        for descriptor in (1, 2):
            with suppress(OSError):
                yield Path(f"/proc/{process.pid}/fd/{descriptor}").readlink()


def _ray_state(gateway: RunningGateway) -> Iterator[tuple[str, bytes]]:
    token = DataDir(gateway.data_dir).ray_token_file.read_text(encoding="utf-8").strip()
    paths = [f"/api/v0/{kind}?detail=true&limit=10000" for kind in _STATE]
    paths += ["/api/serve/applications/", "/api/jobs/", "/nodes?view=summary", "/logical/actors"]
    with httpx.Client(
        base_url=gateway.facts["dashboard_url"], headers={"Authorization": f"Bearer {token}"}, timeout=60
    ) as client:
        for path in paths:
            answer = client.get(path)
            assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:300]}"
            yield f"Ray {path}", answer.content


def _metrics(gateway: RunningGateway) -> bytes:
    headers = {"Authorization": f"Bearer {gateway.facts['admin_key']}"}
    answer = httpx.get(f"{gateway.url}/metrics", headers=headers, timeout=30)
    assert answer.status_code == 200
    return answer.content


def _processes(data_dir: Path) -> bytes:
    lines = []
    for process in marked_processes(DataDir(data_dir).instance):
        with suppress(psutil.Error):
            lines.append(" ".join(process.cmdline()))
    return "\n".join(lines).encode()
