import { ChasquiError } from './error.js';
import type { Link } from './link.js';
import { applyUpdate, type Update } from './types.js';

/** How long somebody watches. */
export interface ObserveOptions {
  /** Ends it. */
  readonly signal?: AbortSignal;
}

/**
 * News, one after the other: `for await (const news of observer)`. Leaving the loop, `return()`, an aborted signal and closing the
 * client end it and free what the core holds for it. News that come faster than they are taken are put together, never lost.
 */
export class Observer<T> implements AsyncIterableIterator<T> {
  readonly #link: Link;
  readonly #watch: string;
  #topic: object;
  #isOver = false;
  /** One at a time, whoever asks. */
  #last: Promise<unknown> = Promise.resolve();
  /** Ends whoever waits. */
  #over: () => void = () => {};
  readonly #ended: Promise<void>;
  readonly #after: (news: T) => object;

  /** @internal `after`: what the topic is after a piece of news, for an owner that did not tell the ones before. */
  constructor(link: Link, topic: object, options: ObserveOptions = {}, after: (news: T) => object = () => ({})) {
    this.#link = link;
    this.#topic = topic;
    this.#after = after;
    this.#watch = link.newWatch();
    this.#ended = new Promise((over) => (this.#over = over));
    const { signal } = options;
    if (signal?.aborted) this.#end();
    signal?.addEventListener('abort', () => this.#end(), { once: true });
  }

  /** Waits for what is next; several waits are answered in their order. */
  next(): Promise<IteratorResult<T, undefined>> {
    const next = this.#last.then(() => this.#next());
    this.#last = next.catch(() => {});
    return next;
  }

  /** Ends the observation, and frees what it holds in the core. */
  async return(): Promise<IteratorResult<T, undefined>> {
    this.#end();
    return { done: true, value: undefined };
  }

  /** Itself: an observer is walked once. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /** @internal */
  protected retopic(change: object): void {
    this.#topic = { ...this.#topic, ...change };
    if (!this.#isOver) this.#link.retopic(this.#watch, this.#topic);
  }

  async #next(): Promise<IteratorResult<T, undefined>> {
    const over = { done: true, value: undefined } as const;
    if (this.#isOver) return over;
    try {
      const news = await Promise.race([this.#link.next(this.#watch, this.#topic), this.#ended]);
      if (this.#isOver || typeof news !== 'string') return over;
      const value = JSON.parse(news) as T;
      this.#topic = { ...this.#topic, ...this.#after(value) };
      return { done: false, value };
    } catch (error) {
      this.#end();
      if (error instanceof ChasquiError && error.code === 'closed') return over;
      throw error;
    }
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#over();
    this.#link.unwatch(this.#watch);
  }
}

/** Watches a window of a list. The first update is a `reset`; another one comes when another tab takes over. */
export class ListObserver<T> extends Observer<Update<T>> {
  /** Shows this many lines from the next update on: loading older ones. */
  setLimit(limit: number): void {
    this.retopic({ limit });
  }

  /** The whole list after each update, instead of the updates. */
  async *lists(): AsyncGenerator<readonly T[], void, undefined> {
    let list: readonly T[] = [];
    for await (const update of this) {
      list = applyUpdate(list, update);
      yield list;
    }
  }
}
