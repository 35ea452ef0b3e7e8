// The tools and the resource that both TypeScript servers offer; `notify` tells how each sends a notice.
import { z } from 'zod';

const text = value => [{ type: 'text', text: String(value) }];
const answer = value => ({ content: text(value), structuredContent: { result: value } });
const count = Number(process.env.BENCH_TOOLS ?? '4');

/** Register everything. `shape` wraps a record of zod types as the SDK's version wants it. */
export function register(server, shape, notify) {
    const numbers = {
        description: 'Add two numbers.',
        inputSchema: shape({ a: z.int(), b: z.int() }),
        outputSchema: shape({ result: z.int() }),
    };
    const output = shape({ result: z.string() });
    const add = async ({ a, b }) => answer(a + b);
    server.registerTool('add', numbers, add);
    server.registerTool(
        'echo',
        { description: 'Return the text.', inputSchema: shape({ text: z.string() }), outputSchema: output },
        async given => answer(given.text),
    );
    server.registerTool(
        'big',
        { description: 'Return n kilobytes of text.', inputSchema: shape({ n: z.int() }), outputSchema: output },
        async ({ n }) => answer('x'.repeat(n * 1024)),
    );
    server.registerTool(
        'steps',
        { description: 'Send n progress notices.', inputSchema: shape({ n: z.int() }), outputSchema: output },
        async ({ n }, context) => {
            for (let step = 1; step <= n; step++) await notify(context, step, n);
            return answer(`${n} steps`);
        },
    );
    for (let number = 4; number < count; number++) server.registerTool(`add_${number}`, numbers, add);
    const uri = 'bench://greeting';
    server.registerResource('greeting', uri, { mimeType: 'text/plain' }, async () => ({
        contents: [{ uri, mimeType: 'text/plain', text: 'Hello' }],
    }));
    return server;
}
