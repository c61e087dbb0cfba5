"""What is true of student and teacher now; nothing here loads torch."""

from workbench.probes import kinds
from workbench.probes.probe import Measured, Pair, Probe, ProbeKind

__all__ = ["Measured", "Pair", "Probe", "ProbeKind", "kinds"]
