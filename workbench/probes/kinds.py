"""The probes by name; nothing here loads torch."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from workbench.probes.probe import Pair, Probe, ProbeKind
from workbench.registries import PROBES


@PROBES.register("cka")
class Cka(ProbeKind):
    """Layer similarity: unbiased linear CKA of every teacher layer with every student layer."""

    summary: ClassVar[str] = (
        "Layer similarity, teacher layers x student layers, with its null level."
    )
    paper: ClassVar[str] = "Kornblith et al. 2019, arXiv:1905.00414; Song et al. 2012"
    needs_layers: ClassVar[bool] = True

    def build(self, pair: Pair) -> Probe:
        """Caches the teacher's Gram matrices."""
        from workbench.probes.similarity import SimilarityProbe

        return SimilarityProbe(pair)


@PROBES.register("trilateral")
class TrilateralProbeKind(ProbeKind):
    """Student, teacher and truth as an exact planar triangle for each sample."""

    summary: ClassVar[str] = "Student, teacher and truth: the exact triangle of each sample."
    paper: ClassVar[str] = "After Hu et al. 2024 (TGeo-KD), arXiv:2312.15112"

    def build(self, pair: Pair) -> Probe:
        """Keeps the teacher's probabilities."""
        from workbench.probes.predictions import TrilateralProbe

        return TrilateralProbe(pair)


@PROBES.register("calibration")
class Calibration(ProbeKind):
    """Reliability of student and teacher, raw and after temperature scaling on val."""

    summary: ClassVar[str] = "Reliability of both, raw and temperature-scaled, with the null band."
    paper: ClassVar[str] = "Guo et al. 2017, arXiv:1706.04599"
    needs_val: ClassVar[bool] = True

    def build(self, pair: Pair) -> Probe:
        """Measures the teacher once."""
        from workbench.probes.predictions import CalibrationProbe

        return CalibrationProbe(pair)


@PROBES.register("loyalty")
class Loyalty(ProbeKind):
    """Where the student follows the teacher, and where it should not have."""

    summary: ClassVar[str] = (
        "Agreement with the teacher, who is right, copied errors, by class; `train: true`: also on "
        "training rows."
    )
    paper: ClassVar[str] = "Xu et al. 2021, EMNLP; Stanton et al. 2021, arXiv:2106.05945"

    train: bool = Field(
        default=False,
        description="Also on as many training rows, without augmentation: fidelity where it was "
        "asked for.",
    )

    @property
    def wants_train(self) -> bool:
        """If asked to."""
        return self.train

    def build(self, pair: Pair) -> Probe:
        """Keeps the teacher's predictions."""
        from workbench.probes.predictions import LoyaltyProbe

        return LoyaltyProbe(pair)


@PROBES.register("balance")
class BalanceKind(ProbeKind):
    """How hard each term pulls on the student, and whether the terms agree."""

    summary: ClassVar[str] = "Pull of each term: value, share of the gradient, and directions."
    paper: ClassVar[str] = (
        "Chen et al. 2018 (GradNorm), arXiv:1711.02257; Yu et al. 2020, arXiv:2001.06782"
    )
    needs_pulls: ClassVar[bool] = True

    def build(self, pair: Pair) -> Probe:
        """Keeps nothing: what it shows is of the training alone."""
        from workbench.probes.balance import BalanceProbe

        return BalanceProbe(pair)


@PROBES.register("ratio")
class RatioKind(ProbeKind):
    """The ratio that a mix of two terms gives each sample."""

    summary: ClassVar[str] = "Ratio of each sample, where the teacher is right and where not."
    paper: ClassVar[str] = "Hu et al. 2024 (TGeo-KD), arXiv:2312.15112"
    needs_log: ClassVar[str] = "ratio"

    def build(self, pair: Pair) -> Probe:
        """Keeps where the teacher is right."""
        from workbench.probes.ratio import RatioProbe

        return RatioProbe(pair)
