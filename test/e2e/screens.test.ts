import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { connect, type TestSocket } from '../support/client.ts';
import { mintToken } from '../support/database.ts';
import { ROOT } from '../support/root.ts';
import { waitFor } from '../support/wait.ts';
import {
  assertAccessible,
  DESKTOP,
  launchBrowser,
  measured,
  openTab,
  PHONE,
  screenshot,
} from './support/browser.ts';
import { suiteCleanups } from './support/cleanups.ts';
import { bubble, entry, logIn, mark, register, say, search } from './support/screen.ts';
import { type Site, startSite } from './support/site.ts';
import { PEOPLE, tellStory } from './support/story.ts';

/** What the app's scripts may weigh on the wire, in bytes of gzip. */
const SCRIPT_BUDGET = 120_000;

describe('every screen, in light and dark', () => {
  const cleanups = suiteCleanups();
  let site: Site;
  let browser: Browser;
  let amelie: TestSocket;

  before(async () => {
    site = await startSite(cleanups, { users: PEOPLE, prepare: tellStory });
    browser = await launchBrowser(cleanups);
    amelie = await connect(site.url, 'Amelie Laurent', await mintToken('Amelie Laurent'));
    const charlotte = await connect(site.url, 'Charlotte Weiss', await mintToken('Charlotte Weiss'));
    cleanups.after(() => {
      amelie.close();
      charlotte.close();
    });
  });

  /** Judges and keeps what is on the screen, in both colour schemes. */
  async function keep(page: Page, name: string): Promise<void> {
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await screenshot(page, `${name}-${colorScheme}`);
      await assertAccessible(page, `${name}, ${colorScheme}`);
    }
  }

  for (const [device, options] of [
    ['desktop', DESKTOP],
    ['phone', PHONE],
  ] as const) {
    const phone = device === 'phone';

    test(`${device}: accounts`, async () => {
      const { page, problems } = await openTab(browser, site.url, options);
      await page.getByRole('heading', { name: 'Log in to Parley' }).waitFor();
      await keep(page, `${device}-login`);
      await page.getByRole('button', { name: 'Create an account' }).click();
      await page.getByLabel('User name').fill('Nora');
      await page.getByLabel('Password', { exact: true }).fill('secret');
      await page.getByRole('button', { name: 'Create account' }).click();
      await page.getByText('This name is taken.').waitFor();
      await keep(page, `${device}-register-error`);
      await page.reload();
      await register(page, `Newcomer (${device})`);
      await page.getByText('No conversations yet').waitFor();
      await entry(page, 'Nora').waitFor();
      await keep(page, `${device}-empty`);
      assert.ok((await measured(page)).shift < 0.01);
      assert.deepEqual(problems, []);
      await page.context().close();
    });

    test(`${device}: conversations`, async () => {
      const { page, problems } = await openTab(browser, site.url, { ...options, user: 'Nora' });
      await entry(page, 'Charlotte Weiss').waitFor();
      await page.locator('.presence').nth(2).waitFor();
      if (phone) await keep(page, 'phone-list');
      await search(page).fill('e');
      await entry(page, 'Elif').waitFor();
      await keep(page, `${device}-search`);
      await search(page).fill('');

      const back = async () => {
        if (phone) await page.getByRole('button', { name: 'Back to the list' }).click();
      };
      // Opened but once with something new in it, and the phone comes second.
      if (!phone) {
        await entry(page, 'Charlotte Weiss').click();
        await page.getByText('New messages', { exact: true }).waitFor();
        await keep(page, 'unread');
      }
      await entry(page, 'Amelie Laurent').click();
      await bubble(page, 'See you on Thursday, then!').waitFor();
      await page.locator('.conversation-head').getByText('Online').waitFor();
      await keep(page, `${device}-conversation`);
      amelie.send({ type: 'typing', to: 'Nora' });
      await page.getByText('Amelie Laurent is typing').waitFor();
      await keep(page, `${device}-typing`);
      await page.context().setOffline(true);
      await say(page, 'Amelie Laurent', `On the train now (${device})`);
      await mark(page, `On the train now (${device})`, 'Sending').waitFor();
      await page.getByText('You are offline. Messages wait').waitFor();
      await keep(page, `${device}-offline`);
      await page.context().setOffline(false);
      await mark(page, `On the train now (${device})`, 'Sent').waitFor();
      await back();

      await page.goto(`${site.url}/#/Elif`);
      await page.getByText('This is the beginning of your conversation').waitFor();
      await keep(page, `${device}-beginning`);
      await page.goto(`${site.url}/#/Somebody`);
      await say(page, 'Somebody', 'Are you here?');
      await page.getByText('Not sent.').waitFor();
      await keep(page, `${device}-failed`);
      await page.getByRole('button', { name: 'Delete' }).click();
      await back();

      await page.getByRole('button', { name: 'Settings' }).click();
      await page.getByRole('dialog').waitFor();
      await keep(page, `${device}-settings`);
      const { shift } = await measured(page);
      assert.ok(shift < 0.01, `layout shift ${shift}`);
      assert.deepEqual(problems, []);

      // An exception while rendering says so, instead of leaving a blank page.
      await page.getByRole('button', { name: 'Close' }).click();
      await page.evaluate(() => {
        Date.prototype.toISOString = () => {
          throw new Error('made by the test');
        };
      });
      await search(page).fill('e');
      await search(page).fill('');
      await page.getByRole('alert').getByText('This page can’t go on').waitFor();
      await keep(page, `${device}-broken`);
      await page.getByRole('button', { name: 'Load the page again' }).click();
      await entry(page, 'Dmitri').waitFor();
      await page.context().close();
    });
  }

  test('a page whose parts are of another build says so, and is loaded again until they are there', async () => {
    for (const part of ['js', 'css']) {
      const { page, problems } = await openTab(browser, site.url, { user: 'Nora', reducedMotion: 'reduce' });
      await page.route(`**/assets/*.${part}`, (route) => route.fulfill({ status: 404, json: {} }), {
        times: 2,
      });
      let loads = 0;
      page.on('domcontentloaded', () => {
        loads += 1;
      });
      await page.reload();
      if (part === 'js') {
        assert.ok(!(await page.getByText('this page tries again').isVisible()), 'not before it is true');
        await page.getByText('this page tries again').waitFor();
      }
      await waitFor(
        () => loads === 2,
        60_000,
        () => `without its ${part}, the page has been loaded ${loads} times`,
      );
      await entry(page, 'Dmitri').waitFor();
      assert.deepEqual(problems, []);
      await page.context().close();
    }
  });

  test('a choice of dark or light overrides the system, and is kept', async () => {
    const { page } = await openTab(browser, site.url, { user: 'Nora', colorScheme: 'light' });
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await ground();
    await page.getByRole('button', { name: 'Settings' }).click();
    await page.getByRole('radio', { name: 'Dark' }).check({ force: true });
    const dark = await ground();
    assert.notEqual(dark, light);
    await page.reload();
    assert.equal(await ground(), dark);
    await page.context().close();
  });

  test('the settings close by a click beside them, not by one that selects what is in a field', async () => {
    const { page } = await openTab(browser, site.url, { user: 'Nora' });
    await page.getByRole('button', { name: 'Settings' }).click();
    const field = page.getByLabel('New password');
    await field.fill('not much of it');
    const { x, y } = (await field.boundingBox())!;
    await page.mouse.move(x + 60, y + 20);
    await page.mouse.down();
    await page.mouse.move(x - 200, y + 20);
    await page.mouse.up();
    assert.ok(await field.isVisible());
    await page.mouse.click(x - 200, y + 20);
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await page.context().close();
  });

  test('with the reader’s own colours, the settings show what is chosen', async () => {
    const { page } = await openTab(browser, site.url, {
      user: 'Nora',
      colorScheme: 'light',
      forcedColors: 'active',
    });
    await page.getByRole('button', { name: 'Settings' }).click();
    const looks = (selector: string) =>
      page
        .locator(selector)
        .screenshot({ animations: 'disabled', style: ':focus { outline: none !important }' });
    const system = await looks('.segments');
    await page.getByRole('radio', { name: 'Light' }).check({ force: true });
    await page.mouse.move(0, 0);
    assert.ok(!system.equals(await looks('.segments')), 'one cannot tell which appearance is chosen');
    const shown = await looks('.switch');
    await page.getByRole('switch').evaluate((input) => {
      input.style.visibility = 'hidden';
    });
    assert.ok(!shown.equals(await looks('.switch')), 'the switch cannot be seen');
    await page.context().close();
  });

  test('light, quick and still: transferred scripts, first paint, interactions, layout shift', async (t) => {
    const assets = path.join(ROOT, 'dist/web/assets');
    const bytes = readdirSync(assets)
      .filter((file) => file.endsWith('.js.gz'))
      .reduce((sum, file) => sum + readFileSync(path.join(assets, file)).length, 0);
    assert.ok(bytes > 0 && bytes <= SCRIPT_BUDGET, `${bytes} bytes of scripts`);

    const { page } = await openTab(browser, site.url);
    const policy = (await fetch(site.url)).headers.get('content-security-policy') ?? '';
    assert.match(policy, /default-src 'none'/);
    assert.doesNotMatch(policy, /unsafe|\*/);
    await logIn(page, 'Nora');
    await entry(page, 'Amelie Laurent').click();
    for (let i = 0; i < 5; i++) await say(page, 'Amelie Laurent', `Measured ${i}`);
    await mark(page, 'Measured 4', 'Sent').waitFor();
    await entry(page, 'Benjamin').click();
    await bubble(page, 'Thank you, that helps a lot').waitFor();
    const transferred = await page.evaluate(() =>
      (performance.getEntriesByType('resource') as PerformanceResourceTiming[])
        .filter(({ name }) => /\.(js|css)$/.test(name))
        .reduce((sum, { transferSize }) => sum + transferSize, 0),
    );
    const { firstContentfulPaint, slowest, shift } = await measured(page);
    const figures = {
      scriptsGzipBytes: bytes,
      scriptsAndStylesTransferredBytes: transferred,
      firstContentfulPaintMs: Math.round(firstContentfulPaint),
      slowestInteractionMs: slowest,
      cumulativeLayoutShift: shift,
    };
    t.diagnostic(JSON.stringify(figures));
    mkdirSync(path.join(ROOT, 'artifacts/e2e'), { recursive: true });
    writeFileSync(path.join(ROOT, 'artifacts/e2e/figures.json'), `${JSON.stringify(figures, null, 2)}\n`);
    assert.ok(shift < 0.01, `layout shift ${shift}`);
    // Half a second on an idle machine.
    assert.ok(firstContentfulPaint < 15_000, `first paint after ${firstContentfulPaint} ms`);
    await page.context().close();
  });
});
