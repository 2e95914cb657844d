"""The PSP a stack runs and pays at: our sandbox, or localstripe, where the Stripe adapter is tried without an account.

Each is strange to the product: it knows none of our addresses or keys but those of its account, which it is told as an
operator would tell it.
"""

from __future__ import annotations

import base64
import secrets
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import httpx

from deploy.stack import ports
from deploy.stack.home import ROOT, Home
from deploy.stack.ports import HOST
from deploy.stack.product import Wiring, answers, environment
from deploy.stack.program import Program, Stage
from shared.psp.port import Account

SECRET_BYTES: Final = 24
"""192 bits, as Standard Webhooks recommends (24 to 64 bytes)."""
LOCALSTRIPE_READY: Final = "/js.stripe.com/v3/"
"""What localstripe shows without a key."""


@dataclass(frozen=True, slots=True)
class StackPsp:
    """One of them. Its *name* is the provider and the adapter of the demo tenant's account."""

    name: str
    programs: Callable[[Home, Wiring], list[Program]]
    fresh_credentials: Callable[[], dict[str, str]]
    register: Callable[[Account, Wiring], None]
    """Tells it whose account it is and where its webhooks go; raises httpx.HTTPError."""
    shows: str | None = None
    """Where it shows what it charged, if it does."""


def _sandbox(home: Home, wiring: Wiring) -> list[Program]:
    """The sandbox PSP; its ledger outlives it."""
    ledger = home.path / "psp-ledger.jsonl"
    return [
        _program("psp", home, wiring.psp_port, "/healthz", "deploy.sandbox", "--host", HOST, "--ledger", str(ledger))
    ]


def _localstripe(home: Home, wiring: Wiring) -> list[Program]:
    """localstripe, which forgets all when it ends, and the door before it."""
    port = ports.kept(home, "localstripe")
    behind = _program("localstripe", home, port, LOCALSTRIPE_READY, "localstripe", "--from-scratch")
    door = _program("psp", home, wiring.psp_port, "/healthz", "deploy.localstripe", "--behind", f"http://{HOST}:{port}")
    return [behind, door]


def _program(name: str, home: Home, port: int, ready_at: str, module: str, *options: str) -> Program:
    return Program(
        name=name,
        argv=(sys.executable, "-m", module, "--port", str(port), *options),
        log=home.log_of(name),
        cwd=ROOT,
        env=environment(home, {}),
        is_ready=lambda: answers(port, ready_at),
        stage=Stage.PSP,
        shows_children=True,
    )


def _sandbox_credentials() -> dict[str, str]:
    return {"apiKey": secrets.token_urlsafe(SECRET_BYTES), "webhookSecret": _webhook_secret()}


def _stripe_credentials() -> dict[str, str]:
    return {"apiKey": f"sk_test_{secrets.token_hex(SECRET_BYTES)}", "webhookSecret": _webhook_secret()}


def _webhook_secret() -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"


def _register_at_sandbox(account: Account, wiring: Wiring) -> None:
    document = {
        "accountId": account.account_id,
        "apiKey": account.credentials["apiKey"],
        "webhookSecret": account.credentials["webhookSecret"],
        "webhookUrl": f"{wiring.base_url}/api/v1/c2a/psp/{account.provider}/{account.account_id}/webhook",
        "merchantName": "Azotte demo shop",
    }
    httpx.post(f"{wiring.psp_url}/accounts", json=document, timeout=5.0, trust_env=False).raise_for_status()


def _known_to_localstripe(account: Account, wiring: Wiring) -> None:
    """Nothing to tell: it takes any key that looks like one, and tells of no payment by webhook."""


SANDBOX: Final = StackPsp("sandbox", _sandbox, _sandbox_credentials, _register_at_sandbox, shows="/ledger")
STRIPE: Final = StackPsp("stripe", _localstripe, _stripe_credentials, _known_to_localstripe)
PSPS: Final[Mapping[str, StackPsp]] = {psp.name: psp for psp in (SANDBOX, STRIPE)}
