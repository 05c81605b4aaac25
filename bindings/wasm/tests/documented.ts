/** The TypeScript of docs/bindings.md, so that it is type-checked; a test of the workspace compares. */
import { ChasquiClient, ChasquiError, type ConversationId, type MessageId, type TimelineItem, type UserId } from 'chasqui';

function render(lines: readonly TimelineItem[]): void {
  console.log(lines);
}

function showCode(code: string): void {
  console.log(code);
}

/** What people say who look at both devices. */
function isSame(number: string): boolean {
  console.log(number);
  return true;
}

export async function open(): Promise<ChasquiClient> {
  const client = await ChasquiClient.open({ node: 'https://relay.example.org', name: 'ana' });
  return client;
}

export async function register(client: ChasquiClient): Promise<void> {
  if ((await client.account()) === null) {
    await client.register('ana', 'correct horse battery', "Ana's laptop");
  }
}

export async function enrolWithToken(client: ChasquiClient, token: string): Promise<void> {
  try {
    const account = await client.enrolWithToken(token, "Ana's laptop");
    console.log(`welcome, ${account.name}`);
  } catch (error) {
    if (!(error instanceof ChasquiError)) throw error;
    if (error.code === 'invalid_token') console.log('ask the backend for another one');
    else if (error.isRetryable) console.log(`later: ${error.message}`);
    else throw error;
  }
}

export async function findAndOpenDirect(client: ChasquiClient): Promise<ConversationId> {
  const bo = await client.findUser('bo');
  const chat = await client.openDirect(bo.user);
  return chat;
}

export async function send(client: ChasquiClient, chat: ConversationId): Promise<MessageId> {
  const message = await client.sendText(chat, '¡Hola, Bo!');
  return message;
}

export async function watch(client: ChasquiClient, chat: ConversationId): Promise<void> {
  for await (const lines of client.observeTimeline(chat, 50).lists()) {
    render(lines);
  }
}

export async function markRead(client: ChasquiClient, chat: ConversationId): Promise<number> {
  await client.markRead(chat);
  const badge = await client.totalUnread();
  return badge;
}

export async function setTyping(client: ChasquiClient, chat: ConversationId, text: string): Promise<void> {
  await client.setTyping(chat, text !== '');
}

export async function seeWhoIsTyping(client: ChasquiClient, chat: ConversationId): Promise<void> {
  for await (const list of client.observeTyping()) {
    console.log(list.some(({ conversation }) => conversation === chat) ? 'typing…' : '');
  }
}

export async function search(client: ChasquiClient): Promise<void> {
  for (const hit of await client.search('noon', 20)) {
    const around = await client.timelineAfter(hit.message.conversation, hit.cursor, 20);
    render(around.items);
  }
}

export async function suspendAndResume(client: ChasquiClient): Promise<void> {
  await client.suspend();
  await client.resume();
}

export async function exportAndClose(client: ChasquiClient): Promise<Blob> {
  const file: Blob = await client.export();
  await client.close();
  return file;
}

export async function beLinked(client: ChasquiClient): Promise<void> {
  showCode(await client.beginLinking());
  if (isSame(await client.linkingNumber())) await client.confirmLinking();
  else await client.cancelLinking();
}

export async function link(client: ChasquiClient, code: string): Promise<void> {
  if (isSame(await client.linkDevice(code))) await client.confirmLinking();
  else await client.cancelLinking();
}

export async function seeTheHistoryCome(client: ChasquiClient): Promise<void> {
  for await (const coming of client.observeHistoryTransfer()) {
    if (coming !== null) console.log(`${coming.messages} messages, ${coming.perMille / 10} % done`);
  }
}

export async function compare(client: ChasquiClient, bo: UserId, scanned: string): Promise<void> {
  const number = await client.safetyNumber(bo);
  showCode(number.scannable);
  if (!(await client.verify(bo, scanned))) console.log('somebody may stand in between');
  await client.setVerified(bo, isSame(number.digits));
}

export async function hearOfSecurity(client: ChasquiClient, shown: number): Promise<void> {
  for await (const event of client.observeSecurityEvents(shown)) {
    console.log(event.number, event.kind, event.user);
  }
}

export async function backUp(client: ChasquiClient): Promise<[string, Blob]> {
  const phrase = await ChasquiClient.newRecoveryPhrase();
  const backup: Blob = await client.backUp(phrase);
  return [phrase, backup];
}

export async function restore(client: ChasquiClient, backup: Blob, phrase: string, password: string): Promise<void> {
  await client.restore(backup, phrase);
  await client.login('ana', password, "Ana's new laptop");
}

export async function resetIdentity(client: ChasquiClient, password: string): Promise<void> {
  await client.login('ana', password, "Ana's new laptop");
  await client.resetIdentity({ password });
}

export async function bind(): Promise<ChasquiClient> {
  const client = await ChasquiClient.open({ node: 'https://relay.example.org', deviceBinding: 'browser' });
  return client;
}

export function log(): void {
  ChasquiClient.log('info', (record) => console.info(record.level, record.text));
}
