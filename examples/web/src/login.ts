import { ChasquiError, type Account, type ChasquiClient } from 'chasqui';
import { element, said } from './dom';

/** Shows the form until somebody is logged in, here or in another tab. */
export function login(app: HTMLElement, client: ChasquiClient): Promise<Account> {
  return new Promise((resolve) => {
    const name = element('input', { name: 'name', placeholder: 'Name', autocomplete: 'username', required: '', maxlength: '64' });
    const password = element('input', {
      name: 'password', type: 'password', placeholder: 'Password', autocomplete: 'current-password', required: '', minlength: '8',
    });
    const trouble = element('p', { class: 'error', role: 'alert' });
    const enter = element('button', { class: 'primary', value: 'login' }, 'Log in');
    const join = element('button', { value: 'register' }, 'Create an account');
    const form = element('form', {}, name, password, trouble, enter, join);
    const card = element(
      'main',
      { class: 'card' },
      element('div', { class: 'mark', 'aria-hidden': 'true' }),
      element('h1', {}, 'Chasqui'),
      element('p', { class: 'quiet' }, 'Messages that arrive, and stay with you.'),
      form,
    );
    const done = new AbortController();
    const end = (account: Account) => {
      done.abort();
      resolve(account);
    };
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      const isNew = (event.submitter as HTMLButtonElement | null)?.value === 'register';
      trouble.textContent = '';
      form.inert = true;
      try {
        const device = navigator.platform || 'browser';
        end(await (isNew ? client.register(name.value, password.value, device) : client.login(name.value, password.value, device)));
      } catch (error) {
        trouble.textContent = error instanceof ChasquiError ? said(error) : String(error);
      } finally {
        form.inert = false;
      }
    });
    app.replaceChildren(card);
    name.focus();
    void (async () => {
      for await (const _ of client.observeConnection({ signal: done.signal })) {
        const account = await client.account();
        if (account) end(account);
      }
    })();
  });
}
