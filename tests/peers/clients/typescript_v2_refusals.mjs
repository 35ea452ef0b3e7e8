// What the user of the TypeScript SDK, version 2, gets when it is refused: see refusals.mjs.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { main } from './refusals.mjs';

const MODES = { old: 'legacy', any: 'auto' };

await main(async ({ target, era, headers, asks }) => {
    const capabilities = asks ? { elicitation: { form: {} } } : {};
    const options = { capabilities, versionNegotiation: { mode: MODES[era] } };
    const client = new Client({ name: 'refused', version: '1' }, options);
    if (asks) client.setRequestHandler('elicitation/create', async () => ({ action: 'decline' }));
    await client.connect(
        Array.isArray(target)
            ? new StdioClientTransport({ command: target[0], args: target.slice(1), stderr: 'ignore' })
            : new StreamableHTTPClientTransport(new URL(target), { requestInit: { headers } }),
    );
    return { client, call: (params, options) => client.callTool(params, options) };
});
