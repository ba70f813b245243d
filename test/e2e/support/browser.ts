import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { BROWSERS, findProgram } from '../../support/programs.ts';
import { waitFor } from '../../support/wait.ts';
import type { Cleanups } from './cleanups.ts';
import { sessionOf } from './site.ts';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const ARTIFACTS = path.join(import.meta.dirname, '../../../artifacts/e2e');

/** All of a short conversation is in view, and so in the page. */
export const TALL = { viewport: { width: 1280, height: 1600 } } as const;
export const DESKTOP = { viewport: { width: 1280, height: 800 } } as const;
export const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true } as const;

/** A browser with a new profile. Playwright's bundled one is not used: Debian's is the one people can install. */
export async function launchBrowser(cleanups: Cleanups): Promise<Browser> {
  const browser = await chromium.launch({
    executablePath: process.env['CHROMIUM'] ?? BROWSERS.map(findProgram).find(Boolean) ?? BROWSERS[0],
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
  cleanups.after(() => browser.close());
  // A page in the background costs nearly as much as one in front.
  cleanups.afterEach(async () => {
    await Promise.all(browser.contexts().map((profile) => profile.close()));
  });
  return browser;
}

/** A page, and what went wrong in it that nobody looked at. */
export type Tab = {
  readonly page: Page;
  /** Exceptions, and what the content security policy blocked. */
  readonly problems: readonly string[];
  /** Which worker holds the page's socket, as node/worker; waits for one. */
  worker(): Promise<string>;
};

export type TabOptions = BrowserContextOptions & {
  /** Logged in already. */
  readonly user?: string;
};

/** A profile of its own, and a page in it. */
export async function openTab(browser: Browser, url: string, options: TabOptions = {}): Promise<Tab> {
  const { user, ...context } = options;
  const profile = await browser.newContext({
    ...DESKTOP,
    locale: 'en-GB',
    ...(user !== undefined && { storageState: await sessionOf(url, user) }),
    ...context,
  });
  profile.setDefaultTimeout(60_000);
  const page = await profile.newPage();
  const tab = await watch(page);
  await page.goto(url);
  return tab;
}

/** Another tab of the same profile. */
export async function openSibling(tab: Tab, url: string): Promise<Tab> {
  const page = await tab.page.context().newPage();
  const sibling = await watch(page);
  await page.goto(url);
  return sibling;
}

async function watch(page: Page): Promise<Tab> {
  const problems: string[] = [];
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => {
    if (/Content[- ]Security[- ]Policy/i.test(message.text())) problems.push(message.text());
  });
  let worker: string | null = null;
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('Network.enable');
  devtools.on('Network.webSocketCreated', () => {
    worker = null;
  });
  devtools.on('Network.webSocketHandshakeResponseReceived', ({ response }) => {
    const name = Object.keys(response.headers).find((header) => header.toLowerCase() === 'parley-worker');
    worker = name === undefined ? null : (response.headers[name] ?? null);
  });
  await page.addInitScript(() => {
    const seen = { shift: 0, slowest: 0 };
    Object.assign(window, { seen });
    type Shift = PerformanceEntry & { readonly value: number; readonly hadRecentInput: boolean };
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries() as Shift[]) if (!entry.hadRecentInput) seen.shift += entry.value;
    }).observe({ type: 'layout-shift', buffered: true });
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries() as (PerformanceEntry & { readonly interactionId?: number })[]) {
        if (entry.interactionId) seen.slowest = Math.max(seen.slowest, entry.duration);
      }
    }).observe({ type: 'event', buffered: true, durationThreshold: 16 } as PerformanceObserverInit);
  });
  return {
    page,
    problems,
    async worker() {
      await waitFor(
        () => worker !== null,
        30_000,
        () => 'the page has opened no socket',
      );
      return worker!;
    },
  };
}

export type Measured = {
  /** Cumulative layout shift that no input caused. */
  readonly shift: number;
  /** Milliseconds from an input to the frame that shows its effect; 0 when all took less than 16. */
  readonly slowest: number;
  readonly firstContentfulPaint: number;
};

export const measured = (page: Page): Promise<Measured> =>
  page.evaluate(() => ({
    ...(window as unknown as { seen: { shift: number; slowest: number } }).seen,
    firstContentfulPaint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0,
  }));

/** Fails with what axe has to say about the page. It runs in a world of its own, which the page's policy leaves alone. */
export async function assertAccessible(page: Page, screen: string): Promise<void> {
  const devtools = await page.context().newCDPSession(page);
  const { frameTree } = await devtools.send('Page.getFrameTree');
  const { executionContextId: contextId } = await devtools.send('Page.createIsolatedWorld', {
    frameId: frameTree.frame.id,
  });
  await devtools.send('Runtime.evaluate', { expression: `${AXE};0`, contextId });
  const { result, exceptionDetails } = await devtools.send('Runtime.evaluate', {
    expression: `axe.run(document).then(({ passes, violations }) => ({
      passes: passes.length,
      violations: violations.map(({ id, nodes }) =>
        id + ': ' + nodes.map(({ target, failureSummary }) => target.join(' ') + ' ' + failureSummary).join('; ')),
    }))`,
    contextId,
    awaitPromise: true,
    returnByValue: true,
  });
  await devtools.detach();
  assert.equal(exceptionDetails, undefined, `axe on ${screen}: ${exceptionDetails?.exception?.description}`);
  const { passes, violations } = result.value as { passes: number; violations: string[] };
  assert.deepEqual(violations, [], `axe on ${screen}`);
  assert.ok(passes >= 10, `axe found next to nothing to judge on ${screen}`);
}

export async function screenshot(page: Page, name: string): Promise<void> {
  mkdirSync(ARTIFACTS, { recursive: true });
  await page.screenshot({ path: path.join(ARTIFACTS, `${name}.png`), animations: 'disabled' });
}
