// The client of the TypeScript SDK, version 1, for the matrix: see steps.mjs.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { main } from './steps.mjs';

/** A transport that remembers the version that was agreed on, which the client does not tell. */
function remembering(transport) {
    const agreed = transport.setProtocolVersion?.bind(transport);
    transport.setProtocolVersion = version => {
        transport.agreed = version;
        agreed?.(version);
    };
    return transport;
}

await main(async ({ target }, fill) => {
    const client = new Client({ name: 'matrix', version: '1' }, { capabilities: { elicitation: { form: {} } } });
    client.setRequestHandler(ElicitRequestSchema, async ({ params }) => fill(params));
    const transport = remembering(
        Array.isArray(target)
            ? new StdioClientTransport({ command: target[0], args: target.slice(1) })
            : new StreamableHTTPClientTransport(new URL(target)),
    );
    await client.connect(transport);
    const call = (params, options) => client.callTool(params, undefined, options);
    return { client, call, protocolVersion: transport.agreed };
});
