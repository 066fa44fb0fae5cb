"""One way of showing trouble: a page that says what happened and what to do next, or the same as JSON for
programs."""

from __future__ import annotations

import secrets
import traceback
from pathlib import Path

import structlog
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from apps.node_client import NodeError
from apps.site.context import Site, wants_json
from apps.site.errors import SiteError, not_found
from apps.site.refusals import ContractErrors
from apps.site.text import Text
from node.chain.errors import ShelianError


def add_error_handlers(site: Site, errors: ContractErrors) -> None:
    """Install the handlers; the one for unforeseen errors is called by the guard, because Starlette would
    log their text."""
    log = structlog.get_logger(site.config.name)

    def show(request: Request, error: SiteError) -> Response:
        if wants_json(request):
            return JSONResponse(error.as_dict(), status_code=error.status)
        if error.code == "site.sign_in_first" and request.method == "GET":
            return RedirectResponse("/login", status_code=303)
        return site.page(request, "site/error.html", status=error.status, error=error)

    def site_error(request: Request, error: Exception) -> Response:
        if isinstance(error, SiteError):
            return show(request, error)
        if isinstance(error, NodeError):
            return show(request, errors.explain_node_error(error))
        if isinstance(error, ShelianError):
            text = Text(f"没有办成：{error.message}", f"This did not work: {error.message}")
            next_step = Text("请按提示更正后再试。", "Correct it as said and try again.")
            return show(
                request,
                SiteError(error.code, text, next_step, status=422, got=error.got, expected=error.expected),
            )
        raise error

    def http_error(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException) and error.status_code == 404:
            return show(request, not_found(Text("此页", "This page")))
        status = error.status_code if isinstance(error, HTTPException) else 500
        text = Text("请求没有被接受。", "The request was not accepted.")
        return show(request, SiteError("site.http", text, Text("请返回上一页。", "Go back."), status=status))

    def invalid(request: Request, error: Exception) -> Response:
        places = (
            [".".join(str(part) for part in item["loc"][1:]) for item in error.errors()]
            if isinstance(error, RequestValidationError)
            else []
        )
        text = Text("有的内容没有填或填得不对。", "Something is missing or wrong in what was filled in.")
        next_step = Text(f"请检查：{'、'.join(places)}。", f"Check: {', '.join(places)}.")
        return show(request, SiteError("site.invalid_input", text, next_step, status=422, got=places))

    def crashed(request: Request, error: Exception) -> Response:
        # The message of an unforeseen error may hold anything, a person's data too: only its kind and place
        # are logged.
        mark = secrets.token_hex(4)
        frames = traceback.extract_tb(error.__traceback__)[-6:]
        places = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
        log.error("unforeseen error", mark=mark, kind=type(error).__name__, places=places)
        text = Text(f"系统出错（标记 {mark}）。", f"Something broke (mark {mark}).")
        next_step = Text(
            "请稍后再试，并把此标记告诉运维人员。", "Try again later and tell the operator this mark."
        )
        return show(request, SiteError("site.internal", text, next_step, status=500, got=mark))

    site.app.add_exception_handler(ShelianError, site_error)
    site.app.add_exception_handler(HTTPException, http_error)
    site.app.add_exception_handler(RequestValidationError, invalid)
    site.app.state.crashed = crashed
