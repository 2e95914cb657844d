"""No second PSP is asked before it is proven that the first holds nothing (C10)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest

from shared.domain.states import OrderState
from shared.psp.factory import psp_for
from shared.psp.port import Account, Psp
from tests.support.cut_charges import cut_after_each_charge
from tests.support.failing_over import DROPPED, SOFT_EVERYWHERE, age, failed_as, says_softly_no
from tests.support.two_psps import FIRST, SECOND, TwoPsps
from tests.support.wire import fresh_card
from workers.look_up import look_up
from workers.pay import pay
from workers.runtime import Runtime


class _Forgetful:
    """A PSP that does not promise to remember what it declined."""

    def __init__(self, psp: Psp) -> None:
        self._psp = psp

    def __getattr__(self, name: str) -> Any:
        return getattr(self._psp, name)

    @property
    def capabilities(self) -> Any:
        return replace(self._psp.capabilities, remembers_declines=False)


def forgetful(run: Runtime) -> Runtime:
    def made(account: Account) -> Psp:
        return cast("Psp", _Forgetful(psp_for(account)))

    return replace(run, psp_for=made)


@pytest.mark.parametrize("remembers", [True, False], ids=["sticky", "forgetful"])
def test_a_no_to_a_repeat_is_proof_only_where_the_psp_remembers_its_no(both: TwoPsps, remembers: bool) -> None:
    """The first request may still be on its way, and at a PSP that forgets its no it may become money."""
    number = both.room.locked()
    both.room.dies_while_charging(number, after_the_charge=False)
    both.room.until_lease_ended(number)
    says_softly_no(both)

    paid = pay(both.room.run if remembers else forgetful(both.room.run), number)

    assert paid is remembers
    assert both.live(number) == ([SECOND] if remembers else [])
    if not remembers:
        assert failed_as(both, number) == "CARD_DECLINED: do_not_honor"
        assert both.charges(SECOND, number) == []


def test_a_no_to_the_only_request_is_proof_wherever_it_was_given(both: TwoPsps) -> None:
    says_softly_no(both)
    number = both.room.locked()

    assert pay(forgetful(both.room.run), number)

    assert both.live(number) == [SECOND]


@pytest.mark.parametrize("trouble", ["dropAfter", "http500After", "timeoutAfter", "malformed", "otherAmount"])
def test_while_the_first_is_unknown_the_second_is_not_called(both: TwoPsps, trouble: str) -> None:
    """C10. The first took the money and did not say so."""
    both.sandboxes[FIRST].set_faults(hangSeconds=0.1, next=[{"kind": trouble}])
    number = both.room.locked()

    assert not pay(both.room.run, number)
    assert both.room.state(number) is OrderState.CONFIRMING
    assert both.charges(SECOND, number) == []
    look_up(both.room.run, number)

    assert both.room.state(number) is OrderState.CAPTURED
    assert both.live(number) == [FIRST]
    assert both.charges(SECOND, number) == []


def test_a_request_that_was_lost_goes_to_the_second_once_its_absence_is_proven(both: TwoPsps) -> None:
    number = both.room.locked(fresh_card(DROPPED))
    both.sandboxes[SECOND].set_faults(strikes=0)
    assert not pay(both.room.run, number)

    look_up(both.room.run, number)
    assert not pay(both.room.run, number)
    assert both.charges(SECOND, number) == [], "it may still be on its way"
    age(both, number, timedelta(seconds=61))
    look_up(both.room.run, number)
    assert pay(both.room.run, number)

    assert both.tried(number) == [(FIRST, "absent"), (SECOND, "captured")]
    assert both.live(number) == [SECOND]


class _BehindItsTime(_Forgetful):
    """A PSP whose index may be behind: that it finds no charge proves nothing."""

    @property
    def capabilities(self) -> Any:
        return replace(self._psp.capabilities, proves_absence=False)


def test_a_psp_whose_index_may_be_behind_is_asked_again_and_nobody_else(both: TwoPsps) -> None:
    """Under the same key, which is as old as it was: if there was a charge, it is this one."""
    run = replace(both.room.run, psp_for=lambda account: cast("Psp", _BehindItsTime(psp_for(account))))
    number = both.room.locked(fresh_card(DROPPED))
    pay(run, number)
    age(both, number, timedelta(seconds=61))
    before = both.room.attempt(number)
    look_up(run, number)

    assert pay(run, number)

    after = both.room.attempt(number)
    assert (after.provider, after.psp_key, after.started_at) == (FIRST, before.psp_key, before.started_at)
    assert not after.was_asked_once
    assert both.live(number) == [FIRST]


def test_a_charge_its_index_did_not_show_for_as_long_as_keys_are_kept_never_was(both: TwoPsps) -> None:
    """The order ends: its patience of a day is over by then."""
    run = replace(both.room.run, psp_for=lambda account: cast("Psp", _BehindItsTime(psp_for(account))))
    number = both.room.locked(fresh_card(DROPPED))
    pay(run, number)
    age(both, number, timedelta(seconds=61))
    look_up(run, number)
    age(both, number, timedelta(hours=25))

    assert not pay(run, number)

    assert failed_as(both, number) == "CANCELLED"
    assert both.live(number) == []


def test_a_soft_no_that_a_look_up_learns_goes_on_as_well(both: TwoPsps) -> None:
    both.sandboxes[FIRST].set_faults(next=[{"kind": "dropAfter"}])
    number = both.room.locked(fresh_card(SOFT_EVERYWHERE))
    pay(both.room.run, number)
    assert both.room.state(number) is OrderState.CONFIRMING

    look_up(both.room.run, number)
    assert both.room.state(number) is OrderState.OFFER_LOCKED
    assert not pay(both.room.run, number)

    assert both.tried(number) == [(FIRST, "declined"), (SECOND, "declined")]


def test_the_first_psp_is_cut_off_after_each_charge_and_nobody_pays_twice(
    both: TwoPsps, say: Callable[[str], None]
) -> None:
    """C10, twenty times; five hundred times in tests/bench/test_failover_500.py."""
    figures = cut_after_each_charge(both, 20)
    say(f"{figures.orders} orders cut off at their first PSP, charges asked of each: {dict(figures.calls)}")

    assert figures.broken == []
    assert figures.orders == 20
