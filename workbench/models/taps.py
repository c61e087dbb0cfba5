"""Named tensors of one forward pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.errors import BadModel, nearest

if TYPE_CHECKING:
    from torch import Tensor


KNOWN = "known"
"""Tap of a target: rows of which it says something, bool, shape (B,). Without it: all."""


class Taps(dict[str, "Tensor"]):
    """Tensors of one forward, by tap name: ``logits``, ``stage1``..``stage4``, a module path.

    Feature maps are (B, C, H, W) for CNNs and (B, L, D) for token models; ``logits`` is (B, K).
    """

    def __missing__(self, name: str) -> Tensor:
        near = nearest(name, self)
        raise BadModel(
            f"No tap {name!r} in this forward.{f' Did you mean {near!r}?' if near else ''} "
            f"Taken: {', '.join(sorted(self)) or 'none'}."
        )

    def detached(self) -> Taps:
        """The same tensors without gradient."""
        return Taps({name: tensor.detach() for name, tensor in self.items()})
