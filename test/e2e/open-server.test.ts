import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { assertAccessible, launchBrowser, openTab } from './support/browser.ts';
import { suiteCleanups } from './support/cleanups.ts';
import { bubble, entry, logIn, mark, register, say } from './support/screen.ts';
import { type Site, startSite } from './support/site.ts';

const SEED_PAGE = readFileSync(path.join(import.meta.dirname, 'seed-frontend.html'));

describe('a server with AUTH=open, in the browser', () => {
  const cleanups = suiteCleanups();
  let site: Site;
  let browser: Browser;
  /** The seed's frontend, on a port (and so an origin) of its own. */
  let frontend = '';

  before(async () => {
    site = await startSite(cleanups, { env: { AUTH: 'open' } });
    browser = await launchBrowser(cleanups);
    const server = createServer((_, response) => {
      response.setHeader('Content-Type', 'text/html; charset=utf-8').end(SEED_PAGE);
    }).listen(0, '127.0.0.1');
    cleanups.after(() => void server.close());
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    frontend = `http://127.0.0.1:${port}/?server=${encodeURIComponent(site.url)}`;
  });

  async function answer(page: Page, path: string): Promise<string> {
    await page.waitForFunction(
      (start) => document.querySelector('#answer')?.textContent?.startsWith(start),
      path,
    );
    const text = (await page.locator('#answer').textContent()) ?? '';
    await page.evaluate(() => document.querySelector('#answer')?.replaceChildren());
    return text;
  }

  async function seedPage(user: string): Promise<Page> {
    const { page } = await openTab(browser, frontend);
    await page.fill('#user', user);
    await page.fill('#password', 'secret');
    return page;
  }

  test('the seed’s frontend works unchanged from another origin', async () => {
    const alice = await seedPage('alice');
    const bob = await seedPage('bob');
    for (const page of [alice, bob]) {
      await page.click('#register');
      assert.equal(
        await answer(page, '/register'),
        '/register 200 {"message":"User registered successfully."}',
      );
    }
    await alice.click('#register');
    assert.equal(await answer(alice, '/register'), '/register 409 {"error":"User ID already exists."}');
    await alice.fill('#password', 'wrong');
    await alice.click('#login');
    assert.equal(await answer(alice, '/login'), '/login 401 {"error":"Invalid credentials."}');
    await alice.fill('#password', '');
    await alice.click('#register');
    assert.equal(await answer(alice, '/register'), '/register 400 {"error":"Missing user_id or password"}');
    await alice.fill('#password', 'secret');

    for (const page of [alice, bob]) {
      await page.click('#login');
      await page.waitForFunction(() => document.title === 'connected');
    }
    assert.deepEqual(await alice.locator('#users option').allTextContents(), ['bob']);
    await alice.fill('#text', 'Hello, how are you?');
    await alice.press('#text', 'Enter');
    await bob.getByText('alice to bob: Hello, how are you?').waitFor();
    await bob.fill('#text', '<b>Fine</b>');
    await bob.press('#text', 'Enter');
    const both = ['alice to bob: Hello, how are you?', 'bob to alice: <b>Fine</b>'];
    for (const page of [alice, bob]) {
      await page.waitForFunction(() => document.querySelectorAll('#messages li').length === 2);
      assert.deepEqual(await page.locator('#messages li').allTextContents(), both);
    }

    const again = await seedPage('alice');
    await again.click('#login');
    await again.waitForFunction(() => document.title === 'connected');
    assert.deepEqual(await again.locator('#messages li').allTextContents(), both);
    for (const page of [alice, bob, again]) await page.context().close();
  });

  test('the web app works without tokens, and says what an open server means', async () => {
    const carol = await openTab(browser, site.url);
    await carol.page.getByText('This server is open').waitFor();
    await assertAccessible(carol.page, 'the login of an open server');
    await register(carol.page, 'carol');
    const dave = await openTab(browser, site.url);
    await register(dave.page, 'dave');
    await entry(dave.page, 'carol').click();
    await say(dave.page, 'carol', 'No token needed');
    await entry(carol.page, 'dave').click();
    await bubble(carol.page, 'No token needed').waitFor();
    await mark(dave.page, 'No token needed', 'Read').waitFor();
    await dave.page.reload();
    await bubble(dave.page, 'No token needed').waitFor();
    await dave.page.getByRole('button', { name: 'Settings' }).click();
    await dave.page.getByRole('button', { name: 'Log out' }).click();
    await logIn(dave.page, 'dave');
    await entry(dave.page, 'carol').click();
    await bubble(dave.page, 'No token needed').waitFor();
    assert.deepEqual([...carol.problems, ...dave.problems], []);
    await carol.page.context().close();
    await dave.page.context().close();
  });
});
