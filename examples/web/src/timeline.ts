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

/** Something beside the messages that people are told in its place. */
export interface Notice {
  readonly at: number;
  readonly text: string;
}

/** The lines of a timeline, with the days in between, and what is to be told that is not older than the first. */
export function bubbles(items: readonly TimelineItem[], notices: readonly Notice[], retry: (message: MessageId) => void): HTMLElement[] {
  const made: HTMLElement[] = [];
  const first = items.find((item) => item.kind === 'message')?.message;
  const untold = notices.filter((notice) => first && notice.at >= timeOf(first));
  const tell = (until: number) => {
    while (untold[0] && untold[0].at < until) made.push(element('p', { class: 'day notice' }, untold.shift()!.text));
  };
  let day = '';
  let last: Message | undefined;
  for (const item of items) {
    if (item.kind !== 'message') {
      made.push(element('p', { class: 'day' }, 'Messages are missing here'));
      last = undefined;
      continue;
    }
    const { message } = item;
    const told = made.length;
    tell(timeOf(message));
    const date = new Date(timeOf(message)).toLocaleDateString(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
    if (date !== day) made.push(element('p', { class: 'day' }, date));
    const follows = date === day && made.length === told && last?.isOwn === message.isOwn;
    day = date;
    last = message;
    made.push(bubble(message, follows, retry));
  }
  tell(Infinity);
  return made;
}

function timeOf(message: Message): number {
  return message.acceptedAt ?? message.createdAt;
}

function bubble(message: Message, follows: boolean, retry: (message: MessageId) => void): HTMLElement {
  const text = message.content.kind === 'text' ? message.content.text : 'This message cannot be shown yet.';
  const [sign, words] = STATES[message.state.kind];
  const state = message.isOwn ? element('span', { class: `state ${message.state.kind}`, title: words, 'aria-label': words }, sign) : null;
  const foot = element('span', { class: 'foot' }, shortTime(timeOf(message)), state);
  const classes = ['bubble', message.isOwn ? 'own' : 'other', follows ? 'follows' : ''].join(' ');
  const made = element('div', { class: classes, 'data-state': message.state.kind }, element('span', { class: 'text' }, text), foot);
  if (message.state.kind === 'failed') made.addEventListener('click', () => retry(message.id));
  return made;
}
