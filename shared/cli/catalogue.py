"""c2a catalogue: what a tenant sells."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import click

from shared.cli import lines
from shared.cli.catalogue_rules import CatalogueRules
from shared.cli.database import need_tenant, transaction
from shared.cli.show import json_option, show, tenant_option
from shared.store import catalogue
from shared.store.catalogue_documents import MODEL_OF, CatalogueDocument


@click.group(
    "catalogue",
    epilog="""\b
Example:
  c2a catalogue import catalogue.jsonl --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f""",
)
def group() -> None:
    """Import the catalogue offers are resolved from."""


@group.command(
    "import",
    epilog="""\b
A line is a bundle or a promotion, prices in minor units:
  {"kind": "bundle", "bundleUrn": "bn.00.42", "storefrontUrn": "st.00.001", "name": "Pro Monthly",
   "itemIdentifier": "it.00.42", "productGroupType": "RecurringSubscription",
   "price": {"amountMilpieces": 1499, "currency": "EUR"}}
  {"kind": "promotion", "code": "CMP1WKWAFY", "name": "Welcome", "percentOff": 20}

\b
Examples:
  c2a catalogue import catalogue.jsonl --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f
  c2a catalogue import catalogue.jsonl --tenant e2a1c7b2-4f3a-4b8e-9c2d-1a2b3c4d5e6f --json""",
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@tenant_option
@json_option
def import_file(file: Path, tenant_id: uuid.UUID, as_json: bool) -> None:
    """Make FILE (JSON lines) the tenant's whole catalogue.

    All or nothing: a bad line is told by its number and reason, and the catalogue stays as it was.
    """
    rules = CatalogueRules()
    with transaction() as conn:
        need_tenant(conn, tenant_id)
        catalogue.replace(conn, tenant_id, lines.batches(_checked(file, rules)))
    show({"bundles": rules.bundles, "promotions": rules.promotions}, as_json=as_json)


def _checked(file: Path, rules: CatalogueRules) -> Iterator[CatalogueDocument]:
    for number, document in lines.read(file, _parse):
        rules.take(number, document)
        yield document
    rules.end()


def _parse(line: bytes) -> CatalogueDocument:
    kind = lines.json_object(line).get("kind")
    model = MODEL_OF.get(kind) if isinstance(kind, str) else None
    if model is None:
        raise lines.Unreadable('kind: must be "bundle" or "promotion"')
    return lines.validated(model, line)
