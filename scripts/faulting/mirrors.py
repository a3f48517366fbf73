"""A tiny MNIST behind servers on this machine, which serve it well, badly or not at all; no network is reached."""

from __future__ import annotations

import gzip
import hashlib
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import torchvision.datasets

from clsbench.data.vision import SOURCES

FILES = SOURCES["mnist"].files


@dataclass(frozen=True)
class Answer:
    """What a path is answered with. `promised` is the Content-Length, that of the body unless it is said;
    after `stall_after` bytes the server falls silent until it is closed, keeping the connection open."""

    body: bytes = b""
    status: int = 200
    promised: int | None = None
    stall_after: int | None = None


@dataclass
class Mirror:
    """A server of its own address. Paths that are in `answers` are served so, others are 404."""

    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    seconds_an_answer: float = 0.0
    url: str = ""
    closing: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def open(self) -> Iterator[Mirror]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"mirror": self}))
        server.daemon_threads = True
        self.url = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.closing.set()
            server.shutdown()
            server.server_close()


class _Handler(BaseHTTPRequestHandler):
    mirror: Mirror

    def do_GET(self) -> None:
        self.mirror.asked.append(self.path)
        self.mirror.closing.wait(self.mirror.seconds_an_answer)
        answer = self.mirror.answers.get(self.path.removeprefix("/"), Answer(status=404))
        self.send_response(answer.status)
        length = len(answer.body) if answer.promised is None else answer.promised
        self.send_header("Content-Length", str(length))
        self.end_headers()
        try:
            self.wfile.write(answer.body[: answer.stall_after])
            if answer.stall_after is not None:
                self.wfile.flush()
                self.mirror.closing.wait()
        except OSError:
            pass  # the client has disconnected

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serving(*mirrors: Mirror) -> Iterator[None]:
    """While it holds, these are MNIST's mirrors, in this order, and the tiny archives have its hashes."""
    dataset: Any = torchvision.datasets.MNIST
    before = (dataset.mirrors, dataset.resources, os.environ.get("no_proxy"))
    hashes = {name: hashlib.md5(data).hexdigest() for name, data in archives().items()}
    dataset.mirrors = [mirror.url for mirror in mirrors]
    dataset.resources = [(name, hashes[name]) for name, _ in dataset.resources]
    os.environ["no_proxy"] = "*"
    try:
        yield
    finally:
        dataset.mirrors, dataset.resources, proxy = before
        os.environ.pop("no_proxy")
        if proxy is not None:
            os.environ["no_proxy"] = proxy


def files() -> dict[str, bytes]:
    """The four files of an MNIST of 20 and 10 images."""
    rng = np.random.default_rng(0)
    made = {}
    for (images, labels), count in zip((FILES[:2], FILES[2:]), (20, 10), strict=True):
        made[images] = _idx(rng.integers(0, 256, (count, 28, 28), np.uint8))
        made[labels] = _idx(np.arange(count, dtype=np.uint8) % 10)
    return made


def archives() -> dict[str, bytes]:
    return {f"{name}.gz": gzip.compress(data, mtime=0) for name, data in files().items()}


def good(bodies: Mapping[str, bytes] | None = None) -> Mirror:
    """A mirror that serves everything."""
    return Mirror({name: Answer(body) for name, body in (bodies or archives()).items()})


def _idx(array: np.ndarray[Any, Any]) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()
