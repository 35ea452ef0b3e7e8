// The server of the TypeScript SDK, version 2, for the matrix: `typescript_v2_server.mjs stdio TOKEN`, or `http`.
// Over HTTP the SDK's own handler keeps no sessions, without which old clients cannot be asked; so, as its guide shows,
// they are led to a transport that does.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { NodeStreamableHTTPServerTransport, toNodeHandler, toWebRequest } from '@modelcontextprotocol/node';
import {
    createMcpHandler,
    inputRequired,
    inputResponse,
    isLegacyRequest,
    McpServer,
} from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import { z } from 'zod';
import { greet, listen, QUESTION, register } from './typescript_features.mjs';

const make = () =>
    register(new McpServer({ name: 'matrix', version: '1' }), {
        shape: z.object,
        request: ({ mcpReq }) => ({ meta: mcpReq._meta, notify: mcpReq.notify, signal: mcpReq.signal }),
        ask: async (_, { mcpReq }) => {
            const answer = inputResponse(mcpReq.inputResponses, 'name');
            if (answer.kind === 'elicit') return greet(answer);
            return inputRequired({ inputRequests: { name: inputRequired.elicit(QUESTION) } });
        },
    });

const sessions = new Map();

async function open() {
    const opened = new NodeStreamableHTTPServerTransport({
        sessionIdGenerator: () => randomUUID(),
        onsessioninitialized: id => sessions.set(id, opened),
    });
    opened.onclose = () => sessions.delete(opened.sessionId);
    await make().connect(opened);
    return opened;
}

async function body(request) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    return chunks.length ? JSON.parse(Buffer.concat(chunks).toString()) : undefined;
}

if (process.argv[2] === 'http') {
    const modern = toNodeHandler(createMcpHandler(make, { legacy: 'reject' }));
    const app = createServer(async (request, response) => {
        const parsed = await body(request);
        if (await isLegacyRequest(await toWebRequest(request, parsed))) {
            const session = sessions.get(request.headers['mcp-session-id']) ?? (await open());
            await session.handleRequest(request, response, parsed);
        } else {
            await modern(request, response, parsed);
        }
    });
    listen(app);
} else {
    serveStdio(make);
}
