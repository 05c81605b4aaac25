import type { ChasquiError } from 'chasqui';

/** An element with attributes and children; text is text, never markup. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, string> = {},
  ...children: (Node | string | null)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** An error in words for people. */
export function said(error: ChasquiError): string {
  switch (error.code) {
    case 'offline':
      return 'The node cannot be reached. Are you online?';
    case 'unauthorised':
      return 'Name or password is wrong.';
    case 'name_taken':
      return 'That name is taken.';
    case 'not_found':
      return 'Nobody goes by that name.';
    case 'rate_limited':
      return 'Too many tries. Wait a moment.';
    case 'storage_full':
      return 'This device is full. Make some room.';
    case 'too_large':
      return 'That is too long for one message.';
    case 'not_linked':
      return 'Link this device first: it takes no part in encrypted conversations yet.';
    case 'linking_failed':
      return 'Nothing was linked: it was cancelled, or interrupted.';
    default:
      return error.message;
  }
}

/** The hour today, the day before that. */
export function shortTime(time: number): string {
  const date = new Date(time);
  const isToday = date.toDateString() === new Date().toDateString();
  return isToday
    ? date.toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' })
    : date.toLocaleDateString(undefined, { day: 'numeric', month: 'short' });
}

/** A colour of their own for everybody, the same on every device. */
export function hue(text: string): string {
  let sum = 0;
  for (const letter of text) sum = (sum * 31 + letter.codePointAt(0)!) % 360;
  return String(sum);
}
