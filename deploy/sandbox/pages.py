"""The hosted page on which a shopper passes or fails a challenge.

Plain HTML: works without JavaScript, loads nothing, follows the light or dark of the browser; every value is escaped.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape
from typing import Final

from deploy.sandbox.cards import Script
from deploy.sandbox.records import Charge

DECIMALS: Final = dict.fromkeys(("CLP", "ISK", "JPY", "KRW", "PYG", "UGX", "VND", "XAF", "XOF", "XPF"), 0) | (
    dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3)
)
"""Currencies of ISO 4217 whose minor unit is not a hundredth."""

_WORDING: Final = {
    "CreditCard": ("3-D Secure sandbox", "Your bank asks you to confirm this card payment."),
    "PayPal": ("PayPal sandbox", "You are about to pay with PayPal."),
    "Klarna": ("Klarna sandbox", "You are about to pay with Klarna."),
    "Bank": ("Bank transfer sandbox", "Your bank asks you to release this transfer."),
    "SEPA": ("SEPA sandbox", "Your bank asks you to confirm this direct debit."),
}
_ENDED: Final = {
    "captured": "This payment was approved.",
    "pending": "This payment was approved and is on its way.",
    "declined": "This payment was declined.",
    "voided": "This payment was cancelled.",
    "refunded": "This payment was given back.",
}
_STYLE: Final = """
:root{color-scheme:light dark;--ink:#16202c;--paper:#f3f5f8;--card:#fff;--line:#c8d0da;--go:#0b6b3a;--stop:#a3242b}
@media(prefers-color-scheme:dark){:root{--ink:#e8edf3;--paper:#11161c;--card:#1b232c;--line:#3a4653;--go:#1d8a52;
--stop:#c0444b}}
*{box-sizing:border-box}body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1rem;
background:var(--paper);color:var(--ink);font:1rem/1.5 system-ui,sans-serif}
main{width:100%;max-width:26rem;padding:1.75rem;background:var(--card);border:1px solid var(--line);
border-radius:.75rem}
h1{margin:0 0 .25rem;font-size:1.25rem}dl{margin:1.25rem 0;padding:1rem 0;border:solid var(--line);border-width:1px 0}
dl div{display:flex;justify-content:space-between;gap:1rem}dt{opacity:.75}dd{margin:0;overflow-wrap:anywhere;
text-align:right}.sum{font-size:1.5rem;font-weight:600}form{display:grid;gap:.625rem}
button,a{display:block;width:100%;padding:.75rem;border:1px solid transparent;border-radius:.5rem;font:inherit;
font-weight:600;text-align:center;cursor:pointer;color:#fff}
.go{background:var(--go)}.stop{background:var(--stop)}.back{background:none;color:inherit;border-color:var(--line);
text-decoration:none}button:focus-visible,a:focus-visible{outline:3px solid #2f7de1;outline-offset:2px}
small{display:block;margin-top:1.25rem;opacity:.75}
"""
SECURITY_HEADERS: Final = {
    "Cache-Control": "no-store",
    # No form-action: a browser would hold it against the way back to the shop that answers the form.
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; style-src 'sha256-"
    + b64encode(sha256(_STYLE.encode()).digest()).decode()
    + "'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def shown_amount(amount_minor: int, currency: str) -> str:
    """1499 EUR as "14.99 EUR"."""
    decimals = DECIMALS.get(currency, 2)
    whole, rest = divmod(amount_minor, 10**decimals)
    return f"{whole:,}" + (f".{rest:0{decimals}d}" if decimals else "") + f" {currency}"


def challenge_page(charge: Charge, merchant_name: str) -> str:
    """The page of one charge: its question while it is open, else how it ended."""
    title, wording = _WORDING[charge.channel]
    is_open = charge.state == "challenge"
    rows = [("Pay to", merchant_name), ("Order", charge.merchant_reference)]
    if charge.method.masked_number:
        rows.append(("Card", charge.method.masked_number))
    facts = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in rows)
    amount = escape(shown_amount(charge.amount_minor, charge.currency))
    return _page(
        title,
        f"<h1>{escape(title)}</h1><p>{escape(wording if is_open else _ENDED[charge.state])}</p>"
        f'<dl><div><dt>Amount</dt><dd class="sum">{amount}</dd></div>{facts}</dl>'
        + (_form(charge) if is_open else _way_back(charge)),
    )


def not_found_page() -> str:
    """For an address that no charge has."""
    return _page("Not found", "<h1>Not found</h1><p>There is no such payment. Go back to the shop and try again.</p>")


def _form(charge: Charge) -> str:
    choices = (
        '<button class="go" name="decision" value="approve">Approve</button>'
        '<button class="stop" name="decision" value="decline">Decline</button>'
    )
    if charge.script == Script.ABANDONED:
        choices = "<p>With this test card the shopper walks away: nobody approves or declines.</p>"
    return (
        f'<form method="post">{choices}'
        '<button class="back" name="decision" value="cancel">Cancel and return</button></form>'
    )


def _way_back(charge: Charge) -> str:
    if charge.return_url is None:
        return "<p>You can close this page.</p>"
    return f'<a class="back" href="{escape(charge.return_url)}">Return to the shop</a>'


def _page(title: str, content: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main>{content}<small>Sandbox: no real money moves here.</small></main></body></html>"
    )
