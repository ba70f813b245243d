/**
 * Every bound a client can meet. The units stand beside the figures; SPEC.md, part L, states them as rules.
 */
export const LIMITS = {
  /** Largest WebSocket frame a client may send, in bytes. */
  frameBytes: 64 * 1024,
  /** Longest message text, in UTF-16 units. */
  messageUnits: 8_000,
  /** Longest user id, in Unicode code points. */
  userIdChars: 64,
  /** Longest user id that is looked up at all (older databases may hold ids that today's rule refuses). */
  userIdLookupUnits: 256,
  /** Longest password, in UTF-16 units. */
  passwordUnits: 256,
  /** Longest `client_id`, in characters. */
  clientIdChars: 64,
  /** Deepest nesting of arrays and objects in any JSON a client sends. */
  jsonDepth: 16,
  /** Largest HTTP request body, in bytes. */
  requestBytes: 16 * 1024,
  /** Time in which a request's headers, and all of it, must arrive, in milliseconds. */
  headersMs: 10_000,
  requestMs: 15_000,
  /** A connection whose client takes nothing of an answer is ended within so long, in milliseconds. */
  answerMs: 40_000,
  /** Answers of all clients of a gateway that have not left yet, in bytes. */
  untakenBytes: 128 * 1024 * 1024,
  /** What reads the store for one user, by requests and sockets: how many are answered at once, and how many more wait, at each gateway. */
  answersAtOnce: 4,
  requestsWaiting: 60,
  /** Time from the upgrade to the `connect` frame, in milliseconds. */
  connectMs: 5_000,
  /** Time between the server's WebSocket pings, in milliseconds. A socket that sends nothing for two of them is ended at the next. */
  heartbeatMs: 25_000,
  /** Unsent bytes a slow socket may have pending before it is closed. */
  unsentBytes: 1024 * 1024,
  /** Unsent bytes of all sockets of a gateway, before those that have been behind the longest are closed. */
  unsentTogetherBytes: 128 * 1024 * 1024,
  /** Sockets one user may have open. */
  socketsPerUser: 20,
  /** Messages one socket may have sent and not yet had answered. */
  unansweredPerSocket: 1_000,
  /** The same for all sockets of a user at a gateway, and the text in them, in UTF-16 units: a quarter of what all users may have. */
  unansweredPerUser: 5_000,
  unansweredUnitsPerUser: 8 * 1024 * 1024,
  /** Frames that came behind a `connect` and wait for its answer, in bytes. */
  queuedBytes: 1024 * 1024,
  /** Frames per second one socket may send in the long run, and at once. */
  framesPerSecond: 1_000,
  framesBurst: 2_000,
  /** Of `typing` frames one socket sends, one in so many milliseconds is passed on: whom it is for pays, too. */
  typingMs: 100,
  /** Frames that are not valid one socket may send before it is closed. */
  invalidFrames: 100,
  /** Messages in one catch-up page. */
  catchUpPage: 200,
  /**
   * Text in one page of history or catch-up, and in what `/get-messages` takes from the store at once, in UTF-16 units: the message
   * that reaches it is the last. In UTF-8 that is three times as many bytes at most, and must stay below `unsentBytes`.
   */
  pageUnits: 256 * 1024,
  /** Messages in one history page: default and largest. */
  historyPage: 50,
  historyPageMax: 200,
  /** Newest messages in one `/get-messages` answer. */
  recentMessages: 10_000,
  /** Text in one `/get-messages` answer, in UTF-16 units: its messages are held in memory while it is made. */
  recentUnits: 8 * 1024 * 1024,
  /** Users in one `/get-messages` answer. */
  recentUsers: 10_000,
  /** Conversations in one page of the conversation list: default and largest. */
  conversationsPage: 50,
  conversationsPageMax: 200,
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
