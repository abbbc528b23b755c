"""The audit trail over HTTP."""

from __future__ import annotations

from collections.abc import Sequence

from serve_app.admission.work import Work
from serve_app.audit.repository import AuditRepository
from serve_app.audit.schemas import AuditPage, ListAuditEntries
from serve_app.domain.ids import Prefix
from serve_app.http.operation import Call, Operation
from serve_app.http.parameters import page_start
from serve_app.http.response import Response, json_response
from serve_app.merchants.secrets import Scope


class AuditEndpoints:
    """Shows merchants who did what."""

    def __init__(self, audit: AuditRepository) -> None:
        self._audit = audit

    def operations(self) -> Sequence[Operation]:
        """Return the operations of this slice."""
        return (
            Operation(
                "GET", "/v1/audit_log", self.page, "See who did what", "Audit", Scope.AUDIT.value,
                query=ListAuditEntries, answers={200: AuditPage}, work=Work.LISTING,
            ),
        )  # fmt: skip

    async def page(self, call: Call) -> Response:
        """List audit entries."""
        query, caller = call.query_as(ListAuditEntries), call.known_caller
        page = await self._audit.page(
            caller.merchant_id,
            caller.livemode,
            before=page_start(query.starting_after, Prefix.AUDIT),
            subject=query.object_id,
            limit=query.limit,
        )
        return json_response(200, page)
