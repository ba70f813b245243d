import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import { CLOSE, type CloseReason, ERRORS, type ErrorCode, ParleyError } from '../../contract/errors.ts';
import type {
  ClientFrame,
  ConnectedFrame,
  ConnectFrame,
  SendFrame,
  ServerFrame,
} from '../../contract/frames.ts';
import { LIMITS } from '../../contract/limits.ts';
import { type Command, type Outcome, unitsOf } from '../../core/commands.ts';
import type { CatchUpPage, Queries, TokenClaims } from '../../core/queries.ts';
import type { Feed, FeedMember } from '../feeds.ts';
import type { Watcher } from '../presence.ts';
import { FrameBudget } from './frame-budget.ts';
import { FrameError, parseFrame } from './parse-frame.ts';
import type { SessionContext } from './session-context.ts';
import { listen, type SocketEvents } from './socket-events.ts';
import { SocketWriter } from './socket-writer.ts';

/**
 * waiting: no connect frame yet.
 * connecting: it is being answered. Other frames queue up.
 * catching-up: pages are being sent, and `cursor` is how far. Live messages are left to the next page, and so are the echoes of
 *   what the socket has `sent` meanwhile.
 * live: the user's feed goes straight to the socket, from `cursor` on.
 */
type State =
  | { readonly name: 'waiting'; readonly cancelTimeout: () => void }
  | {
      readonly name: 'connecting';
      readonly since: number;
      readonly cancelTimeout: () => void;
      readonly queue: ClientFrame[];
      queuedBytes: number;
    }
  | { readonly name: 'catching-up'; readonly user: string; cursor: number; sent: boolean }
  | { readonly name: 'live'; readonly user: string; cursor: number }
  | { readonly name: 'closed' };

/** The close that follows a refused connect, by error. */
const CONNECT_CLOSES: Partial<Record<ErrorCode, CloseReason>> = {
  unauthorized: 'unauthorized',
  token_expired: 'unauthorized',
  token_revoked: 'unauthorized',
  forbidden: 'forbidden',
  unknown_user: 'unknownUser',
  too_many_sockets: 'tooManySockets',
  rate_limited: 'rateLimited',
  unavailable: 'tryLater',
  overloaded: 'tryLater',
  internal: 'tryLater',
  shutting_down: 'restart',
};

/** A connect that can't be answered within this is refused, in milliseconds. Clients give up after 10 s. */
const ADMIT_MS = 8_000;

/** How long a peer has to answer a close, in milliseconds; less if it does not read, or is no longer read. */
const CLOSE_MS = 5_000;
const CLOSE_UNREAD_MS = 1_000;
/** A close frame has room for 123 bytes of reason (RFC 6455, section 5.5). All of ours are ASCII. */
const REASON_MAX = 123;

/** What following a user costs beyond reading the id, in bytes of a frame: 100 users count as a frame. Measured: 200 take 0.2 ms. */
const WATCHED_BYTES = LIMITS.bytesPerCount / 100;

/** Shared by all sockets that watch nobody. */
const NOBODY: readonly string[] = [];

/** One socket, from its upgrade to its end (SPEC.md, part B). */
export class Session implements FeedMember, Watcher, SocketEvents {
  readonly #ws: WebSocket;
  readonly #writer: SocketWriter;
  readonly #context: SessionContext;
  /** Whether the socket speaks the full protocol. */
  readonly #full: boolean;
  readonly #budget: FrameBudget | undefined;
  #state: State;
  #claims: TokenClaims | undefined;
  #joined: string | undefined;
  #watched = NOBODY;
  #unanswered = 0;
  #invalid = 0;
  #heardAt: number;
  #typedAt = Number.NEGATIVE_INFINITY;
  #onIdle: (() => void) | undefined;
  #cancelExpiry: (() => void) | undefined;

  /**
   * @param socket what `ws` writes to
   * @param claims of the token that came with the upgrade, already verified
   */
  constructor(
    ws: WebSocket,
    socket: Duplex,
    full: boolean,
    claims: TokenClaims | undefined,
    context: SessionContext,
  ) {
    this.#ws = ws;
    this.#writer = new SocketWriter(ws, socket, context, this);
    this.#full = full;
    this.#claims = claims;
    this.#context = context;
    this.#heardAt = context.clock.steady();
    this.#budget = context.rateLimits ? new FrameBudget(this.#heardAt) : undefined;
    this.#state = { name: 'waiting', cancelTimeout: this.#later(LIMITS.connectMs) };
    listen(ws, this);
  }

  get claims(): TokenClaims | undefined {
    return this.#claims;
  }

  get closed(): boolean {
    return this.#state.name === 'closed';
  }

  // ---- from the client -----------------------------------------------------------------------------------------

  pinged(data: Buffer): void {
    this.#hear(data.length);
  }

  /**
   * Counts a frame. WebSocket's own pings and pongs count, too, since each takes time.
   * @param bytes of the frame, or an equivalent for its work
   * @returns undefined if nothing more is to be done about it
   */
  #hear(bytes: number): 'ok' | 'over' | 'over-unread' | undefined {
    const now = this.#context.clock.steady();
    this.#heardAt = now;
    const budget = this.#budget?.spend(now, bytes) ?? 'ok';
    if (budget !== 'exhausted') return this.closed ? undefined : budget;
    this.#refuseAndClose(new ParleyError('rate_limited'), 'rateLimited');
    // If the client continues all the same, it is not even read.
    this.#ws.pause();
    return undefined;
  }

  received(data: Buffer, isBinary: boolean): void {
    const budget = this.#hear(data.length);
    if (budget === undefined) return;
    if (isBinary) return this.close('unsupported', new ParleyError('invalid_frame', 'Frames are text.'));
    if (budget === 'over-unread') return this.#refuse(new ParleyError('rate_limited'));
    let frame: ClientFrame;
    try {
      frame = parseFrame(data.toString(), this.#full);
      const more = frame.type === 'watch' ? this.#hear(frame.users.length * WATCHED_BYTES) : 'ok';
      if (budget === 'over' || more !== 'ok') throw new FrameError(new ParleyError('rate_limited'), frame);
    } catch (error) {
      const refused = error as FrameError;
      if (refused.type === 'connect' && this.#state.name === 'waiting')
        return this.#refuseAndClose(refused, CONNECT_CLOSES[refused.code] ?? 'badRequest');
      if (refused.code === 'rate_limited') this.#refuse(refused, refused.clientId);
      else this.#refuseBad(refused, refused.clientId);
      return;
    }
    this.#accept(frame, data.length);
  }

  #refuseBad(error: ParleyError, clientId: string | undefined): void {
    this.#refuse(error, clientId);
    if (++this.#invalid > LIMITS.invalidFrames)
      this.close('badRequest', new ParleyError('invalid_frame', 'Too many bad frames.'));
  }

  /** @param bytes of the frame as it arrived */
  #accept(frame: ClientFrame, bytes: number): void {
    const state = this.#state;
    switch (state.name) {
      case 'waiting':
        if (frame.type !== 'connect')
          return this.#refuseBad(new ParleyError('not_connected'), clientIdOf(frame));
        this.#state = {
          ...state,
          name: 'connecting',
          since: this.#context.clock.steady(),
          queue: [],
          queuedBytes: 0,
        };
        void this.#connect(frame);
        return;
      case 'connecting':
        if (frame.type === 'connect') return this.#refuse(new ParleyError('already_connected'));
        if (
          state.queue.length >= LIMITS.unansweredPerSocket ||
          state.queuedBytes + bytes > LIMITS.queuedBytes
        )
          return this.#refuse(new ParleyError('overloaded'), clientIdOf(frame));
        state.queue.push(frame);
        state.queuedBytes += bytes;
        return;
      case 'catching-up':
      case 'live':
        return this.#handle(frame, state.user);
      case 'closed':
        return;
    }
  }

  #handle(frame: ClientFrame, user: string): void {
    switch (frame.type) {
      case 'connect':
        return this.#refuse(new ParleyError('already_connected'));
      case 'message':
        return this.#send(frame, user);
      case 'read':
        return this.#submit({ kind: 'mark-read', user, peer: frame.with, id: frame.id }, user, undefined);
      case 'typing':
        return this.#type(frame.to, user);
      case 'watch': {
        const before = this.#watched;
        // Set first, because the answer may close the socket.
        this.#watched = [...new Set(frame.users)];
        this.#context.presence.watch(this, before, this.#watched);
        return;
      }
      case 'ping':
        return this.#sendFrame({ type: 'pong' });
    }
  }

  #type(to: string, user: string): void {
    const now = this.#context.clock.steady();
    if (now - this.#typedAt < LIMITS.typingMs) return;
    this.#typedAt = now;
    this.#context.signal(to, { type: 'typing', from: user });
  }

  #send(frame: SendFrame, user: string): void {
    if (this.#context.draining) return this.#refuse(new ParleyError('shutting_down'), frame.client_id);
    const clientId = frame.client_id ?? this.#context.nextClientId();
    const before = this.#unanswered;
    const command: Command = { kind: 'send', from: user, to: frame.to, text: frame.message, clientId };
    this.#submit(command, user, frame.client_id);
    // A send that is refused at once was not accepted.
    if (this.#unanswered === before) return;
    this.#context.accepted();
    if (this.#state.name === 'catching-up') this.#state.sent = true;
  }

  #submit(command: Command, user: string, clientId: string | undefined): void {
    const { commands, shares } = this.#context;
    const units = unitsOf(command);
    if (this.#unanswered >= LIMITS.unansweredPerSocket || !shares.take(user, units))
      return this.#refuse(new ParleyError('overloaded'), clientId);
    this.#unanswered++;
    commands.submit(command, (outcome) => {
      shares.settled(user, units);
      this.#settle(outcome, clientId);
    });
  }

  /** Handles every answer but the echo, which comes through the feed. */
  #settle(outcome: Outcome, clientId: string | undefined): void {
    this.#unanswered--;
    // An id made here is only repeated by the gateway itself, when it sends the batch again after a gap.
    if (outcome.kind === 'repeat' && clientId !== undefined) this.#writer.write([outcome.frame]);
    if (outcome.kind === 'refused') this.#refuse(new ParleyError(outcome.code), clientId);
    if (this.#unanswered === 0) this.#onIdle?.();
  }

  // ---- connecting ------------------------------------------------------------------------------------------------

  #later(ms: number): () => void {
    return this.#context.clock.after(ms, () => this.#late());
  }

  /** One timer at a time serves both waits, since there may be ten thousand of them. */
  #late(): void {
    const state = this.#state;
    if (state.name === 'waiting')
      return this.#refuseAndClose(new ParleyError('connect_timeout'), 'connectTimeout');
    if (state.name !== 'connecting') return;
    const left = ADMIT_MS - (this.#context.clock.steady() - state.since);
    if (left > 0) this.#state = { ...state, cancelTimeout: this.#later(left) };
    else this.#refuseAndClose(new ParleyError('unavailable'), 'tryLater');
  }

  async #connect(frame: ConnectFrame): Promise<void> {
    try {
      const { feed, page, resync } = await this.#admit(frame);
      if (this.#state.name !== 'connecting') return;
      const { queue, cancelTimeout } = this.#state;
      cancelTimeout();
      const user = feed.user;
      const resumes = this.#full && frame.since !== undefined && !resync;
      // A feed that was open before knows nothing of others' messages since its user's last one.
      const head = resumes ? page.head : Math.max(page.head, feed.cursor);
      if (this.#full) this.#greet(user, page, resync, head);
      // It reads too slowly even for that.
      if (this.closed) return;
      if (resumes) this.#state = { name: 'catching-up', user, cursor: frame.since as number, sent: false };
      else this.#state = { name: 'live', user, cursor: head };
      this.#context.presence.change(user, 1);
      this.#context.opened();
      this.#watchExpiry();
      for (const queued of queue) this.#handle(queued, user);
      if (resumes) await this.#catchUp(feed, page);
    } catch (error) {
      if (this.closed) return;
      const known = error instanceof ParleyError ? error : this.#context.unexpected(error);
      this.#refuseAndClose(known, CONNECT_CLOSES[known.code] ?? 'badRequest');
    }
  }

  async #admit(frame: ConnectFrame): Promise<{ feed: Feed; page: CatchUpPage; resync: boolean }> {
    const { identities, feeds, presence } = this.#context;
    if (this.#context.draining) throw new ParleyError('shutting_down');
    const { user, claims } = await identities.identify(frame.user_id, this.#claims, frame.token);
    this.#claims = claims;
    // If closed meanwhile, it must not join: nobody would leave the feed again.
    if (this.closed) throw new ParleyError('not_connected');
    if (Math.max(presence.sockets(user), feeds.sockets(user)) >= LIMITS.socketsPerUser)
      throw new ParleyError('too_many_sockets');
    this.#joined = user;
    const feed = await feeds.join(user, this);
    // Closed while it waited for the subscription.
    if (this.closed) throw new ParleyError('not_connected');
    // Asked once the subscription is active: whatever is committed later comes as an event.
    const page = await this.#page({
      user,
      ...(this.#full && frame.since !== undefined && { since: frame.since }),
      ...(claims && { tokens: [{ tokenId: claims.tokenId, version: claims.version }] }),
    });
    if (page.user === 'unknown') throw new ParleyError('unknown_user');
    if (page.tokens.includes('revoked')) {
      if (claims) identities.ended(claims);
      throw new ParleyError('token_revoked');
    }
    // The token may have come with the upgrade, or waited for its turn, and expired since.
    if (this.#tokenLeftMs <= 0) throw new ParleyError('token_expired');
    feed.open(page.head);
    const resync =
      (frame.epoch !== undefined && frame.epoch !== page.epoch) ||
      (frame.since !== undefined && frame.since > page.head);
    return { feed, page, resync };
  }

  #greet(user: string, page: CatchUpPage, resync: boolean, head: number): void {
    const connected: ConnectedFrame = {
      type: 'connected',
      user_id: user,
      epoch: page.epoch,
      head,
      resync,
      heartbeat_ms: LIMITS.heartbeatMs,
      limits: {
        message_units: LIMITS.messageUnits,
        frame_bytes: LIMITS.frameBytes,
        unanswered: LIMITS.unansweredPerSocket,
      },
    };
    this.#sendFrame(connected);
  }

  /**
   * Sends pages until the socket has caught up with its feed. Then the feed takes over in the same turn of the event loop: no
   * gap, no repeat (R1).
   */
  async #catchUp(feed: Feed, first: CatchUpPage): Promise<void> {
    let page = first;
    while (this.#state.name === 'catching-up' && this.#writer.open) {
      const state = this.#state;
      state.cursor = page.upto;
      const messages = page.frames.join(',');
      const bytes = Buffer.byteLength(messages);
      // Such a page has a picture from the old chat app. Whatever followed it would find too many bytes unsent.
      const long = bytes > LIMITS.unsentBytes;
      const live = !long && !page.more && state.cursor >= feed.cursor;
      const text = `{"type":"page","messages":[${messages}],"upto":${page.upto},"more":${!live}}`;
      if (live) {
        this.#state = { name: 'live', user: state.user, cursor: state.cursor };
        this.#writer.write([text]);
        return this.#onIdle?.();
      }
      // The next page is fetched when this one has been sent.
      await this.#writer.writePage(text, bytes);
      page = await this.#page({ user: state.user, since: state.cursor });
    }
  }

  #page(params: Queries['catchUp']['params']): Promise<CatchUpPage> {
    const { turns, queries } = this.#context;
    return turns.read(params.user, async () => {
      // Closed while it waited: nobody takes the page.
      if (this.closed) throw new ParleyError('not_connected');
      return queries.ask('catchUp', params);
    });
  }

  // ---- from the feed ---------------------------------------------------------------------------------------------

  deliver(ids: readonly number[], frames: readonly string[]): void {
    const state = this.#state;
    if (state.name !== 'live') return;
    const known = ids.findIndex((id) => id > state.cursor);
    if (known === -1) return;
    state.cursor = ids.at(-1) as number;
    this.#writer.write(known === 0 ? frames : frames.slice(known));
    this.#context.delivered(ids.length - known);
  }

  signal(frame: string): void {
    if (this.#full && (this.#state.name === 'live' || this.#state.name === 'catching-up'))
      this.#writer.write([frame]);
  }

  presence(online: readonly string[], offline: readonly string[]): void {
    this.#sendFrame({ type: 'presence', online: [...online], offline: [...offline] });
  }

  revoked(): void {
    this.#refuseAndClose(new ParleyError('token_revoked'), 'unauthorized');
  }

  // ---- time ------------------------------------------------------------------------------------------------------

  /** Called once per heartbeat interval. */
  heartbeat(now: number): void {
    if (now - this.#heardAt > 2 * LIMITS.heartbeatMs) return this.#ws.terminate();
    this.#ws.ping();
    this.#watchExpiry();
    this.#writer.noteBacklog();
  }

  get #tokenLeftMs(): number {
    if (this.#claims === undefined) return Number.POSITIVE_INFINITY;
    return this.#claims.expiresAt * 1000 - this.#context.clock.now();
  }

  /** Ends the socket when its token expires. Called at least once per interval, so that no long timer is needed. */
  #watchExpiry(): void {
    const left = this.#tokenLeftMs;
    if (left < LIMITS.heartbeatMs && this.#cancelExpiry === undefined) {
      this.#cancelExpiry = this.#context.clock.after(Math.max(0, left), () => {
        this.#refuseAndClose(new ParleyError('token_expired'), 'unauthorized');
      });
    }
  }

  // ---- to the client ---------------------------------------------------------------------------------------------

  #sendFrame(frame: ServerFrame): void {
    this.#writer.write([JSON.stringify(frame)]);
  }

  tooSlow(): void {
    this.#context.overflowed('unsent');
    this.close('slowConsumer', new ParleyError('slow_consumer'));
  }

  #refuse(error: ParleyError, clientId?: string): void {
    if (this.closed) return;
    this.#context.refused(error.code);
    this.#sendFrame({
      type: 'error',
      code: error.code,
      error: error.message,
      retryable: error.retryable,
      ...(clientId !== undefined && { client_id: clientId }),
    });
  }

  #refuseAndClose(error: ParleyError, reason: CloseReason): void {
    this.#refuse(error);
    this.close(reason, error);
  }

  /** Resolves when every accepted send has been answered, its echo included, or the socket is gone. */
  async idle(): Promise<void> {
    const waits = this.#owesEchoes;
    while (!this.closed && this.#owesEchoes)
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    if (this.#joined === undefined || this.closed) return;
    // The bus keeps no order between channels, so the event with the echo may come after the result, or be lost. The last page may
    // have been read too early for it.
    if (waits) this.#context.feeds.repair(this.#joined);
    // A repair of the feed holds back the echo of a send that is settled.
    await this.#context.feeds.settled(this.#joined);
  }

  /** Sends are unanswered, or their echoes are left to the pages of catch-up. */
  get #owesEchoes(): boolean {
    return this.#unanswered > 0 || (this.#state.name === 'catching-up' && this.#state.sent);
  }

  /**
   * Tells the client why, and closes.
   * @param reconnectAfterMs when the client should come back; random by default (rule K3)
   */
  close(reason: CloseReason, error: ParleyError, reconnectAfterMs = reconnectAfter(reason)): void {
    if (this.closed) return;
    const { code, retryable } = CLOSE[reason];
    const slow = reason === 'slowConsumer';
    if (this.#full && !slow) {
      this.#sendFrame({
        type: 'closing',
        code: error.code,
        error: error.message,
        reconnect_after_ms: retryable ? Math.round(reconnectAfterMs) : null,
      });
    }
    this.ended();
    this.#ws.close(code, ERRORS[error.code].text.slice(0, REASON_MAX));
    // A peer that does not read would keep its backlog for ever. And the answer of one that sends too much may never be read.
    const patienceMs = slow || reason === 'rateLimited' ? CLOSE_UNREAD_MS : CLOSE_MS;
    const patience = this.#context.clock.after(patienceMs, () => this.#ws.terminate());
    this.#ws.once('close', patience);
  }

  ended(): void {
    const state = this.#state;
    if (state.name === 'closed') return;
    if (state.name === 'waiting' || state.name === 'connecting') state.cancelTimeout();
    this.#state = { name: 'closed' };
    this.#cancelExpiry?.();
    if (state.name === 'live' || state.name === 'catching-up') this.#context.presence.change(state.user, -1);
    if (this.#joined !== undefined) this.#context.feeds.leave(this.#joined, this);
    this.#context.presence.unwatch(this, this.#watched);
    this.#writer.ended();
    this.#context.ended(this);
    this.#onIdle?.();
  }
}

/** In milliseconds. The sockets of a dead gateway count for 4 s more, so a user who lost some there would be refused again sooner. */
const reconnectAfter = (reason: CloseReason): number =>
  (reason === 'tooManySockets' ? 4_000 : 500) + Math.random() * 1_000;

const clientIdOf = (frame: ClientFrame): string | undefined =>
  frame.type === 'message' ? frame.client_id : undefined;
