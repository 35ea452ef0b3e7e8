// The server of the TypeScript SDK, version 1, for the matrix: `typescript_v1_server.mjs stdio TOKEN`, or `http`.
import { randomUUID } from 'node:crypto';
import { createMcpExpressApp } from '@modelcontextprotocol/sdk/server/express.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { ElicitResultSchema } from '@modelcontextprotocol/sdk/types.js';
import { greet, listen, QUESTION, register } from './typescript_features.mjs';

const make = () =>
    register(new McpServer({ name: 'matrix', version: '1' }), {
        shape: shape => shape,
        request: extra => ({ meta: extra._meta, notify: extra.sendNotification, signal: extra.signal }),
        ask: async (_, extra) =>
            greet(await extra.sendRequest({ method: 'elicitation/create', params: QUESTION }, ElicitResultSchema)),
    });

const sessions = new Map();

async function open() {
    const opened = new StreamableHTTPServerTransport({
        sessionIdGenerator: () => randomUUID(),
        onsessioninitialized: id => sessions.set(id, opened),
    });
    opened.onclose = () => sessions.delete(opened.sessionId);
    await make().connect(opened);
    return opened;
}

if (process.argv[2] === 'http') {
    const app = createMcpExpressApp();
    app.all('/mcp', async (request, response) => {
        const session = sessions.get(request.headers['mcp-session-id']) ?? (await open());
        await session.handleRequest(request, response, request.body);
    });
    listen(app);
} else {
    await make().connect(new StdioServerTransport());
}
