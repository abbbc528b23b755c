"""The dashboards, one a file, in the order in which one looks at them."""

from cluster.dashboards.boards import cache, database, errors, overview, payments, resources, tasks

BOARDS = (
    overview.BOARD,
    payments.BOARD,
    cache.BOARD,
    database.BOARD,
    resources.BOARD,
    errors.BOARD,
    tasks.BOARD,
)

__all__ = ["BOARDS"]
