// Several tabs, reloads, and owners that go.

import assert from 'node:assert/strict';
import { Person, fresh, node, pair, plain } from './people.js';
import { test, until } from './stage.js';

test('a reload keeps the history and the account', async () => {
  const { ana, chat, close } = await pair();
  await ana.page.evaluate((chat) => client.sendText(chat, 'before the reload'), chat);
  await ana.page.reload();
  await ana.page.waitForFunction(() => window.chasqui);
  const found = await ana.page.evaluate(
    async ([url, chat]) => {
      const client = await chasqui.ChasquiClient.open({ node: url, name: 'main' });
      return [(await client.account()).name, (await client.timeline(chat, null, 5)).items.map((item) => item.message.content.text)];
    },
    [node.url, chat],
  );
  assert.deepEqual(found, [ana.name, ['before the reload']]);
  await close();
});

test('two tabs share one device: what one writes the other shows', async () => {
  const { ana, bo, chat, close } = await pair();
  const second = await ana.open();
  assert.equal(await second.evaluate(async () => (await client.devices()).length), 1);
  await second.evaluate((chat) => {
    window.list = [];
    (async () => {
      for await (const lines of client.observeTimeline(chat, 10).lists()) list = lines.map((item) => item.message.content.text);
    })();
  }, chat);
  await ana.page.evaluate((chat) => client.sendText(chat, 'from the first tab'), chat);
  await second.evaluate((chat) => client.sendText(chat, 'from the second tab'), chat);
  const both = 'from the first tab,from the second tab';
  await until('both are shown', () => second.evaluate((both) => list.join() === both, both));
  await until('both arrive', () => bo.page.evaluate(async ([chat, both]) => (await texts(chat)).join() === both, [chat, both]));
  // One tab's suspension is its own.
  await second.evaluate(() => client.suspend());
  assert.equal(await ana.page.evaluate(() => code(() => client.account())), 'no error');
  assert.equal(await second.evaluate(() => code(() => client.account())), 'suspended');
  await second.evaluate(() => client.resume());
  assert.equal(await second.evaluate(() => code(() => client.account())), 'no error');
  await close();
});

test('another node under the same name is refused', async () => {
  const ana = await Person.start(fresh('ana'));
  const refused = await ana.page.evaluate(() => code(() => chasqui.ChasquiClient.open({ node: 'http://127.0.0.1:1', name: 'main' })));
  assert.equal(refused, 'invalid');
  await ana.browser.close();
});

test('closing the owner tab in the middle of 200 sends loses and doubles nothing', async () => {
  const { ana, bo, chat, close } = await pair();
  const second = await ana.open();
  await second.evaluate((chat) => {
    window.done = 0;
    window.list = [];
    window.resets = 0;
    (async () => {
      const watch = client.observeTimeline(chat, 500);
      for await (const update of watch) {
        if (update.kind === 'reset') resets += 1;
        list = chasqui.applyUpdate(list, update);
      }
    })();
    window.sending = (async () => {
      const sends = [];
      for (let number = 0; number < 200; number++) {
        sends.push(client.sendText(chat, `text ${number}`).then(() => (done += 1)));
        if (number % 20 === 19) await new Promise((resolve) => setTimeout(resolve, 5));
      }
      await Promise.all(sends);
    })();
  }, chat);
  await until('some are sent', () => second.evaluate(() => done > 20));
  const before = await second.evaluate(() => done);
  await ana.page.close();
  assert.ok(before < 200, `the owner was closed in the middle: ${before}`);
  await second.evaluate(() => sending);
  const expected = Array.from({ length: 200 }, (_, number) => `text ${number}`);
  assert.deepEqual(await second.evaluate((chat) => texts(chat), chat), expected);
  await until('all arrive once', async () => {
    const arrived = await bo.page.evaluate((chat) => texts(chat), chat);
    assert.ok(arrived.length <= 200, `${arrived.length} arrived`);
    return arrived.length === 200;
  });
  assert.deepEqual(await bo.page.evaluate((chat) => texts(chat), chat), expected);
  await until('the observer goes on', () => second.evaluate(() => list.length === 200 && resets === 2));
  await close();
});

/** A backup of about 10 MB with 200 texts: put into a page as `backup`, and how much of it is restored. */
async function longBackup() {
  const ana = await Person.registered(fresh('ana'));
  const [phrase, chat, backup] = await ana.page.evaluate(async () => {
    const chat = await client.openDirectAs((await client.account()).user, 'nodeReadable');
    for (let number = 0; number < 200; number++) await client.sendText(chat, `text ${number} ${'x'.repeat(50_000)}`);
    while ((await client.timeline(chat, null, 1000)).items.some((item) => item.message.state.kind === 'pending')) {
      await new Promise((later) => setTimeout(later, 50));
    }
    const phrase = await chasqui.ChasquiClient.newRecoveryPhrase();
    const read = new FileReader();
    read.readAsDataURL(await client.backUp(phrase));
    await new Promise((done) => (read.onload = done));
    return [phrase, chat, read.result];
  });
  await ana.browser.close();
  const give = (page) => page.evaluate(async (backup) => {
    window.backup = await (await fetch(backup)).blob();
    return window.backup.size;
  }, backup);
  const count = (page) => page.evaluate(async (chat) => (await client.timeline(chat, null, 1000)).items.length, chat);
  return { phrase, give, count, name: ana.name };
}

test('a tab that closes in the middle of a restore: the owner goes on, and a new owner begins again', async () => {
  const { phrase, give, count, name } = await longBackup();
  // The tab that asked goes: the file lives as long as who reads it.
  const one = await Person.start(name);
  const asking = await one.open();
  assert.ok((await give(asking)) > 10e6);
  await asking.evaluate((phrase) => void client.restore(backup, phrase), phrase);
  await until('it has begun', () => count(one.page));
  await asking.close();
  const left = await count(one.page);
  assert.ok(left < 200, `in the middle: ${left}`);
  await until('all is there', async () => (await count(one.page)) === 200);
  await one.browser.close();
  // The owner goes: the next one is asked again, from the beginning.
  const two = await Person.start(name);
  const second = await two.open();
  await give(second);
  await second.evaluate((phrase) => {
    window.restored = code(() => client.restore(backup, phrase));
  }, phrase);
  await until('it has begun', () => count(two.page));
  await two.page.close();
  const begun = await count(second);
  assert.ok(begun < 200, `in the middle: ${begun}`);
  assert.equal(await second.evaluate(() => restored), 'no error');
  assert.equal(await count(second), 200);
  await two.browser.close();
});

test('kill -9 of the browser keeps what was promised', async () => {
  const { ana, bo, chat } = await pair();
  await ana.page.evaluate(async (chat) => {
    window.kept = 0;
    (async () => {
      for (let number = 0; ; number++) {
        await client.sendText(chat, `text ${number}`);
        kept = number + 1;
      }
    })();
  }, chat);
  const promised = await until('some are kept', () => ana.page.evaluate(() => kept > 50 && kept));
  await ana.browser.kill();
  const again = await Person.start(ana.name, { profile: ana.browser.profile });
  const found = await again.page.evaluate((chat) => texts(chat), chat);
  assert.ok(found.length >= promised, `${found.length} of ${promised}`);
  assert.deepEqual(found, found.map((_, number) => `text ${number}`));
  await until('all arrive', async () => (await bo.page.evaluate((chat) => texts(chat), chat)).length === found.length);
  assert.equal(await again.page.evaluate(async () => (await client.salvages()).length), 0);
  await again.browser.close();
  await bo.browser.close();
});

test('opening and closing again and again leaves no worker and no lock behind', async () => {
  const ana = await Person.registered(fresh('ana'));
  await ana.page.evaluate(async (url) => {
    for (let round = 0; round < 15; round++) {
      const other = await chasqui.ChasquiClient.open({ node: url, name: 'loop' });
      await other.account();
      await other.close();
    }
  }, node.url);
  await until('only the worker of the client that is open is there', () => ana.page.workers().length === 1);
  const locks = await ana.page.evaluate(async () => {
    const { held, pending } = await navigator.locks.query();
    return [...held, ...pending].map((lock) => lock.name).filter((name) => name.includes(':loop'));
  });
  assert.deepEqual(locks, []);
  await ana.browser.close();
});

test('a page of another origin has its own history', async () => {
  const ana = await Person.registered(fresh('ana'));
  const other = await ana.browser.tab(plain.url.replace('localhost', '127.0.0.1'));
  await other.waitForFunction(() => window.chasqui);
  const account = await other.evaluate(async (url) => (await chasqui.ChasquiClient.open({ node: url, name: 'main' })).account(), node.url);
  assert.equal(account, null);
  await ana.browser.close();
});
