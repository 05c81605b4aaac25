// What one client does, in one tab: the tests that every language has. The tasks of docs/bindings.md stand here.

import assert from 'node:assert/strict';
import { node, pair, fresh, link, Person } from './people.js';
import { test, until } from './stage.js';

test('open and register', async () => {
  const name = fresh('ana');
  const ana = await Person.start(name);
  const found = await ana.page.evaluate(async (name) => {
    const before = await client.account();
    const account = await client.register(name, 'correct horse', 'browser');
    return { before, account, after: await client.account(), storage: client.storage };
  }, name);
  assert.equal(found.before, null);
  assert.equal(found.account.name, name);
  assert.deepEqual(found.account, found.after);
  assert.equal(found.storage.kind, 'opfs');
  await ana.browser.close();
});

test('find and open a direct conversation, send, receive, receipts', async () => {
  const { ana, bo, chat, close } = await pair();
  const message = await ana.page.evaluate((chat) => client.sendText(chat, 'Good morning, Bo! ¡Buen día! 早上好'), chat);
  await until('it arrived', () => bo.page.evaluate(async (chat) => (await texts(chat)).length === 1, chat));
  assert.deepEqual(await bo.page.evaluate((chat) => texts(chat), chat), ['Good morning, Bo! ¡Buen día! 早上好']);
  const state = () => ana.page.evaluate(async (id) => (await client.message(id)).state.kind, message);
  await until('received', async () => (await state()) === 'received');
  assert.equal(await bo.page.evaluate(() => client.totalUnread()), 1);
  assert.equal(await bo.page.evaluate((chat) => client.markRead(chat), chat), undefined, 'nothing is answered');
  await until('read', async () => (await state()) === 'read');
  assert.equal(await bo.page.evaluate(() => client.totalUnread()), 0);
  const [delivery] = await ana.page.evaluate(async (id) => (await client.message(id)).deliveries, message);
  assert.ok(delivery.receivedAt > 1.7e12 && delivery.readAt > 1.7e12, 'times are milliseconds');
  await close();
});

test('observe a timeline: a reset, then differences; lists apply them', async () => {
  const { ana, bo, chat, close } = await pair();
  await ana.page.evaluate(async (chat) => {
    await client.sendText(chat, 'one');
    window.updates = [];
    window.list = [];
    (async () => {
      for await (const update of client.observeTimeline(chat, 10)) updates.push(update);
    })();
    (async () => {
      for await (const lines of client.observeTimeline(chat, 10).lists()) list = lines;
    })();
  }, chat);
  const shown = () => ana.page.evaluate(() => list.map((item) => `${item.message.content.text} ${item.message.state.kind}`));
  await until('one is received', async () => (await shown()).join() === 'one received');
  await bo.page.evaluate((chat) => client.sendText(chat, 'two'), chat);
  await until('two arrives', async () => (await shown()).join() === 'one received,two received');
  const keys = await ana.page.evaluate(() => [list.map(chasqui.timelineKey), list.map((item) => item.message.id)]);
  assert.deepEqual(keys[0], keys[1]);
  const other = await ana.page.evaluate(() => ['gap', 'hole'].map((kind) => chasqui.timelineKey({ kind, seq: 7, first: 7 })));
  assert.deepEqual(other, ['gap 7', 'hole 7']);
  const kinds = await ana.page.evaluate(() => updates.map((update) => update.kind));
  assert.equal(kinds[0], 'reset');
  assert.ok(kinds.length > 1 && kinds.slice(1).every((kind) => kind === 'changes'), kinds.join());
  await close();
});

test('observe conversations and the connection; a window can grow', async () => {
  const { ana, bo, chat, close } = await pair();
  await bo.page.evaluate(async (chat) => {
    window.states = [];
    window.lines = [];
    window.watched = client.observeTimeline(chat, 2);
    window.window2 = [];
    (async () => {
      for await (const state of client.observeConnection()) states.push(state.kind);
    })();
    (async () => {
      for await (const list of client.observeConversations(5).lists()) lines = list;
    })();
    (async () => {
      for await (const list of watched.lists()) window2 = list;
    })();
  }, chat);
  for (const text of ['1', '2', '3', '4']) {
    await ana.page.evaluate(([chat, text]) => client.sendText(chat, text), [chat, text]);
  }
  await until('four unread', () => bo.page.evaluate(() => lines[0]?.unread === 4 && lines[0].lastMessage.content.text === '4'));
  await until('online', () => bo.page.evaluate(() => states.at(-1) === 'online'));
  await until('two lines', () => bo.page.evaluate(() => window2.map((item) => item.message.content.text).join() === '3,4'));
  await bo.page.evaluate(() => watched.setLimit(10));
  await until('all lines', () => bo.page.evaluate(() => window2.map((item) => item.message.content.text).join() === '1,2,3,4'));
  await close();
});

test('typing shows, and ends by a word, by a message and with the client', async () => {
  const { ana, bo, chat, close } = await pair();
  const says = (person, text) => person.page.evaluate(([chat, text]) => client.sendText(chat, text), [chat, text]);
  await says(ana, 'hello');
  await all([ana, bo], chat, ['hello']);
  await says(bo, 'hello yourself');
  await all([ana, bo], chat, ['hello', 'hello yourself']);
  const anas = [{ conversation: chat, user: await ana.page.evaluate(() => account.user) }];
  // Bo looks in another tab than the one that has the core.
  const second = await bo.open();
  await second.evaluate(() => {
    window.lists = [];
    window.over = (async () => {
      for await (const list of client.observeTyping()) lists.push(list);
    })();
  });
  const seen = () => second.evaluate(() => lists);
  await until('the list as it is', async () => (await seen()).length > 0);
  // As an app does, key by key: a signal may be lost, and is said again.
  const anaTypes = () =>
    until('Ana types', async () => {
      await ana.page.evaluate((chat) => client.setTyping(chat, true), chat);
      return (await seen()).at(-1)?.length === 1;
    });
  // By itself it would end six seconds after the last word.
  const ends = (what) => until(what, async () => (await seen()).at(-1).length === 0, 5_000);
  const now = (person) => person.page.evaluate(() => client.typing());
  await anaTypes();
  assert.deepEqual([await now(ana), await now(bo)], [[], anas], 'one does not see oneself');
  assert.equal(await ana.page.evaluate((chat) => client.setTyping(chat, false), chat), undefined, 'nothing is answered');
  await ends('she stops');
  assert.deepEqual(await now(bo), []);
  await anaTypes();
  await says(ana, 'what I typed');
  await ends('the message in its place');
  await all([bo], chat, ['hello', 'hello yourself', 'what I typed']);
  assert.deepEqual(await seen(), [[], anas, [], anas, []]);
  const codes = await second.evaluate(async (chat) => [
    await code(() => client.setTyping('09090909-0909-7909-8909-090909090909', true)), await code(() => client.setTyping('nowhere', true)),
    await code(() => client.setTyping(chat)),
  ], chat);
  assert.deepEqual(codes, ['not_found', 'invalid', 'invalid']);
  await second.evaluate(async () => {
    await client.close();
    await over;
  });
  await close();
});

test('search, pages and cursors, delete', async () => {
  const { ana, chat, close } = await pair();
  const found = await ana.page.evaluate(async (chat) => {
    for (let number = 0; number < 30; number++) await client.sendText(chat, `line ${number} of the 明天见 poem`);
    const hits = await client.search('poem 1', 50);
    const chinese = await client.search('明天', 3);
    const page = await client.timeline(chat, null, 10);
    const older = await client.timeline(chat, page.older, 10);
    const newer = await client.timelineAfter(chat, older.newer, 10);
    const around = await client.timelineAfter(chat, hits[0].cursor, 3);
    return {
      hits: hits.length, chinese: chinese.length, newest: page.items.at(-1).message.content.text,
      older: older.items[0].message.content.text, same: newer.items[0].message.id === page.items[0].message.id,
      around: around.items.length,
    };
  }, chat);
  assert.equal(found.hits, 11);
  assert.equal(found.chinese, 3);
  assert.equal(found.newest, 'line 29 of the 明天见 poem');
  assert.equal(found.older, 'line 10 of the 明天见 poem');
  assert.ok(found.same);
  await close();
});

// The browser's own tables of Unicode make what the core's make elsewhere: core/src/store/search.rs has the same.
test('search folds accents, width and case, and keeps syllables whole', async () => {
  const { ana, chat, close } = await pair();
  const found = await ana.page.evaluate(async (chat) => {
    const texts = ['Nos vemos en el CAFÉ mañana', 'Straße ＡＢＣ', '東京タワーで会いましょう', 'ｶﾞ', '내일 서울에서 만나요', 'พรุ่งนี้ไปกินข้าวกัน', 'e\u0301tude'];
    for (const text of texts) await client.sendText(chat, text);
    const queries = ['cafe manana', 'abc', 'タワー', 'ガ', '서울', '만', '만난', 'ข้าว', 'ดี', 'étude', 'afe'];
    const hits = queries.map(async (query) => (await client.search(query, 5)).map((hit) => texts.indexOf(hit.message.content.text)).join());
    return Promise.all(hits);
  }, chat);
  assert.deepEqual(found, ['0', '1', '2', '3', '4', '4', '', '5', '', '6', '']);
  await close();
});

test('what is written offline goes out later', async () => {
  const { ana, bo, chat, close } = await pair();
  await node.stop();
  try {
    await until('offline', () => ana.page.evaluate(async () => (await client.connection()).kind !== 'online'));
    const state = await ana.page.evaluate(async (chat) => {
      const id = await client.sendText(chat, 'written on a train');
      return (await client.message(id)).state.kind;
    }, chat);
    assert.equal(state, 'pending');
    assert.equal(await ana.page.evaluate(() => code(() => client.devices())), 'offline');
    assert.deepEqual(await ana.page.evaluate((chat) => texts(chat), chat), ['written on a train']);
  } finally {
    await node.again();
  }
  await ana.page.evaluate(() => client.networkUp());
  await bo.page.evaluate(() => client.networkUp());
  await until('it arrives', () => bo.page.evaluate(async (chat) => (await texts(chat)).join() === 'written on a train', chat));
  await close();
});

test('errors are typed', async () => {
  const { ana, bo, chat, close } = await pair();
  const codes = await ana.page.evaluate(
    async ([chat, name]) => ({
      unknown: await code(() => client.findUser('nobody-at-all')),
      empty: await code(() => client.sendText(chat, '')),
      elsewhere: await code(() => client.sendText('0197a3c1-7c00-7000-8000-000000000001', 'x')),
      twice: await code(() => client.register(name, 'correct horse', 'browser')),
      proof: await code(() => client.deleteAccount({ password: 'wrong' })),
      none: await code(() => client.deleteAccount('none')),
    }),
    [chat, bo.name],
  );
  assert.deepEqual(codes, {
    unknown: 'not_found', empty: 'invalid', elsewhere: 'not_found', twice: 'already_enrolled', proof: 'proof_needed', none: 'proof_needed',
  });
  const [error] = await ana.page.evaluate(async (chat) => {
    try {
      await client.sendText(chat, 'x'.repeat(70_000));
    } catch (error) {
      return [{ code: error.code, isRetryable: error.isRetryable, size: error.size, limit: error.limit, name: error.name, isError: error instanceof Error }];
    }
  }, chat);
  assert.deepEqual({ ...error, size: 0, limit: 0 }, { code: 'too_large', isRetryable: false, size: 0, limit: 0, name: 'ChasquiError', isError: true });
  assert.ok(error.size > 70_000 && error.limit < 70_000);
  await close();
});

test('wrong types from JavaScript are invalid, and nothing happens', async () => {
  const { ana, chat, close } = await pair();
  const codes = await ana.page.evaluate(async (chat) => {
    const wrong = [
      () => client.sendText(chat, 7), () => client.sendText(chat, undefined), () => client.sendText(chat, null),
      () => client.sendText(chat, {}), () => client.sendText(chat, new Date()), () => client.sendText(chat, 10n),
      () => client.sendText(chat, () => 'x'), () => client.sendText(chat, Symbol('x')), () => client.sendText(chat, new Uint8Array(3)),
      () => client.sendText(chat, 'half a \ud83d letter'), () => client.sendText('no id', 'x'), () => client.sendText(undefined, 'x'),
      () => client.conversations('many'), () => client.conversations(-1), () => client.conversations(1.5),
      () => client.conversations(NaN), () => client.conversations(2 ** 40), () => client.markRead(chat, NaN),
      () => client.markRead(chat, -1), () => client.timeline(chat, 'x', 10), () => client.search(['a'], 10), () => client.setPin(),
      () => client.deleteAccount('please'), () => client.openDirect({ user: 'x' }), () => client.observeTimeline('no id', 10).next(),
      () => client.observeConversations('x').next(), () => chasqui.ChasquiClient.open(), () => chasqui.ChasquiClient.open({ node: 7 }),
      () => chasqui.ChasquiClient.open({ node: 'ftp://x', name: 'a' }), () => chasqui.ChasquiClient.open({ node: 'http://x', name: '../b' }),
      () => chasqui.ChasquiClient.open({ node: 'http://x', name: 'c', deviceBinding: 'secret' }),
      () => chasqui.ChasquiClient.open({ node: 'http://x', name: 'c', deviceBinding: new Uint8Array(16) }),
      () => chasqui.ChasquiClient.open({ node: 'http://x', name: '../b', deviceBinding: 'browser' }),
    ];
    const codes = [];
    for (const call of wrong) codes.push(await code(call));
    return [codes, await texts(chat)];
  }, chat);
  assert.deepEqual(codes[0].map((code, index) => [index, code]).filter(([, code]) => code !== 'invalid'), []);
  assert.deepEqual(codes[1], []);
  await close();
});

test('leaving a loop, a signal and closing end an observer', async () => {
  const { ana, chat, close } = await pair();
  const ended = await ana.page.evaluate(async (chat) => {
    const results = [];
    for await (const update of client.observeTimeline(chat, 5)) {
      results.push(update.kind);
      break;
    }
    const control = new AbortController();
    const watch = client.observeTimeline(chat, 5, { signal: control.signal });
    await watch.next();
    const waiting = watch.next();
    control.abort();
    results.push((await waiting).done, (await watch.next()).done);
    const last = client.observeConnection();
    await last.next();
    const never = (async () => {
      for await (const _ of last);
      return 'over';
    })();
    await client.close();
    results.push(await never);
    return results;
  }, chat);
  assert.deepEqual(ended, ['reset', true, true, 'over']);
  await close();
});

test('close and reopen; calls after it are refused', async () => {
  const { ana, bo, chat, close } = await pair();
  const codes = await ana.page.evaluate(async (chat) => {
    await client.sendText(chat, 'kept');
    const waiting = code(() => client.devices());
    await client.close();
    await client.close();
    return [await code(() => client.account()), await code(() => client.sendText(chat, 'x')), await code(() => client.suspend()), await waiting];
  }, chat);
  assert.deepEqual(codes.slice(0, 3), ['closed', 'closed', 'closed']);
  assert.ok(['closed', 'no error'].includes(codes[3]), codes[3]);
  const again = await ana.open();
  assert.deepEqual(await again.evaluate((chat) => texts(chat), chat), ['kept']);
  await until('it arrived', () => bo.page.evaluate(async (chat) => (await texts(chat)).join() === 'kept', chat));
  await close();
});

test('two clients in one page', async () => {
  const [ana, bo] = [fresh('ana'), fresh('bo')];
  const one = await Person.start(ana);
  const found = await one.page.evaluate(
    async ([url, ana, bo]) => {
      const first = client;
      const second = await chasqui.ChasquiClient.open({ node: url, name: 'second' });
      await first.register(ana, 'correct horse', 'browser');
      await second.register(bo, 'correct horse', 'browser');
      const chat = await first.openDirect((await first.findUser(bo)).user);
      await first.sendText(chat, 'from the first');
      for await (const list of second.observeConversations(5).lists()) {
        if (list[0]?.lastMessage) return [list[0].lastMessage.content.text, list[0].id === chat, (await second.account()).name];
      }
    },
    [node.url, ana, bo],
  );
  assert.deepEqual(found, ['from the first', true, bo]);
  await one.browser.close();
});

test('suspend and resume', async () => {
  const { ana, bo, chat, close } = await pair();
  // By then Bo's device has published keys, without which nothing is encrypted for it, and sent.
  await ana.page.evaluate((chat) => client.sendText(chat, 'good morning'), chat);
  await until('it arrived', () => bo.page.evaluate(async (chat) => (await texts(chat)).length === 1, chat));
  const codes = await bo.page.evaluate(async () => {
    window.seen = [];
    (async () => {
      for await (const list of client.observeConversations(5).lists()) seen.push(list[0]?.unread);
    })();
    await client.suspend();
    await client.suspend();
    return [await code(() => client.account()), await code(() => client.conversations(5))];
  });
  assert.deepEqual(codes, ['suspended', 'suspended']);
  await ana.page.evaluate((chat) => client.sendText(chat, 'while you slept'), chat);
  const sent = () => ana.page.evaluate(async (chat) => (await client.timeline(chat, null, 1)).items[0].message.state.kind, chat);
  await until('sent', async () => (await sent()) === 'sent');
  await bo.page.evaluate(() => client.resume());
  await until('received', async () => (await sent()) === 'received');
  await until('observers go on', () => bo.page.evaluate(() => seen.at(-1) === 2));
  await close();
});

test('enrol with a token: a node that takes none says so', async () => {
  const ana = await Person.start(fresh('ana'));
  assert.equal(await ana.page.evaluate(() => code(() => client.enrolWithToken('a.b.c', 'browser'))), 'incompatible');
  assert.equal(await ana.page.evaluate(() => code(() => client.requestCode('+51987654321'))), 'incompatible');
  await ana.browser.close();
});

test('the log is heard in every tab that listens, and only what it listens to', async () => {
  const ana = await Person.registered(fresh('ana'));
  const second = await ana.open();
  const listen = (page, level) =>
    page.evaluate((level) => {
      window.heard = [];
      chasqui.ChasquiClient.log(level, (record) => {
        heard.push(record);
        throw new Error('a sink that throws harms nobody');
      });
    }, level);
  await listen(ana.page, 'debug');
  await listen(second, 'error');
  assert.equal(await ana.page.evaluate(() => code(() => chasqui.ChasquiClient.log('loud', () => {}))), 'invalid');
  // Both are heard of once the owner has answered them.
  await Promise.all([ana.page, second].map((page) => page.evaluate(() => client.account())));
  const ended = (page) => page.evaluate(() => heard.filter((record) => record.message === 'the socket ended').length);
  await node.stop();
  await until('the end of the socket is told', async () => (await ended(ana.page)) > 0);
  const [record] = await ana.page.evaluate(() => heard);
  assert.ok(record.target.startsWith('chasqui::') && record.text.startsWith(record.message), JSON.stringify(record));
  assert.equal(await second.evaluate(() => heard.length), 0, 'it is no error');
  await ana.page.evaluate(() => chasqui.ChasquiClient.stopLog());
  const before = await ended(ana.page);
  await listen(second, 'trace');
  await second.evaluate(() => client.account());
  await node.again();
  await second.evaluate(() => client.networkUp());
  const isOnline = (page) => page.evaluate(async () => (await client.connection()).kind === 'online');
  await until('connected', () => isOnline(second));
  await node.stop();
  await until('the other tab is told now', async () => (await ended(second)) > 0);
  assert.equal(await ended(ana.page), before, 'and who stopped is not');
  await node.again();
  await ana.browser.close();
});

/** Whether each of them shows these messages. */
const all = (people, chat, expected) =>
  until(expected.join(), async () => {
    const shown = await Promise.all(people.map((person) => person.page.evaluate((chat) => texts(chat), chat)));
    return shown.every((texts) => texts.join() === expected.join());
  });

test('link a device: it gets the history, and takes part from then on', async () => {
  const { ana, bo, chat, close } = await pair();
  await ana.page.evaluate((chat) => client.sendText(chat, 'before'), chat);
  await all([ana, bo], chat, ['before']);
  const laptop = await Person.loggedIn(ana.name);
  const isLinked = (person) => person.page.evaluate(async () => (await client.account()).isLinked);
  assert.deepEqual([await isLinked(ana), await isLinked(laptop)], [true, false]);
  assert.equal(await laptop.page.evaluate(() => client.historyTransfer()), null);
  await laptop.page.evaluate(() => {
    window.steps = [];
    (async () => {
      for await (const step of client.observeHistoryTransfer()) steps.push(step);
    })();
  });
  await link(ana, laptop);
  assert.equal(await isLinked(laptop), true);
  await bo.page.evaluate((chat) => client.sendText(chat, 'for both'), chat);
  await all([laptop], chat, ['before', 'for both']);
  await laptop.page.evaluate((chat) => client.sendText(chat, 'from the laptop'), chat);
  await all([ana, bo, laptop], chat, ['before', 'for both', 'from the laptop']);
  await until('all of it is there', () => laptop.page.evaluate(async () => (await client.historyTransfer()) === null));
  await until('which is told', () => laptop.page.evaluate(() => steps.length > 1 && steps.at(-1) === null));
  const steps = await laptop.page.evaluate(() => steps);
  assert.equal(steps[0], null, 'none was on its way');
  const isStep = ({ messages, perMille }) => messages >= 0 && perMille >= 0 && perMille <= 1000;
  assert.ok(steps.slice(1, -1).every(isStep), JSON.stringify(steps));
  await laptop.browser.close();
  await close();
});

test('a device that was not linked says so; conversations are of two kinds', async () => {
  const { ana, bo, chat, close } = await pair();
  const laptop = await Person.loggedIn(ana.name);
  const found = await laptop.page.evaluate(async (name) => {
    const peer = (await client.findUser(name)).user;
    const secret = await client.openDirect(peer);
    const readable = await client.openDirectAs(peer, 'nodeReadable');
    const refused = await code(() => client.sendText(secret, 'no'));
    await client.sendText(readable, 'yes');
    return [secret, readable, refused, await code(() => client.openDirectAs(peer, 'none'))];
  }, bo.name);
  const [secret, readable, ...codes] = found;
  assert.equal(secret, chat);
  assert.notEqual(readable, chat);
  assert.deepEqual(codes, ['not_linked', 'invalid']);
  await all([ana, bo], readable, ['yes']);
  const kinds = await ana.page.evaluate(
    async (chats) => Promise.all(chats.map(async (chat) => (await client.conversation(chat)).protection)), [secret, readable],
  );
  assert.deepEqual(kinds, ['endToEnd', 'nodeReadable']);
  await laptop.browser.close();
  await close();
});

test('a wrong code or a second thought links nobody', async () => {
  const ana = await Person.registered(fresh('ana'));
  const laptop = await Person.loggedIn(ana.name);
  const wrong = await ana.page.evaluate(async () => [
    await code(() => client.linkDevice('')), await code(() => client.linkDevice('chasqui:link:1:AAAA')), await code(() => client.linkDevice(7)),
    await code(() => client.beginLinking()), await code(() => client.confirmLinking()),
  ]);
  assert.deepEqual(wrong, Array(5).fill('invalid'));
  const shown = await laptop.page.evaluate(() => client.beginLinking());
  await Promise.all([
    ana.page.evaluate((shown) => client.linkDevice(shown), shown), laptop.page.evaluate(() => client.linkingNumber()),
  ]);
  const [refused] = await Promise.all([
    laptop.page.evaluate(() => code(() => client.confirmLinking())), ana.page.evaluate(() => client.cancelLinking()),
  ]);
  assert.equal(refused, 'linking_failed');
  assert.equal(await laptop.page.evaluate(async () => (await client.account()).isLinked), false);
  await link(ana, laptop);
  assert.equal(await laptop.page.evaluate(async () => (await client.account()).isLinked), true);
  await Promise.all([ana.browser.close(), laptop.browser.close()]);
});

test('whoever waits for a number or for a yes keeps no other call waiting', async () => {
  const ana = await Person.registered(fresh('ana'));
  const laptop = await Person.loggedIn(ana.name);
  const other = await laptop.open();
  const answers = (page) => page.evaluate(async () => {
    const chat = await client.openDirectAs((await client.account()).user, 'nodeReadable');
    await client.sendText(chat, 'meanwhile');
    return [await texts(chat), (await client.devices()).length, (await client.search('meanwhile', 5)).length > 0];
  });
  const shown = await laptop.page.evaluate(async () => {
    const shown = await client.beginLinking();
    window.steps = [];
    window.number = code(() => client.linkingNumber()).finally(() => steps.push('number'));
    return shown;
  });
  assert.deepEqual((await answers(laptop.page)).slice(1), [2, true], 'while it waits for the number');
  assert.deepEqual((await answers(other)).slice(1), [2, true], 'and in another tab');
  assert.deepEqual(await laptop.page.evaluate(() => steps), []);
  // The code of a device that is not there: nobody answers.
  await laptop.page.evaluate(() => client.suspend());
  await other.evaluate(() => client.suspend());
  await ana.page.evaluate((shown) => {
    window.asked = code(() => client.linkDevice(shown));
  }, shown);
  assert.deepEqual((await answers(ana.page)).slice(1), [2, true], 'while the other device is away');
  await ana.page.evaluate(() => client.cancelLinking());
  assert.equal(await ana.page.evaluate(() => asked), 'linking_failed');
  await laptop.page.evaluate(() => client.resume());
  await other.evaluate(() => client.resume());
  assert.equal(await laptop.page.evaluate(() => number), 'linking_failed', 'suspended, it was interrupted');
  // One says yes, and waits for the other.
  const again = await laptop.page.evaluate(() => client.beginLinking());
  await Promise.all([ana.page.evaluate((again) => client.linkDevice(again), again), laptop.page.evaluate(() => client.linkingNumber())]);
  await laptop.page.evaluate(() => {
    window.confirmed = client.confirmLinking().then(() => steps.push('linked'));
  });
  assert.deepEqual((await answers(laptop.page)).slice(1), [2, true], 'while it waits for a yes');
  await ana.page.evaluate(() => client.confirmLinking());
  await laptop.page.evaluate(() => confirmed);
  assert.equal(await laptop.page.evaluate(async () => (await client.account()).isLinked), true);
  await Promise.all([ana.browser.close(), laptop.browser.close()]);
});

test('both sides compare the same number', async () => {
  const { ana, bo, chat, close } = await pair();
  const user = (person) => person.page.evaluate(async () => (await client.account()).user);
  const [anaId, boId] = await Promise.all([user(ana), user(bo)]);
  const number = (person, of) => person.page.evaluate((of) => client.safetyNumber(of), of);
  const [here, there] = [await number(ana, boId), await number(bo, anaId)];
  assert.match(here.digits, /^([0-9]{5} ){11}[0-9]{5}$/);
  assert.equal(here.digits, there.digits);
  assert.deepEqual([here.trust, here.changedAt], ['unverified', null]);
  const found = await ana.page.evaluate(
    async ([chat, ana, bo, own, scanned]) => {
      const trust = async () => [(await client.safetyNumber(bo)).trust, (await client.conversation(chat)).peerTrust];
      const verified = [await client.verify(bo, own), ...(await trust()), await client.verify(bo, scanned), ...(await trust())];
      await client.setVerified(bo, false);
      const refused = [
        await code(() => client.verify(bo, 'https://example.org')), await code(() => client.verify(bo, 7)),
        await code(() => client.safetyNumber(ana)), await code(() => client.safetyNumber('bo')), await code(() => client.setVerified(bo, 'yes')),
        await code(() => client.safetyNumber('0197a3c1-7c00-7000-8000-000000000001')),
      ];
      return [verified, await trust(), refused];
    },
    [chat, anaId, boId, here.scannable, there.scannable],
  );
  // Whoever scans the own code has compared nothing.
  assert.deepEqual(found[0], [false, 'unverified', 'unverified', true, 'verified', 'verified']);
  assert.deepEqual(found[1], ['unverified', 'unverified']);
  assert.deepEqual(found[2], ['invalid', 'invalid', 'invalid', 'invalid', 'invalid', 'not_found']);
  await close();
});

test('who has lost everything makes a new identity, which others are told, each time once', async () => {
  const { ana, bo, chat, close } = await pair();
  await ana.page.evaluate((chat) => client.sendText(chat, 'before'), chat);
  await all([ana, bo], chat, ['before']);
  const anaId = await ana.page.evaluate(async () => (await client.account()).user);
  const boId = await bo.page.evaluate(async () => (await client.account()).user);
  await bo.page.evaluate(async (ana) => client.setVerified(ana, true), anaId);
  const number = await bo.page.evaluate(async (ana) => (await client.safetyNumber(ana)).digits, anaId);
  // Told in a tab that does not own the core, and goes on when the owner is gone.
  const second = await bo.open();
  await second.evaluate(() => {
    window.events = [];
    (async () => {
      for await (const event of client.observeSecurityEvents(0)) events.push(event);
    })();
  });
  const changes = () => second.evaluate(() => events.filter((event) => event.kind === 'identityChanged'));
  await ana.page.evaluate(() => client.suspend());
  const laptop = await Person.loggedIn(ana.name);
  const proved = await laptop.page.evaluate(async ([chat, bo]) => {
    const codes = [await code(() => client.resetIdentity({ password: 'wrong' })), await code(() => client.resetIdentity('please'))];
    await client.resetIdentity({ password: 'correct horse' });
    await client.openDirect(bo);
    await client.sendText(chat, 'it is me');
    return [codes, (await client.account()).isLinked];
  }, [chat, boId]);
  assert.deepEqual(proved, [['proof_needed', 'invalid'], true]);
  await all([bo], chat, ['before', 'it is me']);
  await until('Bo is told', async () => (await changes()).length === 1);
  const [event] = await changes();
  assert.deepEqual([event.user, event.conversation, event.device], [anaId, chat, null]);
  assert.ok(event.number >= 1 && event.at > 1.7e12);
  const after = await second.evaluate(async (ana) => client.safetyNumber(ana), anaId);
  assert.notEqual(after.digits, number);
  assert.equal(after.digits, await laptop.page.evaluate(async (bo) => (await client.safetyNumber(bo)).digits, boId));
  assert.ok(after.trust === 'changed' && after.changedAt > 1.7e12, JSON.stringify(after));
  assert.equal(await second.evaluate(async (chat) => (await client.conversation(chat)).peerTrust, chat), 'changed');
  // Nothing is sent before Bo says so.
  const message = await second.evaluate((chat) => client.sendText(chat, 'is it?'), chat);
  await laptop.page.evaluate((chat) => client.sendText(chat, 'yes'), chat);
  await all([bo], chat, ['before', 'it is me', 'yes', 'is it?']);
  assert.equal(await second.evaluate(async (id) => (await client.message(id)).state.kind, message), 'pending');
  await second.evaluate((ana) => client.setVerified(ana, false), anaId);
  await until('it is sent', () => laptop.page.evaluate(async (chat) => (await texts(chat)).includes('is it?'), chat));
  // The tab that owned the core goes, and the laptop falls into the river, too.
  await bo.page.close();
  await laptop.page.evaluate(() => client.suspend());
  const tablet = await Person.loggedIn(ana.name);
  await tablet.page.evaluate(async ([chat, bo]) => {
    await client.resetIdentity({ password: 'correct horse' });
    await client.openDirect(bo);
    await client.sendText(chat, 'me again');
  }, [chat, boId]);
  await until('Bo is told again', async () => (await changes()).length > 1);
  const told = (await second.evaluate(() => events)).map((event) => event.number);
  assert.deepEqual(told, told.map((_, index) => index + 1), 'each once, in order');
  assert.deepEqual(await second.evaluate(async () => (await client.securityEvents(0, 100)).map((event) => event.number)), told);
  const rest = await second.evaluate(async ([after]) => client.securityEvents(after, 1), told);
  assert.deepEqual(rest.map((event) => event.number), [told[1]]);
  await Promise.all([laptop.browser.close(), tablet.browser.close()]);
  await close();
});

test('a backup brings everything back in a new profile', async () => {
  const { ana, bo, chat, close } = await pair();
  for (let number = 0; number < 6; number++) {
    await (number % 2 ? bo : ana).page.evaluate(([chat, text]) => client.sendText(chat, text), [chat, `old ${number}`]);
    await until('it arrives', () => (number % 2 ? ana : bo).page.evaluate(async ([chat, count]) => (await texts(chat)).length === count, [chat, number + 1]));
  }
  const old = await ana.page.evaluate((chat) => texts(chat), chat);
  const boId = await bo.page.evaluate(async () => (await client.account()).user);
  await ana.page.evaluate((bo) => client.setVerified(bo, true), boId);
  const [phrase, backup] = await ana.page.evaluate(async () => {
    const phrase = await chasqui.ChasquiClient.newRecoveryPhrase();
    const backup = await client.backUp(phrase);
    return [phrase, [...new Uint8Array(await backup.arrayBuffer())]];
  });
  assert.match(phrase, /^([0-9]{5} ){9}[0-9]{5}$/);
  assert.equal(String.fromCharCode(...backup.slice(0, 8)), 'CHSQBK01');
  assert.equal(Buffer.from(backup).indexOf('old 1'), -1, 'sealed');
  assert.equal(await ana.page.evaluate(() => code(() => client.backUp('12345'))), 'wrong_phrase');
  // The browser is lost.
  await ana.browser.close();
  const found = await Person.start(ana.name);
  const codes = await found.page.evaluate(async ([bytes, phrase]) => {
    window.backup = new Blob([new Uint8Array(bytes)]);
    const other = await chasqui.ChasquiClient.newRecoveryPhrase();
    const error = await client.restore(backup, other).catch((error) => error);
    return [
      other !== phrase && error instanceof chasqui.ChasquiError && error.code, error.isRetryable,
      await code(() => client.restore(backup, '12345')), await code(() => client.restore(backup.slice(0, -1), phrase)),
      await code(() => client.restore(new Blob([]), phrase)), await code(() => client.restore(new Blob(['a picture of a llama']), phrase)),
      await code(() => client.restore('backup', phrase)), await code(() => client.restore(undefined, phrase)), await code(() => client.restore(backup, 7)),
      await code(() => client.backUp(phrase)),
    ];
  }, [backup, phrase]);
  const invalid = Array(6).fill('invalid');
  assert.deepEqual(codes, ['wrong_phrase', false, 'wrong_phrase', ...invalid, 'no error']);
  const restored = await found.page.evaluate(async ([phrase, chat, name]) => {
    await client.restore(backup, phrase);
    await client.restore(new File([backup], 'ana.backup'), phrase.replaceAll(' ', ''));
    const before = await texts(chat);
    const account = await client.login(name, 'correct horse', 'new browser');
    await client.sendText(chat, 'back');
    return [before, account.isLinked, (await client.conversation(chat)).peerTrust, (await client.search('old', 50)).length];
  }, [phrase, chat, ana.name]);
  assert.deepEqual(restored, [old, true, 'verified', 6]);
  await all([bo], chat, [...old, 'back']);
  await bo.page.evaluate((chat) => client.sendText(chat, 'welcome back'), chat);
  await all([found, bo], chat, [...old, 'back', 'welcome back']);
  assert.deepEqual(await bo.page.evaluate(() => client.securityEvents(0, 10)), [], 'nobody had to be told anything');
  await found.browser.close();
  await close();
});

test('export and close', async () => {
  const { ana, chat, close } = await pair();
  const lines = await ana.page.evaluate(async (chat) => {
    await client.sendText(chat, 'for the archive');
    const text = await (await client.export()).text();
    const held = JSON.parse(await client.exportFromNode());
    await client.close();
    return [text.trim().split('\n').map((line) => JSON.parse(line)), typeof held];
  }, chat);
  const kinds = lines[0].map((line) => line.kind);
  assert.equal(kinds[0], 'export');
  assert.equal(kinds.at(-1), 'end');
  assert.ok(lines[0].some((line) => line.text === 'for the archive'));
  assert.equal(lines[1], 'object');
  await close();
});

test('log out, log in again, wipe; devices', async () => {
  const name = fresh('ana');
  const ana = await Person.registered(name);
  const second = await Person.start(name);
  const devices = await second.page.evaluate(async (name) => {
    const wrong = await code(() => client.login(name, 'wrong horse', 'laptop'));
    await client.login(name, 'correct horse', 'laptop');
    const devices = await client.devices();
    await client.revokeDevice(devices.find((device) => !device.isThisDevice).device);
    return [wrong, devices.map((device) => device.name).sort(), (await client.devices()).length];
  }, name);
  assert.deepEqual(devices, ['unauthorised', ['browser', 'laptop'], 1]);
  await until('shut out', () => ana.page.evaluate(async () => (await client.connection()).reason === 'revoked'));
  const after = await second.page.evaluate(async () => {
    await client.logout();
    const account = await client.account();
    await client.wipe();
    return [account, await code(() => client.account())];
  });
  assert.deepEqual(after, [null, 'closed']);
  await ana.browser.close();
  await second.browser.close();
});
