import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { segments } from '../../src/web/model/links.ts';

const links = (text: string): string[] =>
  segments(text).flatMap((segment) => (segment.kind === 'link' ? [segment.href] : []));

describe('web addresses in messages', () => {
  for (const [text, expected] of [
    ['plain text', []],
    ['https://example.org', ['https://example.org/']],
    ['see http://example.org/a?b=c#d.', ['http://example.org/a?b=c#d']],
    ['(https://example.org/a_(b))', ['https://example.org/a_(b)']],
    ['www.example.com, and more', ['https://www.example.com/']],
    ['https://example.org/ä/ü!', ['https://example.org/%C3%A4/%C3%BC']],
    ['two: https://a.example https://b.example', ['https://a.example/', 'https://b.example/']],
    ['javascript:alert(1)', []],
    ['data:text/html,<script>alert(1)</script>', []],
    ['https://user:password@example.org/', []],
    ['https://', []],
    ['https://grün.example:8443/x', ['https://xn--grn-ioa.example:8443/x']],
    ['http://[::1]:8888/#/ann', ['http://[::1]:8888/#/ann']],
    ['https://例え.テスト', ['https://xn--r8jz45g.xn--zckzah/']],
    ['https://bank.example\u2044login.evil.example', []],
    ['https://bank.example\u2215login.evil.example', []],
    ['https://bank.example\u29f8login.evil.example', []],
    ['https://bank.example\u2800\u2800.evil.example', []],
    ['https://bank.example\u3164\u3164.evil.example', []],
    ['www.bank.example\u2044login.evil.example', []],
    ['https://example.org/a\u2044b', ['https://example.org/a%E2%81%84b']],
    ['<a href="https://example.org/">x</a>', ['https://example.org/']],
  ] as const) {
    test(text, () => assert.deepEqual(links(text), expected));
  }

  test('they are found in a browser without URL.parse, too', (t) => {
    const parse = t.mock.method(URL, 'parse', () => assert.fail('Safari 17 does not have it'));
    assert.deepEqual(links('see www.example.org, not https://[or'), ['https://www.example.org/']);
    assert.equal(parse.mock.callCount(), 0);
  });

  /** Milliseconds that it takes to split a text so many times; the least of five tries, since others may be given the processor. */
  function timeOf(text: string, times: number): number {
    const tries = Array.from({ length: 5 }, () => {
      const started = performance.now();
      for (let i = 0; i < times; i++) segments(text);
      return performance.now() - started;
    });
    return Math.min(...tries);
  }

  for (const [shape, text, shown] of [
    ['dots, then brackets', `http://a/${'.'.repeat(3_990)}x${')'.repeat(4_000)}`, 4_000],
    ['dots and brackets in turn', `http://a/${'.)'.repeat(3_995)}`, 9],
    ['brackets of all kinds and marks', `http://a/${'}.]!)'.repeat(1_598)}`, 9],
    ['brackets that nothing opens', `http://a/${')'.repeat(7_990)}`, 9],
    ['brackets within brackets', `http://a/${'('.repeat(3_995)}${')'.repeat(3_995)}`, 7_999],
    ['dots alone', `http://a/x${'.'.repeat(7_990)}`, 10],
    ['addresses and brackets', 'http://a/.) '.repeat(666), 9],
  ] as const) {
    test(`8,000 characters from a hostile hand take no longer than others: ${shape}`, () => {
      const harmless = `http://a/${'x'.repeat(text.length - 9)}`;
      const allowed = timeOf(harmless, 500);
      const took = timeOf(text, 1);
      assert.ok(took < allowed, `${took} ms, and ${allowed} ms for 500 harmless texts of this length`);
      const [first] = segments(text);
      assert.equal(first?.kind, 'link');
      assert.equal(first.text.length, shown);
    });
  }

  test('no character is lost, whatever the text', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.string({ unit: 'binary' }), fc.webUrl(), fc.constant(' www.'))),
        (parts) => {
          const text = parts.join(' ');
          const found = segments(text);
          assert.equal(found.map((segment) => segment.text).join(''), text);
          for (const segment of found) {
            if (segment.kind === 'link') assert.match(segment.href, /^https?:\/\//);
          }
        },
      ),
    );
  });
});
