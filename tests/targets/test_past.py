"""The student's own past as its target: the formula, what is remembered and when, and a whole run.

Rows of the fakes: N = 6 training rows with ids 10 to 15 of 20, K = 3 classes.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from workbench.errors import BadFile, BadInput, InvalidExperiment
from workbench.export import export_run
from workbench.functional.logits import ce
from workbench.functional.soft_targets import soft_ce, soft_ce_of_logits
from workbench.models.batch import Batch
from workbench.models.taps import KNOWN, Taps
from workbench.registries import TARGETS, TERMS
from workbench.runs.fork import fork
from workbench.store.store import Store
from workbench.targets.kinds import Moment
from workbench.targets.past import PastPredictions
from workbench.terms.term import TermContext
from workbench.training import loop
from workbench.training.part import Part

from ..runs.touched import MAIN, Hand, assert_same, killed, untouched_torch

IDS = torch.arange(10, 16)
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])
EPOCHS = 4
PAST = {f"{MAIN}.target": {"use": "past"}, f"{MAIN}.terms": {"soft": {"use": "soft-ce"}}}
"""The tiny experiment without its teacher."""


def built(rows: int = 6, classes: int = 3) -> PastPredictions:
    return PastPredictions(IDS[:rows], 20, classes)


def batch(rows: slice | list[int] = slice(6), labels: torch.Tensor = LABELS) -> Batch:
    return Batch(IDS[rows], torch.zeros(len(IDS[rows]), 1, 3, 3), labels[rows])


def said(seed: int, rows: int = 6) -> Taps:
    generator = torch.Generator().manual_seed(seed)
    return Taps({"logits": 2 * torch.randn(rows, 3, generator=generator)})


def shapes(names):
    return dict.fromkeys(names, (3,))


def asked(target: PastPredictions, of: Batch, student: Taps, epoch: int, share: float = 0.8):
    moment = Moment(step=epoch, steps=EPOCHS, epoch=epoch, epochs=EPOCHS)
    return target(of, {"share": share}, moment, student)


# The formula


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8, 1.0])
def test_epoch_by_epoch_it_is_the_papers_mix_of_label_and_last_prediction(share):
    """Against float64: (1 - a) onehot + a p of the epoch before, a = share (e + 1) / E."""
    target, order = built(), [3, 0, 5, 1, 4, 2]
    past = np.eye(3)[LABELS]  # before the first epoch: the labels themselves
    for epoch in range(EPOCHS):
        student = said(epoch)
        found = asked(target, batch(order), student, epoch, share)["logits"]
        alpha = share * (epoch + 1) / EPOCHS
        expected = (1 - alpha) * np.eye(3)[LABELS] + alpha * past
        np.testing.assert_allclose(found.softmax(-1), expected[order], rtol=1e-5, atol=1e-6)
        target.after_step(batch(order), student)
        now = student["logits"].double().numpy()
        past[order] = np.exp(now) / np.exp(now).sum(-1, keepdims=True)


def test_in_the_first_epoch_it_is_plain_cross_entropy():
    student = said(0)
    found = asked(built(), batch(), student, 0)["logits"]
    assert torch.isfinite(found).all()
    torch.testing.assert_close(
        soft_ce_of_logits(student["logits"], found), ce(student["logits"], LABELS)
    )


def test_the_past_belongs_to_the_row_and_not_to_its_place_in_the_batch():
    target, first = built(), said(0)
    target.after_step(batch(), first)
    order = [4, 0, 2]
    student = said(5, rows=3)
    found = asked(target, batch(order), student, EPOCHS - 1, 1.0)["logits"]
    expected = soft_ce(student["logits"], first["logits"][order].softmax(-1))
    torch.testing.assert_close(soft_ce_of_logits(student["logits"], found), expected)


def test_a_row_that_comes_again_is_remembered_as_it_was_said_last():
    target = built()
    target.after_step(batch(), said(0))
    target.after_step(batch([2]), said(1, rows=1))
    assert torch.equal(target.probs[2], said(1, rows=1)["logits"][0].softmax(-1))
    assert torch.equal(target.probs[[0, 1, 3, 4, 5]], said(0)["logits"][[0, 1, 3, 4, 5]].softmax(1))


def test_asking_changes_nothing():
    target = built()
    target.after_step(batch(), said(0))
    before = {name: tensor.clone() for name, tensor in target.state().items()}
    drawn = torch.get_rng_state()
    one, two = (asked(target, batch(), said(1), 2)["logits"] for _ in range(2))
    assert torch.equal(one, two)
    assert all(torch.equal(before[name], tensor) for name, tensor in target.state().items())
    assert torch.equal(torch.get_rng_state(), drawn)


def test_gaps_of_240_stay_finite_in_value_and_gradient():
    target = built()
    target.after_step(batch(), Taps({"logits": torch.tensor([[240.0, 0.0, -240.0]] * 6)}))
    student = torch.tensor([[-240.0, 0.0, 240.0]] * 6, requires_grad=True)
    found = asked(target, batch(), Taps({"logits": student}), 3)["logits"]
    value = soft_ce_of_logits(student, found)
    value.sum().backward()
    assert torch.isfinite(value).all() and torch.isfinite(student.grad).all()


# Rows whose label is withheld


@pytest.mark.parametrize("name", ["soft-ce", "kd", "dkd", "mix"])
def test_rows_with_a_withheld_label_do_not_move_the_student(name):
    """Gradient exactly 0 there, and the others as if these rows were not in the batch."""
    options = {"a": {"use": "soft-ce"}, "b": {"use": "ce"}} if name == "mix" else {}
    kind = TERMS.get(name).model_validate({"use": name, **options})
    context = TermContext(shapes, shapes, (), (), seed=0)
    term, values = kind.build(context), {key: float(x) for key, x in kind.knobs().items()}
    hidden = torch.tensor([0, -1, 2, -1, 1, -1])
    seen = [0, 2, 4]
    gradients = []
    for rows in (list(range(6)), seen):
        target = built()
        target.after_step(batch(), said(0))
        student = said(1)["logits"][rows].requires_grad_()
        of = batch(rows, hidden)
        found = asked(target, of, Taps({"logits": student}), 2)
        term(Taps({"logits": student}), found, of, values).reduced().backward()
        gradients.append(student.grad)
    whole, alone = gradients
    assert torch.count_nonzero(whole[[1, 3, 5]]) == 0
    torch.testing.assert_close(whole[seen], alone, rtol=1e-6, atol=1e-8)
    assert torch.count_nonzero(alone) > 0


def test_where_every_label_is_known_nothing_is_masked():
    of = Batch(IDS, torch.zeros(6, 1, 3, 3), LABELS, all_labelled=True)
    assert KNOWN not in asked(built(), of, said(0), 0)
    hidden = batch(slice(6), torch.tensor([0, -1, 2, 0, 1, 2]))
    assert asked(built(), hidden, said(0), 0)[KNOWN].tolist() == [True, False] + [True] * 4


# What it says of itself, and what it refuses


def test_state_and_load_are_bit_equal():
    one, other = built(), built()
    one.after_step(batch([1, 4]), said(0, rows=2))
    other.load({name: tensor.clone() for name, tensor in one.state().items()})
    assert one.state().keys() == {"probs", "seen"}
    assert all(torch.equal(tensor, other.state()[name]) for name, tensor in one.state().items())
    student = said(1)
    assert torch.equal(
        asked(one, batch(), student, 3)["logits"], asked(other, batch(), student, 3)["logits"]
    )


@pytest.mark.parametrize(("rows", "classes"), [(5, 3), (6, 4)])
def test_a_memory_of_another_size_is_refused_with_both_sizes(rows, classes):
    with pytest.raises(BadFile, match=rf"holds 6 x 3 .*the data has {rows} x {classes}") as refused:
        built(rows, classes).load(built().state())
    assert refused.value.exit_code == 2
    with pytest.raises(BadFile, match=r"holds no numbers"):
        built().load({"seen": torch.ones(6, dtype=torch.bool)})


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_outside_0_to_1_is_refused(hand, share):
    with pytest.raises(InvalidExperiment, match=r"target\.share.*must be ≥ 0 and ≤ 1"):
        hand.accept({**PAST, f"{MAIN}.target": {"use": "past", "share": share}})


def test_a_term_of_layers_is_refused_in_words():
    with pytest.raises(BadInput, match=r"remembers logits, not layers.*'stage1'.*soft-ce"):
        built().want(["logits", "stage1"])
    built().want(["logits"])


def test_it_draws_nothing_and_asks_no_teacher():
    kind = TARGETS.get("past").model_validate({"use": "past"})
    assert (kind.knobs(), kind.shaped_like) == ({"share": 0.8}, "student")
    target = built()
    assert target.follows_student and not target.draws


# A whole run


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    opened = Store(str(tmp_path_factory.mktemp("past") / "workbench.db"))
    yield opened
    opened.close()


@pytest.fixture
def hand(store, monkeypatch):
    with untouched_torch():
        yield Hand(store, monkeypatch)


@pytest.fixture(scope="module")
def whole(store):
    """A run of several epochs that nobody touched, with a checkpoint in mid-epoch."""
    with pytest.MonkeyPatch.context() as patch, untouched_torch():
        hand = Hand(store, patch)
        run = hand.accept({**PAST, f"{MAIN}.steps": 20})
        return hand.train(run, at={9: lambda: hand.send(run, "checkpoint")})


def test_the_memory_is_of_the_forward_in_training_mode_before_the_step(hand, monkeypatch):
    """With dropout and batch norm: neither what evaluation says nor what is said afterwards."""
    spoken, kept, learned = {}, [], Part.learned

    def remembered(part, of, taps):
        if not part.see_all_labels:
            assert part.model.training
            for row, logits in zip(of.ids.tolist(), taps["logits"].detach(), strict=True):
                spoken[row] = logits.softmax(-1)
            kept.append(part)
        learned(part, of, taps)

    monkeypatch.setattr(Part, "learned", remembered)
    student = {"use": "timm/test_resnet", "drop_rate": 0.3}
    hand.train({**PAST, f"{MAIN}.steps": 10, "student": student})
    part, target = kept[-1], kept[-1].target
    train = part.data.split_ids("train")
    assert bool(target.seen.all()) and set(spoken) == set(train.tolist())
    assert all(torch.equal(target.probs[i], spoken[int(row)]) for i, row in enumerate(train))
    last = part.batch(9)
    now = part.model.eval()(last.inputs).softmax(-1)
    places = [train.tolist().index(row) for row in last.ids.tolist()]
    assert not torch.allclose(target.probs[places], now, atol=1e-3)


def test_the_loss_is_plain_cross_entropy_in_the_first_epoch_only(hand, whole):
    plain = hand.train({f"{MAIN}.terms": {"soft": {"use": "ce"}}, f"{MAIN}.steps": 20})
    mine, theirs = (hand.column(run, "loss") for run in (whole, plain))
    epoch = -(-hand.row(whole).protocol["splits"]["train"]["rows"] // 32)
    np.testing.assert_allclose(mine[:epoch], theirs[:epoch], rtol=2e-3, atol=2e-4)
    assert abs(mine[-1] - theirs[-1]) > 0.01


def test_a_run_that_is_killed_in_mid_epoch_goes_on_bit_for_bit(hand, whole, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    run = hand.accept({**PAST, f"{MAIN}.steps": 20})
    hand.train(run, at={11: killed})
    hand.train(run, at={17: killed})
    hand.train(run)
    resumed = [e.step for e in hand.store.journal.events(run) if e.kind == "resumed"]
    assert len(resumed) == 2 and all(step > 0 for step in resumed)
    assert_same(hand, run, whole)


def test_a_run_that_pauses_by_itself_and_a_replay_are_equal(hand, whole):
    run = hand.accept({**PAST, f"{MAIN}.steps": 20})
    hand.train(run, pause_at=10, paused=lambda: hand.send(run, "resume"))
    assert_same(hand, run, whole)
    assert hand.replay(whole).equal


@pytest.mark.parametrize("at", [0, 9, 13])
def test_a_fork_takes_the_memory_along(hand, whole, at):
    assert_same(hand, hand.train(fork(hand.store, whole, at, {}, who="ada")), whole)
    changed = hand.train(fork(hand.store, whole, at, {f"{MAIN}.target.share": 0.1}, who="ada"))
    assert hand.weights(changed) != hand.weights(whole)
    assert hand.replay(changed).equal


def test_its_script_finds_the_same_numbers(store, whole, tmp_path, python):
    script = export_run(store, whole, "script", tmp_path / "past.py")
    done = python(script, "--check", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "bit for bit" in done.stdout


# In mid-run


def test_it_may_begin_in_mid_run_with_an_empty_memory(hand):
    """What is set by hand is what the same plan trains; both can be replayed and resumed."""
    path, value = f"{MAIN}.target", {"use": "past"}
    terms = {f"{MAIN}.terms": {"soft": {"use": "soft-ce"}}}
    touched = hand.train(terms, at={5: (path, value)})
    planned = hand.train({**terms, "interventions": [{"step": 5, "set": {path: value}}]})
    assert_same(hand, touched, planned)
    assert hand.replay(touched).equal
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
        run = hand.accept(terms)
        hand.train(run, at={5: (path, value), 10: killed})
        hand.train(run)
    assert_same(hand, run, touched)


def test_share_is_live(hand, whole):
    run = hand.train({**PAST, f"{MAIN}.steps": 20}, at={10: (f"{MAIN}.target.share", 0.0)})
    assert hand.weights(run) != hand.weights(whole)
    assert hand.column(run, "loss")[:10].tolist() == hand.column(whole, "loss")[:10].tolist()
    assert hand.replay(run).equal


def test_another_view_of_the_data_keeps_the_memory(hand):
    """The rows stay the same rows: what was said of them still stands."""
    found = []

    def look(part):
        found.append(part.target.seen.float().mean().item())

    real = Part.set_rate
    with pytest.MonkeyPatch.context() as patch:

        def rate(part, step):
            if step in (9, 10) and not part.see_all_labels:
                look(part)
            return real(part, step)

        patch.setattr(Part, "set_rate", rate)
        plan = [{"step": 10, "set": {"data.augment": "shift"}}]
        run = hand.train({**PAST, "interventions": plan})
    assert hand.row(run).status == "finished", hand.row(run).error
    assert hand.replay(run).equal
    assert found[0] == found[1] == 1.0


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (f"{MAIN}.terms.hint", {"use": "hint", "weight": 0.1}),
        (f"{MAIN}.target", {"use": "past"}),
    ],
    ids=["a term under the past", "the past over a term"],
)
def test_layers_and_the_past_do_not_come_together_in_mid_run(hand, path, value):
    start = PAST
    if path.endswith("target"):
        terms = {"soft": {"use": "soft-ce"}, "hint": {"use": "hint", "weight": 0.1}}
        start = {f"{MAIN}.terms": terms}
    run, commands = hand.accept(start), []
    hand.train(run, at={6: lambda: commands.append(hand.set(run, path, value))})
    assert hand.row(run).status == "finished"
    assert "it remembers logits, not layers" in hand.refusal(commands[0])
    assert hand.changes(run) == []
    assert_same(hand, run, hand.train(start))


def test_layers_under_the_past_are_refused_before_step_0(hand):
    terms = {"soft": {"use": "soft-ce"}, "hint": {"use": "hint"}}
    with pytest.raises(BadInput, match="it remembers logits, not layers"):
        hand.train({**PAST, f"{MAIN}.terms": terms})
