"""What is read and what is refused before anything else looks at a message."""

import pytest

from handler.domain.parse import NESTING_MAX, NumberText, UnreadableBodyError, parse


def reason(body: str) -> str:
    with pytest.raises(UnreadableBodyError) as caught:
        parse(body)
    return caught.value.fault.reason_code


def test_numbers_keep_their_own_text():
    document = parse('{"amount": 25.90, "n": 1e3000000, "m": -0}')
    assert document == {"amount": "25.90", "n": "1e3000000", "m": "-0"}
    assert all(isinstance(value, NumberText) for value in document.values())


@pytest.mark.parametrize("body", ["", "hello", "{", '{"a": }', '{"a": 01}', "\ufeff{}", '{"a": "\x01"}'])
def test_what_is_not_json_is_refused(body):
    assert reason(body) == "not_json"


@pytest.mark.parametrize("body", ["[]", '"text"', "1", "null", "true"])
def test_a_body_that_is_no_object_is_refused(body):
    assert reason(body) == "not_an_object"


def test_duplicate_keys_are_refused_at_any_depth():
    assert reason('{"amount": 1, "amount": 2}') == "duplicate_key"
    assert reason('{"a": [{"b": 1, "b": 1}]}') == "duplicate_key"
    assert reason('{"a": 1, "\\u0061": 2}') == "duplicate_key"


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_constants_outside_json_are_refused(constant):
    assert reason(f'{{"amount": {constant}}}') == "not_a_number"


def test_nesting_ends_at_its_limit_and_brackets_in_strings_do_not_count():
    inner = NESTING_MAX - 1
    assert parse('{"a": ' + "[" * inner + "]" * inner + "}")
    assert reason('{"a": ' + "[" * (inner + 1) + "]" * (inner + 1) + "}") == "too_deep"
    assert parse('{"a": "' + "[" * 100 + '\\"[["}')


def test_a_megabyte_of_brackets_is_refused_without_recursion():
    assert reason("[" * 1_048_576) == "too_deep"
    assert reason('{"a":' * 200_000) == "too_deep"


@pytest.mark.parametrize(
    "flood", ['"' + '\\"' * 500_000, '{"a": "' + '\\"[' * 300_000, '"' * 1_000_001, '"\\' * 400_000]
)
def test_a_megabyte_of_quotes_is_refused_in_one_pass(flood):
    # Looking for a string's end again from every quote would take minutes, and the batch's time with it.
    assert reason(flood) == "not_json"
