"""The protocol in words: whole, in part, and under a figure."""

from __future__ import annotations

from workbench.training.card import SHORT, WIDE, caption, text


def test_the_lines_of_a_run_name_every_condition_of_its_numbers(train):
    run = train({"control": True})
    protocol = run.row.protocol
    lines = text(protocol)
    said = " ".join(line.strip() for line in lines)
    assert max(map(len, lines)) <= WIDE
    test, probe = (protocol["splits"][name]["rows"] for name in ("test", "probe"))
    best = protocol["numbers"]["accuracy"]["best"]
    for words in (
        f"test split, n = {test}, read once, weights of the last step; seed 0 (splits 0, ",
        f"probe split, n = {probe}: accuracy last ",
        f"best {100 * best['value']:.2f} % at step {best['step']} (optimistic)",
        f"mean of the last {protocol['numbers']['k']} grid looks ",
        "probe split, control, n = ",
        f"teacher {protocol['teacher']['hash'][:SHORT]}, ",
        f"test accuracy {100 * protocol['teacher']['accuracy']:.2f} %, ECE ",
        *(part["hash"][:SHORT] for part in protocol["splits"].values()),
        "batch size 32",
        f"torch {protocol['versions']['torch']}, 1 thread",
        f"{protocol['seconds']:.1f} s",
        "% of time (12 on a grid",
        "interventions: none",
    ):
        assert words in said, words


def test_what_is_not_known_yet_is_left_out():
    assert text({}) == []
    told = text({"teacher": {"hash": "ab" * 32, "source": "from the cache", "probe": {}}})
    assert told == ["teacher abababababab, from the cache"]
    assert caption({"seed": 2}, split="probe", step=40) == "probe, step 40; seed 2"
    probed = {"teacher": {"hash": "cd" * 32, "probe": {"accuracy": 0.98}}}
    assert caption(probed) == "test, last step; teacher cdcdcdcdcdcd, 98.0 % on probe"


def test_a_caption_is_one_short_line(train):
    protocol = train({"control": True}).row.protocol
    line = caption(protocol, split="probe", step=14)
    rows, digest = protocol["splits"]["probe"]["rows"], protocol["teacher"]["hash"][:SHORT]
    assert line.startswith(f"probe, n = {rows}, step 14; seed 0; teacher {digest}, ")
    assert line.endswith("1 thread")
    assert len(line) < 120
    assert "\n" not in line


def test_many_interventions_are_counted_and_the_first_told():
    made = [{"kind": "set", "path": "a.b", "step": step} for step in (3, 5, 7, 9, 11)]
    made.insert(0, {"kind": "pause", "step": 1})
    (line,) = text({"interventions": made})
    assert (
        line == "interventions: pause at step 1; set a.b at step 3; set a.b at step 5; and 3 more"
    )
