"""The pages as text: HTML without scripts and without anything from elsewhere, for eyes, keyboards and screen readers.

Everything that comes from outside is escaped where it is put in; `_b` is the one place.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape
from typing import Final

from shim.lending import Want

_STYLE: Final = (
    ":root{color-scheme:light dark}"
    "body{font:1.05rem/1.5 system-ui,sans-serif;max-width:36rem;margin:3rem auto;padding:0 1rem}"
    "h1{font-size:1.5rem;line-height:1.25}"
    "label{display:block;font-weight:600;margin-top:1.5rem}"
    "input{font:inherit;width:100%;box-sizing:border-box;padding:.5rem;margin:.25rem 0 1rem}"
    "button{font:inherit;padding:.5rem 1.25rem}"
    ".alert{border-left:.25rem solid #c00;padding:.25rem 1rem}"
    ".who{border-top:1px solid #8888;margin-top:2.5rem;padding-top:1rem}"
)
STYLE_SOURCE: Final = f"'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'"
"""What a content security policy calls the style of every page."""


def sign_in(*, alert: str | None = None, guest: bool = False) -> str:
    """Asks who somebody is; `guest`: without a token one is somebody here too. It says nothing of what comes after."""
    without = (
        '<form method="post"><input type="hidden" name="do" value="sign-in">'
        '<input type="hidden" name="token" value=""><p><button>Go on without a token</button></p></form>'
        if guest
        else ""
    )
    return _page(
        "Sign in",
        f"{_alert(alert)}"
        "<p>Show first who you are, with the access token by which your assistant reaches this server.</p>"
        '<form method="post"><input type="hidden" name="do" value="sign-in">'
        f'<label for="token">Your access token</label>{_password("token", alert)}'
        f"<button>Sign in</button></form>{without}",
    )


def ask(want: Want, mark: str, *, alert: str | None = None) -> str:
    """Asks for what is wanted; of a consent only that the browser may go there."""
    where = (
        f'<p><a href="{_b(want.url)}" target="_blank" rel="noopener noreferrer">'
        "Where to get it (opens a new tab)</a></p>"
        if want.url is not None and want.url.startswith("https://")
        else ""
    )
    what = f"<p>{_b(want.prompt)}</p>{where}<p>It is asked for as <strong>{_b(want.secret)}</strong>.</p>"
    hidden = f'<input type="hidden" name="mark" value="{_b(mark)}">'
    if want.is_consent:
        return _page(
            "Your consent is asked for",
            f"{_alert(alert)}{what}<p>You go to the site that gives it, decide there, and come back here.</p>"
            f'<form method="post"><input type="hidden" name="do" value="consent">{hidden}'
            f"<button>Go there</button></form>{_who(want.identity)}",
        )
    return _page(
        "A credential is asked for",
        f"{_alert(alert)}{what}"
        "<p>It is kept encrypted, used for your calls alone, and never shown to the assistant.</p>"
        f'<form method="post"><input type="hidden" name="do" value="give">{hidden}'
        f'<label for="value">The credential</label>{_password("value", alert)}'
        f"<button>Give it</button></form>{_who(want.identity)}",
    )


def theirs(identity: str) -> str:
    """Somebody else is asked."""
    return _page(
        "This is not for you",
        f"{_alert('Somebody else is asked here, so you cannot give anything.')}{_who(identity)}",
    )


def given() -> str:
    """It is done."""
    return _page("Thank you", "<p>It is kept. You can close this page: the assistant goes on.</p>")


def plain(title: str, sentence: str) -> str:
    """Nothing to do here but to read why."""
    return _page(title, _alert(sentence))


def _page(title: str, body: str) -> str:
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>'
        f"{_b(title)} - mcp-shim</title>"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><main><h1>{_b(title)}</h1>{body}</main></body></html>\n"
    )


def _alert(sentence: str | None) -> str:
    return f'<p class="alert" role="alert" id="alert">{_b(sentence)}</p>' if sentence is not None else ""


def _password(name: str, alert: str | None) -> str:
    described = ' aria-describedby="alert" aria-invalid="true"' if alert is not None else ""
    return (
        f'<input type="password" id="{name}" name="{name}" required autocomplete="off" spellcheck="false"'
        f' autocapitalize="none"{described}>'
    )


def _who(identity: str) -> str:
    return (
        f'<form method="post" class="who"><input type="hidden" name="do" value="leave">'
        f"<p>You are signed in as <bdi>{_b(identity)}</bdi>.</p><button>Sign in as another</button></form>"
    )


def _b(text: str) -> str:
    return escape(text, quote=True)
