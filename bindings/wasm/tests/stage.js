// What a test stands on: a real node, a static server for the packed package, real browsers.

import { spawn } from 'node:child_process';
import {
  createReadStream, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join, normalize } from 'node:path';
import { chromium } from 'playwright-core';

const FLAGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.wasm': 'application/wasm', '.svg': 'image/svg+xml' };
const scratch = mkdtempSync(join(tmpdir(), 'chasqui-web-'));
// For what browsers and their driver write beside the profiles.
process.env.TMPDIR = scratch;
process.on('exit', () => {
  // Those of a test that failed still write.
  for (const pid of processes(scratch)) process.kill(pid, 'SIGKILL');
  rmSync(scratch, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1));
let folders = 0;

/** A new folder that is removed in the end. */
export function folder() {
  const path = join(scratch, String(++folders));
  mkdirSync(path);
  return path;
}

/** Waits for a condition, not for a time; gives up loudly. */
export async function until(what, condition, within = 30_000) {
  const end = Date.now() + within;
  let last;
  while (Date.now() < end) {
    try {
      last = await condition();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`never: ${what} (last: ${last instanceof Error ? last.message : JSON.stringify(last)})`);
}

/** A real node as a process of its own. */
export class Node {
  static async start(binary) {
    const node = new Node();
    node.binary = binary;
    node.folder = folder();
    node.config = join(node.folder, 'node.toml');
    writeFileSync(node.config, 'allowed_origins = ["*"]\nrequest_messages = 0\nenrolments_per_minute = 10000\nlog = "warn"\n');
    await node.run(0);
    return node;
  }

  async run(port) {
    const args = ['serve', '--config', this.config, '--data', join(this.folder, 'data'), '--listen', `127.0.0.1:${port}`];
    this.process = spawn(this.binary, [...args, '--drain-seconds', '1'], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.ended = new Promise((resolve) => this.process.once('exit', resolve));
    const line = await new Promise((resolve, reject) => {
      this.process.stdout.once('data', (data) => resolve(JSON.parse(data.toString().split('\n')[0])));
      this.process.once('exit', (code) => reject(new Error(`the node ended with ${code}`)));
    });
    this.port = Number(line.address.split(':').at(-1));
    this.url = `http://127.0.0.1:${this.port}`;
  }

  /** Nobody answers until `again`. */
  async stop() {
    this.process.kill('SIGTERM');
    await this.ended;
  }

  async again() {
    await this.run(this.port);
  }
}

/** Serves a folder as it is: no bundler, no headers. */
export async function serve(root) {
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, 'http://x').pathname));
    let file = join(root, path);
    if (existsSync(file) && statSync(file).isDirectory()) file = join(file, 'index.html');
    if (!file.startsWith(root) || !existsSync(file)) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream' });
    createReadStream(file).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://localhost:${server.address().port}`, close: () => server.close() };
}

/** A person's browser: a profile of its own, whose files stay when it is killed. */
export class Browser {
  static async start(options = {}) {
    const browser = new Browser();
    browser.profile = options.profile ?? folder();
    browser.context = await chromium.launchPersistentContext(browser.profile, {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: [...FLAGS, ...(options.flags ?? [])],
      headless: true,
      viewport: options.viewport ?? { width: 1180, height: 780 },
      colorScheme: options.colorScheme ?? 'light',
    });
    return browser;
  }

  /** A tab at `url`, whose errors are the test's. */
  async tab(url) {
    const page = await this.context.newPage();
    page.on('pageerror', (error) => console.error(`      page: ${error.message}`));
    if (process.env.VERBOSE) page.on('console', (message) => console.error(`      ${message.type()}: ${message.text()}`));
    await page.goto(url);
    return page;
  }

  async close() {
    await this.context.close();
  }

  /** As a power cut does. */
  async kill() {
    const pids = processes(this.profile);
    const gone = new Promise((resolve) => this.context.once('close', resolve));
    for (const pid of pids) process.kill(pid, 'SIGKILL');
    await gone;
    await until('the browser is gone', () => processes(this.profile).length === 0);
    rmSync(join(this.profile, 'SingletonLock'), { force: true });
  }
}

/** The processes that were started with this folder. */
function processes(folder) {
  const isOurs = (pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(folder) && Number(pid) !== process.pid;
    } catch {
      return false;
    }
  };
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name) && isOurs(name)).map(Number);
}

const tests = [];
export function test(name, body) {
  tests.push({ name, body });
}

/** Runs all of them, one after the other, and says how many passed. */
export async function runAll(only) {
  let passed = 0;
  let failed = 0;
  for (const { name, body } of tests) {
    if (only && !name.includes(only)) continue;
    const started = Date.now();
    try {
      await within(120_000, body());
      passed += 1;
      console.log(`ok    ${name} (${Date.now() - started} ms)`);
    } catch (error) {
      failed += 1;
      console.log(`FAIL  ${name}\n${String(error?.stack ?? error).replace(/^/gm, '      ')}`);
    }
  }
  console.log(`\n${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0;
}

function within(millis, work) {
  let timer;
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(`hangs for ${millis} ms`)), millis)));
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
