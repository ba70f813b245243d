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
    ['<a href="https://example.org/">x</a>', ['https://example.org/']],
  ] as const) {
    test(text, () => assert.deepEqual(links(text), expected));
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
