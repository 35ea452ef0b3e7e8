// What the user of the TypeScript SDK, version 1, gets when it is refused: see refusals.mjs.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { main } from './refusals.mjs';

await main(async ({ target, headers, asks }) => {
    const capabilities = asks ? { elicitation: { form: {} } } : {};
    const client = new Client({ name: 'refused', version: '1' }, { capabilities });
    if (asks) client.setRequestHandler(ElicitRequestSchema, async () => ({ action: 'decline' }));
    await client.connect(
        Array.isArray(target)
            ? new StdioClientTransport({ command: target[0], args: target.slice(1), stderr: 'ignore' })
            : new StreamableHTTPClientTransport(new URL(target), { requestInit: { headers } }),
    );
    return { client, call: (params, options) => client.callTool(params, undefined, options) };
});
