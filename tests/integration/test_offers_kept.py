"""How offers and catalogues are kept, on a real PostgreSQL: whole, immutable, by the database's clock."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from shared.domain.catalogue import Catalogue, Context
from shared.domain.offers import CartLine, Offer, Presentation
from shared.domain.selection import select
from shared.store import catalogue, customers, offers, tenants
from shared.store.catalogue_documents import MODEL_OF, CatalogueDocument
from shared.store.offer_wire import to_wire
from shared.store.tenants import Tenant, TenantSettings
from tests.support.catalogue import a_bundle, a_promotion, an_offer, bundle_line, promotion_line


@pytest.fixture
def tenant_id(engine: Engine) -> uuid.UUID:
    """A tenant of this test's own."""
    tenant = Tenant(uuid.uuid4(), "A shop", TenantSettings())
    with engine.begin() as conn:
        tenants.save(conn, tenant)
    return tenant.tenant_id


def kept(engine: Engine, tenant_id: uuid.UUID, *, valid_until: datetime | None = None, **replaced: Any) -> Offer | None:
    """An offer resolved with a promotion that ends at *valid_until*."""
    resolved = select(
        Catalogue((a_bundle(),), (a_promotion(valid_until=valid_until),)), Context(promotion_code="CMP1WKWAFY")
    )
    values: dict[str, Any] = {"customer_urn": "cu.00.482", "single_use": True, "life_s": 900} | replaced
    with engine.begin() as conn:
        return offers.keep_resolved(conn, tenant_id, resolved, Presentation.PURCHASE, **values)


def database_now(engine: Engine) -> datetime:
    """What time it is for the database."""
    with engine.begin() as conn:
        now: datetime = conn.execute(text("SELECT clock_timestamp()")).scalar_one()
    return now


def test_a_kept_offer_comes_back_as_it_was_answered(engine: Engine, tenant_id: uuid.UUID) -> None:
    offer = kept(engine, tenant_id)
    assert offer is not None

    with engine.begin() as conn:
        assert offers.get(conn, tenant_id, offer.offer_identifier) == offer
        row = conn.execute(
            text("SELECT * FROM offers WHERE offer_identifier = :id"), {"id": offer.offer_identifier}
        ).one()
    assert row.snapshot == to_wire(offer)
    assert row.expires_at == offer.expires_at
    assert row.lines == {"it.00.42": 10, "it.00.42>it.00.42.seat": 50}
    assert row.installments == {"in.00.42.3": "it.00.42"}
    assert (row.customer_urn, row.purchasable, row.single_use, row.currency) == ("cu.00.482", True, True, "EUR")


def test_an_offers_life_is_counted_by_the_databases_clock(engine: Engine, tenant_id: uuid.UUID) -> None:
    before = database_now(engine)
    offer = kept(engine, tenant_id, life_s=60)
    after = database_now(engine)

    assert offer is not None
    millisecond = timedelta(milliseconds=1)
    assert before - millisecond <= offer.expires_at - timedelta(seconds=60) <= after


def test_no_two_offers_share_an_identifier_or_let_it_be_guessed(engine: Engine, tenant_id: uuid.UUID) -> None:
    identifiers = {offers.new_identifier(Presentation.PURCHASE) for _ in range(1_000)}

    assert len(identifiers) == 1_000
    assert all(len(identifier) == len("of_") + 22 for identifier in identifiers)  # 128 bits.


def test_a_promotion_that_is_over_keeps_nothing(engine: Engine, tenant_id: uuid.UUID) -> None:
    now = datetime.now(UTC)

    assert kept(engine, tenant_id, valid_until=now - timedelta(minutes=1), customer_urn=None) is None
    assert kept(engine, tenant_id, valid_until=now + timedelta(minutes=1), customer_urn=None) is not None
    with engine.begin() as conn:
        count = conn.execute(text("SELECT count(*) FROM offers WHERE tenant_id = :t"), {"t": tenant_id}).scalar_one()
    assert count == 1


def test_who_was_offered_something_is_a_customer(engine: Engine, tenant_id: uuid.UUID) -> None:
    kept(engine, tenant_id)
    kept(engine, tenant_id)  # Again: known already is no error.

    with engine.begin() as conn:
        assert customers.is_known(conn, tenant_id, "cu.00.482")
        assert not customers.is_known(conn, uuid.uuid4(), "cu.00.482")


def test_an_offer_of_another_tenant_is_not_there(engine: Engine, tenant_id: uuid.UUID) -> None:
    offer = kept(engine, tenant_id)
    assert offer is not None

    with engine.begin() as conn:
        assert offers.get(conn, uuid.uuid4(), offer.offer_identifier) is None


def test_imported_offers_are_kept_once_and_never_changed(engine: Engine, tenant_id: uuid.UUID) -> None:
    first = an_offer(customer_urn="cu.7")
    changed = an_offer(single_use=False)
    fresh = an_offer(offer_identifier="of_fresh")
    with engine.begin() as conn:
        assert offers.keep_imported(conn, tenant_id, [first]) == set()
        assert offers.keep_imported(conn, tenant_id, [changed, fresh]) == {"of_test"}

        assert offers.get(conn, tenant_id, "of_test") == first
        assert offers.get(conn, tenant_id, "of_fresh") == fresh
        assert customers.is_known(conn, tenant_id, "cu.7")


def document(line: dict[str, Any]) -> CatalogueDocument:
    """A line as the importer hands it over."""
    return MODEL_OF[line["kind"]].model_validate_json(json.dumps(line))


def test_a_catalogue_is_replaced_whole_and_read_in_order(engine: Engine, tenant_id: uuid.UUID) -> None:
    early = document(bundle_line(bundleUrn="bn.Z", itemIdentifier="it.1"))
    late = document(bundle_line(bundleUrn="bn.a", itemIdentifier="it.2"))
    code = document(promotion_line(validUntil="2099-01-01T00:00:00+02:00", bundles=["bn.a"]))
    with engine.begin() as conn:
        catalogue.replace(conn, tenant_id, [[document(bundle_line(bundleUrn="bn.gone"))]])
        catalogue.replace(conn, tenant_id, [[late, code], [early]])
        found = catalogue.load(conn, tenant_id)

    assert [bundle.bundle_urn for bundle in found.bundles] == ["bn.Z", "bn.a"]  # By code point, in every locale.
    assert found.promotions[0].valid_until == datetime(2098, 12, 31, 22, tzinfo=UTC)
    assert found.promotions[0].bundles == frozenset({"bn.a"})


def test_the_price_comes_from_the_snapshot_whatever_the_catalogue_says_by_then(
    engine: Engine, tenant_id: uuid.UUID
) -> None:
    offer = kept(engine, tenant_id)
    assert offer is not None
    with engine.begin() as conn:
        dearer = document(bundle_line(price={"amountMilpieces": 999_999, "currency": "EUR"}))
        catalogue.replace(conn, tenant_id, [[dearer]])
        found = offers.get(conn, tenant_id, offer.offer_identifier)

    assert found is not None
    assert found.price([CartLine("it.00.42")]).amount_minor == 1199
