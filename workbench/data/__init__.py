"""Data sets: what they are called, how they are loaded, cut into parts and put on a device."""

from workbench.data.arrays import Arrays, from_dataset, save_arrays
from workbench.data.digits import Digits
from workbench.data.examples import Examples
from workbench.data.folder import Folder
from workbench.data.idx import Idx
from workbench.data.images import ImageData, build_data
from workbench.data.spec import DataSpec
from workbench.data.splits import Splits, split
from workbench.models.batch import UNLABELLED, Batch

__all__ = [
    "UNLABELLED",
    "Arrays",
    "Batch",
    "DataSpec",
    "Digits",
    "Examples",
    "Folder",
    "Idx",
    "ImageData",
    "Splits",
    "build_data",
    "from_dataset",
    "save_arrays",
    "split",
]
