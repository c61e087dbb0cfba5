"""Parts of a run in the field's words, whatever a store calls them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from workbench.cli.main import main
from workbench.errors import RefusedCommand
from workbench.runs.draft.forked import draft_of_fork
from workbench.runs.fork import fork
from workbench.runs.keeper import StoreKeeper
from workbench.runs.replay import replay
from workbench.store.store import Store
from workbench.training.card import text
from workbench.training.journal import part_in_a_sentence, part_words

from ..small import SMALL

ROLES = {
    "teacher": ("teacher", "a teacher"),
    "control": ("control", "a control"),
    "plain_kd": ("plain KD", "a plain KD control"),
    "stage-warm-up": ("stage warm-up", "the earlier stage warm-up"),
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """One of its own: this process claims the rows, and trains nothing."""
    opened = Store(str(tmp_path / "workbench.db"))
    yield opened
    opened.close()


@pytest.fixture
def run(store: Store) -> str:
    """A run with a row for each part, as a worker makes them."""
    name = store.runs.create(name="small", experiment=SMALL, options={})
    keeper = StoreKeeper(store, name, store.runs.claim(name))
    for role in ROLES:
        keeper.recorder(role)
    return name


@pytest.mark.parametrize(("role", "said"), ROLES.items())
def test_who_asks_for_a_part_hears_what_it_is_and_what_to_ask_for(store, run, role, said):
    words, sentence = said
    assert (part_words(role), part_in_a_sentence(role)) == said
    part = f"{run}-{role}"
    assert (store.runs.get(part).role, store.runs.get(part).name) == (role, f"small ({words})")
    for ask in (lambda: fork(store, part, 0, {}, who="ada"), lambda: draft_of_fork(store, part, 0)):
        with pytest.raises(RefusedCommand, match=f"is {sentence}; fork the student's run, {run}"):
            ask()
    with pytest.raises(RefusedCommand, match=f"is {sentence}; replay the whole run, {run}"):
        replay(store, part)


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*words])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_lists_and_the_protocol_say_the_same_and_json_keeps_the_stored_name(
    store, run, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "200")
    told = printed(capsys, "runs", "--all", "--store", str(store.path))
    assert all(words in told for words, _ in ROLES.values())
    assert "(plain_kd)" not in told and "stage-warm-up)" not in told
    told = printed(capsys, "runs", "--all", "--json", "--store", str(store.path))
    assert '"role": "plain_kd"' in told
    look = {"value": 0.5, "step": 2}
    accuracy = {"last": look, "best": look, "mean_of_last_k": 0.5}
    numbers = {"n": 9, "k": 2, "accuracy": accuracy}
    line = text({"numbers": {"plain_kd": numbers}})[0]
    assert line.startswith("probe split, plain KD, n = 9: ")
