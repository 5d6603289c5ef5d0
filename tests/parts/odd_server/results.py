"""What the tools answer: every known kind of content, and much that no schema names."""

from __future__ import annotations

from tests.parts.odd_server.wire import Era, JsonObject

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="  # 1x1 PNG
SILENCE = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA="  # an empty WAV
HUGE = int("9" * 4000)


def text(value: str) -> JsonObject:
    return {"type": "text", "text": value}


def every_content() -> JsonObject:
    """One block of each content type of both revisions, with annotations, icons and `_meta`."""
    annotations = {"audience": ["user", "assistant"], "priority": 0.7, "lastModified": "2026-05-03T14:30:00Z"}
    return {
        "content": [
            {"type": "text", "text": "plain \u2028 and \U0001f600", "annotations": annotations},
            {"type": "image", "data": PIXEL, "mimeType": "image/png", "_meta": {"example.com/of": "image"}},
            {"type": "audio", "data": SILENCE, "mimeType": "audio/wav", "annotations": {"priority": 1}},
            {
                "type": "resource_link",
                "uri": "file:///srv/notes.txt",
                "name": "notes.txt",
                "title": "Notes",
                "description": "What was written",
                "mimeType": "text/plain",
                "size": 12,
                "annotations": annotations,
            },
            {
                "type": "resource",
                "resource": {"uri": "file:///srv/notes.txt", "mimeType": "text/plain", "text": "a\r\nb\x7f"},
                "annotations": {"audience": []},
            },
            {"type": "resource", "resource": {"uri": "odd:///blob", "mimeType": "image/png", "blob": PIXEL}},
        ],
        "isError": False,
    }


def odd(era: Era) -> JsonObject:
    """Members, nulls and a content type that no revision knows, at every level, in an unusual order."""
    structured: object = {"zebra": None, "apple": {"": [None, {}]}, "10": 1, "9": 2}
    if era == "modern":
        # Any JSON value since 2026-07-28; an object before.
        structured = [structured, None, [], "", 0, False]
    return {
        "zUnknown": {"nested": [1, None, {"deep": None}]},
        "structuredContent": structured,
        "isError": None,
        "content": [
            {"unknownFirst": None, "text": "known", "type": "text", "annotations": None, "futureField": {"a": [None]}},
            {"type": "hologram", "frames": [{"z": 1, "a": None}], "mimeType": None},
            {"type": "resource", "resource": {"uri": "odd:///x", "text": "", "etag": None, "rev": 2}, "_meta": {}},
            {"type": "resource_link", "uri": "odd:///y", "name": "y", "icons": [{"src": "data:,", "future": 1}]},
            {"kind": "no type at all"},
        ],
        "_meta": {"example.com/null": None, "example.com/list": [None], "traceparent": "kept as it is"},
        "aUnknown": None,
    }


def numbers() -> JsonObject:
    """Integers beyond every fixed width, and floats at their edges."""
    values: JsonObject = {
        "two_to_64": 2**64,
        "below": -(2**64) - 1,
        "beyond_double": 2**53 + 1,
        "digits_4000": HUGE,
        "small": 5e-324,
        "large": 1.7976931348623157e308,
        "whole": 1.0,
        "minus_zero": -0.0,
    }
    return {"content": [text(str(2**64))], "structuredContent": values}


def key_order() -> JsonObject:
    """Keys as no sorting would leave them; digits that some readers put first."""
    value = {"z": 1, "a": 2, "10": 3, "9": 4, "m": {"y": 1, "b": 2, "\u00e9": 3, "e\u0301": 4}}
    return {"structuredContent": value, "content": [text("order")]}


def structured() -> JsonObject:
    value = {"temperature": 22.5, "conditions": "partly cloudy", "humidity": 65}
    body = '{"temperature":22.5,"conditions":"partly cloudy","humidity":65}'
    return {"content": [text(body)], "structuredContent": value}


def tool_error() -> JsonObject:
    return {"content": [text("it did not work")], "isError": True, "structuredContent": {"tried": 3}, "retry": None}
