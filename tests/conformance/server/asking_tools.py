"""Tools that ask the client something before they answer: the model, the person, the folders, several at once."""

from __future__ import annotations

from mcp_types import CallToolResult, CreateMessageResult, ElicitResult, InputRequest

from tests.conformance.server.asking import form, page, roots, said, sample
from tests.conformance.server.content import text
from tests.conformance.server.offer import Request, ToolOffer, result, tool

NAME = {"name": {"type": "string"}}
TEXT = {"type": "string"}
CHOICES = ["option1", "option2", "option3"]
TITLED = [{"const": f"value{n}", "title": f"{nth} Option"} for n, nth in ((1, "First"), (2, "Second"), (3, "Third"))]
DEFAULTS = {
    "name": {"type": "string", "default": "John Doe"},
    "age": {"type": "integer", "default": 30},
    "score": {"type": "number", "default": 95.5},
    "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
    "verified": {"type": "boolean", "default": True},
}
ENUMS = {
    "untitledSingle": {"type": "string", "enum": CHOICES},
    "titledSingle": {"type": "string", "oneOf": TITLED},
    "legacyEnum": {
        "type": "string",
        "enum": ["opt1", "opt2", "opt3"],
        "enumNames": ["Option One", "Option Two", "Option Three"],
    },
    "untitledMulti": {"type": "array", "items": {"type": "string", "enum": CHOICES}},
    "titledMulti": {"type": "array", "items": {"anyOf": TITLED}},
}


async def _sampling(request: Request) -> CallToolResult:
    answers = await request.asking.ask({"answer": sample(request.arguments["prompt"])})
    return result(text(f"LLM response: {said(answers['answer'])}"))


async def _elicitation(request: Request) -> CallToolResult:
    fields = {
        "username": {"type": "string", "description": "User's response"},
        "email": {"type": "string", "description": "User's email address"},
    }
    answers = await request.asking.ask({"user": form(request.arguments["message"], fields, ["username", "email"])})
    return result(text(f"User response: {said(answers['user'])}"))


async def _defaults(request: Request) -> CallToolResult:
    answers = await request.asking.ask({"user": form("Please look at these values.", DEFAULTS)})
    return result(text(f"Elicitation completed: {said(answers['user'])}"))


async def _enums(request: Request) -> CallToolResult:
    answers = await request.asking.ask({"user": form("Please choose.", ENUMS)})
    return result(text(f"Elicitation completed: {said(answers['user'])}"))


async def _url(request: Request) -> CallToolResult:
    question = page("Please sign in on this page.", "https://example.com/sign-in", "sign-in-1")
    answers = await request.asking.ask({"page": question})
    answer = answers["page"]
    return result(text(f"Page: {answer.action if isinstance(answer, ElicitResult) else said(answer)}"))


async def _name(request: Request) -> CallToolResult:
    answer = (await request.asking.ask({"user_name": form("What is your name?", NAME, ["name"])}))["user_name"]
    name = answer.content.get("name") if isinstance(answer, ElicitResult) and answer.content else "whoever you are"
    return result(text(f"Hello, {name}!"))


async def _capital(request: Request) -> CallToolResult:
    answers = await request.asking.ask({"capital_question": sample("What is the capital of France?")})
    return result(text(said(answers["capital_question"])))


async def _roots(request: Request) -> CallToolResult:
    answers = await request.asking.ask({"client_roots": roots()})
    return result(text(f"Roots: {said(answers['client_roots'])}"))


async def _state(request: Request) -> CallToolResult:
    question = form("Please confirm", {"ok": {"type": "boolean"}}, ["ok"])
    answers = await request.asking.ask({"confirm": question}, remember=True)
    return result(text(f"state-ok: {said(answers['confirm'])}"))


async def _several(request: Request) -> CallToolResult:
    questions: dict[str, InputRequest] = {
        "user_name": form("What is your name?", NAME, ["name"]),
        "greeting": sample("Generate a greeting"),
        "client_roots": roots(),
    }
    answers = await request.asking.ask(questions, remember=True)
    return result(text("; ".join(f"{name}: {said(answer)}" for name, answer in answers.items())))


async def _rounds(request: Request) -> CallToolResult:
    first = await request.asking.ask({"step1": form("Step 1: What is your name?", NAME, ["name"])}, remember=True)
    color = {"color": {"type": "string"}}
    second = await request.asking.ask({"step2": form("Step 2: What is your favorite color?", color, ["color"])})
    return result(text(f"{said(first['step1'])}; {said(second['step2'])}"))


async def _what_it_can(request: Request) -> CallToolResult:
    wanted: dict[str, InputRequest] = {
        "person": form("What is your name?", NAME, ["name"]),
        "model": sample("Generate a greeting"),
    }
    answers = await request.asking.ask({name: what for name, what in wanted.items() if request.asking.can(what)})
    return result(text("; ".join(f"{name}: {said(answer)}" for name, answer in answers.items()) or "nothing to ask"))


async def _needs_sampling(request: Request) -> CallToolResult:
    answer = (await request.asking.ask({"answer": sample("Say something.")}))["answer"]
    return result(text(said(answer) if isinstance(answer, CreateMessageResult) else "something"))


def _asked(**properties: object) -> dict[str, object]:
    return {"type": "object", "properties": properties, "required": list(properties)}


TOOLS: tuple[ToolOffer, ...] = (
    tool("test_sampling", "Asks the client's model.", _sampling, _asked(prompt=TEXT)),
    tool("test_elicitation", "Asks the person with a form.", _elicitation, _asked(message=TEXT)),
    tool("test_elicitation_sep1034_defaults", "Asks with a form that is filled in already.", _defaults),
    tool("test_elicitation_sep1330_enums", "Asks with every kind of choice.", _enums),
    tool("test_elicitation_url", "Sends the person to a page.", _url),
    tool("test_streaming_elicitation", "Asks the person on the call's own stream.", _name),
    tool("test_missing_capability", "Works only with a client whose model can be asked.", _needs_sampling),
    tool("test_input_required_result_elicitation", "Asks for a name.", _name),
    tool("test_input_required_result_sampling", "Asks the client's model for a capital.", _capital),
    tool("test_input_required_result_list_roots", "Asks for the client's folders.", _roots),
    tool("test_input_required_result_request_state", "Asks, and knows its own state again.", _state),
    tool("test_input_required_result_tampered_state", "Asks, and refuses a state that is not its own.", _state),
    tool("test_input_required_result_multiple_inputs", "Asks three things at once.", _several),
    tool("test_input_required_result_multi_round", "Asks one thing after the other.", _rounds),
    tool("test_input_required_result_capabilities", "Asks only what the client can be asked.", _what_it_can),
)
