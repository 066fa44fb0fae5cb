"""The pages of one agency. Reads come from `views` and `worklist`, every write goes through `commands` and
a person's signature."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from apps.community_correction.case_pages import add_case_pages
from apps.community_correction.document_pages import add_document_pages, add_document_steps
from apps.community_correction.list_pages import add_list_pages


def page_routes() -> APIRouter:
    """The router."""
    router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
    add_list_pages(router)
    add_document_pages(router)
    add_document_steps(router)
    add_case_pages(router)
    return router
