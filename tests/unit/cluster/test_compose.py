"""The containers, as far as that can be told without an engine: every name in their files stands for something."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.data_dir import DATA_DIR_VARIABLE
from cluster.settings import Settings

_ROOT = Path(__file__).parents[3]
_FILE = _ROOT / "cluster" / "compose.yaml"
_DOCKERFILE = _ROOT / "cluster" / "Dockerfile"
# Those that Compose's specification names and that are used here.
_OF_A_SERVICE = {
    "build", "cap_drop", "command", "depends_on", "entrypoint", "env_file", "environment", "healthcheck", "image",
    "network_mode", "ports", "restart", "secrets", "security_opt", "shm_size", "stop_grace_period", "ulimits", "user",
    "volumes",
}  # fmt: skip


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """Read the file."""
    loaded: dict[str, Any] = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return loaded


def _mounts(service: dict[str, Any]) -> list[dict[str, str]]:
    """Return the mounts of a service in the long form."""
    found = []
    for volume in service.get("volumes", ()):
        if isinstance(volume, str):
            source, target, *_ = volume.split(":")
            volume = {"source": source, "target": target, "type": "bind" if source[0] in "./" else "volume"}
        found.append(volume)
    return found


def _instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile with their arguments, each on one line."""
    text = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", _DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE))
    lines = [line.partition(" ") for line in text.splitlines() if line.strip()]
    return [(word, rest) for word, _, rest in lines]


def test_there_is_what_a_gateway_needs_and_what_watches_it(compose: dict[str, Any]) -> None:
    """Each from an image of a stated version, or from the Dockerfile; and only fields that Compose knows."""
    assert compose.keys() == {"name", "services", "volumes", "secrets"}
    assert {"gateway", "postgres", "redis", "prometheus", "grafana"} <= compose["services"].keys()
    for name, service in compose["services"].items():
        assert service.keys() <= _OF_A_SERVICE, name
        assert "build" in service or re.search(r":v?\d", service["image"]), name
        assert ":latest" not in service["image"]


def test_every_path_is_there(compose: dict[str, Any]) -> None:
    """What is mounted from the checkout, built from it and copied into the image."""
    for name, service in compose["services"].items():
        for mount in _mounts(service):
            if mount["type"] == "bind":
                assert (_FILE.parent / mount["source"]).exists(), (name, mount)
    build = compose["services"]["gateway"]["build"]
    context = (_FILE.parent / build["context"]).resolve()
    assert context == _ROOT
    assert context / build["dockerfile"] == _DOCKERFILE
    for word, arguments in _instructions():
        if word == "COPY" and not arguments.startswith("--from"):
            assert all((_ROOT / source).exists() for source in arguments.split()[:-1]), arguments


def test_every_volume_and_secret_is_declared_and_used(compose: dict[str, Any]) -> None:
    """A misspelt one would be an empty folder."""
    services = compose["services"].values()
    used = {mount["source"] for service in services for mount in _mounts(service) if mount["type"] == "volume"}
    assert used == compose["volumes"].keys()
    assert {name for service in services for name in service.get("secrets", ())} == compose["secrets"].keys()


def test_every_setting_of_the_gateway_exists(compose: dict[str, Any]) -> None:
    """In the file, in the image, and in the words about the file of secrets."""
    known = {name.upper() for name in Settings.model_fields} | {DATA_DIR_VARIABLE}
    assert compose["services"]["gateway"]["environment"].keys() <= known
    (line,) = [arguments for word, arguments in _instructions() if word == "ENV"]
    assert {part.partition("=")[0] for part in line.split()} - known == {"PATH", "PYTHONUNBUFFERED"}
    named = set(re.findall(r"^#   ([A-Z_]+)=", _FILE.read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert named == {"DATABASE_URL", "REDIS_URL", "API_KEY_PEPPER", "SEALING_KEY"}
    assert named <= known


def test_no_secret_is_in_the_file_or_in_the_image(compose: dict[str, Any]) -> None:
    """Passwords come from files that are not tracked and not in the image's context."""
    for name, service in compose["services"].items():
        for variable, value in service.get("environment", {}).items():
            secret = re.search("PASSWORD|SECRET|KEY|PEPPER|TOKEN", variable)
            assert not secret or str(value).startswith("/run/secrets/"), (name, variable)
    for secret in compose["secrets"].values():
        assert Path(secret["file"]).parts[0] == "secrets"
    ignored = (_ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n")
    # Everything is left out but what is named, and the secrets lie in a folder that would be named.
    assert ignored[1] == "*"
    assert "cluster/secrets" in ignored
    checked = subprocess.run(["git", "check-ignore", "-q", "cluster/secrets/gateway.env"], cwd=_ROOT, check=False)
    assert checked.returncode == 0


def test_nothing_is_reached_from_outside_the_machine(compose: dict[str, Any]) -> None:
    """Every port that is published is published on loopback: nothing here ends TLS."""
    ports = [port for service in compose["services"].values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_gateway_is_no_root_and_prometheus_may_read_its_key(compose: dict[str, Any]) -> None:
    """They are one user, and the volume's folders are the ones that the configuration reads."""
    instructions = _instructions()
    assert ("USER", "easypay") in instructions
    uid = re.search(r"useradd --uid (\d+)", " ".join(arguments for _, arguments in instructions))
    assert uid is not None
    prometheus = compose["services"]["prometheus"]
    assert prometheus["user"] == f"{uid[1]}:{uid[1]}"
    folder = Path(prometheus["command"][0].partition("=")[2]).parent
    text = (_ROOT / "cluster/dashboards/prometheus/prometheus.yaml").read_text(encoding="utf-8")
    targets = {mount["target"] for mount in _mounts(prometheus)}
    for path in ("secrets/admin_key", "targets/ray/*.json"):
        assert path in text
        assert str((folder / path).parent) in targets
    assert {str(folder / "rules"), str(folder / "targets/gateway.yaml")} <= targets


def test_the_statement_of_each_instruction_is_known() -> None:
    """No misspelt instruction, and two stages: what builds stays out of what runs."""
    words = [word for word, _ in _instructions()]
    assert set(words) <= {
        "FROM", "RUN", "WORKDIR", "COPY", "ENV", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "STOPSIGNAL", "ENTRYPOINT",
        "CMD",
    }  # fmt: skip
    assert words.count("FROM") == 2


def test_the_health_check_is_a_module_of_ours() -> None:
    """One that is in the image, and asks for no more than whether payments are taken."""
    ((_, check),) = [each for each in _instructions() if each[0] == "HEALTHCHECK"]
    assert check.endswith('CMD ["python", "-m", "cluster.health"]')
    assert (_ROOT / "cluster" / "health.py").is_file()
