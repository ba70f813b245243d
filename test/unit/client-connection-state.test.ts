import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  HAS_SOCKET,
  IS_WELCOME,
  next,
  type StateName,
  TRANSITIONS,
} from '../../src/client/connection-state.ts';

const STATES = Object.keys(TRANSITIONS) as StateName[];
const EVENTS = Object.keys(TRANSITIONS.idle) as (keyof typeof TRANSITIONS.idle)[];

test('every state says what every event makes of it', () => {
  assert.equal(STATES.length, 7);
  assert.equal(EVENTS.length, 11);
  for (const state of STATES) {
    assert.deepEqual(Object.keys(TRANSITIONS[state]).sort(), [...EVENTS].sort(), state);
    for (const event of EVENTS) assert.ok(STATES.includes(next(state, event)), `${state} × ${event}`);
  }
});

test('whatever happens, a caller that wants out is out, and one that wants in gets a socket', () => {
  for (const state of STATES) {
    assert.equal(next(state, 'disconnect'), 'idle');
    assert.ok(HAS_SOCKET[next(state, 'connect')], state);
  }
});

test('only welcome states are reached through a greeting, and only with a socket', () => {
  for (const state of STATES) if (IS_WELCOME[state]) assert.ok(HAS_SOCKET[state]);
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...EVENTS)), (events) => {
      let state: StateName = 'idle';
      for (const event of events) {
        const after = next(state, event);
        if (IS_WELCOME[after] && !IS_WELCOME[state]) assert.equal(state, 'greeting');
        if (HAS_SOCKET[after] && !HAS_SOCKET[state]) assert.equal(after, 'connecting');
        state = after;
      }
    }),
  );
});

test('from every state there is a way to online', () => {
  const reach = (from: StateName, seen = new Set<StateName>()): Set<StateName> => {
    if (seen.has(from)) return seen;
    seen.add(from);
    for (const event of EVENTS) reach(next(from, event), seen);
    return seen;
  };
  for (const state of STATES) assert.ok(reach(state).has('online'), state);
});
