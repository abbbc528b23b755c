"""A control store that dies is started again, and nothing else is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ray._private.ray_constants import PROCESS_TYPE_GCS_SERVER, PROCESS_TYPE_RAYLET

from cluster.control_store import ControlStoreKeeper, Deaths


class _Node(SimpleNamespace):
    """What the keeper touches of Ray's node."""

    def __init__(self) -> None:
        super().__init__(all_processes={PROCESS_TYPE_GCS_SERVER: ["dead"]}, _gcs_address="a", _gcs_client=object())
        self.starts = 0

    def start_gcs_server(self) -> None:
        """Start as Ray does: not over one that it believes to be there."""
        assert self._gcs_address is None
        assert self._gcs_client is None
        assert PROCESS_TYPE_GCS_SERVER not in self.all_processes
        self.all_processes[PROCESS_TYPE_GCS_SERVER] = ["new"]
        self.starts += 1


def _dead(node: Any, *kinds: str, most: int = 3) -> list[Any]:
    keeper = ControlStoreKeeper(lambda _: [(kind, None) for kind in kinds], Deaths(most))
    return [kind for kind, _ in keeper.dead_processes(node)]


def test_the_control_store_is_started_again() -> None:
    """Ray does not hear of its death, and so does not end itself."""
    node = _Node()
    assert _dead(node, PROCESS_TYPE_GCS_SERVER) == []
    assert node.starts == 1


def test_any_other_death_is_told() -> None:
    """A node manager that died takes its workers with it: Ray is to end."""
    node = _Node()
    assert _dead(node, PROCESS_TYPE_RAYLET) == [PROCESS_TYPE_RAYLET]
    assert node.starts == 0


def test_a_head_that_is_stopped_stays_so() -> None:
    """`ray stop` ends its node manager and then its control store, which nobody is to start again."""
    node = _Node()
    both = [PROCESS_TYPE_GCS_SERVER, PROCESS_TYPE_RAYLET]
    assert _dead(node, *both) == both
    assert node.starts == 0


def test_one_that_cannot_live_ends_ray() -> None:
    """A store that is damaged would be started for ever."""
    node = _Node()
    assert _dead(node, PROCESS_TYPE_GCS_SERVER, most=1) == [PROCESS_TYPE_GCS_SERVER]
    assert node.starts == 0


def test_deaths_of_long_ago_do_not_count() -> None:
    """Only those within the time do."""
    deaths = Deaths(most=3, within_s=60)
    assert [deaths.may_come_back(now) for now in (0, 1, 2, 3, 100)] == [True, True, False, False, True]
