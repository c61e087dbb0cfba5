"""A run that broke says where and why, and offers the way out: a fork before it, or to go on."""

from __future__ import annotations

from dataclasses import replace

import pytest
from playwright.sync_api import expect

from workbench.dashboard import notice as strip
from workbench.dashboard.failure import failure
from workbench.recipes import open_experiment
from workbench.runs.history import History
from workbench.runs.launch import accept
from workbench.runs.run import Run
from workbench.runs.worker import work
from workbench.training.journal import Event


def broken(finished) -> str:
    """The quickstart at smoke scale; its temperature is changed to what no float32 divides by."""
    spec, recipe, base = open_experiment("quickstart")
    spec = spec.at_scale("smoke")
    data = spec.model_dump(mode="json", exclude_unset=True)
    data["interventions"] = [{"step": 9, "set": {"stages.main.terms.kd.temperature": 1e-38}}]
    run = accept(
        finished.store, type(spec).model_validate(data), recipe=recipe, base=base, threads=1
    )
    assert work(str(finished.store.path), run) == 1
    return run


def test_a_loss_that_became_no_number_names_term_step_and_samples_and_offers_the_fork(
    page, finished, served
):
    run = broken(finished)
    row = finished.store.runs.get(run)
    good = row.error["last_good_step"] or 0
    line = strip.notice(History.load(finished.store, run))
    assert (line["kind"], line["code"]) == ("bad", "WB201")
    assert line["head"] == f"Failed: {row.error['message'].split('. ')[0]}."
    for word in ("first in the term 'kd'", f"at step {row.error['facts']['step']}"):
        assert word in line["head"]
    assert line["text"].startswith("Sample ids: ")
    assert line["acts"][0]["step"] == good

    page.goto(f"{served.url}?run={run}")
    expect(page.locator("[data-run]")).to_have_attribute("data-status", "failed")
    notice = page.locator("#notice [role=alert]")
    expect(notice).to_contain_text("first in the term 'kd'")
    table = notice.locator(".evidence")
    expect(table).to_contain_text("WB201 NonFiniteLoss")
    expect(table).to_contain_text("last good checkpoint")
    views = f"Views keep showing step {finished.store.snapshot_steps(run)[-1]}, the last complete"
    expect(notice).to_contain_text(views)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    notice.get_by_role("button", name="Copy report").click()
    expect(notice.get_by_role("button", name="Report copied")).to_be_visible()
    text = page.evaluate("navigator.clipboard.readText()")
    assert text == line["report"].replace(f"replay {run}", f"replay {run} --store {served.store}")
    ids = row.error["facts"]["samples"]
    notice.get_by_role("button", name="Show sample").click()
    card = page.locator("#samples")
    expect(card.locator("[data-named] img")).to_have_count(len(ids))
    expect(card).to_contain_text("first in the term kd")
    expect(card.locator("[data-named]").first).to_contain_text(f"no. {ids[0]}")
    card.get_by_role("button", name="Back to the probe samples").click()
    expect(card.locator("[data-named]")).to_have_count(0)

    notice.get_by_role("button", name=f"Fork at {good}", exact=True).click()
    page.wait_for_url(lambda url: "run=" in url and run not in url)
    child = page.url.split("run=")[1].split("&")[0]
    assert finished.store.runs.get(child).parent == run
    assert finished.store.runs.get(child).forked_at == good
    assert "1e-38" not in str(finished.store.runs.get(child).experiment)
    page.goto("about:blank")
    Run(child, finished.store).stop()
    Run(child, finished.store).wait()
    for one in (child, run):  # other modules count the runs of this store
        finished.store.runs.remove(one)


def test_the_report_holds_what_somebody_else_needs(finished):
    history = History.load(finished.store, finished.run)
    facts = {"term": "kd", "step": 30, "samples": [3, 17]}
    error = {"code": "WB201", "message": "The loss became nan.", "last_good_step": 20}
    row = replace(history.row, status="failed", step=30, error={**error, "facts": facts})
    told = failure(replace(history, row=row), "/a store/workbench.db")
    assert (told["samples"], told["term"]) == ([3, 17], "kd")
    lines = told["report"].splitlines()
    assert lines[0] == f"Run {row.id} failed at step 30 of 30."
    assert "cause: [WB201] The loss became nan." in lines
    assert "term: kd" in lines
    assert "samples: 3, 17" in lines
    assert "last good checkpoint: step 20" in lines
    assert any(line.startswith("versions: ") and "torch" in line for line in lines)
    assert lines[-1].endswith(f"workbench replay {row.id} --store '/a store/workbench.db'")


def test_a_failure_with_a_checkpoint_counts_the_steps_that_are_lost(finished):
    run = finished.store.runs.get(finished.run)
    error = {"code": "WB201", "message": "The loss became nan.", "last_good_step": 20}
    line = strip._failed(replace(run, status="failed", step=30, error=error))
    assert line["evidence"] == [
        ["last good checkpoint", "step 20"],
        ["steps lost", "10"],
        ["error", "WB201 NonFiniteLoss"],
    ]
    # Nothing was changed after the checkpoint: the same steps would fail again.
    assert [act["word"] for act in line["acts"]] == ["Fork at 20 with changes", "Fork at 20"]
    assert "would fail again" in line["acts"][0]["title"]


@pytest.mark.parametrize(("step", "first"), [(20, "where"), (21, "fork")])
def test_one_press_repairs_what_a_change_after_the_checkpoint_broke(finished, step, first):
    run = finished.store.runs.get(finished.run)
    row = replace(run, status="failed", step=30, error={"last_good_step": 20})
    events = [Event(step, "set", "page", {}), Event(25, "note", "page", {})]
    acts = strip._failed(row, events)["acts"]
    assert (acts[0]["do"], {act["step"] for act in acts}) == (first, {20})
