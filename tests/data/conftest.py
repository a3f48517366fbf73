"""No network but the one that `mirrors` stands in for, and small sets in a folder."""

from __future__ import annotations

import hashlib
import pickle
import socket
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torchvision.datasets
from torchvision.datasets import utils

from clsbench.data import vision
from tests.data.served import ARCHIVES, Mirrors, lay, tiny


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No test reaches a network; each attempt is noted, and fails as it does offline."""
    attempts: list[str] = []

    def refuse(request: Any, *_: Any, **__: Any) -> Any:
        attempts.append(getattr(request, "full_url", str(request)))
        raise URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return attempts


@pytest.fixture
def cached(tmp_path: Path) -> Path:
    lay(tmp_path / "MNIST" / "raw", tiny())
    return tmp_path


@pytest.fixture
def mirrors(monkeypatch: pytest.MonkeyPatch) -> Mirrors:
    """Two mirrors of a tiny MNIST, the first of which serves everything."""
    network = Mirrors()
    network.served = {f"http://one/{name}": data for name, data in ARCHIVES.items()}
    monkeypatch.setattr(utils, "_urlretrieve", network.retrieve)
    monkeypatch.setattr(utils, "_get_redirect_url", lambda url, max_hops=3: url)
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", ["http://one/", "http://two/"])
    hashes = [(name, hashlib.md5(data).hexdigest()) for name, data in ARCHIVES.items()]
    monkeypatch.setattr(torchvision.datasets.MNIST, "resources", hashes)
    return network


@pytest.fixture
def cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A CIFAR-10 of two images a batch, whose hashes torchvision is told."""
    folder = tmp_path / "cifar-10-batches-py"
    rng = np.random.default_rng(0)
    files = {}
    for i, name in enumerate(vision.SOURCES["cifar10"].files[:-1]):
        data = rng.integers(0, 256, (2, 3072), np.uint8)
        files[name] = pickle.dumps({"data": data, "labels": [i, i + 1]})
    files["batches.meta"] = pickle.dumps({"label_names": [*"abcdefghij"]})
    lay(folder, files)
    md5 = {name: hashlib.md5(data).hexdigest() for name, data in files.items()}
    cls = torchvision.datasets.CIFAR10
    for attribute in ("train_list", "test_list"):
        monkeypatch.setattr(cls, attribute, [[name, md5[name]] for name, _ in getattr(cls, attribute)])
    monkeypatch.setattr(cls, "meta", {**cls.meta, "md5": md5["batches.meta"]})
    return tmp_path
