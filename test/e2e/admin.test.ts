import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { freePort } from '../support/ports.ts';
import { assertAccessible, launchBrowser, openTab, screenshot, type Tab } from './support/browser.ts';
import { suiteCleanups } from './support/cleanups.ts';
import { startSite } from './support/site.ts';

describe('the cluster page, in the browser', () => {
  const cleanups = suiteCleanups();
  let browser: Browser;
  let url = '';

  before(async () => {
    const port = await freePort();
    await startSite(cleanups, { env: { ADMIN_PORT: String(port) } });
    url = `http://127.0.0.1:${port}/admin`;
    browser = await launchBrowser(cleanups);
  });

  /** How wide the page is, and which of its parts stick out of the window. */
  const extent = (page: Page) =>
    page.evaluate(() => [
      `page ${document.documentElement.scrollWidth}`,
      ...[...document.querySelectorAll('header *, .tile, .panel, canvas')]
        .map((each) => ({ each, ...each.getBoundingClientRect().toJSON() }))
        .filter(({ left, right }) => left < 0 || right > innerWidth)
        .map(({ each, right }) => `${each.className || each.tagName} ${right}`),
    ]);

  async function open(width: number): Promise<Tab> {
    const tab = await openTab(browser, url, { viewport: { width, height: 844 } });
    await tab.page.locator('.tile').first().waitFor();
    // The writer, two gateways and the reader: only then is the table as wide as it gets.
    await tab.page.locator('#nodes .chip').nth(3).waitFor();
    return tab;
  }

  for (const width of [390, 700, 1280]) {
    test(`at ${width} px nothing is cut off, and the page does not scroll sideways`, async () => {
      const { page, problems } = await open(width);
      assert.deepEqual(await extent(page), [`page ${width}`]);
      // The table of a narrow page is wider than it: it scrolls in its own box, to the last column. It is drawn anew every
      // second, perhaps wider: so at one go.
      const { wider, end } = await page.locator('.scroll').evaluate((box) => {
        box.scrollTo({ left: box.scrollWidth });
        const { right } = [...box.querySelectorAll('td')].at(-1)!.getBoundingClientRect();
        return { wider: box.scrollWidth > box.clientWidth, end: right };
      });
      assert.equal(wider, width < 1_000);
      assert.ok(end <= width, `the last column ends at ${end}`);
      await assertAccessible(page, `the cluster page at ${width} px`);
      await screenshot(page, `cluster-page-${width}`);
      assert.deepEqual(problems, []);
    });
  }

  test('the values below the cursor do not make a narrow page wider', async () => {
    const { page } = await open(390);
    for (const plot of await page.locator('.u-over').all()) {
      // Left of the middle they are shown to the right of the cursor, where there is least room.
      const { width } = (await plot.boundingBox())!;
      await plot.hover({ position: { x: width / 2 - 2, y: 60 } });
      await plot.locator('.tip:visible').waitFor();
      assert.deepEqual(await extent(page), ['page 390']);
    }
  });

  test('a node that does not answer any more is told in the title, too: the tab may be in the background', async () => {
    const { page } = await open(1280);
    await page.route('**/cluster.json*', (route) => route.abort());
    await page.getByText('This node does not answer').waitFor();
    assert.equal(await page.title(), '(!) Parley cluster');
    await page.unroute('**/cluster.json*');
    await page.getByText('All well').waitFor();
    assert.equal(await page.title(), 'Parley cluster');
  });

  test('a worker that is not ready is told in words, not by its colour alone', async () => {
    const { page } = await open(1280);
    await page.route('**/cluster.json*', async (route) => {
      const answer = await (await route.fetch()).json();
      for (const worker of answer.nodes[0].workers) if (worker.name === 'gateway 2') worker.upMs = null;
      await route.fulfill({ json: answer });
    });
    await page.locator('.chip.bad').waitFor();
    assert.equal(await page.locator('.chip.bad').textContent(), 'gateway 2 not ready');
  });

  test('a browser that stores nothing for the page shows it all the same, in the theme that is chosen', async (t) => {
    const page = await browser.newPage();
    t.after(() => page.close());
    await page.addInitScript(() => {
      Object.defineProperty(window, 'localStorage', {
        get: () => {
          throw new DOMException('Storage is blocked.', 'SecurityError');
        },
      });
    });
    await page.goto(url);
    await page.getByText('All well').waitFor();
    await page.locator('#theme').click();
    await page.locator('html[data-theme=dark]').waitFor();
  });

  test('the charts follow a window that is made narrow', async () => {
    const { page } = await open(1280);
    await page.setViewportSize({ width: 390, height: 844 });
    await page.waitForFunction(() =>
      [...document.querySelectorAll('.u-over')].every((plot) => plot.getBoundingClientRect().right < 390),
    );
    assert.deepEqual(await extent(page), ['page 390']);
  });
});
