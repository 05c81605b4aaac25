// People with browsers, a page and a node that all tests share.

import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Browser, Node, folder, serve } from './stage.js';

const { NODE_BINARY, APP } = process.env;
export const app = APP;
export const node = await Node.start(NODE_BINARY);

// A page without any bundler: what lies in the package, and nothing else. Beside it the same in trouble.
const root = folder();

function page(name, change = {}) {
  const place = join(root, name);
  cpSync(join(APP, 'node_modules/chasqui/dist'), join(place, 'chasqui'), { recursive: true });
  for (const [file, by] of Object.entries(change)) {
    const path = join(place, 'chasqui', file);
    const text = readFileSync(path, 'utf8');
    if (by(text) === text) throw new Error(`${file} is not as it was`);
    writeFileSync(path, by(text));
  }
  const script = 'import * as chasqui from "./chasqui/index.js"; window.chasqui = chasqui;';
  writeFileSync(join(place, 'index.html'), `<!doctype html><meta charset="utf-8"><title>plain</title><script type="module">${script}</script>`);
}

const noFiles = "navigator.storage.getDirectory = () => Promise.reject(new DOMException('not here', 'SecurityError'));\n";
const noKeys = "IDBFactory.prototype.open = () => { throw new DOMException('not now', 'UnknownError'); };\n";
const noLocks = "Object.defineProperty(navigator, 'locks', { value: undefined });\n";
const breaks = `
    if (request.includes('"search"')) throw new WebAssembly.RuntimeError('unreachable');
    return new Promise((passed) => setTimeout(passed, 200)).then(() => this.slowly(request, again, file));
  }
  slowly(request, again, file) {`;
page('');
// No private file system, as in some private windows.
page('memory', { 'worker.js': (text) => noFiles + text });
// No locks either, as without https.
page('alone', { 'worker.js': (text) => noFiles + noLocks + text, 'link.js': (text) => noLocks + text });
// No database for keys.
page('keyless', { 'worker.js': (text) => noKeys + text });
// A core that breaks as soon as somebody searches, and is so slow that everything else is still under way then.
page('broken', { 'core.js': (text) => text.replace(/call\(request, again, file\) \{/, (found) => found + breaks) });
export const plain = await serve(root);

/** Somebody's browser with a client in a tab; `page.evaluate` finds it as `client`. */
export class Person {
  static async start(name, options = {}) {
    const person = new Person();
    person.name = name;
    person.browser = await Browser.start(options);
    person.page = await person.open(options);
    return person;
  }

  static async registered(name, options) {
    const person = await Person.start(name, options);
    await person.page.evaluate(async (name) => {
      window.account = await client.register(name, 'correct horse', 'browser');
    }, name);
    return person;
  }

  /** A further device of somebody who has one; not linked. */
  static async loggedIn(name, options) {
    const person = await Person.start(name, options);
    await person.page.evaluate((name) => client.login(name, 'correct horse', 'laptop'), name);
    return person;
  }

  /** Another tab with the same client. */
  async open(options = {}) {
    const page = await this.browser.tab(`${plain.url}/${options.at ?? ''}`);
    await page.waitForFunction(() => window.chasqui);
    const config = { node: node.url, name: options.account ?? 'main', ...options.config };
    await page.evaluate(async (config) => {
      window.client = await chasqui.ChasquiClient.open(config);
      window.texts = async (chat, limit = 1000) =>
        (await client.timeline(chat, null, limit)).items.map((item) => item.message.content.text);
      window.code = async (work) => {
        try {
          await work();
          return 'no error';
        } catch (error) {
          return error instanceof chasqui.ChasquiError ? error.code : `no ChasquiError: ${error}`;
        }
      };
    }, config);
    return page;
  }
}

let people = 0;
/** A name that nobody has. */
export function fresh(name) {
  return `${name}${++people}-${process.pid}`;
}

/** Two people who have found each other; `chat` is their conversation. */
export async function pair(options) {
  const [ana, bo] = await Promise.all([
    Person.registered(fresh('ana'), options),
    Person.registered(fresh('bo'), options),
  ]);
  const opened = (from, to) =>
    from.page.evaluate(async (name) => client.openDirect((await client.findUser(name)).user), to.name);
  const [chat] = await Promise.all([opened(ana, bo), opened(bo, ana)]);
  return { ana, bo, chat, close: () => Promise.all([ana.browser.close(), bo.browser.close()]) };
}

/** Links `laptop` by `phone`, as people do. */
export async function link(phone, laptop) {
  const code = await laptop.page.evaluate(() => client.beginLinking());
  const [here, there] = await Promise.all([
    phone.page.evaluate((code) => client.linkDevice(code), code),
    laptop.page.evaluate(() => client.linkingNumber()),
  ]);
  assert.match(here, /^[0-9]{6}$/);
  assert.equal(here, there);
  await Promise.all([phone, laptop].map((person) => person.page.evaluate(() => client.confirmLinking())));
}
