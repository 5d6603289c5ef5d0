"""Files as people have them: every client's own, with comments, unknown members, other servers and odd line ends."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shim.clients.server import ClientName

CLAUDE_CODE = """{
  "numStartups": 212,
  "theme": "dark",
  "tipsHistory": {"shift-enter": 40, "memory": 3},
  "mcpServers": {
    "git": {
      "type": "stdio",
      "command": "mcp-server-git",
      "args": [],
      "env": {"GITHUB_TOKEN": "ghp_0123456789abcdefghijklmnopqrstuvwxyz"}
    },
    "linear": {"type": "http", "url": "https://mcp.linear.app/mcp"}
  },
  "projects": {
    "/srv/other": {
      "allowedTools": [],
      "mcpServers": {"clock": {"type": "stdio", "command": "mcp-server-time", "args": ["--local-timezone", "Etc/UTC"]}},
      "history": [{"display": "what is {} and \\"[\\"?"}]
    }
  },
  "oauthAccount": {"emailAddress": "someone@example.com"}
}"""

CLAUDE_DESKTOP = """{
\t"globalShortcut": "",
\t"mcpServers": {
\t\t"git": {
\t\t\t"command": "mcp-server-git"
\t\t},
\t\t"clock": {
\t\t\t"command": "mcp-server-time",
\t\t\t"args": ["--local-timezone", "Etc/UTC"]
\t\t}
\t}
}
"""

CURSOR = (
    '{"mcpServers": {"git": {"command": "mcp-server-git", "args": []}, "docs": {"url": "https://docs.example.com"}}}\n'
)

VSCODE = """\ufeff{
    // Asked for once.
    "inputs": [
        {"type": "promptString", "id": "key", "description": "Key", "password": true}, // kept
    ],
    "servers": {
        /* Everyone's: */
        "git": { "type": "stdio", "command": "mcp-server-git", }, // the repository
        "tickets": {
            "type": "http",
            "url": "https://tickets.example.com/mcp",
            "headers": { "X-Key": "${input:key}" },
        },
    },
}
""".replace("\n", "\r\n")

CODEX = """# My settings
model = "o3" # the large one
notify = [
  "notify-send", # everything
  "Codex",
]

[mcp_servers.git]
command = "mcp-server-git"
args = []

[mcp_servers.git.env]
GIT_PAGER = "cat"

# profiles below
[profiles.fast]
model = "o4-mini"

[mcp_servers."my clock"]
command = "mcp-server-time"
args = ["--local-timezone", "Etc/UTC"]
enabled = true

[tui]
theme = 'dark'"""

GEMINI = """{
  // see /settings
  "ui": {"theme": "GitHub"},
  "mcpServers": {
    "git": {"command": "mcp-server-git", "trust": false}
    // more to come
  },
  "mcp": {"excluded": ["nothing"]}
}
"""


@dataclass(frozen=True)
class Sample:
    """One client's user file: where it lies below HOME on Linux, its text, and the names of all its servers."""

    client: ClientName
    place: str
    text: str
    servers: tuple[str, ...]

    def write(self, home: Path) -> Path:
        path = home / self.place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.text.encode())
        path.chmod(0o640)
        return path


SAMPLES = [
    Sample("claude-code", ".claude.json", CLAUDE_CODE, ("git", "linear", "clock")),
    Sample("claude-desktop", ".config/Claude/claude_desktop_config.json", CLAUDE_DESKTOP, ("git", "clock")),
    Sample("cursor", ".cursor/mcp.json", CURSOR, ("git", "docs")),
    Sample("vscode", ".config/Code/User/mcp.json", VSCODE, ("git", "tickets")),
    Sample("codex", ".codex/config.toml", CODEX, ("git", "my clock")),
    Sample("gemini", ".gemini/settings.json", GEMINI, ("git",)),
]
