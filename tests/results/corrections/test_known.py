"""Known classes beside corrections: whose name counts, and where examples are pinned."""

import polars as pl

from tac_pipeline.results.corrections.known import names_of_classes, with_examples


def test_the_file_names_before_the_examples_do() -> None:
    names, ids = ("cat", "dog"), [7, 3, 5]
    assert names_of_classes(names, ids, ids, {}) == {7: "cat", 3: "dog"}
    assert names_of_classes(names, ids, ids, {7: "tabby"}) == {7: "tabby", 3: "dog"}
    # Another cluster has the name already.
    assert names_of_classes(names, ids, ids, {5: "Dog"}) == {7: "cat", 5: "Dog"}


def test_of_merged_classes_the_one_that_stays_names_them() -> None:
    names, ids = ("cat", "dog"), [7, 3, 5]
    assert names_of_classes(names, ids, [3, 3, 5], {}) == {3: "dog"}
    # A class that is merged into a new group gives it the name.
    assert names_of_classes(names, ids, [5, 3, 5], {}) == {5: "cat", 3: "dog"}


def test_a_pin_of_the_file_goes_before_an_example() -> None:
    pins = pl.DataFrame({"image_id": ["b"], "cluster_id": [5]}, schema={"image_id": pl.String, "cluster_id": pl.Int32})
    examples = pl.DataFrame({"image_id": ["a", "b"], "label": ["cat", "cat"]})
    assert with_examples(pins, examples, {"cat": 7}).rows() == [("a", 7), ("b", 5)]
    assert with_examples(pins, None, {}).rows() == [("b", 5)]
