"""An experiment while it is written: edits, texts, forms, checks; nothing of it is ever lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from workbench.errors import BadInput
from workbench.recipes import names
from workbench.registries import PROBES, TERMS
from workbench.runs.draft import Draft
from workbench.runs.draft.checker import Checker
from workbench.runs.draft.checks import rows, why_not
from workbench.runs.draft.draft import lines_of
from workbench.runs.draft.forms import entries, form, menu, stage_form
from workbench.runs.draft.paths import value_at
from workbench.runs.draft.stages import add_stage, pick_stage
from workbench.runs.launch import accept
from workbench.specs.experiment import ExperimentSpec
from workbench.store import Store
from workbench.terms.term import TermKind

from ...waiting import PATIENCE

KD = "stages.main.terms.kd"


@pytest.fixture
def draft() -> Draft:
    return Draft.of_recipe("quickstart")


def fields(shown: dict) -> dict[str, dict]:
    """All fields of a form by path, nested ones included."""
    found = {}
    for field in shown["fields"]:
        found[field["path"]] = field
        found |= fields(field) if "fields" in field else {}
    return found


@pytest.mark.parametrize("recipe", names())
def test_yaml_and_python_of_every_recipe_give_back_exactly_this(recipe):
    draft = Draft.of_recipe(recipe)
    for read in (draft.set_yaml(draft.yaml), draft.set_python(draft.python)):
        assert read.data == draft.data
        assert read.changed() == []
    assert draft.set_loss(draft.loss).spec == draft.spec


def test_an_edit_shows_in_text_loss_and_form_and_a_draft_never_changes(draft):
    hotter = draft.edit(f"{KD}.temperature", 2)
    assert draft.loss == "0.9 * KD(T=4) + 0.1 * CE"
    assert hotter.loss == "0.9 * KD(T=2) + 0.1 * CE"
    assert "temperature: 2\n" in hotter.yaml
    assert hotter.changed() == [f"{KD}.temperature"]
    assert fields(form(hotter, KD))[f"{KD}.temperature"]["value"] == 2
    assert hotter.reset().data == draft.data


def test_a_wrong_value_stays_as_typed_with_its_error_and_its_line(draft):
    wrong = draft.edit(f"{KD}.temperature", "hot").edit("student.use", "cnn-tny")
    assert {one.path: one.nearest for one in wrong.problems()} == {
        f"{KD}.temperature": None,
        "student.use": "cnn-tiny",
    }
    lines = wrong.yaml.splitlines()
    assert lines[lines_of(wrong.yaml)[f"{KD}.temperature"] - 1].strip() == "temperature: hot"
    assert wrong.spec is None
    assert "hot" in wrong.python


@pytest.mark.parametrize(
    ("kind", "text", "says"),
    [
        ("loss", "KD + Hnt", "There is no term 'Hnt'"),
        ("yaml", "name: [", "not valid YAML, line 1"),
        ("yaml", "- a", "holds a list"),
        ("python", "EXPERIMENT = {'name': __import__('os')}", "may hold numbers, texts"),
        ("python", "x = (", "line 1"),
        ("python", "x = 1", "needs a line EXPERIMENT"),
        ("python", "EXPERIMENT = {'name': {1, 2}}", "name: a set is no number"),
        ("python", "EXPERIMENT = {'stages': (1, 2)}", "stages: a mapping of stages"),
        ("yaml", "stages: 5", "stages: a mapping of stages"),
        ("yaml", "stages: {main: {terms: {kd: 3}}}", "stages.main.terms.kd: a term needs use"),
        ("yaml", "teacher: 3", "teacher: a name is needed"),
        ("yaml", "probes: [3]", "probes: a list of names"),
        ("yaml", "stages: {1: {}}", "stages: 1 is no name"),
        ("yaml", "seed: .inf", "seed: inf is no finite number"),
    ],
)
def test_a_text_that_cannot_be_followed_stays_and_changes_nothing(draft, kind, text, says):
    after = getattr(draft, f"set_{kind}")(text)
    assert getattr(after, kind) == text
    assert after.data == draft.data
    (row,) = rows(after, None)
    assert (row.state, row.path) == ("failed", kind)
    assert says in row.detail
    assert why_not([row]) == "1 check failed. Mend it first."


@pytest.mark.parametrize(("path", "value"), [("stages", 3), ("seed", float("nan"))])
def test_a_value_that_no_form_can_hold_is_refused(draft, path, value):
    with pytest.raises(BadInput, match=path):
        draft.edit(path, value)


def test_a_file_of_somebody_is_the_beginning_and_a_misshapen_one_is_refused(draft):
    brought = Draft.of_yaml(draft.yaml)
    assert (brought.origin, brought.changed()) == ("a file", [])
    with pytest.raises(BadInput, match="stages"):
        Draft.of_yaml("stages: [a]")


ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(
            st.sampled_from(["use", "main", "terms", "kd", "lr", "train", "optimiser"]), inner
        ),
    ),
    max_leaves=8,
)


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(st.sampled_from([*ExperimentSpec.model_fields]), ANYTHING, max_size=4))
def test_whatever_a_text_holds_every_form_can_still_be_drawn(data):
    draft = Draft.of_recipe("quickstart").set_python(f"EXPERIMENT = {data!r}")
    forms = [form(draft, role) for role in ("teacher", "student", "data")]
    assert all(shown["use"]["choices"] for shown in forms)
    assert stage_form(draft)["fields"]
    assert draft.set_yaml(draft.yaml).yaml == draft.yaml
    assert isinstance(draft.loss, str)
    probes = entries(draft, "probes", PROBES)
    json.dumps([forms, probes, stage_form(draft), draft.changed()], allow_nan=False)


def test_the_experiment_of_a_run_is_the_beginning_of_another(tmp_path, draft):
    store = Store(str(tmp_path / "workbench.db"))
    spec = draft.edit(f"{KD}.temperature", 3).spec
    run = accept(store, spec, recipe="quickstart", base=None)
    again = Draft.of_run(store, run)
    store.close()
    assert (again.origin, again.recipe, again.spec) == (f"run {run}", "quickstart", spec)
    assert again.edit(f"{KD}.temperature", 4).changed() == [f"{KD}.temperature"]


def test_epochs_and_steps_take_each_other_s_place(draft):
    spec = draft.edit("stages.main.steps", 200).spec
    assert (spec.stage.steps, spec.stage.epochs) == (200, None)


def test_terms_come_and_go_with_keys_of_their_own(draft):
    more = draft.add_term("kd")
    assert list(more.terms) == ["kd", "ce", "kd-2"]
    assert list(more.remove_term("kd").terms) == ["ce", "kd-2"]


def test_another_kind_keeps_the_options_that_it_knows(draft):
    spec = draft.edit("stages.main.optimiser.use", "sgd").spec
    assert (spec.stage.optimiser.use, spec.stage.optimiser.lr) == ("sgd", 0.005)


def test_a_form_has_bounds_help_choices_and_defaults_of_what_is_not_written(draft):
    found = fields(form(draft, KD))
    heat = found[f"{KD}.temperature"]
    assert (heat["sort"], heat["min"], heat["max"], heat["open"]) == ("number", 0, 100, True)
    stage = fields(stage_form(draft))
    assert stage["stages.main.optimiser"]["use"]["value"] == "adamw"
    assert stage["stages.main.optimiser.weight_decay"]["value"] == 0.01
    assert stage["stages.main.optimiser.weight_decay"]["given"] is False
    assert stage["stages.main.rows.labels"]["choices"] == ["all", "visible", "withheld"]
    assert all(field["help"] for path, field in stage.items() if ".schedule." not in path)


def test_the_fields_of_the_experiment_itself_have_their_own_paths(draft):
    found = fields(form(draft, "", ExperimentSpec))
    assert found["name"]["value"] == "quickstart"
    assert fields(form(draft.edit("seed", 3), "", ExperimentSpec))["seed"]["changed"]


def test_a_probe_has_its_own_fields_while_it_is_in_the_list(draft):
    with_two = draft.edit("probes", ["cka", "loyalty"])
    shown = {entry["name"]: entry for entry in entries(with_two, "probes", PROBES)}
    assert list(shown) == [name for name, _ in PROBES.items()]
    assert [name for name, entry in shown.items() if entry["on"]] == ["cka", "loyalty"]
    assert shown["balance"]["fields"] == []
    (train,) = shown["loyalty"]["fields"]
    assert (train["path"], train["sort"], train["value"]) == ("probes.1.train", "flag", False)
    asked = with_two.edit(train["path"], True)
    assert asked.data["probes"] == ["cka", {"use": "loyalty", "train": True}]
    assert with_two.data["probes"] == ["cka", "loyalty"]
    assert asked.spec.probes[1].wants_train
    (train,) = {entry["name"]: entry for entry in entries(asked, "probes", PROBES)}["loyalty"][
        "fields"
    ]
    assert train["value"] is True
    assert asked.clear(train["path"]).data["probes"] == ["cka", {"use": "loyalty"}]


def test_a_place_that_a_list_has_not_is_refused(draft):
    with pytest.raises(BadInput, match="probes: a list of names is needed"):
        draft.edit("probes", ["cka"]).edit("probes.1.train", True)


def test_a_wrong_layer_in_a_list_or_in_another_stage_is_mended_by_one_edit(draft):
    side = {"name": "cnn-small", "stages": ["stage1", "stage3"], "layers": []}
    told = {"refused": "The teacher has no tap 'stge3'.", "teacher": side, "student": side}
    listed = draft.set_loss("KD + reviewkd(teacher_taps=[stage1, stge3])")
    (row, _) = rows(listed, told)
    path = "stages.main.terms.reviewkd.teacher_taps"
    assert (row.path, row.fix["path"], row.fix["value"]) == (path, path, ["stage1", "stage3"])
    assert value_at(listed.edit(path, row.fix["value"]).data, path) == ["stage1", "stage3"]
    elsewhere = pick_stage(add_stage(draft).set_loss("hint(stge3 -> stage1)"), "main")
    (row, _) = rows(elsewhere, told)
    assert row.fix["path"] == "stages.prepare.terms.hint.teacher_tap"


@pytest.mark.parametrize("name", TERMS.names())
def test_every_term_has_a_form_and_a_place_in_the_menu(draft, name):
    more = draft.set_loss(name)
    shown = fields(form(more, f"stages.main.terms.{name}"))
    assert f"stages.main.terms.{name}.weight" in shown
    (entry,) = (one for one in menu(TERMS) if one["name"] == name)
    assert entry["summary"]
    assert entry["paper"]


def test_what_a_reader_registers_appears_and_is_read_in_text(draft, monkeypatch):
    monkeypatch.setattr(TERMS, "_entries", dict(TERMS._entries))

    @TERMS.register("my-pull")
    class Pull(TermKind):
        """Towards nothing in particular."""

        strength: float = Field(0.5, ge=0, le=2, description="How hard.")

    more = draft.set_loss("CE + my-pull(strength=1.5)")
    field = fields(form(more, "stages.main.terms.my-pull"))["stages.main.terms.my-pull.strength"]
    assert (field["value"], field["max"], field["help"]) == (1.5, 2, "How hard.")
    (entry,) = (one for one in menu(TERMS) if one["name"] == "my-pull")
    assert entry["summary"] == "Towards nothing in particular."


def test_no_torch_is_loaded_by_a_draft():
    code = (
        "import sys; from workbench.runs.draft import Draft;"
        "import workbench.runs.draft.checker, workbench.runs.draft.checks;"
        "from workbench.runs.draft.forms import stage_form;"
        "d = Draft.of_recipe('quickstart'); stage_form(d); d.yaml; d.python;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class Asked:
    """A checker and the answers that came."""

    def __init__(self, store: Store) -> None:
        self.checker = Checker(store)
        self.answers: list[dict] = []
        self._came = threading.Event()

    def heard(self, told: dict) -> None:
        self.answers.append(told)
        self._came.set()

    def answer(self, draft: Draft, *, meanwhile: Callable[[], None] = lambda: None) -> dict:
        self._came.clear()
        self.checker.ask("me", draft, self.heard)
        meanwhile()
        assert self._came.wait(PATIENCE)
        return self.answers[-1]


@pytest.fixture(scope="module")
def asked(tmp_path_factory, forked_helpers):
    store = Store(str(tmp_path_factory.mktemp("drafts") / "workbench.db"))
    made = Asked(store)
    yield made
    made.checker.close()
    store.close()


@pytest.mark.slow
def test_a_good_draft_passes_with_facts_and_an_estimate(asked, draft):
    told = asked.answer(draft)
    assert told["teacher"]["weights"] == 37282
    assert [layer["channels"] for layer in told["student"]["layers"]] == [8, 16, 10]
    assert told["data"]["splits"]["probe"] == 252
    assert told["data"]["pictures"][0].startswith("data:image/png;base64,")
    assert told["estimate"]["seconds"] > 0
    found = rows(draft, told)
    assert {row.state for row in found} == {"passed"}
    assert why_not(found) == ""


@pytest.mark.slow
def test_a_layer_that_is_not_there_is_named_with_the_nearest_one(asked, draft):
    wrong = draft.set_loss("KD + hint(stge3 -> stage1)")
    found = rows(wrong, asked.answer(wrong))
    fix = found[0].fix
    assert (found[0].state, found[0].title) == ("failed", "Layer stge3 exists")
    assert (fix["path"], fix["value"]) == ("stages.main.terms.hint.teacher_tap", "stage3")
    mended = wrong.edit(fix["path"], fix["value"])
    assert why_not(rows(mended, asked.answer(mended))) == ""


@pytest.mark.slow
def test_only_the_newest_of_many_edits_is_answered(asked, draft):
    """The process is stopped meanwhile: on any machine they come before the first has an answer."""
    asked.answer(draft)
    before, process = len(asked.answers), asked.checker._process.pid
    os.kill(process, signal.SIGSTOP)
    for seed in range(6):
        asked.checker.ask("me", draft.edit("seed", seed), asked.heard)
    asked.answer(draft.edit("seed", 6), meanwhile=lambda: os.kill(process, signal.SIGCONT))
    assert len(asked.answers) == before + 1


@pytest.mark.slow
def test_pages_that_ask_at_once_and_again_all_get_a_whole_answer(asked, draft):
    """Answers are longer than a pipe takes in one piece, and children are ended in their midst."""
    heard: dict[str, dict] = {}
    came = threading.Semaphore(0)

    def hear(who: str):
        return lambda told: (heard.__setitem__(who, told), came.release())

    for seed in range(12):
        for who in ("ada", "ben", "cleo"):
            asked.checker.ask(who, draft.edit("seed", seed), hear(who))
    for _ in range(3):
        assert came.acquire(timeout=PATIENCE)
    assert sorted(heard) == ["ada", "ben", "cleo"]
    assert all(told["estimate"]["seconds"] > 0 for told in heard.values())


@pytest.mark.slow
def test_a_question_without_an_answer_is_said_to_have_none(asked, draft, monkeypatch):
    monkeypatch.setattr("workbench.runs.draft.checker.ANSWER_SECONDS", 0.0)
    assert "No answer" in asked.answer(draft)["refused"]
