import type { Message, MessageId, TimelineItem } from 'chasqui';
import { element, shortTime } from './dom';

const STATES: Record<Message['state']['kind'], readonly [sign: string, words: string]> = {
  pending: ['◷', 'on its way'],
  sent: ['✓', 'sent'],
  received: ['✓✓', 'received'],
  read: ['✓✓', 'read'],
  undelivered: ['!', 'not delivered'],
  failed: ['!', 'failed: tap to try again'],
};

/** The lines of a timeline, with the days in between. */
export function bubbles(items: readonly TimelineItem[], retry: (message: MessageId) => void): HTMLElement[] {
  const made: HTMLElement[] = [];
  let day = '';
  let last: Message | undefined;
  for (const item of items) {
    if (item.kind !== 'message') {
      made.push(element('p', { class: 'day' }, 'Messages are missing here'));
      last = undefined;
      continue;
    }
    const { message } = item;
    const date = new Date(message.acceptedAt ?? message.createdAt).toLocaleDateString(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
    if (date !== day) made.push(element('p', { class: 'day' }, date));
    const follows = date === day && last?.isOwn === message.isOwn;
    day = date;
    last = message;
    made.push(bubble(message, follows, retry));
  }
  return made;
}

function bubble(message: Message, follows: boolean, retry: (message: MessageId) => void): HTMLElement {
  const text = message.content.kind === 'text' ? message.content.text : 'This message cannot be shown yet.';
  const [sign, words] = STATES[message.state.kind];
  const state = message.isOwn ? element('span', { class: `state ${message.state.kind}`, title: words, 'aria-label': words }, sign) : null;
  const foot = element('span', { class: 'foot' }, shortTime(message.acceptedAt ?? message.createdAt), state);
  const classes = ['bubble', message.isOwn ? 'own' : 'other', follows ? 'follows' : ''].join(' ');
  const made = element('div', { class: classes, 'data-state': message.state.kind }, element('span', { class: 'text' }, text), foot);
  if (message.state.kind === 'failed') made.addEventListener('click', () => retry(message.id));
  return made;
}
