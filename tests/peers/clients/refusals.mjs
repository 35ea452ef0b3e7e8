// What the user of a client of the TypeScript SDKs gets when a server refuses: see refusals.py, whose twin this is.
import { text } from 'node:stream/consumers';

const MILLISECONDS = 20_000; // how long one session may take

/** What a user can read from an error. */
function told(error) {
    return {
        kind: error?.constructor?.name ?? typeof error,
        message: String(error?.message ?? error),
        code: error?.code ?? null,
        data: error?.data ?? null,
        requiredScope: error?.requiredScope ?? null,
        errorDescription: error?.errorDescription ?? null,
    };
}

/** The outcome of whichever of two calls at the same time ends first; the other is given up. */
async function firstOfTwo(call) {
    const controller = new AbortController();
    const calls = [0, 1].map(() => call({ signal: controller.signal }));
    try {
        return await Promise.race(calls);
    } finally {
        controller.abort('given up');
        await Promise.allSettled(calls);
    }
}

async function taken({ client, call }, { do: what, of, arguments: given, times }) {
    const doing = {
        call: options => call({ name: of, arguments: given }, options),
        read: () => client.readResource({ uri: of }),
        prompt: () => client.getPrompt({ name: of, arguments: given }),
    }[what === 'race' ? 'call' : what];
    for (let time = 1; time < times; time++) await doing();
    try {
        return await (what === 'race' ? firstOfTwo(doing) : doing());
    } catch (error) {
        return told(error);
    }
}

async function carriedOut(connect, session) {
    const done = {};
    let peer;
    try {
        peer = await connect(session);
        for (const [name, step] of Object.entries(session.steps)) done[name] = await taken(peer, step);
    } catch (error) {
        done.connect = told(error);
    }
    await peer?.client.close();
    return done;
}

async function within(promise) {
    let timer;
    const late = new Promise(resolve => {
        timer = setTimeout(() => resolve({ connect: { message: 'not done in time' } }), MILLISECONDS);
    });
    return await Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** `connect` takes a session; it resolves to a client, and how it calls a tool. */
export async function main(connect) {
    const done = [];
    for (const session of JSON.parse(await text(process.stdin))) done.push(await within(carriedOut(connect, session)));
    process.stdout.write(`${JSON.stringify(done)}\n`, () => process.exit());
}
