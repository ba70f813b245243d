/**
 * Every bound that a client can meet. The comments name the units; SPEC.md, part L, states the bounds as rules.
 */
export const LIMITS = {
  /** Largest WebSocket frame a client may send, in bytes. */
  frameBytes: 64 * 1024,
  /** Longest message text, in UTF-16 units. */
  messageUnits: 8_000,
  /** Longest user id, in Unicode code points. */
  userIdChars: 64,
  /** Longest user id that is looked up at all, in UTF-16 units. Older databases may hold ids that today's rule refuses. */
  userIdLookupUnits: 256,
  /** Longest password, in UTF-16 units. */
  passwordUnits: 256,
  /** Longest `client_id`, in characters. */
  clientIdChars: 64,
  /** Deepest nesting of arrays and objects in any JSON a client sends. */
  jsonDepth: 16,
  /** Largest HTTP request body, in bytes. */
  requestBytes: 16 * 1024,
  /** Time within which a request's headers, and the whole request, must arrive, in milliseconds. */
  headersMs: 10_000,
  requestMs: 15_000,
  /** A connection whose client takes nothing of an answer is ended within this time, in milliseconds. */
  answerMs: 40_000,
  /** Bytes of answers that have not left a gateway yet, over all clients. */
  untakenBytes: 128 * 1024 * 1024,
  /** Reads of the store for one user at one gateway, from requests and sockets: answered at once, and waiting beyond that. */
  answersAtOnce: 4,
  requestsWaiting: 60,
  /** Time from the upgrade to the `connect` frame, in milliseconds. */
  connectMs: 5_000,
  /** Time between the server's WebSocket pings, in milliseconds. A socket that sends nothing for two intervals is ended at the next ping. */
  heartbeatMs: 25_000,
  /** Unsent bytes that a slow socket may have before it is closed. */
  unsentBytes: 1024 * 1024,
  /** Unsent bytes that all sockets of a gateway may have before those that have been behind the longest are closed. */
  unsentTogetherBytes: 128 * 1024 * 1024,
  /** Sockets one user may have open. */
  socketsPerUser: 20,
  /** Sends and read markers of one socket that may be unanswered. */
  unansweredPerSocket: 1_000,
  /** The same for all sockets of a user at a gateway, and their text in UTF-16 units: a quarter of what all users may have. */
  unansweredPerUser: 5_000,
  unansweredUnitsPerUser: 8 * 1024 * 1024,
  /** Bytes of the frames that wait for the answer to a `connect` before them. */
  queuedBytes: 1024 * 1024,
  /** Frames that one socket may send: per second in the long run, and at once. */
  framesPerSecond: 1_000,
  framesBurst: 2_000,
  /** A frame counts as one for each of these bytes that it begins: reading it costs in proportion, some 0.1 ms of CPU at worst. */
  bytesPerCount: 4_096,
  /** Of the `typing` frames that one socket sends, one in this many milliseconds is passed on: the receiver pays, too. */
  typingMs: 100,
  /** Invalid frames that one socket may send before it is closed. */
  invalidFrames: 100,
  /** Messages in one catch-up page. */
  catchUpPage: 200,
  /**
   * Text in one page of history or catch-up, and in what `/get-messages` takes from the store at once, in UTF-16 units. The
   * message that reaches it is the last. In UTF-8, it is at most three times as many bytes, which must stay below `unsentBytes`.
   */
  pageUnits: 256 * 1024,
  /** Messages in one history page: default and largest. */
  historyPage: 50,
  historyPageMax: 200,
  /** Newest messages in one `/get-messages` answer. */
  recentMessages: 10_000,
  /** Text in one `/get-messages` answer, in UTF-16 units: its messages are in memory while it is built. */
  recentUnits: 8 * 1024 * 1024,
  /**
   * `/get-messages` answers of more than `pageUnits` that a gateway makes at once, for all users. Control characters take six bytes
   * each, so one is up to 50 MB: some dozen accounts with four requests each would take all memory that a gateway has.
   */
  longAnswersAtOnce: 4,
  /** Users in one `/get-messages` answer. */
  recentUsers: 10_000,
  /** Conversations in one page of the conversation list: default and largest. */
  conversationsPage: 50,
  conversationsPageMax: 200,
  /**
   * Text of the last messages in such a page, in UTF-16 units: the conversation that reaches it is the last. Messages of today's
   * length don't, however many: it is for those of the old chat app, which may be pictures of megabytes.
   */
  conversationsUnits: 2 * 1024 * 1024,
  /**
   * Messages that are searched for unread ones for such a page: the conversation that reaches it is the last. Each costs 0.6 to 1 µs,
   * and a sender's own are searched, too: the page of one who had sent 5,000 to each of 200 users took a reader a second.
   */
  conversationsSearched: 100_000,
  /** Unread messages of a conversation are counted up to this many. */
  unreadCounted: 1_000,
  /** Users in one search answer: default and largest. */
  usersPage: 20,
  usersPageMax: 100,
  /** Users one socket may watch for presence. */
  watchedUsers: 200,
} as const;

/** What a `client_id` is made of: visible ASCII (rule L8). */
export const CLIENT_ID = new RegExp(`^[\\x21-\\x7e]{1,${LIMITS.clientIdChars}}$`);
