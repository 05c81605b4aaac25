// Histories that a key of the browser seals, and pages for which it keeps none.

import assert from 'node:assert/strict';
import { Person, fresh, node, plain } from './people.js';
import { Browser, test, until } from './stage.js';

const BOUND = { config: { deviceBinding: 'browser' } };

/** What becomes of opening the history of a page whose client is closed. */
const opening = (page, config) =>
  page.evaluate(
    async (config) => {
      if (config.deviceBinding !== 'browser') config.deviceBinding &&= new Uint8Array(config.deviceBinding);
      let name;
      const found = await code(async () => {
        const again = await chasqui.ChasquiClient.open(config);
        name = (await again.account())?.name ?? null;
        await again.close();
      });
      return name === undefined ? found : name;
    },
    { node: node.url, name: 'main', ...config },
  );

test('a history that is bound to the browser opens with its key and with nothing else', async () => {
  const ana = await Person.registered(fresh('ana'), BOUND);
  await ana.page.evaluate(() => client.close());
  assert.equal(await opening(ana.page, BOUND.config), ana.name);
  assert.equal(await opening(ana.page, {}), 'other_device');
  assert.equal(await opening(ana.page, { deviceBinding: Array(32).fill(7) }), 'other_device');
  assert.equal(await opening(ana.page, { ...BOUND.config, name: 'another' }), null, 'of another name there is another history');
  const key = await ana.page.evaluate(async () => {
    const asked = indexedDB.open('chasqui:main');
    await new Promise((opened) => (asked.onsuccess = opened));
    const got = asked.result.transaction('keys').objectStore('keys').get('binding');
    await new Promise((read) => (got.onsuccess = read));
    asked.result.close();
    const exported = await crypto.subtle.exportKey('raw', got.result).then(() => 'exported', (error) => error.name);
    return [got.result.algorithm.name, got.result.algorithm.hash.name, got.result.usages, exported];
  });
  assert.deepEqual(key, ['HMAC', 'SHA-256', ['sign'], 'InvalidAccessError']);
  // After a power cut, too.
  const { profile } = ana.browser;
  await ana.browser.kill();
  ana.browser = await Browser.start({ profile });
  const page = await ana.open(BOUND);
  assert.equal((await page.evaluate(() => client.account())).name, ana.name);
  await ana.browser.close();
});

test('a history that is bound by a passphrase opens for who types the same, in this browser', async () => {
  const bound = { config: { passphrase: 'correct horse battery' } };
  const ana = await Person.registered(fresh('ana'), bound);
  await ana.page.evaluate(() => client.close());
  assert.equal(await opening(ana.page, bound.config), ana.name);
  for (const other of [{ passphrase: 'correct horse batterz' }, { passphrase: '' }, { deviceBinding: 'browser' }, {}]) {
    assert.equal(await opening(ana.page, other), 'other_device');
  }
  assert.equal(await opening(ana.page, { ...bound.config, deviceBinding: 'browser' }), 'invalid');
  assert.equal(await opening(ana.page, { passphrase: 7 }), 'invalid');
  assert.equal(await opening(ana.page, bound.config), ana.name);
  const kept = await ana.page.evaluate(async () => {
    const client = await chasqui.ChasquiClient.open({ node: 'http://localhost', name: 'main', passphrase: 'correct horse battery' });
    await client.wipe();
    return (await indexedDB.databases()).map(({ name }) => name);
  });
  assert.deepEqual(kept, []);
  await ana.browser.close();
});

test('tabs that open a new history at the same time share its key, and so does whoever owns it next', async () => {
  const browser = await Browser.start();
  const pages = await Promise.all([1, 2, 3].map(() => browser.tab(`${plain.url}/`)));
  const name = fresh('ana');
  await Promise.all(pages.map((page) => page.waitForFunction(() => window.chasqui)));
  const open = (page) =>
    page.evaluate(async (url) => {
      window.client = await chasqui.ChasquiClient.open({ node: url, name: 'main', deviceBinding: 'browser' });
    }, node.url);
  await Promise.all(pages.map(open));
  await pages[0].evaluate((name) => client.register(name, 'correct horse', 'browser'), name);
  for (const page of pages) {
    assert.equal((await page.evaluate(() => client.account())).name, name);
    await page.close();
  }
  await browser.close();
});

test('whoever asks for a new key at the same time gets the same bytes', async () => {
  const browser = await Browser.start();
  const pages = await Promise.all([1, 2].map(() => browser.tab(`${plain.url}/`)));
  const asked = await Promise.all(pages.map((page) =>
    page.evaluate(async () => {
      const { secretOf } = await import('./chasqui/binding.js');
      const rounds = [];
      for (let round = 0; round < 20; round++) {
        rounds.push((await Promise.all([1, 2, 3, 4].map(() => secretOf(`round ${round}`)))).map(String));
      }
      return rounds;
    }),
  ));
  const [here, there] = asked;
  const seen = here.map((bytes, round) => new Set([...bytes, ...there[round]]));
  assert.deepEqual(seen.map((bytes) => bytes.size), Array(20).fill(1));
  assert.equal(new Set(seen.map((bytes) => [...bytes][0])).size, 20, 'each name has a key of its own');
  assert.equal(here[0][0].split(',').length, 32);
  await browser.close();
});

test('wiping the history removes its key, and what comes next has another one', async () => {
  const ana = await Person.registered(fresh('ana'), BOUND);
  const other = await ana.open({ config: BOUND.config });
  const secret = () => ana.page.evaluate(async () => String(await (await import('./chasqui/binding.js')).secretOf('main')));
  const before = await secret();
  const kept = await ana.page.evaluate(async () => {
    await client.wipe();
    return (await indexedDB.databases()).map(({ name }) => name);
  });
  assert.deepEqual(kept, []);
  await until('it is closed everywhere', () => other.evaluate(() => code(() => client.account()).then((code) => code === 'closed')));
  assert.equal(await opening(ana.page, BOUND.config), null);
  assert.notEqual(await secret(), before);
  assert.equal(await opening(ana.page, BOUND.config), null, 'bound to the new one');
  assert.equal(await opening(ana.page, {}), 'other_device');
  await ana.browser.close();
});

test('a history whose key is gone can be adopted, as a copy', async () => {
  const ana = await Person.registered(fresh('ana'), BOUND);
  await ana.page.evaluate(async () => {
    await client.close();
    const removal = indexedDB.deleteDatabase('chasqui:main');
    await new Promise((removed) => (removal.onsuccess = removed));
  });
  assert.equal(await opening(ana.page, BOUND.config), 'other_device');
  assert.equal(await opening(ana.page, { ...BOUND.config, adoptCopy: true }), ana.name);
  assert.equal(await opening(ana.page, BOUND.config), ana.name);
  const page = await ana.open(BOUND);
  await until('it has to log in again', () => page.evaluate(async () => (await client.connection()).reason === 'copied'));
  await ana.browser.close();
});

test('a browser that does not give the key says so, and nothing is lost', async () => {
  const ana = await Person.registered(fresh('ana'), BOUND);
  await ana.page.evaluate(() => client.close());
  const page = await ana.browser.tab(`${plain.url}/keyless/`);
  await page.waitForFunction(() => window.chasqui);
  const refused = await page.evaluate(async (node) => {
    const error = await chasqui.ChasquiClient.open({ node, name: 'main', deviceBinding: 'browser' }).catch((error) => error);
    return [error instanceof chasqui.ChasquiError, error.code, error.isRetryable, error.message];
  }, node.url);
  assert.deepEqual(refused, [true, 'unavailable', true, 'unavailable: the key of the history: UnknownError: not now']);
  assert.equal(await opening(ana.page, BOUND.config), ana.name);
  await ana.browser.close();
});

test('a page without https has a client, in memory, and no key', async () => {
  const ana = new Person();
  ana.browser = await Browser.start({ flags: ['--host-resolver-rules=MAP chasqui.test 127.0.0.1'] });
  const page = await ana.browser.tab(`${plain.url.replace('localhost', 'chasqui.test')}/`);
  await page.waitForFunction(() => window.chasqui);
  const found = await page.evaluate(
    async ([node, name]) => {
      const { ChasquiClient } = chasqui;
      const refused = await ChasquiClient.open({ node, deviceBinding: 'browser' }).catch((error) => error);
      const client = await ChasquiClient.open({ node });
      await client.register(name, 'correct horse', 'browser');
      const chat = await client.openDirect((await client.account()).user);
      await client.sendText(chat, 'a note to myself');
      const { items } = await client.timeline(chat, null, 5);
      return [isSecureContext, refused.code, refused.isRetryable, client.storage.kind, items.map((item) => item.message.content.text)];
    },
    [node.url, fresh('ana')],
  );
  assert.deepEqual(found, [false, 'incompatible', false, 'memory', ['a note to myself']]);
  await ana.browser.close();
});
