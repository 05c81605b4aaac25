import { failure } from './error.js';
import { Link, newPhrase } from './link.js';
import { isLevel, log, type LogSink } from './log.js';
import { ListObserver, Observer, type ObserveOptions } from './observer.js';
import type {
  Account,
  AccountProof,
  ChallengeId,
  Config,
  ConnectionState,
  ConversationId,
  ConversationSummary,
  Cursor,
  DeviceId,
  DeviceInfo,
  HistoryTransfer,
  Incomplete,
  LogLevel,
  Message,
  MessageId,
  PhoneChallenge,
  Protection,
  SafetyNumber,
  Salvage,
  SearchHit,
  SecurityEvent,
  Seq,
  StorageState,
  TimelineItem,
  TimelinePage,
  Typing,
  UserId,
  UserInfo,
} from './types.js';

/** The events of a client. */
export interface ClientEvents {
  /** Where the history lies became known, or changed: `detail` is the state. */
  storage: CustomEvent<StorageState>;
}

/**
 * One device of one user, shared by all tabs of an origin that open the same name.
 *
 * What is asked is durable on this device when the promise resolves; what is written offline goes out later. Promises reject with
 * a {@link ChasquiError}. The core runs in a worker of one of the tabs; when that tab is closed another one takes over, and what
 * was under way is done there.
 */
export class ChasquiClient extends EventTarget {
  #link!: Link;
  #storage: StorageState = { kind: 'memory', isPersisted: false };
  #isPersisted = false;

  private constructor() {
    super();
  }

  /**
   * Opens the history, or joins the tab that has it open, and begins to connect if a device is enrolled there.
   *
   * Rejects with `incompatible` when a newer version wrote the history, another tab runs another version, or this is no browser;
   * `other_device`, `storage_full`, `folder_in_use`, and `invalid` for an unusable address or name. With a `deviceBinding` of
   * `'browser'`, or a passphrase, also with `incompatible` where the browser keeps no keys, and `unavailable` when it does not give this one.
   */
  static async open(config: Config): Promise<ChasquiClient> {
    needBrowser();
    if (typeof config !== 'object' || config === null) throw failure('invalid', 'the configuration is no object');
    if (typeof config.node !== 'string') throw failure('invalid', 'the node is no text');
    if (config.name !== undefined && typeof config.name !== 'string') throw failure('invalid', 'the name is no text');
    const { deviceBinding } = config;
    const isSecret = deviceBinding instanceof Uint8Array && deviceBinding.length === 32;
    if (deviceBinding !== undefined && deviceBinding !== 'browser' && !isSecret) {
      throw failure('invalid', "the device binding is neither 'browser' nor a Uint8Array of 32 bytes");
    }
    if (config.passphrase !== undefined && typeof config.passphrase !== 'string') {
      throw failure('invalid', 'the passphrase is no text');
    }
    if (config.passphrase !== undefined && deviceBinding !== undefined) {
      throw failure('invalid', 'a history is bound by a secret or by a passphrase');
    }
    const client = new ChasquiClient();
    if (config.persist !== false) void client.#persist();
    client.#link = await Link.open(config, {
      storage: (kind) => client.#stored(kind, client.#isPersisted),
      closed: () => {},
    });
    return client;
  }

  /**
   * A new recovery phrase for {@link backUp}: ten groups of five digits, for people to write down. Who has it reads every backup that
   * was made with it; without it a backup is of no use to anybody. Needs no open client.
   */
  static async newRecoveryPhrase(): Promise<string> {
    needBrowser();
    return newPhrase();
  }

  /**
   * Hands the SDK's log to the app, in the place of who got it before: records of `level` and worse, of all clients of this tab,
   * those that are opened later included. They hold nothing that people wrote, no name, no token and no key. While nobody
   * listens nothing is recorded.
   *
   * `ChasquiClient.log('info', (record) => console.info(`[chasqui] ${record.text}`))`. Throws `invalid` for another level.
   */
  static log(level: LogLevel, sink: LogSink): void {
    if (!isLevel(level)) throw failure('invalid', `no level is called ${String(level)}`);
    if (typeof sink !== 'function') throw failure('invalid', 'the sink is no function');
    log.listen(level, sink);
  }

  /** Logs nothing any more, which costs nothing. */
  static stopLog(): void {
    log.listen(null);
  }

  /** Where the history lies. An event `storage` tells when it changes. */
  get storage(): StorageState {
    return this.#storage;
  }

  async #persist(): Promise<void> {
    try {
      this.#isPersisted = (await navigator.storage?.persist?.()) ?? false;
    } catch {
      this.#isPersisted = false;
    }
    this.#stored(this.#storage.kind, this.#isPersisted);
  }

  #stored(kind: StorageState['kind'], isPersisted: boolean): void {
    const state: StorageState = { kind, isPersisted: isPersisted && kind === 'opfs' };
    if (state.kind === this.#storage.kind && state.isPersisted === this.#storage.isPersisted) return;
    this.#storage = state;
    this.dispatchEvent(new CustomEvent('storage', { detail: state }));
  }

  async #call<T>(method: string, args: object = {}): Promise<T> {
    const answer = await this.#link.call(method, args);
    return JSON.parse(answer as string) as T;
  }

  async #do(method: string, args: object = {}): Promise<void> {
    await this.#link.call(method, args);
  }

  /** Whom this history belongs to; null before {@link register} or {@link login}. */
  account(): Promise<Account | null> {
    return this.#call('account');
  }

  /**
   * Makes a new user with this as the first device. Repeating it after a lost answer is harmless.
   *
   * Rejects with `name_taken`, `invalid`, `already_enrolled`, `rate_limited`, `offline`.
   */
  register(name: string, password: string, deviceName: string): Promise<Account> {
    return this.#call('register', { name, password, deviceName });
  }

  /**
   * Makes this a further device of an existing user. It gets what is sent from here on, and what is encrypted once it is linked
   * ({@link beginLinking}). Where that user's backup was restored before, it is linked at once.
   *
   * Rejects with `unauthorised` for a wrong name or password, `forbidden` when the user has as many devices as are allowed,
   * `already_enrolled`, `rate_limited`, `offline`.
   */
  login(name: string, password: string, deviceName: string): Promise<Account> {
    return this.#call('login', { name, password, deviceName });
  }

  /**
   * Makes this a device of the user whom a token (JWT) of the app's own backend names; the first time makes the user.
   *
   * Rejects with `invalid_token`, `unavailable`, `forbidden`, `incompatible`, `already_enrolled`, `rate_limited`, `offline`.
   */
  enrolWithToken(token: string, deviceName: string): Promise<Account> {
    return this.#call('enrolWithToken', { token, deviceName });
  }

  /** Asks for a code to this telephone number. The answer is the same whether anybody has an account by it or not. */
  requestCode(phone: string): Promise<PhoneChallenge> {
    return this.#call('requestCode', { phone });
  }

  /**
   * Makes this a device of the user whom the telephone number of the challenge belongs to; the first time makes the user.
   *
   * Rejects with `invalid_code`, `attempts_exhausted`, `pin_needed`, `wrong_pin`, `waiting_period`, `forbidden`,
   * `already_enrolled`, `rate_limited`, `offline`.
   */
  enrolWithCode(challenge: ChallengeId, code: string, pin: string | null, deviceName: string): Promise<Account> {
    return this.#call('enrolWithCode', { challenge, code, pin, deviceName });
  }

  /** As {@link enrolWithCode}, for whom the PIN of the number's earlier account is lost: that stays without the number. */
  replaceAccountWithCode(challenge: ChallengeId, code: string, deviceName: string): Promise<Account> {
    return this.#call('replaceAccountWithCode', { challenge, code, deviceName });
  }

  /** Sets or changes the PIN that protects the account when its telephone number is enrolled again; null removes it. */
  setPin(pin: string | null): Promise<void> {
    return this.#do('setPin', { pin });
  }

  /**
   * Revokes this device at the node. The history stays readable, and only the same user can log in again here; {@link wipe}
   * removes it. Rejects with `offline` when the node cannot be told; the device stays enrolled then.
   */
  logout(): Promise<void> {
    return this.#do('logout');
  }

  /**
   * Removes the history from this device, with the key that the browser keeps of it, and closes the clients of all tabs. Does not
   * tell the node: see {@link logout}.
   */
  wipe(): Promise<void> {
    return this.#do('wipe');
  }

  /**
   * Deletes the user's account at the node, for good and on all devices, then the history here; the clients of all tabs are
   * closed. Rejects with `proof_needed`, `wrong_pin`, `invalid_token`, `rate_limited`, `offline`: nothing was deleted then.
   */
  deleteAccount(proof: AccountProof): Promise<void> {
    return this.#do('deleteAccount', { proof });
  }

  /** The user's own devices. */
  devices(): Promise<DeviceInfo[]> {
    return this.#call('devices');
  }

  /** Revokes one of the user's own devices: it gets nothing any more, what waited for it is dropped. */
  revokeDevice(device: DeviceId): Promise<void> {
    return this.#do('revokeDevice', { device });
  }

  /** Who goes by that name. People met before are found offline. Rejects with `not_found`, `offline`. */
  findUser(name: string): Promise<UserInfo> {
    return this.#call('findUser', { name });
  }

  /** The direct conversation with somebody, or with oneself, end-to-end encrypted. Works offline; both sides may do it at once. */
  openDirect(peer: UserId): Promise<ConversationId> {
    return this.#call('openDirect', { peer });
  }

  /**
   * As {@link openDirect}, of the kind that the app wants. There are two conversations with everybody, and each stays what it is: the
   * encrypted one, and one that the node, and whoever runs it, can read: for bots, and where messages are moderated.
   */
  openDirectAs(peer: UserId, protection: Protection): Promise<ConversationId> {
    return this.#call('openDirectAs', { peer, protection });
  }

  /**
   * On a device that only logged in (`Account.isLinked` is false): begins to link it. Show the code that this resolves to, about 80
   * letters of ASCII, as a QR code or as text, to a device of the same user that is linked, which reads it by {@link linkDevice};
   * then wait for {@link linkingNumber}. Called again, it begins anew, with another code. Rejects with `invalid` when the device is linked.
   */
  beginLinking(): Promise<string> {
    return this.#call('beginLinking');
  }

  /**
   * On the device to be linked: the number, of six digits, that both devices show once the other has read the code. People compare
   * them; if they are the same, call {@link confirmLinking} on both. Rejects with `linking_failed`.
   */
  linkingNumber(): Promise<string> {
    return this.#call('linkingNumber');
  }

  /**
   * On a device that is linked: reads the code that another device of the same user shows, and resolves to the number that the other one
   * shows as well. Waits until that one is connected. Rejects with `invalid` when that is no such code, `not_linked`, `linking_failed`.
   */
  linkDevice(code: string): Promise<string> {
    return this.#call('linkDevice', { code });
  }

  /**
   * On either device: people saw the same number on both. On the device to be linked it resolves when that takes part in encrypted
   * conversations: what is written from then on reaches it, and the history comes by itself ({@link observeHistoryTransfer}). Rejects with `invalid` when no number was shown, `linking_failed`.
   */
  confirmLinking(): Promise<void> {
    return this.#do('confirmLinking');
  }

  /** On either device: nothing is to come of it. The other one is told. */
  cancelLinking(): Promise<void> {
    return this.#do('cancelLinking');
  }

  /**
   * Sends a text: it is in the outbox when this resolves, and goes out in order as soon as it can.
   *
   * Rejects with `invalid` when empty, `too_large` above about 64 KiB, `not_found` for an unknown conversation, `not_linked` in an encrypted one
   * on a device that was not linked, `storage_full`.
   */
  sendText(conversation: ConversationId, text: string): Promise<MessageId> {
    return this.sendTextAs(newMessageId(), conversation, text);
  }

  /** As {@link sendText}, under an id of {@link newMessageId}: asked again with the same one it sends nothing more. */
  sendTextAs(message: MessageId, conversation: ConversationId, text: string): Promise<MessageId> {
    return this.#call('sendText', { message, conversation, text });
  }

  /** Sends a failed message again, behind what waits. */
  retry(message: MessageId): Promise<void> {
    return this.#do('retry', { message });
  }

  /** Everything up to there is read, on all of the user's devices; without it, all that is shown. Authors are told. */
  markRead(conversation: ConversationId, upTo: Seq | null = null): Promise<void> {
    return this.#do('markRead', { conversation, upTo });
  }

  /** Removes a message from this device only. */
  delete(message: MessageId): Promise<void> {
    return this.#do('delete', { message });
  }

  /**
   * The user writes something here, or does not any more (false): whoever of the others is connected sees it ({@link typing}). Call it at
   * each key; others are told every four seconds at most, and see it end six seconds after the last time. Sending ends it as well.
   *
   * It is of this moment, and best effort: nothing is told while the client is not connected, to strangers, in a conversation with
   * oneself, or before something was said in an encrypted conversation; nothing is told later. Rejects with `not_found`,
   * `not_enrolled`, `suspended`.
   */
  setTyping(conversation: ConversationId, typing: boolean): Promise<void> {
    return this.#do('setTyping', { conversation, typing });
  }

  /**
   * Who else is writing now, and where. Who it is, is the node's word; what is said of it in an encrypted conversation it cannot
   * read.
   */
  typing(): Promise<Typing[]> {
    return this.#call('typing');
  }

  /** The stranger who wrote may go on. Works offline; where there is no request it changes nothing. */
  acceptRequest(conversation: ConversationId): Promise<void> {
    return this.#do('acceptRequest', { conversation });
  }

  /** Deletes a request; the stranger is told nothing. With `block`, nothing more is taken from the stranger. */
  declineRequest(conversation: ConversationId, block: boolean): Promise<void> {
    return this.#do('declineRequest', { conversation, block });
  }

  /** The conversation list, latest activity first. */
  conversations(limit: number): Promise<ConversationSummary[]> {
    return this.#call('conversations', { limit });
  }

  /** One line of the list. */
  conversation(conversation: ConversationId): Promise<ConversationSummary | null> {
    return this.#call('conversation', { conversation });
  }

  /** Unread messages in all conversations but requests: the app's badge. */
  totalUnread(): Promise<number> {
    return this.#call('totalUnread');
  }

  /** The newest `limit` lines of a timeline, or those before a cursor; oldest first. */
  timeline(conversation: ConversationId, before: Cursor | null, limit: number): Promise<TimelinePage> {
    return this.#call('timeline', { conversation, before, limit });
  }

  /** The `limit` lines after a cursor, oldest first. */
  timelineAfter(conversation: ConversationId, after: Cursor, limit: number): Promise<TimelinePage> {
    return this.#call('timelineAfter', { conversation, after, limit });
  }

  /** What the node did not keep for this device; null when nothing is known to be missing. */
  incomplete(): Promise<Incomplete | null> {
    return this.#call('incomplete');
  }

  /** One message. */
  message(message: MessageId): Promise<Message | null> {
    return this.#call('message', { message });
  }

  /** Messages that hold every word of `query`, newest first. The last letters of a word may be missing. */
  search(query: string, limit: number): Promise<SearchHit[]> {
    return this.#call('search', { query, limit });
  }

  /** How the connection is now. */
  connection(): Promise<ConnectionState> {
    return this.#call('connection');
  }

  /** What was saved from damaged files so far, oldest first; empty for almost everyone. */
  salvages(): Promise<Salvage[]> {
    return this.#call('salvages');
  }

  /** Everything that this device holds, as lines of JSON (docs/export.md). */
  async export(): Promise<Blob> {
    return (await this.#link.call('export', {})) as Blob;
  }

  /** What the node holds about the user, in its words (JSON). */
  exportFromNode(): Promise<string> {
    return this.#call('exportFromNode');
  }

  /**
   * A backup of everything that this device holds, and of the user's identity, sealed by a phrase of {@link newRecoveryPhrase}. What
   * arrives meanwhile may be in it or not; what waits to be sent is not. Rejects with `wrong_phrase` for what is no phrase, `not_enrolled`.
   */
  async backUp(phrase: string): Promise<Blob> {
    return (await this.#link.call('backUp', { phrase })) as Blob;
  }

  /**
   * Puts what is in a backup into this history: a new one, before or after the login, or one of the same user. Restored before the
   * login, the device takes part in encrypted conversations at once. Repeating it changes nothing; a tab that is closed
   * meanwhile leaves what was read by then.
   *
   * Rejects with `wrong_phrase`, `storage_full`, and `invalid` when it is damaged, cut off, no backup, or somebody else's.
   */
  async restore(backup: Blob, phrase: string): Promise<void> {
    if (!(backup instanceof Blob)) throw failure('invalid', 'the backup is no Blob');
    await this.#link.call('restore', { phrase }, backup);
  }

  /**
   * What this user and another one compare to know that nobody stands between them. Rejects with `not_linked`, `offline` and
   * `not_found` when nothing is known of that user's identity, and `invalid` for oneself.
   */
  safetyNumber(user: UserId): Promise<SafetyNumber> {
    return this.#call('safetyNumber', { user });
  }

  /**
   * Reads the code that the other one's device shows (`SafetyNumber.scannable`). Resolves to whether it is the right one; if so, the
   * identity is verified. A wrong one is an alarm: somebody may stand in between. Rejects with `invalid` when that is no such code, else
   * as {@link safetyNumber}.
   */
  verify(user: UserId, scanned: string): Promise<boolean> {
    return this.#call('verify', { user, scanned });
  }

  /**
   * People have compared the digits, or take that back. After a change of a verified identity either is the word that `changed` waits
   * for: false goes on without verifying. The user's other linked devices are told; the latest word counts. Rejects with `not_found` when
   * nothing is known of that identity.
   */
  setVerified(user: UserId, isVerified: boolean): Promise<void> {
    return this.#do('setVerified', { user, isVerified });
  }

  /**
   * Makes a new identity, for a user who has lost every linked device and has no backup. This device is linked by it, the user's others
   * are not any more, and everybody whom the user wrote to is told. Repeating it after a lost answer is harmless.
   *
   * Rejects with `proof_needed`, `wrong_pin`, `attempts_exhausted`, `invalid_token`, `rate_limited`, `not_enrolled`, `offline`.
   */
  resetIdentity(proof: AccountProof): Promise<void> {
    return this.#do('resetIdentity', { proof });
  }

  /** What was noticed about identities, and what was refused, after the event of that number (0 = all), oldest first. */
  securityEvents(after: number, limit: number): Promise<SecurityEvent[]> {
    return this.#call('securityEvents', { after, limit });
  }

  /** How far this device has come in getting the history from the one that linked it; null = none is on its way. */
  historyTransfer(): Promise<HistoryTransfer | null> {
    return this.#call('historyTransfer');
  }

  /** Watches the newest `limit` conversations. */
  observeConversations(limit: number, options?: ObserveOptions): ListObserver<ConversationSummary> {
    return new ListObserver(this.#link, { kind: 'conversations', limit }, options);
  }

  /** Watches the newest `limit` lines of a timeline. */
  observeTimeline(conversation: ConversationId, limit: number, options?: ObserveOptions): ListObserver<TimelineItem> {
    return new ListObserver(this.#link, { kind: 'timeline', conversation, limit }, options);
  }

  /** Watches the connection: the state now, then each change. */
  observeConnection(options?: ObserveOptions): Observer<ConnectionState> {
    return new Observer(this.#link, { kind: 'connection' }, options);
  }

  /** Watches for damage; begins with the first report whose number is above `shown`. */
  observeSalvages(shown: number, options?: ObserveOptions): Observer<Salvage> {
    return new Observer<Salvage>(this.#link, { kind: 'salvages', shown }, options, ({ number }) => ({ shown: number }));
  }

  /** Watches for security events after the one of that number; 0 = all that are kept, at most 1,000. */
  observeSecurityEvents(after: number, options?: ObserveOptions): Observer<SecurityEvent> {
    return new Observer<SecurityEvent>(this.#link, { kind: 'securityEvents', after }, options, ({ number }) => ({ after: number }));
  }

  /** Watches {@link historyTransfer}: how far it is now, then each change. */
  observeHistoryTransfer(options?: ObserveOptions): Observer<HistoryTransfer | null> {
    return new Observer(this.#link, { kind: 'historyTransfer' }, options);
  }

  /** Watches {@link typing}: everybody who is, then the whole list at each change. */
  observeTyping(options?: ObserveOptions): Observer<readonly Typing[]> {
    return new Observer(this.#link, { kind: 'typing' }, options);
  }

  /** There is a network (again): tries at once instead of waiting. Browsers' `online` event is heard without it. */
  networkUp(): Promise<void> {
    return this.#do('networkUp');
  }

  /**
   * This tab's calls fail with `suspended` until {@link resume}. The socket and the files are let go of while every tab is
   * suspended.
   */
  suspend(): Promise<void> {
    return this.#link.suspend(true);
  }

  /** Opens everything again, and connects. Rejects as {@link open}. */
  resume(): Promise<void> {
    return this.#link.suspend(false);
  }

  /** Closes this tab's client: calls reject with `closed` from here on, observers end. Other tabs go on. */
  close(): Promise<void> {
    return this.#link.close();
  }

  /** Listens to what happens to the client itself: the names and what they carry are in {@link ClientEvents}. */
  override addEventListener<K extends keyof ClientEvents>(
    type: K,
    listener: (event: ClientEvents[K]) => void,
    options?: AddEventListenerOptions | boolean,
  ): void;
  /** As of every `EventTarget`. */
  override addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: AddEventListenerOptions | boolean,
  ): void;
  override addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null | ((event: never) => void),
    options?: AddEventListenerOptions | boolean,
  ): void {
    super.addEventListener(type, listener as EventListener, options);
  }
}

function needBrowser(): void {
  if (typeof Worker === 'undefined' || typeof BroadcastChannel === 'undefined' || typeof WebSocket === 'undefined') {
    throw failure('incompatible', 'the package needs a browser: there is no Worker, BroadcastChannel or WebSocket here (in Node, use a browser or the Rust crate)');
  }
}

/** A new UUIDv7 (RFC 9562), for {@link ChasquiClient.sendTextAs}. */
export function newMessageId(): MessageId {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const now = Date.now();
  for (let index = 0; index < 6; index++) bytes[index] = Math.floor(now / 2 ** (8 * (5 - index))) & 0xff;
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x70;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  const parts = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)];
  return parts.join('-') as MessageId;
}
