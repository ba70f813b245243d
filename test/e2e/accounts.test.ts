import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { Browser } from 'playwright-core';
import { call, logIn as logInByHttp } from '../support/client.ts';
import { launchBrowser, openSibling, openTab } from './support/browser.ts';
import { suiteCleanups } from './support/cleanups.ts';
import { bubble, composer, entry, find, logIn, register, say, search } from './support/screen.ts';
import { type Site, startSite } from './support/site.ts';

describe('accounts in the browser', () => {
  const cleanups = suiteCleanups();
  let site: Site;
  let browser: Browser;

  before(async () => {
    site = await startSite(cleanups, {
      users: ['anna', 'ben', 'cleo', 'dora', 'emil', 'finn', 'gina', 'hugo'],
    });
    browser = await launchBrowser(cleanups);
  });

  test('a stranger registers, finds somebody and writes, knowing nothing', async () => {
    const { page, problems } = await openTab(browser, site.url);
    await register(page, 'stranger');
    await page.getByText('No conversations yet').waitFor();
    await entry(page, 'ben').click();
    await say(page, 'ben', 'Hello, I am new here');
    await bubble(page, 'Hello, I am new here').getByText('Sent').waitFor();
    assert.deepEqual(problems, []);
    await page.context().close();
  });

  test('what is wrong with a name or a password is said at the field', async () => {
    const { page } = await openTab(browser, site.url);
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('alert').getByText('Enter your user name.').waitFor();
    // As an old database may have it: nothing of it is left out.
    await page.getByLabel('Password', { exact: true }).focus();
    await page.keyboard.insertText('x'.repeat(300));
    assert.equal((await page.getByLabel('Password', { exact: true }).inputValue()).length, 300);
    await logIn(page, 'anna', 'not hers');
    await page.getByRole('alert').getByText('The user name or the password is wrong.').waitFor();
    assert.equal(await page.getByLabel('Password', { exact: true }).getAttribute('aria-invalid'), 'true');
    await page.getByRole('button', { name: 'Create an account' }).click();
    await page.getByRole('button', { name: 'Create account' }).click();
    await page.getByRole('alert').getByText('This name is taken.').waitFor();
    assert.equal(await page.evaluate(() => document.activeElement?.getAttribute('name')), 'username');
    await page.getByLabel('User name').fill('one\u200dtwo');
    await page.getByRole('button', { name: 'Create account' }).click();
    await page.getByRole('alert').getByText('none of them invisible').waitFor();
    await page.context().close();
  });

  test('an accent written as a character of its own, and a space behind a name, keep nobody out', async () => {
    const [name, typed] = ['Zoë'.normalize('NFC'), 'Zoë'.normalize('NFD')];
    const { page } = await openTab(browser, site.url);
    await register(page, typed);
    await page.locator('.sidebar-head').getByText(name, { exact: true }).waitFor();
    await page.getByRole('button', { name: 'Settings' }).click();
    await page.getByRole('button', { name: 'Log out', exact: true }).click();
    await logIn(page, `${typed} `);
    await page.locator('.sidebar-head').getByText(name, { exact: true }).waitFor();
    await page.context().close();
    const anna = await openTab(browser, site.url, { user: 'anna' });
    await search(anna.page).fill(typed);
    await entry(anna.page, name).waitFor();
    await anna.page.context().close();
  });

  test('when the login fails after the registration, a second try logs in; people who can’t be asked for are not said to be none', async () => {
    const { page } = await openTab(browser, site.url);
    await page.route('**/login', (route) => route.abort());
    await register(page, 'unlucky');
    await page.getByRole('alert').getByText('The server could not be reached.').waitFor();
    await page.unroute('**/login');
    await page.getByRole('button', { name: 'Create account' }).click();
    await page.getByText('No conversations yet').waitFor();

    // Nor does it say that nobody else is there when it could not ask.
    const lookAgain = async () => {
      await search(page).fill('b');
      await search(page).fill('');
    };
    await page.route('**/users?*', (route) => route.abort());
    const failed = page.waitForEvent('requestfailed', (request) => request.url().includes('limit=20'));
    await lookAgain();
    await failed;
    await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 100)));
    assert.equal(await page.getByText('You are the first one here').count(), 0);
    await page.unroute('**/users?*');
    await lookAgain();
    await page.getByText('No conversations yet').waitFor();
    await page.context().close();
  });

  test('a session that ended leaves its conversation to the same user, and to nobody else', async () => {
    const { page } = await openTab(browser, site.url, { user: 'finn' });
    const endSession = async () => {
      const kept = await page.evaluate(() => localStorage.getItem('parley:session'));
      await call(site.url, 'POST', '/logout', { token: JSON.parse(kept!).token });
      await page.getByRole('heading', { name: 'Log in to Parley' }).waitFor();
    };
    await find(page, 'anna');
    await endSession();
    await logIn(page, 'finn');
    await composer(page, 'anna').waitFor();
    await endSession();
    await page.reload();
    await logIn(page, 'gina');
    await page.getByRole('heading', { name: 'Welcome to Parley' }).waitFor();
    assert.equal(await page.locator('.conversation-head').count(), 0);
    await page.context().close();
  });

  test('a session outlives a reload, and a draft does, too', async () => {
    const { page } = await openTab(browser, site.url);
    await logIn(page, 'anna');
    await entry(page, 'ben').click();
    await composer(page, 'ben').fill('half a thou');
    await page.reload();
    await composer(page, 'ben').waitFor();
    assert.equal(await composer(page, 'ben').inputValue(), 'half a thou');
    await page.context().close();
  });

  test('a browser that keeps nothing for the page chats as well, and says why the session ended', async () => {
    const { page } = await openTab(browser, site.url);
    await page.addInitScript(() => {
      for (const name of ['localStorage', 'sessionStorage']) {
        Object.defineProperty(window, name, {
          get: () => {
            throw new DOMException('Access is denied for this document.', 'SecurityError');
          },
        });
      }
    });
    await page.reload();
    await logIn(page, 'gina');
    await find(page, 'ben');
    await say(page, 'ben', 'from a private window');
    await bubble(page, 'from a private window').getByText('Sent').waitFor();
    const token = await logInByHttp(site.url, 'gina');
    await call(site.url, 'POST', '/logout', { token, body: { everywhere: true } });
    const ended = 'Your session has been ended. Log in again.';
    await page.getByText(ended).waitFor();
    // Who listens hears it with the field that has the focus now.
    const heard = await page.evaluate(() => {
      const id = document.activeElement?.getAttribute('aria-describedby');
      return document.getElementById(id ?? '')?.textContent;
    });
    assert.equal(heard, ended);
    await page.context().close();
  });

  test('tabs keep in step: a login, a message, a reading and a logout in one are seen in the other', async () => {
    const first = await openTab(browser, site.url);
    const second = await openSibling(first, site.url);
    await logIn(first.page, 'cleo');
    await search(second.page).waitFor();
    await first.page.bringToFront();
    await entry(first.page, 'anna').click();
    await say(first.page, 'anna', 'from the first tab');
    await second.page.bringToFront();
    await entry(second.page, 'anna').click();
    await bubble(second.page, 'from the first tab').waitFor();
    await second.page.getByRole('button', { name: 'Settings' }).click();
    await second.page.getByRole('button', { name: 'Log out', exact: true }).click();
    await second.page.getByRole('heading', { name: 'Log in to Parley' }).waitFor();
    await first.page.getByText('You logged out in another tab.').waitFor();
    await first.page.context().close();
  });

  test('a page that the back button brings back follows what other tabs have done meanwhile', async () => {
    const { page } = await openTab(browser, site.url, { user: 'hugo' });
    await page.locator('.sidebar-head').getByText('hugo').waitFor();
    // Playwright turns the cache of pages off: what its events tell is all that the app has of it.
    const away = (change: () => void) =>
      page.evaluate(`{
        window.dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }));
        (${change})();
        window.dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }));
      }`);
    await away(() => {});
    await page.locator('.sidebar-head').getByText('hugo').waitFor();
    await away(() => {
      sessionStorage.setItem('kept', String(localStorage.getItem('parley:session')));
      localStorage.removeItem('parley:session');
    });
    await page.getByText('You logged out in another tab.').waitFor();
    await away(() => localStorage.setItem('parley:session', String(sessionStorage.getItem('kept'))));
    await page.locator('.sidebar-head').getByText('hugo').waitFor();
    await page.context().close();
  });

  test('G9: a new password ends the sessions on other devices, and not those of this browser', async () => {
    const here = await openTab(browser, site.url);
    await logIn(here.page, 'dora');
    const sibling = await openSibling(here, site.url);
    const elsewhere = await openTab(browser, site.url);
    await logIn(elsewhere.page, 'dora');
    await search(elsewhere.page).waitFor();
    await here.page.bringToFront();
    await here.page.getByRole('button', { name: 'Settings' }).click();
    const dialog = here.page.getByRole('dialog');
    await dialog.getByLabel('Current password').fill('wrong');
    await dialog.getByLabel('New password').fill('better');
    await dialog.getByRole('button', { name: 'Change' }).click();
    await dialog.getByText('The current password is wrong.').waitFor();
    await dialog.getByLabel('Current password').fill('secret');
    await dialog.getByRole('button', { name: 'Change' }).click();
    await dialog.getByText('Other sessions have ended').waitFor();
    await elsewhere.page.getByText('Your session has been ended. Log in again.').waitFor();
    await dialog.getByRole('button', { name: 'Close' }).click();
    await sibling.page.bringToFront();
    await entry(sibling.page, 'anna').click();
    await say(sibling.page, 'anna', 'still here');
    await bubble(sibling.page, 'still here').getByText('Sent').waitFor();
    await elsewhere.page.context().close();
    await here.page.context().close();
  });

  test('G9: logging out everywhere ends the other devices', async () => {
    const here = await openTab(browser, site.url);
    await logIn(here.page, 'emil');
    const token = await logInByHttp(site.url, 'emil');
    await here.page.getByRole('button', { name: 'Settings' }).click();
    await here.page.getByRole('button', { name: 'Log out everywhere' }).click();
    await here.page.getByRole('heading', { name: 'Log in to Parley' }).waitFor();
    const deadline = Date.now() + 20_000;
    let status = 200;
    while (status === 200 && Date.now() < deadline) {
      ({ status } = await call(site.url, 'GET', '/conversations', { token }));
    }
    assert.equal(status, 401);
    await here.page.context().close();
  });
});
