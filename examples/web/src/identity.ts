import { ChasquiError, type ChasquiClient, type ConversationId, type UserId } from 'chasqui';
import { element, said } from './dom';

const SIGNS = { unverified: 'Safety number', verified: '✓ Verified', changed: '! Changed' };

/**
 * Whether the other one of a conversation is who it seems: a mark for the header, and below it the number that both compare. When
 * somebody who was verified has another identity, it asks what to make of that.
 */
export function identity(client: ChasquiClient, id: ConversationId, peer: UserId) {
  const mark = element('button', { class: 'plain trust', type: 'button', 'aria-expanded': 'false' }, SIGNS.unverified);
  const panel = element('section', { class: 'identity', 'aria-label': 'Safety number', hidden: '' });
  let isOpen = false;
  /** What the panel shows, and how often that was looked up. */
  let shown = '';
  let turn = 0;

  const button = (text: string, kind: string, work: () => Promise<void> | void) => {
    const made = element('button', { class: kind, type: 'button' }, text);
    made.addEventListener('click', () => void (async () => {
      try {
        await work();
        await refresh();
      } catch (error) {
        shown = '';
        panel.replaceChildren(words(reason(error), 'error'));
      }
    })());
    return made;
  };
  const open = (wanted: boolean) => {
    isOpen = wanted;
    mark.setAttribute('aria-expanded', String(wanted));
  };
  const settle = (isVerified: boolean) => async () => {
    await client.setVerified(peer, isVerified);
    open(false);
  };
  mark.addEventListener('click', () => {
    open(!isOpen);
    void refresh();
  });

  const refresh = async () => {
    const own = ++turn;
    const line = await client.conversation(id);
    const [trust, name] = [line?.peerTrust ?? 'unverified', line?.peerName ?? 'the other one'];
    const [number, trouble] = isOpen ? await lookedUp() : ['', ''];
    const news = [trust, name, isOpen, number, trouble].join();
    // Not while somebody is about to press what would be replaced.
    if (own !== turn || news === shown) return;
    shown = news;
    const isChanged = trust === 'changed';
    mark.textContent = SIGNS[trust];
    mark.dataset.trust = trust;
    const parts: Node[] = [];
    if (isChanged) {
      parts.push(words(`There is a new identity behind ${name}: a new phone maybe, or somebody in between. Nothing you write is sent until you say so.`));
    }
    if (trouble !== '') parts.push(words(trouble, 'error'));
    if (number !== '') parts.push(words(`If ${name} sees the same number, nobody stands between you.`, 'quiet'), digits(number));
    const answers = element('div', { class: 'answers' });
    if (number !== '' && trust !== 'verified') answers.append(button('It is the same', 'primary', settle(true)));
    if (isOpen && trust === 'verified') answers.append(button('Take it back', '', settle(false)));
    if (isChanged && !isOpen) answers.append(button('Compare', 'primary', () => open(true)));
    if (isChanged) answers.append(button('Go on without', '', settle(false)));
    if (isOpen || isChanged) parts.push(answers);
    panel.hidden = parts.length === 0;
    panel.classList.toggle('is-changed', isChanged);
    panel.replaceChildren(...parts);
  };
  const lookedUp = async (): Promise<[number: string, trouble: string]> => {
    try {
      return [(await client.safetyNumber(peer)).digits, ''];
    } catch (error) {
      return ['', reason(error)];
    }
  };
  void refresh();
  return { mark, panel, refresh };
}

function digits(number: string): HTMLElement {
  return element('output', { class: 'digits' }, ...number.split(' ').map((group) => element('span', {}, group)));
}

function words(text: string, kind = ''): HTMLElement {
  return element('p', { class: kind, role: kind === 'error' ? 'alert' : 'status' }, text);
}

function reason(error: unknown): string {
  if (!(error instanceof ChasquiError)) return String(error);
  return error.code === 'not_found' ? 'Nothing is known of this identity yet.' : said(error);
}
