"""What must hold between the lines of a catalogue file, so that every offer resolved from it is unambiguous."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from shared.cli.lines import BadLine
from shared.store.catalogue_documents import MOST_BUNDLES, BundleDocument, CatalogueDocument, PromotionDocument

MOST_LINES: Final = 10_000
"""Bundles and promotions of one tenant: a resolver keeps them all in memory."""


@dataclass(slots=True)
class CatalogueRules:
    """Looks at each document as it comes; keeps identifiers only."""

    bundles: int = 0
    promotions: int = 0
    _seen: dict[tuple[str, ...], int] = field(default_factory=dict)
    _of_storefront: Counter[str] = field(default_factory=Counter)
    _named: dict[str, tuple[int, str]] = field(default_factory=dict)

    def take(self, number: int, document: CatalogueDocument) -> None:
        """Judge the document of line *number*; raises BadLine."""
        if self.bundles + self.promotions >= MOST_LINES:
            raise BadLine(number, f"a catalogue has at most {MOST_LINES} lines")
        match document:
            case BundleDocument():
                self.bundles += 1
                self._bundle(number, document)
            case PromotionDocument():
                self.promotions += 1
                self._once(number, "code", document.code)
                for index, urn in enumerate(document.bundles or ()):
                    self._named.setdefault(urn, (number, f"bundles[{index}]"))

    def end(self) -> None:
        """Judge what only the whole file can tell; raises BadLine."""
        for urn, (number, path) in self._named.items():
            if ("bundleUrn", urn) not in self._seen:
                raise BadLine(number, f"{path}: no bundle of the file has this bundleUrn")

    def _bundle(self, number: int, document: BundleDocument) -> None:
        storefront = document.storefront_urn
        self._of_storefront[storefront] += 1
        if self._of_storefront[storefront] > MOST_BUNDLES:
            raise BadLine(number, f"storefrontUrn: a storefront has at most {MOST_BUNDLES} bundles")
        self._once(number, "bundleUrn", document.bundle_urn)
        self._once(number, "itemIdentifier", document.item_identifier, storefront)
        for index, plan in enumerate(document.installments):
            path = f"installments[{index}].installmentIdentifier"
            self._once(number, path, plan.installment_identifier, storefront, kind="installmentIdentifier")

    def _once(self, number: int, path: str, *identifier: str, kind: str | None = None) -> None:
        key = (kind or path, *identifier)
        if key in self._seen:
            raise BadLine(number, f"{path}: already on line {self._seen[key]}")
        self._seen[key] = number
