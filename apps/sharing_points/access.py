"""What handlers of this app share: who may call, what they read from, and asking for a signature."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from apps.sharing_points import refused
from apps.sharing_points.commands import Asked
from apps.sharing_points.projection import Order
from apps.sharing_points.views import Readers, may_see
from apps.site.context import holding, site_of
from apps.site.people import APPROVER, COMMUNITY_CLERK, RESIDENT, Person
from apps.site.signing import SigningRequest


def readers_of(request: Request) -> Readers:
    readers: Readers = request.app.state.points
    return readers


Resident = Annotated[Person, Depends(holding(RESIDENT))]
Clerk = Annotated[Person, Depends(holding(COMMUNITY_CLERK))]
Approver = Annotated[Person, Depends(holding(APPROVER))]
Staff = Annotated[Person, Depends(holding(COMMUNITY_CLERK | APPROVER))]
Anyone = Annotated[Person, Depends(holding(RESIDENT | COMMUNITY_CLERK))]
Reading = Annotated[Readers, Depends(readers_of)]


def ask(request: Request, person: Person, asked: Asked) -> SigningRequest:
    """Keep the calls as a signing request of this person; refused now if the contract would refuse them."""
    return site_of(request).begin_signing(request, person, asked.calls, asked.purpose, asked.next_url)


def order_for(readers: Readers, person: Person, order_id: str) -> Order:
    """An order this person may open. points.order_not_found, points.not_your_order."""
    order = readers.context.store.order(order_id)
    if order is None:
        raise refused.order_unknown()
    if not may_see(person, order):
        raise refused.not_your_order()
    return order


def resident_named(readers: Readers, person_id: str) -> Person:
    """The resident a member of staff chose. points.form_invalid."""
    found = readers.directory.person(person_id)
    if found is None or not found.holds(RESIDENT):
        raise refused.no_such_resident()
    return found
