"""What a command's tables promise to eyes, to the clipboard and to grep."""

from __future__ import annotations

from typing import Final

from shared.cli.show import record_lines, table_lines

NUMBER: Final = "trk_01J9ZQ5T7E8V4N2K6M3R1W0XYA"
PROSE: Final = "nobody knows yet whether the PSP took the money: retry asks now, then cancel"
ROWS: Final = [
    {"order": NUMBER, "state": "confirming", "customer": "cu.00.482", "due": None, "correlation": "order-" + "9" * 36},
    {"order": NUMBER, "state": "done", "customer": "cu.1", "due": "", "correlation": None},
]
TERMINAL: Final = 80


def test_an_order_is_one_line_where_no_terminal_is() -> None:
    lines = table_lines(ROWS, None)

    assert len(lines) == 1 + len(ROWS)
    assert lines[1].split() == [NUMBER, "confirming", "cu.00.482", "order-" + "9" * 36]


def test_a_column_that_nobody_has_a_value_in_is_left_out() -> None:
    assert "due" not in table_lines(ROWS, None)[0]


def test_columns_stand_under_their_names() -> None:
    head, first, second = table_lines(ROWS, None)

    assert head.index("customer") == first.index("cu.00.482") == second.index("cu.1")


def test_no_name_and_no_number_is_ever_broken_however_narrow_the_terminal() -> None:
    assert [line.split() for line in table_lines(ROWS, 40)] == [line.split() for line in table_lines(ROWS, None)]


def test_prose_in_the_last_column_goes_on_below_itself_by_words() -> None:
    lines = table_lines([{"action": "cancel", "whyNot": PROSE}], TERMINAL)

    assert all(len(line) <= TERMINAL for line in lines)
    assert [line[:8].strip() for line in lines] == ["action", "cancel", ""]
    assert " ".join(line[8:].strip() for line in lines[1:]) == PROSE


def test_a_record_keeps_what_is_to_be_copied_in_one_piece() -> None:
    url = "https://shop.example/" + "x" * 100

    assert f"url   {url}" in record_lines({"url": url, "told": PROSE}, TERMINAL)


def test_prose_in_a_record_goes_on_below_itself_by_words() -> None:
    lines = record_lines({"told": PROSE * 2}, TERMINAL)

    assert len(lines) > 1
    assert all(len(line) <= TERMINAL for line in lines)


def test_a_record_is_one_line_a_value_where_no_terminal_is() -> None:
    assert record_lines({"told": PROSE}, None) == [f"told  {PROSE}"]


def test_values_line_up_whatever_alphabet_they_are_in() -> None:
    lines = table_lines([{"a": "日本", "b": "x"}, {"a": "abcd", "b": "y"}], None)

    assert lines[1:] == ["日本  x", "abcd  y"]
