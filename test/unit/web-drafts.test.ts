import '../support/page-address.ts';
import assert from 'node:assert/strict';
import { test } from 'node:test';

/** A browser that stores nothing for the page. */
Object.assign(globalThis, { window: {} });
const { draftOf, keepDraft } = await import('../../src/web/model/drafts.ts');

test('web: where the browser stores nothing, a draft survives a look at another conversation all the same', () => {
  keepDraft('alice', 'bob', 'half a sent');
  keepDraft('alice', 'carol', 'hi');
  assert.equal(draftOf('alice', 'bob'), 'half a sent');
  assert.equal(draftOf('dave', 'bob'), '');
  keepDraft('alice', 'bob', '');
  assert.equal(draftOf('alice', 'bob'), '');
});
