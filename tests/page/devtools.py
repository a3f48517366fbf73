"""Chromium driven over a pipe by the DevTools protocol, with the standard library alone."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PATIENCE = 60.0  # seconds for an answer, on a busy machine
HIGH = 10  # file descriptors from here on do not collide with 3 and 4, which Chromium reads and writes
START = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execv(sys.argv[3], sys.argv[3:])"
)


class Browser:
    """A headless Chromium with a profile of its own."""

    def __init__(self, chromium: str, profile: Path) -> None:
        read_end, self._orders = os.pipe()
        self._answers, write_end = os.pipe()
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, HIGH) for end in (read_end, write_end)]
        os.close(read_end)
        os.close(write_end)
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", f"--user-data-dir={profile}"]
        self._process = subprocess.Popen(
            [sys.executable, "-c", START, *map(str, ends), chromium, *flags, "--no-first-run", "about:blank"],
            pass_fds=ends,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in ends:
            os.close(end)
        self._number, self._rest, self.events = 0, b"", list[dict[str, Any]]()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._orders)
        os.close(self._answers)

    def ask(self, method: str, session: str | None = None, **parameters: Any) -> Any:
        """Send a command and return its result; events that arrive meanwhile are kept."""
        self._number += 1
        order = {"id": self._number, "method": method, "params": parameters}
        os.write(self._orders, json.dumps(order | ({"sessionId": session} if session else {})).encode() + b"\0")
        while True:
            message = self._message()
            if message.get("id") == self._number:
                assert "error" not in message, (method, message["error"])
                return message["result"]
            self.events.append(message)

    def wait_for(self, method: str, session: str) -> Mapping[str, Any]:
        """The parameters of the next event of this name."""
        while True:
            for place, event in enumerate(self.events):
                if event.get("method") == method and event.get("sessionId") == session:
                    parameters: Mapping[str, Any] = self.events.pop(place)["params"]
                    return parameters
            self.events.append(self._message())

    def _message(self) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while b"\0" not in self._rest:
            assert select.select([self._answers], [], [], max(0, deadline - time.monotonic()))[0], "no answer in time"
            chunk = os.read(self._answers, 2**16)
            assert chunk, "Chromium has ended"
            self._rest += chunk
        first, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(first)
        return message


class Tab:
    """A page that is open, with what it logged and asked the network for."""

    def __init__(
        self, browser: Browser, file: Path, width: int = 1280, height: int = 900, *, dark: bool = False
    ) -> None:
        self.browser = browser
        target = browser.ask("Target.createTarget", url="about:blank")["targetId"]
        self.target = target
        self.session = browser.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", media="", features=[scheme])
        self.ask("Page.navigate", url=file.as_uri())
        browser.wait_for("Page.loadEventFired", self.session)
        self.settle()

    def ask(self, method: str, **parameters: Any) -> Any:
        return self.browser.ask(method, self.session, **parameters)

    def settle(self) -> None:
        """Wait until two frames are drawn and short timers are over."""
        self.evaluate(
            "new Promise(done => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(done)), 80))"
        )

    def evaluate(self, expression: str) -> Any:
        """The value of JavaScript, once it is there."""
        answer = self.ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def complaints(self) -> list[str]:
        """What the page logged as an error or a warning, and what it threw."""
        said = []
        for event in self._own():
            of = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                said.append(str(of["exceptionDetails"]))
            elif event["method"] == "Runtime.consoleAPICalled" and of["type"] in ("error", "warning", "assert"):
                said.append(str(of["args"]))
            elif event["method"] == "Log.entryAdded" and of["entry"]["level"] in ("error", "warning"):
                said.append(of["entry"]["text"])
        return said

    def requests(self) -> list[str]:
        """The addresses that it asked for, but for itself and data inside it."""
        sent = [event for event in self._own() if event["method"] == "Network.requestWillBeSent"]
        urls = [event["params"]["request"]["url"] for event in sent]
        return [url for url in urls[1:] if not url.startswith(("data:", "blob:"))]

    def _own(self) -> list[dict[str, Any]]:
        self.evaluate("1")  # events of what happened so far have arrived
        return [event for event in self.browser.events if event.get("sessionId") == self.session]

    def mouse(self, kind: str, x: float, y: float) -> None:
        """`mouseMoved`, `mousePressed` or `mouseReleased` at a place of the window."""
        held = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
        buttons = {"mousePressed": 1, "mouseMoved": self._pressed, "mouseReleased": 0}[kind]
        self._pressed = buttons
        self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, buttons=buttons, **held)

    _pressed = 0

    def press(self, key: str) -> None:
        """Press and release a key, such as `ArrowRight`."""
        codes = {"ArrowLeft": 37, "ArrowRight": 39, "Home": 36, "End": 35, "Enter": 13, " ": 32, "Tab": 9}
        for kind in ("keyDown", "keyUp"):
            more = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=codes[key], **more)

    def screenshot(self, file: Path, *, whole: bool = False) -> None:
        answer = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(answer["data"]))

    def close(self) -> None:
        self.browser.ask("Target.closeTarget", targetId=self.target)
