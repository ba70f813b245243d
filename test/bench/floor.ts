import { pass, serveRelay } from './relay.ts';

/*
 * The floor: the least a WebSocket chat server on Node can do. One process, a bare relay. Nothing is kept, checked, or
 * counted.
 */

process.title = 'floor: relay';
serveRelay(pass);
