// The sample page with the packed package: built by Vite, and as Vite serves it for development.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { app, fresh, node } from './people.js';
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
  await picture(desk, 'chat-desk-light');
  await picture(hand, 'chat-hand-dark');
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

test('the sample page links a second device, which takes part then', async () => {
  const [first, further] = [await Browser.start(), await Browser.start({ colorScheme: 'dark', viewport: { width: 390, height: 800 } })];
  const [desk, hand] = await Promise.all([first.tab(at(built.url)), further.tab(at(built.url))]);
  const name = fresh('Ana');
  await desk.waitForSelector('.card form');
  await join_(desk, name);
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
  await hand.waitForSelector('.linking', { state: 'detached' });
  await desk.waitForSelector('text=The other device is linked.');
  await begin(desk, name);
  await write(desk, 'a note to myself');
  await hand.waitForSelector('.row');
  await hand.click('.row');
  await until('it is there, too', () => hand.$$eval('.bubble .text', (lines) => lines.at(-1)?.textContent === 'a note to myself'));
  await Promise.all([first.close(), further.close()]);
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
