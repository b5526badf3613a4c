"""What a model knows of its columns survives its file."""

import json
import math

import pytest

from counterflow.tables.schema import Column, Kind, Schema, plain_schema

FULL = Schema(
    (
        Column("energy", unit="GeV", dtype="float64", low=0.1, smallest=0.2, largest=1e6, mean=3.3, spread=1 / 3),
        Column("hits", Kind.INTEGER, "uint8", low=0.0, high=16.0, declared=True),
        Column("flag", Kind.BOOLEAN, "bool", low=0.0, high=1.0),
        Column("t", dtype="float32", high=math.pi),
    ),
    (Column("angle", low=-math.pi, high=math.pi),),
    weight="w",
    named=False,
)


def same(a: Schema, b: Schema) -> bool:
    """Equal, where NaN equals NaN."""
    return repr(a) == repr(b)


def test_a_schema_comes_back_from_standard_json_to_the_last_bit() -> None:
    text = json.dumps(FULL.to_json(), allow_nan=False)
    assert same(Schema.from_json(json.loads(text)), FULL)


def test_columns_without_facts_come_back_too() -> None:
    plain = plain_schema(3, 2)
    assert same(Schema.from_json(json.loads(json.dumps(plain.to_json(), allow_nan=False))), plain)


@pytest.mark.parametrize(
    "damage",
    [
        {"columns": [{"kind": "integer"}]},  # without a name
        {"columns": [{"name": "a", "kind": "gravity"}]},
        {"columns": [{"name": "a", "dtype": "float33"}]},
        {"columns": [{"name": "a", "colour": "red"}]},
        {"columns": 3},
        {"context": None},
    ],
)
def test_a_damaged_schema_is_no_schema(damage: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Schema.from_json({**FULL.to_json(), **damage})


def test_names_whole_columns_and_contexts_are_listed_in_order() -> None:
    assert FULL.names == ("energy", "hits", "flag", "t")
    assert FULL.context_names == ("angle",)
    assert FULL.whole == [1, 2]


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (Column("a"), "any number"),
        (Column("a", low=0.0), "0 or more, detected"),
        (Column("a", high=2.5, declared=True), "2.5 or less, declared"),
        (Column("a", low=-1.0, high=1.0, declared=True), "-1 to 1, declared"),
    ],
)
def test_a_support_is_said_in_words(column: Column, words: str) -> None:
    assert column.support_in_words() == words
    assert column.bounded == (words != "any number")


def test_columns_of_a_model_without_a_table_are_numbered_from_one() -> None:
    schema = plain_schema(2, 1)
    assert (schema.names, schema.context_names, schema.named) == (("column 1", "column 2"), ("context 1",), False)
    assert plain_schema(2, names=["x", "y"]).named
