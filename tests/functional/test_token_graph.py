"""Graphs of patch tokens against loops in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from workbench.functional.token_graph import (
    graph,
    local_structure,
    neighbour_affinity,
    token_context,
)


def tokens(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def numpy_affinity(t: np.ndarray, k: int, sigma: float) -> np.ndarray:
    n = len(t)
    out = np.zeros((n, n))
    for j in range(n):
        others = sorted((i for i in range(n) if i != j), key=lambda i: ((t[i] - t[j]) ** 2).sum())
        for i in others[:k]:
            out[i, j] = np.exp(-((t[i] - t[j]) ** 2).sum() / (2 * sigma))
    return out


def test_affinity_keeps_the_nearest_of_each_token():
    t = tokens(7, 3)
    expected = numpy_affinity(t.numpy(), 2, 1.5)
    np.testing.assert_allclose(neighbour_affinity(t, k=2, sigma=1.5).numpy(), expected, rtol=1e-10)


def test_local_structure_is_the_divergence_of_affinity_rows():
    student, teacher = tokens(7, 3), tokens(7, 5, seed=1)

    def softmax(a: np.ndarray) -> np.ndarray:
        return np.exp(a) / np.exp(a).sum(1, keepdims=True)

    q = softmax(numpy_affinity(student.numpy(), 3, 1.0))
    p = softmax(numpy_affinity(teacher.numpy(), 3, 1.0))
    expected = (p * np.log(p / q)).sum(1)
    np.testing.assert_allclose(local_structure(student, teacher).numpy(), expected, rtol=1e-9)
    rotation = torch.linalg.qr(tokens(3, 3, seed=2))[0]
    same = local_structure(student @ rotation + 4, student)
    torch.testing.assert_close(same, torch.zeros(7, dtype=torch.float64), rtol=0, atol=1e-12)


def test_context_compares_attention_of_each_width_by_its_own_scale():
    student, teacher = tokens(2, 5, 4), tokens(2, 5, 9, seed=1)

    def context(f: np.ndarray) -> np.ndarray:
        e = np.exp(f @ f.transpose(0, 2, 1) / np.sqrt(f.shape[-1]))
        return e / e.sum(-1, keepdims=True)

    expected = ((context(student.numpy()) - context(teacher.numpy())) ** 2).mean((1, 2))
    np.testing.assert_allclose(token_context(student, teacher).numpy(), expected, rtol=1e-10)


def test_gradients_reach_the_student_alone():
    student, teacher = tokens(6, 3).requires_grad_(), tokens(6, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda s: local_structure(s, teacher.detach()), student)
    value = local_structure(student, teacher).sum() + token_context(student[None], teacher[None])
    value.backward()
    assert teacher.grad is None


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"`k` must lie in 1\.\.3 for 4 tokens, got 4"):
        neighbour_affinity(tokens(4, 2), k=4)
    with pytest.raises(ValueError, match="same number of tokens"):
        token_context(tokens(2, 5, 4), tokens(2, 6, 4))


def test_each_image_has_its_own_graph():
    student, teacher = tokens(4, 6, 3), tokens(4, 6, 5, seed=1)
    found = graph(student, teacher, num_neighbours=2, sigma=2.0)
    alone = [
        local_structure(s, t, k=2, sigma=2.0).mean() for s, t in zip(student, teacher, strict=True)
    ]
    torch.testing.assert_close(found, torch.stack(alone))


def test_few_tokens_take_all_others_and_a_single_one_has_no_graph():
    student, teacher = tokens(2, 3, 4), tokens(2, 3, 4, seed=1)
    torch.testing.assert_close(
        graph(student, teacher, num_neighbours=9), graph(student, teacher, num_neighbours=2)
    )
    alone = student[:, :1].requires_grad_()
    value = graph(alone, teacher[:, :1])
    value.sum().backward()
    assert torch.equal(value, torch.zeros(2, dtype=torch.float64))
    assert torch.count_nonzero(alone.grad) == 0
