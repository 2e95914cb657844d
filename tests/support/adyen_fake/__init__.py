"""A stand-in for Adyen, for tests: a real HTTP server that behaves as Adyen's published API says, and never Adyen.

It was built from what Adyen publishes: the OpenAPI documents of Checkout v72 and of its webhooks, their examples, and
the pages on idempotency, error codes, refusal reasons, result codes, modifications and HMAC signatures. Nobody has
compared it with the real service. What is not published (which card is refused why, how long a refund takes) is this
fake's own and is told where it stands. It is strict: a field that is not published is refused, and so is a request
without one that is required.
"""
