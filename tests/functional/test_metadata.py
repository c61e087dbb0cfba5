"""Every loss describes itself truly, and describing loads no torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

import workbench.functional  # noqa: F401  (fills LOSSES)
from workbench.functional.metadata import LOSSES, Parameter, loss

SLOTS = {f"{who}.{what}" for who in ("student", "teacher") for what in ("logits", "features")} | {
    "labels"
}


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_facts_are_complete_and_defaults_lie_within_their_bounds(name):
    described = LOSSES[name]
    assert described.summary.endswith(".") and described.paper
    assert set(described.needs) <= SLOTS
    for key, parameter in described.parameters.items():
        default = described.defaults[key]
        assert parameter.help
        if parameter.choices:
            assert default in parameter.choices
        elif not isinstance(default, bool):
            low, high = parameter.low, parameter.high
            assert low is None or default > low or (default == low and not parameter.open_low)
            assert high is None or default < high or (default == high and not parameter.open_high)


def test_losses_are_described_without_loading_torch():
    script = (
        "import sys, workbench.functional as f; "
        "assert {'kd', 'dkd', 'ce', 'hint', 'cka'} <= set(f.LOSSES); print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_parameter_without_bounds_is_refused():
    with pytest.raises(TypeError, match=r"'odd'.*\['other'\].*\['power'\]"):

        @loss("odd", paper="x", needs=(), parameters={"other": Parameter("x")})
        def odd(*, power: float = 2.0) -> float:
            """Two."""
            return power

    assert "odd" not in LOSSES
