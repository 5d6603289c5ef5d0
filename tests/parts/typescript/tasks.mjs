// Calls one tool with the TypeScript SDK's tasks on top of its client, and prints what came of it as JSON.
//
// Takes {"url", "headers", "tool"} as JSON in its argument. Forms are answered with {"name": "Ada"}.

import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { createTaskSessionFromClient } from "@modelcontextprotocol/ext-tasks/client";

const plan = JSON.parse(process.argv[2]);
const clientInfo = { name: "typescript", version: "1" };
const clientCapabilities = { elicitation: { form: {} }, extensions: { "io.modelcontextprotocol/tasks": {} } };
const client = new Client(clientInfo, { capabilities: clientCapabilities, versionNegotiation: { mode: "auto" } });
await client.connect(new StreamableHTTPClientTransport(new URL(plan.url), { requestInit: { headers: plan.headers } }));

// The client's own codec knows no tasks: its requests for them are sent as they are.
let number = 1000;
const rawDispatch = async (request) => {
  const named = request.params?.taskId ?? request.params?.name;
  const response = await fetch(plan.url, {
    method: "POST",
    headers: {
      ...plan.headers,
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      "mcp-protocol-version": "2026-07-28",
      "mcp-method": request.method,
      ...(named === undefined ? {} : { "mcp-name": named }),
    },
    body: JSON.stringify({ jsonrpc: "2.0", id: ++number, ...request }),
  });
  const { result, error } = await response.json();
  return error === undefined ? { kind: "result", result } : { kind: "error", error };
};
const session = createTaskSessionFromClient(client, {
  endpointId: "test",
  rawDispatch,
  v2RequestFraming: { protocolVersion: "2026-07-28", clientInfo, clientCapabilities },
  onInputRequest: async () => ({ action: "accept", content: { name: "Ada" } }),
});
const execution = await session.callTool(plan.tool, {});
const { outcome } = await execution.settle();
process.stdout.write(JSON.stringify({ status: outcome.status, result: outcome.result ?? null, error: outcome.error?.message ?? null }) + "\n");
await session.close();
await client.close();
