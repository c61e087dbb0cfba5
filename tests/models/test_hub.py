from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch

from ..forked import Order
from ..waiting import PATIENCE

RETRIES = 46
"""Seconds after which the hub's own client would have given up."""
LOAD = """
import json, os, sys, time
for name in [name for name in os.environ if "proxy" in name.lower()]:
    del os.environ[name]
import torch
from workbench.errors import WorkbenchError
from workbench.models import ModelContext
from workbench.registries import MODELS

context = ModelContext(3, 32, 32, 10, (0.5,) * 3, (0.2,) * 3, seed=1)
from huggingface_hub import constants
for name, value in json.loads(sys.argv[2]).items():
    setattr(constants, name, value)
started = time.perf_counter()
try:
    adapter = MODELS.get(sys.argv[1]).model_validate({"use": sys.argv[1]}).build(context)
    answer = {"logits": adapter.eval()(torch.full((1, 3, 32, 32), 0.25)).tolist()}
except WorkbenchError as error:
    answer = {"error": str(error), "kind": type(error).__name__}
print(json.dumps({**answer, "seconds": time.perf_counter() - started}))
"""


def load_neighbour(name):
    spec = spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_models(root):
    """A tiny timm network, a tiny transformers classifier and one that has only a pickle."""
    import timm
    from timm.models._hub import save_for_hf
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    torch.manual_seed(0)
    (root / "timm").mkdir(parents=True)
    network = timm.create_model("test_resnet", num_classes=10)
    save_for_hf(network, root / "timm" / "tiny", safe_serialization=True)
    save_for_hf(network, root / "timm" / "pickled", safe_serialization=False)
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        image_size=32, patch_size=8, num_labels=10,
    )  # fmt: skip
    ViTForImageClassification(config).save_pretrained(root / "someone" / "vit")
    processor = ViTImageProcessor(size={"height": 32, "width": 32})
    processor.save_pretrained(root / "someone" / "vit")
    (root / "someone" / "text").mkdir()
    (root / "someone" / "text" / "README.md").write_text("no model")


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    root = tmp_path_factory.mktemp("hub")
    write_models(root)
    with load_neighbour("loopback_hub").running(root) as server:
        yield server


@pytest.fixture
def load(tmp_path, forks):
    """Build a model in a process of its own that knows only the given hub and an own cache.

    Its hub stands in the environment of a fresh interpreter (``fresh``); of a forked one, which
    has read its environment before, it is set.
    """

    def run(use, endpoint, *, offline=False, fresh=False):
        cache = tmp_path / "cache"
        known = {
            "ENDPOINT": endpoint, "HF_HUB_OFFLINE": offline, "HF_HUB_CACHE": str(cache / "hub"),
            "HUGGINGFACE_CO_URL_TEMPLATE": endpoint + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_DISABLE_XET": True,
        }  # fmt: skip
        env = dict(os.environ)
        if not fresh and forks is not None and forks.fit(env):
            order = Order("-c", (LOAD, use, json.dumps(known)), str(Path.cwd()), env)
            code, out, err = forks.run(order, timeout=PATIENCE)
        else:
            env |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(cache), "HF_HUB_DISABLE_XET": "1"}
            env |= {"HF_HUB_OFFLINE": str(int(offline))}
            done = subprocess.run(
                [sys.executable, "-c", LOAD, use, "{}"],
                env=env, capture_output=True, text=True, timeout=PATIENCE, check=False,
            )  # fmt: skip
            code, out, err = done.returncode, done.stdout, done.stderr
        assert code == 0, err
        return json.loads(out.splitlines()[-1])

    return run


def dead_endpoint():
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]
    return f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("use", ["hub:timm/tiny", "hub:someone/vit"])
def test_a_model_is_fetched_once_and_then_needs_no_network(hub, load, use):
    first = load(use, hub.url)
    assert len(first["logits"][0]) == 10, first
    hub.requests.clear()
    assert load(use, hub.url)["logits"] == first["logits"]
    assert hub.requests == [], "a cached model asks nobody"
    assert load(use, dead_endpoint())["logits"] == first["logits"]


def test_without_a_hub_it_fails_before_any_retry_with_three_ways_out(load):
    endpoint = dead_endpoint()
    answer = load("hub:timm/tiny", endpoint, fresh=True)
    assert answer["kind"] == "HubUnreachable"
    assert answer["seconds"] < RETRIES / 2
    for part in ("WB107", "hub:timm/tiny", endpoint, "path:FOLDER", "cache", "HF_ENDPOINT"):
        assert part in answer["error"]


def test_offline_mode_is_named_as_the_reason(hub, load):
    hub.requests.clear()
    answer = load("hub:timm/tiny", hub.url, offline=True)
    assert "HF_HUB_OFFLINE is set" in answer["error"]
    assert hub.requests == []


@pytest.mark.parametrize(
    ("use", "text"),
    [
        ("hub:timm/absent", "has no model 'timm/absent'"),
        ("hub:timm/pickled", "only safetensors are loaded"),
        ("hub:someone/text", "has no config.json"),
    ],
)
def test_what_the_hub_does_not_have_is_said_at_once(hub, load, use, text):
    answer = load(use, hub.url)
    assert answer["kind"] == "BadModel"
    assert text in answer["error"]
    assert answer["seconds"] < RETRIES / 2


def test_a_host_that_never_answers_costs_the_patience_once(monkeypatch):
    from workbench.models import hub

    released, looks = threading.Event(), []

    def look(endpoint):
        looks.append(endpoint)
        return released.wait(PATIENCE)

    monkeypatch.setattr(hub, "_answers", {})
    monkeypatch.setattr(hub, "_look", look)
    monkeypatch.setattr(hub, "PATIENCE", 0.2)
    started = time.perf_counter()
    assert not hub._answers_within_patience("http://silent")
    assert 0.2 <= time.perf_counter() - started < PATIENCE / 2, "it waited for the answer"
    assert not hub._answers_within_patience("http://silent")
    released.set()
    assert looks == ["http://silent"], "what is known is not asked again"


def test_behind_a_proxy_the_proxy_is_asked_for_the_hub(hub, monkeypatch):
    """Any proxy takes a connection; only its answer tells whether the hub is there."""
    from workbench.models import hub as module

    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", hub.url)
    hub.requests.clear()
    assert module._look("http://hub.invalid/")
    assert hub.requests == ["HEAD http://hub.invalid/"]
    monkeypatch.setenv("http_proxy", dead_endpoint())
    assert not module._look("http://hub.invalid/")


def test_shards_outside_the_folder_are_refused(tmp_path):
    from workbench.errors import BadModel
    from workbench.models.hub import _shards

    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../../evil.safetensors"}}))
    with pytest.raises(BadModel, match="outside its folder"):
        _shards(index)
