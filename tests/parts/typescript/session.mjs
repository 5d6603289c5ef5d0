// One session of the TypeScript SDK's client: takes a plan as JSON in its argument, prints one JSON line a step.
//
// {"era": "legacy" | "modern", "url": ..., "headers": {...}} or {"era": ..., "command": [...], "cwd": ..., "env": {...}},
// and "steps": [[METHOD OF THE CLIENT, PARAMS], ...]. A line is {"result": ...} or {"error": {code, message}}.
// It answers each form with {"name": "Ada"} and declares, with "asked": true, that it can be asked.

import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";

const plan = JSON.parse(process.argv[2]);
const transport =
  plan.url !== undefined
    ? new StreamableHTTPClientTransport(new URL(plan.url), { requestInit: { headers: plan.headers ?? {} } })
    : new StdioClientTransport({ command: plan.command[0], args: plan.command.slice(1), env: plan.env, cwd: plan.cwd });
const client = new Client(
  { name: "typescript", version: "1" },
  {
    capabilities: plan.asked ? { elicitation: { form: {} } } : {},
    versionNegotiation: { mode: plan.era === "modern" ? "auto" : "legacy" },
  },
);
if (plan.asked) {
  client.setRequestHandler("elicitation/create", async () => ({ action: "accept", content: { name: "Ada" } }));
}

await client.connect(transport);
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");
say({ era: client.getProtocolEra(), capabilities: client.getServerCapabilities() });
for (const [method, params] of plan.steps) {
  try {
    say({ result: await client[method](params) });
  } catch (error) {
    say({ error: { code: error.code ?? null, message: String(error.message) } });
  }
}
await client.close();
