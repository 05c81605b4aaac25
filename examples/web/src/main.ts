// A small chat: one page, no framework. `login.ts` and `chat.ts` show; everything that is shown comes from the client's observers.

import './style.css';
import { ChasquiClient, ChasquiError } from 'chasqui';
import { chat } from './chat';
import { element, said } from './dom';
import { login } from './login';

/** `?node=` for trying others out; `cargo xtask web` and the build say where the node is. */
const query = new URLSearchParams(location.search);
const node = query.get('node') ?? import.meta.env.VITE_NODE ?? 'http://127.0.0.1:7400';
const name = query.get('account') ?? 'default';

const app = document.querySelector<HTMLElement>('#app')!;

try {
  // Without https nothing is kept, and there is no key to seal it by.
  const binding = isSecureContext ? ({ deviceBinding: 'browser' } as const) : {};
  const client = await ChasquiClient.open({ node, name, ...binding });
  addEventListener('online', () => void client.networkUp());
  for (;;) {
    const account = (await client.account()) ?? (await login(app, client));
    await chat(app, client, account);
  }
} catch (error) {
  const text = error instanceof ChasquiError ? said(error) : String(error);
  app.replaceChildren(element('main', { class: 'card trouble' }, element('h1', {}, 'Chasqui cannot start'), element('p', {}, text)));
}
