// The client of the TypeScript SDK, version 2, for the matrix: see steps.mjs.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { main } from './steps.mjs';

const MODES = { old: 'legacy', any: 'auto' };

await main(async ({ target, era }, fill) => {
    const options = { capabilities: { elicitation: { form: {} } }, versionNegotiation: { mode: MODES[era] } };
    const client = new Client({ name: 'matrix', version: '1' }, options);
    client.setRequestHandler('elicitation/create', async ({ params }) => fill(params));
    const transport = Array.isArray(target)
        ? new StdioClientTransport({ command: target[0], args: target.slice(1) })
        : new StreamableHTTPClientTransport(new URL(target));
    await client.connect(transport);
    const call = (params, options) => client.callTool(params, options);
    return { client, call, protocolVersion: client.getNegotiatedProtocolVersion() };
});
