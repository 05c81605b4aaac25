// The actor of the browser: a page in Chromium with the packed package does as ../src/lib.rs says.
// Run beside the tests of bindings/wasm, with the folder in which the package is installed.

import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Browser, folder, serve } from './stage.js';

const root = folder();
cpSync(join(process.argv[2], 'node_modules/chasqui/dist'), join(root, 'chasqui'), { recursive: true });
const script = 'import * as chasqui from "./chasqui/index.js"; window.chasqui = chasqui;';
writeFileSync(join(root, 'index.html'), `<!doctype html><meta charset="utf-8"><script type="module">${script}</script>`);
const site = await serve(root);
const browser = await Browser.start();
const page = await browser.tab(site.url);
await page.waitForFunction(() => window.chasqui);

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await page.evaluate(obey, JSON.parse(line))));
}
await browser.close();
site.close();

/** In the page. */
async function obey(order) {
  const { ChasquiClient, ChasquiError } = window.chasqui;
  const chatWith = async (name) => window.client.openDirect((await window.client.findUser(name)).user);
  const shown = ({ id, seq, content }) => ({ id, seq: seq ?? 0, text: content.text ?? content.kind });
  try {
    switch (order.do) {
      case 'register':
        window.client = await ChasquiClient.open({ node: order.node, name: order.name });
        await window.client.register(order.name, order.password, 'browser');
        window.user = order.name;
        return { is: 'done' };
      case 'write': {
        const chat = await chatWith(order.to);
        for (let number = 1; number <= order.count; number++) {
          await window.client.sendText(chat, `${window.user} to ${order.to} ${number}`);
        }
        return { is: 'done' };
      }
      case 'settle': {
        const chat = await chatWith(order.with);
        for await (const items of window.client.observeTimeline(chat, 10_000).lists()) {
          await window.client.markRead(chat);
          const messages = items.flatMap((item) => (item.kind === 'message' ? [item.message] : []));
          const isSettled = messages.every((message) => !message.isOwn || message.state.kind === 'read');
          if (messages.length >= order.messages && isSettled) return { is: 'history', lines: messages.map(shown) };
        }
        return { is: 'failed', code: 'closed', detail: 'the observer ended' };
      }
      default:
        return { is: 'failed', code: 'unknown', detail: 'an unknown order' };
    }
  } catch (error) {
    const code = error instanceof ChasquiError ? error.code : 'internal';
    return { is: 'failed', code, detail: String(error) };
  }
}
