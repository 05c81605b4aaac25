// The sample page with the packed package: built by Vite, and as Vite serves it for development.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Person, app, fresh, node } from './people.js';
import { Browser, serve, test, until } from './stage.js';

const PICTURES = process.env.PICTURES;
const built = await serve(join(app, 'dist'));

const at = (url, account = 'default') => `${url}/?node=${encodeURIComponent(node.url)}&account=${account}`;

async function join_(page, name) {
  await page.fill('input[name=name]', name);
  await page.fill('input[name=password]', 'correct horse');
  await page.click('button[value=register]');
  await page.waitForSelector('.frame');
}

async function write(page, text) {
  await page.fill('textarea[name=text]', text);
  await page.press('textarea[name=text]', 'Enter');
}

async function begin(page, name) {
  await page.fill('input[name=find]', name);
  await page.press('input[name=find]', 'Enter');
  await page.waitForSelector('.with');
}

async function picture(page, name) {
  if (!PICTURES) return;
  mkdirSync(PICTURES, { recursive: true });
  await page.screenshot({ path: join(PICTURES, `${name}.png`) });
}

test('the sample page, built by Vite: two people talk, in two tabs, light and dark, on a desk and in a hand', async () => {
  const [ana, bo] = [await Browser.start(), await Browser.start({ colorScheme: 'dark', viewport: { width: 390, height: 800 } })];
  const names = [fresh('Ana'), fresh('Bo')];
  const [desk, hand] = await Promise.all([ana.tab(at(built.url)), bo.tab(at(built.url))]);
  await desk.waitForSelector('.card form');
  await picture(desk, 'login-desk-light');
  await picture(hand, 'login-hand-dark');
  await Promise.all([join_(desk, names[0]), join_(hand, names[1])]);
  await begin(desk, names[1]);
  for (const text of ['Good morning! Did the parcel from Cusco arrive?', 'It should have been there yesterday.']) await write(desk, text);
  await hand.waitForSelector('.row .unread');
  await picture(hand, 'list-hand-dark');
  await hand.click('.row');
  await hand.waitForSelector('.bubble.other:nth-of-type(2)');
  for (const text of ['It did, at dawn.', 'The runner had not even stopped to rest. He asked me to tell you that the road over the pass is open again, and that he will carry whatever you have on his way back.']) await write(hand, text);
  await until('both are read', () => desk.$$eval('.bubble.own .state.read', (states) => states.length === 2));
  await until('answers are shown', () => desk.$$eval('.bubble.other', (lines) => lines.length === 2));
  // Key by key, and taken back.
  await until('Bo is seen typing', async () => {
    await hand.press('textarea[name=text]', 'x');
    return (await desk.$eval('.typing', (line) => line.textContent)) === `${names[1]} is typing…`;
  });
  await picture(desk, 'chat-desk-light');
  await picture(hand, 'chat-hand-dark');
  await hand.fill('textarea[name=text]', '');
  await until('and not any more', async () => (await desk.$eval('.typing', (line) => line.textContent)) === '', 5_000);
  // A second tab shows the same, and what is written there is shown here.
  const second = await ana.tab(at(built.url));
  await second.waitForSelector('.row');
  await second.click('.row');
  await second.waitForSelector('.composer');
  await write(second, 'Written in the second tab');
  await until('in the first tab', () => desk.$$eval('.bubble.own .text', (lines) => lines.at(-1)?.textContent === 'Written in the second tab'));
  await desk.emulateMedia({ colorScheme: 'dark' });
  await picture(desk, 'chat-desk-dark');
  await hand.emulateMedia({ colorScheme: 'light' });
  await picture(hand, 'chat-hand-light');
  // Nobody answers: the page says so, takes what is written, and sends it later.
  await node.stop();
  await desk.waitForSelector('.banner:not([hidden])');
  await write(desk, 'Written without a network');
  await until('it waits', () => desk.$$eval('.bubble.own', (lines) => lines.at(-1)?.dataset.state === 'pending'));
  await desk.emulateMedia({ colorScheme: 'light' });
  await picture(desk, 'offline-desk-light');
  await node.again();
  await desk.evaluate(() => dispatchEvent(new Event('online')));
  await hand.evaluate(() => dispatchEvent(new Event('online')));
  await until('it arrived', () => hand.$$eval('.bubble.other .text', (lines) => lines.at(-1)?.textContent === 'Written without a network'));
  await until('the banner goes', () => desk.$eval('.banner', (banner) => banner.hidden));
  // Reload: still logged in, still there.
  await desk.reload();
  await desk.waitForSelector('.row');
  await desk.click('.row');
  await until('the history is there', () => desk.$$eval('.bubble', (lines) => lines.length === 6));
  await desk.click('text=Log out');
  await desk.waitForSelector('.card form');
  await second.waitForSelector('.card form');
  await Promise.all([ana.close(), bo.close()]);
});

test('the sample page links a second device, which gets the history and takes part then', async () => {
  const [first, further] = [await Browser.start(), await Browser.start({ colorScheme: 'dark', viewport: { width: 390, height: 800 } })];
  const [desk, hand] = await Promise.all([first.tab(at(built.url)), further.tab(at(built.url))]);
  const name = fresh('Ana');
  await desk.waitForSelector('.card form');
  await join_(desk, name);
  await begin(desk, name);
  const long = 'It is a long way from Cusco to Quito. '.repeat(1200);
  for (let number = 0; number < 12; number++) await write(desk, `${number} ${long}`);
  await write(desk, 'the last one before');
  await until('all are sent', () => desk.$$eval('.bubble.own', (lines) => lines.length === 13 && lines.every((line) => line.dataset.state !== 'pending')));
  await hand.fill('input[name=name]', name);
  await hand.fill('input[name=password]', 'correct horse');
  await hand.click('button[value=login]');
  await hand.waitForSelector('.linking.is-needed');
  await hand.click('text=Show a code');
  const code = await (await hand.waitForSelector('.linking code')).textContent();
  await picture(hand, 'link-hand-dark');
  await desk.click('text=Link a device');
  await desk.fill('input[name=code]', 'chasqui:link:1:AAAA');
  await desk.press('input[name=code]', 'Enter');
  await desk.waitForSelector('.linking .error');
  await desk.fill('input[name=code]', code);
  await desk.press('input[name=code]', 'Enter');
  const numbers = await Promise.all([desk, hand].map(async (page) => (await page.waitForSelector('.linking output')).textContent()));
  assert.match(numbers[0], /^[0-9]{3} [0-9]{3}$/);
  assert.equal(numbers[0], numbers[1]);
  await Promise.all([picture(desk, 'link-desk-light'), picture(hand, 'number-hand-dark')]);
  await Promise.all([desk, hand].map((page) => page.click('text=It is the same')));
  const coming = hand.waitForSelector('.history:not([hidden])').then(() => picture(hand, 'history-hand-dark'));
  await hand.waitForSelector('.linking', { state: 'detached' });
  await coming;
  await desk.waitForSelector('text=The other device is linked.');
  await hand.waitForSelector('.history', { state: 'hidden' });
  await write(desk, 'a note to myself');
  await hand.waitForSelector('.row');
  await hand.click('.row');
  await until('it is there, too', () => hand.$$eval('.bubble .text', (lines) => lines.at(-1)?.textContent === 'a note to myself'));
  assert.equal(await hand.$$eval('.bubble .text', (lines) => lines.length), 14, 'after all that was written before');
  assert.equal(await hand.$('.trust'), null, 'nobody compares a number with oneself');
  await Promise.all([first.close(), further.close()]);
});

test('the sample page compares safety numbers, and asks what to make of a new identity', async () => {
  const [first, other] = [await Browser.start(), await Browser.start({ colorScheme: 'dark', viewport: { width: 390, height: 800 } })];
  const [desk, hand] = await Promise.all([first.tab(at(built.url)), other.tab(at(built.url))]);
  const names = [fresh('Ana'), fresh('Bo')];
  await Promise.all([desk.waitForSelector('.card form'), hand.waitForSelector('.card form')]);
  await Promise.all([join_(desk, names[0]), join_(hand, names[1])]);
  await begin(desk, names[1]);
  await write(desk, 'Is it you?');
  await hand.waitForSelector('.row .unread');
  await hand.click('.row');
  await hand.waitForSelector('.bubble.other');
  const numbers = await Promise.all([desk, hand].map(async (page) => {
    await page.click('.trust');
    await page.waitForSelector('.identity .digits');
    return page.$$eval('.identity .digits span', (groups) => groups.map((group) => group.textContent));
  }));
  assert.equal(numbers[0].length, 12);
  assert.deepEqual(numbers[0], numbers[1]);
  await Promise.all([picture(desk, 'number-desk-light'), picture(hand, 'safety-hand-dark')]);
  await hand.click('text=It is the same');
  await hand.waitForSelector('.trust[data-trust=verified]');
  assert.equal(await hand.$('.identity:not([hidden])'), null);
  await picture(hand, 'verified-hand-dark');
  await write(hand, 'It is.');
  await until('it is read', () => hand.$$eval('.bubble.own .state.read', (states) => states.length === 1));
  // Ana's laptop is lost, and there is no backup.
  await first.close();
  const ana = await Person.loggedIn(names[0]);
  await ana.page.evaluate(async (bo) => {
    await client.resetIdentity({ password: 'correct horse' });
    window.chat = await client.openDirect((await client.findUser(bo)).user);
    await client.sendText(chat, 'My laptop is gone. This is the new one.');
  }, names[1]);
  await hand.waitForSelector('.identity.is-changed');
  await hand.waitForSelector('.day.notice');
  assert.match(await hand.$eval('.day.notice', (line) => line.textContent), /safety number changed/);
  await until('it is shown', () => hand.$$eval('.bubble.other', (lines) => lines.length === 2));
  await write(hand, 'Which poem did we learn in school?');
  await until('it waits', () => hand.$$eval('.bubble.own', (lines) => lines.at(-1)?.dataset.state === 'pending'));
  await picture(hand, 'changed-hand-dark');
  await hand.emulateMedia({ colorScheme: 'light' });
  await hand.setViewportSize({ width: 1180, height: 780 });
  await picture(hand, 'changed-desk-light');
  await hand.click('text=Compare');
  const after = await (await hand.waitForSelector('.identity .digits')).textContent();
  assert.notEqual(after, numbers[1].join(''));
  await picture(hand, 'changed-open-desk-light');
  await hand.click('text=Go on without');
  await hand.waitForSelector('.trust[data-trust=unverified]');
  await until('it arrives', () => ana.page.evaluate(async () => (await texts(chat)).includes('Which poem did we learn in school?')));
  await Promise.all([ana.browser.close(), other.close()]);
});

test('the sample page, served by Vite for development', async () => {
  const vite = spawn(join(app, 'node_modules/.bin/vite'), ['--port', '0', '--host', '127.0.0.1', '--clearScreen', 'false'], {
    cwd: app, stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, NO_COLOR: '1' }, detached: true,
  });
  try {
    let said = '';
    vite.stdout.on('data', (data) => (said += data));
    const url = await until('Vite listens', () => /http:\/\/127\.0\.0\.1:\d+/.exec(said)?.[0]);
    const browser = await Browser.start();
    const page = await browser.tab(at(url));
    await page.waitForSelector('.card form');
    const name = fresh('dev');
    await join_(page, name);
    await begin(page, name);
    await write(page, 'a note to myself');
    await until('it is there', () => page.$$eval('.bubble.own', (lines) => lines.length === 1));
    assert.equal(await page.$('.banner.warn:not([hidden])'), null);
    await browser.close();
  } finally {
    process.kill(-vite.pid, 'SIGTERM');
  }
});

test('in Node it fails with a clear message', async () => {
  const { ChasquiClient, ChasquiError } = await import(join(app, 'node_modules/chasqui/dist/index.js'));
  await assert.rejects(ChasquiClient.open({ node: 'http://localhost' }), (error) => {
    assert.ok(error instanceof ChasquiError);
    assert.equal(error.code, 'incompatible');
    assert.match(error.message, /browser/);
    return true;
  });
});
