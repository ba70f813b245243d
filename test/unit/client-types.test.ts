import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { z } from 'zod';
import { LOCAL } from '../../src/client/errors.ts';
import type * as wire from '../../src/client/wire.ts';
import type * as frames from '../../src/contract/frames.ts';
import type * as http from '../../src/contract/http.ts';

/** Each can stand for the other. */
type Same<A, B> = [A, B] extends [B, A] ? true : false;
const same = <T extends true>(_?: T): void => {};

test("the client's wire types are the contract's", () => {
  same<Same<wire.Message, frames.MessageFrame>>();
  same<Same<wire.Connected, frames.ConnectedFrame>>();
  same<Same<wire.Page, frames.PageFrame>>();
  same<Same<wire.ServerFrame, frames.ServerFrame>>();
  same<Same<wire.ConnectRequest, frames.ConnectFrame>>();
  same<Same<wire.SendRequest, frames.SendFrame>>();
  same<Same<wire.ClientFrame, frames.ClientFrame>>();
  same<Same<wire.HistoryPage, z.infer<typeof http.historyAnswer>>>();
  same<Same<wire.ConversationSummary, z.infer<typeof http.conversationSummary>>>();
  same<Same<wire.ConversationsPage, z.infer<typeof http.conversationsAnswer>>>();
});

test("the README lists the client's own error codes", () => {
  const readme = readFileSync(new URL('../../src/client/README.md', import.meta.url), 'utf8');
  const list = /\(the contract's, or ([^)]*)\)/.exec(readme)?.[1]?.match(/\w+/g);
  assert.deepEqual(list, Object.keys(LOCAL));
});
