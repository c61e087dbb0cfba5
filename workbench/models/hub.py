"""Model files from the hub: the cache first, then one short look whether the hub is there at all.

Unusual here: without the look, the hub's client retries for 46 s before it says that there is no
network. A model that lies in the cache is used as it is, so a run is the same with and without
network.
"""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from workbench.errors import BadModel, HubUnreachable

PATIENCE = 1.5
"""Seconds until a silent host counts as unreachable, name look-up included."""
REMEMBERED = 60.0
"""Seconds for which the answer is kept."""
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
PREPROCESSOR = "preprocessor_config.json"

_answers: dict[str, tuple[float, bool]] = {}


def fetch(repo: str, revision: str | None = None) -> Path:
    """Folder with ``config.json`` and the safetensors weights of a model on the hub.

    Args:
        repo: ``ORG/NAME``.
        revision: Branch, tag or commit; the main branch by default.

    Raises:
        HubUnreachable: Within 2 s, if it is not in the cache and no hub answers.
        BadModel: If the hub has no such model, or has no safetensors of it.
    """
    cached = _cached_folder(repo, revision)
    if cached is not None:
        return cached
    require_hub(repo)
    return _download(repo, revision)


def require_hub(repo: str) -> None:
    """Return if the hub's host takes connections.

    Raises:
        HubUnreachable: Names the model, where it was looked for, and three ways out.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise unreachable(repo, "HF_HUB_OFFLINE is set, so no hub is asked")
    if not _answers_within_patience(constants.ENDPOINT):
        raise unreachable(
            repo, f"{constants.ENDPOINT} does not answer (tried for at most {PATIENCE} s)"
        )


def unreachable(repo: str, why: str) -> HubUnreachable:
    """The error for a model that is neither in the cache nor to be had."""
    from huggingface_hub import constants

    return HubUnreachable(
        f"hub:{repo} is not in the cache ({constants.HF_HUB_CACHE}), and {why}. Three ways out: "
        "(1) `path:FOLDER` with a folder that holds its config.json and model.safetensors; "
        "(2) fill the cache where there is a network and copy it here (HF_HUB_CACHE names it); "
        "(3) set HF_ENDPOINT to a hub that this machine reaches."
    )


def _answers_within_patience(endpoint: str) -> bool:
    now = time.monotonic()
    known = _answers.get(endpoint)
    if known is not None and now - known[0] < REMEMBERED:
        return known[1]
    result: list[bool] = []
    # A thread, because looking a host's name up knows no time limit.
    look = threading.Thread(target=lambda: result.append(_look(endpoint)), daemon=True)
    look.start()
    look.join(PATIENCE)
    answer = bool(result and result[0])
    _answers[endpoint] = time.monotonic(), answer
    return answer


def _look(endpoint: str) -> bool:
    """One TCP connect; behind a proxy one request, since the proxy would take any connection."""
    parts = urlsplit(endpoint)
    host = parts.hostname
    if host is None or parts.scheme not in ("http", "https"):
        return False
    if parts.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(host):
        return _look_through_proxy(endpoint)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        with socket.create_connection((host, port), timeout=PATIENCE):
            return True
    except (OSError, ValueError):
        return False


def _look_through_proxy(endpoint: str) -> bool:
    request = urllib.request.Request(endpoint, method="HEAD")  # noqa: S310  scheme checked above
    try:
        # A fresh opener: the shared one keeps the proxies of its first use.
        with urllib.request.build_opener().open(request, timeout=PATIENCE):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500 and error.code not in (403, 407)
    except (OSError, ValueError):
        return False


def _cached_folder(repo: str, revision: str | None) -> Path | None:
    """Snapshot folder in the cache, if everything needed lies there."""
    config = _cached(repo, CONFIG, revision)
    if config is None:
        return None
    if _cached(repo, WEIGHTS, revision) is not None:
        return config.parent
    index = _cached(repo, INDEX, revision)
    if index is None:
        return None
    whole = all(_cached(repo, shard, revision) is not None for shard in _shards(index))
    return config.parent if whole else None


def _cached(repo: str, name: str, revision: str | None) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo, name, revision=revision)
    return Path(found) if isinstance(found, str) else None


def _download(repo: str, revision: str | None) -> Path:
    config = _get(repo, CONFIG, revision)
    if config is None:
        raise BadModel(
            f"hub:{repo} has no {CONFIG}, so it is no model of timm or transformers. "
            "Take an image classifier of one of these libraries."
        )
    # The branch may move between two files: the commit of the first holds for all.
    commit = config.parent.name
    if _get(repo, WEIGHTS, commit) is None:
        index = _get(repo, INDEX, commit)
        if index is None:
            raise BadModel(
                f"hub:{repo} has no {WEIGHTS}: only safetensors are loaded, since a pickled file "
                "can run code when opened. Take a model with safetensors, or convert it once and "
                "use `path:FOLDER`."
            )
        for shard in _shards(index):
            if _get(repo, shard, commit) is None:
                raise BadModel(
                    f"hub:{repo} lists {shard} but does not have it. Take another model."
                )
    _get(repo, PREPROCESSOR, commit)
    return config.parent


def _get(repo: str, name: str, revision: str | None) -> Path | None:
    """One file through the cache; None where the model has no such file."""
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        return Path(hf_hub_download(repo, name, revision=revision))
    except LocalEntryNotFoundError:
        raise unreachable(repo, f"{constants.ENDPOINT} stopped answering at {name}") from None
    except EntryNotFoundError:
        return None
    except GatedRepoError:
        raise BadModel(
            f"hub:{repo} asks for consent to its terms. Give it on the model's page, "
            "then set HF_TOKEN."
        ) from None
    except RepositoryNotFoundError:
        raise BadModel(
            f"{constants.ENDPOINT} has no model {repo!r} (or it is private). Check the spelling "
            "of ORG/NAME; for a private one set HF_TOKEN."
        ) from None
    except RevisionNotFoundError:
        raise BadModel(
            f"hub:{repo} has no revision {revision!r}. Give a branch, a tag or a commit of it, "
            "or leave it out."
        ) from None
    except HFValidationError as error:
        raise BadModel(f"hub:{repo}: {error}. A hub id is ORG/NAME.") from None
    except OSError as error:
        text = " ".join(str(error).split())[:200]
        raise unreachable(repo, f"{constants.ENDPOINT} failed at {name}: {text}") from None


def _shards(index: Path) -> list[str]:
    """File names of a sharded model; only names in the same folder count."""
    try:
        data: Any = json.loads(index.read_text(encoding="utf-8"))
        names = sorted(set(data["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BadModel(f"{index.name} of the model is damaged. Clear it from the cache.") from None
    if not all(isinstance(name, str) and Path(name).name == name for name in names):
        raise BadModel(f"{index.name} names files outside its folder; it is not loaded.")
    return names
