import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { Browser } from 'playwright-core';
import { LIMITS } from '../../src/contract/limits.ts';
import { connect, newUser, register } from '../support/client.ts';
import { mintToken } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';
import { launchBrowser, openTab, PHONE, screenshot, TALL, type Tab } from './support/browser.ts';
import { suiteCleanups } from './support/cleanups.ts';
import { bubble, composer, entry, find, lookAway, mark, say, search, texts } from './support/screen.ts';
import { type Site, startSite } from './support/site.ts';

const USERS = [
  'ann',
  'joann',
  'nils',
  'olga',
  'alice',
  'bob',
  'carol',
  'dave',
  'erin',
  'frank',
  'grace',
  'heidi',
  'ivan',
  'judy',
  'kim',
  'lena',
  'nora',
];

describe('chatting in the browser', () => {
  const cleanups = suiteCleanups();
  let site: Site;
  let browser: Browser;

  before(async () => {
    site = await startSite(cleanups, { users: USERS });
    browser = await launchBrowser(cleanups);
  });

  /** Reloads until the two hang on different workers. */
  async function apart(one: Tab, other: Tab): Promise<void> {
    await waitFor(
      async () => {
        if ((await one.worker()) !== (await other.worker())) return true;
        await other.page.reload();
        return false;
      },
      20_000,
      () => 'both sockets went to one worker, again and again',
    );
  }

  test('two browsers on two workers: messages, ticks, typing and presence', async (t) => {
    const second = await launchBrowser(t);
    const alice = await openTab(browser, site.url, { ...TALL, user: 'alice' });
    const bob = await openTab(second, site.url, { ...TALL, user: 'bob' });
    await apart(alice, bob);
    await find(alice.page, 'bob');
    await alice.page.locator('.conversation-head').getByText('Online').waitFor();
    await say(alice.page, 'bob', 'Are you on the other worker?');
    await mark(alice.page, 'Are you on the other worker?', 'Sent').waitFor();

    await entry(bob.page, 'alice').getByText('1 new message').waitFor();
    await bob.page.waitForFunction(() => document.title === '(1) Parley');
    await entry(bob.page, 'alice').click();
    await bubble(bob.page, 'Are you on the other worker?').waitFor();
    await mark(alice.page, 'Are you on the other worker?', 'Read').waitFor();
    await bob.page.waitForFunction(() => document.title === 'Parley');

    await composer(bob.page, 'alice').pressSequentially('Yes');
    await alice.page.getByText('bob is typing').waitFor();
    await composer(bob.page, 'alice').press('Enter');
    await bubble(alice.page, 'Yes').waitFor();
    await alice.page.getByText('bob is typing').waitFor({ state: 'detached' });

    for (let i = 1; i <= 20; i++)
      await say(i % 2 ? alice.page : bob.page, i % 2 ? 'bob' : 'alice', `line ${i}`);
    await bubble(alice.page, 'line 20').waitFor();
    await bubble(bob.page, 'line 19').waitFor();
    assert.deepEqual(await texts(alice.page), await texts(bob.page));

    await bob.page.context().close();
    await alice.page.locator('.conversation-head').getByText('Offline').waitFor();
    assert.deepEqual([...alice.problems, ...bob.problems], []);
    await alice.page.context().close();
  });

  test('markup and scripts arrive as text, in messages and in names', async () => {
    const attempts = [
      '<script>window.hacked = 1</script>',
      '<img src=x onerror="window.hacked = 1">',
      '"><svg onload=window.hacked=1>',
      'javascript:window.hacked=1',
      '[a](javascript:window.hacked=1)',
      'https://example.org/"onmouseover="window.hacked=1',
      '{{constructor.constructor("window.hacked=1")()}}',
      '\u202Egnp.exe reversed',
    ];
    const name = '<img src=x onerror=window.hacked=1>';
    const { url } = site;
    const sender = await connect(url, name, await newUser(url, name));
    const carol = await openTab(browser, url, { user: 'carol' });
    for (const message of attempts) sender.send({ type: 'message', to: 'carol', message });
    await entry(carol.page, name).click();
    for (const message of attempts) await bubble(carol.page, message).waitFor();
    await bubble(carol.page, attempts[5]!).hover();
    const [hacked, links, foreign] = await carol.page.evaluate(() => [
      'hacked' in window,
      [...document.querySelectorAll<HTMLAnchorElement>('.bubble a')].map(({ href }) => href),
      document.querySelectorAll('.bubble img, .bubble script, .bubble svg[onload], bdi img').length,
    ]);
    assert.equal(hacked, false);
    assert.equal(foreign, 0);
    assert.deepEqual(links, ['https://example.org/']);
    assert.deepEqual(carol.problems, []);
    await screenshot(carol.page, 'markup-as-text');
    sender.close();
    await carol.page.context().close();
  });

  test('web addresses can be clicked, and open without a way back', async () => {
    const dave = await openTab(browser, site.url, { user: 'dave' });
    await find(dave.page, 'alice');
    await say(dave.page, 'alice', 'See https://example.org/a_(b)?c=d&e#f, and www.example.com.');
    const links = dave.page.locator('.bubble a');
    await links.first().waitFor();
    assert.deepEqual(
      await links.evaluateAll((all) => (all as HTMLAnchorElement[]).map(({ href, rel }) => [href, rel])),
      [
        ['https://example.org/a_(b)?c=d&e#f', 'noopener noreferrer nofollow ugc'],
        ['https://www.example.com/', 'noopener noreferrer nofollow ugc'],
      ],
    );
    await dave.page.context().close();
  });

  test('a refused message says why, and can be sent again or deleted', async () => {
    const erin = await openTab(browser, site.url, { user: 'erin' });
    await erin.page.goto(`${site.url}/#/late`);
    await say(erin.page, 'late', 'Are you registered yet?');
    await erin.page.getByText('Not sent. There is no such user.').waitFor();
    const log = erin.page.getByRole('log', { name: 'New messages' });
    await log.getByText('Message to late not sent: There is no such user.').waitFor({ state: 'attached' });
    await register(site.url, 'late');
    await erin.page.getByRole('button', { name: 'Try again' }).click();
    await mark(erin.page, 'Are you registered yet?', 'Sent').waitFor();

    await erin.page.goto(`${site.url}/#/never`);
    await say(erin.page, 'never', 'And you?');
    await erin.page.getByRole('button', { name: 'Delete' }).click();
    await bubble(erin.page, 'And you?').waitFor({ state: 'detached' });
    assert.equal(await entry(erin.page, 'never').count(), 0);
    await erin.page.context().close();
  });

  test('what came while one was away stands below a line, counts in title and list, and is notified', async () => {
    const frank = await openTab(browser, site.url, { user: 'frank', permissions: ['notifications'] });
    await frank.page.evaluate(() => {
      const shown: string[] = [];
      Object.assign(window, {
        shown,
        Notification: class {
          static permission = 'granted';
          constructor(title: string, { body }: { body: string }) {
            shown.push(`${title}: ${body}`);
          }
        },
      });
    });
    const grace = await connect(site.url, 'grace', await mintToken('grace'));
    grace.send({ type: 'message', to: 'frank', message: 'before' });
    await entry(frank.page, 'grace').click();
    await bubble(frank.page, 'before').waitFor();
    await entry(frank.page, 'grace').getByText('new message').waitFor({ state: 'detached' });

    await lookAway(frank.page, true);
    for (let i = 1; i <= 3; i++) grace.send({ type: 'message', to: 'frank', message: `while away ${i}` });
    await frank.page.waitForFunction(() => document.title === '(3) Parley');
    await entry(frank.page, 'grace').getByText('3 new messages').waitFor();
    // One notification tells of what came in one go.
    await frank.page.waitForFunction(
      () => (window as unknown as { shown: string[] }).shown.at(-1) === 'grace: while away 3',
    );
    const row = frank.page.locator('.row').filter({ has: frank.page.getByText('while away 1') });
    await row.getByText('New messages').waitFor();

    await lookAway(frank.page, false);
    await frank.page.waitForFunction(() => document.title === 'Parley');
    grace.send({ type: 'message', to: 'frank', message: 'you are back' });
    await bubble(frank.page, 'you are back').waitFor();
    assert.equal(await row.getByText('New messages').count(), 1, 'the line stays where it was');

    await lookAway(frank.page, true);
    for (let i = 1; i <= 40; i++)
      grace.send({ type: 'message', to: 'frank', message: `a long absence ${i}` });
    await frank.page.waitForFunction(() => document.title === '(40) Parley');
    await lookAway(frank.page, false);
    const first = frank.page.locator('.row').filter({ has: frank.page.getByText('New messages') });
    await first.getByText('a long absence 1', { exact: true }).waitFor();
    assert.ok(await bubble(frank.page, 'a long absence 1').isVisible());
    await frank.page.getByRole('button', { name: /new messages: go to the end$/ }).click();
    await bubble(frank.page, 'a long absence 40').waitFor();
    await frank.page.waitForFunction(() => document.title === 'Parley');
    grace.close();
    await frank.page.context().close();
  });

  test('what is said three times is read out three times', async () => {
    const kim = await openTab(browser, site.url, { user: 'kim' });
    const lena = await connect(site.url, 'lena', await mintToken('lena'));
    await find(kim.page, 'lena');
    await kim.page.evaluate(() => {
      const spoken: (string | null)[] = [];
      Object.assign(window, { spoken });
      new MutationObserver((changes) => {
        for (const { addedNodes } of changes) for (const node of addedNodes) spoken.push(node.textContent);
      }).observe(document.querySelector('[role=log]')!, { childList: true, subtree: true });
    });
    for (let i = 1; i <= 3; i++) {
      lena.send({ type: 'message', to: 'kim', message: 'ok' });
      await bubble(kim.page, 'ok')
        .nth(i - 1)
        .waitFor();
    }
    await kim.page.waitForFunction(() => (window as unknown as { spoken: string[] }).spoken.length >= 3);
    assert.deepEqual(await kim.page.evaluate(() => (window as unknown as { spoken: string[] }).spoken), [
      'lena: ok',
      'lena: ok',
      'lena: ok',
    ]);
    lena.close();
    await kim.page.context().close();
  });

  test('the composer gets the focus of a button that goes', async () => {
    const lena = await openTab(browser, site.url, { user: 'lena' });
    const kim = await connect(site.url, 'kim', await mintToken('kim'));
    const press = async (name: string) => {
      await lena.page.getByRole('button', { name }).focus();
      await lena.page.keyboard.press('Enter');
      await lena.page.getByRole('button', { name }).waitFor({ state: 'detached' });
    };
    const focus = () => lena.page.evaluate(() => document.activeElement?.getAttribute('aria-label'));
    for (let i = 1; i <= 60; i++) kim.send({ type: 'message', to: 'lena', message: `line ${i}` });
    await entry(lena.page, 'kim').getByText('line 60').waitFor();
    await entry(lena.page, 'kim').click();
    await press('go to the end');
    assert.equal(await focus(), 'Message to kim');

    await lena.page.goto(`${site.url}/#/missing`);
    await say(lena.page, 'missing', 'Are you registered yet?');
    await lena.page.getByText('Not sent. There is no such user.').waitFor();
    await register(site.url, 'missing');
    await press('Try again');
    assert.equal(await focus(), 'Message to missing');

    await lena.page.goto(`${site.url}/#/absent`);
    await say(lena.page, 'absent', 'And you?');
    await press('Delete');
    assert.equal(await focus(), 'Message to absent');

    await lena.page.goto(`${site.url}/#/kim`);
    const refusal = Promise.withResolvers<void>();
    await lena.page.route('**/history?*', (route) => refusal.promise.then(() => route.abort()));
    await lena.page.reload();
    await lena.page.locator('.pane').getByRole('status').getByText('Loading…').waitFor();
    refusal.resolve();
    await lena.page.getByText('The messages could not be loaded.').waitFor();
    kim.send({ type: 'message', to: 'lena', message: 'line 61' });
    await lena.page.getByText('Earlier messages could not be loaded.').waitFor();
    await lena.page.unroute('**/history?*');
    // However slow the history is, what one writes meanwhile stays in sight once it is sent.
    const answer = Promise.withResolvers<void>();
    await lena.page.route('**/history?*', (route) => answer.promise.then(() => route.continue()));
    await press('Try again');
    await say(lena.page, 'kim', 'I am back.');
    await mark(lena.page, 'I am back.', 'Sent').waitFor();
    await lena.page.locator('.older-loading').waitFor();
    answer.resolve();
    await bubble(lena.page, 'line 60').waitFor();
    assert.equal(await focus(), 'Message to kim');
    kim.close();
    await lena.page.context().close();
  });

  test('S2: who writes to oneself is not told that somebody types', async () => {
    const { page } = await openTab(browser, site.url, { user: 'kim' });
    const sent: string[] = [];
    page.on('websocket', (socket) => socket.on('framesent', ({ payload }) => sent.push(String(payload))));
    await page.reload();
    const typed = () => sent.flatMap((frame) => (frame.includes('"typing"') ? [JSON.parse(frame).to] : []));
    for (const peer of ['kim', 'lena']) {
      await find(page, peer);
      await composer(page, peer).pressSequentially('milk');
      await composer(page, peer).press('Enter');
      await mark(page, 'milk', 'Sent').waitFor();
    }
    assert.deepEqual(typed(), ['lena']);
    await page.context().close();
  });

  test('who leaves a conversation by keyboard stands at its entry in the list', async () => {
    // As wide as a page that is enlarged four times, and as a desktop's.
    for (const width of [320, 1_280]) {
      const { page } = await openTab(browser, site.url, { user: 'lena', viewport: { width, height: 600 } });
      await find(page, 'kim');
      await say(page, 'kim', `from ${width}`);
      await mark(page, `from ${width}`, 'Sent').waitFor();
      if (width === 320) {
        await page.getByRole('button', { name: 'Back to the list' }).focus();
        await page.keyboard.press('Enter');
      } else await page.evaluate(() => history.back());
      await page.waitForFunction(() => document.activeElement?.getAttribute('href') === '#/kim');
      await page.keyboard.press('Control+k');
      await page.waitForFunction(() => document.activeElement?.tagName === 'INPUT');
      await page.context().close();
    }
  });

  test('an address with a name that nobody can have opens nothing, and presence goes on', async () => {
    const kim = await openTab(browser, site.url, { user: 'kim' });
    const ivan = await connect(site.url, 'ivan', await mintToken('ivan'));
    ivan.send({ type: 'message', to: 'kim', message: 'I am here' });
    await entry(kim.page, 'ivan').locator('.presence').waitFor();
    await kim.page.goto(`${site.url}/#/${'y'.repeat(LIMITS.userIdLookupUnits + 1)}`);
    await kim.page.reload();
    await entry(kim.page, 'ivan').locator('.presence').waitFor();
    await kim.page.getByRole('heading', { name: 'No conversation open' }).waitFor();
    ivan.close();
    await kim.page.context().close();
  });

  test('who can’t be found without a connection is found when it is back; no name is too long to be looked for', async () => {
    const { page } = await openTab(browser, site.url, { user: 'kim' });
    await page.getByText('Online', { exact: true }).first().waitFor();
    await page.context().setOffline(true);
    await search(page).fill('jud');
    await page.getByText('People can only be searched while connected.').waitFor();
    await page.context().setOffline(false);
    await entry(page, 'judy').waitFor();
    await search(page).fill('y'.repeat(LIMITS.userIdLookupUnits + 1));
    await page.getByText('Nobody’s name begins with').waitFor();
    await page.context().close();
  });

  test('a search that fails while connected can be tried again; Enter after a whole name means that person, not one with a name like it', async () => {
    const joann = await connect(site.url, 'joann', await mintToken('joann'));
    joann.send({ type: 'message', to: 'olga', message: 'hello' });
    const { page } = await openTab(browser, site.url, { user: 'olga' });
    await entry(page, 'joann').waitFor();
    joann.close();
    await page.route('**/users?*', (route) => route.fulfill({ status: 503, json: { error: 'Not now.' } }));
    await search(page).fill('jud');
    await page.getByText('People could not be searched.').waitFor();
    await page.unroute('**/users?*');
    await page.getByRole('button', { name: 'Try again' }).click();
    await entry(page, 'judy').waitFor();
    assert.ok(await search(page).evaluate((field) => field === document.activeElement));
    await search(page).fill('ann');
    await search(page).press('Enter');
    await page.locator('.conversation-head bdi').waitFor();
    assert.equal(await page.locator('.conversation-head bdi').textContent(), 'ann');
    // What is no name yet stands for the first that fits.
    await search(page).fill('oan');
    await search(page).press('Enter');
    await composer(page, 'joann').waitFor();
    // Who writes by the time that a slow answer comes stays in the conversation.
    const answer = Promise.withResolvers<void>();
    await page.route('**/users?*', (route) => answer.promise.then(() => route.continue()));
    await search(page).fill('jud');
    await search(page).press('Enter');
    await composer(page, 'joann').focus();
    await page.getByRole('status').getByText('Searching…').waitFor();
    answer.resolve();
    await entry(page, 'judy').waitFor();
    await page.unroute('**/users?*');
    assert.equal(await search(page).inputValue(), 'jud');
    assert.equal(await page.locator('.conversation-head bdi').textContent(), 'joann');
    // The search field, too, gets the focus of a button that goes.
    await page.addInitScript(() =>
      Object.defineProperty(Notification, 'permission', { get: () => 'default' }),
    );
    await page.reload();
    await page.getByRole('button', { name: 'No notifications' }).press('Enter');
    await page.getByRole('button', { name: 'No notifications' }).waitFor({ state: 'detached' });
    assert.ok(await search(page).evaluate((field) => field === document.activeElement));
  });

  test('a clock that is set right makes the days right', async () => {
    const { page } = await openTab(browser, site.url, { user: 'grace' });
    await page.clock.install({ time: Date.now() + 24 * 3_600_000 });
    await page.reload();
    await find(page, 'judy');
    await say(page, 'judy', 'what day is it?');
    const day = page.locator('.row-day');
    await day.getByText('Yesterday').waitFor();
    await page.clock.setSystemTime(Date.now());
    await page.clock.runFor(60_000);
    await day.getByText('Today').waitFor();
    await page.context().close();
  });

  test('names of full length fit a phone', async () => {
    const [writes, silent] = ['W'.repeat(LIMITS.userIdChars), 'M'.repeat(LIMITS.userIdChars)] as const;
    const token = await newUser(site.url, writes);
    await newUser(site.url, silent);
    const lena = await openTab(browser, site.url, { ...PHONE, user: 'lena' });
    const other = await connect(site.url, writes, token);
    const assertFits = async (selector: string) => {
      const [wide, room] = await lena.page
        .locator(selector)
        .evaluate(({ scrollWidth, clientWidth }) => [scrollWidth, clientWidth] as const);
      assert.ok(wide <= room, `${selector}: ${wide} pixels in ${room}`);
    };
    other.send({ type: 'message', to: 'lena', message: 'hello' });
    await entry(lena.page, writes).click();
    await bubble(lena.page, 'hello').waitFor();
    other.send({ type: 'typing', to: 'lena' });
    await lena.page.getByText(`${writes} is typing`).waitFor();
    await assertFits('.strip');
    await assertFits('.typing-words');
    await assertFits('.messages');

    await lena.page.goto(`${site.url}/#/${silent}`);
    await lena.page.getByText('This is the beginning of your conversation').waitFor();
    await assertFits('.messages-empty');
    await lena.page.getByRole('button', { name: 'Back to the list' }).click();
    await search(lena.page).fill('Z'.repeat(LIMITS.userIdChars));
    await lena.page.getByText('Nobody’s name begins with').waitFor();
    await assertFits('.list');
    other.close();
    await lena.page.context().close();
  });

  test('with letters four times as large, the beginning of a conversation covers nothing of what is said below it', async () => {
    const { page } = await openTab(browser, site.url, {
      user: 'erin',
      viewport: { width: 320, height: 256 },
    });
    await page.goto(`${site.url}/#/olga`);
    await page.getByText('This is the beginning').waitFor();
    await page.context().setOffline(true);
    await page.getByText('You are offline.').waitFor();
    // What is cut off by something that scrolls does not count as in view.
    const covered = await page.evaluate(
      () =>
        new Promise<number>((resolve) => {
          const below = document.querySelector('.strip')!.getBoundingClientRect().top;
          new IntersectionObserver(([seen]) => resolve(seen!.intersectionRect.bottom - below)).observe(
            document.querySelector('.beginning')!,
          );
        }),
    );
    assert.ok(covered <= 0.5, `${covered} px`);
    await page.context().close();
  });

  test('the space that is left covers nothing of what is said above the field', async () => {
    const { page } = await openTab(browser, site.url, { ...PHONE, user: 'judy' });
    await find(page, 'ivan');
    await page.context().setOffline(true);
    const box = async (selector: string) => (await page.locator(selector).boundingBox())!;
    await page.locator('.strip-notice').getByText('You are offline.').waitFor();
    await composer(page, 'ivan').fill('x'.repeat(LIMITS.messageUnits + 1));
    await page.getByText('1 character too long').waitFor();
    const notice = await box('.strip-notice');
    const left = await box('.composer-left');
    const field = await box('.composer textarea');
    assert.ok(notice.y + notice.height <= left.y && left.y + left.height <= field.y);
    await composer(page, 'ivan').fill('');
    await page.context().close();
  });

  test('an Enter that is for an input method sends nothing, also where only its key code tells (Safari)', async () => {
    const { page } = await openTab(browser, site.url, { user: 'ivan' });
    await find(page, 'nora');
    const field = composer(page, 'nora');
    await field.fill('にほん語');
    for (const told of [{ isComposing: true }, { keyCode: 229 }]) {
      await field.evaluate((target, of) => {
        target.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, ...of }));
      }, told);
      assert.equal(await field.inputValue(), 'にほん語', JSON.stringify(told));
    }
    await field.press('Enter');
    await mark(page, 'にほん語', 'Sent').waitFor();
    assert.deepEqual(await texts(page), ['にほん語']);
  });

  test('what is written from right to left is shown so while it is written', async () => {
    const { page } = await openTab(browser, site.url, { user: 'ivan' });
    const direction = (field: HTMLElement) => getComputedStyle(field).direction;
    await search(page).fill('אבי (1)');
    assert.equal(await search(page).evaluate(direction), 'rtl');
    await page.goto(`${site.url}/#/judy`);
    const field = composer(page, 'judy');
    assert.equal(await field.evaluate(direction), 'ltr');
    await field.fill('שלום, judy!');
    assert.equal(await field.evaluate(direction), 'rtl');
  });

  test('the list says which message was not sent: an older one is not the one it shows', async () => {
    const { page } = await openTab(browser, site.url, { user: 'grace' });
    await page.goto(`${site.url}/#/gone`);
    await say(page, 'gone', 'anybody there?');
    await bubble(page, 'anybody there?').waitFor();
    await entry(page, 'gone').getByText('Not sent: You: anybody there?').waitFor();
    // Somebody registers under that name, and writes.
    const token = await newUser(site.url, 'gone');
    const other = await connect(site.url, 'gone', token);
    // What is stored has whole seconds.
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    other.send({ type: 'message', to: 'grace', message: 'here I am' });
    await entry(page, 'gone').getByText('A message was not sent. here I am').waitFor();
    other.close();
  });

  test('everything is done with the keyboard alone', async () => {
    const heidi = await openTab(browser, site.url, { user: 'heidi' });
    const { keyboard } = heidi.page;
    await entry(heidi.page, 'alice').waitFor();
    await keyboard.press('Control+k');
    await keyboard.type('iv');
    await heidi.page.getByRole('navigation', { name: 'Search results' }).getByText('ivan').waitFor();
    await keyboard.press('ArrowDown');
    await keyboard.press('Enter');
    await composer(heidi.page, 'ivan').waitFor();
    await keyboard.type('one line');
    await keyboard.press('Shift+Enter');
    await keyboard.type('and another');
    await keyboard.press('Enter');
    await mark(heidi.page, 'one line\nand another', 'Sent').waitFor();
    // As with Caps Lock on.
    await keyboard.press('Control+K');
    // Faster than any answer.
    await keyboard.insertText('judy');
    await keyboard.press('Enter');
    await composer(heidi.page, 'judy').waitFor();
    await keyboard.type('hi');
    await keyboard.press('Enter');
    await mark(heidi.page, 'hi', 'Sent').waitFor();
    await keyboard.press('Alt+ArrowDown');
    await bubble(heidi.page, 'one line\nand another').waitFor();
    await heidi.page.context().close();
  });
});
