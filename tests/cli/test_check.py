"""``workbench check``: all that stands between an experiment and its first step, from a shell."""

from __future__ import annotations

from workbench.specs.files import dump_yaml

from ..small import SMALL


def test_every_wrong_field_is_a_row_with_what_mends_it_and_the_exit_code_is_2(shell):
    wrong = ("--set", "student.use=cnn-tny", "--set", "stages.main.epochs=0")
    told = shell("check", "quickstart", *wrong, "--json", code=2).json
    assert told["ready"] is False
    assert told["estimate"] is None
    rows = {row["path"]: row for row in told["checks"]}
    assert {row["state"] for row in rows.values()} == {"failed"}
    assert rows["student.use"]["fix"]["value"] == "cnn-tiny"
    assert "≥ 1" in rows["stages.main.epochs"]["detail"]
    assert (
        "Use cnn-tiny: --set student.use=cnn-tiny"
        in shell("check", "quickstart", *wrong, code=2).out
    )


def test_a_file_is_tried_and_nothing_is_trained_or_kept(shell):
    path = shell.folder / "mine.yaml"
    path.write_text(dump_yaml(SMALL))
    told = shell("check", str(path), "--json").json
    assert told["ready"] is True
    assert told["estimate"]["seconds"] > 0
    assert {"Every field is allowed", "The loss moves the student"} <= {
        row["title"] for row in told["checks"]
    }
    layer = "stages.main.terms.hint={use: hint, teacher_tap: stge3}"
    missing = shell("check", str(path), "--set", layer, "--json", code=2).json
    assert missing["checks"][0]["fix"] == {
        "label": "Use stage3",
        "path": "stages.main.terms.hint.teacher_tap",
        "value": "stage3",
    }
    assert shell.rows("--all") == []


def test_what_is_no_experiment_is_refused_in_words(shell):
    assert "No recipe 'quikstart'" in shell("check", "quikstart", code=2).err
    (shell.folder / "list.yaml").write_text("- a\n")
    assert "holds a list" in shell("check", str(shell.folder / "list.yaml"), code=2).err
