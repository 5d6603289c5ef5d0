"""How real servers are told their keys, as their own pages show it: after init no key stands where it would be read."""

from __future__ import annotations

from typing import Any

import pytest

from shim.clients.adopting import adopt
from shim.clients.server import Found
from tests.clients.given import around, server, written

NPX, UVX, DOCKER = ("npx", "-y"), ("uvx",), ("docker", "run", "--rm", "-i")
HEX = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
ACCOUNT = (
    '{"type": "service_account", "project_id": "p", "private_key_id": "%s", '
    '"private_key": "-----BEGIN PRIVATE KEY-----\\nMIIEv\\n-----END PRIVATE KEY-----\\n", "client_email": "a@p.iam"}'
)

DOCUMENTED: list[tuple[str, dict[str, Any], list[str]]] = [
    # Databases
    ("postgres", {"command": (*NPX, "@modelcontextprotocol/server-postgres", "postgresql://me:pw9@host/db")}, ["pw9"]),
    ("postgres-mcp", {"command": (*UVX, "postgres-mcp"), "env": {"DATABASE_URI": "postgresql://me:pw9@h/d"}}, ["pw9"]),
    ("mysql", {"command": (*NPX, "x"), "env": {"MYSQL_HOST": "h", "MYSQL_USER": "u", "MYSQL_PASS": "pw9"}}, ["pw9"]),
    ("mysql-uri", {"command": ("mysql_mcp_server", "--url", "mysql://root:pw9@127.0.0.1:3306/x")}, ["pw9"]),
    ("mysql-p", {"command": ("mysql-mcp", "-h", "host", "-u", "root", "-pPw9x", "-P", "3306")}, ["Pw9x"]),
    ("mysql-p-word", {"command": (*NPX, "mcp-mysql", "-u", "root", "-p", "pw9x", "-d", "shop")}, ["pw9x"]),
    ("mongodb", {"command": (*NPX, "m"), "env": {"MDB_MCP_CONNECTION_STRING": "mongodb+srv://u:pw9@c.net/d"}}, ["pw9"]),
    (
        "mongodb-args",
        {"command": (*NPX, "mongodb-mcp-server", "--connectionString", "mongodb://u:pw9@h/d", "--readOnly")},
        ["pw9"],
    ),
    (
        "mongodb-atlas",
        {"command": (*NPX, "mongodb-mcp-server", "--apiClientId", "id9", "--apiClientSecret", "cs9")},
        ["cs9"],
    ),
    ("redis", {"command": (*UVX, "redis-mcp-server", "--url", '"redis://u:pw9@localhost:6379/0"')}, ["pw9"]),
    ("redis-nobody", {"command": (*UVX, "redis-mcp-server", "--url", "rediss://:pw9@localhost:6379/0")}, ["pw9"]),
    ("redis-args", {"command": (*UVX, "redis-mcp-server", "--port", "6379", "--password", "pw9")}, ["pw9"]),
    ("redis-docker", {"command": (*DOCKER, "-e", "REDIS_HOST=h", "-e", "REDIS_PWD=pw9", "mcp/redis")}, ["pw9"]),
    ("redis-cli", {"command": ("redis-cli-mcp", "-a", "pw9x")}, ["pw9x"]),
    ("mssql", {"command": ("m",), "env": {"MSSQL": "Server=h,1433;Database=d;User Id=sa;Password=pw9;"}}, ["pw9"]),
    ("mssql-args", {"command": ("m", "--conn", "Data Source=h;Initial Catalog=d;User ID=sa;Pwd=pw9")}, ["pw9"]),
    ("mssql-go", {"command": ("m", "sqlserver://sa:pw9@host?database=d")}, ["pw9"]),
    ("jdbc", {"command": ("m", "jdbc:postgresql://h/d?user=u&password=pw9")}, ["pw9"]),
    ("jdbc-oracle", {"command": ("m", "jdbc:oracle:thin:scott/tiger9@host:1521:orcl")}, ["tiger9"]),
    ("libpq", {"command": ("m", "host=h dbname=d user=u password=pw9")}, ["pw9"]),
    ("elasticsearch", {"command": ("m",), "env": {"ES_URL": "https://h", "ES_API_KEY": "ZXNrZXk6cHc5"}}, ["ZXNrZXk"]),
    ("elastic-basic", {"command": ("m",), "env": {"ES_USERNAME": "elastic", "ES_PASSWORD": "pw9"}}, ["pw9"]),
    ("snowflake", {"command": ("m", "--account", "a", "--user", "u", "--password", "pw9")}, ["pw9"]),
    ("supabase", {"command": (*NPX, "m", "--access-token", "sbp_" + "0a" * 20)}, ["sbp_"]),
    ("neon", {"command": (*NPX, "@neondatabase/mcp-server-neon", "start", "napi_8xj2k0qv7m3z")}, ["napi_"]),
    ("curl-like", {"command": ("m", "-u", "elastic:pw9", "https://host")}, ["pw9"]),
    ("curl-like-long", {"command": ("m", "--user=elastic:pw9")}, ["pw9"]),
    # Services
    ("slack", {"command": ("m",), "env": {"SLACK_BOT_TOKEN": "xoxb-1-2-ab", "SLACK_TEAM_ID": "T01"}}, ["xoxb-"]),
    (
        "slack-browser",
        {"command": ("m",), "env": {"SLACK_MCP_XOXC_TOKEN": "xoxc-1", "SLACK_D": "xoxd-aB1%2FcD2efGH"}},
        ["xoxd-", "xoxc-1"],
    ),
    ("slack-app", {"command": ("m", "xapp-1-A012BCDE-34-abcdef")}, ["xapp-"]),
    (
        "notion",
        {"command": ("m",), "env": {"OPENAPI_MCP_HEADERS": '{"Authorization": "Bearer ntn_12", "V": "1"}'}},
        ["ntn_"],
    ),
    ("notion-docker", {"command": (*DOCKER, "-e", "NOTION_TOKEN=ntn_12", "notion-mcp-server")}, ["ntn_"]),
    ("notion-lone", {"command": ("m", "ntn_1234567890abcdefghij")}, ["ntn_"]),
    ("stripe", {"command": (*NPX, "@stripe/mcp", "--tools=all", "--api-key=sk_test_51Ab")}, ["sk_test"]),
    ("brave", {"command": ("m",), "env": {"BRAVE_API_KEY": "BSAabc123"}}, ["BSAabc123"]),
    ("brave-args", {"command": (*NPX, "m", "--brave-api-key", "BSAabc123")}, ["BSAabc123"]),
    ("firecrawl", {"command": ("env", "FIRECRAWL_API_KEY=fc-" + HEX, "npx", "-y", "firecrawl-mcp")}, ["fc-"]),
    ("firecrawl-url", {"url": f"https://mcp.firecrawl.dev/fc-{HEX}/v2/mcp"}, ["fc-"]),
    (
        "github",
        {
            "command": (*DOCKER, "-e", "GITHUB_PERSONAL_ACCESS_TOKEN", "x"),
            "env": {"GITHUB_PERSONAL_ACCESS_TOKEN": "ghp_1"},
        },
        ["ghp_1"],
    ),
    (
        "github-remote",
        {"url": "https://api.githubcopilot.com/mcp/", "headers": {"Authorization": "Bearer ghp_1"}},
        ["ghp_1"],
    ),
    ("github-pat", {"command": ("m", "--pat", "ghp_1")}, ["ghp_1"]),
    ("gitlab", {"command": ("m",), "env": {"GITLAB_PERSONAL_ACCESS_TOKEN": "glpat-1"}}, ["glpat-1"]),
    ("gitlab-args", {"command": (*NPX, "m", "--token=glpat-1", "--api-url=https://gitlab.com/api/v4")}, ["glpat-1"]),
    ("sentry", {"command": (*NPX, "@sentry/mcp-server@latest", "--access-token=sntryu_1")}, ["sntryu_1"]),
    ("sentry-lone", {"command": ("m", "sntryu_" + HEX)}, ["sntryu_"]),
    ("sentry-auth", {"command": (*UVX, "mcp-server-sentry", "--auth-token", "tok9")}, ["tok9"]),
    ("grafana", {"command": ("m",), "env": {"GRAFANA_SERVICE_ACCOUNT_TOKEN": "glsa_1"}}, ["glsa_1"]),
    ("grafana-lone", {"command": ("m", "glsa_ab12CD34ef56GH78_0a1b2c3d")}, ["glsa_"]),
    ("atlassian", {"command": (*UVX, "mcp-atlassian", "--jira-username=a@b.c", "--jira-token=tok9")}, ["tok9"]),
    ("atlassian-pat", {"command": (*UVX, "mcp-atlassian", "--jira-personal-token", "tok9")}, ["tok9"]),
    (
        "atlassian-env",
        {"command": ("m",), "env": {"JIRA_API_TOKEN": "ATATT3xFf9", "JIRA_USERNAME": "a@b.c"}},
        ["ATATT"],
    ),
    ("figma", {"command": (*NPX, "figma-developer-mcp", "--figma-api-key=figd_1", "--stdio")}, ["figd_1"]),
    ("figma-lone", {"command": ("m", "figd_ab12CD34ef56GH78ij")}, ["figd_"]),
    ("linear", {"command": ("m",), "env": {"LINEAR": "lin_api_ab12CD34ef56GH78ij"}}, ["lin_api_"]),
    ("huggingface", {"command": ("m", "hf_abCDefGHijKLmnOPqrST")}, ["hf_"]),
    ("tavily", {"url": "https://mcp.tavily.com/mcp/?tavilyApiKey=tvly-dev-1"}, ["tvly-"]),
    ("exa", {"url": "https://mcp.exa.ai/mcp?exaApiKey=0a1b2c3d-0000-4000-8000-0a1b2c3d4e5f"}, ["0a1b2c3d"]),
    (
        "smithery",
        {"command": (*NPX, "@smithery/cli@latest", "run", "exa", "--config", r'"{\"exaApiKey\":\"k9k9\"}"')},
        ["k9k9"],
    ),
    (
        "smithery-profile",
        {"command": (*NPX, "@smithery/cli", "run", "exa", "--key", "0a1b2c3d-0000-4000-8000-0a1b2c3d4e5f")},
        ["0a1b2c3d"],
    ),
    ("zapier", {"url": "https://mcp.zapier.com/api/mcp/s/YWJjZGVmMTIzNDU2Nzg5MGFiY2RlZjEyMzQ1Ng==/mcp"}, ["YWJjZGVm"]),
    ("gdrive", {"command": ("m", "--refresh-token", "1//0gAbc")}, ["1//0g"]),
    ("gmail", {"command": ("m", "1//0gAbCdEfGhIjKlMnOpQrStUvWxYz01234")}, ["1//0g"]),
    ("gmail-env", {"command": ("m",), "env": {"GOOGLE_REFRESH": "1//0gAbCdEfGhIjKlMnOpQrStUvWxYz01234"}}, ["1//0g"]),
    ("google-client", {"command": ("m",), "env": {"GOOGLE": "GOCSPX-ab12CD34ef56GH78ij90"}}, ["GOCSPX-"]),
    ("bigquery", {"command": ("m",), "env": {"GOOGLE_APPLICATION_CREDENTIALS_JSON": ACCOUNT % HEX}}, ["MIIEv", HEX]),
    ("bigquery-args", {"command": ("m", "--account", ACCOUNT % HEX)}, ["MIIEv", HEX]),
    (
        "aws",
        {"command": ("m",), "env": {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJ"}},
        ["AKIA", "wJ"],
    ),
    (
        "azure",
        {"command": ("m",), "env": {"S": "DefaultEndpointsProtocol=https;AccountName=n;AccountKey=a2V5;"}},
        ["a2V5"],
    ),
    ("servicebus", {"command": ("m", "Endpoint=sb://h/;SharedAccessKeyName=n;SharedAccessKey=a2V5")}, ["a2V5"]),
    ("telegram", {"command": ("m", "--session", "1BVtsOGQBu7")}, ["1BVtsOGQBu7"]),
    ("telegram-env", {"command": ("m",), "env": {"TELEGRAM_SESSION_STRING": "1BVtsOGQBu7"}}, ["1BVtsOGQBu7"]),
    ("jetbrains", {"command": ("m", "--license-key", "LK9-X", "--license=LK8-Y")}, ["LK9-X", "LK8-Y"]),
    ("license-env", {"command": ("m",), "env": {"N8N_LICENSE": "LK9-X"}}, ["LK9-X"]),
    (
        "discord",
        {"command": ("m", "--config", "MTIzNDU2Nzg5MDEyMzQ1Njc4OQ.GaBcDe.ab12CD34ef56GH78ij90kl12MN34")},
        ["GaBcDe"],
    ),
    (
        "wordpress",
        {"command": ("m",), "env": {"WP_API_USERNAME": "u", "WP_API_PASSWORD": "abcd EFGH 1234 ijkl"}},
        ["EFGH"],
    ),
    ("mcp-remote", {"command": (*NPX, "mcp-remote", "https://h/mcp", "--header", "Authorization: Bearer t9")}, ["t9"]),
    (
        "mcp-remote-env",
        {"command": (*NPX, "mcp-remote", "https://h/", "--header", "X-Key:${K}"), "env": {"K": "t9"}},
        ["t9"],
    ),
    ("supergateway", {"command": (*NPX, "supergateway", "--sse", "https://h", "--oauth2Bearer", "tok9")}, ["tok9"]),
]


@pytest.mark.parametrize(("entry", "keys"), [row[1:] for row in DOCUMENTED], ids=[row[0] for row in DOCUMENTED])
def test_no_key_of_a_documented_entry_is_left(entry: dict[str, Any], keys: list[str]) -> None:
    plan = adopt(Found((server(**entry),)), around())
    assert not plan.left_out
    text = written(plan)
    assert [key for key in keys if key in text] == []
    assert [key for key in keys if not any(key in kept for kept in plan.secrets.values())] == []


PLAIN = [
    ("docker", "run", "-u", "1000:1000", "-p", "8080:80", "-v", "/a:/b:ro", "mcp/time"),
    ("podman", "run", "--user", "node:node", "mcp/time"),
    ("server", "-p", "8080", "--port", "1", "-u", "http://host:80", "--user", "elastic"),
    ("psql-mcp", "-p", "5432", "-U", "me", "-u", "/a:b"),
    ("mysql-mcp", "-p", "3306", "-P3306", "-p8080", "-p", "/etc/pw", "--protocol", "tcp"),
    ("npx", "-y", "@modelcontextprotocol/server-filesystem", "/home/me/licence/x", "--session-timeout", "30"),
    ("python", "-u", "server.py", "-m", "tools.main:app"),
    ("uv", "run", "--with", "mcp[cli]", "mcp", "run", "server.py:main"),
]


@pytest.mark.parametrize("words", PLAIN, ids=lambda words: " ".join(words[:4]))
def test_what_only_looks_like_one_stays(words: tuple[str, ...]) -> None:
    plan = adopt(Found((server(command=words),)), around())
    assert not plan.secrets
    assert plan.upstreams[0].command == words
