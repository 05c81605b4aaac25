/**
 * The secret of a history, where the browser keeps it: `deviceBinding: 'browser'`, or `passphrase`.
 *
 * A key for HMAC-SHA-256 that no script can read, in a database of its own; what it makes of a constant are the 32 bytes. Only the
 * owner of a name asks for it, and only the owner removes it: no tab has bytes whose key is gone.
 */

import { failure } from './error.js';

const STORE = 'keys';
const KEY = 'binding';
const ALGORITHM: HmacKeyGenParams = { name: 'HMAC', hash: 'SHA-256', length: 256 };
/** As OWASP advises for PBKDF2 with HMAC-SHA-256 (Password Storage Cheat Sheet, 2023). */
const ROUNDS = 600_000;
/** In all versions of the SDK the same. */
const LABEL = new TextEncoder().encode('chasqui/v1/keystore/');

/** The same 32 bytes for as long as the browser keeps its data, or until {@link forget}. */
export async function secretOf(name: string): Promise<Uint8Array> {
  if (!globalThis.crypto?.subtle || !globalThis.indexedDB) {
    throw failure('incompatible', 'the browser keeps keys only for pages that come from https or localhost');
  }
  try {
    const key = await keyOf(name);
    return new Uint8Array(await crypto.subtle.sign('HMAC', key, LABEL));
  } catch (error) {
    const isFull = error instanceof DOMException && error.name === 'QuotaExceededError';
    throw failure(isFull ? 'storage_full' : 'unavailable', `the key of the history: ${String(error)}`);
  }
}

/** The same for who types the same in: what the browser keeps is the salt, so that a copy of the history alone gives nobody a guess. */
export async function stretched(name: string, passphrase: string): Promise<Uint8Array> {
  const salt = await secretOf(name);
  const typed = await crypto.subtle.importKey('raw', new TextEncoder().encode(passphrase), 'PBKDF2', false, ['deriveBits']);
  const algorithm: Pbkdf2Params = { name: 'PBKDF2', hash: 'SHA-256', salt: salt as BufferSource, iterations: ROUNDS };
  return new Uint8Array(await crypto.subtle.deriveBits(algorithm, typed, 256));
}

/** Removes the key: whatever is sealed by it is lost. */
export async function forget(name: string): Promise<void> {
  await done(indexedDB.deleteDatabase(database(name)));
}

function database(name: string): string {
  return `chasqui:${name}`;
}

async function keyOf(name: string): Promise<CryptoKey> {
  const opening = indexedDB.open(database(name), 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
  const keys = await done(opening);
  try {
    const kept = await done<CryptoKey | undefined>(keys.transaction(STORE).objectStore(STORE).get(KEY));
    if (kept) return kept;
    // Takes longer than a transaction lasts.
    const made = await crypto.subtle.generateKey(ALGORITHM, false, ['sign']);
    // It is on the disk before anything is sealed by it.
    const writing = keys.transaction(STORE, 'readwrite', { durability: 'strict' });
    const store = writing.objectStore(STORE);
    const other: IDBRequest<CryptoKey | undefined> = store.get(KEY);
    other.onsuccess = () => {
      if (!other.result) store.add(made, KEY);
    };
    await committed(writing);
    return other.result ?? made;
  } finally {
    keys.close();
  }
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function committed(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
  });
}
