"""Headless Chromium, driven over the pipe of its DevTools: no port, and no package beside the browser."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_NEWS = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")


class Page:
    """One page; `console` are the messages and errors since the last look, `requests` the addresses asked for."""

    def __init__(self, reads: int, writes: int) -> None:
        self._reads, self._writes, self._buffer = reads, writes, b""
        self._number, self._session = 0, None
        self._events = []
        target = self._do("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._do("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._do(f"{domain}.enable")

    def look(self, width: int, scheme: str, height: int = 900) -> None:
        """Be a window of that size for a reader who prefers `light` or `dark`."""
        self._do("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self._do("Emulation.setEmulatedMedia", media="", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def on_paper(self, width: int = 700) -> None:
        """Be a sheet of paper; 700 pixels are A4 between its margins."""
        self.look(width, "dark")
        self._do("Emulation.setEmulatedMedia", media="print")

    def open(self, address: str) -> None:
        """Load a page, and wait until it is loaded."""
        self._events.clear()
        self._do("Page.navigate", url=address)
        ends = time.monotonic() + 20
        while not any(event["method"] == "Page.loadEventFired" for event in self._events):
            assert time.monotonic() < ends, f"{address} is not loaded after 20 s"
            self._do("Runtime.evaluate", expression="0")
            time.sleep(0.02)

    def script(self, expression: str) -> object:
        """The value of a JavaScript expression."""
        done = self._do("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def screenshot(self) -> bytes:
        """The whole page as PNG."""
        return base64.b64decode(self._do("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"])

    @property
    def console(self) -> list[str]:
        """Messages and errors since the page was opened."""
        return [json.dumps(event["params"])[:300] for event in self._events if event["method"] in _NEWS]

    @property
    def requests(self) -> list[str]:
        """Addresses that the page asked for since it was opened."""
        return [e["params"]["request"]["url"] for e in self._events if e["method"] == "Network.requestWillBeSent"]

    def _do(self, method: str, **params: object) -> dict:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._writes, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            if "method" in answer:
                self._events.append(answer)

    def _next(self) -> dict:
        while b"\0" not in self._buffer:
            some = os.read(self._reads, 1 << 20)
            assert some, "Chromium is gone"
            self._buffer += some
        first, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(first)


@contextmanager
def chromium() -> Iterator[Page]:
    """A page of a browser of its own, which ends with the block."""
    to_browser, from_us = os.pipe()
    to_us, from_browser = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        # It reads file descriptor 3 and writes 4.
        shell = f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}'
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
        ]
        browser = subprocess.Popen(
            ["bash", "-c", shell, CHROMIUM, *options],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        try:
            yield Page(to_us, from_us)
        finally:
            browser.terminate()
            browser.wait(20)
            os.close(to_us)
            os.close(from_us)
