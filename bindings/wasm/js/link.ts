/**
 * A tab's way to the owner.
 *
 * Guarantees: a request that was made is answered, by this owner or by the next one, or fails with a typed error; requests of a
 * tab are carried out in the order in which they were made. When an owner goes without having answered, the next one is asked
 * the same again; the core makes that harmless. A request that breaks the core again and again fails, and no other with it.
 */

import { ChasquiError, failure, type ErrorShape } from './error.js';
import { log, type Source } from './log.js';
import { PROTOCOL, names, type FromOwner, type FromWorker, type ToOwner, type ToWorker } from './protocol.js';
import type { Config, StorageState } from './types.js';

/** How long nobody may answer before a client that is being opened gives up, in milliseconds. */
const OWNER_WITHIN_MS = 20_000;
/** What was under way so often when the core broke is asked alone from then on: if that breaks the core too, it was that. */
const TRAPS_OF_A_SUSPECT = 2;
/** What breaks the core does so at once. Then others are asked as well, although this one was not answered. */
const ALONE_FOR_MS = 5_000;
/** Before another worker is started in the place of one that ended: doubles up to the last. */
const FIRST_PAUSE_MS = 50;
const LAST_PAUSE_MS = 10_000;
/** A worker that was asked to close and does not is ended. */
const CLOSE_WITHIN_MS = 5_000;

/** What is waited for. */
interface Pending {
  readonly id: number;
  readonly message: (owner: string, again: boolean) => ToOwner;
  /** Carried out in the order in which the tab asked: calls are, waiting for news is not. */
  readonly isOrdered: boolean;
  readonly resolve: (value: string | Blob | undefined) => void;
  readonly reject: (error: unknown) => void;
  /** Fulfilled when it was answered or has failed. */
  readonly settled: Promise<void>;
  /** The owner that was asked last. */
  asked: string | undefined;
  /** How many owners broke while it was under way. */
  traps: number;
  turn: 'any' | 'awaited' | 'alone';
}

/** Who is told what the link hears. */
export interface Listener {
  storage(kind: StorageState['kind']): void;
  closed(): void;
}

export class Link implements Source {
  readonly #tab = newName();
  readonly space: string;
  readonly #config: string;
  readonly #node: string;
  readonly #channel: BroadcastChannel;
  readonly #listener: Listener;
  readonly #pending = new Map<number, Pending>();
  #lastSuspect: Promise<void> = Promise.resolve();
  #nextId = 1;
  #nextWatch = 1;
  #owner: string | undefined;
  #worker: Worker | undefined;
  #workerId = '';
  #pause = FIRST_PAUSE_MS;
  #isSuspended = false;
  #state: 'opening' | 'open' | 'closed' = 'opening';
  /** Ends the lock that says that this tab lives. */
  #leave: () => void = () => {};
  #opened!: { resolve: () => void; reject: (error: unknown) => void };

  private constructor(config: string, name: string, node: string, listener: Listener) {
    this.#config = config;
    this.#node = node;
    this.#listener = listener;
    // Without locks nobody could tell who owns what: every tab is alone then, with its history in memory.
    this.space = navigator.locks ? name : `${name}:${this.#tab}`;
    this.#channel = new BroadcastChannel(names(this.space).channel);
  }

  static async open(config: Config, listener: Listener): Promise<Link> {
    const { persist: _, name = 'default', node, deviceBinding, ...rest } = config;
    const isGiven = deviceBinding instanceof Uint8Array;
    const binding = deviceBinding === undefined ? {} : { deviceBinding: isGiven ? [...deviceBinding] : deviceBinding };
    const text = written({ ...rest, name, node, ...binding });
    const link = new Link(text, String(name), String(node), listener);
    try {
      await link.#open();
      return link;
    } catch (error) {
      link.#shut(error);
      throw error;
    }
  }

  async #open(): Promise<void> {
    this.#channel.onmessage = (event: MessageEvent<FromOwner | ToOwner>) => this.#hear(event.data);
    await this.#stay();
    const opened = new Promise<void>((resolve, reject) => (this.#opened = { resolve, reject }));
    this.#start();
    log.add(this);
    this.#hello();
    const late = failure('folder_in_use', 'the tab that has the history open does not answer');
    const timer = setTimeout(() => this.#opened.reject(late), OWNER_WITHIN_MS);
    try {
      await opened;
      this.#state = 'open';
    } finally {
      clearTimeout(timer);
    }
  }

  /** Holds this tab's lock until it is closed. */
  #stay(): Promise<void> {
    return new Promise((held) => {
      if (!navigator.locks) return held();
      void navigator.locks.request(names(this.space).tab(this.#tab), () => {
        held();
        return new Promise<void>((leave) => (this.#leave = leave));
      });
    });
  }

  /**
   * Asks the owner; the request is `{ [method]: args }`, an operation of the core. A file is not sent, but held: who reads it does
   * so piece by piece, also after this tab was closed, and the next owner from its beginning.
   */
  call(method: string, args: object, file?: Blob): Promise<string | Blob | undefined> {
    if (this.#state === 'closed') return Promise.reject(closed());
    if (this.#isSuspended) return Promise.reject(failure('suspended', 'call resume() first'));
    let request: string;
    try {
      request = written({ [method]: args });
    } catch (error) {
      return Promise.reject(error);
    }
    const id = this.#nextId++;
    const tab = this.#tab;
    const held = file ? { file } : {};
    return this.#ask(id, (owner, again) => ({ kind: 'call', owner, tab, id, again, request, ...held }), true);
  }

  /** A name under which news are asked for. */
  newWatch(): string {
    return `${this.#tab}/${this.#nextWatch++}`;
  }

  /** The next piece of news; undefined when the watch ended. */
  next(watch: string, topic: object): Promise<string | Blob | undefined> {
    if (this.#state === 'closed') return Promise.reject(closed());
    let text: string;
    try {
      text = written(topic);
    } catch (error) {
      return Promise.reject(error);
    }
    const id = this.#nextId++;
    const tab = this.#tab;
    return this.#ask(id, (owner) => ({ kind: 'next', owner, tab, id, watch, topic: text }));
  }

  retopic(watch: string, topic: object): void {
    const owner = this.#owner;
    if (owner) this.#say({ kind: 'retopic', owner, watch, topic: written(topic) });
  }

  unwatch(watch: string): void {
    const owner = this.#owner;
    if (owner && this.#state !== 'closed') this.#say({ kind: 'unwatch', owner, watch });
  }

  async suspend(suspended: boolean): Promise<void> {
    if (this.#state === 'closed') throw closed();
    const id = this.#nextId++;
    const tab = this.#tab;
    if (suspended) this.#isSuspended = true;
    await this.#ask(id, (owner) => ({ kind: 'suspend', owner, tab, id, suspended }));
    this.#isSuspended = suspended;
  }

  get isClosed(): boolean {
    return this.#state === 'closed';
  }

  /** Closes this tab's client. If its worker is the owner, another tab's takes over. */
  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    const worker = this.#worker;
    this.#worker = undefined;
    this.#shut(closed());
    if (!worker) return;
    await new Promise<void>((ended) => {
      const timer = setTimeout(ended, CLOSE_WITHIN_MS);
      worker.onmessage = (event: MessageEvent<FromWorker>) => {
        if (event.data.kind !== 'ended') return;
        clearTimeout(timer);
        ended();
      };
      worker.postMessage({ kind: 'close' } satisfies ToWorker);
    });
    worker.terminate();
  }

  relisten(): void {
    if (this.#owner !== undefined) this.#hello();
  }

  #hello(): void {
    this.#say({ kind: 'hello', tab: this.#tab, suspended: this.#isSuspended, log: log.level });
  }

  #shut(error: unknown): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    log.remove(this);
    this.#worker?.terminate();
    this.#channel.close();
    this.#leave();
    this.#rejectAll(error);
    this.#listener.closed();
  }

  #rejectAll(error: unknown): void {
    const waiting = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject } of waiting) reject(error);
  }

  #ask(id: number, message: Pending['message'], isOrdered = false): Promise<string | Blob | undefined> {
    let settled!: () => void;
    const answer = new Promise<string | Blob | undefined>((resolve, reject) => {
      const done = new Promise<void>((fulfil) => (settled = fulfil));
      const pending: Pending = { id, message, isOrdered, resolve, reject, settled: done, asked: undefined, traps: 0, turn: 'any' };
      this.#pending.set(id, pending);
      this.#send(pending);
    });
    answer.then(settled, settled);
    return answer;
  }

  #send(pending: Pending): void {
    const owner = this.#owner;
    if (owner === undefined || pending.asked === owner || pending.turn === 'awaited') return;
    if (pending.turn === 'any' && this.#isSuspect(pending)) return void this.#askAlone(pending);
    const again = pending.asked !== undefined;
    pending.asked = owner;
    this.#say(pending.message(owner, again));
  }

  /** Later calls of this tab stay behind a suspect. */
  #isSuspect(pending: Pending): boolean {
    for (const earlier of this.#pending.values()) {
      const isInOrder = earlier === pending || (earlier.isOrdered && pending.isOrdered);
      if (isInOrder && earlier.traps >= TRAPS_OF_A_SUSPECT) return true;
      if (earlier === pending) break;
    }
    return false;
  }

  /** Asks when no other suspect of any tab is under way. */
  async #askAlone(pending: Pending): Promise<void> {
    pending.turn = 'awaited';
    const ask = async () => {
      // It has failed meanwhile, with everything that waited: the client was closed.
      if (!this.#pending.has(pending.id)) return;
      pending.turn = 'alone';
      this.#send(pending);
      await Promise.race([pending.settled, this.#wasLongAlone(pending)]);
    };
    if (navigator.locks) await navigator.locks.request(names(this.space).suspect, ask);
    // A tab without locks is alone.
    else await (this.#lastSuspect = this.#lastSuspect.then(ask));
  }

  /** Between owners nobody is asked, and that time does not count. */
  async #wasLongAlone(pending: Pending): Promise<void> {
    do await new Promise((passed) => setTimeout(passed, ALONE_FOR_MS));
    while (this.#pending.has(pending.id) && pending.asked !== this.#owner);
  }

  #say(message: ToOwner): void {
    this.#channel.postMessage(message);
  }

  #hear(message: FromOwner | ToOwner): void {
    switch (message.kind) {
      case 'owner':
        return this.#meet(message);
      case 'answer': {
        if (message.tab !== this.#tab) return;
        const pending = this.#pending.get(message.id);
        this.#pending.delete(message.id);
        if (message.error !== undefined) pending?.reject(thrown(message.error));
        else pending?.resolve(message.value);
        return;
      }
      case 'log':
        return log.take(this, message.records);
      case 'trapped':
        return this.#broke(message.owner);
      case 'gone':
        return this.#shut(closed());
      default:
      // From another tab.
    }
  }

  #meet(owner: Extract<FromOwner, { kind: 'owner' }>): void {
    if (owner.protocol !== PROTOCOL) {
      return this.#opened.reject(failure('incompatible', 'another tab runs another version of this package: reload it'));
    }
    if (owner.error !== undefined) {
      // Other tabs have their own workers, which try next.
      if (owner.owner !== this.#workerId) return;
      const error = thrown(owner.error);
      this.#opened.reject(error);
      if (this.#state === 'open') this.#rejectAll(error);
      return;
    }
    if (owner.node !== this.#node) {
      return this.#opened.reject(failure('invalid', `another tab has this name open for the node ${owner.node}`));
    }
    if (this.#owner !== owner.owner) {
      this.#owner = owner.owner;
      this.#hello();
      for (const pending of this.#pending.values()) this.#send(pending);
      this.#listener.storage(owner.storage);
    }
    if (owner.owner === this.#workerId) this.#pause = FIRST_PAUSE_MS;
    this.#opened.resolve();
  }

  #broke(owner: string): void {
    for (const [id, pending] of this.#pending) {
      if (pending.asked !== owner) continue;
      pending.traps += 1;
      if (pending.turn !== 'alone') continue;
      this.#pending.delete(id);
      pending.reject(failure('internal', 'the core broke over it, more than once'));
    }
  }

  /** Starts a worker, and another one when it ends, however that happens. */
  #start(): void {
    const id = (this.#workerId = newName());
    const worker = newWorker();
    this.#worker = worker;
    let hasEnded = false;
    const ended = () => {
      if (hasEnded) return;
      hasEnded = true;
      worker.terminate();
      if (this.#worker !== worker || this.#state === 'closed') return;
      if (this.#owner === id) this.#owner = undefined;
      setTimeout(() => {
        if (this.#worker === worker && this.#state !== 'closed') this.#start();
      }, this.#pause);
      this.#pause = Math.min(this.#pause * 2, LAST_PAUSE_MS);
    };
    worker.onmessage = (event: MessageEvent<FromWorker>) => {
      if (event.data.kind === 'ended') return ended();
      // Granted when the worker is gone, whether it could say so or not.
      void navigator.locks?.request(names(this.space).worker(id), ended);
    };
    worker.onerror = (event) => {
      // It could not be loaded.
      this.#opened.reject(unloaded(event));
      ended();
    };
    const start: ToWorker = { kind: 'start', id, space: this.space, config: this.#config, node: this.#node, log: log.level };
    worker.postMessage(start);
  }
}

/** A new recovery phrase, of a worker of its own: the core makes it, and no client need be open. */
export async function newPhrase(): Promise<string> {
  const worker = newWorker();
  try {
    return await new Promise((resolve, reject) => {
      worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
        if (data.kind === 'phrase') resolve(data.phrase);
        else if (data.kind === 'failed') reject(thrown(data.error));
      };
      worker.onerror = (event) => reject(unloaded(event));
      worker.postMessage({ kind: 'phrase' } satisfies ToWorker);
    });
  } finally {
    worker.terminate();
  }
}

/** Written so that bundlers find the worker. */
function newWorker(): Worker {
  return new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
}

/** That nobody else has. Without https there is no `randomUUID`. */
function newName(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function unloaded(event: ErrorEvent): ChasquiError {
  return failure('incompatible', event.message || 'the worker could not be loaded');
}

function closed(): ChasquiError {
  return failure('closed', 'the client is closed');
}

function thrown(text: string): ChasquiError {
  return new ChasquiError(JSON.parse(text) as ErrorShape);
}

/** As JSON. What JSON would silently turn into something else is refused. */
export function written(value: unknown): string {
  check(value, 'the argument');
  return JSON.stringify(value);
}

function check(value: unknown, where: string): void {
  const refuse = (what: string): never => {
    throw failure('invalid', `${where} is ${what}`);
  };
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return;
    case 'number':
      return Number.isFinite(value) ? undefined : refuse('no finite number');
    case 'object': {
      if (value === null) return;
      const prototype: unknown = Object.getPrototypeOf(value);
      const isPlain = Array.isArray(value) || prototype === Object.prototype || prototype === null;
      if (!isPlain) return refuse('no plain object');
      for (const [key, part] of Object.entries(value)) check(part, key);
      return;
    }
    default:
      return refuse(value === undefined ? 'missing' : `a ${typeof value}`);
  }
}
