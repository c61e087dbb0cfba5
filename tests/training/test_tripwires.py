"""Each check before step 0 names the real bug that it is for, and is silent where all is well."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from workbench.data.images import ImageData, build_data
from workbench.errors import BadInput, BadModel, FailedChecks, InvalidExperiment
from workbench.functional.metadata import Pull
from workbench.models.adapter import ModelAdapter, wrap_module
from workbench.models.facts import ModelContext
from workbench.models.weights import read_tensors, save_weights, weights_hash
from workbench.registries import TERMS
from workbench.runs.keeper import StoreKeeper
from workbench.runs.launch import accept
from workbench.runs.objects import ObjectModel
from workbench.specs.experiment import ExperimentSpec
from workbench.specs.values import Bounds, Value
from workbench.store.store import Store
from workbench.terms.term import TermContext, TermKind, TermValue
from workbench.training.build import build_model, student_part
from workbench.training.control import Options
from workbench.training.part import Part
from workbench.training.session import run_session
from workbench.training.tripwires import CHECKS, Report
from workbench.training.tripwires_student import STUDENT_CHECKS, are_probabilities, check_student
from workbench.training.tripwires_teacher import TEACHER_CHECKS, swapped

from ..examples import OF_TOKENS, TRANSFORMER, term_data
from ..small import SMALL

CPU = torch.device("cpu")
TERMS_AT = "stages.main.terms"
SPEC: dict[str, Any] = (
    ExperimentSpec.parse(SMALL)
    .replace({"name": "checked", "teacher.train.steps": 60, "stages.main.steps": 6})
    .given()
)


class NoKeeper:
    """Networks here need nothing that is stored."""

    open_run = None


def spec_with(changes: Mapping[str, Any] | None = None) -> ExperimentSpec:
    return ExperimentSpec.parse(SPEC).replace(changes or {})


def digits(spec: ExperimentSpec) -> ImageData:
    return build_data(spec.data, base=Path.cwd(), seed=spec.seed)


def built(
    changes: Mapping[str, Any] | None = None,
    *,
    student: nn.Module | None = None,
    teacher: nn.Module | None = None,
) -> tuple[ExperimentSpec, Part, ModelAdapter]:
    """The parts of a run before its teacher is trained; a user's own modules where given."""
    spec = spec_with(changes)
    data = digits(spec)
    context = ModelContext(1, 8, 8, 10, data.mean, data.std, seed=0)

    def make(module: nn.Module | None, role: str) -> ModelAdapter:
        if module is not None:
            return wrap_module(module, context)
        kind = getattr(spec, role)
        return build_model(kind, data, seed=0, role=role, keeper=NoKeeper(), device=CPU)

    theirs = make(teacher, "teacher")
    part = student_part(spec, data, make(student, "student"), theirs, CPU)
    return spec, part, theirs


def checked(*arguments: Any, **options: Any) -> Report:
    return check_student(*built(*arguments, **options))


def only(report: Report, check: str) -> str:
    """The message of the one finding."""
    assert [finding.check for finding in report.found] == [check], report.found
    return str(report.found[0])


class Net(nn.Module):
    """A student of two layers, with something done to its feature and to its logits."""

    def __init__(
        self,
        feature: nn.Module | None = None,
        end: Callable[[Tensor], Tensor] = lambda logits: logits,
    ) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2))
        self.feature = feature or nn.Identity()
        self.head = nn.Linear(8 * 16, 10)
        self.end = end

    def forward(self, images: Tensor) -> Tensor:
        return self.end(self.head(self.feature(self.body(images)).flatten(1)))


@pytest.fixture
def terms(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Terms that a test registers are gone after it."""
    TERMS.names()
    monkeypatch.setattr(TERMS, "_entries", dict(TERMS._entries))
    yield


# Nothing is wrong


def test_every_check_says_what_it_makes_sure_of_and_is_made():
    assert {*STUDENT_CHECKS, *TEACHER_CHECKS} == set(CHECKS)


PAIRS = {
    "cnn-tiny < cnn-small": {},
    "cnn-tiny < vit": {"teacher": {"use": "timm/test_vit", "train": {"steps": 2}}},
    "resnet < cnn-small": {"student": {"use": "timm/test_resnet"}},
}


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_kd_with_cross_entropy_and_a_hint_trips_nothing(pair):
    hint = {f"{TERMS_AT}.hint": {"use": "hint", "weight": 0.5}}
    assert checked({**pair, **hint}).found == ()


@pytest.mark.parametrize("name", TERMS.names())
def test_no_term_at_its_defaults_stops_a_run(name):
    terms = {"it": term_data(name, weight=0.5), "ce": {"use": "ce", "weight": 0.1}}
    changes: dict[str, Any] = {TERMS_AT: terms}
    if name in OF_TOKENS:
        changes |= {"teacher": {**TRANSFORMER, "train": {"steps": 5}}, "student": TRANSFORMER}
    found = checked(changes).found
    assert [str(finding) for finding in found if finding.severity == "stop"] == []
    assert {finding.check for finding in found} <= {"learned-part"}  # meal-v2: a dead ReLU


@pytest.mark.parametrize("name", ["kd", "crd", "nd", "kd3", "reviewkd"])
def test_checking_leaves_weights_memories_modes_gradients_and_random_states(name):
    terms = {"it": {"use": name, "weight": 0.5}, "ce": {"use": "ce"}}
    student = {"use": "timm/test_resnet", "drop_rate": 0.3}
    spec, part, teacher = built({TERMS_AT: terms, "student": student})
    modules = [part.model, teacher, *part.objective.modules().values()]
    before = [weights_hash(module) for module in modules]
    modes = [[inner.training for inner in module.modules()] for module in modules]
    drawn = torch.default_generator.get_state()
    check_student(spec, part, teacher)
    assert [weights_hash(module) for module in modules] == before
    assert [[inner.training for inner in module.modules()] for module in modules] == modes
    assert torch.equal(torch.default_generator.get_state(), drawn)
    weights = [parameter for module in modules for parameter in module.parameters()]
    assert all(parameter.grad is None and parameter.requires_grad for parameter in weights)


# Networks


def softmax(logits: Tensor) -> Tensor:
    return logits.softmax(-1)


def test_a_student_that_ends_in_a_softmax_is_named():
    told = only(checked(student=Net(end=softmax)), "probabilities")
    assert "student: gives probabilities, not logits" in told and "take it off" in told


def test_a_teacher_that_ends_in_a_softmax_is_named():
    told = only(checked(teacher=Net(end=softmax)), "probabilities")
    assert told.startswith("teacher: gives probabilities")


def test_logits_that_happen_to_lie_in_0_to_1_are_no_probabilities():
    logits = torch.rand(8, 10, generator=torch.Generator().manual_seed(0))
    assert not are_probabilities(logits)
    assert are_probabilities(logits.softmax(-1).half())


HINT = {f"{TERMS_AT}.hint": {"use": "hint", "student_tap": "feature", "weight": 0.5}}


class Dropped(nn.Module):
    """A layer that an experiment has switched off while it trains."""

    def forward(self, maps: Tensor) -> Tensor:
        return F.dropout(maps, 1.0, self.training)


class Skips(Net):
    """A network that leaves its feature layer out while it trains."""

    def forward(self, images: Tensor) -> Tensor:
        maps = self.body(images)
        return self.head((maps if self.training else self.feature(maps)).flatten(1))


def test_a_hint_on_a_dropped_layer_is_named_with_the_taps_that_are_there():
    report = checked(HINT, student=Net(Dropped()))
    told = next(str(found) for found in report.found if found.check == "tap")
    assert "its tap 'feature' is constant: 0 for each of 32 images" in told
    assert "dropped" in told and "logits" in told


def test_a_tap_that_never_fires_in_training_is_named():
    told = only(checked(HINT, student=Skips(nn.Conv2d(8, 8, 1))), "tap")
    assert "a tap never fired in training" in told and "'feature' did not run" in told


def test_a_student_that_detaches_its_output_is_named():
    told = only(checked(student=Net(end=lambda logits: logits.detach())), "student-gradient")
    assert "none of its 4 trained weights gets a gradient" in told and "detach" in told


def test_weights_that_the_loss_does_not_reach_are_listed_and_only_warned_of():
    student = Net()
    student.extra = nn.Linear(3, 3)
    report = checked(student=student)
    told = only(report, "unused-weights")
    assert "2 of its 6 trained weights get no gradient (extra.weight, extra.bias)" in told
    report.refuse()


def test_one_network_in_both_roles_is_named():
    net = Net()
    told = [found.check for found in checked(student=net, teacher=net).found]
    assert told == ["own-teacher"]


# Terms of a user


class UserTerm(TermKind):
    """Base of the terms here."""

    summary: ClassVar[str] = "Made for a test."
    paper: ClassVar[str] = "none"
    needs: ClassVar[tuple[str, ...]] = ("student.logits", "teacher.logits")
    pull: ClassVar[Pull] = "teacher"

    def build(self, context: TermContext) -> Any:
        return Built(type(self), context)

    @staticmethod
    def value(student: Tensor, target: Tensor, **values: float) -> Tensor:
        raise NotImplementedError

    @staticmethod
    def learns(context: TermContext) -> nn.Module | None:
        return None


class Built:
    """A built term of a user."""

    target_taps = ()

    def __init__(self, kind: type[UserTerm], context: TermContext) -> None:
        self.kind, self.module = kind, kind.learns(context)
        self.student_taps = ("stage1",) if "student.features" in kind.needs else ()

    def __call__(self, student: Any, target: Any, batch: Any, values: Any) -> TermValue:
        name = "stage1" if self.student_taps else "logits"
        own = student[name] if self.module is None else self.module(student[name])
        return TermValue(self.kind.value(own, target["logits"], **values))


def kl(student: Tensor, target: Tensor, axis: int) -> Tensor:
    mine, theirs = student.log_softmax(axis), target.log_softmax(axis)
    return F.kl_div(mine, theirs, reduction="none", log_target=True)


def user(kind: type[UserTerm]) -> Report:
    TERMS.register("user")(kind)
    return checked({f"{TERMS_AT}.user": {"use": "user"}})


def test_a_softmax_over_the_batch_is_named(terms):
    class Over(UserTerm):
        @staticmethod
        def value(student, target):
            return kl(student, target, 0).sum(-1)

    told = only(user(Over), "wrong-axis")
    assert "terms.user: does not change when a number is added to a class" in told
    assert "the softmax is taken over the batch (`dim=0`)" in told


def test_a_sum_over_samples_instead_of_classes_is_named(terms):
    class Over(UserTerm):
        @staticmethod
        def value(student, target):
            return kl(student, target, -1).sum(0)

    told = only(user(Over), "wrong-axis")
    assert "values of shape (10,) for 32 samples of 10 classes" in told


def test_a_loss_that_adds_up_the_batch_is_named(terms):
    class Over(UserTerm):
        @staticmethod
        def value(student, target):
            return kl(student, target, -1).sum()

    assert "doubles" in only(user(Over), "wrong-axis")


def test_a_value_that_depends_on_the_other_samples_is_warned_of(terms):
    class Over(UserTerm):
        @staticmethod
        def value(student, target):
            return ((student - student.mean(0)) - (target - target.mean(0))).pow(2).sum(-1)

    report = user(Over)
    assert "depends on the others of its batch" in only(report, "wrong-axis")
    report.refuse()


def test_distances_between_the_scores_of_samples_are_not_taken_for_a_softmax_over_the_batch(terms):
    """They too are blind to a number that is added to a class, and are meant to be."""

    class Relational(UserTerm):
        @staticmethod
        def value(student, target):
            return (torch.cdist(student, student) - torch.cdist(target, target)).pow(2).mean(-1)

    report = user(Relational)
    assert [finding.severity for finding in report.found] == ["warn"]


def test_a_right_loss_of_a_user_trips_nothing(terms):
    class Right(UserTerm):
        live: ClassVar[Mapping[str, Bounds]] = {"temperature": Bounds(0.0, None, open_low=True)}
        temperature: Value = 4.0

        @staticmethod
        def value(student, target, temperature):
            return kl(student / temperature, target / temperature, -1).sum(-1) * temperature**2

    assert user(Right).found == ()


@pytest.mark.parametrize(
    ("says", "logs", "told"),
    [((), ("gap",), "'gap', which its `logs` does"), (("gap",), (), "no 'gap', which its")],
)
def test_a_term_that_logs_other_numbers_than_it_says_is_refused(terms, says, logs, told):
    class Logging(UserTerm):
        def build(self, context):
            class Logs(Built):
                logs = says

                def __call__(self, student, target, batch, values):
                    value = (student["logits"] - target["logits"]).pow(2).mean(-1)
                    return TermValue(value, log=dict.fromkeys(logs, value.detach()))

            return Logs(UserTerm, context)

    with pytest.raises(BadInput, match=f"terms.user: the term logs {told}"):
        user(Logging)


def test_a_temperature_on_a_loss_of_features_is_warned_of(terms):
    class Cold(UserTerm):
        needs: ClassVar[tuple[str, ...]] = ("student.features",)
        live: ClassVar[Mapping[str, Bounds]] = {"temperature": Bounds(0.0, None, open_low=True)}
        temperature: Value = 4.0

        @staticmethod
        def value(student, target, temperature):
            return student.flatten(1).pow(2).mean(-1)

    report = user(Cold)
    told = only(report, "no-effect")
    assert "`temperature` has no effect: value and gradient have the same bits with 4" in told
    assert "user reads student.features" in told
    report.refuse()


def frozen(context: TermContext) -> nn.Module:
    return nn.Conv2d(context.student_shapes(["stage1"])["stage1"][0], 4, 1).requires_grad_(False)


def test_a_projector_that_was_frozen_by_hand_is_named(terms):
    class Frozen(UserTerm):
        needs: ClassVar[tuple[str, ...]] = ("student.features",)
        learns = staticmethod(frozen)

        @staticmethod
        def value(student, target):
            return student.flatten(1).pow(2).mean(-1)

    told = only(user(Frozen), "learned-part")
    assert "terms.user: its learned part (Conv2d, 2 weights) is frozen" in told
    assert "Remove `requires_grad_(False)`" in told


def test_a_learned_part_that_is_built_and_not_used_is_named(terms):
    class Aside(nn.Module):
        def __init__(self):
            super().__init__()
            self.map = nn.Linear(10, 10)

        def forward(self, logits):
            return logits

    class Unused(UserTerm):
        learns = staticmethod(lambda context: Aside())

        @staticmethod
        def value(student, target):
            return kl(student, target, -1).sum(-1)

    assert "gets no gradient from the term" in only(user(Unused), "learned-part")


# Teachers


def permuted(order: list[int], right: float, rows: int = 200) -> tuple[Tensor, Tensor]:
    """Scores of a good teacher whose outputs stand in another order, and labels."""
    generator = np.random.default_rng(0)
    labels = np.arange(rows) % len(order)
    answers = np.where(generator.random(rows) < right, labels, generator.integers(0, 10, rows))
    logits = np.eye(len(order))[np.asarray(order)[answers]]
    return torch.from_numpy(logits), torch.from_numpy(labels)


def test_permuted_outputs_are_found_exactly():
    order = [1, 2, 0, 3, 4, 5, 6, 7, 9, 8]
    assert swapped(*permuted(order, 0.9)) == {0: 1, 1: 2, 2: 0, 8: 9, 9: 8}


@pytest.mark.parametrize("right", [0.0, 0.3, 0.6, 1.0])
def test_a_poor_teacher_with_the_right_order_is_not_taken_for_a_permuted_one(right):
    assert swapped(*permuted(list(range(10)), right)) == {}


def test_a_class_that_is_always_taken_for_another_is_no_permutation():
    logits, labels = permuted(list(range(10)), 1.0)
    logits[labels == 3] = logits[labels == 7][0]
    assert swapped(logits, labels) == {}


# Whole runs


class Runs:
    """Starts runs in this process and tells what is left of them."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def go(self, spec: ExperimentSpec) -> str:
        self.run = accept(self.store, spec, base=Path.cwd())
        keeper = StoreKeeper(self.store, self.run, self.store.runs.claim(self.run))
        run_session(spec, keeper, Options(base=Path.cwd()))
        return self.run

    def refused(self, spec: ExperimentSpec) -> str:
        with pytest.raises(FailedChecks) as error:
            self.go(spec)
        row = self.store.runs.get(self.run)
        assert row.step == 0 and self.store.metrics.last_step(self.run, "train") == -1
        assert self.store.checkpoints(self.run) == []
        stored = row.protocol["checks"]["found"]
        assert any(found["message"] in str(error.value) for found in stored)
        assert error.value.exit_code == 2
        return str(error.value)


@pytest.fixture(scope="module")
def runs(store: Store, train: Any) -> Runs:
    return Runs(store)


@pytest.fixture(scope="module")
def good(runs: Runs) -> Path:
    """The file of a student that has learned digits: the teacher of the runs below."""
    run = runs.go(
        spec_with(
            {
                "student": {"use": "cnn-small", "width": 8},
                "data.labels_per_class": None,
                TERMS_AT: {"ce": {"use": "ce"}},
                "stages.main.steps": 220,
            }
        )
    )
    return runs.store.runs.folder(run) / "student.safetensors"


def copied(good: Path, to: Path, change: Callable[[dict[str, Tensor]], None]) -> dict[str, Any]:
    """The file with its tensors changed; what it says of itself stays."""
    tensors = read_tensors(good)
    change(tensors)
    described = json.loads(good.with_suffix(".json").read_text())
    facts = described.pop("facts")
    save_weights(to, tensors, described["spec"], facts=facts)
    return {"use": f"path:{to}"}


def head_of(tensors: dict[str, Tensor]) -> list[str]:
    return [name for name, tensor in tensors.items() if tensor.ndim and tensor.shape[0] == 10]


def test_the_file_of_a_student_says_how_good_it_is_and_what_its_classes_are(good):
    facts = json.loads(good.with_suffix(".json").read_text())["facts"]
    assert facts["accuracy"] > 0.8 and facts["classes"] == [str(k) for k in range(10)]


def test_a_good_stored_teacher_passes_every_check(runs, good):
    run = runs.go(spec_with({"teacher": {"use": f"path:{good}"}}))
    checks = runs.store.runs.get(run).protocol["checks"]
    assert set(checks["passed"]) == set(CHECKS) and checks["found"] == []
    started = next(event for event in runs.store.journal.events(run) if event.kind == "started")
    assert started.payload["checks"] == checks


def test_a_teacher_file_with_permuted_output_rows_is_named(runs, good, tmp_path):
    def permute(tensors):
        for name in head_of(tensors):
            tensors[name] = tensors[name].roll(1, 0).contiguous()

    told = runs.refused(spec_with({"teacher": copied(good, tmp_path / "t.safetensors", permute)}))
    assert "[WB115]" in told and "it answers 0 as 1, 1 as 2, 2 as 3, 3 as 4 and 6 more" in told
    assert "Its output rows are probably permuted" in told


def test_a_teacher_that_is_fed_another_normalisation_is_worse_than_its_file_says(
    runs, good, tmp_path
):
    def blur(tensors):  # as if images came ten times as bright
        name = next(name for name, tensor in tensors.items() if tensor.ndim == 4)
        tensors[name] = tensors[name] * 0.02

    told = runs.refused(spec_with({"teacher": copied(good, tmp_path / "t.safetensors", blur)}))
    assert "says" in told and "another normalisation" in told


def test_a_teacher_of_other_classes_is_named_by_the_names_in_its_file(runs, good, tmp_path):
    place = copied(good, tmp_path / "t.safetensors", lambda tensors: None)
    described = json.loads((tmp_path / "t.json").read_text())
    names = ["zero", *described["facts"]["classes"][1:]]
    save_weights(
        tmp_path / "t.safetensors",
        read_tensors(good),
        described["spec"],
        facts={**described["facts"], "classes": names},
    )
    told = runs.refused(spec_with({"teacher": place}))
    assert "output 0 is 'zero' there and '0' here" in told


def test_a_file_of_random_weights_stops_the_run_unless_that_is_meant(runs, tmp_path):
    _, part, _ = built({"student": {"use": "cnn-small", "width": 4}})
    save_weights(tmp_path / "t.safetensors", part.model, {"use": "cnn-small", "width": 4})
    spec = spec_with({"teacher": {"use": f"path:{tmp_path / 't.safetensors'}"}})
    told = runs.refused(spec)
    assert "no better than chance" in told and "never trained" in told
    run = runs.go(spec.replace({"allow": ["teacher-skill"]}))
    found = runs.store.runs.get(run).protocol["checks"]["found"]
    assert [(f["check"], f["severity"]) for f in found] == [("teacher-skill", "warn")]


def test_an_untrained_module_of_ones_own_is_taken_as_it_is_with_a_warning(runs):
    teacher = ObjectModel.around(seeded_net(), {})
    run = runs.go(ExperimentSpec.parse({**SPEC, "teacher": teacher}))
    found = runs.store.runs.get(run).protocol["checks"]["found"]
    assert [(f["check"], f["severity"]) for f in found] == [("teacher-skill", "warn")]
    assert "give it `train`, or its trained weights" in found[0]["message"]


def seeded_net(cls: type[Net] = Net) -> Net:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return cls()


def test_a_teacher_trained_here_for_too_short_is_warned_of(runs):
    run = runs.go(spec_with({"teacher.train.steps": 1}))
    found = runs.store.runs.get(run).protocol["checks"]["found"]
    assert ("teacher-skill", "warn") in [(f["check"], f["severity"]) for f in found]
    assert "change `teacher.train`" in found[0]["message"]


class AlwaysDrops(Net):
    """The classic: F.dropout without ``training=self.training``."""

    def forward(self, images: Tensor) -> Tensor:
        return self.head(F.dropout(self.body(images).flatten(1), 0.5))


class OfTheBatch(Net):
    """Normalises by the statistics of the batch, in evaluation mode too."""

    def forward(self, images: Tensor) -> Tensor:
        return self.head(F.batch_norm(self.body(images), None, None, training=True).flatten(1))


class Stubborn(Net):
    """Ignores eval()."""

    def train(self, mode: bool = True) -> Net:
        return super().train(True)


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (AlwaysDrops, "answers the same images differently the second time"),
        (OfTheBatch, "depends on the other images of the batch"),
        (Stubborn, "of its modules are in training mode while the student trains"),
    ],
)
def test_a_teacher_in_training_mode_is_named(runs, module, words):
    teacher = ObjectModel.around(seeded_net(module), {})
    told = runs.refused(ExperimentSpec.parse({**SPEC, "teacher": teacher}))
    assert words in told


def test_a_teacher_with_a_class_less_than_the_data_is_refused_with_both_counts(
    runs, good, tmp_path
):
    """Seen from the data: it has one class more than the teacher."""
    described = json.loads(good.with_suffix(".json").read_text())
    tensors = read_tensors(good)
    for name in head_of(tensors):
        tensors[name] = tensors[name][:9].contiguous()
    save_file(tensors, tmp_path / "t.safetensors")
    built_from = {**described["architecture"], "num_classes": 9}
    (tmp_path / "t.json").write_text(json.dumps({"spec": None, "architecture": built_from}))
    with pytest.raises(BadModel, match=r"into 9 classes, the data has 10\. Take a model of this"):
        runs.go(spec_with({"teacher": {"use": f"path:{tmp_path / 't.safetensors'}"}}))


def test_a_term_that_hardly_pulls_is_warned_of_with_all_shares(runs):
    run = runs.go(spec_with({f"{TERMS_AT}.ce.weight": 1e-5}))
    found = runs.store.runs.get(run).protocol["checks"]["found"]
    assert [f["check"] for f in found] == ["share"] and found[0]["subject"] == "terms.ce"
    assert "of the gradient at step 0 (kd 100.0%, ce 0.0%)" in found[0]["message"]


def test_a_term_whose_weight_starts_at_0_on_a_schedule_is_not_warned_of(runs):
    ramp = {"use": "linear", "start": 0.0, "end": 1.0}
    run = runs.go(spec_with({f"{TERMS_AT}.ce.weight": ramp}))
    assert runs.store.runs.get(run).protocol["checks"]["found"] == []


def test_a_mistake_in_a_term_does_not_cost_a_teacher(runs, terms):
    class Over(UserTerm):
        @staticmethod
        def value(student, target):
            return kl(student, target, 0).sum(-1)

    TERMS.register("user")(Over)
    changes = {f"{TERMS_AT}.user": {"use": "user"}, "teacher.train.seed": 77}
    runs.refused(spec_with(changes))
    assert not runs.store.runs.list(roles=("teacher",), group=runs.run)


def test_allow_takes_names_of_checks_only(runs):
    with pytest.raises(InvalidExperiment, match=r"no check 'sahre'\. Did you mean 'share'"):
        runs.go(spec_with({"allow": ["sahre"]}))


def test_checks_and_estimate_leave_the_bits_of_a_run(train, monkeypatch):
    plain = train({"stages.main.steps": 5})
    with_checks = plain.weights
    bare = train({"stages.main.steps": 5}, checks=False)
    assert bare.weights == with_checks
    np.testing.assert_array_equal(bare.series().values, plain.series().values)
