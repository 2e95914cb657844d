"""What a program tells at its metrics port, read as Prometheus reads it."""

from __future__ import annotations

from dataclasses import dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families


@dataclass(frozen=True, slots=True)
class Scraped:
    """One scrape."""

    text: str

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples called *name* that have these labels, 0 where there are none."""
        return sum(
            sample.value
            for family in text_string_to_metric_families(self.text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def names(self) -> set[str]:
        """The names of all samples."""
        return {sample.name for family in text_string_to_metric_families(self.text) for sample in family.samples}


def scrape(port: int) -> Scraped:
    """Ask the port; raises for anything but 200."""
    answer = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False, timeout=10)
    return Scraped(answer.raise_for_status().text)
