import { z } from 'zod';
import * as frames from './frames.ts';
import { errorAnswer, ROUTES } from './http.ts';
import { API_VERSION, SUBPROTOCOL } from './version.ts';

type Json = { [key: string]: unknown };

const schemaOf = (type: z.ZodType, io: 'input' | 'output'): Json => {
  const {
    $schema: _,
    $defs = {},
    ...schema
  } = z.toJSONSchema(type, {
    target: 'draft-2020-12',
    io,
    unrepresentable: 'any',
    reused: 'inline',
  });
  return inlined(schema, $defs) as Json;
};

/** zod puts schemas with an id behind references to the schema's own root, which in a document is not the root. None is recursive. */
function inlined(node: unknown, definitions: Readonly<Record<string, unknown>>): unknown {
  if (Array.isArray(node)) return node.map((item) => inlined(item, definitions));
  if (typeof node !== 'object' || node === null) return node;
  const { $ref, ...rest } = node as Json;
  const fields = Object.fromEntries(
    Object.entries(rest).map(([key, value]) => [key, inlined(value, definitions)]),
  );
  if (typeof $ref !== 'string') return fields;
  const { id: _, ...definition } = inlined(definitions[$ref.slice('#/$defs/'.length)], definitions) as Json;
  return { ...definition, ...fields };
}

const jsonBody = (type: z.ZodType, io: 'input' | 'output'): Json => ({
  'application/json': { schema: schemaOf(type, io) },
});

function parametersOf(query: z.ZodObject): Json[] {
  const schema = schemaOf(query, 'input') as { properties?: Record<string, Json>; required?: string[] };
  return Object.entries(schema.properties ?? {}).map(([name, property]) => ({
    name,
    in: 'query',
    required: schema.required?.includes(name) ?? false,
    schema: property,
  }));
}

/** The HTTP interface as an OpenAPI 3.1 document, made from the schemas that validate. */
export function openApiDocument(): Json {
  const paths: Record<string, Json> = {};
  for (const route of ROUTES) {
    const responses: Json = { 200: { description: 'OK', content: jsonBody(route.answer, 'output') } };
    for (const status of route.errors) responses[status] = { $ref: '#/components/responses/Error' };
    if ('unready' in route)
      responses[503] = { description: 'Not ready', content: jsonBody(route.unready, 'output') };
    paths[route.path] = {
      [route.method]: {
        operationId: `${route.method}${route.path.replace(/\W+(\w)/g, (_, c: string) => c.toUpperCase())}`,
        summary: route.summary,
        ...('body' in route && {
          requestBody: {
            required: !route.body.safeParse(undefined).success,
            content: jsonBody(route.body, 'input'),
          },
        }),
        ...('query' in route && { parameters: parametersOf(route.query) }),
        security: route.auth ? [{ bearer: [] }] : [],
        responses,
      },
    };
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Parley', version: API_VERSION, license: { name: 'MIT', identifier: 'MIT' } },
    paths,
    components: {
      securitySchemes: {
        bearer: {
          type: 'http',
          scheme: 'bearer',
          description: 'Token from /login. In AUTH=open there is none: give `user_id` instead',
        },
      },
      responses: { Error: { description: 'Error', content: jsonBody(errorAnswer, 'output') } },
    },
  };
}

const CLIENT_FRAMES = [
  frames.connectFrame,
  frames.sendFrame,
  frames.readFrame,
  frames.typingFrame,
  frames.watchFrame,
  frames.pingFrame,
];
const SERVER_FRAMES = [
  frames.messageFrame,
  frames.errorFrame,
  frames.connectedFrame,
  frames.pageFrame,
  frames.readMarkFrame,
  frames.typingNoticeFrame,
  frames.presenceFrame,
  frames.closingFrame,
  frames.pongFrame,
];

/** The WebSocket interface as an AsyncAPI 3.0 document, made from the schemas that validate. */
export function asyncApiDocument(): Json {
  const messages: Record<string, Json> = {};
  const refs = (types: readonly z.ZodType[], io: 'input' | 'output') =>
    types.map((type) => {
      const { id, description } = (type.meta() ?? {}) as { id?: string; description?: string };
      if (id === undefined) throw new Error('every frame schema has a meta id');
      const { id: _, ...payload } = schemaOf(type, io);
      messages[id] = { name: id, summary: description, payload };
      return { $ref: `#/channels/ws/messages/${id}` };
    });
  const receive = refs(CLIENT_FRAMES, 'input');
  const send = refs(SERVER_FRAMES, 'output');
  return {
    asyncapi: '3.0.0',
    info: { title: 'Parley', version: API_VERSION, license: { name: 'MIT' } },
    channels: {
      ws: {
        address: '/ws',
        description: `Frames are JSON text. Without a subprotocol: only Connect, Send, Message and Error. With ${SUBPROTOCOL}: all frames.`,
        messages: Object.fromEntries(
          Object.keys(messages).map((id) => [id, { $ref: `#/components/messages/${id}` }]),
        ),
      },
    },
    operations: {
      receive: { action: 'receive', channel: { $ref: '#/channels/ws' }, messages: receive },
      send: { action: 'send', channel: { $ref: '#/channels/ws' }, messages: send },
    },
    components: { messages },
  };
}
