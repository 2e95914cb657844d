"""c2a offers: offers that another system resolved."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
from sqlalchemy import Connection

from shared.cli import lines
from shared.cli.database import need_tenant, transaction
from shared.cli.lines import BadLine
from shared.cli.show import json_option, show, tenant_option
from shared.domain.offers import Offer
from shared.store import offers
from shared.store.offer_documents import OfferDocument


@click.group(
    "offers",
    epilog="""\b
Example:
  c2a offers import offers.jsonl --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f""",
)
def group() -> None:
    """Import offers that another system resolved."""


@group.command(
    "import",
    epilog="""\b
A line is the "offer" of a /c2a/offer/bundles answer; "customerUrn" may say whose it is:
  {"offerIdentifier": "of_8f1c", "presentationType": "Purchase", "productGroupType": "OneTime",
   "storefrontUrn": "st.00.001", "currency": "EUR", "expiresAt": "2030-01-01T00:00:00Z", "singleUse": true,
   "customerUrn": "cu.00.482", "artifactGroups": [{"bundleUrn": "bn.00.42", "name": "Pro Monthly", "items":
   [{"itemIdentifier": "it.00.42", "kind": "Bundle", "name": "Pro Monthly", "maxQuantity": 1,
     "price": {"amountMilpieces": 1499, "currency": "EUR"}}]}]}

\b
Example:
  c2a offers import offers.jsonl --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f""",
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@tenant_option
@json_option
def import_file(file: Path, tenant_id: uuid.UUID, as_json: bool) -> None:
    """Import the offers of FILE (JSON lines).

    All or nothing: a bad line is told by its number and reason, and nothing is imported. Offers never change, so an
    offerIdentifier that is there already is a bad line.
    """
    with transaction() as conn:
        need_tenant(conn, tenant_id)
        imported = sum(_keep(conn, tenant_id, batch) for batch in lines.batches(_offers(lines.read(file, _parse))))
    show({"offers": imported}, as_json=as_json)


def _keep(conn: Connection, tenant_id: uuid.UUID, batch: list[tuple[int, Offer]]) -> int:
    number_of: dict[str, int] = {}
    for number, offer in batch:
        if number_of.setdefault(offer.offer_identifier, number) != number:
            raise BadLine(number, "offerIdentifier: already in this file")
    there = offers.keep_imported(conn, tenant_id, [offer for _, offer in batch])
    if there:
        raise BadLine(min(number_of[identifier] for identifier in there), "offerIdentifier: already imported")
    return len(batch)


def _offers(documents: Iterable[tuple[int, OfferDocument]]) -> Iterator[tuple[int, Offer]]:
    return ((number, document.offer()) for number, document in documents)


def _parse(line: bytes) -> OfferDocument:
    lines.json_object(line)  # Says what the model cannot: a field that is told twice.
    return lines.validated(OfferDocument, line)
