"""The protocol itself, tried in every interleaving: plain Python that walks through all states it can reach.

graph.py explores; payment.py (with paying, looking, returning, outside, psp, settling, world) is one order from
admitted to its end, admission.py two callers with one key, offer_lock.py two orders with one offer. They move orders
by the code's own table and know attempts by the code's own states, and mirror shared/settle.py and workers/ function
by function: where model and code differ in what they do, one of them is wrong.

`python -m tests.model --workers 3 --faults 3` explores further than the tests have time for.
"""
