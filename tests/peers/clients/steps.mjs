// The steps of one cell of the matrix, for a client of the TypeScript SDKs: see steps.py, whose twin this is.
import { text } from 'node:stream/consumers';

const MILLISECONDS = 8000; // how long one step may take
const CONNECTING = 20_000; // how long it may take to connect, which starts a server over stdio

/** The user, who fills every form in with the same answer; `asked` is what was seen of each. */
class Form {
    constructor(answer) {
        this.answer = answer;
        this.asked = [];
    }

    fill({ message, requestedSchema }) {
        this.asked.push([message, requestedSchema.required]);
        return { action: 'accept', content: this.answer };
    }
}

async function within(promise, milliseconds = MILLISECONDS) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`not done within ${milliseconds} ms`)), milliseconds);
    });
    return await Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function listed({ client }) {
    const { tools } = await client.listTools();
    const { resources } = await client.listResources();
    const { prompts } = await client.listPrompts();
    return {
        tools: tools.map(tool => tool.name),
        resources: resources.map(resource => resource.uri),
        prompts: prompts.map(prompt => prompt.name),
    };
}

async function called({ call }, form, { tool, arguments: given }) {
    return await call({ name: tool, arguments: given });
}

async function watched({ call }, form, { tool, arguments: given }) {
    const progress = [];
    const onprogress = step => progress.push([step.progress, step.total ?? null, step.message ?? null]);
    const result = await call({ name: tool, arguments: given }, { onprogress });
    return { ...result, progress };
}

async function asked(peer, form, step) {
    return { ...(await called(peer, form, step)), asked: form.asked };
}

/** Give a call up once it has begun; then `witness`, another tool, tells whether the first one's handler noticed. */
async function abandoned(peer, form, { tool, arguments: given, witness }) {
    const controller = new AbortController();
    const onprogress = () => controller.abort('given up');
    let instead;
    try {
        instead = await peer.call({ name: tool, arguments: given }, { onprogress, signal: controller.signal });
    } catch (error) {
        if (!controller.signal.aborted) throw error;
    }
    const noticed = await called(peer, form, { tool: witness, arguments: given });
    return { ...noticed, givenUp: instead === undefined, instead };
}

const STEPS = {
    list: listed,
    call: called,
    error: called,
    read: ({ client }, form, { uri }) => client.readResource({ uri }),
    prompt: ({ client }, form, { name, arguments: given }) => client.getPrompt({ name, arguments: given }),
    progress: watched,
    elicit: asked,
    cancel: abandoned,
};

const failed = error => ({ failed: String(error?.stack ?? error) });

async function carryOut(connect, order) {
    const form = new Form(order.answer);
    let peer;
    try {
        peer = await within(connect(order, params => form.fill(params)), CONNECTING);
    } catch (error) {
        return { connect: failed(error) };
    }
    const done = { connect: { protocolVersion: peer.protocolVersion } };
    for (const [name, step] of Object.entries(order.steps)) {
        try {
            done[name] = await within(STEPS[name](peer, form, step));
        } catch (error) {
            done[name] = failed(error);
        }
    }
    await within(peer.client.close());
    return done;
}

/** `connect` takes an order and what fills forms in; it resolves to a client, how it calls a tool, and its version. */
export async function main(connect) {
    const done = await carryOut(connect, JSON.parse(await text(process.stdin)));
    process.stdout.write(`${JSON.stringify(done)}\n`, () => process.exit());
}
