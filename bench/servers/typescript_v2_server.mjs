// The TypeScript SDK, version 2: `typescript_v2_server.mjs stdio | http PORT`, served by its handler for both eras.
import { createServer } from 'node:http';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import { z } from 'zod';
import { register } from './typescript_tools.mjs';

const [transport, port] = process.argv.slice(2);

const notify = async (context, progress, total) => {
    const progressToken = context.mcpReq._meta?.progressToken;
    if (progressToken === undefined) return;
    await context.mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress, total } });
};
const make = () => register(new McpServer({ name: 'bench', version: '1' }), z.object, notify);

if (transport === 'http') {
    createServer(toNodeHandler(createMcpHandler(make))).listen(Number(port), '127.0.0.1');
} else {
    serveStdio(make);
}
