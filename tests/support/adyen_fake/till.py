"""What Adyen does with each request, as (status, document); asynchronous results are told by notifications."""

from __future__ import annotations

from collections.abc import Callable
from secrets import token_urlsafe
from typing import Any

from tests.support.adyen_fake import asks
from tests.support.adyen_fake.books import Books, Merchant, Payment, Stored, new_reference
from tests.support.adyen_fake.scripts import REASONS, brand_of, script_of

Document = dict[str, Any]
Answered = tuple[int, Document]
Tell = Callable[[Payment, str, Document], None]
"""Notify a payment's merchant: the payment, an event code, what differs from the usual item."""
Later = Callable[[Callable[[], None]], None]
"""Do something when the back office comes to it."""


def error(status: int, code: str, message: str, kind: str = "validation") -> Answered:
    """Adyen's own document for a request it refuses."""
    return status, {"status": status, "errorCode": code, "message": message, "errorType": kind}


class Till:
    """The verbs, over *books*. *base_url*: where shoppers find the pages."""

    def __init__(self, books: Books, tell: Tell, later: Later) -> None:
        self.base_url = ""
        self.refuses_returns = 0
        """How many returns to come do not succeed."""
        self._books, self._tell, self._later = books, tell, later

    def pay(self, merchant: Merchant, ask: asks.Payment) -> Answered:
        """POST /payments."""
        method, stored = self._method(ask)
        if method is None:
            return error(422, "803", "PaymentDetail not found")
        if (refusal := _not_tried(ask, method)) is not None:
            return refusal
        payment = Payment(
            merchant, ask.reference, ask.amount.value, ask.amount.currency, method, ask.return_url, ask.metadata,
            shopper=ask.shopper_reference, stores=bool(ask.store_payment_method), stored=stored,
        )  # fmt: skip
        self._books.payments.append(payment)
        script = script_of(method.number)
        if stored is None and (script.challenges or method.type in ("paypal", "klarna")):
            return 200, self._redirected(payment)
        if method.type in ("sepadirectdebit", "bankTransfer_IBAN"):
            self._later(lambda: self._authorise_later(payment))
            return 200, _received(payment)
        is_check = ask.amount.value == 0
        return 200, self._decided(payment, None if script.only_when_charged and is_check else script.refusal)

    def link(self, merchant: Merchant, ask: asks.Link) -> Answered:
        """POST /paymentLinks: its page asks for what the request does not hold."""
        method = asks.Method.model_validate({"type": (ask.allowed_payment_methods or ["sepadirectdebit"])[0]})
        payment = Payment(
            merchant, ask.reference, ask.amount.value, ask.amount.currency, method, ask.return_url or "", ask.metadata,
            state="link", shopper=ask.shopper_reference, stores=ask.store_payment_method_mode == "enabled",
        )  # fmt: skip
        self._books.payments.append(payment)
        return 201, {
            "id": f"PL{new_reference()}",
            "url": self._page(payment),
            "status": "active",
            "reference": ask.reference,
            "merchantAccount": merchant.account,
            "amount": {"currency": payment.currency, "value": payment.value},
        }

    def finish(self, merchant: Merchant, ask: asks.Details) -> Answered:
        """POST /payments/details."""
        payment, decision = self._books.brought.get(ask.details.redirect_result, (None, ""))
        if payment is None or payment.merchant is not merchant:
            return error(422, "14_030", "Return URL is missing or its result is not known.")
        if payment.result is None:
            payment.result = self._finished(payment, decision)
        return 200, payment.result

    def reverse(self, merchant: Merchant, psp_reference: str, ask: asks.Reversal) -> Answered:
        """POST /payments/{reference}/reversals: taken in hand."""
        payment = self._books.payment(psp_reference)
        if payment is None or payment.merchant is not merchant:
            return error(422, "167", "Original pspReference required for this operation")
        rest = payment.value - payment.returned
        self._later(lambda: self._returned(payment, "CANCEL_OR_REFUND", rest, payment.value, ask.reference))
        return 201, _taken(merchant, psp_reference, ask.reference)

    def refund(self, merchant: Merchant, psp_reference: str, ask: asks.Refund) -> Answered:
        """POST /payments/{reference}/refunds: taken in hand, however much it asks for."""
        payment = self._books.payment(psp_reference)
        if payment is None or payment.merchant is not merchant:
            return error(422, "167", "Original pspReference required for this operation")
        self._later(lambda: self._returned(payment, "REFUND", ask.amount.value, ask.amount.value, ask.reference))
        return 201, _taken(merchant, psp_reference, ask.reference) | {"amount": ask.amount.model_dump()}

    def forget(self, stored_id: str, shopper: str) -> Answered:
        """DELETE /storedPaymentMethods/{id}."""
        found = self._books.stored.get(stored_id)
        if found is None or found.shopper != shopper:
            return error(422, "803", "PaymentDetail not found")
        del self._books.stored[stored_id]
        return 204, {}

    def decide(self, page: str, decision: str) -> str:
        """A shopper pressed a button; where the browser is sent."""
        payment = self._books.pages[page]
        if payment.state == "link":
            if decision == "approve":
                payment.state = "received"
                self._later(lambda: self._authorise_later(payment))
            return payment.return_url
        result = f"X6XtfGC3!Y{token_urlsafe(60)}"
        self._books.brought[result] = payment, decision
        joint = "&" if "?" in payment.return_url else "?"
        return f"{payment.return_url}{joint}redirectResult={result}"

    def _method(self, ask: asks.Payment) -> tuple[asks.Method | None, Stored | None]:
        stored_id = ask.payment_method.stored_payment_method_id
        if stored_id is None:
            return ask.payment_method, None
        found = self._books.stored.get(stored_id)
        if found is None or found.shopper != ask.shopper_reference:
            return None, None
        return found.method, found

    def _redirected(self, payment: Payment) -> Document:
        payment.state = "redirect"
        kind = payment.method.type
        action = {"paymentMethodType": kind, "url": self._page(payment), "method": "GET", "type": "redirect"}
        if kind != "scheme":
            return {"resultCode": "RedirectShopper", "action": action}
        # As in the published example: a reference that the result need not have, and nothing of the order.
        return {
            "resultCode": "RedirectShopper",
            "pspReference": new_reference(),
            "action": action,
            "additionalData": {"threeds2.threeDSServerTransID": token_urlsafe(24), "threeds2.cardEnrolled": "true"},
        }

    def _page(self, payment: Payment) -> str:
        page = token_urlsafe(16)
        self._books.pages[page] = payment
        return f"{self.base_url}/page/{page}"

    def _finished(self, payment: Payment, decision: str) -> Document:
        if decision == "cancel":
            payment.state = "cancelled"
            self._tell(payment, "AUTHORISATION", {"success": "false", "reason": "Cancelled"})
            return _result(payment, "Cancelled") | _reason("16")
        return self._decided(payment, "11" if decision == "decline" else script_of(payment.method.number).refusal)

    def _decided(self, payment: Payment, refusal: str | None) -> Document:
        if refusal is not None:
            payment.state = "refused"
            self._tell(payment, "AUTHORISATION", {"success": "false", "reason": REASONS[refusal]})
            return _result(payment, "Refused") | _reason(refusal)
        payment.state = "authorised"
        answer = _result(payment, "Authorised") | {"additionalData": self._data(payment)}
        self._tell(payment, "AUTHORISATION", {})
        return answer

    def _data(self, payment: Payment) -> dict[str, str]:
        data: dict[str, str] = {"paymentMethod": payment.method.type}
        if payment.method.number is not None:
            number, expiry = payment.method.number, f"{payment.method.expiry_month}/{payment.method.expiry_year}"
            data = {"paymentMethod": brand_of(number), "cardBin": number[:6], "cardSummary": number[-4:]}
            data["expiryDate"] = expiry.removeprefix("0")
        if payment.stores and payment.shopper is not None:
            made = Stored(new_reference(), payment.shopper, payment.method)
            self._books.stored[made.id] = made
            data |= {
                "tokenization.storedPaymentMethodId": made.id,
                "tokenization.shopperReference": made.shopper,
                "tokenization.store.operationType": "created",
            }
        return data

    def _authorise_later(self, payment: Payment) -> None:
        with self._books.lock:
            if payment.state == "received":
                self._decided(payment, None)

    def _returned(self, payment: Payment, event: str, value: int, named: int, reference: str | None) -> None:
        """The back office comes to a return of *value*; what it tells names *named*, and the *reference* that came with
        the request for it and not the payment's."""
        with self._books.lock:
            holds = payment.value - payment.returned if payment.state == "authorised" else 0
            refused, self.refuses_returns = self.refuses_returns > 0, max(0, self.refuses_returns - 1)
            done = 0 < value <= holds and not refused
            if done:
                payment.returned += value
            changes = {
                "originalReference": payment.psp_reference,
                "pspReference": new_reference(),
                "merchantReference": reference or "",
                "amount": {"currency": payment.currency, "value": named},
                "success": "true" if done else "false",
                "reason": "" if done else "Insufficient balance on payment",
            }
            self._tell(payment, event, changes)


def _not_tried(ask: asks.Payment, method: asks.Method) -> Answered | None:
    if method.number is not None and not _passes_luhn(method.number):
        return error(422, "101", "Invalid card number")
    if ask.payment_method.type == "sepadirectdebit" and not ask.payment_method.stored_payment_method_id:
        return error(422, "14_005", "Required object 'iban' is not provided.")
    if ask.payment_method.type == "klarna" and not ask.line_items and not ask.payment_method.stored_payment_method_id:
        return error(422, "14_025", "Required object 'lineItems' is not provided.")
    stores = ask.store_payment_method or ask.payment_method.stored_payment_method_id
    if stores and not (ask.shopper_reference and ask.recurring_processing_model):
        return error(422, "14_013", "Required object 'recurringProcessingModel' is not provided.")
    return None


def _result(payment: Payment, code: str) -> Document:
    return {
        "resultCode": code,
        "pspReference": payment.psp_reference,
        "merchantReference": payment.reference,
        "amount": {"currency": payment.currency, "value": payment.value},
    }


def _reason(code: str) -> Document:
    return {"refusalReasonCode": code, "refusalReason": REASONS[code]}


def _received(payment: Payment) -> Document:
    if payment.method.type == "sepadirectdebit":
        return _result(payment, "Received")
    action = {
        "type": "bankTransfer",
        "paymentMethodType": "bankTransfer_IBAN",
        "beneficiary": "TestBeneficiary & Co <b>",
        "iban": "NL13TEST0123456789",
        "bic": "TESTNL01",
        "reference": payment.psp_reference,
        "totalAmount": {"currency": payment.currency, "value": payment.value},
    }
    return {"resultCode": "Received", "pspReference": payment.psp_reference, "action": action}


def _taken(merchant: Merchant, psp_reference: str, reference: str | None) -> Document:
    return {
        "merchantAccount": merchant.account,
        "paymentPspReference": psp_reference,
        "pspReference": new_reference(),
        "reference": reference,
        "status": "received",
    }


def _passes_luhn(number: str) -> bool:
    digits = [int(digit) for digit in reversed(number)]
    return (sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])) % 10 == 0
