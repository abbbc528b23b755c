"""Keys and tags that are changing: from before the writer commits until it has said what became of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from actors.cache.messages import Publication


@dataclass(slots=True)
class _Changing:
    """One key or tag. ``latest`` is the newest state that a writer has published, ``certain`` whether every writer so
    far has said what became of its change."""

    writers: set[int] = field(default_factory=set)
    latest: Publication | None = None
    certain: bool = True


@dataclass(frozen=True, slots=True)
class _Transition:
    session: int
    names: tuple[str, ...]


class Transitions:
    """Which transitions are under way. While a key is in one, nobody is served it from a cache.

    The first commit of a transition is seen by readers of the database at once, and by readers of the cache when the
    transition ends; since no cache has the key meanwhile, no reader goes back in time.
    """

    def __init__(self) -> None:
        self._open: dict[tuple[int, int], _Transition] = {}
        self._changing: dict[str, _Changing] = {}
        self._next_writer = 0
        self._writers: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, name: str) -> bool:
        """Whether the key or tag is changing."""
        return name in self._changing

    def begin(self, session: int, transition: int, names: Iterable[str]) -> bool:
        """Note that a process is about to change these keys and tags; False where it is known already."""
        identity = (session, transition)
        if identity in self._open:
            return False
        self._next_writer += 1
        self._writers[identity] = self._next_writer
        self._open[identity] = opened = _Transition(session, tuple(dict.fromkeys(names)))
        for name in opened.names:
            self._changing.setdefault(name, _Changing()).writers.add(self._next_writer)
        return True

    def end(
        self, session: int, transition: int, published: Iterable[Publication], *, certain: bool = True
    ) -> list[Publication]:
        """Take what became of the change, and return the states that hold now: of keys that nobody changes any more.

        ``certain`` False: the writer does not know what was committed, so nothing that was published for these keys
        is believed.
        """
        identity = (session, transition)
        opened = self._open.pop(identity, None)
        if opened is None:
            return []
        writer = self._writers.pop(identity)
        states = {state.key: state for state in published}
        settled: list[Publication] = []
        for name in opened.names:
            changing = self._changing[name]
            changing.writers.discard(writer)
            state = states.get(name)
            if state is not None and (changing.latest is None or state.version > changing.latest.version):
                changing.latest = state
            changing.certain = changing.certain and certain and (state is None or state.version > 0)
            if not changing.writers:
                del self._changing[name]
                if changing.latest is not None and changing.certain:
                    settled.append(changing.latest)
        return settled

    def abandon(self, session: int) -> list[int]:
        """End the transitions of a process that is not believed any more: nobody knows what it committed."""
        left = [transition for owner, transition in self._open if owner == session]
        for transition in left:
            self.end(session, transition, (), certain=False)
        return left
