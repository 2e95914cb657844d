"""E1: so many equal POSTs at once; they are one order and get one answer."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from werkzeug.test import TestResponse

from tests.support.psp import until
from tests.support.selling import Seller
from tests.support.storefront import new_correlation
from tests.support.wire import Document

CALLS: Final = 50


def assert_one_order(seller: Seller, crowd: ThreadPoolExecutor) -> None:
    """Let CALLS threads of *crowd* go at the same moment with the same order."""
    document = seller.request(correlationId=new_correlation())
    start, before = threading.Barrier(CALLS), seller.count("orders")

    def call() -> TestResponse:
        start.wait(20)
        return patient(seller, document)

    answers = [one.result(60) for one in [crowd.submit(call) for _ in range(CALLS)]]

    assert {answer.status_code for answer in answers} == {202}
    assert len({_lasting(answer) for answer in answers}) == 1
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    assert seller.count("orders") == before + 1


def _lasting(answer: TestResponse) -> str:
    """What of an answer is the same at every repeat: all but the one word that it is one."""
    kept = ("Location", "Link", "Retry-After", "Content-Type")
    return repr((answer.get_json(), [answer.headers[name] for name in kept]))


def patient(seller: Seller, document: Document) -> TestResponse:
    """Call until it is no 503: fifty at once may wait for eight connections longer than a request should."""
    answers: list[TestResponse] = []

    def is_answered() -> bool:
        answers.append(seller.post(document))
        return answers[-1].status_code != 503

    until(is_answered, seconds=40)
    return answers[-1]
