"""Checks a page in Chromium and takes screenshots: screenshots.py CHROMIUM PAGE FOLDER.

Speaks the protocol of Chromium's developer tools over a pipe, so that it needs Python alone.
"""

import base64
import json
import os
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

SIZES = {"desktop": (1280, 900, False), "phone": (390, 844, True)}
SCHEMES = ["light", "dark"]


class Browser:
    """A headless Chromium with one page."""

    def __init__(self, program, profile):
        to_browser, write = os.pipe()
        read, from_browser = os.pipe()

        def descriptors():
            # Chromium reads commands from descriptor 3 and writes answers to 4.
            os.dup2(to_browser, 30)
            os.dup2(from_browser, 31)
            os.dup2(30, 3)
            os.dup2(31, 4)

        arguments = [program, "--headless=new", "--no-sandbox", "--disable-gpu"]
        arguments += ["--hide-scrollbars", "--remote-debugging-pipe", f"--user-data-dir={profile}"]
        self.process = subprocess.Popen(
            arguments, preexec_fn=descriptors, close_fds=False, stderr=subprocess.DEVNULL
        )
        os.close(to_browser)
        os.close(from_browser)
        self.write, self.read = os.fdopen(write, "wb"), os.fdopen(read, "rb")
        self.count, self.session, self.events = 0, None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ["Page", "Runtime", "Log", "Network"]:
            self.call(f"{domain}.enable")

    def message(self):
        text = bytearray()
        while (byte := self.read.read(1)) != b"\0":
            if not byte:
                sys.exit("Chromium ended")
            text += byte
        return json.loads(text)

    def call(self, method, **parameters):
        self.count += 1
        request = {"id": self.count, "method": method, "params": parameters}
        if self.session:
            request["sessionId"] = self.session
        self.write.write(json.dumps(request).encode() + b"\0")
        self.write.flush()
        while True:
            answer = self.message()
            if answer.get("id") == self.count:
                if "error" in answer:
                    sys.exit(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def open(self, url):
        self.events.clear()
        self.call("Page.navigate", url=url)
        while not any(e.get("method") == "Page.loadEventFired" for e in self.events):
            self.events.append(self.message())

    def value(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return answer["result"]["value"]

    def complaints(self):
        for event in self.events:
            method, params = event.get("method"), event.get("params", {})
            if method == "Runtime.exceptionThrown":
                yield f"exception: {params}"
            if method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
                yield f"console: {params['entry']['text']}"
            if method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
                yield f"console: {params['args']}"
            if method == "Network.requestWillBeSent":
                url = params["request"]["url"]
                if not url.startswith(("file:", "data:")):
                    yield f"request: {url}"

    def close(self):
        self.session = None
        self.call("Browser.close")
        self.process.wait(20)


def distinct_rows(png):
    """Returns the number of different rows of pixels, as they are stored."""
    data, at, height = b"", 8, 0
    while at < len(png):
        (length,), kind = struct.unpack(">I", png[at : at + 4]), png[at + 4 : at + 8]
        body = png[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            height = struct.unpack(">I", body[4:8])[0]
        if kind == b"IDAT":
            data += body
        at += 12 + length
    raw = zlib.decompress(data)
    stride = len(raw) // height
    return len({raw[i : i + stride] for i in range(0, len(raw), stride)})


def check(browser, page, folder, name, scheme):
    width, height, is_mobile = SIZES[name]
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        width=width, height=height, deviceScaleFactor=2 if is_mobile else 1, mobile=is_mobile,
    )
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.call("Emulation.setEmulatedMedia", features=[feature])
    browser.open(page.resolve().as_uri())
    shot = browser.call("Page.captureScreenshot", format="png", captureBeyondViewport=True,
                        clip={"x": 0, "y": 0, "width": width, "scale": 1,
                              "height": browser.value("document.documentElement.scrollHeight")})
    png = base64.b64decode(shot["data"])
    path = folder / f"{name}-{scheme}.png"
    path.write_bytes(png)
    wide = browser.value("document.documentElement.scrollWidth")
    plots = browser.value("document.querySelectorAll('figure svg').length")
    flames = browser.value(
        "document.querySelectorAll('svg[aria-label^=\"training step\"] rect').length"
    )
    unnamed = browser.value(
        "[...document.querySelectorAll('svg')].filter(s => !s.getAttribute('aria-label')).length"
    )
    ground = browser.value("getComputedStyle(document.body).backgroundColor")
    found = list(browser.complaints())
    if wide > width:
        found.append(f"the page is {wide} pixels wide")
    if plots < 6 or unnamed:
        found.append(f"{plots} plots, {unnamed} without a name")
    if flames < 6:
        found.append(f"a flame graph of {flames} boxes")
    if (rows := distinct_rows(png)) < 200:
        found.append(f"{rows} different rows: the page is blank")
    for text in found:
        print(f"{path}: {text}")
    seen = f"{plots} plots, {flames} boxes, background {ground}, {rows} different rows"
    print(f"{path}: {wide} pixels wide, {seen}")
    return ground, not found


program, page, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
    browser = Browser(program, profile)
    results = [check(browser, page, folder, name, scheme) for name in SIZES for scheme in SCHEMES]
    browser.close()
grounds = {ground for ground, _ in results}
if len(grounds) != 2:
    sys.exit(f"expected two backgrounds, got {grounds}")
if not all(good for _, good in results):
    sys.exit(1)
