"""What processes tell shards of their reads: everything once, whatever is lost, repeated or late on the way."""

from __future__ import annotations

import pickle

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from actors.cache.counts import Account, ModelMetrics, Report, Reporter, Untold, summed
from actors.runtime.tallies import Series

_SHARDS = st.sampled_from(["a", "b", "c"])
_MODELS = st.sampled_from(["payment", "refund"])


class _Process:
    def __init__(self, name: str) -> None:
        self.name = name
        self.counts: dict[str, ModelMetrics] = {}
        self.tallies: dict[Series, float] = {}
        untold = Untold(self.counts, lambda: self.tallies)
        self.reporters = {shard: Reporter(untold) for shard in ("a", "b", "c")}


class Telling(RuleBasedStateMachine):
    """Two processes and three shards. A message arrives, perhaps again later, or is lost; so is its answer."""

    @initialize()
    def start(self) -> None:
        self.processes = [_Process("1"), _Process("2")]
        self.accounts = {shard: Account() for shard in ("a", "b", "c")}
        self.sent: list[tuple[str, str, Report]] = []

    @rule(process=st.integers(0, 1), model=_MODELS, count=st.integers(1, 5), took=st.integers(0, 5))
    def count(self, process: int, model: str, count: int, took: int) -> None:
        """Something happens."""
        metrics = self.processes[process].counts.setdefault(model, ModelMetrics())
        metrics.near_hits += count
        metrics.bypasses["away"] = metrics.bypasses.get("away", 0) + count
        metrics.shard_s.record(took / 8, count)
        tallies = self.processes[process].tallies
        tallies[Series(model, ())] = tallies.get(Series(model, ()), 0) + count

    @rule(process=st.integers(0, 1), shard=_SHARDS, arrives=st.booleans(), is_answered=st.booleans())
    def tell(self, process: int, shard: str, arrives: bool, is_answered: bool) -> None:
        """A listen comes to its end."""
        teller = self.processes[process]
        report = teller.reporters[shard].report()
        if report is None:
            return
        sent = (shard, teller.name, pickle.loads(pickle.dumps(report)))
        self.sent.append(sent)
        if arrives:
            self._arrive(*sent)
            if is_answered:
                teller.reporters[shard].heard()

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """A message that was sent at any time arrives, again or at last."""
        self._arrive(*data.draw(st.sampled_from(self.sent)))

    @invariant()
    def nothing_is_counted_twice(self) -> None:
        """An account has at most what happened."""
        told = summed(account.metrics for account in self.accounts.values())
        happened = summed(process.counts for process in self.processes)
        for model, metrics in told.items():
            assert metrics.near_hits <= happened[model].near_hits
            assert metrics.shard_s.count == metrics.near_hits == metrics.bypasses["away"]
            assert metrics.near_hits == sum(
                account.tallies.get(Series(model, ()), 0) for account in self.accounts.values()
            )

    def teardown(self) -> None:
        """In the end everything has been told."""
        if not hasattr(self, "processes"):
            return
        for process in self.processes:
            for shard, reporter in process.reporters.items():
                while (report := reporter.report()) is not None:
                    self._arrive(shard, process.name, report)
                    reporter.heard()
        assert summed(account.metrics for account in self.accounts.values()) == summed(
            process.counts for process in self.processes
        )

    def _arrive(self, shard: str, owner: str, report: Report) -> None:
        before = summed([self.accounts[shard].metrics])
        self.accounts[shard].take(owner, report)
        for model, metrics in before.items():
            assert self.accounts[shard].metrics[model].near_hits >= metrics.near_hits, "an account fell"


TestTelling = Telling.TestCase
TestTelling.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
