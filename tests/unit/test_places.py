"""However many places one tenant would take, others find some, and one alone may use most of them."""

from __future__ import annotations

import uuid

from api.places import Places
from api.waiting import MOST

PROMISED = 10_000
"""Who may wait in one process, be they all of one tenant."""


def fill(places: Places, tenant_id: uuid.UUID) -> int:
    """Let *tenant_id* take as many as it may; how many that were."""
    taken = 0
    while True:
        places.take(tenant_id)
        if not places.suffice_for(tenant_id):
            places.give_back(tenant_id)
            return taken
        taken += 1


def test_one_tenant_alone_may_have_three_quarters_and_the_next_as_much_of_the_rest() -> None:
    places, tenants = Places(MOST), [uuid.uuid4() for _ in range(4)]
    assert [fill(places, tenant) for tenant in tenants] == [11_250, 2_812, 703, 176]
    assert MOST * 3 // 4 >= PROMISED


def test_it_takes_seven_tenants_to_leave_an_eighth_without_a_place() -> None:
    places = Places(MOST)
    for _ in range(6):
        fill(places, uuid.uuid4())
    assert fill(places, uuid.uuid4()) > 0
    assert fill(places, uuid.uuid4()) == 0


def test_tenants_that_come_and_go_get_the_same_however_much_one_had_before() -> None:
    places, greedy, other = Places(1_000), uuid.uuid4(), uuid.uuid4()
    had = {greedy: fill(places, greedy), other: fill(places, other)}
    for _ in range(2_000):
        for tenant in had:
            places.give_back(tenant)
            had[tenant] += fill(places, tenant) - 1
    assert abs(had[greedy] - had[other]) <= 3
    assert sum(had.values()) >= 850, "six sevenths"


def test_a_place_that_is_given_back_is_there_for_anybody() -> None:
    places, one, other = Places(8), uuid.uuid4(), uuid.uuid4()
    assert fill(places, one) == 6
    for _ in range(6):
        places.give_back(one)
    assert fill(places, other) == 6
