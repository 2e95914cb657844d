"""The same promises on the other broker: those tests of tests/acceptance in which messages matter, on its stack."""

from __future__ import annotations

import pytest

from tests.acceptance.test_published_examples import test_the_published_examples_end_as_done
from tests.acceptance.test_trouble_broker import (
    test_a_broker_that_forgot_everything_costs_nothing,
    test_orders_are_accepted_as_usual_and_end_when_it_is_back,
)
from tests.acceptance.test_trouble_messages import (
    test_a_worker_takes_no_orders_from_a_broadcast,
    test_every_message_ten_times_in_any_order_is_one_order_charged_once,
)
from tests.acceptance.test_trouble_processes import (
    test_a_worker_killed_in_mid_charge_leaves_an_order_that_ends_charged_once,
)
from tests.acceptance.test_trouble_rolling_restart import (
    second,
    settings,
    test_a_rolling_restart_and_a_migration_cost_no_order_and_nobody_a_second,
)

pytestmark = pytest.mark.usefixtures("well")

__all__ = [
    "second",
    "settings",
    "test_a_broker_that_forgot_everything_costs_nothing",
    "test_a_rolling_restart_and_a_migration_cost_no_order_and_nobody_a_second",
    "test_a_worker_killed_in_mid_charge_leaves_an_order_that_ends_charged_once",
    "test_a_worker_takes_no_orders_from_a_broadcast",
    "test_every_message_ten_times_in_any_order_is_one_order_charged_once",
    "test_orders_are_accepted_as_usual_and_end_when_it_is_back",
    "test_the_published_examples_end_as_done",
]
