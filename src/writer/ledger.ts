import Database from 'better-sqlite3';
import type { ErrorCode } from '../contract/errors.ts';
import type { Position } from '../core/bus.ts';
import type { ChangePasswordCommand, Command, Outcome, SendCommand } from '../core/commands.ts';
import type { DatabaseIdentity } from '../core/lease.ts';
import { asRepeat, messageFrameText } from '../core/message-frame.ts';
import { mayPost } from '../core/rules.ts';
import { type Db, placeCheck } from '../db/open.ts';
import { claimGeneration, generationCheck } from '../db/store-row.ts';
import type { Checkpointed } from './checkpointer.ts';
import type { Group } from './group-commit.ts';
import { prepareStatements, type Statements } from './statements.ts';

/** Conversations whose id is cached. When the cache is full, it is cleared. */
const CONVERSATIONS_MAX = 200_000;
/** The same for batches with sends to unknown users, of 500 at most. A batch that is repeated comes within half a minute. */
const BATCHES_TO_NOBODY_MAX = 5_000;

/**
 * How long revoked tokens are kept after their expiry, in seconds. If a clock is wrong for a while and then corrected, none must
 * become valid again.
 */
const ENDED_TOKENS_KEPT_S = 30 * 24 * 3600;
/** How often they are cleaned up, in milliseconds. It scans all of them, since an index would cost more. */
const FORGET_TOKENS_EVERY_MS = 3_600_000;

export type StoredMessage = {
  readonly id: number;
  readonly from: string;
  readonly to: string;
  readonly frame: string;
  /** When a gateway accepted it, Unix ms: the oldest of its batch. */
  readonly at: number;
};
export type EndedTokens = {
  readonly user: string;
  readonly version: number;
  readonly tokenId: string | undefined;
};

/** What one committed transaction has to announce. */
export type Committed = {
  readonly messages: StoredMessage[];
  readonly signals: { readonly user: string; readonly frame: string }[];
  readonly ended: EndedTokens[];
  /** Per batch, in the group's order. */
  readonly results: {
    readonly gateway: string;
    readonly seq: number;
    readonly outcomes: [number, Outcome][];
  }[];
};

const refused = (code: ErrorCode): Outcome => ({
  kind: 'refused',
  code,
});
const DONE: Outcome = { kind: 'done' };
const TO_NOBODY = refused('unknown_user');

/** The writer's view of the database: applies groups of commands, one transaction each, behind the fence. */
export class Ledger implements Checkpointed {
  readonly #db: Db;
  readonly #sql: Statements;
  readonly #assertMine: () => void;
  readonly #apply: (group: Group) => Committed;
  readonly #conversations = new Map<string, number>();
  /**
   * By batch, which of its sends were to unknown users. They stay so if the batch is repeated: the sender may have been told, and
   * the receiver may have registered meanwhile.
   */
  readonly #sendsToNobody = new Map<string, readonly number[]>();
  #identity: DatabaseIdentity;
  #head: number;
  #dataVersion: number | undefined;
  #tokensForgottenAt = Number.NEGATIVE_INFINITY;
  readonly #onDefect: (error: unknown) => void;

  /**
   * Takes over the database: from now on, writers of earlier generations can't commit.
   * @param onDefect gets errors of ours (not SQLite's) in a command; the command is refused with `internal`
   */
  constructor(db: Db, onDefect: (error: unknown) => void) {
    this.#db = db;
    this.#onDefect = onDefect;
    this.#identity = claimGeneration(db);
    const [assertThere, assertMine] = [placeCheck(db), generationCheck(db, this.#identity.generation)];
    this.#assertMine = () => {
      assertThere();
      assertMine();
    };
    this.#sql = prepareStatements(db);
    this.#head = this.#sql.head.get() as number;
    this.#apply = db.transaction((group: Group) => this.#applyGroup(group)).immediate;
  }

  /** The file's identity, as this writer has left it. */
  get identity(): DatabaseIdentity {
    return this.#identity;
  }

  /** Newest message id, even if that message was deleted. */
  get head(): number {
    return this.#head;
  }

  /** Last log entry whose commands are in the database. */
  get position(): Position | undefined {
    return (this.#sql.position.get() as string | null) ?? undefined;
  }

  /**
   * Applies a group and commits it, including its log position. When this returns, it is on disk.
   * @throws Fenced, SqliteError, DatabaseError; then nothing of it was applied
   */
  commit(group: Group): Committed {
    const head = this.#head;
    const identity = this.#identity;
    try {
      return this.#apply(group);
    } catch (error) {
      this.#head = head;
      this.#identity = identity;
      // Conversations that it created are void.
      this.#dataVersion = undefined;
      throw error;
    }
  }

  /** Proves that a commit is possible. @throws as commit */
  commitCanary(): void {
    this.#db
      .transaction(() => {
        this.#assertMine();
        this.#sql.canary.run();
        this.#forgetTokens();
      })
      .immediate();
    this.#countTransaction();
  }

  #countTransaction(): void {
    this.#identity = { ...this.#identity, transactions: this.#identity.transactions + 1 };
  }

  #forgetTokens(): void {
    if (performance.now() - this.#tokensForgottenAt < FORGET_TOKENS_EVERY_MS) return;
    this.#tokensForgottenAt = performance.now();
    this.#sql.forgetTokens.run(Math.floor(Date.now() / 1000) - ENDED_TOKENS_KEPT_S);
  }

  autoCheckpoint(pages: number): void {
    this.#db.pragma(`wal_autocheckpoint = ${pages}`);
  }

  finishCheckpoint(): void {
    try {
      this.#db.pragma('wal_checkpoint(PASSIVE)');
    } catch {
      // A failed checkpoint only means a longer log, as within a commit.
    }
  }

  /**
   * Copies the database to a new file while it is in use. Commits made meanwhile are in the copy.
   * @returns the number of pages
   */
  async backUp(file: string): Promise<number> {
    const { totalPages } = await this.#db.backup(file);
    return totalPages;
  }

  /**
   * Closes the file with everything that was committed in it, so that it can be copied by itself. SQLite ensures that only if
   * nobody else has the file open. Readers end at any time, and their end does not do it, since they may not write.
   */
  close(): void {
    try {
      this.#db.pragma('wal_checkpoint(TRUNCATE)');
    } catch {
      // The disk is full or failing. What was committed is still in the log.
    }
    this.#db.close();
  }

  /** Cached facts may be wrong once somebody else has written, such as an operator by hand. */
  #lookAgain(): void {
    const version = this.#sql.dataVersion.get() as number;
    if (version === this.#dataVersion) return;
    this.#dataVersion = version;
    this.#conversations.clear();
    this.#head = Math.max(this.#head, this.#sql.head.get() as number);
  }

  #applyGroup(group: Group): Committed {
    this.#assertMine();
    this.#lookAgain();
    const committed: Committed = { messages: [], signals: [], ended: [], results: [] };
    const timestamp = new Date().toISOString().slice(0, 19).replace('T', ' ');
    for (const { gateway, seq, at, commands } of group.batches) {
      const outcomes: [number, Outcome][] = [];
      const name = `${gateway} ${seq}`;
      const toNobody = this.#sendsToNobody.get(name);
      for (let i = 0; i < commands.length; i++) {
        const outcome = toNobody?.includes(i)
          ? TO_NOBODY
          : this.#applyOne(commands[i] as Command, at, timestamp, committed);
        if (outcome !== DONE) outcomes.push([i, outcome]);
      }
      this.#rememberSendsToNobody(name, outcomes);
      committed.results.push({ gateway, seq, outcomes });
    }
    this.#sql.setPosition.run(group.position, this.#head);
    // A writer that always has commands commits no canary.
    this.#forgetTokens();
    this.#countTransaction();
    return committed;
  }

  #rememberSendsToNobody(batch: string, outcomes: readonly [number, Outcome][]): void {
    const toNobody = outcomes.filter(([, outcome]) => outcome === TO_NOBODY).map(([i]) => i);
    if (toNobody.length === 0) return;
    if (this.#sendsToNobody.size >= BATCHES_TO_NOBODY_MAX) this.#sendsToNobody.clear();
    this.#sendsToNobody.set(batch, toNobody);
  }

  #applyOne(command: Command, at: number, timestamp: string, committed: Committed): Outcome {
    try {
      switch (command.kind) {
        case 'send':
          return this.#send(command, at, timestamp, committed);
        case 'register':
          return this.#register(command.user, command.passwordHash, committed);
        case 'change-password':
          return this.#changePassword(command, committed);
        case 'logout':
          this.#sql.endToken.run(command.tokenId, command.expiresAt);
          committed.ended.push({ user: command.user, version: 0, tokenId: command.tokenId });
          return DONE;
        case 'logout-everywhere':
          this.#sql.raiseVersion.run(command.version + 1, command.user);
          committed.ended.push({ user: command.user, version: command.version + 1, tokenId: undefined });
          return DONE;
        case 'mark-read':
          return this.#markRead(command.user, command.peer, command.id, committed);
        default:
          // From a newer gateway, as during an upgrade.
          throw new TypeError(
            `this store knows no command '${(command as { kind: unknown }).kind}': of another version, perhaps`,
          );
      }
    } catch (error) {
      // A disk error fails the whole transaction. A bug of ours in one command must not stop everybody's commands for ever.
      if (error instanceof Database.SqliteError && !error.code.startsWith('SQLITE_CONSTRAINT')) throw error;
      this.#onDefect(error);
      return refused('internal');
    }
  }

  #send(
    { from, to, text, clientId }: SendCommand,
    at: number,
    timestamp: string,
    committed: Committed,
  ): Outcome {
    const conversation = this.#conversationOf(from, to);
    if (conversation === undefined) return TO_NOBODY;
    const id = this.#head + 1;
    if (this.#sql.insertMessage.run(id, conversation, from, to, text, timestamp, clientId).changes === 0) {
      return this.#repeat(from, to, text, clientId);
    }
    this.#head = id;
    committed.messages.push({
      id,
      from,
      to,
      frame: messageFrameText(id, from, to, text, timestamp, clientId),
      at,
    });
    return DONE;
  }

  #repeat(from: string, to: string, text: string, clientId: string): Outcome {
    const original = this.#sql.messageByClientId.get(clientId, from) as {
      id: number;
      receiver: string;
      message: string;
      timestamp: string;
    };
    if (original.receiver !== to || original.message !== text) return refused('client_id_conflict');
    return {
      kind: 'repeat',
      frame: asRepeat(messageFrameText(original.id, from, to, text, original.timestamp, clientId)),
    };
  }

  /** The id of a conversation, which is created for its first message; undefined if the two may not talk. */
  #conversationOf(from: string, to: string): number | undefined {
    // Ids in older databases may contain any character, so a separator alone would not distinguish all pairs.
    const key = `${from.length} ${from}${to}`;
    const cached = this.#conversations.get(key);
    if (cached !== undefined) return cached;
    let id = this.#sql.conversation.get({ one: from, two: to }) as number | undefined;
    const known = { sender: this.#exists(from), receiver: this.#exists(to) };
    if (mayPost(known) !== undefined) return undefined;
    if (id === undefined) {
      id = this.#sql.insertConversation.get({ one: from, two: to }) as number;
      this.#sql.insertMember.run(from, id, to);
      this.#sql.insertMember.run(to, id, from);
    }
    if (this.#conversations.size >= CONVERSATIONS_MAX) this.#conversations.clear();
    this.#conversations.set(key, id);
    return id;
  }

  #exists(user: string): boolean {
    return this.#sql.user.get(user) !== undefined;
  }

  #register(user: string, passwordHash: string, committed: Committed): Outcome {
    const version = this.#sql.insertUser.get(user, passwordHash) as number | undefined;
    if (version !== undefined) {
      // A former user of this name, deleted by hand, may still have a socket open. It must not get the new user's messages.
      committed.ended.push({ user, version, tokenId: undefined });
      return DONE;
    }
    // Each hash has a random salt. An equal one means that this is the same command, repeated.
    const { password } = this.#sql.user.get(user) as { password: string };
    return password === passwordHash ? DONE : refused('user_exists');
  }

  #changePassword(
    { user, passwordHash, version: checked }: ChangePasswordCommand,
    committed: Committed,
  ): Outcome {
    const before = this.#sql.user.get(user) as { password: string; version: number } | undefined;
    if (before === undefined) return refused('unknown_user');
    if (before.password === passwordHash) return { kind: 'version', version: before.version };
    // Changed since the current password was checked. If this is a repeat, perhaps by a later command.
    if (before.version !== checked) return refused('invalid_credentials');
    this.#sql.setPassword.run(passwordHash, user);
    const version = before.version + 1;
    committed.ended.push({ user, version, tokenId: undefined });
    return { kind: 'version', version };
  }

  #markRead(user: string, peer: string, id: number, committed: Committed): Outcome {
    const conversation = this.#sql.conversation.get({ one: user, two: peer }) as number | undefined;
    const upTo = Math.min(id, this.#head);
    const moved =
      conversation !== undefined && this.#sql.markRead.run({ id: upTo, user, conversation }).changes === 1;
    const marker =
      moved || conversation === undefined ? upTo : (this.#sql.readMarker.get(user, conversation) as number);
    const frame = JSON.stringify({ type: 'read', user, with: peer, id: marker });
    // The asker is answered even if nothing moved.
    for (const reader of new Set(moved ? [user, peer] : [user]))
      committed.signals.push({ user: reader, frame });
    return DONE;
  }
}
