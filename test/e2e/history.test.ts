import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { LIMITS } from '../../src/contract/limits.ts';
import { openForWriting } from '../../src/db/open.ts';
import { connect } from '../support/client.ts';
import { mintToken } from '../support/database.ts';
import { launchBrowser, openTab, screenshot } from './support/browser.ts';
import { suiteCleanups } from './support/cleanups.ts';
import { bubble, entry } from './support/screen.ts';
import { type Site, startSite } from './support/site.ts';

const BEGINNING_S = Date.UTC(2026, 0, 1) / 1_000;
const PEERS = Array.from({ length: 130 }, (_, i) => `peer ${i}`);
const WORDS = 'a few words more so that the rows differ in height and wrap at some widths';

/** What the old chat app's frontends have sent, many times as long. */
const PICTURE = `data:image/png;base64,${'iVBORw0KGgo'.repeat(3_000)}`;

/** Writes a conversation as if it had been held, one message a minute. `unread`: how many of them are new to `me`. */
function writeHistory(path: string, me: string, peer: string, count: number, unread = 0): void {
  const db = openForWriting(path);
  const [a, b] = [me, peer].toSorted();
  const { lastInsertRowid: id } = db
    .prepare('INSERT INTO conversations (user_a, user_b) VALUES (?, ?)')
    .run(a, b);
  const member = db.prepare(
    'INSERT INTO members (user_id, conversation_id, peer, read_id) VALUES (?, ?, ?, ?)',
  );
  const message = db.prepare(
    `INSERT INTO messages (conversation_id, sender, receiver, message, timestamp)
     VALUES (?, ?, ?, ?, datetime(?, 'unixepoch'))`,
  );
  db.transaction(() => {
    let read = 0;
    for (let i = 0; i < count; i++) {
      const isNew = i >= count - unread;
      const [from, to] = i % 3 === 0 && !isNew ? [me, peer] : [peer, me];
      const text = `#${i} ${WORDS.slice(0, (i * 13) % WORDS.length)}`.trim();
      const { lastInsertRowid } = message.run(id, from, to, text, BEGINNING_S + i * 60);
      if (!isNew) read = Number(lastInsertRowid);
    }
    member.run(me, id, peer, read);
    member.run(peer, id, me, 1e9);
  })();
  db.close();
}

/** Time from the click on an entry to its newest message on the screen, in milliseconds: the best of some. */
async function timeToOpen(page: Page, peer: string, newest: string, other: string): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < 5; i++) {
    await page.reload();
    await entry(page, other).click();
    await page.locator('.bubble').first().waitFor();
    await entry(page, peer).waitFor();
    times.push(
      await page.evaluate(
        async ([name, text]) => {
          const items = [...document.querySelectorAll<HTMLElement>('.item')];
          const item = items.find((each) => each.querySelector('bdi')?.textContent === name);
          const started = performance.now();
          item?.click();
          const { promise, resolve } = Promise.withResolvers<number>();
          const look = () => {
            const last = [...document.querySelectorAll('.bubble-text')].at(-1);
            if (last?.textContent === text) resolve(performance.now() - started);
            else requestAnimationFrame(look);
          };
          look();
          return promise;
        },
        [peer, newest] as const,
      ),
    );
    await page.goto(`${new URL(page.url()).origin}/#/`);
  }
  return Math.min(...times);
}

const textOf = (i: number): string => `#${i} ${WORDS.slice(0, (i * 13) % WORDS.length)}`.trim();

describe('long histories in the browser', () => {
  const cleanups = suiteCleanups();
  let site: Site;
  let browser: Browser;

  before(async () => {
    site = await startSite(cleanups, {
      users: ['reader', 'short', 'middle', 'long', 'popular', 'absent', 'keeper', ...PEERS],
      prepare: (path) => {
        writeHistory(path, 'reader', 'short', 100);
        writeHistory(path, 'reader', 'middle', 10_000);
        writeHistory(path, 'reader', 'long', 100_000);
        for (const peer of PEERS) writeHistory(path, 'popular', peer, 1);
        writeHistory(path, 'absent', 'long', 900, 700);
        writeHistory(path, 'absent', 'middle', 400, 60);
        writeHistory(path, 'absent', 'short', 10);
        writeHistory(path, 'keeper', 'short', 1);
        const db = openForWriting(path);
        db.prepare("UPDATE messages SET message = ? WHERE sender = 'keeper'").run(PICTURE);
        db.close();
      },
    });
    browser = await launchBrowser(cleanups);
  });

  test('a conversation with many new messages begins at the first of them, whenever earlier ones come in front, and what was not seen stays new', async () => {
    const unread = async (page: Page): Promise<number> => {
      await page.waitForFunction(() => /\d/.test(document.title));
      return Number(/\d+/.exec(await page.title())?.[0]);
    };
    // More of them than a page; and so few that the page begins near the first, and earlier ones are loaded at once.
    for (const [peer, firstNew] of [
      ['long', 200],
      ['middle', 340],
    ] as const) {
      for (const how of ['opened', 'reloaded'] as const) {
        const { page } = await openTab(browser, site.url, { user: 'absent' });
        await entry(page, peer).waitFor();
        const before = await unread(page);
        if (how === 'opened') await entry(page, peer).click();
        else {
          await page.goto(`${site.url}/#/${peer}`);
          await page.reload();
        }
        await page.getByText('New messages', { exact: true }).waitFor();
        await bubble(page, textOf(firstNew)).waitFor();
        await page.waitForTimeout(1_000);
        const seen = before - (await unread(page));
        assert.ok(seen >= 0 && seen < 25, `${peer}, ${how}: ${seen} of the new ones count as seen`);
        await page.context().close();
      }
    }
  });

  test('of a text longer than any of today’s, a picture of the old chat app’s, the beginning is laid out; all of it for who asks', async () => {
    const { page } = await openTab(browser, site.url, { user: 'keeper' });
    const line = await entry(page, 'short').locator('.item-preview').textContent();
    assert.ok((line as string).length < 300, 'the entry in the list');
    await entry(page, 'short').click();
    const text = page.locator('.bubble-text');
    assert.ok(((await text.textContent()) as string).length < LIMITS.messageUnits + 100);
    await text.getByRole('button', { name: 'Show all 33,022 characters' }).click();
    await text.getByRole('button').waitFor({ state: 'detached' });
    assert.equal(await text.textContent(), PICTURE);
  });

  test('a page of history that arrives in front moves nothing on the screen', async () => {
    const { page } = await openTab(browser, site.url, { user: 'reader' });
    await entry(page, 'middle').click();
    await bubble(page, textOf(9_999)).waitFor();
    await page.route('**/history?**before=**', async (route) => {
      await new Promise((resolve) => setTimeout(resolve, 250));
      await route.continue();
    });
    for (let round = 0; round < 4; round++) {
      const answered = page.waitForResponse((response) => response.url().includes('before='));
      await page.locator('.messages').hover();
      while (!(await page.locator('.older-loading').count())) await page.mouse.wheel(0, -900);
      // The wheel's own movement has to end before what else moves can be told.
      await page.waitForTimeout(120);
      const watching = page.evaluate(async () => {
        const top = () => {
          const view = document.querySelector('.messages')!.getBoundingClientRect();
          const rows = [...document.querySelectorAll<HTMLElement>('.messages .bubble')];
          const middle = rows.find((row) => row.getBoundingClientRect().top > view.top + view.height / 3)!;
          return { text: middle.textContent, top: () => middle.getBoundingClientRect().top, middle };
        };
        const { middle, top: now } = top();
        const start = now();
        let worst = 0;
        const until = performance.now() + 700;
        while (performance.now() < until) {
          await new Promise(requestAnimationFrame);
          if (!middle.isConnected) return Number.NaN;
          worst = Math.max(worst, Math.abs(now() - start));
        }
        return worst;
      });
      await answered;
      const worst = await watching;
      assert.ok(worst < 1.5, `round ${round}: a bubble that nobody scrolled moved by ${worst} px`);
    }
    await page.context().close();
  });

  test('10,000 messages scroll by in order, to the first one and back, in flat memory', async (t) => {
    const { page, problems } = await openTab(browser, site.url, { user: 'reader' });
    const devtools = await page.context().newCDPSession(page);
    const heap = async (): Promise<number> => {
      await devtools.send('HeapProfiler.collectGarbage');
      return (await devtools.send('Runtime.getHeapUsage')).usedSize / 1e6;
    };
    await entry(page, 'middle').click();
    await bubble(page, textOf(9_999)).waitFor();
    const before = await heap();
    const report = await page.evaluate(async () => {
      const view = document.querySelector('.messages')!;
      const seen = new Set<number>();
      let mostRows = 0;
      let disorder = '';
      const frame = () => new Promise(requestAnimationFrame);
      const look = () => {
        const rows = [...view.querySelectorAll('.bubble-text')];
        mostRows = Math.max(mostRows, rows.length);
        const numbers = rows.map((row) => Number(/^#(\d+)/.exec(row.textContent!)![1]));
        numbers.forEach((number, i) => {
          if (i > 0 && numbers[i - 1]! + 1 !== number) disorder ||= numbers.join(' ');
          seen.add(number);
        });
      };
      const until = performance.now() + 240_000;
      while (!seen.has(0) && performance.now() < until) {
        view.scrollTop -= 600;
        await frame();
        look();
      }
      const beginning = document.querySelector('.row-beginning')?.textContent;
      return { seen: seen.size, mostRows, disorder, beginning };
    });
    assert.equal(report.disorder, '');
    assert.equal(report.seen, 10_000);
    assert.equal(report.beginning, 'The beginning of your conversation with middle');
    assert.ok(report.mostRows < 120, `${report.mostRows} rows at once`);
    await screenshot(page, 'history-beginning');
    const after = await heap();
    t.diagnostic(`heap: ${before.toFixed(1)} MB before, ${after.toFixed(1)} MB after 10,000 messages`);
    assert.ok(after - before < 12, `the heap grew from ${before} to ${after} MB`);
    await page.getByRole('button', { name: 'Go to the newest message' }).click();
    await bubble(page, textOf(9_999)).waitFor();
    assert.deepEqual(problems, []);
    await page.context().close();
  });

  test('the conversation list goes on as one scrolls down', async () => {
    const { page } = await openTab(browser, site.url, { user: 'popular' });
    await entry(page, 'peer 129').waitFor();
    await page.locator('.list').hover();
    while ((await page.locator('.item').count()) < PEERS.length) {
      await page.mouse.wheel(0, 2_000);
      await page.waitForTimeout(50);
    }
    const names = await page.locator('.item bdi').allTextContents();
    assert.deepEqual(names, PEERS.toReversed());
    await page.context().close();
  });

  test('the conversation list fills a high window, which leaves nothing to scroll', async () => {
    const { page } = await openTab(browser, site.url, {
      user: 'popular',
      viewport: { width: 1280, height: 3_840 },
    });
    await entry(page, 'peer 30').waitFor();
    await page.setViewportSize({ width: 1280, height: 7_680 });
    await entry(page, 'peer 0').waitFor();
    await page.context().close();
  });

  test('a search shows the first hundred of the conversations that fit, and says how many more there are', async () => {
    const { page } = await openTab(browser, site.url, {
      user: 'popular',
      viewport: { width: 1280, height: 7_680 },
    });
    await entry(page, 'peer 0').waitFor();
    await page.getByRole('textbox', { name: 'Find people and conversations' }).fill('peer');
    const results = page.getByRole('navigation', { name: 'Search results' });
    await results.getByText(`${PEERS.length - 100} more: type more of the name.`).waitFor();
    assert.equal(await results.getByRole('list', { name: 'Conversations' }).getByRole('link').count(), 100);
    await page.getByRole('textbox', { name: 'Find people and conversations' }).fill(`${PEERS[0]}`);
    await results.getByText('more: type').waitFor({ state: 'detached' });
    await page.context().close();
  });

  test('a message is work for its own entry in the list, not for all that are loaded', async () => {
    const { page } = await openTab(browser, site.url, {
      user: 'popular',
      viewport: { width: 1280, height: 7_680 },
    });
    await entry(page, 'peer 0').waitFor();
    const drawn = await page.evaluateHandle(() => {
      const count = { entries: 0 };
      const { toISOString } = Date.prototype;
      // Each entry says its time for machines, too.
      Date.prototype.toISOString = function () {
        count.entries++;
        return toISOString.call(this);
      };
      return count;
    });
    const peer = await connect(site.url, 'peer 7', await mintToken('peer 7'));
    peer.send({ type: 'message', to: 'popular', message: 'here again' });
    await entry(page, 'peer 7').getByText('here again').waitFor();
    const { entries } = await drawn.jsonValue();
    assert.ok(entries > 0 && entries < PEERS.length / 2, `${entries} entries were drawn`);
    peer.close();
    await page.context().close();
  });

  test('100,000 messages open as fast as 100', async (t) => {
    const { page } = await openTab(browser, site.url, { user: 'reader' });
    const short = await timeToOpen(page, 'short', textOf(99), 'middle');
    const long = await timeToOpen(page, 'long', textOf(99_999), 'middle');
    t.diagnostic(
      `from click to newest message: ${short.toFixed(0)} ms of 100, ${long.toFixed(0)} ms of 100,000`,
    );
    assert.ok(long <= Math.max(2 * short, 100), `${long} ms against ${short} ms`);
    await page.context().close();
  });
});
