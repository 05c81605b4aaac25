// No file system, no space, killed workers, older and newer histories, damage.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { Person, fresh, node, pair, plain } from './people.js';
import { test, until } from './stage.js';

test('without OPFS the history lies in memory, and the client says so', async () => {
  const ana = await Person.start(fresh('ana'), { at: 'memory/' });
  assert.deepEqual(await ana.page.evaluate(() => client.storage), { kind: 'memory', isPersisted: false });
  const found = await ana.page.evaluate(async (name) => {
    await client.register(name, 'correct horse', 'browser');
    const chat = await client.openDirect((await client.account()).user);
    await client.sendText(chat, 'a note to myself');
    await client.suspend();
    await client.resume();
    return [await texts(chat), (await client.search('note', 5)).length];
  }, ana.name);
  assert.deepEqual(found, [['a note to myself'], 1]);
  await ana.browser.close();
});

test('without locks, as on a page without https, every tab is alone, in memory', async () => {
  const ana = await Person.registered(fresh('ana'), { at: 'alone/' });
  const second = await ana.open({ at: 'alone/' });
  assert.equal(await ana.page.evaluate(() => client.storage.kind), 'memory');
  assert.equal((await ana.page.evaluate(() => client.account())).name, ana.name);
  assert.equal(await second.evaluate(() => client.account()), null);
  await ana.page.evaluate(() => client.close());
  assert.equal(await second.evaluate(() => code(() => client.account())), 'no error');
  await ana.browser.close();
});

test('a full disk is storage_full, and nothing is lost', async () => {
  const { ana, bo, chat, close } = await pair();
  await ana.page.evaluate((chat) => client.sendText(chat, 'there was room'), chat);
  const session = await ana.browser.context.newCDPSession(ana.page);
  const origin = plain.url;
  const { usage } = await session.send('Storage.getUsageAndQuota', { origin });
  await session.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: usage });
  const refused = await ana.page.evaluate(async (chat) => {
    for (let number = 0; number < 400; number++) {
      try {
        await client.sendText(chat, `${number} ${'x'.repeat(60_000)}`);
      } catch (error) {
        return [error.code, error.isRetryable, number];
      }
    }
    return ['no error', false, 400];
  }, chat);
  assert.deepEqual(refused.slice(0, 2), ['storage_full', true]);
  const kept = await ana.page.evaluate(async (chat) => (await texts(chat)).map((text) => text.length), chat);
  assert.equal(kept.length, refused[2] + 1, 'what was promised is there');
  await until('blocked', () => ana.page.evaluate(async () => (await client.connection()).reason === 'storageFull'));
  await session.send('Storage.overrideQuotaForOrigin', { origin });
  await until('it takes writes again', () => ana.page.evaluate((chat) => code(() => client.sendText(chat, 'room again')).then((code) => code === 'no error'), chat));
  await until('all arrive', async () => (await bo.page.evaluate((chat) => texts(chat), chat)).at(-1) === 'room again');
  await close();
});

/** The worker that has the core open, from inside. One that is just ending answers nothing, and another takes its place. */
async function owner(page) {
  const isOwner = (worker) =>
    worker.evaluate(async () => (await navigator.locks.query()).held.some((lock) => lock.name.endsWith(':owner'))).catch(() => false);
  return until('somebody owns the core', async () => {
    for (const worker of page.workers()) if (await isOwner(worker)) return worker;
  });
}

test('a worker that is killed is replaced, and what was under way is done', async () => {
  const { ana, bo, chat, close } = await pair();
  for (let round = 0; round < 3; round++) {
    const worker = await owner(ana.page);
    const sending = ana.page.evaluate(
      ([chat, round]) => Promise.all([0, 1, 2, 3, 4].map((number) => client.sendText(chat, `${round} ${number}`))),
      [chat, round],
    );
    await worker.evaluate(() => self.close()).catch(() => {});
    await sending;
  }
  const expected = [0, 1, 2].flatMap((round) => [0, 1, 2, 3, 4].map((number) => `${round} ${number}`));
  assert.deepEqual(await ana.page.evaluate((chat) => texts(chat), chat), expected);
  await until('all arrive', async () => (await bo.page.evaluate((chat) => texts(chat), chat)).length === expected.length);
  assert.deepEqual(await bo.page.evaluate((chat) => texts(chat), chat), expected);
  await close();
});

test('a core that breaks is replaced, and what was under way is done', async () => {
  const { ana, chat, close } = await pair();
  const worker = await owner(ana.page);
  await worker.evaluate(() => void setTimeout(() => {
    throw new WebAssembly.RuntimeError('unreachable');
  })).catch(() => {});
  assert.equal(await ana.page.evaluate((chat) => code(() => client.sendText(chat, 'after it broke')), chat), 'no error');
  await close();
});

test('a call over which the core breaks again and again fails, and nothing else of any tab', async () => {
  const bo = await Person.registered(fresh('bo'), { at: 'broken/' });
  const second = await bo.open({ at: 'broken/' });
  const chat = await bo.page.evaluate(async () => client.openDirect((await client.account()).user));
  const everywhere = (page, from, culprit) =>
    page.evaluate(
      async ([chat, from, culprit]) => {
        window.seen = client.observeConversations(5)[Symbol.asyncIterator]();
        await seen.next();
        const calls = Array.from({ length: 8 }, (_, number) => () => client.sendText(chat, `${from} ${number}`));
        if (culprit) calls.splice(4, 0, () => client.search('x', 5));
        return Promise.all(calls.map(code));
      },
      [chat, from, culprit],
    );
  const codes = await Promise.all([everywhere(bo.page, 'first', true), everywhere(second, 'second', false)]);
  const fine = Array(4).fill('no error');
  assert.deepEqual(codes, [[...fine, 'internal', ...fine], [...fine, ...fine]]);
  const sent = await bo.page.evaluate((chat) => texts(chat), chat);
  for (const tab of ['first', 'second']) {
    const expected = Array.from({ length: 8 }, (_, number) => `${tab} ${number}`);
    assert.deepEqual(sent.filter((text) => text.startsWith(tab)), expected, 'in order, and none twice');
  }
  await bo.browser.close();
});

test('closing while calls are asked one at a time fails what waits, and nothing else', async () => {
  const bo = await Person.registered(fresh('bo'), { at: 'broken/' });
  const found = await bo.page.evaluate(async () => {
    const unhandled = [];
    addEventListener('unhandledrejection', (event) => unhandled.push(String(event.reason)));
    const chat = await client.openDirect((await client.account()).user);
    const searched = code(() => client.search('x', 5));
    const waiting = Array.from({ length: 8 }, (_, number) => code(() => client.sendText(chat, String(number))));
    const searchFailed = await searched;
    await waiting[0];
    await client.close();
    const last = (await Promise.all(waiting)).at(-1);
    const suspects = async () => {
      const { held, pending } = await navigator.locks.query();
      return [...held, ...pending].filter((lock) => lock.name.endsWith(':suspect')).length;
    };
    while ((await suspects()) > 0) await new Promise((later) => setTimeout(later, 20));
    await new Promise((later) => setTimeout(later));
    return [searchFailed, last, unhandled];
  });
  assert.deepEqual(found, ['internal', 'closed', []]);
  await bo.browser.close();
});

test('two workers on one database: the second gets folder_in_use', async () => {
  const ana = await Person.registered(fresh('ana'));
  const refused = await ana.page.evaluate(async (url) => {
    const source = `
      import init, { Core } from '${location.origin}/chasqui/core.js';
      await init();
      try { await Core.open(JSON.stringify({ name: 'main', node: '${url}' })); postMessage('opened'); }
      catch (error) { postMessage(error); }`;
    const worker = new Worker(URL.createObjectURL(new Blob([source], { type: 'text/javascript' })), { type: 'module' });
    const answer = await new Promise((resolve) => (worker.onmessage = (event) => resolve(event.data)));
    worker.terminate();
    return answer;
  }, node.url);
  assert.equal(JSON.parse(refused).code, 'folder_in_use');
  assert.equal(await ana.page.evaluate(() => code(() => client.account())), 'no error');
  await ana.browser.close();
});

/** Changes the file of that name in the private file system; a slot has a header of 4,096 bytes with its name. */
const change = (page, name, work, argument) =>
  page.evaluate(
    async ([name, work, argument]) => {
      const root = await navigator.storage.getDirectory();
      const folder = await (await (await root.getDirectoryHandle('chasqui')).getDirectoryHandle('main')).getDirectoryHandle('.opaque');
      for await (const handle of folder.values()) {
        const bytes = new Uint8Array(await (await handle.getFile()).arrayBuffer());
        const title = new TextDecoder().decode(bytes.subarray(0, 512)).replace(/\0.*/s, '');
        if (title !== name) continue;
        const changed = new Function('bytes', 'argument', work)(bytes, argument);
        const writable = await handle.createWritable();
        await writable.write(changed);
        await writable.close();
        return true;
      }
      return false;
    },
    [name, work, argument],
  );

const reopened = (page) =>
  page.evaluate(async (url) => {
    window.client = null;
    const failed = await code(async () => {
      window.client = await chasqui.ChasquiClient.open({ node: url, name: 'main' });
    });
    return failed;
  }, node.url);

test('a newer history is incompatible, and untouched', async () => {
  const ana = await Person.registered(fresh('ana'));
  await ana.page.evaluate(() => client.close());
  // SQLite's user_version, which is the schema's.
  const newer = 'localStorage.schema = bytes[4096 + 63]; bytes[4096 + 63] = 250; return bytes;';
  const known = 'bytes[4096 + 63] = Number(localStorage.schema); return bytes;';
  assert.ok(await change(ana.page, 'history-1.db', newer));
  assert.equal(await reopened(ana.page), 'incompatible');
  assert.equal(await reopened(ana.page), 'incompatible', 'asked again it says the same');
  assert.ok(await change(ana.page, 'history-1.db', known));
  assert.equal(await reopened(ana.page), 'no error');
  assert.equal((await ana.page.evaluate(() => client.account())).name, ana.name);
  await ana.browser.close();
});

test('an older history is brought up to date', async () => {
  const ana = await Person.start(fresh('ana'));
  await ana.page.evaluate(() => client.close());
  // As the first version left it: one message in one conversation.
  const old = [...gunzipSync(readFileSync(new URL('./history-0001.db.gz', import.meta.url)))];
  const work = 'const whole = new Uint8Array(4096 + argument.length); whole.set(bytes.subarray(0, 4096)); whole.set(argument, 4096); return whole;';
  assert.ok(await change(ana.page, 'history-1.db', work, old));
  assert.equal(await reopened(ana.page), 'no error');
  const found = await ana.page.evaluate(async () => {
    const [line] = await client.conversations(5);
    return [await texts(line.id), (await client.search('letter', 5)).length, (await client.salvages()).length];
  });
  assert.deepEqual(found, [['an old letter'], 1, 0]);
  await ana.browser.close();
});

test('a damaged history is set aside, and what can be read is saved', async () => {
  const { ana, chat, close } = await pair();
  await ana.page.evaluate(async (chat) => {
    for (let number = 0; number < 40; number++) await client.sendText(chat, `text ${number} ${'x'.repeat(500)}`);
    await client.close();
  }, chat);
  const work = `for (let at = bytes.length - 3 * 8192; at < bytes.length - 2 * 8192; at++) bytes[at] = 0x55;
    for (let at = 4096 + 8192; at < 4096 + 8192 + 50; at++) bytes[at] = 0xaa; return bytes;`;
  assert.ok(await change(ana.page, 'history-1.db', work));
  assert.equal(await reopened(ana.page), 'no error');
  const found = await until('it is found', () => ana.page.evaluate(async (chat) => {
    await code(() => client.search('text', 100));
    await code(() => texts(chat));
    const [first] = await client.salvages();
    return first && { keptAs: first.keptAs, number: first.number, isComplete: first.isComplete };
  }, chat));
  assert.deepEqual(found, { keptAs: 'history-1.db', number: 1, isComplete: false });
  assert.ok(await ana.page.evaluate(() => code(() => client.conversations(10))) === 'no error');
  await close();
});
