/**
 * The worker. Waits until it is the owner, then opens the core and serves every tab.
 *
 * Guarantees: there is one owner of an origin and name at a time; a core that broke is never asked again; whoever waits for an
 * answer that this worker will not give hears of its end by the locks that it held.
 */

import { forget, secretOf, stretched } from './binding.js';
import init, { Core, Log } from './core.js';
import { ChasquiError } from './error.js';
import { highest } from './log.js';
import { PROTOCOL, names, type FromOwner, type FromWorker, type ToOwner, type ToWorker } from './protocol.js';
import type { LogLevel, LogRecord } from './types.js';

interface WorkerScope {
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
  postMessage(message: FromWorker): void;
  addEventListener(type: 'error' | 'unhandledrejection', listener: (event: Event) => void): void;
  close(): void;
}

const scope = globalThis as unknown as WorkerScope;

/** A browser frees the files of a worker that was killed a moment after its locks. */
const FILES_WITHIN_MS = 10_000;
const FILES_AGAIN_MS = 50;

/** A core that broke logs nothing any more. The console has where it did. */
const BROKEN: LogRecord = {
  level: 'error',
  target: 'chasqui::panic',
  message: 'a defect',
  fields: {},
  text: 'a defect',
};

type Start = Extract<ToWorker, { kind: 'start' }>;
/** What a configuration says of them. */
type Secrets = { readonly name: string; readonly deviceBinding?: unknown; readonly passphrase?: string };

scope.onmessage = (event) => {
  if (event.data.kind === 'start') void new Worker(event.data).run();
  else if (event.data.kind === 'phrase') void makePhrase();
};

async function makePhrase(): Promise<void> {
  try {
    await init();
    scope.postMessage({ kind: 'phrase', phrase: Core.newRecoveryPhrase() });
  } catch (error) {
    scope.postMessage({ kind: 'failed', error: shapeOf(error) });
  }
}

class Worker {
  readonly #start: Start;
  readonly #channel: BroadcastChannel;
  #core: Core | undefined;
  /** Those that were heard of. */
  readonly #tabs = new Map<string, { readonly isSuspended: boolean; readonly log: LogLevel | null }>();
  #log: { readonly level: LogLevel; readonly source: Log } | undefined;
  /** Of the history, where the browser keeps its secret. */
  readonly #bound: string | undefined;
  #isSuspended = false;
  /** One suspension or resumption at a time. */
  #moves: Promise<unknown> = Promise.resolve();
  #hasEnded = false;

  constructor(start: Start) {
    this.#start = start;
    const { name, deviceBinding, passphrase } = JSON.parse(start.config) as Secrets;
    this.#bound = deviceBinding === 'browser' || passphrase !== undefined ? name : undefined;
    this.#channel = new BroadcastChannel(names(start.space).channel);
  }

  async run(): Promise<void> {
    scope.addEventListener('error', () => this.#trapped());
    scope.addEventListener('unhandledrejection', () => this.#trapped());
    scope.onmessage = (event) => {
      if (event.data.kind === 'close') void this.#close();
    };
    this.#channel.onmessage = (event: MessageEvent<ToOwner | FromOwner>) => this.#hear(event.data);
    const { id, space } = this.#start;
    const { owner, worker } = names(space);
    const locks = (globalThis.navigator as Navigator | undefined)?.locks;
    if (!locks) {
      // Not a secure context: there is no file system either, and this tab is alone.
      scope.postMessage({ kind: 'alive' });
      return this.#own();
    }
    void locks.request(worker(id), () => {
      scope.postMessage({ kind: 'alive' });
      return new Promise(() => {});
    });
    await locks.request(owner, async () => {
      await this.#own();
      if (this.#core) await new Promise(() => {});
    });
  }

  async #own(): Promise<void> {
    if (this.#hasEnded) return;
    try {
      await init();
      this.#listen(this.#start.log);
      this.#core = await opened(await this.#config());
    } catch (error) {
      this.#announce(shapeOf(error));
      return this.#end(false);
    }
    this.#announce();
  }

  /** As the core takes it. */
  async #config(): Promise<string> {
    const { config } = this.#start;
    if (this.#bound === undefined) return config;
    const { passphrase, ...rest } = JSON.parse(config) as Secrets;
    const secret = await (passphrase === undefined ? secretOf(this.#bound) : stretched(this.#bound, passphrase));
    return JSON.stringify({ ...rest, deviceBinding: [...secret] });
  }

  #announce(error?: string): void {
    const storage = this.#core?.isPersistent ? 'opfs' : 'memory';
    const { id: owner, node } = this.#start;
    this.#say({ kind: 'owner', protocol: PROTOCOL, owner, node, storage, ...(error === undefined ? {} : { error }) });
  }

  #say(message: FromOwner): void {
    this.#channel.postMessage(message);
  }

  #hear(message: ToOwner | FromOwner): void {
    if (message.kind === 'gone') return this.#end(false);
    const core = this.#core;
    if (!core || this.#hasEnded) return;
    if (message.kind === 'hello') {
      this.#meet(message.tab, message.suspended, message.log);
      return this.#announce();
    }
    if (!('owner' in message) || message.owner !== this.#start.id) return;
    switch (message.kind) {
      case 'call':
        return this.#answer(message, core.call(message.request, message.again, message.file));
      case 'next':
        return this.#answer(message, core.next(message.watch, message.topic));
      case 'suspend':
        this.#meet(message.tab, message.suspended, this.#tabs.get(message.tab)?.log ?? null);
        // What it was asked before is under way, and comes first.
        return this.#answer(message, this.#moves);
      case 'unwatch':
        return core.unwatch(message.watch);
      case 'retopic':
        try {
          return core.retopic(message.watch, message.topic);
        } catch {
          // The next request for news says that it does not fit.
          return;
        }
    }
  }

  #answer(to: { tab: string; id: number }, answer: Promise<unknown>): void {
    const { tab, id } = to;
    this.#whole(answer).then(
      (value) => this.#say({ kind: 'answer', tab, id, value: value as string | Blob | undefined }),
      (error: unknown) => this.#say({ kind: 'answer', tab, id, error: shapeOf(error) }),
    ).then(() => {
      if (this.#core?.isGone && !this.#hasEnded) {
        this.#say({ kind: 'gone', owner: this.#start.id });
        this.#end(false);
      }
    });
  }

  /** With a history that is gone goes its key: while nobody else can be the owner, and bind another history to it. */
  async #whole(answer: Promise<unknown>): Promise<unknown> {
    const value = await answer;
    // Without the key's history the key is of no use, and harms nobody.
    if (this.#core?.isGone && this.#bound !== undefined) await forget(this.#bound).catch(() => {});
    return value;
  }

  #meet(tab: string, isSuspended: boolean, log: LogLevel | null): void {
    const isNew = !this.#tabs.has(tab);
    this.#tabs.set(tab, { isSuspended, log });
    if (isNew) this.#watchOver(tab);
    this.#settle();
  }

  #watchOver(tab: string): void {
    const lock = names(this.#start.space).tab(tab);
    // Granted when the tab is gone.
    void (globalThis.navigator as Navigator).locks?.request(lock, () => {
      this.#tabs.delete(tab);
      this.#core?.unwatchAll(`${tab}/`);
      if (this.#tabs.size > 0) this.#settle();
    });
  }

  /** The files and the socket are let go of while every tab is suspended; what any of them listens to is logged. */
  #settle(): void {
    const tabs = [...this.#tabs.values()];
    this.#listen(highest(tabs.map((tab) => tab.log)));
    const wanted = tabs.every((tab) => tab.isSuspended);
    if (wanted === this.#isSuspended) return;
    this.#isSuspended = wanted;
    const move = () => (wanted ? this.#core?.suspend() : this.#core?.resume());
    this.#moves = this.#moves.catch(() => {}).then(move);
    this.#moves.catch(() => {
      // It could not be resumed: whoever asks for it again tries again.
      this.#isSuspended = !wanted;
    });
  }

  #listen(level: LogLevel | null): void {
    if (level === (this.#log?.level ?? null)) return;
    // Who listened before gets what was logged until now.
    this.#log?.source.stop();
    this.#log = level === null ? undefined : { level, source: new Log(level) };
    if (this.#log) void this.#tell(this.#log.source);
  }

  async #tell(source: Log): Promise<void> {
    for (let records; (records = (await source.next()) as string | undefined) !== undefined; ) {
      this.#say({ kind: 'log', records: JSON.parse(records) as LogRecord[] });
    }
    source.free();
  }

  async #close(): Promise<void> {
    try {
      await this.#core?.close();
    } finally {
      this.#end(false);
    }
  }

  #trapped(): void {
    if (this.#core && !this.#hasEnded) {
      if (this.#log) this.#say({ kind: 'log', records: [BROKEN] });
      this.#say({ kind: 'trapped', owner: this.#start.id });
    }
    this.#end(true);
  }

  #end(trapped: boolean): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    scope.postMessage({ kind: 'ended', trapped });
    this.#channel.close();
    // Lets go of every lock and file.
    scope.close();
  }
}

async function opened(config: string): Promise<Core> {
  const until = performance.now() + FILES_WITHIN_MS;
  for (;;) {
    try {
      return await Core.open(config);
    } catch (error) {
      const isHeld = typeof error === 'string' && (JSON.parse(error) as { code: string }).code === 'folder_in_use';
      if (!isHeld || performance.now() > until) throw error;
      await new Promise((resolve) => setTimeout(resolve, FILES_AGAIN_MS));
    }
  }
}

/** Errors of the core are text already; anything else that is not the worker's own is a defect. */
function shapeOf(error: unknown): string {
  if (typeof error === 'string') return error;
  if (error instanceof ChasquiError) {
    const { code, message, isRetryable, detail = '' } = error;
    return JSON.stringify({ code, message, isRetryable, detail });
  }
  return JSON.stringify({ code: 'internal', message: `internal error: ${String(error)}`, isRetryable: true, detail: String(error) });
}
