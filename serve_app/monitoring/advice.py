"""What should be changed, why, and what it would bring: by rules, from the figures of a minute.

A piece of advice names the setting that it is about. It is given when what it goes by has lasted for half a minute, and
it is never acted upon: that is for operators to decide.
"""

from __future__ import annotations

import math

from actors.monitor.advice import Advice, AdviceRule, Condition
from actors.monitor.measures import Measure, Quantile, Ratio, Share, Value, select
from serve_app.attempts.meter import Stage
from serve_app.monitoring.figures import DURATIONS, HIT_RATIO, PUSHED_OUT, STATEMENTS
from serve_app.monitoring.names import HTTP_REQUESTS, STAGE_DURATION, UTILISATION


def _used(resource: str) -> Measure:
    return Value(select(UTILISATION, resource=resource))


def _share(stage: Stage) -> Measure:
    return Share(select(STAGE_DURATION, stage=stage.value), DURATIONS)


def more_connections(values: tuple[float, ...]) -> Advice:
    """Advise on a pool whose callers wait while it is in use."""
    share, used = values
    return Advice(
        "lend more connections to the database",
        f"requests spend {share:.0%} of their time waiting for a connection, and {used:.0%} of them are in use",
        f"up to {share:.0%} less time for each request, as long as the server has processors to spare",
        "DATABASE_POOL_SIZE",
    )


def fewer_waits_for_statements(values: tuple[float, ...]) -> Advice:
    """Advise on a pool whose callers wait though statements are what is slow."""
    share, seconds = values
    return Advice(
        "look at the slowest statements before lending more connections",
        f"requests spend {share:.0%} of their time waiting for a connection, and one statement in twenty takes longer"
        f" than {seconds * 1000:.0f} ms",
        "connections come free sooner: half the time of a statement is half the connections that are needed",
    )


def larger_cache(values: tuple[float, ...]) -> Advice:
    """Advise on a cache that misses, and has no room for what is read."""
    hits, pushed_out = values
    return Advice(
        "give the shards of the cache more memory, or add shards",
        f"{1 - hits:.0%} of reads miss, and for a hundred reads {100 * pushed_out:.0f} values go for want of room",
        f"up to {1 - hits:.0%} fewer reads of the database",
        "CACHE_SHARD_BYTES",
    )


def more_replicas(values: tuple[float, ...]) -> Advice:
    """Advise on requests that wait for their turn while processors are idle."""
    share, cpu = values
    return Advice(
        "run more replicas of the gateway, or allow more requests to be worked on at once",
        f"requests spend {share:.0%} of their time waiting for their turn, and processors are busy to {cpu:.0%}",
        f"up to {share:.0%} less time for each request",
        "HTTP_REPLICAS",
    )


def more_machines(values: tuple[float, ...]) -> Advice:
    """Advise on machines that have nothing left."""
    cpu, waits = values
    more = math.ceil(cpu / _CPU_GOAL * 10) / 10
    return Advice(
        "add machines, or larger ones",
        f"processors are busy to {cpu:.0%}, and requests spend {waits:.0%} of their time waiting for their turn",
        f"{more:.1f} times the processors would bring them down to {_CPU_GOAL:.0%}",
    )


def less_memory(values: tuple[float, ...]) -> Advice:
    """Advise on a machine that is nearly out of memory."""
    return Advice(
        "let each process keep less near, or use machines with more memory",
        f"the machine's memory is used to {values[0]:.0%}: past all of it the kernel ends a process",
        "room for a burst; what is not near is at the shards, a millisecond away",
        "NEAR_CACHE_BYTES",
    )


def more_workers(values: tuple[float, ...]) -> Advice:
    """Advise on tasks that have no room."""
    return Advice(
        "run more task workers",
        f"the workers' room for tasks is used to {values[0]:.0%}: webhooks wait for what is running",
        "tasks start when they are due",
        "TASK_WORKERS",
    )


def higher_limit(values: tuple[float, ...]) -> Advice:
    """Advise on a limit that refuses many."""
    return Advice(
        "see which merchant is limited, and raise that limit if the traffic is meant",
        f"{values[0]:.0%} of requests are refused by a rate limit",
        "they would be served; what is refused comes again, and costs twice",
        "RATE_LIMIT_PER_MINUTE",
    )


_ADMISSION_SHARE = 0.2
_POOL_SHARE = 0.1
_CPU_HIGH, _CPU_GOAL = 0.9, 0.7

RULES = (
    AdviceRule(
        "pool", (Condition(_share(Stage.POOL), _POOL_SHARE), Condition(_used("pool"), 0.7)), more_connections
    ),
    AdviceRule(
        "statements",
        (Condition(_share(Stage.POOL), _POOL_SHARE), Condition(Quantile(STATEMENTS, 0.95), 0.1)),
        fewer_waits_for_statements,
    ),
    AdviceRule(
        "cache", (Condition(HIT_RATIO, 0.8, above=False), Condition(PUSHED_OUT, 0.1)), larger_cache
    ),
    AdviceRule(
        "admission",
        (Condition(_share(Stage.ADMISSION), _ADMISSION_SHARE), Condition(_used("cpu"), _CPU_HIGH, above=False)),
        more_replicas,
    ),
    AdviceRule(
        "machines", (Condition(_used("cpu"), _CPU_HIGH), Condition(_share(Stage.ADMISSION), 0.05)), more_machines
    ),
    AdviceRule("memory", (Condition(_used("memory"), 0.9),), less_memory),
    AdviceRule("workers", (Condition(_used("tasks"), 0.8),), more_workers),
    AdviceRule(
        "limits",
        (Condition(Ratio(select(HTTP_REQUESTS, status="429"), select(HTTP_REQUESTS), at_least=100), 0.05),),
        higher_limit,
    ),
)  # fmt: skip
