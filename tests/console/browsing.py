"""A browser without a screen: it keeps cookies by path, and sends the forms that a page has."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import httpx2


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[dict[str, str]] = []
        self.tags: list[str] = []
        self.text: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        if tag == "form":
            self.forms.append({})
        elif tag == "input":
            self.forms[-1][said["name"]] = said.get("value", "")
        elif tag == "a":
            self.links.append(said["href"])

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@dataclass
class Page:
    """One response. `forms` are the fields of each, by what it does."""

    response: httpx2.Response
    forms: dict[str, dict[str, str]] = field(default_factory=dict)
    text: str = ""
    tags: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)

    @property
    def status(self) -> int:
        return self.response.status_code


@dataclass
class Browser:
    """Sends what a browser would. `origin` None: that of the page that is asked for."""

    http: httpx2.AsyncClient
    cookies: dict[str, str] = field(default_factory=dict)
    """Of each path that has one, the cookie that is sent there."""
    origin: str | None = None

    async def get(self, url: str, **headers: str) -> Page:
        return self._read(await self.http.get(url, headers={**self._cookie(url), **headers}))

    async def post(self, url: str, form: dict[str, str], **headers: str) -> Page:
        """A form, and the page that it leads to on this server."""
        parts = urlsplit(url)
        sent = {"origin": self.origin or f"{parts.scheme}://{parts.netloc}", **self._cookie(url), **headers}
        page = self._read(await self.http.post(url, data=form, headers=sent))
        if page.status != 303:
            return page
        where = urljoin(url, page.response.headers["location"])
        return await self.get(where) if urlsplit(where).netloc == parts.netloc else page

    async def sign_in(self, url: str, token: str = "ALICE") -> Page:
        return await self.post(url, {"do": "sign-in", "token": token})

    def _cookie(self, url: str) -> dict[str, str]:
        path = urlsplit(url).path
        pairs = [pair for of, pair in self.cookies.items() if path == of or path.startswith(f"{of}/")]
        return {"cookie": "; ".join(pairs)} if pairs else {}

    def _read(self, response: httpx2.Response) -> Page:
        self.http.cookies.clear()  # those are kept here
        for cookie in response.headers.get_list("set-cookie"):
            pair, *attributes = cookie.split("; ")
            said = dict(attribute.partition("=")[::2] for attribute in attributes)
            if said["Max-Age"] == "0":
                self.cookies.pop(said["Path"], None)
            else:
                self.cookies[said["Path"]] = pair
        reader = _Reader()
        reader.feed(response.text)
        forms = {form["do"]: form for form in reader.forms}
        return Page(response, forms, " ".join(reader.text), reader.tags, reader.links)
