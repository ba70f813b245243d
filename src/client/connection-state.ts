/**
 * The life of the connection, as a total table: every state says what every event makes of it. An event that means
 * nothing in a state leaves the state as it is. What there is to do follows from entering and leaving states alone
 * (connection.ts): a socket exists exactly in the states of `HAS_SOCKET`, a retry timer exactly in `waiting`.
 */
export type StateName = 'idle' | 'connecting' | 'greeting' | 'catching-up' | 'online' | 'waiting' | 'stopped';

export type ConnectionEvent =
  /** The caller wants a connection; or wants none. */
  | 'connect'
  | 'disconnect'
  /** The socket is open. */
  | 'opened'
  /** The server said `connected`, and pages follow; or none do. */
  | 'welcomed-behind'
  | 'welcomed-level'
  /** The last page has come. */
  | 'caught-up'
  /** The socket is gone, or dead; a new one may do better. */
  | 'lost'
  /** The server does not want this connection. */
  | 'refused'
  /** The back-off has passed. */
  | 'due'
  | 'network-up'
  | 'network-down';

type Row = Readonly<Record<ConnectionEvent, StateName>>;

/** A state's row: itself for every event that is not named. */
const row = (self: StateName, changes: Partial<Row>): Row => ({
  connect: self,
  disconnect: 'idle',
  opened: self,
  'welcomed-behind': self,
  'welcomed-level': self,
  'caught-up': self,
  lost: self,
  refused: self,
  due: self,
  'network-up': self,
  'network-down': self,
  ...changes,
});

/** With a socket, whatever the state: how it may end. A platform without network has no living sockets. */
const ENDS = { lost: 'waiting', refused: 'stopped', 'network-down': 'waiting' } as const;

export const TRANSITIONS: Readonly<Record<StateName, Row>> = {
  idle: row('idle', { connect: 'connecting' }),
  connecting: row('connecting', { ...ENDS, opened: 'greeting' }),
  greeting: row('greeting', { ...ENDS, 'welcomed-behind': 'catching-up', 'welcomed-level': 'online' }),
  'catching-up': row('catching-up', { ...ENDS, 'caught-up': 'online' }),
  online: row('online', ENDS),
  // The caller's `connect` is impatience ("try now"), and so is a network that comes back.
  // It can be refused without a socket, too: when an HTTP answer says that the session is over.
  waiting: row('waiting', {
    connect: 'connecting',
    due: 'connecting',
    'network-up': 'connecting',
    refused: 'stopped',
  }),
  stopped: row('stopped', { connect: 'connecting' }),
};

export const HAS_SOCKET: Readonly<Record<StateName, boolean>> = {
  idle: false,
  connecting: true,
  greeting: true,
  'catching-up': true,
  online: true,
  waiting: false,
  stopped: false,
};

/** Whether the server has accepted the connection, so that frames may be sent. */
export const IS_WELCOME: Readonly<Record<StateName, boolean>> = {
  idle: false,
  connecting: false,
  greeting: false,
  'catching-up': true,
  online: true,
  waiting: false,
  stopped: false,
};

export const next = (state: StateName, event: ConnectionEvent): StateName => TRANSITIONS[state][event];
