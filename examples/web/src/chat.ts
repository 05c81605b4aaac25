import {
  ChasquiError, type Account, type ChasquiClient, type ConnectionState, type ConversationId, type ConversationSummary, type TimelineItem,
  type UserId,
} from 'chasqui';
import { element, hue, said, shortTime } from './dom';
import { identity } from './identity';
import { linking } from './linking';
import { bubbles, type Notice } from './timeline';

/** Lines that a timeline begins with, and that are added when people scroll up. */
const PAGE = 60;

/** What is known of a conversation before it is shown. */
interface Chosen {
  readonly id: ConversationId;
  readonly name: string;
  /** The other one, if both have an identity that they can compare. */
  readonly peer: UserId | null;
}

/** The conversation that is shown. */
interface Shown {
  /** Its line in the list may have changed. */
  refresh(line: ConversationSummary): void;
  close(): void;
}

/** Shows the conversations and the chosen one until the account is logged out. */
export async function chat(app: HTMLElement, client: ChasquiClient, account: Account): Promise<void> {
  const over = new AbortController();
  const { signal } = over;
  let chosen: ConversationId | undefined;
  let shown: Shown | undefined;

  const banner = element('div', { class: 'banner', role: 'status', hidden: '' });
  const memory = element('div', { class: 'banner warn', hidden: '' }, 'This browser keeps nothing: the history is gone when the last tab is closed.');
  const list = element('nav', { class: 'list', 'aria-label': 'Conversations' });
  const find = element('input', { name: 'find', placeholder: 'Write to…', 'aria-label': 'Write to somebody by name', autocomplete: 'off', enterkeyhint: 'go' });
  const trouble = element('p', { class: 'error', role: 'alert' });
  const seek = element('form', { class: 'find' }, find, trouble);
  const logout = element('button', { class: 'plain', title: 'Log out' }, 'Log out');
  const me = element('header', { class: 'me' }, avatar(account.name), element('strong', {}, account.name), logout);
  const side = element('aside', {}, me, seek, list, history(client, signal), linking(client, account));
  const main = element('main', { class: 'conversation' }, nobody());
  const frame = element('div', { class: 'frame' }, side, main);
  app.replaceChildren(banner, memory, frame);

  const stored = () => (memory.hidden = client.storage.kind !== 'memory');
  client.addEventListener('storage', stored, { signal });
  stored();

  const open = (line: Pick<ConversationSummary, 'id' | 'peer' | 'peerName' | 'protection'>) => {
    if (chosen === line.id) return;
    chosen = line.id;
    shown?.close();
    frame.classList.add('is-open');
    const isCompared = line.protection === 'endToEnd' && line.peer !== account.user;
    shown = timeline(main, client, { id: line.id, name: line.peerName ?? '…', peer: isCompared ? line.peer : null }, () => {
      chosen = undefined;
      shown?.close();
      shown = undefined;
      frame.classList.remove('is-open');
      main.replaceChildren(nobody());
      mark();
    });
    mark();
  };
  const mark = () => {
    for (const row of list.children) row.classList.toggle('is-chosen', row.getAttribute('data-id') === chosen);
  };

  seek.addEventListener('submit', async (event) => {
    event.preventDefault();
    trouble.textContent = '';
    const name = find.value.trim();
    if (!name) return;
    try {
      const user = await client.findUser(name);
      open({ id: await client.openDirect(user.user), peer: user.user, peerName: user.name, protection: 'endToEnd' });
      find.value = '';
    } catch (error) {
      trouble.textContent = error instanceof ChasquiError ? said(error) : String(error);
    }
  });
  logout.addEventListener('click', async () => {
    try {
      await client.logout();
    } catch (error) {
      trouble.textContent = error instanceof ChasquiError ? said(error) : String(error);
    }
  });

  void (async () => {
    for await (const lines of client.observeConversations(200, { signal }).lists()) {
      list.replaceChildren(...lines.map((line) => row(line, open)));
      mark();
      const line = lines.find((line) => line.id === chosen);
      if (line) shown?.refresh(line);
      const unread = lines.reduce((sum, line) => sum + line.unread, 0);
      document.title = unread > 0 ? `(${unread}) Chasqui` : 'Chasqui';
    }
  })();
  for await (const state of client.observeConnection({ signal })) {
    const words = connectionWords(state);
    banner.hidden = words === '';
    banner.textContent = words;
    if (state.kind === 'blocked' && state.reason !== 'storageFull' && state.reason !== 'suspended') break;
  }
  over.abort();
  shown?.close();
  document.title = 'Chasqui';
}

function connectionWords(state: ConnectionState): string {
  switch (state.kind) {
    case 'online':
    case 'catchingUp':
      return '';
    case 'connecting':
      return 'Connecting…';
    case 'offline':
      return 'Offline. What you write goes out when the connection is back.';
    case 'blocked':
      return state.reason === 'storageFull' ? 'This device is full: new messages wait until there is room.' : 'Logged out.';
  }
}

/** Says how far the history has come that a linked device gets from another one; nothing where none is on its way. */
function history(client: ChasquiClient, signal: AbortSignal): HTMLElement {
  const words = element('span', {});
  const bar = element('progress', { max: '1000', 'aria-label': 'History' });
  const line = element('div', { class: 'history', role: 'status', hidden: '' }, words, bar);
  void (async () => {
    for await (const transfer of client.observeHistoryTransfer({ signal })) {
      line.hidden = transfer === null;
      words.textContent = `Getting earlier messages… ${transfer?.messages || ''}`;
      bar.value = transfer?.perMille ?? 0;
    }
  })();
  return line;
}

function avatar(name: string): HTMLElement {
  return element('span', { class: 'avatar', style: `--hue: ${hue(name)}`, 'aria-hidden': 'true' }, [...name][0]?.toUpperCase() ?? '?');
}

function row(line: ConversationSummary, open: (line: ConversationSummary) => void): HTMLElement {
  const name = line.peerName ?? '…';
  const last = line.lastMessage;
  const text = last?.content.kind === 'text' ? last.content.text : '';
  const button = element(
    'button',
    { class: 'row', 'data-id': line.id },
    avatar(name),
    element('span', { class: 'name' }, name),
    element('time', {}, last ? shortTime(last.acceptedAt ?? last.createdAt) : ''),
    element('span', { class: 'last' }, last?.isOwn ? `You: ${text}` : text),
    line.unread > 0 ? element('span', { class: 'unread', 'aria-label': `${line.unread} unread` }, String(line.unread)) : null,
  );
  button.addEventListener('click', () => open(line));
  return button;
}

function nobody(): HTMLElement {
  return element('div', { class: 'nobody' }, element('div', { class: 'mark', 'aria-hidden': 'true' }), element('p', {}, 'Choose a conversation, or write to somebody by name.'));
}

/** Shows one conversation. */
function timeline(main: HTMLElement, client: ChasquiClient, { id, name, peer }: Chosen, back: () => void): Shown {
  const over = new AbortController();
  const lines = element('div', { class: 'lines', 'aria-live': 'polite' });
  const text = element('textarea', { name: 'text', rows: '1', placeholder: 'Message', 'aria-label': 'Message', enterkeyhint: 'send' });
  const send = element('button', { class: 'primary send', title: 'Send', 'aria-label': 'Send' }, '➤');
  const composer = element('form', { class: 'composer' }, text, send);
  const leave = element('button', { class: 'plain back', 'aria-label': 'Back' }, '‹');
  const trouble = element('p', { class: 'error', role: 'alert' });
  const typing = element('p', { class: 'typing', role: 'status' });
  leave.addEventListener('click', back);
  const trust = peer === null ? null : identity(client, id, peer);
  const title = element('strong', {}, name);
  let face = avatar(name);
  const header = element('header', { class: 'with' }, leave, face, title, trust?.mark ?? null);
  main.replaceChildren(header, ...(trust ? [trust.panel] : []), lines, typing, trouble, composer);
  if (matchMedia('(hover: hover)').matches) text.focus();

  let limit = PAGE;
  const watch = client.observeTimeline(id, limit, { signal: over.signal });
  let items: readonly TimelineItem[] = [];
  const notices: Notice[] = [];
  const show = () => {
    const isAtEnd = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 40;
    const fromEnd = lines.scrollHeight - lines.scrollTop;
    lines.replaceChildren(...bubbles(items, notices, (message) => void client.retry(message)));
    lines.scrollTop = isAtEnd ? lines.scrollHeight : lines.scrollHeight - fromEnd;
    read();
  };
  const read = () => {
    if (document.visibilityState === 'visible') client.markRead(id).catch(() => {});
  };
  void (async () => {
    for await (items of watch.lists()) show();
  })();
  void (async () => {
    for await (const list of client.observeTyping({ signal: over.signal })) {
      const isTyping = list.some(({ conversation }) => conversation === id);
      typing.textContent = isTyping ? `${title.textContent} is typing…` : '';
    }
  })();
  if (trust) void (async () => {
    for await (const event of client.observeSecurityEvents(0, { signal: over.signal })) {
      if (event.kind !== 'identityChanged' || event.user !== peer) continue;
      notices.push({ at: event.at, text: 'The safety number changed' });
      show();
      void trust.refresh();
    }
  })();
  document.addEventListener('visibilitychange', read, { signal: over.signal });
  lines.addEventListener('scroll', () => {
    if (lines.scrollTop < 80 && lines.querySelectorAll('.bubble').length >= limit) watch.setLimit((limit += PAGE));
  });

  const grow = () => {
    text.style.height = 'auto';
    text.style.height = `${Math.min(text.scrollHeight, 160)}px`;
  };
  text.addEventListener('input', () => {
    grow();
    // Nothing is lost when it cannot be told.
    client.setTyping(id, text.value.trim() !== '').catch(() => {});
  });
  text.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    composer.requestSubmit();
  });
  composer.addEventListener('submit', async (event) => {
    event.preventDefault();
    const written = text.value.trim();
    if (!written) return;
    trouble.textContent = '';
    text.value = '';
    grow();
    try {
      await client.sendText(id, written);
    } catch (error) {
      text.value = written;
      grow();
      trouble.textContent = error instanceof ChasquiError ? said(error) : String(error);
    }
  });
  const refresh = ({ peerName }: ConversationSummary) => {
    if (peerName !== null && peerName !== title.textContent) {
      title.textContent = peerName;
      face.replaceWith((face = avatar(peerName)));
    }
    void trust?.refresh();
  };
  return { refresh, close: () => over.abort() };
}
