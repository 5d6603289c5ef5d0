"""Completion: of a prompt's arguments and of a template's variable."""

from __future__ import annotations

from mcp_types import CompleteRequestParams, CompleteResult, Completion, PromptReference

from tests.conformance.server.resources import TEMPLATE

WORDS = ("paris", "park", "party", "london")
IDS = ("123", "124", "200")


def complete(params: CompleteRequestParams) -> CompleteResult:
    """What begins as the argument does."""
    known: tuple[str, ...]
    if isinstance(params.ref, PromptReference):
        known = WORDS if params.ref.name == "test_prompt_with_arguments" else ()
    else:
        known = IDS if params.ref.uri == TEMPLATE else ()
    values = [word for word in known if word.startswith(params.argument.value)]
    return CompleteResult(completion=Completion(values=values, total=len(values), has_more=False))
