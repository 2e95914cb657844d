"""What it costs an order that PostgreSQL keeps the tenants apart: less than a tenth of its admission.

Both ways in the same run, in turn, so that whatever else the machine does falls on both. Compared are the quicker
quarters: what a busy machine adds falls on the slower ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from statistics import median, quantiles
from typing import Final

import pytest
from redis import Redis
from sqlalchemy import Engine

from shared.config import Settings
from shared.store.engine import create_engine
from shared.store.row_security import Role
from tests.support.front_door import parts_for
from tests.support.selling import Seller, a_seller
from tests.support.storefront import new_correlation

WARM: Final = 50
PAIRS: Final = 500
MOST: Final = 1.10


@pytest.fixture(scope="module")
def sellers(settings: Settings, engine: Engine, vault_url: str) -> Iterator[dict[str, Seller]]:
    """One tenant's front door, as the API is let in and as one to whom every row is shown."""
    known = settings.model_copy(update={"key_cache_s": 600.0})
    bound = create_engine(known, role=Role.API)
    with Redis.from_url(vault_url) as redis:
        parts = parts_for(known, engine, redis)
        seller = a_seller(parts)
        yield {"without": seller, "with": replace(seller, parts=replace(parts, engine=bound))}
        parts.doorbell.close()
    bound.dispose()


@pytest.mark.timeout(300)
def test_row_level_security_costs_less_than_a_tenth_of_admission(
    sellers: dict[str, Seller], say: Callable[[str], None]
) -> None:
    took: dict[str, list[float]] = {name: [] for name in sellers}
    offer = sellers["without"].offer(single_use=False)
    for number in range(WARM + PAIRS):
        for name in sorted(sellers, reverse=bool(number % 2)):
            document = sellers[name].request(offer=offer, correlationId=new_correlation())
            began = time.perf_counter()
            answer = sellers[name].post(document)
            took[name].append(time.perf_counter() - began)
            assert answer.status_code == 202, answer.text

    ms = {name: [1000 * second for second in seconds[WARM:]] for name, seconds in took.items()}
    quick = {name: quantiles(values, n=4)[0] for name, values in ms.items()}
    ratio = quick["with"] / quick["without"]
    say(
        f"row-level security: an order takes {ratio:.3f} times as long ({quick['with']:.2f} ms instead of"
        f" {quick['without']:.2f}; by the median {median(ms['with']) / median(ms['without']):.3f} times)"
    )
    assert ratio < MOST
