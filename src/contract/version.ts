/** WebSocket subprotocol of the full protocol (SPEC.md, part B). A socket without it speaks the basic protocol. */
export const SUBPROTOCOL = 'parley.v1';

/** Version of the HTTP and WebSocket documents, shown in `/openapi.json` and `/asyncapi.json`. */
export const API_VERSION = '1.0.0';
