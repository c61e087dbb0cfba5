"""Tables: your own file of rows, the NSL-KDD attacks, and two tables that come with scikit-learn.

Unusual here: a row is no image of one channel. Its features keep the units of their columns, have
a mean and a spread each, and no neighbours, so nothing resizes, crops or flips them.
Shapes: N = rows, F = features.
"""

from __future__ import annotations

import csv
import importlib.util
from abc import ABC
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field, field_validator
from pydantic_core import PydanticCustomError

from workbench.data.columns import OTHERS, Column, Plan, tabulate
from workbench.data.examples import Examples
from workbench.data.sheet import read_sheet
from workbench.data.spec import Augment, DataSpec, find
from workbench.errors import BadData, BadFile
from workbench.registries import DATA

NSL_KDD_COLUMNS = (
    "duration", "protocol_type", "service", "flag", "src_bytes", "dst_bytes", "land",
    "wrong_fragment", "urgent", "hot", "num_failed_logins", "logged_in", "num_compromised",
    "root_shell", "su_attempted", "num_root", "num_file_creations", "num_shells",
    "num_access_files", "num_outbound_cmds", "is_host_login", "is_guest_login", "count",
    "srv_count", "serror_rate", "srv_serror_rate", "rerror_rate", "srv_rerror_rate",
    "same_srv_rate", "diff_srv_rate", "srv_diff_host_rate", "dst_host_count",
    "dst_host_srv_count", "dst_host_same_srv_rate", "dst_host_diff_srv_rate",
    "dst_host_same_src_port_rate", "dst_host_srv_diff_host_rate", "dst_host_serror_rate",
    "dst_host_srv_serror_rate", "dst_host_rerror_rate", "dst_host_srv_rerror_rate",
    "label", "difficulty",
)  # fmt: skip
"""Columns of the files, which have no header: 41 features, the label, and how hard a row is."""
NSL_KDD_FILES = ("KDDTrain+_20Percent.txt", "KDDTest+.txt")
NSL_KDD_HEAVY = ("duration", "src_bytes", "dst_bytes")
"""Seconds and bytes over nine powers of ten; their logarithm is taken."""
CELL_MEASURES = (
    "radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity",
    "concave points", "symmetry", "fractal dimension",
)  # fmt: skip
WINE_MEASURES = (
    "alcohol", "malic acid", "ash", "alcalinity of ash", "magnesium", "total phenols",
    "flavanoids", "nonflavanoid phenols", "proanthocyanins", "color intensity", "hue",
    "od280/od315 of diluted wines", "proline",
)  # fmt: skip


def _as_texts(value: Any) -> Any:
    """``{0: benign}``: a label value that YAML reads as a number is the text in the file."""
    if not isinstance(value, Mapping):
        return value
    return {_as_text(key): _as_text(item) for key, item in value.items()}


def _as_text(value: Any) -> Any:
    return str(value) if type(value) is int else value


Classes = Annotated[dict[str, str], BeforeValidator(_as_texts)]


class RowsSpec(DataSpec, ABC):
    """A data set whose samples are rows of a table."""

    @field_validator("augment")
    @classmethod
    def _rows_do_not_move(cls, value: Augment) -> Augment:
        if value != "none":
            raise PydanticCustomError(
                "augment_rows", "must be none: it moves pixels, and the data are table rows", {}
            )
        return value


@DATA.register("table")
class Table(RowsSpec):
    """Your rows: a CSV or TSV file with a column of labels; texts become one feature each.

    A column of texts becomes one feature for each text in the file at `path`, 1 where the cell is
    that text; a text that only the file at `test_path` has is all zeros. Nothing is filled in: a
    column of numbers with an empty cell is refused, with its line.
    """

    use: Literal["table"] = "table"
    path: Annotated[
        str,
        Field(min_length=1, description="File of comma, semicolon or tab separated rows, or .gz."),
    ]
    label: Annotated[
        Column, Field(description="Column of the class: name, or number from 1; -1 is the last.")
    ] = -1
    header: Annotated[bool, Field(description="Whether the first line names the columns.")] = True
    test_path: Annotated[
        str | None,
        Field(
            min_length=1, description="File of the test part. Empty: 22 % of the rows are drawn."
        ),
    ] = None
    drop: Annotated[
        tuple[Column, ...], Field(description="Columns to leave out, such as a row's number.")
    ] = ()
    categorical: Annotated[
        tuple[Column, ...], Field(description="Columns whose numbers are names, such as a code.")
    ] = ()
    log1p: Annotated[
        tuple[Column, ...],
        Field(description="Columns >= 0 with a heavy tail, such as bytes: log(1 + x) is taken."),
    ] = ()
    classes: Annotated[
        Classes,
        Field(
            description="Label value to class, to merge some; `*` is every value that is not "
            "listed. Empty: each value is a class."
        ),
    ] = {}  # noqa: RUF012  pydantic copies it

    def load(self, base: Path) -> Examples:
        """Read the file, or both; features and classes follow the one at `path`."""
        file = find(self.path, base, what="the table", folder=False)
        train = read_sheet(file, header=self.header)
        test = None
        if self.test_path is not None:
            other = find(self.test_path, base, what="the table", folder=False, option="test_path")
            test = read_sheet(other, header=self.header)
        plan = Plan(self.label, self.drop, self.categorical, self.log1p, self.classes)
        return tabulate(train, test, plan, name=file.name.removesuffix(".gz").rpartition(".")[0])


@DATA.register("nsl-kdd")
class NslKdd(RowsSpec):
    """NSL-KDD, connections that are normal or an attack; from your folder, the test part as given.

    25192 rows train, 22544 test, 41 measurements each. Protocol, service and flag become one
    feature for each text of the training file, all zeros for one that only the test file has. Of
    duration and bytes the logarithm log(1 + x) is taken, and the difficulty is dropped. Test rows
    hold attacks that training lacks; merged into one class they count as attacks.

    Reference:
        Tavallaee, Bagheri, Lu, Ghorbani 2009, "A Detailed Analysis of the KDD CUP 99 Data Set",
        IEEE CISDA.
    """

    use: Literal["nsl-kdd"] = "nsl-kdd"
    path: Annotated[
        str,
        Field(
            min_length=1,
            description="Folder with KDDTrain+_20Percent.txt and KDDTest+.txt, gzipped or not.",
        ),
    ]
    classes: Annotated[
        Classes,
        Field(description="Attack to class; `*` is every one that is not listed."),
    ] = {"normal": "normal", OTHERS: "attack"}  # noqa: RUF012  pydantic copies it

    def load(self, base: Path) -> Examples:
        """Read both files."""
        folder = find(self.path, base, what="the NSL-KDD folder", folder=True)
        train, test = (
            read_sheet(_nsl_kdd_file(folder, name), header=False, names=NSL_KDD_COLUMNS)
            for name in NSL_KDD_FILES
        )
        plan = Plan("label", drop=("difficulty",), log1p=NSL_KDD_HEAVY, classes=self.classes)
        return tabulate(train, test, plan, name="nsl-kdd")


@DATA.register("breast-cancer")
class BreastCancer(RowsSpec):
    """569 tumours, 30 measurements of cell nuclei, malignant or benign; from scikit-learn.

    Reference:
        Street, Wolberg, Mangasarian 1993, "Nuclear feature extraction for breast tumor diagnosis",
        UCI repository (Wisconsin Diagnostic).
    """

    use: Literal["breast-cancer"] = "breast-cancer"

    def load(self, base: Path) -> Examples:
        """Read the packaged table."""
        features = tuple(
            name
            for form in ("mean {}", "{} error", "worst {}")
            for name in map(form.format, CELL_MEASURES)
        )
        return _packaged("breast_cancer", "breast-cancer", features)


@DATA.register("wine")
class Wine(RowsSpec):
    """178 wines of three growers, 13 chemical measurements; from scikit-learn.

    Reference:
        Forina et al. 1988, PARVUS; UCI repository (Wine).
    """

    use: Literal["wine"] = "wine"

    def load(self, base: Path) -> Examples:
        """Read the packaged table."""
        return _packaged("wine_data", "wine", WINE_MEASURES)


def _nsl_kdd_file(folder: Path, name: str) -> Path:
    for file in (folder / name, folder / f"{name}.gz"):
        if file.is_file():
            return file
    raise BadFile(
        f"{folder} has no file {name} (or {name}.gz). Both are needed: {', '.join(NSL_KDD_FILES)}."
    )


def _packaged(stem: str, name: str, features: tuple[str, ...]) -> Examples:
    """A table that scikit-learn ships: a line with both counts and the classes, then rows."""
    package = importlib.util.find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise BadData(
            f"The table {name} comes with scikit-learn, which is not installed. Install "
            "scikit-learn."
        )
    data = Path(package.submodule_search_locations[0]) / "datasets" / "data"
    file = data / f"{stem}.csv"
    if not file.is_file():
        raise BadFile(f"{file}, the table {name}, is missing. Install scikit-learn again.")
    with file.open(encoding="utf-8", newline="") as lines:
        reader = csv.reader(lines)
        rows, columns, *classes = next(reader)
        table = np.array(list(reader), dtype=np.float64)
    if table.shape != (int(rows), int(columns) + 1) or int(columns) != len(features):
        raise BadFile(
            f"{file} has the shape {table.shape} and says {rows} rows of {columns} features; "
            f"{len(features)} are known. Install scikit-learn again."
        )
    labels = table[:, -1].astype(np.int64)
    values = table[:, :-1].astype(np.float32)
    return Examples(values, labels, tuple(classes), name, None, features)
