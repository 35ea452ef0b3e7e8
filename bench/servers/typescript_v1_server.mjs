// The TypeScript SDK, version 1: `typescript_v1_server.mjs stdio | http PORT`. Sessions and Express as its guide shows.
import { randomUUID } from 'node:crypto';
import { createMcpExpressApp } from '@modelcontextprotocol/sdk/server/express.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { register } from './typescript_tools.mjs';

const [transport, port] = process.argv.slice(2);

const notify = async (extra, progress, total) => {
    const progressToken = extra._meta?.progressToken;
    if (progressToken === undefined) return;
    await extra.sendNotification({ method: 'notifications/progress', params: { progressToken, progress, total } });
};
const make = () => register(new McpServer({ name: 'bench', version: '1' }), shape => shape, notify);

const sessions = new Map();

async function open() {
    const opened = new StreamableHTTPServerTransport({
        sessionIdGenerator: () => randomUUID(),
        enableJsonResponse: Boolean(process.env.BENCH_JSON),
        onsessioninitialized: id => sessions.set(id, opened),
    });
    opened.onclose = () => sessions.delete(opened.sessionId);
    await make().connect(opened);
    return opened;
}

if (transport === 'http') {
    const app = createMcpExpressApp();
    app.all('/mcp', async (request, response) => {
        const session = sessions.get(request.headers['mcp-session-id']) ?? (await open());
        await session.handleRequest(request, response, request.body);
    });
    app.listen(Number(port), '127.0.0.1');
} else {
    await make().connect(new StdioServerTransport());
}
