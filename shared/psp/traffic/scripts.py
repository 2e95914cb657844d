"""The two questions that Redis answers for every call to a PSP: may it go, and what came of it. One round trip each.

A lane has two keys. Its gate is a hash of a dozen numbers, moments in microseconds of Redis's own clock:

    next     when the next call may leave (GCRA without a burst: calls leave evenly, an interval apart)
    line     when whoever comes new would have its turn: behind all who were given a place
    again    the same for those who come back and find no slot near: ahead of all newcomers
    pause    before then nothing leaves: the PSP said 429
    slow     how often the rate was halved as it said so again, at slow_at; guess: the interval where it set no limit
    open     0: closed; else the breaker is open, and from this moment on somebody may try
    probe    until then somebody tries; try: when money in doubt may try earlier than open
    since    slots up to this one tell nothing any more: the breaker closed in it
    unheard  calls in a row without an answer

Its ring is a hash of slots, each "number of the slot, one count a kind of end, milliseconds": a slot that comes round
again begins anew, so a lane never takes more than SLOTS short strings. Both are forgotten when nobody calls any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Final


class End(IntEnum):
    """How a call ended; the number is its place in a slot."""

    GOOD = 1  # A charge that came to a verdict.
    SOFT = 2  # A charge another PSP might have taken.
    HARD = 3  # A charge its issuer refused: tells nothing of the PSP.
    UNANSWERED = 4  # A charge nobody answered.
    NOT_SENT = 5  # A charge that did not get there.
    ANSWERED = 6  # Any other call, answered,
    UNHEARD = 7  # or not.
    PACED = 8  # 429: the PSP lives and wants fewer calls.


FAILED: Final = (End.UNANSWERED, End.NOT_SENT, End.UNHEARD)
"""What opens a breaker: declines are no failures, nor is being told to come later."""
COUNTED: Final = (End.GOOD, End.SOFT, End.UNANSWERED, End.NOT_SENT)
"""The charges that count for or against the PSP (shared/psp/record.py); their time is counted, too."""
SLOTS: Final = 90
PER_WINDOW: Final = 6
"""Slots the breaker looks at. The ring is fifteen times as long: 15 minutes where the breaker's window is one."""
HALVINGS: Final = 2
"""The rate never falls below a quarter: a PSP that says 429 to that has another trouble, and its pauses still hold."""
HALVED_US: Final = 30_000_000
"""How long a halving lasts; after a minute without 429 the full rate is tried again."""
AGAIN_US: Final = 5_000_000
"""A 429 so soon after the pause for another one is no chance: then the rate is halved."""
SLOWEST_GUESS_US: Final = 100_000
"""A PSP that set no limit is guessed to take ten calls a second at least, however few it was sent before its 429."""
TRY_US: Final = 5_000_000
"""While a breaker is open, money in doubt may be asked about this often: an answer about it is worth a thread that
hangs, and a PSP that is back is noticed sooner."""
PROBE_US: Final = 25_000_000
"""How long somebody who tries may take: a PSP call (15 s) and the way to it. Then somebody else may."""
AWAY_AFTER: Final = 5
"""Calls in a row without an answer that make the next good one news, also where they were too few for the breaker."""
KEPT_MS: Final = 3_600_000


def _among(ends: Iterable[End]) -> str:
    return " or ".join(f"what == {end:d}" for end in ends)


_GATE: Final = f"""
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local names = {{
  'next', 'line', 'again', 'pause', 'slow', 'slow_at', 'guess', 'open', 'probe', 'try', 'since', 'unheard'
}}
local read, g, changed = redis.call('HMGET', KEYS[1], unpack(names)), {{}}, {{}}
for n, name in ipairs(names) do g[name] = tonumber(read[n] or '0') end
local function set(name, value)
  g[name] = value
  changed[#changed + 1] = name
  changed[#changed + 1] = string.format('%.0f', value)
end
local function save()
  if #changed == 0 then return end
  redis.call('HSET', KEYS[1], unpack(changed))
  local ahead = math.max(0, g.line - now, g.again - now, g.open - now)
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', {KEPT_MS} + ahead / 1000))
end
local interval, apart = tonumber(ARGV[1]), tonumber(ARGV[2])
local halvings = math.max(0, g.slow - math.floor((now - g.slow_at) / {HALVED_US}))
local unlimited = interval == 0
if unlimited and halvings > 0 then interval = g.guess end
interval = math.floor(interval * 2 ^ halvings)
apart = math.max(apart, interval)
local function place(row, from)
  local at = math.max(g[row], from)
  set(row, at + apart)
  return at - now
end
"""

ASK: Final = (
    _GATE
    + f"""
local errand, near = ARGV[3], tonumber(ARGV[4])
local row, tries = errand == 'new' and 'line' or 'again', 0
if g.open > 0 then
  local early = errand == 'at_once' and now >= g.try
  if now < g.probe or (now < g.open and not early) then
    local from = g.open
    if errand == 'at_once' or now >= g.open then from = math.max(g.try, now + 1000000) end
    local due = place(row, from)
    save()
    return {{0, due, 1}}
  end
  tries = 1
end
local slot = math.max(g.next, now, g.pause)
if near < 0 or slot - now > near or (errand == 'new' and g.line > slot and tries == 0) then
  local due = place(row, near < 0 and slot + 1000000 or slot)
  save()
  return {{0, due, 0}}
end
if interval > 0 then
  set('next', slot + interval)
  if errand == 'new' then set('line', slot + interval) end
  if errand == 'at_once' then set('line', math.max(g.line, now) + interval) end
end
if tries == 1 then
  set('probe', slot + {PROBE_US})
  set('try', slot + {TRY_US})
end
save()
return {{1, slot - now, tries}}
"""
)
"""KEYS: gate. ARGV: interval, distance in a row, errand, nearest wait (-1: not now). Microseconds, as all here.

Answers {1, wait, whether it is a probe}, or {0, place, whether the breaker is why}. Whoever is new never takes a slot
while somebody stands in the row (but may be the one who tries), and a place, once given, is counted: it takes no second
one when it comes up."""

END: Final = (
    _GATE
    + f"""
local what, ms, tried, retry = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5] == '1', tonumber(ARGV[6])
local least, open_for, long = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local failed, timed = {_among(FAILED)}, {_among(COUNTED)}
local slot = math.floor(now / long)
local function counts_of(number)
  local counts = {{}}
  for text in string.gmatch(redis.call('HGET', KEYS[2], number % {SLOTS}) or '', '%d+') do
    counts[#counts + 1] = tonumber(text)
  end
  if counts[1] == number then return counts end
  return {{number, 0, 0, 0, 0, 0, 0, 0, 0, 0}}
end
local function sum(counts, last)
  local total = 0
  for n = 2, last do total = total + counts[n] end
  return total
end
local counts = counts_of(slot)
counts[what + 1] = counts[what + 1] + 1
if timed then counts[10] = counts[10] + ms end
for n = 1, 10 do counts[n] = string.format('%.0f', counts[n]) end
redis.call('HSET', KEYS[2], slot % {SLOTS}, table.concat(counts, ' '))
redis.call('PEXPIRE', KEYS[2], string.format('%.0f', {SLOTS} * long / 1000))

local told, due = 0, 0
if what == {End.PACED} then
  local told_just_now = g.pause > 0 and now >= g.pause and now - g.pause < {AGAIN_US}
  set('pause', math.max(g.pause, now + retry))
  if told_just_now then
    if unlimited and halvings == 0 then
      local calls, before = sum(counts_of(slot), 9), sum(counts_of(slot - 1), 9)
      local since = math.min(now - 1000000, (before > 0 and slot - 1 or slot) * long)
      local seen = math.floor((now - since) / (calls + before))
      set('guess', math.min({SLOWEST_GUESS_US}, math.max(tonumber(ARGV[2]), seen)))
    end
    set('slow', math.min({HALVINGS}, halvings + 1))
    set('slow_at', now)
  end
  due = place('again', g.pause)
end
if tried and g.open > 0 then
  set('probe', 0)
  if failed then
    if now >= g.open then set('open', now + open_for) end
    told = 2
  else
    local rest = math.max(0, math.max(g.open, g.try) - now)
    for _, row in ipairs({{'line', 'again'}}) do set(row, math.max(now, g[row] - rest)) end
    set('open', 0)
    set('since', slot)
    told = 3
  end
elseif g.open == 0 and failed then
  local calls, missed = 0, 0
  for number = math.max(g.since + 1, slot - {PER_WINDOW - 1}), slot do
    local past = counts_of(number)
    calls = calls + sum(past, 8)
    missed = missed + {" + ".join(f"past[{end + 1}]" for end in FAILED)}
  end
  if calls >= least and 2 * missed >= calls then
    set('open', now + open_for)
    set('try', now + {TRY_US})
    told = 1
  end
end
if failed then
  set('unheard', g.unheard + 1)
elseif what ~= {End.PACED} then
  if g.unheard >= {AWAY_AFTER} and g.open == 0 then told = 3 end
  if g.unheard > 0 then set('unheard', 0) end
end
save()
return {{told, due}}
"""
)
"""KEYS: gate, ring. ARGV: interval, distance in a row, how it ended, milliseconds, whether it was a probe, how long the
PSP wants to be left alone, the breaker's fewest calls, how long it stays open, the length of a slot.

Answers {news, place}: 1 the breaker opened, 2 it stays open, 3 the PSP is back; and the place of a call that met 429.
When a breaker closes early, who waits for it moves up by as much as it closed early."""
