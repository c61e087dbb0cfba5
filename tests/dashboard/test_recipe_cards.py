"""Recipe cards and facets: filed by their own specs; numbers only where a run here made them."""

from __future__ import annotations

import pytest

from workbench.dashboard.expected import expected
from workbench.dashboard.recipe_cards import cards, first_sentence, tags_of
from workbench.recipes import names, open_experiment
from workbench.runs.listing import Listing, alike, setting_of

from ..runs.written import Written


def opened():
    return {name: (open_experiment(name)[0], None) for name in names()}


@pytest.mark.parametrize(
    ("name", "facet", "values"),
    [
        ("quickstart", "sees", ["Logits"]),
        ("quickstart", "teacher", ["One, frozen"]),
        ("tgeo-kd-table", "modality", ["Table"]),
        ("kd3", "modality", ["Image"]),
        ("kd3", "sees", ["Logits", "Features"]),
        ("ps-kd", "teacher", ["Own past"]),
        ("further-pretraining", "teacher", ["Earlier stage"]),
    ],
)
def test_a_recipe_is_filed_by_what_its_specs_say(name, facet, values):
    assert tags_of(open_experiment(name)[0], None)[facet] == values


@pytest.mark.parametrize(
    ("term", "seen"), [("at", "Attention"), ("rkd", "Relations"), ("hint", "Features")]
)
def test_a_changed_term_files_it_elsewhere(term, seen):
    spec = open_experiment("quickstart")[0].replace({"stages.main.terms.kd": {"use": term}})
    assert tags_of(spec, None)["sees"] == [seen]


def test_only_a_measured_time_makes_a_recipe_quick():
    spec = open_experiment("quickstart")[0]
    assert "≤ 90 s here, measured" in tags_of(spec, 4.0)["needs"]
    assert "≤ 90 s here, measured" not in tags_of(spec, 91.0)["needs"]
    assert "≤ 90 s here, measured" not in tags_of(spec, None)["needs"]


def test_without_runs_a_card_claims_nothing():
    for card in cards(opened(), []):
        assert (card["time"], card["gain"], card["gain_words"]) == ("", None, "")


def test_gain_and_curves_are_those_of_the_same_setting_seed_by_seed(tmp_path):
    written = Written(tmp_path)
    for seed, accuracy in enumerate((0.5, 0.6, 0.7)):
        written.run(accuracy, seed=seed, control=0.4)
    written.run(0.9, seed=3, changes={"stages.main.terms.kd.temperature": 8.0}, control=0.4)
    touched = written.run(0.9, seed=4, control=0.4, told={"interventions": [{"step": 3}]})
    lines = Listing(written.store).lines()
    spec = written.spec()
    own = alike(lines, setting_of(spec))
    assert sorted(line.seed for line in own) == [0, 1, 2]
    assert touched not in {line.id for line in own}
    card = cards({"small": (spec, tmp_path)}, lines)[0]
    assert card["gain"] == pytest.approx(0.2)
    assert (card["gain_words"], card["gain_of"]) == ("+20.0 pp", "n = 3 seeds")
    told = expected(written.store, own)
    assert (told["seeds"], told["n"], told["teacher"]) == (3, 8, 0.875)
    student = next(curve for curve in told["curves"] if curve["name"] == "student")
    assert student["points"][-1] == pytest.approx([60, 0.5, 0.6, 0.7])
    written.store.close()


def test_a_summary_is_cut_at_its_first_sentence():
    assert first_sentence("One thing. And another.") == "One thing."
