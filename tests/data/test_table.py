"""Tables by name: your own file, NSL-KDD in its own format, and the two of scikit-learn."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from sklearn.datasets import load_breast_cancer, load_wine

from workbench.data import (
    BreastCancer,
    DataSpec,
    Examples,
    ImageData,
    NslKdd,
    Table,
    Wine,
    build_data,
    split,
    table,
)
from workbench.data.table import NSL_KDD_COLUMNS
from workbench.errors import BadData, BadFile, InvalidExperiment
from workbench.registries import DATA
from workbench.specs.base import Pick
from workbench.specs.experiment import ExperimentSpec

PICK: TypeAdapter[Any] = TypeAdapter(Annotated[DataSpec, Pick(DATA)])


def connection(label: str, *, service: str = "http", source: int = 0, rest: str = "0") -> str:
    """A row as NSL-KDD writes one: 41 measurements, the attack, how hard it is."""
    return ",".join(["0", "tcp", service, "SF", str(source), *[rest] * 36, label, "21"])


@pytest.fixture
def connections(tmp_path: Path) -> Path:
    """A folder of both files: 60 training rows, 8 test rows, one attack in the test part only."""
    folder = tmp_path / "nsl"
    folder.mkdir()
    train = [
        connection(("normal", "neptune", "smurf")[row % 3], service=("http", "ftp")[row % 2],
                   source=10**(row % 9), rest=f"{row % 7 / 10:.2f}")
        for row in range(60)
    ]  # fmt: skip
    test = [connection("normal"), connection("apache2", service="never_seen", source=9)] * 4
    (folder / "KDDTrain+_20Percent.txt").write_text("\n".join(train) + "\n")
    (folder / "KDDTest+.txt.gz").write_bytes(gzip.compress("\n".join(test).encode()))
    return folder


def test_nsl_kdd_knows_its_columns_merges_attacks_and_keeps_its_test_part(
    connections: Path,
) -> None:
    examples = NslKdd(path="nsl").load(connections.parent)
    assert examples.class_names == ("normal", "attack")
    assert np.bincount(examples.labels).tolist() == [24, 44]
    assert examples.test_rows is not None and examples.test_rows.tolist() == list(range(60, 68))
    assert examples.labels[60:].tolist() == [0, 1] * 4  # apache2 is in the test part only
    names = examples.feature_names
    assert names[:5] == ("log1p(duration)", "protocol_type=tcp", "service=ftp", "service=http",
                         "flag=SF")  # fmt: skip
    assert "difficulty" not in names and len(names) == 42
    row = dict(zip(names, examples.inputs[61].tolist(), strict=True))
    assert (row["service=ftp"], row["service=http"]) == (0, 0)
    assert row["log1p(src_bytes)"] == np.float32(np.log(10))
    assert len(NSL_KDD_COLUMNS) == 43


def test_nsl_kdd_with_each_attack_apart_refuses_one_that_training_lacks(connections: Path) -> None:
    spec = PICK.validate_python({"use": "nsl-kdd", "path": "nsl", "classes": {}})
    with pytest.raises(BadData, match=r"KDDTest.*line 2, column 'label': the class 'apache2'"):
        spec.load(connections.parent)
    named = NslKdd(path="nsl", classes={"apache2": "neptune"}).load(connections.parent)
    assert named.class_names == ("neptune", "normal", "smurf")


def test_nsl_kdd_names_a_missing_and_a_foreign_file(connections: Path) -> None:
    (connections / "KDDTest+.txt.gz").rename(connections / "test.gz")
    with pytest.raises(BadFile, match=r"WB104.*no file KDDTest\+\.txt \(or KDDTest\+\.txt\.gz\)"):
        NslKdd(path="nsl").load(connections.parent)
    (connections / "KDDTest+.txt").write_text("a,b\n1,2\n")
    with pytest.raises(BadFile, match="has 2 columns, the format has 43"):
        NslKdd(path="nsl").load(connections.parent)


def test_your_own_file_is_read_as_its_options_say(tmp_path: Path) -> None:
    (tmp_path / "mine.data.csv.gz").write_bytes(gzip.compress(b"a,7,x,0.5\nb,8,y,1.5\na,9,x,2.5\n"))
    spec = Table(path="mine.data.csv.gz", label=1, header=False, drop=(2,), log1p=(-1,))
    examples = spec.load(tmp_path)
    assert examples.name == "mine.data" and examples.class_names == ("a", "b")
    assert examples.feature_names == ("column 3=x", "column 3=y", "log1p(column 4)")
    np.testing.assert_allclose(examples.inputs[:, 2], np.log1p([0.5, 1.5, 2.5]), rtol=1e-6)


def test_the_last_column_is_the_label_unless_told_and_a_test_file_is_the_test_part(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.csv").write_text("x,kind\n1,0\n2,1\n")
    (tmp_path / "b.csv").write_text("x,kind\n3,1\n")
    spec = PICK.validate_python(
        {"use": "table", "path": "a.csv", "test_path": "b.csv", "classes": {0: "no", 1: "yes"}}
    )
    examples = spec.load(tmp_path)
    assert examples.class_names == ("no", "yes") and examples.labels.tolist() == [0, 1, 1]
    assert examples.test_rows is not None and examples.test_rows.tolist() == [2]


@pytest.mark.parametrize("option", ["path", "test_path"])
def test_a_path_to_nothing_is_named_with_its_option(tmp_path: Path, option: str) -> None:
    (tmp_path / "a.csv").write_text("x,kind\n1,0\n2,1\n")
    spec = Table(**{"path": "a.csv", option: "gone.csv"})
    with pytest.raises(BadFile, match=rf"WB104.*`{option}`: .*'gone\.csv' does not exist"):
        spec.load(tmp_path)


@pytest.mark.parametrize(
    "data",
    [
        "wine",
        {"use": "breast-cancer", "limit": 100},
        {"use": "nsl-kdd", "path": "nsl", "classes": {"*": "x"}},
        {"use": "table", "path": "a.csv", "label": "kind", "header": False, "test_path": "b.csv",
         "drop": ["id", 3], "categorical": [], "log1p": ["b"], "classes": {"a": "b"}},
    ],
)  # fmt: skip
def test_what_was_given_comes_back(data: Any) -> None:
    assert PICK.validate_python(data).given() == data


@pytest.mark.parametrize("data", ["wine", "breast-cancer", {"use": "table", "path": "a.csv"}])
@pytest.mark.parametrize("how", ["shift", "flip", "crop-flip"])
def test_rows_are_not_moved_and_the_experiment_says_so(data: Any, how: str) -> None:
    options = {"use": data} if isinstance(data, str) else data
    assert PICK.validate_python({**options, "augment": "none"}).augment == "none"
    with pytest.raises(ValidationError, match="must be none: it moves pixels"):
        PICK.validate_python({**options, "augment": how})
    with pytest.raises(InvalidExperiment, match=r"(?s)WB103.*data\.augment: must be none"):
        ExperimentSpec.parse(
            {"name": "t", "data": {**options, "augment": how}, "teacher": "mlp", "student": "mlp",
             "stages": {"main": {"terms": {"ce": "ce"}, "steps": 1}}}
        )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "loader"), [(BreastCancer, load_breast_cancer), (Wine, load_wine)]
)
def test_packaged_tables_equal_scikit_learns_loader(
    tmp_path: Path, kind: type[Any], loader: Any
) -> None:
    examples, bunch = kind().load(tmp_path), loader()
    np.testing.assert_array_equal(examples.inputs, bunch.data.astype(np.float32))
    np.testing.assert_array_equal(examples.labels, bunch.target)
    assert examples.class_names == tuple(bunch.target_names.tolist())
    theirs = [name.replace("_", " ") for name in list(bunch.feature_names)]
    assert list(examples.feature_names) == theirs


def test_content_never_changes(tmp_path: Path) -> None:
    """Stored teachers are found by this hash."""
    hashes = [kind().load(tmp_path).content_hash[:16] for kind in (BreastCancer, Wine)]
    assert hashes == ["7c747089531e3f91", "266fa61e9740c112"]


def test_missing_scikit_learn_and_a_missing_file_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as without:
        without.setattr(table.importlib.util, "find_spec", lambda name: None)
        with pytest.raises(BadData, match=r"WB105.*breast-cancer.*Install scikit-learn"):
            BreastCancer().load(tmp_path)
    monkeypatch.setattr(Path, "is_file", lambda path: False)
    with pytest.raises(BadFile, match=r"wine_data\.csv, the table wine, is missing"):
        Wine().load(tmp_path)


def test_loading_imports_neither_torch_nor_scikit_learn_nor_pandas() -> None:
    program = (
        "import sys; from pathlib import Path; from workbench.registries import DATA\n"
        "DATA.get('wine')().load(Path()); DATA.get('breast-cancer')().load(Path())\n"
        "print({'torch', 'sklearn', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_a_built_table_gives_rows_and_says_that_they_are_no_images(tmp_path: Path) -> None:
    data = build_data(BreastCancer(labels_per_class=5), base=tmp_path, seed=0)
    assert (data.kind, data.channels, data.height, data.width) == ("row", 30, None, None)
    batch = data.fetch(data.plan(0, 0)[:16])
    assert batch.inputs.shape == (16, 30) and str(batch.inputs.dtype) == "torch.float32"
    np.testing.assert_array_equal(batch.inputs.numpy(), data.examples.inputs[batch.ids.numpy()])
    assert int(data.fetch(data.split_ids("train")).labelled.sum()) == 10
    assert data.transform(batch, 0, 3) is batch


def rows(values: np.ndarray, **options: Any) -> ImageData:
    labels = np.arange(len(values), dtype=np.int64) % 2
    examples = Examples(values.astype(np.float32), labels, ("a", "b"), "rows")
    return ImageData(examples, split(labels, split_seed=0), **options)


def test_moments_are_those_of_each_feature_over_the_training_rows() -> None:
    """Also where a column lies a million spreads from zero: float64, squares of the deviations."""
    draw = np.random.default_rng(0).normal(size=(9000, 5))
    data = rows(draw * [1, 1e-6, 1e6, 3, 0] + [0, 1, 1e9, 3e6, 77])
    train = data.examples.inputs[data.split_ids("train")].astype(np.float64)
    np.testing.assert_allclose(data.mean, train.mean(axis=0), rtol=1e-12)
    expected = train.std(axis=0)
    np.testing.assert_allclose(data.std[:4], expected[:4], rtol=1e-9)
    assert data.std[4] == 1.0  # constant


@pytest.mark.parametrize("value", [0.1, 1e30, -1 / 3])
def test_a_constant_column_is_not_divided_by_its_rounding(value: float) -> None:
    assert rows(np.full((1001, 1), value)).std == (1.0,)


def test_python_cannot_move_rows_either() -> None:
    with pytest.raises(BadData, match=r"WB105.*rows: `augment` is 'flip'.*table rows"):
        rows(np.zeros((60, 3)), augment="flip")


def test_a_limit_keeps_rows_whole_and_the_hash_covers_names(tmp_path: Path) -> None:
    whole = Wine().load(tmp_path)
    small = whole.limited(50, seed=1)
    assert small.feature_names == whole.feature_names and small.inputs.shape == (50, 13)
    known = {row.tobytes(): label for row, label in zip(whole.inputs, whole.labels, strict=True)}
    assert [known[row.tobytes()] for row in small.inputs] == small.labels.tolist()
    bare = Examples(whole.inputs, whole.labels, whole.class_names, whole.name)
    assert bare.content_hash != whole.content_hash
