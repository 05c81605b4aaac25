/** Who listens to the SDK's log in this tab. */

import type { LogLevel, LogRecord } from './types.js';

/** Where the log goes: see {@link ChasquiClient.log}. What it throws is ignored. */
export type LogSink = (record: LogRecord) => void;

/** From the fewest records to the most. */
const LEVELS: readonly LogLevel[] = ['error', 'warn', 'info', 'debug', 'trace'];

/** What hears the core of one origin and name. */
export interface Source {
  readonly space: string;
  /** Another level is listened to. */
  relisten(): void;
}

class Log {
  #level: LogLevel | null = null;
  #sink: LogSink = () => {};
  readonly #sources = new Set<Source>();

  get level(): LogLevel | null {
    return this.#level;
  }

  listen(level: LogLevel | null, sink: LogSink = () => {}): void {
    this.#sink = sink;
    this.#level = level;
    for (const source of this.#sources) source.relisten();
  }

  add(source: Source): void {
    this.#sources.add(source);
  }

  remove(source: Source): void {
    this.#sources.delete(source);
  }

  /** Several clients of one name hear the same. */
  take(from: Source, records: readonly LogRecord[]): void {
    const first = [...this.#sources].find((source) => source.space === from.space);
    if (first !== from) return;
    for (const record of records) {
      if (!includes(this.#level, record.level)) continue;
      try {
        this.#sink(record);
      } catch {
        // The app's own: the log must not end an app that works.
      }
    }
  }
}

/** Whether who listens to one level hears of another. */
function includes(level: LogLevel | null, other: LogLevel): boolean {
  return level !== null && LEVELS.indexOf(other) <= LEVELS.indexOf(level);
}

/** The level that brings each what it listens to. */
export function highest(levels: Iterable<LogLevel | null>): LogLevel | null {
  let highest: LogLevel | null = null;
  for (const level of levels) if (level !== null && !includes(highest, level)) highest = level;
  return highest;
}

export function isLevel(value: unknown): value is LogLevel {
  return LEVELS.includes(value as LogLevel);
}

/** One for all clients of the tab. */
export const log = new Log();
