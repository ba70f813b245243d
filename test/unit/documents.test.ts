import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { z } from 'zod';
import { ATTEMPT_LIMITS } from '../../src/auth/attempts.ts';
import { asyncApiDocument, openApiDocument } from '../../src/contract/documents.ts';
import { CLOSE, ERRORS } from '../../src/contract/errors.ts';
import * as frames from '../../src/contract/frames.ts';
import { ROUTES } from '../../src/contract/http.ts';
import { LIMITS } from '../../src/contract/limits.ts';
import { docsPage, homePage } from '../../src/gateway/http/pages.ts';

type Json = { readonly [key: string]: Json } & { readonly $ref?: string; readonly enum?: readonly string[] };
const openApi = openApiDocument() as Json;
const asyncApi = asyncApiDocument() as Json;
const CONTRACT = path.join(import.meta.dirname, '../../src/contract');
const spec = readFileSync(path.join(CONTRACT, 'SPEC.md'), 'utf8');
const at = (document: Json, ...keys: string[]): Json | undefined =>
  keys.reduce<Json | undefined>((node, key) => node?.[key], document);

/** Every $ref of a document, followed. */
function assertRefs(document: Json): void {
  const visit = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return;
    for (const [key, value] of Object.entries(node)) {
      if (key !== '$ref') visit(value);
      else assert.ok(at(document, ...String(value).slice(2).split('/')), `${value} leads nowhere`);
    }
  };
  visit(document);
}

test('documents: OpenAPI names every route, with summary, answer and errors, and its references lead somewhere', () => {
  assert.equal(openApi['openapi'], '3.1.0');
  assertRefs(openApi);
  for (const { method, path: route, errors, ...more } of ROUTES) {
    const operation = at(openApi, 'paths', route, method);
    assert.ok(operation, `${method} ${route}`);
    assert.ok(operation['summary'] && operation['operationId']);
    const responses = Object.keys(operation['responses'] ?? {});
    const unready = 'unready' in more ? ['503'] : [];
    assert.deepEqual(new Set(responses), new Set(['200', ...errors.map(String), ...unready]));
  }
  const ids = Object.values(openApi['paths'] ?? {}).flatMap((one) =>
    Object.values(one).map((operation) => (operation as unknown as { operationId: string }).operationId),
  );
  assert.equal(new Set(ids).size, ROUTES.length);
});

test('documents: OpenAPI states the bounds that are held to, what may be left out, and what /readyz says when it is not', () => {
  const schema = (...keys: string[]): Json | undefined => at(openApi, 'paths', ...keys);
  const query = schema('/history', 'get', 'parameters') as unknown as readonly Json[];
  const bounds = Object.fromEntries(
    query.map(({ name, schema }) => [name, [schema?.['type'], schema?.['minimum'], schema?.['maximum']]]),
  );
  assert.deepEqual(bounds['limit'], ['integer', 1, LIMITS.historyPageMax]);
  for (const [route, standard] of [
    ['/history', LIMITS.historyPage],
    ['/conversations', LIMITS.conversationsPage],
    ['/users', LIMITS.usersPage],
  ] as const) {
    const parameters = schema(route, 'get', 'parameters') as unknown as readonly Json[];
    const limit = parameters.find(({ name }) => String(name) === 'limit');
    assert.equal(limit?.['schema']?.['description'], `Default: ${standard}`, route);
  }
  assert.deepEqual(bounds['before'], ['integer', 0, Number.MAX_SAFE_INTEGER]);
  const body = ['post', 'requestBody', 'content', 'application/json', 'schema'] as const;
  const id = String(schema('/register', ...body, 'properties', 'user_id', 'pattern'));
  for (const [user, valid] of [
    ['Zoë', true],
    ['a'.repeat(65), false],
    [' x', false],
    ['__proto__', false],
  ] as const)
    assert.equal(new RegExp(id, 'u').test(user), valid, user);
  assert.equal(schema('/logout', 'post', 'requestBody', 'required'), false);
  assert.equal(schema('/login', 'post', 'requestBody', 'required'), true);
  for (const route of ['/logout', '/change-password'])
    assert.ok(schema(route, ...body, 'properties', 'user_id'), route);
  const unready = schema('/readyz', 'get', 'responses', '503', 'content', 'application/json', 'schema');
  assert.deepEqual(unready?.['required'], ['ready', 'auth', 'checks']);
});

test('documents: OpenAPI names the errors that the rules give every route of a kind: bodies, tokens, reads of the store', () => {
  // Of rule L10: one user's requests that read the store.
  const readsStore = new Set<string>(['/get-messages', '/history', '/conversations', '/users']);
  for (const route of ROUTES) {
    const expected = [
      ...('body' in route ? [400, 408, 413] : []), // H7, L7, L1
      ...(route.auth ? [401, 403] : []), // A3, A2
      ...(readsStore.has(route.path) ? [429] : []),
    ];
    const errors = new Set<number>(route.errors);
    assert.deepEqual(
      expected.filter((status) => !errors.has(status)),
      [],
      route.path,
    );
  }
});

test("documents: the server's pages lead nowhere else when a proxy serves them under a path", () => {
  for (const page of [homePage(), docsPage()]) {
    const links = [...page.matchAll(/href="(.*?)"/g)].map(([, href]) => String(href));
    assert.ok(links.length > 0);
    for (const href of links) assert.match(href, /^[a-z]/, `${href} leaves the path`);
  }
});

test('documents: /docs says where the token goes, and what AUTH=open wants; its frames are such as are taken', () => {
  const page = docsPage();
  for (const said of ['Authorization: Bearer', 'AUTH=open', 'user_id'])
    assert.ok(page.includes(said), `/docs does not say ${said}`);
  const shown = [...page.matchAll(/<code>(\{"type".*?\})<\/code>/g)].map(([, frame]) =>
    JSON.parse(String(frame)),
  );
  assert.deepEqual(
    shown.map((frame) => frames.clientFrame.parse(frame).type),
    ['connect', 'message'],
  );
  const bearer = at(openApi, 'components', 'securitySchemes', 'bearer');
  assert.match(String(bearer?.['description']), /AUTH=open/);
});

test('documents: SPEC.md names every field of every body, query, answer and frame', () => {
  const said = new Set([...spec.matchAll(/`([^`]*)`/g)].flatMap(([, code = '']) => code.match(/\w+/g) ?? []));
  const fieldsOf = (node: unknown): string[] => {
    if (typeof node !== 'object' || node === null) return [];
    const { properties } = node as { properties?: object };
    return [...Object.keys(properties ?? {}), ...Object.values(node).flatMap(fieldsOf)];
  };
  const http = ROUTES.flatMap((route) => [
    route.answer,
    ...('body' in route ? [route.body] : []),
    ...('query' in route ? [route.query] : []),
  ]);
  for (const type of [...http, frames.clientFrame, frames.serverFrame]) {
    const fields = fieldsOf(z.toJSONSchema(type as z.ZodType, { io: 'input', unrepresentable: 'any' }));
    assert.ok(fields.length > 0);
    assert.deepEqual(
      fields.filter((field) => !said.has(field)),
      [],
    );
  }
});

test('documents: two routes of one path, if there ever are, are both in OpenAPI', () => {
  const operations = Object.values(openApi['paths'] ?? {}).flatMap((one) => Object.keys(one));
  assert.equal(operations.length, ROUTES.length);
});

test('documents: every route under SPEC part H is in OpenAPI', () => {
  const documented = new Set(ROUTES.map((route) => `${route.method.toUpperCase()} ${route.path}`));
  const named = [...spec.matchAll(/`(GET|POST)\s+(\/[\w-]+)/g)].map(
    ([, method, route]) => `${method} ${route}`,
  );
  assert.ok(named.length >= 10);
  assert.deepEqual(
    [...new Set(named)].filter((route) => !documented.has(route) && route !== 'GET /ws'),
    [],
  );
});

test('documents: AsyncAPI has every frame of frames.ts, client to server and server to client', () => {
  assert.equal(asyncApi['asyncapi'], '3.0.0');
  assertRefs(asyncApi);
  const types = (schemas: readonly { shape: { type: { value: string } } }[]): string[] =>
    schemas.map(({ shape }) => shape.type.value).sort();
  const documented = (action: string): string[] =>
    (at(asyncApi, 'operations', action, 'messages') as unknown as Json[])
      .map(({ $ref }) => String($ref).split('/').at(-1) as string)
      .map((id) =>
        String(at(asyncApi, 'components', 'messages', id, 'payload', 'properties', 'type', 'const')),
      )
      .sort();
  assert.deepEqual(documented('receive'), types(frames.clientFrame.options as never));
  assert.deepEqual(documented('send'), types(frames.serverFrame.options as never));
});

test('documents: every error code is in AsyncAPI, with a status, a sentence and whether to retry', () => {
  const codes = at(asyncApi, 'components', 'messages', 'Error', 'payload', 'properties', 'code')?.enum;
  assert.deepEqual([...(codes ?? [])].sort(), Object.keys(ERRORS).sort());
  for (const [code, { status, text, retryable }] of Object.entries(ERRORS)) {
    assert.ok(status >= 400 && status < 600, code);
    assert.ok(text.length > 5, code);
    assert.equal(typeof retryable, 'boolean');
  }
});

test('K4: the close codes of the rule are those of errors.ts, and so are those a client reconnects after', () => {
  const rule = (spec.match(/\*\*K4\*\*[\s\S]*?(?=\n- \*\*|\n## )/)?.[0] ?? '').replace(/\s+/g, ' ');
  const [listed = '', reconnects = ''] = rule.split('A client reconnects after');
  const codes = (text: string): number[] =>
    [...text.matchAll(/\b(1\d{3}|4\d{3})\b/g)].map(([code]) => Number(code));
  assert.deepEqual(
    codes(listed).sort(),
    Object.values(CLOSE)
      .map(({ code }) => code as number)
      .sort(),
  );
  const retryable = Object.values(CLOSE).flatMap((close) => (close.retryable ? [close.code as number] : []));
  assert.deepEqual(codes(reconnects.split('and not after')[0] ?? '').sort(), [1006, ...retryable].sort());
});

test('part L: the figures of the rules are those of limits.ts', () => {
  const part = (spec.split('## Part L')[1] ?? '').replace(/\s+/g, ' ');
  for (const [figure, value] of [
    ['Frame 64 KiB', LIMITS.frameBytes === 64 * 1024],
    ['body 16 KiB', LIMITS.requestBytes === 16 * 1024],
    ['nested 16 deep', LIMITS.jsonDepth === 16],
    ['1 to 8,000 UTF-16 units', LIMITS.messageUnits === 8_000],
    ['1 to 64 code points; no control', LIMITS.userIdChars === 64],
    ['to 256 UTF-16 units', LIMITS.passwordUnits === 256],
    ['20 sockets per user', LIMITS.socketsPerUser === 20],
    ['1,000 unanswered', LIMITS.unansweredPerSocket === 1_000],
    [
      'per user and gateway 5,000, with 8 Mi',
      LIMITS.unansweredPerUser === 5_000 && LIMITS.unansweredUnitsPerUser === 8 * 1024 * 1024,
    ],
    ['1,000 frames, of 1 MiB together', LIMITS.queuedBytes === 1024 * 1024],
    ['1,000 frames per second', LIMITS.framesPerSecond === 1_000],
    ['2,000 at once', LIMITS.framesBurst === 2_000],
    ['1 MiB unsent', LIMITS.unsentBytes === 1024 * 1024],
    ['128 MiB unsent together', LIMITS.unsentTogetherBytes === 128 * 1024 * 1024],
    ['within 10 s', LIMITS.headersMs === 10_000],
    ['within 15 s', LIMITS.requestMs === 15_000],
    ['`client_id`: 1 to 64', LIMITS.clientIdChars === 64],
    ['100 frames that are not valid', LIMITS.invalidFrames === 100],
    ['answers 4 at once; 60 more wait', LIMITS.answersAtOnce === 4 && LIMITS.requestsWaiting === 60],
    ['nothing of an answer is ended within 40 s', LIMITS.answerMs === 40_000],
  ] as const) {
    assert.ok(part.includes(figure), `part L does not say '${figure}'`);
    assert.ok(value, figure);
  }
});

test('H6, H8 to H10: the sizes of pages in the rules are those of limits.ts', () => {
  const rule = (id: string): string =>
    spec.match(new RegExp(`\\*\\*${id}\\*\\*[\\s\\S]*?(?=\n- \\*\\*)`))?.[0] ?? '';
  for (const [id, figures, ...limits] of [
    ['H6', 'newest 10,000 messages', LIMITS.recentMessages],
    ['H8', '50 without `limit`, 200 at most', LIMITS.historyPage, LIMITS.historyPageMax],
    ['H9', '50, 200 at most', LIMITS.conversationsPage, LIMITS.conversationsPageMax],
    ['H9', 'counted to 1,000', LIMITS.unreadCounted],
    ['H10', '20, 100 at most', LIMITS.usersPage, LIMITS.usersPageMax],
  ] as const) {
    assert.ok(rule(id).replace(/\s+/g, ' ').includes(figures), `${id} does not say '${figures}'`);
    assert.deepEqual(
      [...figures.matchAll(/[\d,]*\d/g)].map(([n]) => Number(n.replace(',', ''))),
      limits,
      id,
    );
  }
});

test('A6, B3, H6, H8, H9, L3, S2, S3, K1: the other figures of the rules are those of the code', () => {
  const rules = spec.replace(/\s+/g, ' ');
  const limit = (attempts: number, withinMs: number) => JSON.stringify({ attempts, withinMs });
  for (const [figure, value] of [
    [
      'per user and address (10 in 5 minutes)',
      JSON.stringify(ATTEMPT_LIMITS.userAndAddress) === limit(10, 5 * 60_000),
    ],
    ['per address (100 in 5 minutes)', JSON.stringify(ATTEMPT_LIMITS.address) === limit(100, 5 * 60_000)],
    [
      'registrations per address (100 a minute)',
      JSON.stringify(ATTEMPT_LIMITS.register) === limit(100, 60_000),
    ],
    ['within 5 s of the upgrade', LIMITS.connectMs === 5_000],
    ['10,000 at most, then with `users_truncated:true`', LIMITS.recentUsers === 10_000],
    ['8 Mi UTF-16 units', LIMITS.recentUnits === 8 * 1024 * 1024],
    ['with which their texts reach 256 Ki UTF-16 units', LIMITS.pageUnits === 256 * 1024],
    ['last messages reach 2 Mi UTF-16 units', LIMITS.conversationsUnits === 2 * 1024 * 1024],
    ['up to 256 UTF-16 units of length', LIMITS.userIdLookupUnits === 256],
    ['at most one in 100 ms is passed on', LIMITS.typingMs === 100],
    ['the set of watched users (200 at most)', LIMITS.watchedUsers === 200],
    ['(WebSocket ping) every 25 s', LIMITS.heartbeatMs === 25_000],
  ] as const) {
    assert.ok(rules.includes(figure), `no rule says '${figure}'`);
    assert.ok(value, figure);
  }
  // Or it would cut short pages of today's messages, which it is not for.
  assert.ok(LIMITS.conversationsUnits > LIMITS.conversationsPageMax * LIMITS.messageUnits);
});

test('SPEC: every rule is quoted by a test, and neither tests nor sources quote one that is not there', () => {
  const rules = [...spec.matchAll(/^- \*\*([A-Z]\d+)\*\*/gm)].map(([, rule]) => rule as string);
  const quotedIn = (folder: string): Set<string> => {
    const root = path.join(CONTRACT, '../..', folder);
    const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((file) =>
      file.endsWith('.ts'),
    );
    const texts = files.map((file) => readFileSync(path.join(root, file), 'utf8'));
    return new Set(texts.join('\n').match(/(?<![\w%-])[ABHKLMRS]\d{1,2}\b/g));
  };
  const [byTests, bySources] = [quotedIn('test'), quotedIn('src')];
  assert.deepEqual(
    rules.filter((rule) => !byTests.has(rule)),
    [],
  );
  const known = new Set(rules);
  assert.deepEqual(
    [...byTests, ...bySources].filter((rule) => !known.has(rule)),
    [],
  );
});

test('SPEC: rule numbers are unique and, within a part, without gaps', () => {
  const rules = [...spec.matchAll(/^- \*\*([A-Z])(\d+)\*\*/gm)].map(
    ([, part, number]) => [part, Number(number)] as const,
  );
  const parts = Map.groupBy(rules, ([part]) => part);
  assert.deepEqual([...parts.keys()].sort().join(''), 'ABHKLMRS');
  for (const [part, ofPart] of parts) {
    assert.deepEqual(
      ofPart.map(([, number]) => number),
      ofPart.map((_, i) => i + 1),
      `part ${part}`,
    );
  }
});
