/**
 * What tabs and workers say to each other. One worker of an origin and name is the owner: it holds the database and the socket.
 * Tabs speak to it over a BroadcastChannel, including the tab that started it, so that there is one way for all.
 */

import type { LogLevel, LogRecord } from './types.js';

/** Changes when what is said changes; tabs that speak another one do not share an owner. */
export const PROTOCOL = 2;

/** What makes tabs of one origin find each other. */
export interface Names {
  readonly channel: string;
  /** Held by the owner, for as long as it lives. */
  readonly owner: string;
  /** Held by each worker, so that its tab knows that it lives. */
  readonly worker: (id: string) => string;
  /** Held by each tab, so that the owner knows that it lives. */
  readonly tab: (id: string) => string;
  /** Held while something is asked that may be what broke the core. */
  readonly suspect: string;
}

export function names(space: string): Names {
  const prefix = `chasqui:${space}`;
  return {
    channel: prefix,
    owner: `${prefix}:owner`,
    worker: (id) => `${prefix}:worker:${id}`,
    tab: (id) => `${prefix}:tab:${id}`,
    suspect: `${prefix}:suspect`,
  };
}

/** From a tab to its own worker, by `postMessage`. */
export type ToWorker =
  | {
      readonly kind: 'start';
      readonly id: string;
      readonly space: string;
      readonly config: string;
      readonly node: string;
      readonly log: LogLevel | null;
    }
  | { readonly kind: 'close' }
  /** Instead of `start`, to a worker that is nobody's: a new recovery phrase is wanted. */
  | { readonly kind: 'phrase' };

/** From a worker to its own tab. */
export type FromWorker =
  /** It holds its lock. */
  | { readonly kind: 'alive' }
  /** It is the owner no more, and lets go of everything; `trapped`: because the core broke. */
  | { readonly kind: 'ended'; readonly trapped: boolean }
  | { readonly kind: 'phrase'; readonly phrase: string }
  /** There is no phrase, because of this error. */
  | { readonly kind: 'failed'; readonly error: string };

/** From tabs to the owner. */
export type ToOwner =
  /** A tab that looks for the owner, or greets a new one. */
  | { readonly kind: 'hello'; readonly tab: string; readonly suspended: boolean; readonly log: LogLevel | null }
  | {
      readonly kind: 'call';
      readonly owner: string;
      readonly tab: string;
      readonly id: number;
      readonly again: boolean;
      readonly request: string;
      /** What a backup is restored from: not its bytes, which stay where they are until they are read. */
      readonly file?: Blob;
    }
  /** The next piece of news for a watch. */
  | { readonly kind: 'next'; readonly owner: string; readonly tab: string; readonly id: number; readonly watch: string; readonly topic: string }
  | { readonly kind: 'retopic'; readonly owner: string; readonly watch: string; readonly topic: string }
  | { readonly kind: 'unwatch'; readonly owner: string; readonly watch: string }
  | { readonly kind: 'suspend'; readonly owner: string; readonly tab: string; readonly id: number; readonly suspended: boolean };

/** From the owner to tabs. */
export type FromOwner =
  /** There is an owner; or there is none, because of this error. */
  | {
      readonly kind: 'owner';
      readonly protocol: number;
      readonly owner: string;
      readonly node: string;
      readonly storage: 'opfs' | 'memory';
      readonly error?: string;
    }
  | { readonly kind: 'answer'; readonly tab: string; readonly id: number; readonly value?: string | Blob | undefined; readonly error?: string }
  /** For every tab that listens. */
  | { readonly kind: 'log'; readonly records: readonly LogRecord[] }
  /** The core broke while these were under way. */
  | { readonly kind: 'trapped'; readonly owner: string }
  /** The history was removed: every client of that name is closed. */
  | { readonly kind: 'gone'; readonly owner: string };
