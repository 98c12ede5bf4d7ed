"""Erasing, pruning and the audit trail over HTTP, for admins."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.routing import Route

from otel_replay.query.erasing import Erasing
from otel_replay.receiver.http import caller_of
from otel_replay.web.access import answering


class PrivacyRoutes:
    def __init__(self, desk: Erasing) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        served = [
            ("DELETE", "/api/v1/sessions/{id:any}", self._erase_session),
            ("DELETE", "/api/v1/traces/{id}", self._erase_trace),
            ("POST", "/api/v1/erase", self._erase),
            ("POST", "/api/v1/prune", self._prune),
            ("GET", "/api/v1/audit", self._audit),
        ]
        return [Route(path, answering(call), methods=[method]) for method, path, call in served]

    def _erase_session(self, request: Request, _given: dict[str, Any]) -> dict[str, Any]:
        return self._erase(request, {"kind": "session", "id": request.path_params["id"]})

    def _erase_trace(self, request: Request, _given: dict[str, Any]) -> dict[str, Any]:
        return self._erase(request, {"kind": "trace", "id": request.path_params["id"]})

    def _erase(self, request: Request, given: dict[str, Any]) -> dict[str, Any]:
        return self._desk.erase(caller_of(request.scope), given)

    def _prune(self, request: Request, given: dict[str, Any]) -> dict[str, Any]:
        return self._desk.prune(caller_of(request.scope), given)

    def _audit(self, request: Request, _given: dict[str, Any]) -> dict[str, Any]:
        return self._desk.audit(caller_of(request.scope), request.query_params)
