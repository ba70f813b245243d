import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { serverFrame } from '../../src/contract/frames.ts';
import {
  decodeBeat,
  decodeUserEvent,
  encodeMessages,
  encodeRevoked,
  encodeSignal,
} from '../../src/core/events.ts';
import { asRepeat, messageFrameText } from '../../src/core/message-frame.ts';

const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme' }),
  fc.constant('a\nb\r\u2028\u0000'),
);
const id = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
const clientId = fc.option(
  fc.string({
    unit: fc.integer({ min: 0x21, max: 0x7e }).map((c) => String.fromCharCode(c)),
    minLength: 1,
    maxLength: 64,
  }),
);
const message = fc.record({ id, from: text, to: text, text, clientId });
const TIME = '2026-01-31 12:00:00';

test('M2 frame: any text survives, on one line, with the fields in the order of the basic contract', () => {
  fc.assert(
    fc.property(message, (m) => {
      const frame = messageFrameText(m.id, m.from, m.to, m.text, TIME, m.clientId);
      assert.ok(!frame.includes('\n'));
      const expected = {
        from: m.from,
        to: m.to,
        message: m.text,
        type: 'message',
        id: m.id,
        timestamp: TIME,
      };
      const full = m.clientId === null ? expected : { ...expected, client_id: m.clientId };
      assert.equal(frame, JSON.stringify(full));
      assert.equal(asRepeat(frame), JSON.stringify({ ...full, repeat: true }));
    }),
  );
});

test('M2 frame: keeps the schema', () => {
  const frame = messageFrameText(7, 'ann', 'bob', 'hi', TIME, 'c1');
  assert.deepEqual(serverFrame.parse(JSON.parse(asRepeat(frame))), { ...JSON.parse(frame), repeat: true });
});

test('user events: messages come out as they went in', () => {
  fc.assert(
    fc.property(id, fc.nat(), fc.array(message, { minLength: 1, maxLength: 5 }), (prev, at, messages) => {
      const ids = messages.map((m) => m.id);
      const frames = messages.map((m) => messageFrameText(m.id, m.from, m.to, m.text, TIME, m.clientId));
      const event = decodeUserEvent(encodeMessages(prev, at, ids, frames));
      assert.deepEqual(event, { kind: 'messages', prev, at, ids, frames });
    }),
  );
});

test('user events: signals and revocations come out as they went in', () => {
  fc.assert(
    fc.property(text, fc.nat(), fc.option(fc.uuid(), { nil: undefined }), (signal, version, tokenId) => {
      const frame = JSON.stringify({ type: 'typing', from: signal });
      assert.deepEqual(decodeUserEvent(encodeSignal(frame)), { kind: 'signal', frame });
      assert.deepEqual(decodeUserEvent(encodeRevoked(version, tokenId)), {
        kind: 'revoked',
        version,
        tokenId,
      });
    }),
  );
});

test('user events: what is none, or of a kind that this version does not know, is undefined', () => {
  for (const payload of ['', 'q', '{}', 'e 1 2\n{}', 'm', 'm 1 2 3', 'm 1 2 x\n{}', 'm 1 2 3 4\n{}'])
    assert.equal(decodeUserEvent(payload), undefined, payload);
});

test('beats: lists that are not there are empty; what is no beat is undefined', () => {
  const beat = { term: 't', seq: 1, epoch: 'e', writer: { ok: true } };
  assert.deepEqual(decodeBeat(JSON.stringify(beat)), { ...beat, heads: [], revoked: [] });
  const wrong = [
    { term: 1 },
    { seq: '1' },
    { epoch: 1 },
    { writer: undefined },
    { writer: {} },
    { heads: {} },
  ];
  const beats = [...wrong, { revoked: 'ann' }].map((field) => JSON.stringify({ ...beat, ...field }));
  for (const payload of ['', 'junk', 'null', '[]', '{}', ...beats])
    assert.equal(decodeBeat(payload), undefined, payload);
});
