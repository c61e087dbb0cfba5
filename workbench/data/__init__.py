"""Data sets: what they are called, how they are loaded, cut into parts and put on a device."""

from workbench.data.arrays import Arrays, from_dataset, save_arrays
from workbench.data.digits import Digits
from workbench.data.examples import Examples
from workbench.data.folder import Folder
from workbench.data.idx import Idx
from workbench.data.images import ImageData, build_data
from workbench.data.patches import PhotoPatches
from workbench.data.policy import Confident, PolicyKind, RandomRows, Report
from workbench.data.pool import Pool
from workbench.data.spec import DataSpec
from workbench.data.splits import Splits, split
from workbench.data.table import BreastCancer, NslKdd, RowsSpec, Table, Wine
from workbench.models.batch import UNLABELLED, Batch

__all__ = [
    "UNLABELLED",
    "Arrays",
    "Batch",
    "BreastCancer",
    "Confident",
    "DataSpec",
    "Digits",
    "Examples",
    "Folder",
    "Idx",
    "ImageData",
    "NslKdd",
    "PhotoPatches",
    "PolicyKind",
    "Pool",
    "RandomRows",
    "Report",
    "RowsSpec",
    "Splits",
    "Table",
    "Wine",
    "build_data",
    "from_dataset",
    "save_arrays",
    "split",
]
