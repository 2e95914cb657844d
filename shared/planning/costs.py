"""What one request and one order cost, as measured: the numbers every plan is computed from.

They stand in `costs.json` beside this file, written by `python -m deploy.measure.costs` from a report of deploy/bench,
and are of the machine that report names. Times are milliseconds of processor time, by kind of process.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, ValidationError
from pydantic.alias_generators import to_camel

from shared.messages import QUEUE_OF, Step

OURS: Final = Path(__file__).with_name("costs.json")
API: Final = "api"
POSTGRES: Final = "postgres"
BROKER: Final = "redis-broker"
VAULT: Final = "redis-vault"
WORKER: Final = "worker-"
"""How deploy/bench names the processes of a queue's worker; its queue follows."""
LARGEST: Final = 16 << 20
"""Bytes of a file that is read: a report of all parts is well below one MiB."""
NEEDED: Final = frozenset({API, POSTGRES, BROKER, VAULT})


class NoCosts(ValueError):
    """Why a file tells no costs."""


class _Measured(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, frozen=True, allow_inf_nan=False, hide_input_in_errors=True
    )


class Spent(_Measured):
    """What was counted on the way of one order."""

    statements: NonNegativeFloat
    transactions: NonNegativeFloat
    """Those of several statements."""
    round_trips: NonNegativeFloat
    """To PostgreSQL; each is one commit at most."""
    wal_bytes: NonNegativeFloat
    messages: NonNegativeFloat

    def __add__(self, other: Spent) -> Spent:
        return Spent(**{name: getattr(self, name) + getattr(other, name) for name in Spent.model_fields})


class Costs(_Measured):
    """The costs of one version of the product on one machine."""

    measured_on: dict[str, Any]
    """The machine, as its report tells it."""
    quick: bool
    """A quick run shows that everything works; its figures mean little."""
    cores_of_strangers: NonNegativeFloat
    """The most that others took of the machine meanwhile; caches and clocks are theirs as well."""
    admission_ms: dict[str, NonNegativeFloat]
    poll_ms: dict[str, NonNegativeFloat]
    order_ms: dict[str, NonNegativeFloat]
    """From admitted to done, the PSP over HTTP: a worker a queue, and the servers."""
    admission: Spent
    engine_room: Spent
    disk_bytes: float = Field(gt=0)
    """Of a finished order, indexes included, for good."""
    message_bytes: float = Field(gt=0)
    """Of a message that waits in the broker."""
    card_bytes: float = Field(gt=0)
    """Of a sealed card in the vault."""

    @property
    def order(self) -> Spent:
        """From submit to done."""
        return self.admission + self.engine_room

    def queues(self) -> dict[str, float]:
        """Milliseconds an order takes of each queue's workers, in the order's way."""
        return {name.removeprefix(WORKER): ms for name, ms in self.order_ms.items() if name.startswith(WORKER)}

    def a_poll(self, process: str) -> float:
        """Milliseconds of *process* a poll."""
        return self.poll_ms.get(process, 0.0)

    def an_order(self, process: str, *, polls: float = 0.0) -> float:
        """Milliseconds of *process* an order takes from submit to done, with so many polls."""
        both = self.admission_ms.get(process, 0.0) + self.order_ms.get(process, 0.0)
        return both + polls * self.a_poll(process)


def checked(costs: Costs) -> Costs:
    """*costs*, if a plan can be made of them; raises NoCosts."""
    told = {*costs.admission_ms, *costs.poll_ms, *costs.order_ms}
    if missing := sorted(NEEDED - told):
        raise NoCosts(f"nothing is told of {', '.join(missing)}")
    if (payment := QUEUE_OF[Step.PAY]) not in costs.queues():
        raise NoCosts(f"no worker of the queue {payment} was measured")
    return costs


def load(path: Path = OURS) -> Costs:
    """The costs in *path*; raises NoCosts, or OSError where it cannot be read."""
    return checked(told(Costs, contents(path)))


def contents(path: Path) -> bytes:
    """What is in *path*; raises NoCosts where that is no file of costs by its size, or OSError."""
    with path.open("rb") as file:
        found = file.read(LARGEST + 1)
    if len(found) > LARGEST:
        raise NoCosts(f"longer than {LARGEST} bytes")
    return found


def told(model: type[Costs], found: bytes) -> Costs:
    """*found* as a document of costs; raises NoCosts with the paths at fault, never the values."""
    try:
        return model.model_validate_json(found)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        raise NoCosts("; ".join(f"{path_of(fault['loc'])}: {fault['msg']}" for fault in faults[:3])) from None


def path_of(loc: tuple[int | str, ...]) -> str:
    """A field by its path."""
    return ".".join(str(step) for step in loc) or "the document"


def document(costs: Costs) -> Mapping[str, Any]:
    """*costs* as they are written."""
    return costs.model_dump(by_alias=True)
