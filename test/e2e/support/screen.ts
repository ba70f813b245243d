import type { Locator, Page } from 'playwright-core';

/*
 * The screens, by what a person sees and a screen reader says.
 */

export async function register(page: Page, user: string, password = 'secret'): Promise<void> {
  await page.getByRole('button', { name: 'Create an account' }).click();
  await page.getByLabel('User name').fill(user);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Create account' }).click();
}

export async function logIn(page: Page, user: string, password = 'secret'): Promise<void> {
  await page.getByLabel('User name').fill(user);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Log in' }).click();
}

export const search = (page: Page): Locator => page.getByLabel('Find people and conversations');

/** The entry of a person in the list or among the search results. */
export const entry = (page: Page, person: string): Locator =>
  page.locator('.item').filter({ has: page.locator(`bdi:text-is("${person}")`) });

/** Starts or opens a conversation as one does with someone new. */
export async function find(page: Page, person: string): Promise<void> {
  await search(page).fill(person);
  await entry(page, person).click();
  await composer(page, person).waitFor();
}

export const composer = (page: Page, peer: string): Locator =>
  page.getByRole('textbox', { name: `Message to ${peer}` });

export async function say(page: Page, peer: string, text: string): Promise<void> {
  await composer(page, peer).fill(text);
  await page.getByRole('button', { name: 'Send' }).click();
}

/** The bubbles with exactly this text, white space apart. */
export const bubble = (page: Page, text: string): Locator =>
  page.locator('.bubble').filter({ has: page.getByText(text, { exact: true }) });

/** The texts in the message list, from top to bottom. */
export const texts = (page: Page): Promise<string[]> => page.locator('.bubble-text').allTextContents();

/** The mark of an own message: Sending, Sent, Read or Not sent. */
export const mark = (page: Page, text: string, words: string): Locator =>
  bubble(page, text).locator('.delivery').filter({ hasText: words });

/** As if the user had turned to another window. */
export async function lookAway(page: Page, away: boolean): Promise<void> {
  await page.evaluate((gone) => {
    document.hasFocus = () => !gone;
    window.dispatchEvent(new Event(gone ? 'blur' : 'focus'));
  }, away);
}
