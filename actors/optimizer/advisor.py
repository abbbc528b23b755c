"""Says which indexes a workload lacks. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator

from actors.optimizer.candidates import candidates, estimated_bytes, in_turns, without_prefixes
from actors.optimizer.catalog import IndexSpec
from actors.optimizer.hypothetical import Hypothetical
from actors.optimizer.measure import Subject
from actors.optimizer.policy import Policy
from actors.optimizer.report import Proposal
from actors.optimizer.survey import Survey

PARTIAL_SHARE = 0.25
"""What share of the rows a partial index is expected to hold where nothing is known."""
QUICK_MS = 0.2
"""A statement that takes less is quick enough."""
_HYPOTHETICAL_MAX = 24


def specs_for(subject: Subject, found: Survey) -> list[IndexSpec]:
    """Return the indexes that could serve a statement, the most promising first."""
    tables = found.catalog.tables
    return in_turns(candidates(use, tables[use.table]) for use in subject.shape.uses)


def worth_a_look(found: Survey, policy: Policy) -> Iterator[Subject]:
    """Yield the statements whose time matters, the costliest first."""
    for subject in found.subjects:
        times = found.measures[subject.query_id].times_ms
        if found.share(subject) >= policy.relevant_share and sum(times) / len(times) >= QUICK_MS:
            yield subject


def expected_bytes(spec: IndexSpec, found: Survey) -> int:
    """Return about how large an index will be."""
    return estimated_bytes(spec, found.catalog.tables[spec.table], PARTIAL_SHARE if spec.predicate else 1.0)


async def propose(found: Survey, policy: Policy, hypothetical: Hypothetical | None) -> list[Proposal]:
    """Return what is worth a trial, each with its reason; of two that serve the same the longer one.

    With HypoPG only what the planner would use, and for less cost; without it what the rules say, for statements that
    read much more of a table than they keep.
    """
    chosen: dict[IndexSpec, list[int]] = {}
    costs: dict[IndexSpec, tuple[float, float]] = {}
    for subject in worth_a_look(found, policy):
        specs = specs_for(subject, found)[:_HYPOTHETICAL_MAX]
        if hypothetical is None:
            picked = specs[:1] if _wastes(subject, found) else []
        else:
            before, _ = await hypothetical.cost(subject, ())
            picked = []
            for spec in specs:
                after, used = await hypothetical.cost(subject, [*picked, spec])
                if used and after <= before * (1 - policy.bounds.gain_min):
                    costs[spec] = (before, after)
                    picked = [each for each in (*picked, spec) if each in used]
                    before = after
        for spec in picked:
            chosen.setdefault(spec, []).append(subject.query_id)
    return [_proposal(spec, chosen, costs, found) for spec in without_prefixes(chosen)]


def _wastes(subject: Subject, found: Survey) -> bool:
    plan = found.measures[subject.query_id].plan
    return any(scan.rows_read > 2 * scan.rows_kept for scan in plan.scans) or plan.pages > 100


def _proposal(
    spec: IndexSpec, chosen: dict[IndexSpec, list[int]], costs: dict[IndexSpec, tuple[float, float]], found: Survey
) -> Proposal:
    served = {query_id for each, query_ids in chosen.items() if _serves(spec, each) for query_id in query_ids}
    before, after = costs.get(spec, (None, None))
    if before is not None and after is not None:
        why = f"the planner expects a cost of {after:,.0f} in place of {before:,.0f}"
    else:
        pages = max(found.measures[query_id].plan.pages for query_id in served)
        why = f"its statements read {pages:,} pages a call; not tried, for the server has no HypoPG"
    return Proposal(
        str(spec.table), spec.name, spec.ddl(), why, tuple(sorted(served)), expected_bytes(spec, found), before, after
    )


def _serves(longer: IndexSpec, shorter: IndexSpec) -> bool:
    return longer.table == shorter.table and longer.keys[: len(shorter.keys)] == shorter.keys
