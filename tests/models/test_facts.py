from __future__ import annotations

import json

import pytest

from workbench.errors import BadFile
from workbench.models import Architecture

WHOLE = Architecture("own", "cnn-tiny", (1, 8, 8), 10, (0.3,), (0.4,), {"width": 6})


def test_an_architecture_survives_json():
    assert Architecture.parse(json.loads(json.dumps(WHOLE.plain())), source="x") == WHOLE


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("family", "pickle"), ("name", 3), ("input_size", [1, 8]), ("input_size", [1, 8, 0]),
        ("num_classes", True), ("num_classes", 0), ("mean", [0.1, 0.2]), ("std", [0.0]),
        ("std", [float("nan")]), ("arguments", [1]),
    ],
)  # fmt: skip
def test_every_wrong_field_is_named_with_its_value(field, value):
    with pytest.raises(BadFile, match=rf"WB104.*some file.*damaged: {field} is "):
        Architecture.parse({**WHOLE.plain(), field: value}, source="some file")
