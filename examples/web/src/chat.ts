import {
  ChasquiError, type Account, type ChasquiClient, type ConnectionState, type ConversationId, type ConversationSummary, type TimelineItem,
} from 'chasqui';
import { element, hue, said, shortTime } from './dom';
import { linking } from './linking';
import { bubbles } from './timeline';

/** Lines that a timeline begins with, and that are added when people scroll up. */
const PAGE = 60;

/** Shows the conversations and the chosen one until the account is logged out. */
export async function chat(app: HTMLElement, client: ChasquiClient, account: Account): Promise<void> {
  const over = new AbortController();
  const { signal } = over;
  let chosen: ConversationId | undefined;
  let closeTimeline = () => {};

  const banner = element('div', { class: 'banner', role: 'status', hidden: '' });
  const memory = element('div', { class: 'banner warn', hidden: '' }, 'This browser keeps nothing: the history is gone when the last tab is closed.');
  const list = element('nav', { class: 'list', 'aria-label': 'Conversations' });
  const find = element('input', { name: 'find', placeholder: 'Write to…', 'aria-label': 'Write to somebody by name', autocomplete: 'off', enterkeyhint: 'go' });
  const trouble = element('p', { class: 'error', role: 'alert' });
  const seek = element('form', { class: 'find' }, find, trouble);
  const logout = element('button', { class: 'plain', title: 'Log out' }, 'Log out');
  const me = element('header', { class: 'me' }, avatar(account.name), element('strong', {}, account.name), logout);
  const side = element('aside', {}, me, seek, list, linking(client, account));
  const main = element('main', { class: 'conversation' }, nobody());
  const frame = element('div', { class: 'frame' }, side, main);
  app.replaceChildren(banner, memory, frame);

  const stored = () => (memory.hidden = client.storage.kind !== 'memory');
  client.addEventListener('storage', stored, { signal });
  stored();

  const open = (line: { id: ConversationId; peerName: string | null }) => {
    if (chosen === line.id) return;
    chosen = line.id;
    closeTimeline();
    frame.classList.add('is-open');
    closeTimeline = timeline(main, client, line.id, line.peerName ?? '…', () => {
      chosen = undefined;
      closeTimeline();
      closeTimeline = () => {};
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
      open({ id: await client.openDirect(user.user), peerName: user.name });
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
  closeTimeline();
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

/** Shows one conversation; returns how to stop. */
function timeline(main: HTMLElement, client: ChasquiClient, id: ConversationId, name: string, back: () => void): () => void {
  const over = new AbortController();
  const lines = element('div', { class: 'lines', 'aria-live': 'polite' });
  const text = element('textarea', { name: 'text', rows: '1', placeholder: 'Message', 'aria-label': 'Message', enterkeyhint: 'send' });
  const send = element('button', { class: 'primary send', title: 'Send', 'aria-label': 'Send' }, '➤');
  const composer = element('form', { class: 'composer' }, text, send);
  const leave = element('button', { class: 'plain back', 'aria-label': 'Back' }, '‹');
  const trouble = element('p', { class: 'error', role: 'alert' });
  leave.addEventListener('click', back);
  main.replaceChildren(element('header', { class: 'with' }, leave, avatar(name), element('strong', {}, name)), lines, trouble, composer);
  if (matchMedia('(hover: hover)').matches) text.focus();

  let limit = PAGE;
  const watch = client.observeTimeline(id, limit, { signal: over.signal });
  const show = (items: readonly TimelineItem[]) => {
    const isAtEnd = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 40;
    const fromEnd = lines.scrollHeight - lines.scrollTop;
    lines.replaceChildren(...bubbles(items, (message) => void client.retry(message)));
    lines.scrollTop = isAtEnd ? lines.scrollHeight : lines.scrollHeight - fromEnd;
    read();
  };
  const read = () => {
    if (document.visibilityState === 'visible') client.markRead(id).catch(() => {});
  };
  void (async () => {
    for await (const items of watch.lists()) show(items);
  })();
  document.addEventListener('visibilitychange', read, { signal: over.signal });
  lines.addEventListener('scroll', () => {
    if (lines.scrollTop < 80 && lines.querySelectorAll('.bubble').length >= limit) watch.setLimit((limit += PAGE));
  });

  const grow = () => {
    text.style.height = 'auto';
    text.style.height = `${Math.min(text.scrollHeight, 160)}px`;
  };
  text.addEventListener('input', grow);
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
  return () => over.abort();
}
