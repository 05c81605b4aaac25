import { ChasquiError, type Account, type ChasquiClient } from 'chasqui';
import { element, said } from './dom';

/** How this device is linked, as long as it is not, or links another one of the same person. */
export function linking(client: ChasquiClient, account: Account): HTMLElement {
  const body = element('div', { class: 'steps' });
  const box = account.isLinked
    ? element('details', { class: 'linking' }, element('summary', {}, 'Link a device'), body)
    : element('section', { class: 'linking is-needed' }, element('strong', {}, 'This device is not linked'), body);

  const show = (...children: Node[]) => body.replaceChildren(...children);
  const button = (text: string, kind: string, work: () => void) => {
    const made = element('button', { class: kind, type: 'button' }, text);
    made.addEventListener('click', work);
    return made;
  };
  const words = (text: string, kind = 'quiet') => element('p', { class: kind, role: kind === 'error' ? 'alert' : 'status' }, text);

  const compare = (number: string) => {
    const answers = element('div', { class: 'answers' });
    const same = button('It is the same', 'primary', () => void (async () => {
      answers.inert = true;
      try {
        await client.confirmLinking();
        if (account.isLinked) show(words('The other device is linked.'));
        else box.remove();
      } catch (error) {
        begin(reason(error));
      }
    })());
    answers.append(same, button('It is not', '', () => void client.cancelLinking().then(() => begin('Nothing was linked.'), (error) => begin(reason(error)))));
    show(words('Do both devices show this number?'), element('output', {}, `${number.slice(0, 3)} ${number.slice(3)}`), answers);
  };

  /** This device shows a code, which another one reads. */
  const ask = async () => {
    try {
      const code = await client.beginLinking();
      const copy = button('Copy', 'plain', () => void navigator.clipboard?.writeText(code).then(() => (copy.textContent = 'Copied')));
      show(words('Choose “Link a device” on one that is, and enter there:'), element('code', {}, code), copy);
      compare(await client.linkingNumber());
    } catch (error) {
      // Maybe another tab did it.
      if ((await client.account())?.isLinked) box.remove();
      else begin(reason(error));
    }
  };

  /** This device reads the code that another one shows. */
  const enter = () => {
    const code = element('input', { name: 'code', placeholder: 'Code of the other device', 'aria-label': 'Code of the other device', autocomplete: 'off', required: '' });
    const form = element('form', {}, code, element('button', { class: 'primary' }, 'Link'));
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      const entered = code.value;
      show(words('Waiting for the other device…'), button('Cancel', 'plain', () => void client.cancelLinking()));
      try {
        compare(await client.linkDevice(entered));
      } catch (error) {
        begin(reason(error));
      }
    });
    return form;
  };

  const begin = (trouble = '') => {
    const parts: Node[] = trouble === '' ? [] : [words(trouble, 'error')];
    if (account.isLinked) show(enter(), ...parts);
    else show(words('It takes no part in encrypted conversations yet.'), button('Show a code', 'primary', () => void ask()), ...parts);
  };
  begin();
  return box;
}

function reason(error: unknown): string {
  if (!(error instanceof ChasquiError)) return String(error);
  return error.code === 'invalid' ? 'That is not the code of another device of yours.' : said(error);
}
