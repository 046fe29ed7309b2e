"""Known classes: their order, their examples, and names that cannot be kept."""

import pytest

from tac_pipeline.errors import InputError
from tac_pipeline.method.clusters.known_classes import find_classes


def test_classes_are_in_the_order_of_their_names() -> None:
    found = find_classes(["dog", None, " cat ", "dog", ""])
    assert found.names == ("cat", "dog")
    assert found.classes.tolist() == [1, -1, 0, 1, -1]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([None, " "], "at least one example; no image has a label"),
        (["Cat", "cat"], "no two known classes may have one name; 'Cat' and 'cat' differ only in case"),
        (["c\tat"], "characters that can be shown; got 'c\\\\tat'"),
        (["x" * 301], "at most 300 characters that can be shown; got 'x"),
    ],
    ids=["none", "case", "control", "long"],
)
def test_labels_that_cannot_name_groups_are_refused(labels: list[str | None], message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_classes(labels)
