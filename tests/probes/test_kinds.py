"""What the kinds of probes say of themselves."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

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
def test_a_probe_reads_only_what_it_says_it_needs(name, scene):
    """Nothing it has not asked for is computed, so it must do without."""
    kind = PROBES.get(name)
    bare = {} if kind.needs_layers else {"features": ()}
    bare |= {} if kind.needs_val else {"val_logits": torch.zeros(0)}
    less = replace(scene.pair, teacher=replace(scene.pair.teacher, **bare))
    spec = kind.model_validate({"use": name})
    found = spec.build(less).measure(replace(scene.student_look, **bare))
    usual = spec.build(scene.pair).measure(scene.student_look)
    assert found.facts == usual.facts
    assert set(found.arrays) == set(usual.arrays)
