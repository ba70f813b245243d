import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { Browser } from 'playwright-core';
import { call, connect, logIn as logInByHttp } from '../support/client.ts';
import { mintToken, queryDatabase } from '../support/database.ts';
import { signalPid } from '../support/processes.ts';
import { waitFor } from '../support/wait.ts';
import { launchBrowser, openTab, screenshot, TALL } from './support/browser.ts';
import { suiteCleanups } from './support/cleanups.ts';
import { startPathProxy } from './support/path-proxy.ts';
import { bubble, composer, entry, find, logIn, mark, say, texts } from './support/screen.ts';
import { pidOfGateway, type Site, startSite } from './support/site.ts';

/** In the page: leaves no room for another key. */
function fillStorage(): void {
  for (let size = 1 << 20; size > 0; size >>= 1) {
    try {
      for (let i = 0; i < 20; i++) localStorage.setItem(`filler ${size} ${i}`, 'x'.repeat(size));
    } catch {
      // Full for this size.
    }
  }
}

/** In the page, before its scripts: a browser that keeps nothing. */
function blockStorage(): void {
  Object.defineProperty(window, 'localStorage', {
    get: () => {
      throw new DOMException('Storage is blocked.', 'SecurityError');
    },
  });
}

describe('a connection that breaks, in the browser', () => {
  const cleanups = suiteCleanups();
  let site: Site;
  let browser: Browser;

  before(async () => {
    site = await startSite(cleanups, {
      users: [
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
        'mona',
        'nils',
      ],
    });
    browser = await launchBrowser(cleanups);
  });

  const stored = (sender: string): string[] =>
    queryDatabase<{ message: string }>(
      site.database,
      'SELECT message FROM messages WHERE sender = ? ORDER BY id',
      sender,
    ).map(({ message }) => message);

  test('G2, G3, G4: the gateway is killed mid-conversation, and nobody misses or repeats a line', async () => {
    const alice = await openTab(browser, site.url, { ...TALL, user: 'alice' });
    const bob = await openTab(browser, site.url, { ...TALL, user: 'bob' });
    await find(alice.page, 'bob');
    await find(bob.page, 'alice');
    const said: string[] = [];
    for (let i = 1; i <= 24; i++) {
      const [page, peer] = i % 2 === 1 ? ([alice.page, 'bob'] as const) : ([bob.page, 'alice'] as const);
      said.push(`line ${i}`);
      await say(page, peer, `line ${i}`);
      if (i === 8) signalPid(pidOfGateway(site.node, await alice.worker()), 'SIGKILL');
      if (i === 16) signalPid(pidOfGateway(site.node, await bob.worker()), 'SIGKILL');
    }
    for (const { page } of [alice, bob]) {
      await page.waitForFunction(() => document.querySelectorAll('.bubble').length === 24);
      await page.waitForFunction(() => document.querySelectorAll('.delivery.is-sending').length === 0);
    }
    assert.deepEqual((await texts(alice.page)).toSorted(), said.toSorted());
    assert.deepEqual(await texts(alice.page), await texts(bob.page));
    assert.equal(stored('alice').length + stored('bob').length, 24);
    assert.deepEqual([...alice.problems, ...bob.problems], []);
    await alice.page.context().close();
    await bob.page.context().close();
  });

  test('offline: what is written waits in sight, and both sides catch up afterwards', async () => {
    const carol = await openTab(browser, site.url, { user: 'carol' });
    const dave = await connect(site.url, 'dave', await mintToken('dave'));
    await find(carol.page, 'dave');
    await say(carol.page, 'dave', 'online');
    await mark(carol.page, 'online', 'Sent').waitFor();

    await carol.page.context().setOffline(true);
    await say(carol.page, 'dave', 'from the tunnel 1');
    await say(carol.page, 'dave', 'from the tunnel 2');
    await mark(carol.page, 'from the tunnel 2', 'Sending').waitFor();
    await carol.page.getByText('You are offline. Messages wait').waitFor();
    await carol.page.locator('.conversation-head').getByText('No network').waitFor();
    await screenshot(carol.page, 'offline-pending');
    dave.send({ type: 'message', to: 'carol', message: 'meanwhile' });
    await waitFor(
      () => stored('dave').length === 1,
      20_000,
      () => 'the message of the other was not stored',
    );

    await carol.page.getByRole('button', { name: 'Settings' }).click();
    const unsent = carol.page.getByText('2 messages have not been sent yet.');
    await unsent.waitFor();
    await carol.page.context().setOffline(false);
    await bubble(carol.page, 'meanwhile').waitFor();
    // Who is about to log out is not told any longer that this would lose something.
    await unsent.waitFor({ state: 'detached' });
    await carol.page.keyboard.press('Escape');
    await mark(carol.page, 'from the tunnel 2', 'Sent').waitFor();
    await carol.page.getByText('You are offline. Messages wait').waitFor({ state: 'detached' });
    assert.deepEqual(stored('carol'), ['online', 'from the tunnel 1', 'from the tunnel 2']);
    assert.deepEqual(await texts(carol.page), [
      'online',
      'meanwhile',
      'from the tunnel 1',
      'from the tunnel 2',
    ]);
    dave.close();
    await carol.page.context().close();
  });

  test('G2: a reload between sending and acknowledgement loses nothing and doubles nothing', async () => {
    const erin = await openTab(browser, site.url, { user: 'erin' });
    await find(erin.page, 'frank');
    await say(erin.page, 'frank', 'before');
    await mark(erin.page, 'before', 'Sent').waitFor();
    const [writer] = site.node.workers('writer');
    signalPid(writer!, 'SIGSTOP');
    try {
      await say(erin.page, 'frank', 'in flight');
      await mark(erin.page, 'in flight', 'Sending').waitFor();
      await erin.page.reload();
      await mark(erin.page, 'in flight', 'Sending').waitFor();
    } finally {
      signalPid(writer!, 'SIGCONT');
    }
    await mark(erin.page, 'in flight', 'Sent').waitFor();
    await entry(erin.page, 'frank').getByText('You: in flight').waitFor();
    await erin.page.reload();
    await mark(erin.page, 'in flight', 'Sent').waitFor();
    assert.deepEqual(await texts(erin.page), ['before', 'in flight']);
    assert.deepEqual(stored('erin'), ['before', 'in flight']);
    await erin.page.context().close();
  });

  test('a browser without room says that it keeps nothing, and forgets nobody', async () => {
    const heidi = await openTab(browser, site.url, { user: 'heidi' });
    const { page } = heidi;
    await find(page, 'frank');
    await page.evaluate(fillStorage);
    await page.context().setOffline(true);
    await say(page, 'frank', 'nowhere else');
    await page.getByText('This browser has no room left').waitFor();
    await page.context().setOffline(false);
    await mark(page, 'nowhere else', 'Sent').waitFor();
    await page.getByText('This browser has no room left').waitFor({ state: 'detached' });
    assert.deepEqual(stored('heidi'), ['nowhere else']);
    await page.reload();
    await bubble(page, 'nowhere else').waitFor();
    await page.context().close();
  });

  test('a browser without room says nothing of it for a send that is acknowledged at once', async () => {
    const { page } = await openTab(browser, site.url, { user: 'lena' });
    await find(page, 'frank');
    await page.evaluate(fillStorage);
    // How long after the last click on Send each alarm came.
    const alarms = await page.evaluateHandle(() => {
      const after: number[] = [];
      let sent = 0;
      window.addEventListener('submit', () => (sent = performance.now()), { capture: true });
      new MutationObserver(() => {
        const [alarm] = document.querySelectorAll('.strip [role=alert]');
        if (alarm?.textContent?.includes('no room left')) after.push(performance.now() - sent);
      }).observe(document.querySelector('.strip')!, { childList: true, subtree: true, attributes: true });
      return after;
    });
    for (const text of ['one', 'two', 'three', 'four']) {
      await say(page, 'frank', text);
      await mark(page, text, 'Sent').waitFor();
    }
    assert.deepEqual(
      (await alarms.jsonValue()).filter((ms) => ms < 1_000),
      [],
    );
    await page.context().close();
  });

  test('where a browser keeps nothing, it asks before a page is left that has not sent all', async () => {
    const { page } = await openTab(browser, 'about:blank');
    await page.addInitScript(blockStorage);
    await page.goto(site.url);
    await logIn(page, 'dave');
    await find(page, 'erin');
    await page.context().setOffline(true);
    await say(page, 'erin', 'in this page alone');
    await mark(page, 'in this page alone', 'Sending').waitFor();
    await page.getByText('Messages wait in this page only').waitFor();
    const asked = page.waitForEvent('dialog');
    await page.close({ runBeforeUnload: true });
    const dialog = await asked;
    assert.equal(dialog.type(), 'beforeunload');
    await dialog.dismiss();
    await page.context().setOffline(false);
    await mark(page, 'in this page alone', 'Sent').waitFor();
    await page.context().close();
  });

  for (const lacks of ['room', 'storage'] as const) {
    test(`what a browser without ${lacks} could not keep is sent after the next login in the same page`, async () => {
      const sender = lacks === 'room' ? 'ivan' : 'judy';
      const { page } = await openTab(browser, 'about:blank');
      if (lacks === 'storage') await page.addInitScript(blockStorage);
      await page.goto(site.url);
      await logIn(page, sender);
      await find(page, 'frank');
      if (lacks === 'room') await page.evaluate(fillStorage);
      await page.context().setOffline(true);
      await say(page, 'frank', 'before the session ended');
      await mark(page, 'before the session ended', 'Sending').waitFor();
      const token = await logInByHttp(site.url, sender);
      await call(site.url, 'POST', '/logout', { token, body: { everywhere: true } });
      await page.context().setOffline(false);
      await page.getByText('Your session has been ended.').waitFor();
      const asked = page.waitForEvent('dialog');
      await page.close({ runBeforeUnload: true });
      await (await asked).dismiss();
      await logIn(page, sender);
      await mark(page, 'before the session ended', 'Sent').waitFor();
      assert.deepEqual(stored(sender), ['before the session ended']);
      await page.context().close();
    });
  }

  test('G6: what the outbox has no place for is given back with the reason, also without a connection', async () => {
    const { page } = await openTab(browser, site.url, { user: 'kim' });
    await find(page, 'bob');
    await page.evaluate(() => {
      const outbox = `parley:${location.host}/:kim:outbox:`;
      for (let i = 0; i < 1_000; i++) {
        localStorage.setItem(outbox + i, JSON.stringify({ to: 'bob', message: `${i}`, at: i }));
      }
    });
    // A socket on which nobody answers.
    await page.routeWebSocket(/\/ws$/, () => {});
    await page.reload();
    await page.getByText('You are offline. Messages').waitFor();
    await say(page, 'bob', 'one too many');
    await page.getByRole('alert').getByText('Too many messages wait to be sent').waitFor();
    assert.equal(await composer(page, 'bob').inputValue(), 'one too many');
    await page.context().close();
  });

  test('written offline, then the page is reloaded on the way back: it is sent once', async () => {
    const grace = await openTab(browser, site.url, { user: 'grace' });
    await find(grace.page, 'frank');
    await grace.page.context().setOffline(true);
    await say(grace.page, 'frank', 'kept on this device');
    await mark(grace.page, 'kept on this device', 'Sending').waitFor();
    await grace.page.context().setOffline(false);
    await grace.page.reload();
    await mark(grace.page, 'kept on this device', 'Sent').waitFor();
    assert.deepEqual(stored('grace'), ['kept on this device']);
    await grace.page.context().close();
  });

  test('a writer that is killed is no more than a pause', async () => {
    const frank = await openTab(browser, site.url, { user: 'frank' });
    await find(frank.page, 'alice');
    await say(frank.page, 'alice', 'one');
    await mark(frank.page, 'one', 'Sent').waitFor();
    for (const pid of site.node.workers('writer')) signalPid(pid, 'SIGKILL');
    await say(frank.page, 'alice', 'two');
    await mark(frank.page, 'two', 'Sent').waitFor({ timeout: 60_000 });
    assert.deepEqual(stored('frank'), ['one', 'two']);
    await frank.page.context().close();
  });

  test('under a path of a proxy, the page asks for nothing elsewhere, and keeps its session apart', async () => {
    const { url, strayed } = await startPathProxy(cleanups, site.url);
    const mona = await openTab(browser, url, TALL);
    const nils = await openTab(browser, url, TALL);
    await logIn(mona.page, 'mona');
    await logIn(nils.page, 'nils');
    await find(mona.page, 'nils');
    await say(mona.page, 'nils', 'under a path');
    await entry(nils.page, 'mona').click();
    await bubble(nils.page, 'under a path').waitFor();
    await nils.page.reload();
    await say(nils.page, 'mona', 'here, too');
    await bubble(mona.page, 'here, too').waitFor();
    const keys = await nils.page.evaluate(() => Object.keys(localStorage));
    assert.ok(keys.includes('parley:/chat/:session'), `it keeps ${keys}`);
    assert.ok(
      !keys.includes('parley:session'),
      'it keeps the session where the server at / would have its own',
    );
    assert.deepEqual(strayed, []);
    assert.deepEqual([...mona.problems, ...nils.problems], []);
  });
});
