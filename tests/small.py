"""The smallest experiment that has everything: real images, a teacher to train, two terms."""

from __future__ import annotations

from typing import Any

SMALL: dict[str, Any] = {
    "name": "small",
    "data": {"use": "digits", "limit": 400, "labels_per_class": 4},
    "teacher": {"use": "cnn-small", "width": 4, "train": {"steps": 20}},
    "student": {"use": "cnn-tiny", "width": 4},
    "stages": {
        "main": {
            "terms": {
                "kd": {"use": "kd", "weight": 0.9, "temperature": 4.0},
                "ce": {"use": "ce", "weight": 0.1},
            },
            "optimiser": {"use": "adamw", "lr": 0.01},
            "batch_size": 32,
            "steps": 14,
        }
    },
}
