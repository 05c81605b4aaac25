/**
 * Chasqui in the browser: one device of one user, offline first, shared by all tabs.
 *
 * @packageDocumentation
 */

export { ChasquiClient, newMessageId, type ClientEvents } from './client.js';
export { ChasquiError, type ErrorCode } from './error.js';
export { type LogSink } from './log.js';
export { ListObserver, Observer, type ObserveOptions } from './observer.js';
export * from './types.js';
