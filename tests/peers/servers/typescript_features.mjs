// What the servers of both TypeScript SDKs offer, for the matrix: the same as bascule_server.py.
import { z } from 'zod';

const MILLISECONDS = 5000;
const cancelled = new Map(); // by key: a promise, and what resolves it

function cancellation(key) {
    if (!cancelled.has(key)) cancelled.set(key, Promise.withResolvers());
    return cancelled.get(key);
}

const say = text => ({ content: [{ type: 'text', text }] });

/**
 * Register everything. What differs between the versions is given: `shape` wraps a record of zod types, `request` gives a
 * request's `meta`, `notify` and `signal` from a handler's last argument, `ask` is the handler that asks for a name.
 */
export function register(server, { shape, request, ask }) {
    const report = async (context, params) => {
        const { meta, notify } = request(context);
        if (meta?.progressToken === undefined) return;
        await notify({
            method: 'notifications/progress',
            params: { progressToken: meta.progressToken, ...params },
        });
    };
    server.registerTool(
        'add',
        {
            description: 'Add two numbers.',
            inputSchema: shape({ a: z.int(), b: z.int() }),
            outputSchema: shape({ sum: z.int(), of: z.array(z.int()) }),
        },
        async ({ a, b }) => {
            const structuredContent = { sum: a + b, of: [a, b] };
            return { ...say(JSON.stringify(structuredContent)), structuredContent };
        },
    );
    server.registerTool('fail', { description: 'Fail, and say why.', inputSchema: shape({}) }, async () => {
        throw new Error('The moon is in the wrong phase.');
    });
    server.registerTool(
        'climb',
        { description: 'Tell of every step.', inputSchema: shape({ steps: z.int() }) },
        async ({ steps }, context) => {
            for (let progress = 1; progress <= steps; progress++) {
                await report(context, { progress, total: steps, message: `step ${progress}` });
            }
            return say(`${steps} steps`);
        },
    );
    server.registerTool('ask', { description: "Ask the user's name.", inputSchema: shape({}) }, ask);
    server.registerTool(
        'stall',
        { description: 'Begin, and never end.', inputSchema: shape({ key: z.string() }) },
        async ({ key }, context) => {
            const { signal } = request(context);
            await report(context, { progress: 1 });
            return await new Promise((_, reject) => {
                const end = () => {
                    cancellation(key).resolve();
                    reject(new Error('cancelled'));
                };
                if (signal.aborted) end();
                else signal.addEventListener('abort', end, { once: true });
            });
        },
    );
    server.registerTool(
        'noticed',
        {
            description: 'Whether a call of `stall` was cancelled, "yes" or "no".',
            inputSchema: shape({ key: z.string() }),
        },
        async ({ key }) => {
            let timer;
            const late = new Promise(resolve => {
                timer = setTimeout(() => resolve('no'), MILLISECONDS);
            });
            const answer = await Promise.race([cancellation(key).promise.then(() => 'yes'), late]);
            clearTimeout(timer);
            return say(answer);
        },
    );
    const uri = 'matrix://greeting';
    server.registerResource('greeting', uri, { mimeType: 'text/plain' }, async () => ({
        contents: [{ uri, mimeType: 'text/plain', text: 'Hello.' }],
    }));
    server.registerPrompt(
        'briefing',
        { description: 'Prepare a trip.', argsSchema: shape({ city: z.string() }) },
        ({ city }) => ({
            messages: [{ role: 'user', content: { type: 'text', text: `What should I pack for ${city}?` } }],
        }),
    );
    return server;
}

export const QUESTION = {
    mode: 'form',
    message: 'What is your name?',
    requestedSchema: { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] },
};

/** The answer of `ask` to what the user did with the form. */
export const greet = ({ action, content }) =>
    say(action === 'accept' ? `Hello, ${content.name}.` : `Nothing: ${action}.`);

/** Listen on a free port of loopback, and say where. */
export function listen(server) {
    const listening = server.listen(0, '127.0.0.1', () => {
        process.stdout.write(`listening on http://127.0.0.1:${listening.address().port}/mcp\n`);
    });
}
