/**
 * The values that go in and come out. Times are milliseconds since 1970 (`new Date(time)` shows them): numbers compare, go
 * through `postMessage` and JSON, and nobody can change one that somebody else holds.
 */

declare const brand: unique symbol;

/** A UUID as text that is not mistaken for another kind of id. */
export type Id<Kind extends string> = string & { readonly [brand]: Kind };

/** A person's account. */
export type UserId = Id<'user'>;
/** One installation: here a browser profile's storage for this origin and name. */
export type DeviceId = Id<'device'>;
/** A direct conversation, a group or a channel. */
export type ConversationId = Id<'conversation'>;
/** A message, made by the device that sends it. */
export type MessageId = Id<'message'>;
/** The app that a node serves. */
export type RealmId = Id<'realm'>;
/** What a code to a telephone answers: `PhoneChallenge.id`. */
export type ChallengeId = Id<'challenge'>;
/** A place in a timeline; stays valid while messages come and go. */
export type Cursor = Id<'cursor'>;

/** A message's position in its conversation: the order on every device. A whole number below 2^53. */
export type Seq = number;
/** Milliseconds since 1970. For display; never for order. */
export type Timestamp = number;

/** How a client is opened. */
export interface Config {
  /** The base URL of the node: `https://relay.example.org`. */
  readonly node: string;
  /** Tells the accounts of an origin apart: one name is one account, one history. Default: `default`. At most 64 bytes. */
  readonly name?: string;
  /** Refuses to enrol at a node that serves another app. */
  readonly realm?: RealmId;
  /**
   * Binds the history to this device, and seals the secrets in it. `'browser'`: by a key of WebCrypto that no script can read, made
   * when it is first needed and kept by the browser for this name (IndexedDB, `chasqui:NAME`); wiping the history removes it, and
   * a browser that clears the site's data clears both. Or by 32 random bytes that the app keeps elsewhere.
   */
  readonly deviceBinding?: 'browser' | Uint8Array;
  /**
   * Instead: as `'browser'`, and besides by something that people type in each time, stretched by PBKDF2 (SHA-256, 600,000 rounds), which
   * takes a moment. Another one is `other_device`. Asked of whoever opens the history; a tab that joins one that has it open is served
   * whatever it gives.
   */
  readonly passphrase?: string;
  /** Opens a history that is bound to another device, as a copy that has to log in again. */
  readonly adoptCopy?: boolean;
  /** Asks the browser not to evict the history when space runs short. Default: true. */
  readonly persist?: boolean;
}

/**
 * How bad what is logged is. `error`: something was lost, or does not go on by itself; `warn`: something is not as it should be,
 * and goes on; `info`: what an app's developer may want to know of a browser in the field; `debug`, `trace`: for whoever looks for
 * a defect.
 */
export type LogLevel = 'error' | 'warn' | 'info' | 'debug' | 'trace';

/** One line of the log. Holds nothing that people wrote, no name, no token and no key. */
export interface LogRecord {
  readonly level: LogLevel;
  /** The room of the SDK that says it: `chasqui::engine::inbox`. */
  readonly target: string;
  /** English, the same at every time. */
  readonly message: string;
  /** What differs from time to time, by name. */
  readonly fields: { readonly [name: string]: string };
  /** Message and fields in one line: `a message (name: value, name: value)`. */
  readonly text: string;
}

/** Where the history lies. */
export interface StorageState {
  /**
   * `opfs`: on the disk, in the origin's private file system. `memory`: the browser has none, or not for this page; the history
   * and the device's keys are gone when the last tab is.
   */
  readonly kind: 'opfs' | 'memory';
  /** Whether the browser promised not to evict it when space runs short. */
  readonly isPersisted: boolean;
}

/** The account of a history. */
export interface Account {
  readonly user: UserId;
  /** As registered. */
  readonly name: string;
  readonly device: DeviceId;
  /** The node's base URL. */
  readonly node: string;
  /**
   * Whether this device takes part in end-to-end encrypted conversations: the user's first one does, and those that another one has
   * linked (`beginLinking`).
   */
  readonly isLinked: boolean;
}

/** Who can read a conversation: whoever runs the node, for bots and where messages are moderated; or the members' devices alone. */
export type Protection = 'nodeReadable' | 'endToEnd';

/** A code is on its way to a telephone. */
export interface PhoneChallenge {
  /** What the code answers, for `enrolWithCode`. */
  readonly id: ChallengeId;
  /** Milliseconds for which the code is taken. */
  readonly expiresInMs: number;
  /** Milliseconds after which another code may be asked for. */
  readonly resendAfterMs: number;
}

/** Somebody. */
export interface UserInfo {
  readonly user: UserId;
  /** As registered. */
  readonly name: string;
}

/** One of the user's own devices. */
export interface DeviceInfo {
  readonly device: DeviceId;
  /** For people. */
  readonly name: string;
  /** By the node's clock. */
  readonly createdAt: Timestamp;
  /** When it last opened or closed a socket, by the node's clock. */
  readonly lastSeenAt: Timestamp | null;
  readonly isThisDevice: boolean;
}

/** What proves that it is the account's owner who deletes it, or makes a new identity: one of what the account has. */
export type AccountProof =
  | 'none'
  | { readonly password: string }
  | { readonly pin: string }
  /** A fresh token (JWT) of the app's own backend. */
  | { readonly token: string };

/** A conversation as the list shows it. */
export interface ConversationSummary {
  readonly id: ConversationId;
  readonly kind: 'direct' | 'group' | 'channel';
  /** Who can read it; fixed when it was created. */
  readonly protection: Protection;
  /** Direct conversations: the other user, or oneself. */
  readonly peer: UserId | null;
  /** The peer's name, once known here. */
  readonly peerName: string | null;
  /** Whether somebody has compared the peer's identity; while it is `changed`, nothing is sent in an encrypted conversation. */
  readonly peerTrust: Trust;
  /** The peer's account was deleted: nothing can be sent any more. */
  readonly peerDeleted: boolean;
  /** A stranger wrote, who hears neither RECEIVED nor READ before the user answers or accepts. */
  readonly isRequest: boolean;
  /** Messages by others that were not read on any of the user's devices. */
  readonly unread: number;
  /** Everything up to here is read. */
  readonly readUpTo: Seq | null;
  /** The newest message that is shown. */
  readonly lastMessage: Message | null;
  /** When something last happened here; the list is in this order, latest first. */
  readonly activity: Timestamp;
}

/** A message as the timeline shows it. */
export interface Message {
  readonly id: MessageId;
  readonly conversation: ConversationId;
  /** Its position, once the node accepted it. */
  readonly seq: Seq | null;
  readonly sender: UserId;
  readonly senderDevice: DeviceId;
  /** Whether this user wrote it, on whichever device. */
  readonly isOwn: boolean;
  readonly content: MessageContent;
  /** The author's clock: may be wrong. */
  readonly createdAt: Timestamp;
  /** The node's clock. */
  readonly acceptedAt: Timestamp | null;
  /** How far it got. Others' messages are always `received` here. */
  readonly state: MessageState;
  /** Own messages: how far it got with each recipient, once the node accepted it. */
  readonly deliveries: readonly Delivery[];
}

/**
 * What a message says. `unsupported`: a later version can show it. `unreadable`: it cannot be read here, and nobody is left to ask for it: in
 * an encrypted conversation a message that cannot be read is not shown while it is asked for from its author's devices, for three weeks.
 * It still gives way to the message if that comes. Otherwise it arrived damaged.
 */
export type MessageContent =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'unsupported' }
  | { readonly kind: 'unreadable' };

/** How far a message got: the least of its recipients. Never goes back. */
export type MessageState =
  /** On this device's disk, on its way. */
  | { readonly kind: 'pending' }
  /** On the node's disk. */
  | { readonly kind: 'sent' }
  /** On a disk of every recipient. */
  | { readonly kind: 'received' }
  /** Read by every recipient. */
  | { readonly kind: 'read' }
  /** Some recipient will not get it. */
  | { readonly kind: 'undelivered'; readonly reason: Undelivered }
  /** The node refused it (`refusal` is its code), or did not answer for 30 days. `retry` tries again. */
  | { readonly kind: 'failed'; readonly reason: 'refused'; readonly refusal: string }
  | { readonly kind: 'failed'; readonly reason: 'tooOld' };

/** Why a recipient will not get a message. */
export type Undelivered = 'expired' | 'unreadable' | 'deviceGone' | 'refused';

/** How far a message got with one recipient. */
export interface Delivery {
  readonly user: UserId;
  /** When the node saw it on a disk of the recipient, by the node's clock. */
  readonly receivedAt: Timestamp | null;
  /** When it was read, by the reader's clock, signed by the reader's device. */
  readonly readAt: Timestamp | null;
  readonly undelivered: Undelivered | null;
}

/** A line of a timeline. */
export type TimelineItem =
  | { readonly kind: 'message'; readonly message: Message }
  /** Something stood here that can no longer be delivered to this device. */
  | { readonly kind: 'gap'; readonly conversation: ConversationId; readonly seq: Seq }
  /** Messages that the node did not keep for this device. Other devices of the user may have them. */
  | {
      readonly kind: 'hole';
      readonly conversation: ConversationId;
      readonly first: Seq;
      readonly last: Seq;
      readonly reason: 'mailboxFull' | 'absent' | 'other';
    };

/** Names the line in its timeline, as long as it is there: for the keys of a list in React, Vue and their like. */
export function timelineKey(item: TimelineItem): string {
  switch (item.kind) {
    case 'message':
      return item.message.id;
    case 'gap':
      return `gap ${item.seq}`;
    case 'hole':
      return `hole ${item.first}`;
  }
}

/** Consecutive lines of a timeline, oldest first. */
export interface TimelinePage {
  readonly items: readonly TimelineItem[];
  /** Where the page before begins; null at the beginning of the history. */
  readonly older: Cursor | null;
  /** Where the page after begins; null at the end. */
  readonly newer: Cursor | null;
}

/** What is known to be missing in the history of this device. */
export interface Incomplete {
  /** When the node first kept something back, by its clock. */
  readonly since: Timestamp;
  /**
   * Set when the device was away for so long that receipts and read marks were not kept either. Also when no other device of the user
   * could give a part of the history that can be used here: what was said from then on may lack that part.
   */
  readonly absentSince: Timestamp | null;
  /** Holes in timelines. */
  readonly holes: number;
}

/** A message that a search found, and where its surroundings are. */
export interface SearchHit {
  readonly message: Message;
  readonly cursor: Cursor;
}

/** How the connection is. `blocked`: trying again would not help. */
export type ConnectionState =
  | { readonly kind: 'offline' | 'connecting' | 'catchingUp' | 'online' }
  | { readonly kind: 'blocked'; readonly reason: Blocked };

/** Why trying again would not help. */
export type Blocked =
  /** Register or log in. */
  | 'notEnrolled'
  | 'suspended'
  /** The node does not know this device or its key. */
  | 'unauthorised'
  /** The device was revoked, or the account deleted. */
  | 'revoked'
  /** The node speaks another version, or serves another app. */
  | 'incompatible'
  /** No space is left. Mail waits at the node, and everything goes on by itself when there is room. */
  | 'storageFull'
  /** The history is a copy: log in again, as a new device. */
  | 'copied'
  /** The device's keys were lost with a damaged history: log in again, as a new device. */
  | 'keysLost';

/** What this device knows of somebody's identity. */
export type Trust =
  /** The first key that was heard of is taken for theirs, or a later one that nobody has compared. */
  | 'unverified'
  /** People have compared it: `verify`, `setVerified`. */
  | 'verified'
  /** It was verified, and is another one now: nothing encrypted is sent to them before somebody says what to make of it, by either. */
  | 'changed';

/** What two people compare to know that nobody stands between them: the same on both sides, whichever of their devices they use. */
export interface SafetyNumber {
  /** 60 digits, in twelve groups of five with spaces between. */
  readonly digits: string;
  /** The same for machines: about 150 letters of ASCII, to be shown as a QR code and read by `verify`. */
  readonly scannable: string;
  readonly trust: Trust;
  /**
   * When their identity became another one than the one that was known, here or where the history comes from, by the device's clock or
   * the node's; null = never.
   */
  readonly changedAt: Timestamp | null;
}

/** Something that people may want to know of: an identity changed, or something was refused. */
export interface SecurityEvent {
  /** Counts the events of this history, from 1. */
  readonly number: number;
  /** By this device's clock. */
  readonly at: Timestamp;
  readonly kind: SecurityEventKind;
  /** Whose identity, or whose device. */
  readonly user: UserId | null;
  /** Which device, if it is about one. */
  readonly device: DeviceId | null;
  /** Where, if it was in a conversation. */
  readonly conversation: ConversationId | null;
}

/** What happened. Later versions may know more. */
export type SecurityEventKind =
  /** Somebody has a new identity: a new telephone without a backup, or somebody else in between. Compare safety numbers. */
  | 'identityChanged'
  /** The user's own identity was replaced on another device: this one is not linked any more. */
  | 'ownIdentityReplaced'
  /** A device without a valid word of its user was to be put in a conversation, and was not. */
  | 'untrustedDevice'
  /** A message was passed off as somebody else's, or as another one, and was not taken. */
  | 'forgedMessage'
  /** A change of who is in a conversation was something else than was said, and was not followed. */
  | 'forgedChange'
  /**
   * A message is of another past of the conversation than the one that this device was shown, and cannot be read: the node shows
   * people different things, or somebody tampered with the message. It is asked for again.
   */
  | 'forkedConversation'
  /** A device has sent a message that never came here, as what it said next shows: the node kept it back, or lost it. It is asked for. */
  | 'missingMessage'
  /**
   * Others took all key packages that the node had of this device, and used few. Whoever does that has more conversations begun with the
   * one that is given again and again. The node is given new ones.
   */
  | 'keyPackagesExhausted'
  /** Something that this version has no name for. */
  | 'other';

/** How far a newly linked device has come in getting the history from the one that linked it. */
export interface HistoryTransfer {
  /** That are here by now; the newest come first. */
  readonly messages: number;
  /** How much is done, of 1,000. */
  readonly perMille: number;
}

/** Somebody is writing something. */
export interface Typing {
  /** Where. */
  readonly conversation: ConversationId;
  /** Who, on whatever device. */
  readonly user: UserId;
}

/** What was saved when the history was found damaged. */
export interface Salvage {
  /** Counts from 1. */
  readonly number: number;
  /** English, for developers. */
  readonly cause: string;
  /** The damaged database's file. */
  readonly keptAs: string;
  /** What was committed last was gone. */
  readonly isLogMissing: boolean;
  readonly tables: readonly { readonly name: string; readonly rows: number; readonly isWhole: boolean }[];
  /** Messages that were not sent yet, and still will be. */
  readonly unsent: number;
  /** Positions that are known to be missing. */
  readonly gaps: number;
  /** Log in again, as a new device. */
  readonly keysLost: boolean;
  /** Nothing is missing. */
  readonly isComplete: boolean;
}

/** News of a watched list. */
export type Update<T> =
  /** The list is now this. */
  | { readonly kind: 'reset'; readonly items: readonly T[] }
  /** Apply in order: `applyUpdate` does. */
  | { readonly kind: 'changes'; readonly changes: readonly Change<T>[] };

/** One step from a list to the next. */
export type Change<T> =
  | { readonly kind: 'insert'; readonly index: number; readonly item: T }
  | { readonly kind: 'update'; readonly index: number; readonly item: T }
  | { readonly kind: 'remove'; readonly index: number };

/** The list after an update; the one before is left as it is. */
export function applyUpdate<T>(list: readonly T[], update: Update<T>): T[] {
  if (update.kind === 'reset') return [...update.items];
  const next = [...list];
  for (const change of update.changes) {
    if (change.kind === 'insert') next.splice(change.index, 0, change.item);
    else if (change.kind === 'update') next[change.index] = change.item;
    else next.splice(change.index, 1);
  }
  return next;
}
