"""A window of a real browser, driven over HTTP as W3C WebDriver says; elements are found as people find them, by text.

Source: https://www.w3.org/TR/webdriver2/, sections 8 to 17.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from tests.parts.browser import Chromium

PATIENCE = 30.0
TAB, ENTER = "\ue004", "\ue007"
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


@dataclass(frozen=True)
class Window:
    """One window of a browser that knows nothing yet."""

    http: httpx2.AsyncClient

    async def ask(self, method: str, path: str, **content: Any) -> Any:
        """One command; raises AssertionError with what the driver says to it."""
        sent = content if method == "POST" else None
        response = await self.http.request(method, path, json=sent)
        value = response.json()["value"]
        assert response.status_code == 200, f"{path} {content}: {value}"
        return value

    async def go(self, url: str) -> None:
        await self.ask("POST", "url", url=url)

    async def url(self) -> str:
        return str(await self.ask("GET", "url"))

    async def source(self) -> str:
        return str(await self.ask("GET", "source"))

    async def heading(self, text: str) -> None:
        """Wait for a page with this heading: neither a key nor a button waits for the page that it leads to."""
        await self._find("xpath", f"//h1[normalize-space()='{text}']")

    async def text(self, css: str = "body") -> str:
        """What can be read of the first element that fits."""
        return str(await self.ask("GET", f"element/{await self._find('css selector', css)}/text"))

    async def style(self, css: str, name: str) -> str:
        """The value that a property of the first element that fits has in the end."""
        return str(await self.ask("GET", f"element/{await self._find('css selector', css)}/css/{name}"))

    async def press(self, name: str) -> None:
        """Press the button, or follow the link, of this name."""
        xpath = f"//*[self::button or self::a][normalize-space()='{name}']"
        await self.ask("POST", f"element/{await self._find('xpath', xpath)}/click")

    async def keys(self, text: str) -> None:
        """Type, wherever the keyboard's focus is."""
        pressed = [{"type": kind, "value": key} for key in text for kind in ("keyDown", "keyUp")]
        await self.ask("POST", "actions", actions=[{"type": "key", "id": "keyboard", "actions": pressed}])

    async def focus(self) -> tuple[str, str]:
        """What a screen reader says of where the keyboard is: role and name."""
        element = (await self.ask("GET", "element/active"))[_ELEMENT]
        role, name = [await self.ask("GET", f"element/{element}/computed{what}") for what in ("role", "label")]
        return role, name

    async def complaints(self) -> list[str]:
        """What the browser wrote on its console since it was asked last, such as what a policy forbade."""
        entries = await self.ask("POST", "se/log", type="browser")
        return [entry["message"] for entry in entries]

    async def _find(self, using: str, value: str) -> str:
        return str((await self.ask("POST", "element", using=using, value=value))[_ELEMENT])


@asynccontextmanager
async def driving(chromium: Chromium) -> AsyncIterator[Driver]:
    """The driver, until the block ends; with it end its browsers."""
    process = await asyncio.create_subprocess_exec(
        chromium.driver,
        "--port=0",
        env=chromium.environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        said = ""
        while (found := re.search(r"successfully on port (\d+)", said)) is None:
            line = await asyncio.wait_for(process.stdout.readline(), PATIENCE)
            assert line, f"chromedriver did not start: {said}"
            said += line.decode()
        yield Driver(f"http://127.0.0.1:{found[1]}/session", chromium)
    finally:
        if process.returncode is None:
            os.killpg(process.pid, 15)
        await process.communicate()


@dataclass(frozen=True)
class Driver:
    """Opens windows. Each is a browser of its own, with an empty profile."""

    url: str
    chromium: Chromium

    @asynccontextmanager
    async def window(self) -> AsyncIterator[Window]:
        arguments = ["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server"]
        if os.geteuid() == 0:
            arguments.append("--no-sandbox")  # with which it refuses to run as root
        options = {"binary": str(self.chromium.browser), "args": arguments}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        async with httpx2.AsyncClient(timeout=PATIENCE, trust_env=False) as http:
            response = await http.post(self.url, json={"capabilities": {"alwaysMatch": wanted}})
            value = response.json()["value"]
            assert response.status_code == 200, f"no browser: {value}"
            session = f"{self.url}/{value['sessionId']}"
            try:
                async with httpx2.AsyncClient(base_url=f"{session}/", timeout=PATIENCE, trust_env=False) as own:
                    window = Window(own)
                    await window.ask("POST", "timeouts", implicit=int(PATIENCE * 500))
                    yield window
            finally:
                await http.delete(session)
