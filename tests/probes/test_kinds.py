"""What the kinds of probes say of themselves."""

from __future__ import annotations

import pytest

from workbench.probes import ProbeKind
from workbench.registries import PROBES

BUILTIN = ["calibration", "cka", "loyalty", "trilateral"]


def test_the_four_headline_probes_have_names():
    assert set(BUILTIN) <= set(PROBES.names())


@pytest.mark.parametrize("name", BUILTIN)
def test_a_probe_names_its_paper_and_says_what_it_shows(name):
    kind = PROBES.get(name)
    assert issubclass(kind, ProbeKind)
    assert kind.summary.endswith(".") and ":" in kind.paper.replace("EMNLP; ", "")


@pytest.mark.parametrize("name", BUILTIN)
def test_a_probe_reads_only_what_it_says_it_needs(name, measure, seen, pair):
    """Nothing it has not asked for is computed, so it must do without."""
    from dataclasses import replace

    import torch

    kind = PROBES.get(name)
    bare = {} if kind.needs_layers else {"features": ()}
    bare |= {} if kind.needs_val else {"val_logits": torch.zeros(0)}
    less = replace(pair, teacher=replace(pair.teacher, **bare))
    found = kind.model_validate({"use": name}).build(less).measure(replace(seen, **bare))
    assert found.facts == measure(name, seen).facts
